# %% [markdown]
# # 5.5 Individuals and audits
#
# So far we compared groups. Nobody is a group. Two people with nearly the same file may ask why only one of them got the loan, and a hospital that gave much to a
# common model may ask what it got back. This lecture puts both questions into numbers, crosses groups, and then does what the whole chapter was for: an audit, which a committee can read,
# and which says what it does not know.
#
# **What you will learn**
#
# - fairness through awareness: to treat similar people similarly, to count where a model does not, what it costs to demand it, and who says what "similar" is;
# - proportional fairness, "you get what you deserve", and what the word leaves out;
# - how a decision can be fair on each attribute and unfair where they cross, and why whoever searches many groups finds something by chance;
# - to read an audit aloud: what was found, what the sample cannot tell, who is too few;
# - what each metric is worth when labels exist only for those who were accepted, or when the labels are biased themselves.
#
# **Before you start**: the [definitions](definitions.ipynb) and their intervals. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 55 minutes to read; {{ cpu_seconds }} to run.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tml_helpers import fairness
from tml_helpers.claims import claim, seed
from tml_helpers.data import loan_applications
from tml_helpers.plotting import COLOURS, use_style

use_style()
draws = np.random.default_rng(seed())


def sigmoid(score):
    return 1 / (1 + np.exp(-score))


# %% [markdown]
# ## The question: may these two be told apart?
#
# We take the program of lecture 5.3 again: a logistic regression that approves mortgages as banks in Boston did in 1990, from eleven columns on debts, payments and the like. Read
# the [card of these data](../../book/data_cards/loan_applications.md) first; the label is what **a bank decided**, and race is recorded in three words that are the file's: Black, Hispanic, White. Each half of the
# people is scored by a model that learnt from the other half. $R$ is the score, the model's probability of a yes. The program says yes to the best, to as many as the banks did.

# %%
table = loan_applications()
y = table["approve"].to_numpy()  # Y: what the bank decided
eleven = ["obrat", "hrat", "loanprc", "chist", "pubrec", "cons"]  # debts, payments
eleven += ["unver", "unem", "self", "dep", "sch"]  # proofs, work, family, school
half = draws.permutation(len(table)) % 2
model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
score = np.empty(len(table))
for part in (0, 1):
    mine = half == part
    model.fit(table[eleven][~mine], y[~mine])
    score[mine] = model.predict_proba(table[eleven][mine])[:, 1]
yes = (score >= np.quantile(score, 1 - y.mean())).astype(int)

# %% [markdown]
# Two applicants get 0.95 and 0.75. Have they cause to complain? That depends on how alike they are, *for this purpose*. So suppose that a committee has met, and has written a **tariff**: by how much may the chance of a yes differ, for
# a given difference of two files?

# %%
tariff = pd.Series(
    {
        "obrat": 0.01,  # a point of income that goes into debts
        "hrat": 0.01,  # a point of income for housing
        "loanprc": 0.5,  # the loan, as a share of the price
        "chist": 0.2,  # accounts overdue by 60 days or more
        "pubrec": 0.3,  # a bankruptcy
        "cons": 0.05,  # a grade of the consumer credit history
        "unver": 0.3,  # what could not be verified
    }
)
columns = table[tariff.index]
priced = (columns.fillna(columns.mean()) * tariff).to_numpy()  # in units of chance
first = np.flatnonzero(half == 0)  # these people were scored by one model
distances = cdist(priced[first], priced[first], "cityblock")  # d

# %% [markdown]
# Two people who differ by ten points of debts and by a bankruptcy are $0.1 + 0.3 = 0.4$ apart: their chances may differ by 40 points. School, children, self-employment, and the
# unemployment of the trade are not in the tariff. The committee has decided that they shall not count. (The program uses them.)

# %%
scales = np.array([0.25, 0.5, 1, 2, 4])  # how generous the tariff is
shares = {
    name: [100 * fairness.lipschitz_violations(m, s * distances).share for s in scales]
    for name, m in (("score $R$", score[first]), ("decision", yes[first]))
}

# %% tags=["hide-input", "fig-pairs"] mystnb={"image": {"alt": "Left: pairs of applicants as a cloud, the difference of their scores against their distance by the tariff, with a line on which both are equal. Most pairs lie below the line, and some above it. Right: the share of pairs that violate the tariff, when the tariff is multiplied by a quarter to four. Both curves fall; that of the score falls from about four tenths to nearly none, that of the decision stays near a quarter until the tariff is as written, and then falls as well."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
some = draws.choice(len(first), (2, 60_000))
apart = np.abs(np.subtract(*score[first][some]))
left.hexbin(
    distances[tuple(some)], apart, gridsize=45, bins="log", cmap="Blues", mincnt=1
)
left.plot([0, 1], [0, 1], color=COLOURS["orange"])
left.text(0.3, 0.9, "too far apart", color=COLOURS["orange"])
left.set(xlim=(0, 1.6), ylim=(0, 1), xlabel="distance of the two files")
left.set_xticks([0, 0.5, 1, 1.5])
left.set(ylabel="difference of scores")
for (name, share), look in zip(shares.items(), ("o-", "s--"), strict=True):
    right.plot(scales, share, look, label=name)
right.set(xscale="log", xlabel="tariff, multiplied by", ylabel="pairs in violation (%)")
right.set_xticks(scales, ["¼", "½", "1", "2", "4"])
right.minorticks_off()
right.set_ylim(0)
right.legend()
plt.show()

# %% [markdown]
# *Whether a program is fair to individuals depends on a tariff that people write.* Left: each pair of applicants; those above the line are treated more differently than the tariff allows. Right: how many pairs that is, if
# the committee had been stricter or more generous. Which of the five tariffs is right? The data do not say.
#
# ## Fairness through awareness
#
# Dwork and colleagues wrote the old principle, treat like cases alike, as an inequality {cite}`dwork2012fairness`. A decision rule $\mu$ gives each person $x$ a chance $\mu_x(k)$ of each decision $k$. Then
#
# $$D(\mu_x, \mu_{x'}) \le d(x, x') \quad \text{for all people } x, x', \qquad D(\mu_x, \mu_{x'}) = \frac 12 \sum_k |\mu_x(k) - \mu_{x'}(k)| .$$ (eq-lipschitz)
#
# *Two people's chances differ by no more than the people do.* $D$, the total variation, is the difference of the two chances where there are only yes and no. Mathematicians call such a rule Lipschitz. "Awareness" is meant as the
# opposite of the unawareness of lecture 5.3: whoever sets $d$ looks at all that is known, the group included, since the same figure may mean different things for different people.

