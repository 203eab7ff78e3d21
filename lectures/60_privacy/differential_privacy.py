# %% [markdown]
# # 6.1 The embarrassing question, and differential privacy
#
# Some questions are worth asking of a thousand people, and are nobody's business of any single one. This lecture asks such a question with two coins, finds in the coins a definition of privacy,
# and builds from it everything that the next lectures use: noise, budgets, and the attacks that show whether a budget is kept.
#
# **What you will learn**
#
# - to ask an embarrassing question so that nobody has to lie, and to work out what the answers are worth;
# - to see one person in the difference of two harmless statistics;
# - to read $\varepsilon$ as odds, as an attacker's error, and as a budget that questions use up;
# - to add Laplace and Gaussian noise, to choose by the exponential mechanism, and to say which of them needs what;
# - to attack every $\varepsilon$ that you print, and to catch a mechanism that breaks its promise in the last bits of a number.
#
# **Before you start**: the [pipeline](../00_foundations/trust.ipynb), and what may leak from it; probability (mean, variance, a density), and the [notation page](../../book/notation.md). No network is trained here.
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats

from tml_helpers import privacy
from tml_helpers.claims import claim, seed
from tml_helpers.data import loan_applications
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.threat_models import ThreatModel

use_style()
torch.set_num_threads(1)  # noise, and no network: one core is enough
random = np.random.default_rng(seed())
generator = torch.Generator().manual_seed(seed())  # in earnest: leave it out

# %% [markdown]
# ## The question: would you tell?
#
# Our people are 1,989 applicants for a mortgage in Boston, in 1990 ([card](../../book/data_cards/loan_applications.md)). The question is: *have you ever been bankrupt?* The file knows the answer, `pubrec`, so that we can see what a
# survey would have made of it.
#
# Ask it plainly, and some people lie. Suppose that half of those who have been say no. The survey is then wrong by a factor of two, and more people do not help: a lie is no error that averages out.
#
# Here is another way to ask. *Throw two coins where I cannot see them. If the first shows tails, answer truthfully. If it shows heads, forget the question: say yes if the second coin shows heads, and no if it shows tails.*

# %%
people = loan_applications()
answers = people["pubrec"].to_numpy() == 1
N, P = len(answers), answers.mean()


def two_coins(truth):
    """Reports of people who throw two coins each."""
    first, second = random.random((2, *truth.shape)) < 0.5  # True: tails, then heads
    return np.where(first, truth, second)


claim("1,989 people; fewer than one in ten has been bankrupt", N == 1989 and P < 0.1)
many = np.broadcast_to(answers, (2000, N))  # each of 2,000 surveys asks them all
reports = two_coins(many)
lies = many & (random.random(many.shape) < 0.5)  # half of those who should say yes

# %% [markdown]
# Who says yes now has an excuse: *it was the coin*. That is **plausible deniability**, and it holds for everybody, whatever they did and whatever they said.
#
# The answers are not spoiled, though, since we know how coins fall. Let $P$ be the true share of yes. Who has been bankrupt reports yes with probability ½ + ¼ = ¾: tails, or heads and heads. Who has not reports yes with probability ¼. Among $N$ reports we therefore expect
#
# $$\tfrac{3}{4} P + \tfrac{1}{4} (1 - P) = \frac{N_{\text{yes}}}{N}, \qquad\text{so}\qquad \hat P = 2\, \frac{N_{\text{yes}}}{N} - \frac{1}{2} .$$ (eq-dp-two-coins)
#
# The left side is what is reported on average; solve for $P$, and you have an estimate $\hat P$ that is right on average: it is **unbiased**. This is **randomised response**, and it is older than the personal computer {cite}`warner1965randomized`. (Warner's own
# design is exercise 2; two coins of which the second ignores the question are a special case of a later one {cite}`greenberg1969unrelated`.)

# %%
by_hand = 2 * reports.mean(axis=1) - 0.5
library = [privacy.estimate_proportion(survey) for survey in reports]
claim(
    "By hand and by privacy.estimate_proportion: the same",
    np.allclose(by_hand, library),
)
claim("The mean of 2,000 surveys is within 0.3 points", abs(by_hand.mean() - P) < 0.003)
claim("Lies halve the share, give or take", 0.45 < lies.mean() / P < 0.55)

# %% tags=["hide-input", "fig-dp-three-surveys"] mystnb={"image": {"alt": "Three histograms on one axis from 0 to 15 percent. A dashed line marks the true share, 6.9 percent. A narrow histogram of surveys in which half lie stands around 3.4 percent. A wide, flat one of surveys with two coins stands around the dashed line and reaches from 2 to 12 percent."}}
figure, axis = plt.subplots(figsize=(7, 2.9))
bins = np.linspace(0, 15, 76)
axis.hist(
    100 * lies.mean(axis=1), bins, color=COLOURS["orange"], label="half of them lie"
)
axis.hist(100 * by_hand, bins, color=COLOURS["blue"], alpha=0.8, label="two coins")
axis.axvline(100 * P, color=COLOURS["black"], ls="--", lw=1.2, label="the truth")
axis.set(
    xlabel="estimated share of people who have been bankrupt (%)",
    ylabel="of 2,000 surveys",
)
axis.legend()
plt.show()

# %% [markdown]
# *Wrong and sure, or right and unsure.* Each survey asks the same 1,989 people. Lies move the whole heap away from the truth; coins leave it where it belongs and make it wider.
#
# ## What the coins cost
#
# How much wider? Take people at random from a large population. A report is yes with probability $\pi = \tfrac34 P + \tfrac14 (1 - P)$, so $N_{\text{yes}} / N$ has variance $\pi (1 - \pi) / N$. The estimate doubles it, and its **standard error** is
#
# $$\operatorname{se}(\hat P) = \frac{1}{\tau} \sqrt{\frac{\pi (1 - \pi)}{N}}, \qquad \pi = \frac{1 + \tau}{2} P + \frac{1 - \tau}{2} (1 - P) .$$ (eq-dp-standard-error)
#
# Here $\tau$ is the probability of the true answer, which is ½ for our coin; other coins give other $\tau$. The smaller $\tau$, the better the excuse and the wider the heap.
#
# A plain survey without lies would have the variance $P(1 - P)/N$. Divide one by the other, and you know what privacy costs in people:


