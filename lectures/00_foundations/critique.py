# %% [markdown]
# # 0.8 A critique, of the field and of this book
#
# The questions of this book come from a field that has troubles of its own: results that vanish when somebody else repeats them, theories made up after the fact, experiments that few can pay for, and uses that nobody should want. This lecture says what is known of them. Then it turns to this book, which has the same troubles: what its own experiments can't show, and where its claims would fail at scale.
# Read it first, to know what to doubt, or last, to see what is left.
#
# **What you will learn**
#
# - how to make a gain out of nothing, by seeds, by baselines and by many tries, and how large it will be;
# - what is said against the field: rigour, hype, cost, bias, use;
# - five results of this book, each with the setting on which it hangs;
# - a short list by which to judge a number, as code.
#
# **Before you start**: [0.2](learning.ipynb); the chapters that are named, as you come to them. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %%
from statistics import mean

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from tml_helpers.claims import claim, seed
from tml_helpers.measured import result
from tml_helpers.plotting import COLOURS, use_style

use_style()
rng = np.random.default_rng(seed())

# %% [markdown]
# ## The question: which of these gains is one?
#
# A student network was trained ten times on 300 digits ([card](../../book/data_cards/mnist.md)), with nothing but its labels, under ten seeds; the accuracies are in a result file of this book. Suppose a paper calls the best of the ten runs "our method", and their mean "the baseline".

# %%
knowledge = result("distillation_knowledge")
alone = np.array(knowledge["default"]["labels"]["300"]["alone"]["accuracy"])
made_up = alone.max() - alone.mean()
claim("A gain of over one point, from nothing but ten seeds", made_up > 1)


def expected_best(n):
    """E max of n standard normal draws, by integrating their distribution."""
    z = np.linspace(-8, 8, 20001)
    return np.sum(z * n * stats.norm.pdf(z) * stats.norm.cdf(z) ** (n - 1)) * (
        z[1] - z[0]
    )


draws = rng.normal(size=(20_000, 10)).max(1).mean()
claim(
    "The best of ten: 1.54 standard deviations", abs(expected_best(10) - 1.5388) < 1e-3
)
claim("also by drawing", abs(draws - expected_best(10)) < 0.05)

# %% [markdown]
# The expected largest of $n$ normal draws grows slowly and never stops: 0.56 deviations for two, 1.54 for ten, 2.51 for a hundred. So whoever tries a hundred settings and reports the best one without a fresh test has a gain of two and a half deviations for free. It need not be meant as a lie; it happens to everybody who stops searching when the number looks right.
#
# Three ways to a gain from nothing, on data where all methods are equal:


# %%
def race(methods, runs, rng):
    """The apparent lead of the best of equal methods over the first, in deviations."""
    scores = rng.normal(size=(methods, runs)).mean(1)
    return scores.max() - scores[0]


leads = {
    "one rival, 1 run each": np.mean([race(2, 1, rng) for _ in range(4000)]),
    "ten rivals, 1 run each": np.mean([race(11, 1, rng) for _ in range(4000)]),
    "ten rivals, 5 runs each": np.mean([race(11, 5, rng) for _ in range(4000)]),
}
claim("Ten rivals lead by over 1.4 deviations", leads["ten rivals, 1 run each"] > 1.4)
claim("Five runs each halve it", leads["ten rivals, 5 runs each"] < 0.8)

# %% tags=["hide-input", "fig-crit-best"] mystnb={"image": {"alt": "Left: the expected best of n normal draws rises from 0 at n = 1 to 1.5 at 10 and 2.5 at 100. Right: ten dots, accuracies of ten runs between 86.7 and 90.8 percent, a line at their mean, and a mark at the best."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
sizes = [1, 2, 3, 5, 10, 20, 50, 100]
axes[0].semilogx(sizes, [expected_best(n) for n in sizes], "o-", color=COLOURS["blue"])
axes[0].set(xlabel="tries", ylabel="best, in deviations")
axes[1].plot(alone, np.zeros(10), "o", color=COLOURS["blue"])
axes[1].axvline(alone.mean(), color="grey", linewidth=1)
axes[1].plot(
    alone.max(), 0, "o", markersize=12, fillstyle="none", color=COLOURS["orange"]
)
axes[1].set(xlabel="accuracy of ten equal trainings (%)", yticks=[])
plt.show()