# %%
found = fairness.lipschitz_violations(score[first], distances)
i, j = np.triu_indices(len(first), 1)
excess = np.abs(score[first][i] - score[first][j]) - distances[i, j]
claim("By hand and by library: the same number", len(found) == np.sum(excess > 1e-9))
claim("The same worst pair", np.isclose(found.table["excess"][0], excess.max()))
graded, cut = (dict(zip(scales, share, strict=True)) for share in shares.values())
claim("At the tariff as written, the score violates less than 8 %", graded[1] < 8)
claim("The decision over 9 %", cut[1] > 9)
claim("At a quarter of it, the score violates over 25 %", graded[0.25] > 25)
claim("At four times, less than 1 %", graded[4] < 1)

# %% [markdown]
# **A threshold separates neighbours.** Two people with nearly the same file stand on either side of it, and their $D$ is 1. Unless everybody gets the same answer, there is such a pair wherever files lie close together. The remedy in
# {eq}`eq-lipschitz` is a rule that may draw lots: a chance of 60 % between the clear no and the clear yes.
#
# **A coarse rule may look better.** At a quarter of the tariff the decision violates *fewer* pairs than the score, because it treats most people exactly alike. To count violations is to ask one question only; a rule
# that refuses everybody violates none.
#
# ### The best rule within the tariff
#
# Say what each decision costs: $L(x, k)$. Then the best rule is found exactly, since all conditions are linear:
#
# $$\min_\mu \; \frac 1N \sum_x \sum_k \mu_x(k)\, L(x, k) \quad \text{such that} \quad D(\mu_x, \mu_{x'}) \le d(x, x') \;\text{ for all } x, x' .$$
#
# We take 80 people by lot. A no to somebody whom the bank would approve costs 1, a yes to somebody whom it would refuse costs 5. So with the score for a probability, a no costs $R$, and a yes $5\,(1 - R)$.


# %%
def by_hand(losses, distances):
    """The least mean loss with two decisions: a chance of yes for each person."""
    one, other = np.nonzero(np.triu(distances < 1, 1))
    apart = np.zeros((len(one), len(losses)))
    apart[range(len(one)), one], apart[range(len(one)), other] = 1, -1
    found = linprog(
        losses[:, 1] - losses[:, 0],  # by how much a yes costs more than a no
        A_ub=np.vstack([apart, -apart]),
        b_ub=np.tile(distances[one, other], 2),
        bounds=(0, 1),
    )
    return (losses[:, 0].sum() + found.fun) / len(losses)


# %%
few = draws.choice(len(first), 80, replace=False)
near, chance = distances[np.ix_(few, few)], score[first][few]
losses = np.column_stack([chance, 5 * (1 - chance)])  # of a no, of a yes
rules = {s: fairness.lipschitz_programme(losses, s * near) for s in (0, *scales)}
claim(
    "By hand and by fairness.lipschitz_programme: the same loss",
    abs(by_hand(losses, near) - rules[1].loss) < 1e-6,
)
kept = fairness.lipschitz_violations(rules[1].probabilities, near, tolerance=1e-6)
claim("The best rule has no violation", len(kept) == 0)

# %%
alone = losses.min(axis=1).mean()  # each person gets the cheaper decision
prices = {s: 100 * rule.price / alone for s, rule in rules.items()}  # in % of it
claim(
    "The stricter the tariff, the dearer",
    np.all(np.diff(list(prices.values())) <= 1e-6),
)
same = losses.mean(axis=0).min()
claim("At 0, the one best decision for all", abs(rules[0].loss - same) < 1e-6)
claim("As written it costs over 10 % more than no tariff", prices[1] > 10)
claim("At four times the tariff, under 10 %", prices[4] < 10)

# %% tags=["hide-input", "fig-price-of-awareness"] mystnb={"image": {"alt": "Left: the chance of a yes against the score for 80 people, under three tariffs. With four times the tariff it is nearly a step from no to yes near five sixths, with a few dots on the way. With the tariff as written many people have chances in between, and people with one score have different chances. With a quarter of it nearly all lie near the top. Right: the loss above that of no tariff is largest at a quarter of the tariff, and falls steadily towards nothing at four times."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2))
for s, mark, hue in ((4, "s", "green"), (1, "o", "blue"), (0.25, "^", "orange")):
    name = {4: "4 times", 1: "as written", 0.25: "a quarter"}[s]
    yes_chance = rules[s].probabilities[:, 1]
    left.plot(chance, yes_chance, mark, ms=4, color=COLOURS[hue], label=name, alpha=0.8)
left.set(xlabel="score $R$", ylabel="chance of a yes", title="the best rule")
right.plot(scales, [prices[s] for s in scales], "o-", color=COLOURS["black"])
right.set(xscale="log", xlabel="tariff, multiplied by", title="what it costs")
right.set(ylabel="loss above no tariff (%)")
right.set_xticks(scales, ["¼", "½", "1", "2", "4"])
right.minorticks_off()
right.set_ylim(0)
figure.legend(loc="outside upper center", ncols=3, title="tariff")
plt.show()

# %% [markdown]
# *Similar treatment has a price, and lots.* Left: under a generous tariff the rule is nearly a threshold; under a strict one people in the middle get a chance, and at last all get nearly the same. Right: what it costs. Note that people with one score can have different chances: their neighbours differ.
#
# **Who chooses $d$?** This is the whole question, and the authors say so. One may ask people who know the task how similar others are for it, and learn $d$ from the answers {cite}`ilvento2020metric`; then it is as fair as those who were asked. Lawyers
# know the difficulty by another name. Westen called equality an empty idea: "treat like cases alike" says nothing until somebody has said who is alike, and once this is said, nothing is left for it to do {cite}`westen1982empty`. That is its critics' best
# argument. The best reply is that a tariff is *public*. It says in seven numbers what otherwise hides in a model, it can be voted on, and each violation is a pair of people who may ask for a reason.
#
# **Individuals and groups.** A tariff that does not mention race does not make approval equal: if groups differ in debts, {eq}`eq-lipschitz` lets their chances differ as much as their files do; how much at most, Dwork and colleagues compute. Nor does equality of groups protect
# single people. Binns argues that the two need not be enemies. They often state the same worry, differently {cite}`binns2020apparent`.
#
# ## Proportional fairness: what you deserve
#
# Ten hospitals train one model together, and none wants to show its records to the others (federated learning does this). Three have 20 records, two 40, five 160. If all get the same model, why should the large ones take part?
# Zhang and colleagues propose that *rewards be proportional to contributions, at levels that were agreed on before* {cite}`zhang2020hierarchically`:
#
# $$\frac{\text{reward}_i}{\sum_j \text{reward}_j} = \frac{\text{contribution}_i}{\sum_j \text{contribution}_j}$$ (eq-proportional)
#
# And where rewards cannot be cut so finely, at least in **order**: who gave more gets more, and who gave the same gets the same. Their way, in a miniature of ours: each level has its own model. For the model of a level, those below give all that they have, and those above only as much as the level
# itself. So the small hospitals' model has seen 20 records of each, the large ones' has seen everything. The contribution is the number of records. The reward is the accuracy of the model that one gets, in points above a coin.