# %%
def price(share, truth=0.5):
    """How many people one must ask for each one of an honest plain survey."""
    yes = (1 + truth) / 2 * share + (1 - truth) / 2 * (1 - share)
    return yes * (1 - yes) / truth**2 / (share * (1 - share))


claim("Here: more than 12 people for one", 12 < price(P) < 13)
claim("For a share of one half: 4 for one", price(0.5) == 4)
found = privacy.proportion_interval(reports[0])
yes = reports[0].mean()
formula = 2 * math.sqrt(yes * (1 - yes) / (N - 1))
claim(
    "The library's standard error: the formula's",
    abs(found.standard_error - formula) < 1e-12,
)
claim("which is about 2 points", 0.019 < found.standard_error < 0.022)

# %% [markdown]
# Twelve people for one is much. It is the price when nobody is trusted at all, not even whoever asks: one calls this **local** privacy. Further down a trusted curator holds the data and adds one drop of noise to the total, and the price falls to nearly nothing. That is **central** privacy.
#
# ## From an excuse to a number
#
# How good is the excuse? Somebody says yes. Before, the odds that this person has been bankrupt were $P : (1 - P)$. Bayes' rule multiplies the odds by how much more often yes is said by those who have been than by those who have not:
#
# $$\frac{\Pr[\text{yes} \mid \text{bankrupt}]}{\Pr[\text{yes} \mid \text{not}]} = \frac{3/4}{1/4} = 3 = e^{\ln 3} .$$ (eq-dp-odds)
#
# A no divides the odds by 3. No other report exists. So whatever you say, and whatever anybody knew about you before, the odds move by a factor of 3 at most. The logarithm of this factor is called $\varepsilon$: two coins have $\varepsilon = \ln 3 \approx 1.1$.

# %%
claim(
    "privacy.response_epsilon() is ln 3",
    abs(privacy.response_epsilon() - math.log(3)) < 1e-12,
)
after = 0.75 * P / (0.75 * P + 0.25 * (1 - P))
claim("A yes raises 6.9 % to no more than 19 %", P > 0.068 and after < 0.19)

# %% [markdown]
# ## A statistic is no hiding place
#
# Perhaps coins are not needed. Let a trusted office keep the file and publish totals only. Nobody may ask about one person; any count of many people may be asked. Who attacks such an office?

# %%
ThreatModel(
    goal="learn whether one person has been bankrupt",
    knowledge="black box",
    capability="asks for counts over groups of at least 1,000 people",
    queries=2,
    out_of_scope="reading the file, bribing the office",
)

# %% [markdown]
# The attacker knows two harmless things about the victim: the income and the price of the house. They ask for the number of bankrupts among *all* applicants, and among all applicants *but those with this income and this price*. Both groups are large. The difference is the victim.


# %%
def count(group):
    assert group.sum() >= 1000, "refused: too few people"
    return int(answers[group].sum())


like = people.groupby(["atotinc", "price"])["race"].transform("size").to_numpy()
everybody, caught = np.ones(N, dtype=bool), 0
for victim in np.flatnonzero(like == 1):
    row = people.iloc[victim]
    others = (people["atotinc"] != row["atotinc"]) | (people["price"] != row["price"])
    caught += count(everybody) - count(others.to_numpy()) == answers[victim]
claim("Income and price single out over 95 % of all", (like == 1).mean() > 0.95)
claim("and each of them is read correctly", caught == (like == 1).sum())

# %% [markdown]
# Nobody is named here, and no row is printed; the counts were enough. This is the **differencing attack**: from the answers about $D$ and about $D' = D \setminus \{x\}$ one reads $x$. A rule about group sizes does not stop it, and neither would a guard who looks at every question: which of two questions was the forbidden one? What is wrong with exact answers is that they are exact.
#
# ## The definition
#
# Call two data sets $D$ and $D'$ **neighbours** if one of them has one person's record more. (Where the number of people is public, as in our survey, one changes a record instead. Say which you mean: the numbers differ.) A **mechanism** $\mathcal M$ takes a data set and gives an answer, with some randomness. It is **$\varepsilon$-differentially private** if, for all neighbours and all sets $S$ of answers {cite}`dwork2006calibrating`,
#
# $$\Pr[\mathcal M(D) \in S] \le e^{\varepsilon} \Pr[\mathcal M(D') \in S] .$$ (eq-dp-definition)
#
# Read it aloud: *whatever is published could nearly as well have been published without you.* Neighbours may be taken in either order, so the ratio is also at least $e^{-\varepsilon}$. Three things are worth noticing.
#
# **The promise is about the mechanism**, not about one answer. The number 137 is neither private nor not; a way of arriving at it is.
#
# **It holds against everybody**: attackers who know all other records, and attackers who will know more next year. Whatever they make of the answer is a function of it, so it is covered as well. That is **post-processing**: nobody can take privacy out of an answer afterwards.
#
# **It does not hide what is true of everybody.** If the survey shows that smoking kills, your insurer learns something about you, whether you took part or not. Differential privacy bounds what your *taking part* adds.
#
# With a family of $k$ people in the data, apply the definition $k$ times, from neighbour to neighbour: the ratio is at most $e^{k \varepsilon}$. That is **group privacy**, and it fades.
#
# Many useful mechanisms keep the promise but for a small probability $\delta$:
#
# $$\Pr[\mathcal M(D) \in S] \le e^{\varepsilon} \Pr[\mathcal M(D') \in S] + \delta .$$ (eq-dp-approximate)
#
# One then says **$(\varepsilon, \delta)$-private** {cite}`dwork2006our`. Take care with $\delta$: the mechanism that picks one person by lot and publishes the whole record is $(0, 1/N)$-private by this definition. So $\delta$ has to be much smaller than $1/N$.
#
# ## Noise by hand: Laplace
#
# Let the question be a number: $f(D)$ is a count, a sum, a vector of counts. Its **sensitivity** $\Delta$ is the most that one person can change it, $\max \lvert f(D) - f(D') \rvert$, with absolute values added up for a vector. A count has $\Delta = 1$. The **Laplace mechanism** {cite}`dwork2006calibrating` publishes
#
# $$\mathcal M(D) = f(D) + \eta, \qquad \text{density of } \eta:\ \frac{1}{2b}\, e^{-\lvert \eta \rvert / b}, \qquad b = \frac{\Delta}{\varepsilon} .$$ (eq-dp-laplace)
#
# Why is it private? An answer $t$ has the density $\frac{1}{2b} e^{-\lvert t - f(D) \rvert / b}$ with $D$, and the same with $f(D')$ for $D'$. Their ratio is $e^{(\lvert t - f(D') \rvert - \lvert t - f(D) \rvert)/b}$. The two distances differ by at most $\lvert f(D) - f(D') \rvert \le \Delta$, so the ratio is at most $e^{\Delta / b} = e^{\varepsilon}$.
#
# In code it takes two lines. A uniform number $u$ gives $-b \ln u$, which is the size of the noise; a coin gives its sign.