# %% [markdown]
# *Left: what the best of several equal tries is worth. Right: ten trainings that differ by their seed, their mean, and the "winner".*
#
# ## What is said against the field
#
# **Rigour.** Lipton and Steinhardt name four habits of papers {cite}`lipton2019troubling`: explanations passed off as facts, gains whose source is not identified, mathematics that impresses and does not serve, words that suggest more than was done. Others found that what was called progress was often a better-tuned baseline: of generative networks {cite}`lucic2018gans`, of metric learning {cite}`musgrave2020metric`, and of defences against adversarial examples, nearly all
# of which fell to attacks that were made for them ([2.6](../20_adversarial/honest_evaluation.ipynb)). One proposal is to spend more experiments on *why*, and fewer on being first.
#
# **Theories after the fact.** Batch normalisation was introduced with a reason, and helps; the reason was later measured, and was not it {cite}`santurkar2018how`. A method may be right and its story wrong. This book, too, tells stories: look for the sentence that says "measured".
#
# **Hype, and winters.** The field has had summers in which everything seemed near, and winters in which nobody paid. Both made bad science: the first by promises, the second by silence.
#
# **Cost.** Who can train the largest models decides what is asked of them. Data are labelled by people who are paid little; computing costs energy ([8.1](../80_impact/energy.ipynb)); universities measure what companies release. Ways out have limits of their own: models that others trained ([0.7](representations.ipynb)), small models ([1.5](../10_distillation/the_bill.ipynb)), shared data.
#
# **Bias.** Models learn what the data say, also what nobody would say aloud: of professions and gender ([5.1](../50_fairness/where_bias_comes_from.ipynb)), of skin and faces {cite}`buolamwini2018gender`, of sentences before a court ([5.2](../50_fairness/three_cases.ipynb)).
#
# **Use.** Some things can be built and should not be. Pictures of people who never posed for them, voices that were never heard, scores for what nobody may score. [8.4](../80_impact/law.ipynb) has what the law forbids; what one should refuse to build is a question before the law.
#
# ## Five results of this book, and what they hang on
#
# Each number below is read from the file of the experiment.


# %%
def row(chapter, says, number, but):
    """A line of the table: what was found, and what it hangs on."""
    print(f"{chapter}  {says}: {number}\n     but: {but}")


few = knowledge["default"]["labels"]["300"]["response"]["gain"]
many = knowledge["full"]["labels"]["60000"]["response"]["gain"]
noisy = result("poisoning_noisy_labels")["runs"]
uniform = [run for name, run in noisy.items() if name.startswith("mnist/dense/uniform")]
over_last = mean(run["true T"]["last"] - run["plain"]["last"] for run in uniform)
over_best = mean(run["true T"]["stopped"] - run["plain"]["stopped"] for run in uniform)
audit = result("privacy_audit")
white, black = audit["white box, 8, 0"]["last model"], audit["black box, 8, 0"]["loss"]

# %%
trained = {
    (one["method"], one["epsilon"]): one
    for one in result("adversarial_training")["rows"]
}
lead = {
    e: trained["friendly", e]["pgd_20"] - trained["madry", e]["pgd_20"]
    for e in (0.1, 0.2, 0.3)
}
matching = result("poisoning_gradient_matching")["runs"]
builds = ("curve/dense/0.4/", "curve/convolutions/0.4/")
cases = [{n.removeprefix(b) for n in matching if n.startswith(b)} for b in builds]
both = set.intersection(*cases)  # the targets that were tried on both networks
hits = {b: mean(matching[b + case]["poison"] for case in both) / 5 for b in builds}