# %%
given = np.repeat([20, 40, 160], [3, 2, 5])  # records of each hospital
direction = draws.normal(size=60) / 60**0.5


def patients(n):
    x = draws.normal(size=(n, 60))
    return x, draws.random(n) < sigmoid(5 * x @ direction)


records, everyone = [patients(n) for n in given], patients(20_000)


def reward(taken):
    """Points above a coin of a model from so many records of each hospital."""
    both = zip(records, taken, strict=True)
    parts = [(x[:n], labels[:n]) for (x, labels), n in both]
    x, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return 100 * LogisticRegression().fit(x, labels).score(*everyone) - 50


# %%
levels = {n: reward(np.minimum(given, n)) for n in (20, 40, 160)}
rewards = {
    "one model for all": np.full(10, levels[160]),
    "a model for each level": np.array([levels[n] for n in given]),
    "100 coins, in proportion": 100 * given / given.sum(),
}
judged = {
    name: fairness.proportional_fairness(given, got) for name, got in rewards.items()
}

# %%
got = rewards["a model for each level"]
ratios = (got / got.sum()) / (given / given.sum())
ratio_by_library = judged["a model for each level"].table["ratio"]
claim("By hand and by library: the same ratios", np.allclose(ratios, ratio_by_library))
out_of_order = len(judged["one model for all"].violations)
claim("One model: all 31 pairs of unequal givers are out of order", out_of_order == 31)
claim("Levels: in order", judged["a model for each level"].ordered)
claim(
    "but the small ones have over three times their share",
    judged["a model for each level"].largest_gap > 2,
)
claim(
    "Money can be in proportion",
    judged["100 coins, in proportion"].largest_gap < 1e-9,
)

# %% tags=["hide-input", "fig-rewards"] mystnb={"image": {"alt": "Each hospital's share of the reward against its share of the records, with a dashed diagonal. With one model for all the three sizes lie on a level line at a tenth. With a model for each level the line rises a little, far from the diagonal. Coins in proportion lie on the diagonal."}}
figure, axis = plt.subplots(figsize=(5.6, 3.2))
gave = 100 * given / given.sum()
axis.plot([0, 18], [0, 18], "k--", lw=1)
looks = ("s-", "o-", "D")
for (name, got), look in zip(rewards.items(), looks, strict=True):
    axis.plot(gave, 100 * got / got.sum(), look, label=name)
axis.set(xlabel="share of all records (%)", ylabel="share of the reward (%)")
axis.set(xlim=(0, 18), ylim=(0, 18))
axis.legend(loc="upper left", fontsize=9)
plt.show()

# %% [markdown]
# *Order is possible, proportion is not.* A model from eight times the records is not eight times as accurate. Levels reach the right order; what remains has to be settled in something that can be divided, such as money or votes.
#
# **What "deserved" leaves out.** Equation {eq}`eq-proportional` is only as good as its two words. *Contribution*: twenty records of a rare disease may be worth more than a thousand of a common one, and why has the small hospital only 20? Its town is small. *Reward*: it is the
# patients who live with the worse model, and they were never asked what they had contributed. Besides desert there is need, and there is equality; a court that divides an estate, a triage nurse and a school know all three.

# %%
errors = {n: 50 - points for n, points in levels.items()}
without = reward(np.where(given < 160, given, 0))  # the large ones have left

# %% tags=["nbval-ignore-output"]
for n, share in errors.items():
    print(f"patients where {n:3} records were given: {share:.0f} % wrong answers")
print(f"if the large hospitals leave: {50 - without:.0f} % for the others")

# %%
claim(
    "Small hospitals' patients: over 2 points more wrong answers",
    errors[20] > errors[160] + 2,
)
claim(
    "Without the large ones the middle ones lose over 2 points",
    levels[40] > without + 2,
)

# %% [markdown]
# **The other side's best argument** is the last line. If those who give much are not rewarded they leave, and then everybody has less. An unequal reward that keeps them in can be better *for those who gave less* than an equal share of little. One may accept this and still ask why the price
# is paid in wrong answers to patients, if it can be paid in money.
#
# ## Where groups cross
#
# Back to groups, for there was one more question. An invented employer, four hundred applicants: women and men, from the north and from the south.

# %%
crossed = pd.DataFrame(
    {"sex": np.repeat(["woman", "man"], 200), "region": ["north", "south"] * 200}
)
hired = ((crossed["sex"] == "man") == (crossed["region"] == "north")).astype(int)
good = np.ones(400, dtype=int)  # all could do the work


def parity_gap(attributes):
    return fairness.demographic_parity_difference(
        good, hired, sensitive_features=crossed[attributes]
    )


gaps = [parity_gap(which) for which in (["sex"], ["region"], ["sex", "region"])]
claim("By sex no difference, by region none, crossed all of it", gaps == [0, 0, 1])

# %% [markdown]
# Half of the women are hired and half of the men, half of the north and half of the south. And no woman from the north, and no man from the south. Kearns and colleagues call it **fairness gerrymandering**, after the art of drawing voting districts {cite}`kearns2018preventing`. It needs no ill
# will; an average hides it by itself. Lawyers met it earlier. Five Black women sued General Motors, whose rule "last hired, first fired" had cost them their jobs, after years in which it had hired hardly any Black woman. In 1976 a court let them plead race or sex, and not the two combined.
# Its best reason: classes made by combination would have no end. Crenshaw took this case, among others, to show what is lost, and gave us the word *intersectional* {cite}`crenshaw1989demarginalizing`. In 1980 another American court heard such a claim {cite}`jefferies1980harris`; in 2016 the European Union's Court of Justice held that
# two grounds, neither of which is enough alone, are not enough together {cite}`cjeu2016parris`, and in 2023 a directive on pay was the first to name such combinations {cite}`eu2023pay`. Not everything that is true of a group is the sum of what is true of its attributes.
#
# So cross everything with everything? Here the court's worry returns, as arithmetic. Six attributes of two values make 728 groups, if each may be "yes", "no" or "any". Let 2,000 people be decided on **by a coin**, and look at all 728.