# %%
def naive_laplace(value, scale, draws):
    """The textbook's formula: good for pictures, and see further down."""
    u = random.integers(1, 2**53, draws) / 2**53  # as a generator makes them: k / 2⁵³
    return value + random.choice([-1.0, 1.0], draws) * scale * np.log(u)


def laplace(value, epsilon, draws):
    """The library's, many times: each entry is the answer of another world."""
    values = torch.full((draws,), float(value), dtype=torch.float64)
    noisy = privacy.laplace_mechanism(
        values, sensitivity=1, epsilon=epsilon, generator=generator
    )
    return noisy.numpy()


true, epsilon, draws = int(answers.sum()), 1.0, 40_000
here = laplace(true, epsilon, draws)
same = stats.ks_2samp(here, naive_laplace(true, 1 / epsilon, draws)).pvalue
claim("By hand and by the library: no test tells them apart", same > 1e-5)
off = np.abs(here - true).mean()
claim("The mean error is 1/ε = 1 person of 1,989", 0.96 < off < 1.04)
claim("Two coins: over 28 people", N * np.abs(by_hand - P).mean() > 28)

# %% [markdown]
# One person of 1,989, where two coins were off by thirty: that is what a trusted curator is worth. Now the definition itself, on two neighbours: the file, and the file without one person who has been bankrupt.

# %%
there = laplace(true - 1, epsilon, draws)
bins = np.arange(true - 5, true + 5.1, 0.5)
first, second = (np.histogram(values, bins)[0] for values in (here, there))
log_ratio = np.log(first / second)
spread = np.sqrt(1 / first + 1 / second)  # one standard error of the logarithm
within = np.abs(log_ratio) < epsilon + 5.5 * spread
claim("In each bin |log ratio| is at most ε, but for chance", within.all())
claim(
    "and beyond both answers it is near ε",
    abs(log_ratio[bins[:-1] >= true].mean() - 1) < 0.3,
)

# %% tags=["hide-input", "fig-dp-densities"] mystnb={"image": {"alt": "Two panels over the published count from 132 to 142. Left, two tent-shaped Laplace densities of equal form with peaks at 136 and 137, which overlap almost everywhere. Right, the logarithm of their ratio: a line at minus one up to 136, rising to plus one at 137 and constant from there, with dots from simulation on it, and dashed lines at plus and minus epsilon."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
t = np.linspace(true - 5, true + 5, 1001)
for centre, hue, label in ((true, "blue", "with you"), (true - 1, "orange", "without")):
    density = stats.laplace.pdf(t, centre, 1 / epsilon)
    left.plot(t, density, color=COLOURS[hue], label=label)
    left.fill_between(t, density, color=COLOURS[hue], alpha=0.2, lw=0)
left.set(xlabel="published count", ylabel="density", ylim=(0, 0.62))
left.legend(loc="upper left")
exact = epsilon * (np.abs(t - true + 1) - np.abs(t - true))
right.plot(t, exact, color=COLOURS["black"], lw=1.2, label="by formula")
middle = (bins[1:] + bins[:-1]) / 2
right.errorbar(middle, log_ratio, spread, fmt="o", ms=3, lw=1, label="from draws")
edge = right.get_yaxis_transform()
for level, sign in ((epsilon, "ε"), (-epsilon, "−ε")):
    right.axhline(level, color=COLOURS["orange"], ls="--", lw=1)
    right.text(1.02, level, sign, va="center", fontsize=10, transform=edge)
right.set(xlabel="published count", ylabel="log of the ratio", ylim=(-2, 2))
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# *With you and without you.* Left, what may be published in both worlds, at $\varepsilon = 1$. Right, how much an answer speaks for the one or the other: never more than $\varepsilon$.
#
# ## Attack every ε
#
# A proof protects if its assumptions hold and if the program does what the proof says. So this chapter makes a promise of its own: **under every $\varepsilon$ that a page prints stands an attack on it**, and what the attack proves.
#
# Suppose that an attacker watches many runs and has to say for each whether you were in the data. Say that they claim *in* for the answers in $S$. Their rate of true alarms is $\mathrm{TPR} = \Pr[\mathcal M(D) \in S]$, of false alarms $\mathrm{FPR} = \Pr[\mathcal M(D') \in S]$. Then the definition reads $\mathrm{TPR} \le e^{\varepsilon}\, \mathrm{FPR} + \delta$, and turned round
#
# $$\varepsilon \ \ge\ \ln \frac{\mathrm{TPR} - \delta}{\mathrm{FPR}} .$$ (eq-dp-audit)
#
# A successful attack is thus a **lower bound** on $\varepsilon$, written $\hat\varepsilon$. Rates that are counted are uncertain, so one takes each at the unfavourable end of its interval, and chooses the threshold on one half of the runs and counts on the other {cite}`jagielski2020auditing`. That is `privacy.audit_epsilon_by_two_models`; here a
# "model" is a published count. Where this page says nothing else, audits have a confidence of 99.9 %: one in a thousand may be too high.

# %%
ThreatModel(
    goal="tell a run with one given record from a run without it",
    knowledge="white box",
    capability="knows all other records, and runs the mechanism 40,000 times on each",
    out_of_scope="the coins that the mechanism throws",
)


# %%
def attack(scores_in, scores_out, delta=0.0):
    return privacy.audit_epsilon_by_two_models(
        scores_in, scores_out, delta=delta, confidence=0.999
    )


audit = attack(here, there)

# %% tags=["nbval-ignore-output"]
print(f"Laplace, ε = {epsilon:.2f}: proven ε ≥ {audit.lower_bound:.2f}")
print(f"(an attack that is never wrong would prove {audit.ceiling:.2f})")