# %% tags=["nbval-ignore-output"]
row(
    "1.2",
    "distillation gains",
    f"{few:.1f} points",
    f"with 300 labels; {many:.1f} with 60,000",
)
row(
    "2.5",
    "friendly training leads",
    f"{lead[0.3]:.1f} points",
    f"at ε = 0.3; {lead[0.1]:.1f} at 0.1, {lead[0.2]:.1f} at 0.2; one seed",
)
row("3.1", "a corrected loss gains", f"{100 * over_last:.0f} points",
    f"over training to the end; {100 * over_best:.0f} over stopping early")  # fmt: skip
dense, conv = (f"{100 * share:.0f} %" for share in hits.values())

# %% tags=["nbval-ignore-output"]
row(
    "3.3",
    "poison changes the answer in",
    dense,
    f"of dense networks, at a visible ε; {conv} of convolutions",
)
row(
    "6.2",
    "an audit of ε = 8 finds",
    f"{white:.1f}",
    f"in a white box; {black:.1f} from answers alone",
)

# %%
claim("The gain of distillation is gone with all labels", few > 3 > 1 > abs(many))
claim(
    "The corrected loss gains over ten points, or under six",
    over_last > 0.1 and over_best < 0.06,
)
behind = max(lead[0.1], lead[0.2])
claim("Friendly training leads at ε = 0.3 only", behind < 0 < lead[0.3])
dense_hits, other_hits = hits.values()
claim("Poison for dense networks: better than for others", dense_hits > other_hits)
claim("An audit from outside finds less", black < white < 8)

# %% [markdown]
# So each of these sentences is true and would mislead without its second half. What else the book can't show:
#
# | what | this book's setting | what may break | what to run |
# |---|---|---|---|
# | attacks and defences | 28×28 digits, small networks | $\varepsilon$ on photographs is another matter; large networks learn other features | the same scripts on ImageNet, by somebody with the machines |
# | backdoors, poisoning | 40 of 4,000 images | a smaller share of far more data, trained once | the curves over budget and size, with larger machines |
# | explanations | one ImageNet network, few photographs | another network, another method wins | many pictures, planted truths |
# | fairness | tables of 1973 to 2014, from the United States and Germany | other groups, other harms, other laws | ask those whom it is about |
# | privacy | shadow models of digits | text that was seen once by a model of everything | audits by the owners |
# | watermarks | attacks that we thought of | attacks that we did not | time |
# | all of it | one processor, five seeds | a claim with a thin margin | `make claims` on your machine |
#
# And thresholds: claims here are inequalities that held under five seeds and three roundings. They were *worded after looking*. That is honest about what holds and dishonest as a prediction, unless you run them on fresh data: the book can be run on the full MNIST, and where a claim does not hold there, its page says so, as [3.1](../30_poisoning/labels.ipynb) of the attack on a support vector machine.
#
# ## When to believe a number: a list, as code
#
# Four questions cover most of it: Is the comparison paired? Does the interval exclude zero? How many comparisons were made? Was the winner judged on something that did not choose it?