# %%
people = draws.random((2000, 6)) < 0.5
combinations = list(itertools.product((True, False, None), repeat=6))[:-1]
member = np.array(
    [
        np.all([people[:, k] == v for k, v in enumerate(c) if v is not None], axis=0)
        for c in combinations
    ]
)
coin = draws.random(2000) < 0.5
size, total = member.sum(axis=1), coin.mean()
spread = np.sqrt(total * (1 - total) / size * (1 - size / 2000))  # of a share, by lot


def surprise(decisions):
    """How many standard errors each group's share is away from everybody's."""
    return (member @ decisions.astype(float) / size - total) / spread


z = surprise(coin)
claim("728 groups", len(z) == 728)

# %% [markdown]
# Each group's share has an interval that holds with 95 %. With one group, a false alarm has a chance of 5 %. With $m$ groups that have nothing to do with each other, it is $1 - 0.95^m$, and at $m = 100$ nearly certain. Our groups overlap, so the formula does not apply; but we can
# let the data tell. **Deal the 2,000 answers anew** to the 2,000 people, and note the largest surprise in any group. Do it 300 times. Whatever is exceeded in one deal of twenty is the bar for all groups at once.

# %%
deals = draws.permuted(np.tile(coin, (600, 1)), axis=1)
largest = np.abs([surprise(deal) for deal in deals]).max(axis=1)
bar = np.quantile(largest[:300], 0.95)
fresh = largest[300:]  # 300 more audits of a coin
claim(
    "With 1.96, over 95 % of the audits of a coin accuse it",
    np.mean(fresh > 1.96) > 0.95,
)
claim("With the bar for all, less than 12 %", np.mean(fresh > bar) < 0.12)
claim("The bar lies between 3 and 4.6", 3 < bar < 4.6)
claim("1 − 0.95 to the 100th is over 0.99", 1 - 0.95**100 > 0.99)

# %% tags=["hide-input", "fig-search"] mystnb={"image": {"alt": "Share of yes against the size of the group for 728 groups that a coin decided on, on a logarithmic axis from about fifteen to a thousand people. The dots form a funnel around one half. Some lie outside the inner pair of curves, which is 1.96 standard errors wide; none or hardly any lies outside the outer pair."}}
figure, axis = plt.subplots(figsize=(6, 3.3))
inside, share = np.abs(z) <= 1.96, total + z * spread
axis.plot(size[inside], 100 * share[inside], ".", color=COLOURS["sky"])
axis.plot(size[~inside], 100 * share[~inside], "o", ms=4, color=COLOURS["orange"])
grid = np.geomspace(size.min(), size.max())
error = np.sqrt(total * (1 - total) / grid * (1 - grid / 2000))
for factor, style, name in ((1.96, "--", "one group"), (bar, "-", "all 728 at once")):
    for side in (-1, 1):
        label = name if side == 1 else None
        height = 100 * (total + side * factor * error)
        axis.plot(grid, height, style, lw=1.2, color="black", label=label)
axis.set(xscale="log", xlabel="people in the group", ylabel="yes (%)", ylim=(0, 100))
axis.set_xticks([20, 50, 100, 200, 500, 1000], [20, 50, 100, 200, 500, 1000])
axis.minorticks_off()
axis.legend()
plt.show()

# %% [markdown]
# *Even a coin seems to discriminate, if one looks long enough.* Each orange dot alone would be called significant: this group has fewer yes, or more. All are chance. The outer lines hold for all groups at once, with 95 %.
#
# **The correction has a price, too**: real differences in small groups are missed. To see a difference of 10 points from everybody's share in every second audit, a group needs about $p\,(1 - p)\,(\text{bar} / 0.1)^2$ people, with $p$ the share of yes; to see it nearly always, more.

# %%
needed = {c: 0.25 * (c / 0.1) ** 2 for c in (1.96, bar)}
claim("One group alone: 96 people are enough", round(needed[1.96]) == 96)
claim("As one of 728: over 200", needed[bar] > 200)
planted = coin & ~(people[:, :3].all(axis=1) & (draws.random(2000) < 0.6))
worst = combinations[np.argmin(surprise(planted))]
claim("Three in five refused in a group of 250: found", surprise(planted).min() < -bar)
claim("and its three attributes named", worst[:3] == (True, True, True))

# %% [markdown]
# There are two ways that lose less, and are as honest. *Name few groups beforehand*, for a reason: the law, the history of the place, a complaint. Correct for these few. Or *search*, call what you find a hypothesis, and test it on people whom the search
# has not seen. What is not honest is to search, and to report one group with an interval for one.
#
# ## The audit
#
# `fairness.audit` compares all pairs of groups in four rates, and widens all intervals by one factor, until they are true together with a confidence of about 95 %. It finds the factor by drawing the table of counts anew. (Each group first gets one hit and one miss more, without which intervals of few people are too narrow {cite}`agresti2000simple`.) Here for the program on the loans, by race and sex. Fifteen people have no entry for sex and are left out; the committee is told.

# %%
known = table["sex"].notna().to_numpy()
both = table[["race", "sex"]][known]
report = fairness.audit(y[known], yes[known], sensitive_features=both, seed=seed())
counts, groups = report.metrics.counts, list(report.metrics.groups)
n, hits = counts.sum(axis=(1, 2)) + 2, counts[:, :, 1].sum(axis=1) + 1
error = hits / n * (1 - hits / n) / n  # of each approval rate, squared
pairs = report.pairs.query("metric == 'selection_rate'")
one, other = ([groups.index(g) for g in pairs[side]] for side in ("group", "other"))
factors = (pairs["high"] - pairs["low"]) / 2 / np.sqrt(error[one] + error[other])
claim("Six groups, 15 pairs", len(pairs) == 15)
claim("By hand: one factor for all", np.ptp(factors) < 1e-6)
claim("It is over 2.6, and not 1.96", factors.min() > 2.6)

# %% tags=["nbval-ignore-output"]
print(report)