# %%
claim("Laplace, ε = 1: the attack proves more than 0.8", audit.lower_bound > 0.8)
claim("and no more than the 1 that is true", audit.lower_bound <= 1)
claim("It could have seen a leak of 7", audit.ceiling > 7)

# %% [markdown]
# Between 0.8 and 1 there is little room: the analysis is tight and the program keeps to it. Look at the **ceiling**, too. An audit that could not have proved more than 0.5 says nothing when it proves 0.4.
#
# ### One run is enough
#
# Running a mechanism 40,000 times is fine for a count. A network that trains for a day runs once. Steinke, Nasr and Jagielski found a way round {cite}`steinke2023privacy`: put many **canaries** into one run, records made for the purpose, and decide for each by a fair coin of its own whether it goes in. The attacker sees the output and guesses the coins, as many or as few as they like.
#
# If the mechanism is $\varepsilon$-private, then each guess is right with probability $e^{\varepsilon} / (1 + e^{\varepsilon})$ at most, whatever the others show. So $r$ guesses cannot be right more often than a binomial variable allows; if they are, $\varepsilon$ is refuted. A term for $\delta$ comes on top. `privacy.audit_epsilon` returns the largest $\varepsilon$ that is refuted.
#
# Randomised response is the simplest case, because a report *is* a guess. We give 20,000 canaries an answer by a coin, let them report, and attack.

# %%
ThreatModel(
    goal="guess which canaries went in",
    knowledge="white box",
    capability="made the canaries, knows all else, sees the output of one run",
    queries=1,
    out_of_scope="the coins of the canaries, and those of the mechanism",
)

# %%
coins = random.random(20_000) < 0.5
spoken = privacy.randomized_response(coins, generator=generator)
audit = privacy.audit_epsilon(
    spoken, coins, delta=0, confidence=0.999, guesses=len(coins)
)

# %% tags=["nbval-ignore-output"]
print(f"two coins, ε = ln 3 = {math.log(3):.2f}: proven ε ≥ {audit.lower_bound:.2f}")

# %%
claim("Two coins: one run proves more than 0.9", audit.lower_bound > 0.9)
claim("and no more than ln 3", audit.lower_bound <= math.log(3))

# %% [markdown]
# ## What an ε means to an attacker
#
# The definition bounds both errors of every attack at once. Let $\alpha$ be the rate of false alarms, $\mathrm{FPR}$, and $\beta$ the rate of misses, $1 - \mathrm{TPR}$. From {eq}`eq-dp-approximate`, once for $S$ and once for its complement with $D$ and $D'$ exchanged {cite}`wasserman2010statistical,kairouz2015composition`,
#
# $$\alpha + e^{\varepsilon} \beta \ge 1 - \delta \qquad\text{and}\qquad e^{\varepsilon} \alpha + \beta \ge 1 - \delta .$$ (eq-dp-trade-off)
#
# No attack, however clever, lies below these two lines. With $\varepsilon = 0$ they are the line $\alpha + \beta = 1$: guessing. With large $\varepsilon$ they hug the axes, and nothing is forbidden.

# %% tags=["hide-input", "fig-dp-trade-off"] mystnb={"image": {"alt": "Two panels with false alarms on the horizontal and misses on the vertical axis, both from 0 to 1. Left, broken lines for epsilon 0, 0.5, 1, 2 and 4: the first is the diagonal of guessing, each further one bends closer to the lower left corner. Right, for epsilon 1, the broken line, the Laplace mechanism's curve that touches it at both ends, and the curve of a Gaussian mechanism for delta 0.00001, which lies clearly above it."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True)
alpha = np.linspace(0, 1, 2001)


def least_misses(eps, delta=0.0):
    lines = (1 - delta - math.exp(eps) * alpha, math.exp(-eps) * (1 - delta - alpha))
    return np.maximum(np.maximum(*lines), 0)


for eps, hue in zip((0, 0.5, 1, 2, 4), COLOURS, strict=False):
    left.plot(alpha, least_misses(eps), color=COLOURS[hue], label=f"ε = {eps:g}")
left.set(xlabel="false alarms α", ylabel="misses β", title="what ε forbids: below")
left.legend(loc="upper right")
right.plot(alpha, least_misses(1), color=COLOURS["green"], label="ε = 1")
misses = stats.laplace.cdf(stats.laplace.isf(alpha) - 1)
right.plot(alpha, misses, color=COLOURS["blue"], ls="--", label="Laplace")
sigma = privacy.gaussian_noise_multiplier(epsilon=1, delta=1e-5)
misses = stats.norm.cdf(stats.norm.isf(alpha) - 1 / sigma)
right.plot(alpha, misses, color=COLOURS["orange"], label="Gauss, δ = 10⁻⁵")
right.set(xlabel="false alarms α", title="the best attack on a count")
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# *The room that is left to an attacker.* Left, the region below each line is out of reach. Right, at $\varepsilon = 1$, what the best attack achieves. Against Laplace noise it reaches the line; against Gaussian noise it stays far from it, except where false alarms are so rare that only $\delta$ protects.
#
# So what is a *good* $\varepsilon$? At $\varepsilon = 0.1$ a guess about a fair coin is right at most 52.5 times in a hundred; at 1, 73 times; at 3, 95 times; at 8, 9,997 times in ten thousand. An $\varepsilon$ of 8, which is common in deep learning, is by itself no protection to speak of. It may still be worth having: attacks as strong as the definition
# imagines are rare. The audit tells the difference.

# %%
right_guess = {eps: 100 / (1 + math.exp(-eps)) for eps in (0.1, 1, 3, 8)}
claim(
    "52.5, 73, 95 and 99.97 %",
    np.allclose(list(right_guess.values()), [52.5, 73, 95, 99.97], atol=0.3),
)

# %% [markdown]
# ## Gaussian noise
#
# Networks have a million parameters, and Laplace noise asks for the *sum* of all changes. Gaussian noise asks for their length only: $\Delta_2 = \max \lVert f(D) - f(D') \rVert_2$. It pays with a $\delta$, because its tails fall so fast that the ratio of densities grows without bound, though only where hardly any answers lie.
#
# With $\sigma$ the noise's standard deviation over $\Delta_2$, and $\Phi$ the normal distribution function, the smallest $\delta$ for a given $\varepsilon$ is exactly {cite}`balle2018improving`
#
# $$\delta = \Phi\!\left( \frac{1}{2\sigma} - \varepsilon \sigma \right) - e^{\varepsilon}\, \Phi\!\left( -\frac{1}{2\sigma} - \varepsilon \sigma \right) .$$ (eq-dp-gaussian)
#
# The two terms are the probabilities, with you and without you, of the answers that speak for you by more than $\varepsilon$. `privacy.gaussian_noise_multiplier` finds the smallest $\sigma$ for a given budget. Textbooks have $\sigma = \sqrt{2 \ln(1.25/\delta)} / \varepsilon$. That is proven for $\varepsilon < 1$ only, where it is too much; for large $\varepsilon$ it is too little, and libraries have shipped it.