# %%
def verdict(ours, theirs, comparisons=1, fresh=True):
    """What a paired comparison over seeds allows to say, with Bonferroni's caution."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    gains = ours - theirs if ours.shape == theirs.shape else np.array(np.nan)
    if gains.ndim != 1 or not np.isfinite(gains).all() or comparisons < 1:
        raise ValueError("expected two lists of as many finite numbers, and a count")
    if len(gains) < 3:
        return "too few runs"
    spread = gains.std(ddof=1) / len(gains) ** 0.5
    reach = stats.t.ppf(1 - 0.025 / comparisons, len(gains) - 1) * spread
    if abs(gains.mean()) <= reach:
        return "undecided"
    if not fresh:
        return "chosen on the same data: repeat"
    return "better" if gains.mean() > 0 else "worse"


taught = knowledge["default"]["labels"]["300"]["response"]["accuracy"]
all_labels = knowledge["full"]["labels"]["60000"]
print("300 labels:", verdict(taught, alone, comparisons=20))
print(
    "60,000:",
    verdict(all_labels["response"]["accuracy"], all_labels["alone"]["accuracy"]),
)

# %%
claim(
    "300 labels: better, with twenty comparisons",
    verdict(taught, alone, 20) == "better",
)
wins = [verdict(*rng.normal(size=(2, 5)), comparisons=20) for _ in range(1000)]
claim("Equal methods: called different in under 2 %", wins.count("undecided") > 980)
eager = [verdict(*rng.normal(size=(2, 5))) for _ in range(1000)]
claim("Without the caution: in about 5 %", 920 < eager.count("undecided") < 980)

# %% [markdown]
# ## The card of a critique
#
# | | |
# |---|---|
# | **goal** of an author | a good result, soon |
# | **knowledge** | everything about the test set, after a year with it |
# | **capability** | seeds, baselines, data sets, thresholds, words |
# | **what defends** | a test set that is opened once; pairs; a rule written down before; somebody who repeats it |
#
# ## What goes wrong with critique
#
# It is cheap. To say "only digits" of everything costs nothing and helps nobody. A critique is worth something where it names the experiment that would decide.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *How many seeds?* Two recipes differ by half a standard deviation of a single run. How many paired seeds does it take to see that in four of five experiments, at 5 %, if the two runs of a pair are independent?
#
# <details><summary>Hint: simulate</summary>
#
# Draw differences with mean 0.5 and deviation $\sqrt 2$, and count how often a $t$-test rejects.
#
# </details>

# %% tags=["hide-cell"]
# Solution: about 65 pairs. Five see as often only a lead of 2.4 deviations.


def power(pairs, lead=0.5, tries=2000):
    gains = rng.normal(lead, 2**0.5, size=(tries, pairs))
    return np.mean(stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05)


claim("Five pairs hardly ever see it", power(5) < 0.2)
claim("65 pairs: in about four of five", 0.75 < power(65) < 0.87)
claim("Five pairs, a lead of 2.4: as often", 0.75 < power(5, lead=2.4) < 0.87)

# %% [markdown]
# **Exercise 2** (20 minutes). *Doubt this book.* Take a claim of any lecture. Write down the setting on which it hangs, and the cheapest experiment that could prove it wrong. Then run it. (An issue with the result is welcome, whichever way it falls.)
#
# <details><summary>Hint: where to look</summary>
#
# Claims whose data are small, whose threshold is round, whose explanation was not measured.
#
# </details>

# %% tags=["hide-cell"]
# Solution, for instance: 2.1 says that networks fail because they are linear. Cheapest
# test: train one with a bend that is linear nowhere, as accurate, and compare.
claim(
    "An experiment that cannot fail shows nothing", verdict([1], [0]) == "too few runs"
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A paper compares its method, tuned over 100 settings, with a baseline at its authors' settings. What is the gain worth?
# - The difference :: Tuning alone gives about two and a half deviations.
# + Nothing, until both are tuned alike and judged on fresh data :: Then what remains is the method's.
# - Half of it :: There is no such rule.
# ? A claim of this book held under five seeds and three roundings. What follows for your data?
# + That it is worth trying there :: The threshold was worded after looking at these data.
# - That it holds :: Five seeds of one data set are one data set.
# - Nothing at all :: It is more than one run.
# ? A method works, and its explanation turns out wrong. What remains?
# - Nothing :: The method works.
# + The method, and a question :: Batch normalisation is one.
# - The explanation, for other methods :: It was not measured there either.
# ? Which critique helps most?
# - "It is only MNIST." :: True of much, and it decides nothing.
# + "On CIFAR-10 at 8/255 I expect the order to turn; here is the script." :: It can be wrong.
# - "The authors had an interest." :: They always have.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** The faults named here can be measured, and most of them cost nothing to avoid.
#
# **Limitations.** A list of habits does not say which paper has them. And the most important question, whether a thing should be built, is not in any table above.
#
# **Software and further reading.** `scipy.stats` has the tests; a rule written down before the experiment needs only a date. Lipton and Steinhardt {cite}`lipton2019troubling` are worth an hour. In this book: `make claims`, and the result files in `benchmarks/results`.
#
# ## What to take away
#
# Ten seeds make a gain. Half a sentence makes a result misleading. Say on what yours hangs, and name the experiment that could prove you wrong. Next: [chapter 1](../10_distillation/response_based.ipynb).