# %% tags=["hide-input", "fig-audit"] mystnb={"image": {"alt": "An audit in four panels, with a row for each of six groups of race and sex. First, approved of all: White men and women near nine tenths, Hispanic women and men near three quarters, Black men and women lower, Black women lowest with a wide interval. Second, approved of those whom the bank approved: high everywhere, intervals overlap. Third, approved of those whom the bank refused: very wide intervals; Hispanic women are hollow, since they are fewer than ten. Fourth, bank approved of those approved: high, with overlapping intervals. Each panel's title has the verdict."}}
report.plot()
plt.show()

# %% [markdown]
# *What a committee gets on one page.* A dot is a rate with its own 95 % interval; hollow means fewer than ten people. The titles have the verdicts, which take all comparisons together.
#
# **Read aloud**, it goes like this.
#
# 1. *What was found.* "The program approves Black women less often than White men. The difference is at least five points, and our estimate is much larger. Chance in who is in the sample hardly explains it, even though we looked at six groups and four rates."
# 2. *What the sample cannot tell.* "Among those whom a bank had approved, Black women may be approved as often as White men, or over 20 points less often. We have 31 Black women there. This is no acquittal."
# 3. *Who is too few.* "Five Hispanic women were refused by a bank. We compare nothing that rests on five people. Fifteen applicants are left out, since their sex is not recorded."
# 4. *What the label is.* "'Wrongly' refused means here: refused by the program, approved by a bank. Whether the banks were right is not in these data."
# 5. *What hangs by a thread.* "In the printed report some verdicts have an interval that ends close to 0. Had we divided the people into other halves, they might be different. We build nothing on these."
# 6. *What it does not say.* "We do not say why. Debts and records differ between the groups. Whoever explains the difference by them has to defend that they count; whoever calls it discrimination has to show what is left when they do."

# %%
found = report.pairs.set_index(["metric", "group", "other"])
women, men = ("Black", "Female"), ("White", "Male")
rate = found.loc[("selection_rate", men, women)]
claim("1. At least five points", rate["low"] > 0.05)
tpr = found.loc[("true_positive_rate", men, women)]
claim("2. Possibly none, possibly over 20 points", tpr["low"] < 0 and tpr["high"] > 0.2)
table_of = dict(zip(groups, counts, strict=True))
claim("31 Black women approved by a bank", table_of[women][1].sum() == 31)
few = report.too_small.query("metric == 'false_positive_rate'")
claim("3. Five Hispanic women", list(few["count"]) == [5])
claim("Fifteen left out", np.sum(~known) == 15)

# %% [markdown]
# ### Four fifths, as a rule of thumb
#
# Somebody on the committee will ask for "the 80 % rule". Lecture 5.3 has its source, and its standing, which is changing: agencies use it in hiring, to decide where to look. It is a ratio of two rates and has no interval, so it errs in both directions.

# %%
ratio = fairness.demographic_parity_ratio(
    y, yes, sensitive_features=table["race"].eq("Black")
)
small = draws.binomial(20, 0.5, 20_000) / draws.binomial(20, 0.5, 20_000).clip(1)
alarms = np.mean((small < 0.8) | (small > 1.25))
claim("Two groups of 20, one coin: under four fifths in over 30 %", alarms > 0.3)
large = fairness.audit(
    np.ones(40_000),
    np.arange(40_000) % 20_000 < np.repeat([10_000, 8_500], 20_000),
    sensitive_features=np.repeat(["a", "b"], 20_000),
)
claim("50 and 42.5 % of 20,000 each pass the rule", 42.5 / 50 >= 0.8)
claim(
    "and differ beyond doubt",
    large.differences.loc["demographic parity", "low"] > 0.05,
)

# %% tags=["nbval-ignore-output"]
print(f"the program: Black applicants have {100 * ratio:.0f} % of the others' rate")

# %% [markdown]
# A coin often fails the rule in a small shop, and a chain that says yes to 1,500 people fewer in one group than in another of the same size passes it. The guidelines themselves say both {cite}`eeoc1978uniform`. Print the ratio if you are asked for it; print the interval of the difference beside it.
#
# ## Labels only for those who were accepted
#
# Point 4 above is not a detail. A bank learns who pays back only from those to whom it lent. Lakkaraju and colleagues call this the problem of **selective labels** {cite}`lakkaraju2017selective`. With $S = 1$ for people whose label is known, what one computes is
#
# $$P(\hat Y = 1 \mid Y = 1,\, S = 1,\, A = \text{b}) \quad \text{instead of} \quad P(\hat Y = 1 \mid Y = 1,\, A = \text{b}),$$
#
# and there is no reason why they should be equal. To see how wrong it gets we need a truth. So we invent a town, in which two groups a and b pay back equally well. Officers lend by what is in the file, $x$, and by a hunch that is in no file and often right. They ask more of b.

# %%
n = 100_000
b = draws.random(n) < 0.5
x, hunch = draws.normal(size=(2, n))
repays = draws.random(n) < sigmoid(1.5 * (x + hunch) + 0.3)  # Y, the truth
bars = np.where(b, 0.6, -0.4)  # the officers ask more of b
lent = x + hunch + draws.normal(0, 0.5, n) > bars  # S: who was accepted
chances = LogisticRegression().fit(x[:, None], repays).predict_proba(x[:, None])[:, 1]
programs = {"even-handed": x > 0, "hard on b": x > 0.8 * b}

# %% [markdown]
# Two programs shall replace the officers. One has the same bar for all: by every definition of lecture 5.3 it is fair here, for the groups are alike. The other asks more of b, as the officers did. An auditor knows neither. What will each metric say? And first: what
# does it say of the officers themselves?

# %%
officers = fairness.equalized_odds_difference(
    repays[lent], lent[lent], sensitive_features=b[lent]
)
truth = fairness.equalized_odds_difference(repays, lent, sensitive_features=b)
claim(
    "With the labels there are, the officers have equalised odds exactly", officers == 0
)
claim("In truth they are over 20 points away from it", truth > 0.2)

# %% [markdown]
# Everyone with a label was accepted. So $\mathrm{TPR}$ and $\mathrm{FPR}$ are 1 in both groups, whatever the officers did. **This audit gives full marks to any rule that made its own labels.** Now the programs. Some auditors drop those who were refused; some count a refused person as one who would not have paid. And while we
# are at it, there is a third column, for the next section: labels for everybody, of which some are wrong.

# %%
recorded = repays & ~(b & (draws.random(n) < 0.2))  # a fifth of b's good: recorded bad
everybody = np.full(n, True)
views = {
    "the truth": (repays, everybody),
    "accepted only": (repays, lent),
    "refused = bad": (repays & lent, everybody),
    "biased records": (recorded, everybody),
}
rates = {
    "approved": "selection_rate",
    "TPR": "true_positive_rate",
    "FPR": "false_positive_rate",
    "PPV": "positive_predictive_value",
}