# %%
delta = 1e-5
ours = {
    e: privacy.gaussian_noise_multiplier(epsilon=e, delta=delta) for e in (1, 8, 50)
}
textbook = {e: math.sqrt(2 * math.log(1.25 / delta)) / e for e in ours}
s, e = ours[1], 1.0
lost = stats.norm.cdf(0.5 / s - e * s) - math.exp(e) * stats.norm.cdf(-0.5 / s - e * s)
claim("The formula gives δ back", abs(lost / delta - 1) < 1e-4)
claim("At ε = 1 the textbook adds 25 % too much", 1.25 < textbook[1] / ours[1] < 1.35)
claim("At ε = 50 it adds too little", textbook[50] < ours[50])

# %% [markdown]
# The attack, in one run. The output is a sum with 1,000 places, and canary number $i$ puts a 1 in place $i$, or does not. This is what an attacker sees of one step of DP-SGD who knows all other gradients, and attacks hardly get stronger. We repeat it ten times, to see how much one audit depends on luck; and we take 95 % for the confidence, as the paper does, because the term for $\delta$ eats up an error of one in a thousand.


# %%
def canaries(eps, delta, count=1000):
    """One audit: a noisy sum, and the coins that are to be guessed."""
    coins = random.random(count) < 0.5
    total = torch.tensor(coins, dtype=torch.float64)
    noisy = privacy.gaussian_mechanism(
        total, sensitivity=1, epsilon=eps, delta=delta, generator=generator
    )
    return privacy.audit_epsilon(noisy, coins, delta=delta)  # confidence 95 %


bounds = {
    eps: [canaries(eps, delta).lower_bound for _ in range(10)] for eps in (1, 2, 4, 8)
}

# %% tags=["nbval-ignore-output"]
for eps, found in bounds.items():
    low, mean, high = min(found), np.mean(found), max(found)
    print(
        f"Gauss, ε = {eps}: proven ε ≥ {mean:.2f} on average ({low:.2f} to {high:.2f})"
    )

# %%
claim("No audit is above its ε", all(max(found) <= e for e, found in bounds.items()))
claim("At ε = 8 the mean is over 1.5", np.mean(bounds[8]) > 1.5)
claim("At ε = 1 it is less than 0.5", np.mean(bounds[1]) < 0.5)
claim("A larger ε is seen better", np.mean(bounds[2]) < np.mean(bounds[8]))

# %% [markdown]
# At $\varepsilon = 8$ the attacker proves 2 or so. Why not 8? A Gaussian's $\varepsilon$ is decided in its far tail, at probabilities near $\delta = 10^{-5}$, and a thousand guesses do not reach there. At $\varepsilon = 1$ the audit proves next to nothing. **A bound of 0 is no proof of privacy**: it says that this attack, with so many guesses, saw nothing.
#
# ## Choosing, not counting: the exponential mechanism
#
# Noise on a number helps if the answer is a number. What if it is a choice: which of these offices should open on Saturdays? Give each candidate a score $u_i$, and let one person change no score by more than $\Delta$. The **exponential mechanism** {cite}`mcsherry2007mechanism` chooses by lot, high scores exponentially more often:
#
# $$\Pr[\mathcal M(D) = i] = \frac{e^{\varepsilon u_i / 2\Delta}}{\sum_j e^{\varepsilon u_j / 2\Delta}} .$$ (eq-dp-exponential)
#
# One person changes the numerator by a factor of $e^{\varepsilon/2}$ at most, and the sum below by as much again. That is where the 2 comes from.
#
# The office asks which of three kinds of property is the most frequent among the refused. We publish one winner.

# %%
refused = people["approve"].to_numpy() == 0
scores = np.bincount(people["prop"].to_numpy()[refused], minlength=4)[1:]  # 1, 2, 3
weights = np.exp(0.1 * scores / 2)
rows = torch.tensor(scores).expand(20_000, 3)
chosen = privacy.exponential_mechanism(
    rows, sensitivity=1, epsilon=0.1, generator=generator
)
shares = chosen.bincount(minlength=3).numpy() / len(chosen)
claim(
    "By hand and by the library: within 2 points",
    np.abs(shares - weights / weights.sum()).max() < 0.02,
)
claim("The winner wins over 95 times in 100, at ε = 0.1", shares.max() > 0.95)

# %% [markdown]
# With scores that are far apart, a small $\varepsilon$ is enough. The attack needs a closer race. Take two candidates with equal scores, and a person who is counted for the second.

# %%
runs = []
for race in ([10, 10], [10, 11]):
    rows = torch.tensor(race).expand(80_000, 2)
    runs.append(
        privacy.exponential_mechanism(
            rows, sensitivity=1, epsilon=1.0, generator=generator
        )
    )
audit = attack(runs[1], runs[0])
# ln Pr[second | with] / Pr[second | without]; and of the first, without over with
exact = math.log(2 / (1 + math.exp(-0.5)))
other = math.log((1 + math.exp(0.5)) / 2)

# %% tags=["nbval-ignore-output"]
print(f"exponential, ε = 1: proven ε ≥ {audit.lower_bound:.2f}")

# %%
claim("Proven: over 0.18", audit.lower_bound > 0.18)
claim(
    "and never over what this race can give, 0.28",
    audit.lower_bound <= max(exact, other) < 0.29,
)