def gaps_of(decisions, labels, who):
    """Group b's rate minus group a's, in points."""
    of = fairness.group_metrics(labels[who], decisions[who], sensitive_features=b[who])
    both = of.table[list(rates.values())].astype(float)
    return (100 * (both.loc[True] - both.loc[False])).to_numpy()


# %%
seen = {
    name: pd.DataFrame({v: gaps_of(yes, *how) for v, how in views.items()}, index=rates)
    for name, yes in programs.items()
}
promises = {}  # by how much more than promised b pays back, against a; in points
for view, (labels, who) in views.items():
    of = fairness.calibration_by_group(
        labels[who], chances[who], sensitive_features=b[who]
    ).summary
    promises[view] = 100 * (of["gap"][False] - of["gap"][True])

# %% tags=["hide-input", "fig-labels"] mystnb={"image": {"alt": "Two panels, the even-handed program and the one that is hard on b. Rows are approved, TPR, FPR and PPV; marks show group b minus group a in points. For the even-handed program the truth is 0 in all rows; with the accepted only, all marks lie to the right; with the refused counted as bad PPV lies far to the left; with biased records FPR lies to the right and PPV to the left. For the program that is hard on b the truth is far to the left in approved, TPR and FPR, and to the right in PPV; with the refused counted as bad PPV lies near 0, and with biased records to the left of 0."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.7), sharey=True)
looks = dict(zip(views, ["D", "o", "s", "^"], strict=True))
hues = dict(zip(views, ("black", "blue", "orange", "green"), strict=True))
for axis, (name, gaps) in zip(axes, seen.items(), strict=True):
    axis.axvline(0, lw=1, color="black")
    for shift, view in zip((-0.24, -0.08, 0.08, 0.24), views, strict=True):
        axis.plot(
            gaps[view],
            np.arange(4) + shift,
            looks[view],
            ms=7 if view == "the truth" else 5,
            color=COLOURS[hues[view]],
            label=view,
        )
    for line in (0.5, 1.5, 2.5):
        axis.axhline(line, lw=0.6, color="#bbbbbb")
    axis.set(title=name, xlabel="b minus a (points)", xlim=(-40, 25))
axes[0].set_yticks(range(4), rates)
axes[0].set_ylim(3.5, -0.5)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# *What is true, and what one sees.* Black diamonds: the truth. The other marks are what an honest auditor computes from the labels that there are. Left: a fair program. Higher $\mathrm{TPR}$ and $\mathrm{FPR}$ in b, and a lower $\mathrm{PPV}$, all say that it
# favours b. So they would be read, and somebody would make it harder for b. (Only the $\mathrm{PPV}$ of the accepted says the contrary.) Right: a program that is hard on b already. Its approvals are worth *more* in b, since it asks more. With the refused counted as bad they are worth the same, and with biased records
# less, as if it asked too little.

# %%
fair, hard = seen["even-handed"], seen["hard on b"]
claim(
    "In truth the first program is fair, to 3 points", fair["the truth"].abs().max() < 3
)
claim(
    "Accepted only: TPR, FPR and PPV over 4 points higher in b",
    fair.loc[["TPR", "FPR", "PPV"], "accepted only"].min() > 4,
)
claim(
    "Refused = bad: PPV over 10 points lower in b",
    fair.loc["PPV", "refused = bad"] < -10,
)
claim("TPR: the same people in both columns", np.ptp(fair.iloc[1, 1:3]) < 1e-9)
claim(
    "The hard one: in truth b's PPV is over 6 points higher",
    hard.loc["PPV", "the truth"] > 6,
)
claim("Refused = bad: 5 points or less", abs(hard.loc["PPV", "refused = bad"]) < 5)
away = abs(promises["the truth"]), promises["accepted only"], -promises["refused = bad"]
claim("Calibration: right in truth, to 3 points", away[0] < 3)
claim(
    "Off by over 2 points with the accepted, by over 8 with refused = bad",
    away[1] > 2 and away[2] > 8,
)

# %% [markdown]
# Why? Officers who ask more of b accept only b's best. So b's *accepted* people have better files than a's, and a program that goes by the file says yes to more of them. Counting the refused as bad turns the officers' doubt into a fact. No amount of data heals either; the mistake is in who has a label.
#
# What helps:
#
# - **Count everybody where no label is needed**: approvals, by group, over all applicants.
# - **If the program itself decided**, all with $\hat Y = 1$ have labels, so that $\mathrm{PPV}$ is right for it. $\mathrm{TPR}$ and $\mathrm{FPR}$ stay unknown.
# - **Say what is certain.** Each refused person would have paid, or not. Go through the two extremes {cite}`manski2003partial`:


# %%
def bounds(decisions, who):
    """The least and the largest TPR that the unknown labels leave possible."""
    hit, missed = (np.sum(who & lent & repays & (decisions == k)) for k in (1, 0))
    open_yes, open_no = (np.sum(who & ~lent & (decisions == k)) for k in (1, 0))
    least = hit / (hit + missed + open_no)  # who was refused by both would have paid
    return least, (hit + open_yes) / (hit + open_yes + missed)


low, high = bounds(programs["even-handed"], b)
true = programs["even-handed"][b & repays].mean()
claim("The truth is within the bounds", low < true < high)
claim("They are over 25 points apart", high - low > 0.25)

# %% tags=["nbval-ignore-output"]
print(
    f"TPR in b, truth: {100 * true:.0f} %, known: {100 * low:.0f} to {100 * high:.0f} %"
)

# %% [markdown]
# - **Lend to some by lot**, as in lecture 5.1. It costs money and can harm those who fail, and it is the one method that gives a number without further assumptions.
# - **Use the most lenient officer.** If cases go to officers by lot, the one who says yes to nearly all has labels for nearly all. Lakkaraju and colleagues build their method, *contraction*, on it. Exercise 2 tries it, with a surprise.
# - **Do not invent.** To guess the labels of those who were refused is called reject inference. From the accepted alone it cannot work without assumptions that the same data cannot test {cite}`hand1993can`.

# %%
lottery = draws.permutation(n) < 6000
by_lot = gaps_of(programs["even-handed"], repays, lottery)
claim("A lottery of 6,000: right to 8 points in each rate", np.abs(by_lot).max() < 8)

# %% [markdown]
# ## Labels that are biased themselves
#
# Sometimes everybody has a label, and it is not what was meant. A program for hospitals was to find patients who need extra care, and had learnt to predict what they *cost*. Less was spent on Black patients who were as ill. At the same score they were sicker; to put this right would raise their share among those who get help from 17.7 to 46.5 %
# {cite}`obermeyer2019dissecting`. With costs for the label, the program looked well calibrated. In the third column above a fifth of b's good payers are recorded as bad.

# %%
claim(
    "Approvals need no label: no error",
    fair.loc["approved", "biased records"] == fair.loc["approved", "the truth"],
)
claim("TPR: right, to 3 points", abs(fair.loc["TPR", "biased records"]) < 3)
claim(
    "FPR: over 3 points higher in b, where there is no difference",
    fair.loc["FPR", "biased records"] > 3,
)
claim("PPV: over 8 points lower in b", fair.loc["PPV", "biased records"] < -8)
claim(
    "Calibration: b pays back over 6 points less than promised",
    promises["biased records"] < -6,
)
claim("The hard program: PPV has the wrong sign", hard.loc["PPV", "biased records"] < 0)

# %% [markdown]
# $\mathrm{TPR}$ is spared because the records err by lot among b's good payers, which nobody can know. If they err more often near the bar, it goes, too. And now the worst of it: **somebody repairs the fair program by these records.** $\mathrm{PPV}$ in b is too low, it seems, so the bar for b is raised until it is within three points of a's.

# %%
target = recorded[~b & (x > 0)].mean()  # PPV in a
heights = np.linspace(0, 2.5, 251)
ppv = np.array([recorded[b & (x > height)].mean() for height in heights])
raised = heights[np.argmax(ppv >= target - 0.03)]
before, after = (np.mean(x[b & repays] > height) for height in (0, raised))
claim("The repair comes within three points", ppv.max() >= target - 0.03)
claim(
    "It refuses over a third of b's good payers who had a loan", after < before * 2 / 3
)

# %% tags=["nbval-ignore-output"]
print(
    f"of b's good payers with a loan: {100 * before:.0f} %, after {100 * after:.0f} %"
)

# %% [markdown]
# All in one table. "Wrong" means for this kind of town; the sign depends on who was hard on whom.
#
# | metric | labels of the accepted only | refused counted as bad | labels biased against b |
# |---|---|---|---|
# | demographic parity | right, if all applicants are counted | right | right |
# | equal opportunity ($\mathrm{TPR}$) | wrong: seems to favour b | wrong, by the same number | right if the errors fall by lot, else wrong |
# | equalised odds (with $\mathrm{FPR}$) | wrong; of the old rule itself always perfect | wrong: seems to favour b | wrong: seems to favour b |
# | predictive parity ($\mathrm{PPV}$) | right for the rule that made the labels, else wrong | wrong, can hide that b is asked more | wrong, can turn the sign |
# | calibration by group | wrong: seems to promise too little of b | wrong: too much | wrong: too much |
#
# This is the best argument *for* demographic parity, as lecture 5.3 had it: it believes no label. It is no proof that parity is right; it is blind to what the labels do know.
#
# ## What an audit is, and is not
#
# An audit is a comparison of a system with a standard, by somebody who can be asked. Before you read its numbers, ask three things.
#
# | who | what they can see | what tends to follow |
# |---|---|---|
# | the maker (first party) | code, data, people | changes inside; nobody outside hears of it |
# | somebody whom the maker pays (second party) | what the contract opens | a report that the client may keep |
# | press, researchers, an authority (third party) | answers, or what a law opens | publicity, a case, or a claim that they got it wrong |
#
# A survey of the trade found few standards, and asks for independent audits against clear ones, for disclosure, and for the people concerned to have a part {cite}`costanzachock2022audits`. Being named seems to have helped in Gender Shades {cite}`raji2019actionable`. A duty to audit is harder to get right. Since July 2023 New York City asks for a yearly independent bias audit of programs that help to hire or promote,
# with ratios by sex, by race, and crossed, and sets no ratio that would be too low. In a study of 391 employers 18 had posted an audit, nearly all with ratios above 0.8. Since employers largely decide themselves whether the law applies to them, silence does not prove a violation, and good numbers may be those that were worth posting {cite}`wright2024null`. In 2025 the State's auditors found the city's handling of
# complaints ineffective {cite}`osc2025enforcement`. The European Union has very large platforms audited once a year, independently and at their own expense, on their duties under its Digital Services Act {cite}`eu2022dsa` (article 37).
#
# **The other side's best argument** comes from two sides. Audits of this kind can whitewash: the maker picks the metric, the date, the groups and the auditor, and prints the seal. And they can punish those who look: who has no audit has no bad audit; a bad number, published, invites a lawsuit, and a law that wants honest numbers
# has to think of that. The reply to both: a number that is printed, with its groups and its date, can be disputed. One that was never computed cannot.
#
# An audit does not say why. It does not say whether the thing should be built. And it ends on the day it was made.
#
# ## What goes wrong
#
# **A distance nobody chose.** Euclidean distance of standardised columns is a tariff, too: written by chance.
#
# **"In proportion" to what was easy to count.** Records, hours and money are counted; need is not.
#
# **Crossing until something appears**, or crossing until all groups are too small to show anything. Both are choices, and both are made.
#
# **"No difference was found."** Look at the other end of the interval.
#
# **Labels from the last rule, to judge the next one.**
#
# ## Evaluate honestly
#
# A table for the committee, of three parts: what differs, at least by how much; what the sample cannot tell, at most how much it may be; who was not compared.


# %%
def for_committee(audit, enough=0.1):
    """How many pairs differ, may differ by over `enough`, or differ by less."""
    pairs = audit.pairs
    bound = np.maximum(pairs["high"], -pairs["low"])  # the largest possible difference
    kinds = np.where(
        pairs["differ"], "found", np.where(bound > enough, "open", "settled")
    )
    counts = pd.crosstab(pairs["metric"], kinds).rename_axis(columns=None)
    return counts.assign(too_few=audit.too_small["metric"].value_counts()).fillna(0)


summary = for_committee(report)
claim(
    "In over half of the comparisons the answer is open",
    summary["open"].sum() > len(report.pairs) / 2,
)
claim("Something was found", summary["found"].sum() > 0)

# %% tags=["nbval-ignore-output"]
print(summary.astype(int).to_string())