# %% [markdown]
# Why so much less than 1? The mechanism must be ready for the worst: a person who raises one score *and* lowers all others, with very many candidates. Votes that only add are half of that, and one close race of two is half again. If your scores only rise with more people, half the noise is enough. An audit of one case shows what that case leaks, and not what the worst one does.
#
# ## Questions use the budget up
#
# Noise averages out, and a patient attacker asks the same question a hundred times. Does the budget notice? It does. If $\mathcal M_1, \dots, \mathcal M_k$ each have $\varepsilon_i$, then all answers together have $\sum_i \varepsilon_i$: the ratios of independent answers multiply. This is **basic composition**, and it holds even if each question depends on the answers before it.
#
# It is the worst case, in which every answer speaks against you. Most answers speak sometimes for one side, sometimes for the other, like a walk with random steps, and such a walk comes only about $\sqrt k$ far. **Advanced composition** makes that precise, at the price of a small $\delta'$ {cite}`dwork2010boosting,kairouz2015composition`:
#
# $$\varepsilon' = k\, \varepsilon \tanh \frac{\varepsilon}{2} + \varepsilon \sqrt{2 k \ln \frac{1}{\delta'}} .$$ (eq-dp-advanced)
#
# The first term is how far the walk drifts, the second how far it strays. For small $\varepsilon$ and many questions this is much less than $k \varepsilon$; for few questions it is more, and one takes the smaller of the two.

# %%
spent = privacy.basic_composition([0.1] * 100)
better = privacy.advanced_composition(epsilon=0.1, delta=0, count=100, slack=1e-5)
claim("100 questions of 0.1 each: 10 by adding", abs(spent.epsilon - 10) < 1e-9)
claim("and under 5.5 with δ = 1e-5", better.epsilon < 5.5 and better.delta == 1e-5)

# %% [markdown]
# The attack: ask $k$ times at $\varepsilon = 0.1$, add up what each answer speaks for, and audit the sum. (NumPy draws the noise here, faster than the library: nobody's data are in it.)

# %%
asked, runs = (1, 10, 100, 1000), 20_000


def evidence(value, k):
    """The sum of the log ratios of k answers, each between −0.1 and 0.1."""
    total = np.zeros(runs)
    for _ in range(k):
        answer = value + random.laplace(scale=1 / 0.1, size=runs)
        total += 0.1 * (np.abs(answer) - np.abs(answer - 1))
    return total.round(9)  # or the attack would find what the next section is about


proven = [attack(evidence(1, k), evidence(0, k), 1e-5).lower_bound for k in asked]

# %% tags=["nbval-ignore-output"]
for k, bound in zip(asked, proven, strict=True):
    print(f"{k:>5} questions of ε = 0.1: proven ε ≥ {bound:.2f}")

# %%
for k, bound in zip(asked, proven, strict=True):
    both = privacy.advanced_composition(epsilon=0.1, delta=0, count=k, slack=1e-5)
    claim(f"{k} questions: proven is not above the account", bound <= both.epsilon)
claim("100 questions prove over 0.7", proven[2] > 0.7)
claim("1,000 questions prove over 3", proven[3] > 3)

# %% tags=["hide-input", "fig-dp-composition"] mystnb={"image": {"alt": "Total epsilon against the number of questions, both axes logarithmic, from 1 to 1,000 questions of epsilon 0.1. Basic composition is a straight line from 0.1 to 100. Advanced composition starts together with it, leaves it after about 25 questions, and ends near 20. Dots, what attacks prove, lie below both lines and rise to about 5 at 1,000 questions."}}
figure, axis = plt.subplots(figsize=(7, 3.2))
counts = np.unique(np.geomspace(1, 1000, 120).astype(int))
axis.plot(
    counts, 0.1 * counts, color=COLOURS["orange"], label="basic: $k \\varepsilon$"
)
curve = [
    privacy.advanced_composition(epsilon=0.1, delta=0, count=int(k), slack=1e-5).epsilon
    for k in counts
]
axis.plot(counts, curve, color=COLOURS["blue"], label="advanced, $\\delta' = 10^{-5}$")
seen = np.array(proven)
axis.plot(
    np.array(asked)[seen > 0],
    seen[seen > 0],
    "o",
    color=COLOURS["black"],
    label="proven by attack",
)
axis.set(
    xscale="log",
    yscale="log",
    xlabel="questions of ε = 0.1",
    ylabel="ε of all together",
)
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# *What a hundred questions cost.* Two upper bounds, and below them what an attack on as many answers proves (a dot is missing where that is 0). Between the lines and the dots lies what a better account could save. For Gaussian noise such an account exists; it is the subject of [lecture 6.2](dp_sgd.ipynb), where a training run asks ten thousand questions. `privacy.rdp_epsilon` keeps it.
#
# ## The last bits of a number
#
# Now a surprise. `naive_laplace` implements the formula that was proven, and it is **not private**. Computers have no real numbers. Their $u$ is one of $2^{53}$ fractions, so $-b \ln u$ takes some values of floating point and never others: the output is *porous*. Add $f(D)$, and the pores move. Ilya Mironov saw what follows {cite}`mironov2012significance`: an output may be possible with
# $D$ and impossible with $D'$. Then the ratio is not $e^{\varepsilon}$ but infinite.
#
# The attacker asks for the number of bankrupts with one given income and price. The true answer is 0 or 1. Given an output, compute which $u$ would have made it, try its neighbours, and see whether the sum comes out exactly.

# %%
ThreatModel(
    goal="tell the answers 0 and 1 apart from one published number",
    knowledge="grey box",
    capability="sees all 53 bits of the output, knows the program and its ε",
    queries=1,
    out_of_scope="the state of the random generator",
)


# %%
def possible(outputs, value, scale=1.0):
    """Whether any fraction k / 2⁵³ makes naive_laplace give exactly this output."""
    nearest = np.rint(np.exp(-np.abs(outputs - value) / scale) * 2.0**53)
    found = np.zeros(len(outputs), dtype=bool)
    for step in range(-4, 5):
        u = np.clip(nearest + step, 1, 2.0**53) / 2.0**53
        noise = scale * np.log(u)
        found |= (value + noise == outputs) | (value - noise == outputs)
    return found


def pores(outputs):
    """1: cannot come from 0. −1: cannot come from 1."""
    return possible(outputs, 1).astype(float) - possible(outputs, 0)


naive = [naive_laplace(value, 1.0, 20_000) for value in (0, 1)]
given_away = [np.mean(pores(outputs) != 0) for outputs in naive]
porous = attack(pores(naive[1]), pores(naive[0]))

# %% tags=["nbval-ignore-output"]
print(f"outputs that give the answer away: {100 * np.mean(given_away):.0f} %")
print(f"naive Laplace, claimed ε = 1: proven ε ≥ {porous.lower_bound:.2f}")