# %% [markdown]
# Most of the answer is "open". With 51 Black and 22 Hispanic women it can hardly be otherwise, and without this column all that was not found would have passed for clean.
#
# ## Practice
#
# **Exercise 1** (15 minutes). *Fair on every pair.* Three attributes of two values, the same number of people in each of the eight combinations. Find decisions such that demographic parity holds exactly on each attribute *and on each crossing of two*, and is violated as much as it can be
# on the crossing of three.
#
# <details><summary>Hint 1: two attributes</summary>
#
# On the page, a yes is given if the two attributes "agree". What is the like of it for three bits?
#
# </details>
#
# <details><summary>Hint 2: odd and even</summary>
#
# Fix any two of the three bits. The third one must still make half of the answers yes.
#
# </details>

# %% tags=["hide-cell"]
# Solution: yes where the number of ones is odd. The same works for any number of
# attributes: to cross all but one of them shows nothing.
cube = pd.DataFrame(list(itertools.product((0, 1), repeat=3)) * 10, columns=list("uvw"))
odd = cube.sum(axis=1) % 2
sets = [list(s) for k in (1, 2, 3) for s in itertools.combinations("uvw", k)]
apart = {
    "".join(s): fairness.demographic_parity_difference(
        odd, odd, sensitive_features=cube[s]
    )
    for s in sets
}
claim("0 on one and two attributes", all(apart[s] == 0 for s in apart if len(s) < 3))
claim("1 on three", apart["uvw"] == 1)

# %% [markdown]
# **Exercise 2** (20 minutes). *The most lenient officer.* Let 400,000 cases of the invented town go by lot to five officers, whose bars for a are −2.5, −1, −0.4, 0.2 and 0.8, and for b one more. Audit the even-handed program with the labels of all officers, and with those of the most lenient one alone. Compare the
# gaps in $\mathrm{TPR}$ and in $\mathrm{FPR}$ with the truth, which is 0.
#
# <details><summary>Hint 1: the simulation</summary>
#
# As on the page, with `officer = draws.integers(0, 5, n)` and `bars = levels[officer] + b`.
#
# </details>
#
# <details><summary>Hint 2: the surprise</summary>
#
# The lenient officer still refuses one in six of b. Which label do most of these have, and which rate divides by it?
#
# </details>

# %% tags=["hide-cell"]
# Solution: TPR comes close to the truth, FPR does not. Those whom even a lenient
# officer refuses would mostly not have paid: few people, but many of those with Y = 0.
m = 400_000
in_b, officer = draws.random(m) < 0.5, draws.integers(0, 5, m)
file, feeling, noise = draws.normal(size=(3, m))
pays = draws.random(m) < sigmoid(1.5 * (file + feeling) + 0.3)
line = np.array([-2.5, -1, -0.4, 0.2, 0.8])[officer] + in_b
labelled = file + feeling + 0.5 * noise > line
gaps = {}
for name, who in (("all", labelled), ("lenient", labelled & (officer == 0))):
    for rate, label in (("TPR", True), ("FPR", False)):
        those = who & (pays == label)
        in_a_and_b = [np.mean(file[those & (in_b == g)] > 0) for g in (False, True)]
        gaps[name, rate] = 100 * np.subtract(*in_a_and_b[::-1])
claim("All officers: TPR over 2 points off", gaps["all", "TPR"] > 2)
nearer = gaps["all", "TPR"] - abs(gaps["lenient", "TPR"])
claim("The lenient one: nearer to the truth by over 1", nearer > 1)
claim("but FPR over 2 points off", gaps["lenient", "FPR"] > 2)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A program uses a threshold. Is it fair to individuals, in the sense of this page?
# - Yes, everybody faces the same threshold :: Two people with nearly the same file can stand on its two sides, and get a yes and a no.
# + As a rule not: near the threshold similar people are treated as differently as can be :: Only a rule that may draw lots, or one that gives all the same answer, avoids it.
# - Yes, if race is not in the file :: The inequality is about distances, and any column can violate it.
# ? All hospitals get the same model. Who has a complaint under proportional fairness?
# + Those who gave more than others :: They did not get more. Whether "gave" was counted rightly is another matter.
# - Those who gave less :: They got more than their share.
# - Nobody, equal is equal :: It is another principle, equality, and a good one; not this one.
# ? An auditor tests 728 groups and reports the worst one, with p below 0.001. What do you ask?
# - Nothing, p is small enough :: Among 728 groups like these a coin shows such a value in one audit of four or so.
# + How many groups were looked at, and does the bar take them all into account? :: With this bar a coin is accused in one audit of twenty.
# - Why so many groups were crossed :: To cross is right, or one misses what no single attribute shows.
# ? A bank audits its officers with the repayments of its borrowers, and finds equalised odds exactly. What follows?
# - The officers treat both groups alike :: In our town they were over 20 points away from it.
# - The sample is too small :: More borrowers would give the same answer.
# + Nothing: everyone with a label was accepted :: TPR and FPR are 1 in each group, whatever the officers did.
# ? In the records, a program's approvals are worth less in group b. Should b's bar be raised?
# - Yes, to reach predictive parity :: If the records are biased against b, this refuses b's good payers to match a wrong number.
# + First find out what the record records, and who has one :: Both defects of this page produce just this gap in a fair program.
# - No, never :: If the labels are right, b's borrowers are being lent what they cannot pay back.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Awareness makes the standard explicit and gives single people a complaint. An audit with joint intervals can be repeated by the other side, and seldom accuses a coin. A simulation with a known truth shows which metric to distrust before it is needed.
#
# **Limitations.** Nobody has the distance; the programme is for hundreds of people, not for millions. Contributions and rewards are what was agreed to count. Our town is simple, and its officers are hard on one group in one way. Intervals are about chance, and most of what goes wrong on this page is not chance.
#
# **Software.** [Fairlearn](https://fairlearn.org) crosses attributes; [inFairness](https://github.com/IBM/inFairness) trains for individual fairness; [GerryFair](https://github.com/algowatchpenn/GerryFair) searches groups as Kearns and colleagues do. In this library: `fairness.lipschitz_violations`, `fairness.lipschitz_programme`,
# `fairness.proportional_fairness`, `fairness.audit`.
#
# ## What to take away
#
# To treat likes alike, say who is alike; to give what is deserved, say for what. Cross the groups, and correct for having looked. Ask who has a label and who wrote it, before any rate. And let a report end with what it does not know: that is the part that the next committee needs most.
# Do it yourself in [homework H5](../../exercises/h5_fairness/h5_fairness.ipynb). Next: [how every group's counts, at every threshold, come from one pass](../09_kernels/group_counts.ipynb).