# %%
claim("Each output is possible with its own answer", possible(naive[0], 0).all())
claim("Over 40 % of outputs give it away for certain", min(given_away) > 0.4)
claim("Claimed ε = 1, proven over 5: refuted", porous.lower_bound > 5)

# %% tags=["hide-input", "fig-dp-porous"] mystnb={"image": {"alt": "A strip of 60 neighbouring floating-point numbers just above 4.2, as columns, in two rows. In the upper row dark marks show which of them naive Laplace noise around 0 can reach: about one in eight. In the lower row, for noise around 1, about one in three. Some marks of the upper row have none below, and most of the lower row have none above."}}
figure, axis = plt.subplots(figsize=(7, 1.9))
strip = np.array([4.2])
for _ in range(59):
    strip = np.append(strip, np.nextafter(strip[-1], 9))
for row, (value, hue) in enumerate(((1, "orange"), (0, "blue"))):
    reached = np.flatnonzero(possible(strip, value))
    axis.bar(reached, 0.7, bottom=row + 0.15, width=0.8, color=COLOURS[hue])
axis.set_yticks([0.5, 1.5], ["answer 1", "answer 0"])
axis.set(
    xlabel="floating-point numbers from 4.2 on, one by one", xlim=(-1, 60), ylim=(0, 2)
)
axis.grid(visible=False)
plt.show()

# %% [markdown]
# *Porous noise.* Sixty neighbours among the numbers that a computer has. A bar says that the published number can be this one. Where only one row has a bar, the answer is known.
#
# The cure is not more bits. `privacy.laplace_mechanism` rounds the true answer to a grid whose step is a power of two and has nothing to do with the data, and adds a whole number of steps, drawn from whole random numbers by an exact method {cite}`canonne2020discrete`. All outputs lie on one grid, for both answers, each with exactly the probability that the proof speaks of. Rounding can move
# two answers apart by one step more, and the noise is raised for that, by less than a trillionth. The Gaussian and the exponential mechanism are built in the same way. The same attack, and the attack on the value:

# %%
exact = [laplace(value, 1.0, 20_000) for value in (0, 1)]
step = 2.0**-45
on_grid = all((outputs / step == np.rint(outputs / step)).all() for outputs in exact)
claim("All outputs, from 0 and from 1, are on one grid", on_grid)
audit = attack(exact[1], exact[0])
bits = attack(exact[1] / step % 8, exact[0] / step % 8)

# %% tags=["nbval-ignore-output"]
print(f"exact Laplace, ε = 1: proven ε ≥ {audit.lower_bound:.2f} from its value")
print(f"and {bits.lower_bound:.2f} from its last three bits")

# %%
claim("From the value, less than 1", 0.7 < audit.lower_bound <= 1)
claim("From the last three bits, nothing", bits.lower_bound < 0.05)

# %% [markdown]
# One more thing that the proof takes for granted: the noise is a secret. We passed a `generator` with a seed so that this page comes out the same twice. Whoever knows the seed subtracts the noise. Without a generator, the library takes the operating system's entropy.
#
# ## What goes wrong
#
# **Nobody knows the sensitivity.** A sum of incomes has none until incomes are cut to a range, and the range must not be read off the data. Exercise 1 does it.
#
# **The budget is per question, and nobody adds it up.** A firm that spends $\varepsilon = 1$ a day has spent 365 in a year.
#
# **δ is not small enough.** With $\delta = 1/N$ somebody may be published in full.
#
# **One record is not one person.** If a person has ten rows, privacy for a row is ten times as weak for the person.
#
# **The attack was chosen after looking.** An auditor who tries many attacks and reports the best of them finds leaks that are not there. `privacy.audit_epsilon` tries several numbers of guesses, and divides its error among them (Bonferroni); the two-model audit measures on other runs than it chose its threshold on. Whoever tries twenty attacks has to do the same. Here the mechanism ignores the data, so that $\varepsilon = 0$, and twenty attacks guess at random.

# %%
false, tries, attacks = {0.95: 0, 1 - 0.05 / 20: 0}, 100, 20
for _ in range(tries):
    coins = random.random(200) < 0.5
    nothing = random.random((attacks, 200))
    for confidence in false:
        best = max(
            privacy.audit_epsilon(
                scores, coins, delta=0, confidence=confidence, guesses=200
            ).lower_bound
            for scores in nothing
        )
        false[confidence] += best > 0

# %% tags=["nbval-ignore-output"]
for confidence, number in false.items():
    print(f"each at {100 * confidence:.2f} %: {number} of 100 auditors see a leak")

# %%
unpaid, paid = false.values()
claim("The best of twenty, each at 95 %: over 35 of 100 are wrong", unpaid > 35)
claim("With the error divided by twenty: fewer than 15", paid < 15)

# %% [markdown]
# ## Private from whom?
#
# Everything here protects from *people*: somebody reads a statistic or a model, and should not find you in it. There is a second wish that goes by the same name: to be private from *machines*, so that a photograph on the web, which friends may well look at, is of no use to a program that trains on it or searches for faces. The tools are others. Differential privacy is a promise of whoever
# holds the data; against a collector who promises nothing, one changes the data before they are collected. [Lecture 6.6](memory_and_forgetting.ipynb) comes to that, and shows how far it carries.
#
# ## Practice
#
# **Exercise 1** (20 minutes). *A private mean.* Publish the mean income of the applicants (`atotinc`, dollars a month) with $\varepsilon = 1$. How many people there are is public. First choose the range to which incomes are cut, without looking at the data. What does too narrow a range do, what too wide a one? Then attack it.
#
# <details><summary>Hint 1: the sensitivity</summary>
#
# If incomes are cut to $[0, c]$, one person changes the sum by $c$ at most. The mean is the sum over a public number.
#
# </details>
#
# <details><summary>Hint 2: the attack</summary>
#
# Take the person with the largest income out of the data. Of whom does the noise have to hide more?
#
# </details>

# %% tags=["hide-cell"]
# Solution: a narrow range has a bias that no noise shows, a wide one has noise. The
# best is in between, and one cannot read it off without spending budget on it.
income = people["atotinc"].to_numpy().astype(float)


def private_mean(values, cut, draws=1):
    total = torch.full((draws,), np.minimum(values, cut).sum(), dtype=torch.float64)
    noisy = privacy.laplace_mechanism(
        total, sensitivity=cut, epsilon=1.0, generator=generator
    )
    return noisy.numpy() / N


error = {}
for cut in (2_000, 20_000, 2_000_000):
    error[cut] = np.abs(private_mean(income, cut, 2000) - income.mean()).mean()
claim("2,000: over 3,000 dollars of bias", error[2_000] > 3_000)
claim("20,000: off by less than 300", error[20_000] < 300)
claim("2,000,000: off by over 500, by noise", error[2_000_000] > 500)

richest = income.argmax()
with_them = private_mean(income, 20_000, 20_000)
without = private_mean(np.delete(income, richest), 20_000, 20_000)
audit = attack(with_them, without)
claim("ε = 1: proven between 0.7 and 1", 0.7 < audit.lower_bound <= 1)

# %% [markdown]
# **Exercise 2** (15 minutes). *Warner's own design.* In 1965 there was a spinner instead of coins: with probability $\pi$ it points to "I have been bankrupt", else to "I have never been", and people say whether the statement is true of them. Derive the estimator and $\varepsilon$. For which $\pi$ is it two coins in disguise?
#
# <details><summary>Hint 1: what is reported</summary>
#
# Who has been bankrupt says yes with probability $\pi$; who has not, with probability $1 - \pi$.
#
# </details>
#
# <details><summary>Hint 2: the disguise</summary>
#
# Compare with ¾ and ¼. In general, which $\tau$ has $(1 + \tau)/2 = \pi$?
#
# </details>

# %% tags=["hide-cell"]
# Solution: N_yes / N = π P + (1 − π)(1 − P). Hence the estimate below, and
# ε = ln(π / (1 − π)). With τ = 2π − 1 it is randomised response; π = 3/4 is two coins.
spinner = 0.6
first = random.random(N) < spinner
said = np.where(first, answers, ~answers)
estimate = (said.mean() - (1 - spinner)) / (2 * spinner - 1)
truth_probability = 2 * spinner - 1
same = privacy.estimate_proportion(said, truth_probability=truth_probability)
claim("Warner's estimator is the library's", abs(estimate - same) < 1e-12)
eps = privacy.response_epsilon(truth_probability=truth_probability)
claim("and so is ε = ln(0.6 / 0.4)", abs(eps - math.log(1.5)) < 1e-12)
coins = random.random(20_000) < 0.5
spun = np.where(random.random(20_000) < spinner, coins, ~coins)
audit = privacy.audit_epsilon(spun, coins, delta=0, confidence=0.999, guesses=20_000)
claim("Attacked: between 0.25 and 0.41", 0.25 < audit.lower_bound <= eps < 0.41)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? With two coins, a person reports yes. What does ε = ln 3 say?
# - The person has been bankrupt with probability 3/4 :: That would be so only if half of all people had one.
# + The odds of it are at most three times what they were :: Bayes' rule multiplies the odds by the ratio of the two probabilities.
# - One answer in three is a lie :: One in four is not the truth; and ε is about odds.
# ? An office answers only about groups of 1,000 people or more. What does that prevent?
# - Differencing :: Two groups of more than 1,000 differ in one person.
# + Direct questions about one person :: And nothing more: the difference of two answers is such a question.
# - Nothing needs preventing: a count of 1,000 hides each person :: One count does. Two that overlap do not.
# ? An audit of a mechanism with ε = 8 proves 0. What follows?
# - The mechanism is perfectly private :: An audit proves leaks, and never their absence.
# - ε is 0 in practice :: This attack found nothing. Another might.
# + This attack saw no leak; look at its ceiling :: With few guesses or a weak attack, 0 was all that it could prove.
# ? An audit of a mechanism with a claimed ε = 1 proves 6.8. What follows?
# + The claim is wrong: the proof's assumptions or the program are at fault :: At the stated confidence. So it was with naive noise.
# - The audit is wrong: a lower bound cannot exceed the truth :: It cannot exceed the truth; but the claim was not the truth.
# - δ was too small :: With pure ε there is none, and no small δ would explain so much.
# ? Why does Gaussian noise need a δ?
# - Its tails are too heavy :: They are lighter than Laplace's.
# + The ratio of its densities has no bound :: It grows with the answer; δ covers the rare answers where it is too large.
# - A computer cannot draw it exactly :: On a grid it can; and δ would be needed all the same.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** The definition needs no model of the attacker, and survives whatever they learn later. It composes, so that a budget can be kept. It is the only notion in this chapter that one can prove, and every claim of it can be attacked.
#
# **Limitations.** It protects single records, not what groups have in common. Numbers that a few people decide cannot be published well, whatever the mechanism: rare diseases, small villages, the richest one per cent. A large $\varepsilon$ promises little, and the definition does not say which is small enough. Local privacy needs very many people.
# And it is silent about whether the data should have been collected.
#
# **Software to use in earnest.** [OpenDP](https://opendp.org) and [Google's libraries](https://github.com/google/differential-privacy) for statistics, with exact noise and proofs; [Opacus](https://opacus.ai) for training; [dp-accounting](https://github.com/google/differential-privacy/tree/main/python/dp_accounting) for budgets. Whatever you use, look for how it draws noise. In this library: `privacy.randomized_response`, `privacy.response_epsilon`, `privacy.estimate_proportion`, `privacy.proportion_interval` (which gives a `privacy.ProportionInterval`),
# `privacy.laplace_mechanism`, `privacy.gaussian_mechanism`, `privacy.gaussian_noise_multiplier`, `privacy.exponential_mechanism`, `privacy.basic_composition` and `privacy.advanced_composition`, which give a `privacy.PrivacyBudget`, and `privacy.audit_epsilon` and `privacy.audit_epsilon_by_two_models`, which give a `privacy.EpsilonAudit`.
#
# ## What to take away
#
# Privacy is a property of how an answer is made. Two coins make it deniable, $\varepsilon$ says how deniable, and noise in proportion to what one person can change buys it for any question. Budgets add up; programs break proofs in bits that nobody looks at; so attack each $\varepsilon$ that you print, and print what the attack proved. A bound above the claim refutes it. A bound of 0 refutes nothing.
# Try it yourself in [homework H6](../../exercises/h6_privacy/h6_privacy.ipynb). Next: [a network that is trained under a budget](dp_sgd.ipynb).
