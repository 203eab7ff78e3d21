# %% [markdown]
# # 5.3 Definitions, and why they cannot all hold
#
# "Fair" has been turned into formulas many times. Here are the five that people argue with most, each as an equation, as a sentence, as two lines of code, and
# with the best that can be said for it and against it. Then four lines of algebra show that one cannot have them all. So somebody has to choose, and
# it is better to know what is being chosen.
#
# **What you will learn**
#
# - to write down the table of a group, from which all rates follow, and to say when a rate is undefined;
# - demographic parity, equalised odds, equal opportunity, predictive parity and calibration by group: what each asks, who argues for it, and what it does not see;
# - that a difference between groups means nothing without an interval;
# - the identity that ties base rate, predictive value and error rates together, and the theorem on calibration and balance;
# - why deleting a column does not delete what it says, and what each definition would cost a lender and its customers.
#
# **Before you start**: [three cases](three_cases.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 60 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tml_helpers import fairness
from tml_helpers.claims import claim, seed
from tml_helpers.data import compas, expand_counts, fico, loan_applications
from tml_helpers.plotting import COLOURS, use_style

use_style()

# %% [markdown]
# ## The question: is this model fair?
#
# A bank would like a program to approve mortgages, as its officers do. We have 1,989 applications made in Boston in 1990, and what was decided. Read the
# [card of these data](../../book/data_cards/loan_applications.md) first. They are about real people, who did not ask to be in a book. Two of its points
# matter on every line below. The label says **what a bank decided**, not whether a loan was paid back. And `race` has the three words that the file has: Black,
# Hispanic, White.
#
# The program is a logistic regression on eleven columns: debts, housing costs, size of the loan, past payments and the like. Race is not among them. It
# approves as many people as the banks did. Each applicant gets a score from a model that was fitted without them.

# %%
table = loan_applications()
y, race = table["approve"].to_numpy(), table["race"].to_numpy()  # Y and A
groups = ["Black", "Hispanic", "White"]
eleven = ["obrat", "hrat", "loanprc", "chist", "pubrec", "cons"]  # debts, payments
eleven += ["unver", "unem", "self", "dep", "sch"]  # proofs, work, family, school
folds = StratifiedKFold(5, shuffle=True, random_state=seed())


def scores(columns, labels):
    """P(label = 1) for each row, by models that have not seen the row."""
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    guess = cross_val_predict(model, columns, labels, cv=folds, method="predict_proba")
    return guess[:, 1]


def approved(score):
    """The best of them, as many as the banks approved."""
    return (score >= np.quantile(score, 1 - y.mean())).astype(int)


score = scores(table[eleven], y)  # R
yes = approved(score)  # Ŷ
refused = [int(np.sum((race == a) & (y == 0))) for a in groups[:2]]
claim("Banks refused 64 Black and 26 Hispanic applicants", refused == [64, 26])

# %% tags=["hide-input", "fig-answers"] mystnb={"image": {"alt": "Four groups of three dots with 95 percent intervals, for Black, Hispanic and White applicants. Approved: 69, 79 and 90 percent. Of those whom the bank approved: 83, 89 and 94 percent. Of those whom the bank refused: 41, 46 and 55 percent, with wide intervals that overlap. Of those approved by the program, the bank approved 81, 86 and 94 percent."}}
rows = fairness.audit(y, yes, sensitive_features=race).rates
rows = rows.set_index(["metric", "group"])
questions = {
    "selection_rate": "approved",
    "true_positive_rate": "approved, of\nthose the bank\napproved",
    "false_positive_rate": "approved, of\nthose the bank\nrefused",
    "positive_predictive_value": "bank approved,\nof those\napproved",
}
hues = dict(zip(groups, ("blue", "orange", "green"), strict=True))
figure, axis = plt.subplots(figsize=(7, 3.3))
for shift, (group, hue) in zip((-0.2, 0, 0.2), hues.items(), strict=True):
    found = 100 * rows.loc[[(metric, group) for metric in questions]].reset_index()[
        ["rate", "low", "high"]
    ].astype(float)
    reach = [found["rate"] - found["low"], found["high"] - found["rate"]]
    at = np.arange(4) + shift
    axis.errorbar(
        at, found["rate"], yerr=reach, fmt="o", color=COLOURS[hue], label=group
    )
axis.set_xticks(range(4), questions.values())
axis.set(ylabel="of these people (%)", ylim=(0, 100))
axis.grid(visible=False, axis="x")
figure.legend(loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *Four questions to one program, and four answers.* Each column divides by other people. Bars are 95 % intervals: narrow for 1,681 White applicants, wide
# for the 64 Black and 26 Hispanic ones whom a bank refused. Which column would you look at, to say whether the program is fair? Each has serious defenders.
#
# ## A table of four counts
#
# Write $A$ for the group, that is the value of the **protected attribute** (also: sensitive attribute), $Y$ for the outcome and $\hat Y$ for the decision, both 0 or 1. The people of
# group $a$ fall into four cells:
#
# | | $\hat Y = 0$ | $\hat Y = 1$ |
# |---|---|---|
# | $Y = 0$ | true negatives, $\mathrm{TN}$ | false positives, $\mathrm{FP}$ |
# | $Y = 1$ | false negatives, $\mathrm{FN}$ | true positives, $\mathrm{TP}$ |
#
# "Positive" only means 1. On this page 1 is the answer that an applicant hopes for; for COMPAS it will be the one that a defendant fears. From the cells come the
# **base rate** $p_a = P(Y = 1 \mid A = a)$, which belongs to the people and their label, and the rates of the decision. Two go along the rows, by outcome; one goes
# down a column, by decision:
#
# $$
# \mathrm{TPR} = \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FN}}, \qquad
# \mathrm{FPR} = \frac{\mathrm{FP}}{\mathrm{FP} + \mathrm{TN}}, \qquad
# \mathrm{PPV} = \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FP}} .
# $$

# %%
in_group = race == "Black"
cells = [[np.sum(in_group & (y == i) & (yes == j)) for j in (0, 1)] for i in (0, 1)]
metrics = fairness.group_metrics(y, yes, sensitive_features=race)
claim(
    "Four counts by hand and by fairness.group_metrics: the same",
    np.array_equal(cells, metrics.counts[list(metrics.groups).index("Black")]),
)

# %% tags=["nbval-ignore-output"]
print(metrics)

# %% [markdown]
# Four counts are the size of the group and **three** numbers more: $p_a$, $\mathrm{TPR}$ and $\mathrm{FPR}$, say. Everything else follows from these three. Keep that
# in mind; it is the whole secret of the impossibility below.
#
# ## Five definitions
#
# In words, a decision is fair if it is free of prejudice and of favour towards a person or a group for what they are {cite}`mehrabi2021survey`. A formula can only compare. **Group fairness** compares groups, as these five
# do. **Individual fairness** compares people: those who are alike should be treated alike (lecture 5.5).
#
# ### Demographic parity
#
# $$P(\hat Y = 1 \mid A = a) = P(\hat Y = 1 \mid A = b)$$ (eq-demographic-parity)
#
# *The same share of each group gets a yes.* In other words, the decision is independent of the group. It is also called statistical parity, or equal acceptance.


# %%
def agree(by_hand, by_library):
    return abs(by_hand - by_library) < 1e-12


accepted = [yes[race == a].mean() for a in groups]
gap = max(accepted) - min(accepted)
library = fairness.demographic_parity_difference(y, yes, sensitive_features=race)
claim("By hand and by library: the same", agree(gap, library))
claim("The groups differ by over 15 points", gap > 0.15)
ratio = fairness.demographic_parity_ratio(y, yes, sensitive_features=race)
claim("The ratio too", agree(min(accepted) / max(accepted), ratio))

# %% [markdown]
# **For it.** It needs no labels, and that is its strength where labels are what is in doubt. If officers were unfair, $Y$ holds their unfairness, and every definition below
# is content with a program that repeats it. Friedler and others put it as a belief about the world: whoever holds that groups do not differ in what should
# count, and that the measured differences come from measuring, should ask for parity {cite}`friedler2021impossibility`. It is also natural where a chance is handed
# out that need not be earned, such as who gets to see an advertisement for a job.
#
# **Against it.** The same share of yes does not mean the same mistakes: it does not ask *who* in a group gets the yes. A bank that chooses with care in one group and by lot in the other has parity, and afterwards can show figures
# of how badly the other group pays back {cite}`dwork2012fairness`. And where $p_a$ differs for reasons that should count, a perfect prediction violates it.
#
# **The law, since the words are mixed up so often.** In the United States, *disparate treatment* means to treat somebody differently because of race, sex and so on. *Disparate impact* means a
# neutral rule that falls more heavily on one group, and that the employer cannot show to be job related and necessary for the business {cite}`griggs1971duke`, or in place of which the employer
# refuses one that would serve as well and harm less. The *four-fifths rule* is neither of the two. Guidelines on **hiring**, which four agencies issued in 1978, say that a selection rate below four fifths of the highest group's will generally be taken as evidence of
# adverse impact, that smaller differences can be adverse, too, and that larger ones need not be, as where numbers are small {cite}`eeoc1978uniform`. It is a rule of thumb for enforcement; it proves nothing, and
# loans are not hiring {cite}`watkins2022fourfifths`. Nor does law stand still. Until July 2026 the federal rule on credit provided for a test of effects; since then it says that its statute has none, which is disputed before a court, while employment law
# has it in the statute itself; and in 2026 one of the four agencies announced that it would withdraw its part of the guidelines {cite}`cfpb2026equal,eeoc2026rescission`. The European Union speaks of *direct* and *indirect* discrimination. The second is a neutral rule that puts people of a
# group at a particular disadvantage, unless a legitimate aim justifies it and the means are appropriate and necessary {cite}`eu2000racial`; no ratio stands in the directive. Ask a lawyer, with the date and the place.
#
# ### Equalised odds
#
# $$P(\hat Y = 1 \mid Y = k, A = a) = P(\hat Y = 1 \mid Y = k, A = b), \qquad k = 0, 1$$ (eq-odds)
#
# *Among those with the same outcome, the same share of each group gets a yes*: equal $\mathrm{TPR}$ and equal $\mathrm{FPR}$. The decision may depend on the group, but only through
# the outcome {cite}`hardt2016equality`. In the words of those who train for it: an equal profile of mistakes.

# %%
tpr = [yes[(race == a) & (y == 1)].mean() for a in groups]
fpr = [yes[(race == a) & (y == 0)].mean() for a in groups]
library = fairness.equalized_odds_difference(y, yes, sensitive_features=race)
claim("By hand and by library: the same", agree(max(np.ptp(tpr), np.ptp(fpr)), library))

# %% [markdown]
# The library's number is the larger of the two differences.
#
# **For it.** It rewards merit, where $Y$ is merit: a perfect prediction fulfils it, and one cannot reach it by being careless with one group's good applicants. A lender can do no better in any group than in the one where prediction is
# worst, and so pays for poor data about that group; otherwise its members alone pay. It is what ProPublica asked of COMPAS.
#
# **Against it.** It believes the labels. It needs them for everybody, and the outcome of a loan that was refused is not known (lecture 5.5). To reach it, one often has to treat people with the same score differently by group. And error
# rates depend on more than how a group is treated: on how many of its members lie *near the threshold*. With one calibrated score and one threshold for all, error rates
# differ, as a rule, where the groups' risks are distributed differently. Corbett-Davies and others conclude that they measure the distribution rather than the rule {cite}`corbettdavies2023measure`.
#
# ### Equal opportunity
#
# $$P(\hat Y = 1 \mid Y = 1, A = a) = P(\hat Y = 1 \mid Y = 1, A = b)$$ (eq-opportunity)
#
# *Among those who deserve a yes, the same share of each group gets it*: the half of {eq}`eq-odds` with $k = 1$.

# %%
library = fairness.equal_opportunity_difference(y, yes, sensitive_features=race)
claim("By hand and by library: the same", agree(max(tpr) - min(tpr), library))

# %% [markdown]
# **For it.** Where a yes is a chance, the wrong is done to those who earned it and did not get it. It costs less than both halves (you will see how much), and leaves freedom to
# choose who else gets a yes.
#
# **Against it.** It is silent on those with $Y = 0$. That is right if a wrong yes harms nobody. A loan that cannot be paid back does harm: house and credit can be lost. And "deserve" is a large word for $Y$: here it means "a
# bank said so".
#
# ### Predictive parity
#
# $$P(Y = 1 \mid \hat Y = 1, A = a) = P(Y = 1 \mid \hat Y = 1, A = b)$$ (eq-predictive-parity)
#
# *Among those who get a yes, the same share of each group turns out as hoped*: equal $\mathrm{PPV}$.

# %%
ppv = [y[(race == a) & (yes == 1)].mean() for a in groups]
library = fairness.predictive_parity_difference(y, yes, sensitive_features=race)
claim("By hand and by library: the same", agree(max(ppv) - min(ppv), library))

# %% [markdown]
# **For it.** A decision should mean the same whoever it is about; otherwise those who act on it have good reason to look at the group as well. It can be checked without the outcomes of those who were refused. It is what Northpointe claimed for COMPAS
# {cite}`dieterich2016compas`.
#
# **Against it.** It is silent on everyone who was refused. A bank that finds ten safe applicants in a group of a thousand, and does not look at the rest, has an excellent $\mathrm{PPV}$ there. And a mean over all above the threshold
# depends on how far above they lie.
#
# ### Calibration by group
#
# For a score $R$ that claims to be a probability:
#
# $$P(Y = 1 \mid R, A = a) = R \qquad \text{for each group } a \text{ and each value of } R$$ (eq-calibration)
#
# *Among people with the score 0.7, seven in ten turn out as hoped, in each group.* Without the claim to be a probability it reads: given the score, the outcome is independent of the group. Predictive parity is
# half of that demand, applied to a decision; the other half is about those who get a no. In practice one sorts scores into bins.

# %%
by_group = fairness.calibration_by_group(y, score, sensitive_features=race, bins=5)
top = (race == "White") & (score >= 0.8)
by_hand = score[top].mean(), y[top].mean()
fifth = by_group.table.loc["White"].set_index("bin").loc[4]
claim(
    "The highest bin by hand and by library: the same",
    np.allclose(fifth[["mean_score", "observed_rate"]], by_hand, rtol=1e-9),
)

# %% tags=["nbval-ignore-output"]
print(by_group.summary.round(3).to_string())

# %% tags=["hide-input", "fig-calibration"] mystnb={"image": {"alt": "Share whom the bank approved against the program's score, five bins, with 95 percent intervals and a dashed diagonal. The White line lies a little above the diagonal. The Black and Hispanic lines lie below it at scores over one half; at 92 percent about 82 percent of Black applicants were approved. In the lower bins intervals are very wide; in one of them stand two Hispanic applicants, of whom none was approved."}}
figure, axis = plt.subplots(figsize=(5.6, 3.5))
axis.plot([0, 100], [0, 100], "--", lw=1, color=COLOURS["black"])
for group, hue in hues.items():
    found = 100 * by_group.table.loc[group]
    at, share = found["mean_score"], found["observed_rate"]
    reach = np.clip([share - found["low"], found["high"] - share], 0, 100)
    axis.plot(at, share, "o-", ms=4, color=COLOURS[hue], label=group)
    axis.errorbar(at, share, yerr=reach, fmt="none", lw=1.2, color=COLOURS[hue])
axis.set(xlabel="score $R$ (%)", ylabel="bank approved (%)", ylim=(-2, 101))
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# *A score that does not see race promises Black applicants too much.* It is nearly calibrated for the White majority. To Black applicants it promises over five points more than the 68 % that banks approved.
# That does not show that the banks were right: given the same eleven facts, they said no to Black applicants more often. Nor does it show that they were unfair: they knew more than eleven facts. The score says what
# happened on average to applicants with these facts. Intervals in the lower bins show how little is known there.
#
# **For it.** The number means the same for everybody, so that whoever uses it need not ask for the group. And it comes nearly by itself, if a model is
# fitted well and may use all that matters, *the group included* {cite}`liu2019implicit`:

# %%
minority = pd.get_dummies(table["race"])[["Black", "Hispanic"]].astype(float)
aware = scores(pd.concat([table[eleven], minority], axis=1), y)
told = fairness.calibration_by_group(y, aware, sensitive_features=race).summary
claim(
    "Blind: over 5 points too high for Black applicants",
    by_group.summary.loc["Black", "gap"] > 0.05,
)
claim("With race among its columns: right to 3 points", abs(told["gap"]).max() < 0.03)

# %% [markdown]
# **Against it.** Calibration is easy, and compatible with gross unfairness. Give everybody the mean of their own group in their own street, and refuse where it is low: the score is
# calibrated by group, and the good applicants there are refused with the rest. Exercise 1 does that, with one street.
#
# ### All five
#
# | | divides by | compares | blind to |
# |---|---|---|---|
# | demographic parity | the group | how many get a yes | who gets it |
# | equalised odds | those with $Y = 1$, those with $Y = 0$ | both kinds of mistakes | whether the labels are right; treatment at the same score |
# | equal opportunity | those with $Y = 1$ | one kind of mistake | those with $Y = 0$ |
# | predictive parity | those with $\hat Y = 1$ | what a yes is worth | those who get a no |
# | calibration by group | those with the same $R$ | what a score is worth | how coarse the score is |
#
# Barocas, Hardt and Narayanan sort them by three words {cite}`barocas2023fairness`: **independence** of decision and group; **separation**, independence given the outcome; **sufficiency**, independence of
# outcome and group given the decision or score. All are about groups, and none promises anything to a person.
#
# ## A difference needs an interval
#
# Everything above was computed from 1,989 people, and 26 of them make up one of the denominators. Two traps wait there. The first: a difference "max − min" is never negative, so chance can only add to it.

# %%
draws = np.random.default_rng(seed())
spread = {}
for people in (50, 5000):  # in each of four groups; everybody is accepted by a coin
    rates = draws.binomial(people, 0.5, size=(4000, 4)) / people
    spread[people] = 100 * np.ptp(rates, axis=1).mean()
claim("Four equal groups of 50: over 13 points apart, on average", spread[50] > 13)
claim("Of 5,000: under 2 points", spread[5000] < 2)

# %% [markdown]
# A rule "alarm above 0.1" would accuse a fair coin. How far would a difference move, had other people applied? The **bootstrap** answers: draw as many people from yours, with replacement, compute it again, and again. A rate
# only needs the four counts of each group, and the counts of such a draw follow a multinomial law. So one may draw the counts themselves, twelve numbers instead of 1,989 people. It is the same bootstrap.

# %%
is_white, is_black = race == "White", race == "Black"


def gap_of(rows):
    return yes[rows[is_white[rows]]].mean() - yes[rows[is_black[rows]]].mean()


by_rows = [gap_of(draws.integers(len(y), size=len(y))) for _ in range(2000)]
drawn = fairness.bootstrap_counts(metrics.counts, draws=2000, seed=seed())
share = drawn[..., 1].sum(axis=-1) / drawn.sum(axis=(-2, -1))  # (draws, groups)
by_counts = share[:, 2] - share[:, 0]
claim(
    "Rows or counts: the same spread, up to a tenth",
    abs(np.std(by_counts) / np.std(by_rows) - 1) < 0.1,
)
claim("It is 2 to 5 points", 0.02 < np.std(by_counts) < 0.05)

# %% [markdown]
# From such draws `fairness.audit` makes intervals that hold for all pairs and all definitions at once. By race, and then by sex (15 people have
# no entry, and are left out):

# %%
known = table["sex"].notna().to_numpy()
by_race = fairness.audit(y, yes, sensitive_features=race, seed=seed())
by_sex = fairness.audit(
    y[known], yes[known], sensitive_features=table["sex"][known], seed=seed()
)

# %% tags=["nbval-ignore-output"]
print(by_race)
print()
print(by_sex)

# %%
pairs = by_race.pairs.set_index(["metric", "group", "other"])
share = pairs.loc[("selection_rate", "White", "Black")]
claim("By race, approval differs by 5 points at least", share["low"] > 0.05)
pairs = by_sex.pairs.set_index("metric")
claim("By sex, this sample cannot tell", not pairs.loc["selection_rate", "differ"])

# %% [markdown]
# By sex the wrong approvals may differ by ten points and more, or not at all; too few people were refused to know. "Cannot be told from chance" is a statement on the sample. It convicts nobody and acquits nobody.
#
# The second trap: a denominator of **zero**. Cross race with sex among the people of COMPAS ([card](../../book/data_cards/compas.md); 1 means "arrested again", a high score is "not Low").

# %%
people = expand_counts(compas())
arrested, high = people["rearrested"], (people["score_text"] != "Low").astype(int)
crossed = fairness.group_metrics(
    arrested, high, sensitive_features=people[["race", "sex"]]
)
print(crossed.undefined.to_string(index=False))
try:
    fairness.predictive_parity_difference(
        arrested, high, sensitive_features=people[["race", "sex"]]
    )
except fairness.UndefinedMetricError as error:
    print(error)

# %% [markdown]
# Of two Asian women none had a high score. What share of these none was arrested again? There is no answer, and 0 would be a wrong one: it would say that the score always errs on this group. Some libraries
# print it. Ours says "undefined", and refuses a difference that would rest on it.
#
# ## They cannot all hold
#
# Take one group of size $n$ and count its cells in two ways.
#
# $$
# \begin{aligned}
# \mathrm{TP} &= n\, p\, \mathrm{TPR} && \text{of the } n p \text{ positives, this share gets a yes} \\
# \mathrm{FP} &= n\, (1 - p)\, \mathrm{FPR} && \text{and of the negatives, this share} \\
# \mathrm{FP} &= \mathrm{TP} \cdot \frac{1 - \mathrm{PPV}}{\mathrm{PPV}} && \text{since a share PPV of all yes is true} \\
# \mathrm{FPR} &= \frac{p}{1 - p} \cdot \frac{1 - \mathrm{PPV}}{\mathrm{PPV}} \cdot \mathrm{TPR} && \text{all three together}
# \end{aligned}
# $$ (eq-identity)
#
# That is all of it {cite}`chouldechova2017fair`. It assumes nothing: where the rates are defined it holds for every program, every person who decides, every label. Now let two groups have different base rates $p_a \ne p_b$. If $\mathrm{PPV}$ and $\mathrm{TPR}$ are the same
# in both, the last line gives them different $\mathrm{FPR}$. Hold any two of the three, and the third moves.
#
# There are ways out, and it is worth knowing that there are only these: equal base rates; a program that is never wrong when it says yes ($\mathrm{PPV} = 1$, so that $\mathrm{FPR} = 0$); or one that never says yes to anybody who
# deserves it ($\mathrm{TPR} = 0$).


# %%
def forced(p, *, tpr=None, fpr=None, ppv=None):
    """The one of the three rates that is not given."""
    odds = p / (1 - p)
    if fpr is None:
        return odds * (1 - ppv) / ppv * tpr
    if tpr is None:
        return fpr * ppv / (1 - ppv) / odds
    return odds * tpr / (odds * tpr + fpr)


black, white = "African-American", "Caucasian"
rates = fairness.group_metrics(arrested, high, sensitive_features=people["race"]).table
short = {"tpr": "true_positive_rate", "fpr": "false_positive_rate"}
short |= {"ppv": "positive_predictive_value"}
ours = {g: {k: float(rates.loc[g, v]) for k, v in short.items()} for g in rates.index}
p = rates["base_rate"].astype(float)
for name in (black, white):
    for one in short:
        others = {k: v for k, v in ours[name].items() if k != one}
        claim(
            f"{name}: {one.upper()} follows from the other two",
            agree(forced(p[name], **others), ours[name][one]),
        )

# %% [markdown]
# On COMPAS: give African-American defendants two of the rates that Caucasian defendants have, exactly. What happens to the third?

# %% tags=["hide-input", "fig-forced"] mystnb={"image": {"alt": "Three panels, each with a curve over the base rate from 30 to 60 percent, a dot for Caucasian defendants at 39 percent and one for African-American defendants at 51 percent on the same curve. With PPV and TPR held the false positive rate rises from 23 to 38 percent. With PPV and FPR held the true positive rate falls from 52 to 32 percent. With TPR and FPR held the predictive value rises from 59 to 70 percent. A cross marks what African-American defendants really have: 45, 72 and 63 percent."}}
titles = {"fpr": "PPV, TPR held", "tpr": "PPV, FPR held", "ppv": "TPR, FPR held"}
figure, axes = plt.subplots(1, 3, figsize=(7, 3.1), sharey=True)
grid = np.linspace(0.3, 0.6, 50)
for axis, (one, title) in zip(axes, titles.items(), strict=True):
    others = {k: v for k, v in ours[white].items() if k != one}
    axis.plot(100 * grid, 100 * forced(grid, **others), color=COLOURS["black"], lw=1)
    for name, hue in ((white, "orange"), (black, "blue")):
        height = 100 * forced(p[name], **others)
        axis.plot(100 * p[name], height, "o", color=COLOURS[hue], label=name)
        before = name == white and one != "tpr"  # on the free side of the curve
        side = (-6, 5) if before else (5, 5 if one == "tpr" else -11)
        spot, ha = (100 * p[name], height), "right" if before else "left"
        axis.annotate(f"{height:.0f} %", spot, side, textcoords="offset points", ha=ha)
    real = 100 * ours[black][one]
    axis.plot(100 * p[black], real, "x", color=COLOURS["blue"], label="as it is")
    axis.set(title=title, ylabel=f"{one.upper()} (%)", xlabel="base rate (%)")
    axis.set(ylim=(0, 85), xlim=(30, 62))
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *Hold two, and the third moves.* Orange: Caucasian defendants, as they are. Blue dots: what African-American defendants would have, with the two rates in the title equal to the
# others'. Crosses: what they have, which holds none of them exactly, and $\mathrm{PPV}$ most nearly.

# %%
held = {
    one: forced(p[black], **{k: v for k, v in ours[white].items() if k != one})
    for one in titles
}
moved = {one: 100 * (held[one] - ours[white][one]) for one in titles}
claim("FPR would rise by over 14 points", moved["fpr"] > 14)
claim("or TPR fall by over 19", moved["tpr"] < -19)
claim("or PPV rise by over 10", moved["ppv"] > 10)

# %% [markdown]
# **How far do they miss it?** An identity says "not exactly". By how much depends on the score. With equal $\mathrm{PPV}$ and $\mathrm{TPR}$, the two $\mathrm{FPR}$ differ by
#
# $$\left(\frac{p_a}{1 - p_a} - \frac{p_b}{1 - p_b}\right) \cdot \frac{1 - \mathrm{PPV}}{\mathrm{PPV}} \cdot \mathrm{TPR} .$$

# %%
for value in (0.6, 0.9):
    a, b = (forced(p[name], ppv=value, tpr=0.6) for name in (black, white))
    print(f"PPV {value:.1f}, TPR 0.6: FPR differs by {100 * (a - b):.0f} points")
claim("A better score, PPV 0.9: less than 3 points apart", a - b < 0.03)

# %% [markdown]
# So the conflict is sharp where prediction is poor, and people rarely predict well what people will do. This is the practical reply to "it is impossible, so why try": better and more
# relevant information shrinks all the differences at once.
#
# The same counting gives two relatives. With $P(\hat Y = 1) = p\, \mathrm{TPR} + (1 - p)\, \mathrm{FPR}$, equalised odds give unequal shares of yes, unless the decision ignores the outcome ($\mathrm{TPR} = \mathrm{FPR}$). With $\mathrm{PPV} \cdot P(\hat Y = 1) = p\, \mathrm{TPR}$,
# demographic and predictive parity together give unequal opportunity.
#
# ### Calibration and balance
#
# Perhaps the threshold is to blame, and scores would be spared? Kleinberg, Mullainathan and Raghavan closed this way out in 2016 {cite}`kleinberg2017inherent`. Ask of a score that it is calibrated in each group, and
# **balanced**: people with $Y = 1$ have the same mean score $\bar R_1$ in both groups, and people with $Y = 0$ the same mean score $\bar R_0$. (Balance is what equalised odds become, when there is no
# threshold.) Now
#
# - a mean over a group is made of its two parts: $\bar R = (1 - p_a)\, \bar R_0 + p_a\, \bar R_1$;
# - a calibrated score is right on average: $\bar R = p_a$;
# - so $p = (1 - p)\, \bar R_0 + p\, \bar R_1$ holds at $p_a$ and at $p_b$. On both sides stands a straight line in $p$. Two lines that meet twice are one line: $\bar R_0 = 0$ and $\bar R_1 = 1$.
#
# Both demands hold only for equal base rates, or for a score that is never in doubt. To see it, make COMPAS *exactly* calibrated: give everybody the share of their own group
# and decile that was arrested again.

# %%
two = people[people["race"].isin([black, white])]
exact = two.groupby(["race", "decile"])["rearrested"].transform("mean")
means = exact.groupby([two["race"], two["rearrested"]]).mean().unstack()
for name in (black, white):
    mix = (1 - p[name]) * means.loc[name, 0] + p[name] * means.loc[name, 1]
    claim(f"{name}: the mean score is the base rate", agree(mix, p[name]))
apart = 100 * (means.loc[black] - means.loc[white])
claim("Calibrated, and out of balance by over 10 points, twice", apart.min() > 10)

# %% tags=["hide-input", "fig-balance"] mystnb={"image": {"alt": "Mean score against base rate. A dashed diagonal is labelled calibrated. For each group a straight line leads from the mean score of those not arrested at base rate 0 to that of those arrested at base rate 100 percent. The African-American line runs from 46 to 57 percent and crosses the diagonal at its base rate, 51; the Caucasian line, lower, from 35 to 46, crosses it at 39."}}
figure, axis = plt.subplots(figsize=(5.6, 3.5))
axis.plot([0, 100], [0, 100], "--", lw=1, color=COLOURS["black"])
axis.text(78, 72, "calibrated")
for name, hue in ((black, "blue"), (white, "orange")):
    ends = 100 * means.loc[name]
    axis.plot([0, 100], ends, color=COLOURS[hue], label=name)
    axis.plot(100 * p[name], 100 * p[name], "o", color=COLOURS[hue])
axis.set(xlabel="share with $Y = 1$ (%)", ylabel="mean score (%)", xlim=(0, 100))
axis.set(ylim=(0, 100))
axis.text(1.5, 52, "left end: mean score\nof those with $Y = 0$")
axis.text(98.5, 28, "right end: mean score\nof those with $Y = 1$", ha="right")
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# *A line that crosses the diagonal once cannot cross it again.* Balance would make one line of the two; calibration asks that it meets the diagonal at both dots. Only the diagonal itself does: a score that is 0 for all who are not arrested, and 1 for all who are.
#
# **What follows.** Not that fairness is impossible. These are some formulas; each catches one wrong, and which wrong is worst differs from case to case. And "different base rates" is a fact about *labels*. If
# arrests are recorded more often in one group, the theorem is true of the record, and does not make the record right.
#
# ## Just do not look? Unawareness
#
# An old and simple definition has no rate in it. *A decision is fair as long as the protected attribute is not used.*
#
# **For it.** It treats people as people, not as members; it can be checked by reading the program; it needs no labels, no groups in the data, no choice between five formulas. It is close to what laws against
# disparate treatment ask for. If an officer decides, it removes one way to be unfair.
#
# **Against it.** The other columns know. One alone may say little. Suppose that each differs between two groups by 0.3 standard deviations, which nobody would see in a plot. From $m$ such columns, if they are independent, normal and equally spread, the group
# is guessed with an area under the ROC curve of $\Phi(0.3 \sqrt{m / 2})$, where $\Phi$ is the normal distribution function:

# %%
member = draws.random(6000) < 0.5
weak = draws.normal(size=(6000, 64)) + 0.3 * member[:, None]
areas = {}
for m in (1, 4, 16, 64):
    model = LogisticRegression().fit(weak[:3000, :m], member[:3000])
    areas[m] = roc_auc_score(member[3000:], model.decision_function(weak[3000:, :m]))
claim("One column: under 0.65", areas[1] < 0.65)
claim("64 columns: over 0.9", areas[64] > 0.9)
claim(
    "The formula is right to 0.04",
    max(abs(norm.cdf(0.3 * np.sqrt(m / 2)) - area) for m, area in areas.items()) < 0.04,
)

# %% [markdown]
# Back to the loans. The file has 48 columns besides race, sex, and what was known only with the decision or after it. One of them, `min30`, says that in the neighbourhood over 30 % of the people are of a minority. Can race be read off? And what
# changes when it is deleted, from eleven columns and from all?

# %%
later = ["race", "sex", "approve", "typur", "inson", "review"]
files = {11: table[eleven], 48: table.drop(columns=later)}
choices = {}  # (columns, "with" or "without" race): decisions
for size, columns in files.items():
    choices[size, "without"] = approved(scores(columns, y))
    both = pd.concat([columns, minority], axis=1)
    choices[size, "with"] = approved(scores(both, y))
claim("The file has 48 columns", files[48].shape[1] == 48)
area = roc_auc_score(race != "White", scores(files[48], (race != "White").astype(int)))
claim("Race is read off the 48 columns, area over 0.72", area > 0.72)

# %% tags=["nbval-ignore-output"]
few = race != "White"
turned = {}
print(f"area {area:.2f}")
for size in files:
    other = choices[size, "with"] != choices[size, "without"]
    turned[size] = other[few].mean()
    print(
        f"{size} columns: race changes {other.sum()} of {len(y)} decisions, "
        f"{other[few].sum()} of them on {few.sum()} Black and Hispanic applicants"
    )

# %%
same = choices[48, "with"] == choices[48, "without"]
claim("With 48 columns, over 97 % of decisions stay", same.mean() > 0.97)
claim("With 11, race decides over 8 % of the minority's cases", turned[11] > 0.08)
claim("With 48, less than two thirds of that", turned[48] < turned[11] * 2 / 3)
blind = fairness.demographic_parity_difference(
    y, choices[48, "without"], sensitive_features=race
)
claim("Race is deleted, and the gap is over 17 points", blind > 0.17)
harder = y[is_black].mean() - choices[11, "with"][is_black].mean()
claim("11 columns and race: over 5 points harder than the banks", harder > 0.05)

# %% tags=["hide-input", "fig-unaware"] mystnb={"image": {"alt": "Five rows, each with three dots with 95 percent intervals: the share approved of Black, Hispanic and White applicants. The banks: 68, 77, 91 percent. Eleven columns with race: about 56, 69, 93. Eleven without: 69, 79, 90. 48 columns with race: 64, 76, 91. 48 without: 67, 83, 91. With 48 columns the rows with and without race are nearly alike."}}
lines = {"the banks": y, "11 columns and race": choices[11, "with"]}
lines |= {"11 columns": choices[11, "without"]}
lines |= {
    "48 columns and race": choices[48, "with"],
    "48 columns": choices[48, "without"],
}
figure, axis = plt.subplots(figsize=(7, 3.3))
for place, decisions in enumerate(lines.values()):
    found = fairness.audit(y, decisions, sensitive_features=race, draws=50).rates
    found = found[found["metric"] == "selection_rate"].set_index("group")
    for shift, (group, hue) in zip((0.16, 0, -0.16), hues.items(), strict=True):
        rate, low, top = (
            100 * float(found.loc[group, k]) for k in ("rate", "low", "high")
        )
        axis.errorbar(
            rate,
            -place + shift,
            xerr=[[rate - low], [top - rate]],
            fmt="o",
            color=COLOURS[hue],
            label=group if place == 0 else None,
        )
axis.set_yticks(-np.arange(5), lines)
axis.set(xlabel="approved (%)", xlim=(45, 100))
axis.grid(visible=False, axis="y")
figure.legend(loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# *The more a file holds, the less it changes to delete a column.* With eleven columns it matters whether the model sees race. With 48 the two lowest rows differ in fewer than three of a hundred decisions; some
# Hispanic applicants gain, and the gap between Black and White applicants stays.
#
# There are two readings, and these data cannot tell them apart. Either the 48 columns are a **proxy**: together they say "Black", and the model uses that. Or they are the **reasons**, such as debts and late payments, which
# differ between the groups, so that race adds nothing once they are known. A column can be both; one of the 48 is the bank's own verdict on the applicant's credit history. Which columns are legitimate is not a
# question for the model. And in the row "11 columns and race" the model is harder on Black applicants than the banks were: a rule that accepts the most likely ones turns a moderate
# difference in chances into a larger one of decisions.
#
# **Sometimes not looking is the harm.** Take COMPAS by sex. Of women with the same score, fewer are arrested again:

# %%
by_sex = people.groupby(["decile", "sex"])["rearrested"].mean().unstack()
claim("In each decile fewer women", (by_sex["Female"] < by_sex["Male"]).all())
claim("On average over 7 points", (by_sex["Male"] - by_sex["Female"]).mean() > 0.07)
scored = people[people["decile"] >= 5]
both = fairness.audit(
    scored["rearrested"], [1] * len(scored), sensitive_features=scored["sex"]
)
share = both.pairs.set_index("metric").loc["positive_predictive_value"]
claim("Of those scored high, 4 points fewer at least", share["low"] > 0.04)

# %% [markdown]
# A woman with a score of 6 is arrested again about as often as a man with 4. Why, one cannot see, since the formula is secret. But whoever treats equal scores equally, and does not ask for the sex, rates women's risk of arrest too high.
# Skeem and others found the same of a score that leaves sex out, on 14,310 federal offenders {cite}`skeem2016gender`. In *Loomis* the court let a score use sex, because that makes it more
# accurate {cite}`loomis2016state`. Loomis had objected that nobody should be sentenced by sex; the court found that he had not shown that he was. Accuracy alone does not answer the objection. In any case, whoever has no attribute in the data cannot find out: **to delete
# it from the files is to switch off the alarm**. One may keep it for the audit, and out of the decision.
#
# ## What it costs: credit scores
#
# Hardt, Price and Srebro asked what each definition would cost a lender {cite}`hardt2016equality`. The scores are TransUnion's of 2003, published by group by the Federal Reserve; read the [card](../../book/data_cards/fico.md). For each of four groups, named as there, we have how many people
# have each score, and which share of them paid back ($Y = 1$). A loan breaks even where 82 % pay back, so that a default costs 82/18 of what a good loan earns.

# %%
credit = fico()
counts = credit.pivot(index="score", columns="race", values="people")
good = counts * credit.pivot(index="score", columns="race", values="repaid")
earned = (good - 0.82 * counts) / 0.18  # by lending to all with this score
from_top = earned[::-1].cumsum()  # by lending from this score upwards
best = {"max profit": from_top.max().sum()}  # each group has its own threshold
best["race blind"] = from_top.sum(axis=1).max()  # one for all

# %% [markdown]
# With demographic parity or equal opportunity the groups are tied by one number: the share accepted, or the share of the good ones accepted. For each value of it, add up what the groups earn, and take the best.


# %%
def tied(people):
    """The most that is earned when the same share of these people is accepted."""
    shares = people[::-1].cumsum() / people.sum()
    grid = np.linspace(0.1, 0.99, 2000)
    return sum(np.interp(grid, shares[a], from_top[a]) for a in shares).max()


best["equal opportunity"], best["demographic parity"] = tied(good), tied(counts)
rows = pd.concat([credit.assign(y=1), credit.assign(y=0)], ignore_index=True)
weights = rows["people"] * np.where(rows["y"] == 1, rows["repaid"], 1 - rows["repaid"])
names = {"max_profit": "max profit", "single_threshold": "race blind"}
for key in ("equal_opportunity", "equalized_odds", "demographic_parity"):
    names[key] = key.replace("_", " ").replace("ized", "ised")
policies = {
    name: fairness.group_thresholds(
        rows["y"],
        rows["score"],
        sensitive_features=rows["race"],
        constraint=key,
        loss=82 / 18,
        weights=weights,
    )
    for key, name in names.items()
}

# %%
profits = {name: policy.profit * weights.sum() for name, policy in policies.items()}
claim(
    "By hand and by fairness.group_thresholds: the same, to 2 in 1,000",
    all(abs(best[name] / profits[name] - 1) < 2e-3 for name in best),
)
printed = {"max profit": 100, "race blind": 99.3, "equal opportunity": 92.8}
printed |= {"equalised odds": 80.2, "demographic parity": 69.8}
kept = {name: 100 * value / profits["max profit"] for name, value in profits.items()}
claim(
    "Each within a point of the paper's",
    all(abs(kept[name] - printed[name]) < 1 for name in kept),
)

# %% tags=["nbval-ignore-output"]
for name, value in kept.items():
    print(f"{name:18} {value:5.1f} % of the profit; the paper prints {printed[name]} %")

# %% [markdown]
# The rest of the difference is in the tables, which are rounded. (The library may draw lots between two thresholds, and so reaches equality exactly; by hand we came near enough.) What does each rule do to people?

# %% tags=["hide-input", "fig-fico"] mystnb={"image": {"alt": "Two panels with five rows: max profit, race blind, equal opportunity, equalised odds and demographic parity, with 100, 99.4, 92.9, 80.4 and 70.5 percent of the profit. Left: thresholds of four groups. Max profit: Asian 38, White 40, Hispanic 45, Black 48. Race blind: all 41. Equal opportunity: Black 29, Hispanic 34, others 45. Demographic parity: Black 18, Hispanic 32, White 53, Asian 54. Right: of those who would pay back, the share with a loan: max profit Black 43, Hispanic 58, White 82, Asian 85 percent; race blind 55 to 82; equal opportunity all 76; equalised odds all 72; demographic parity White 67, Asian 63, Hispanic 80, Black 90."}}
hues = {"Asian": "green", "Black": "blue", "Hispanic": "orange", "White": "pink"}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6), sharey=True)
for place, policy in enumerate(policies.values()):
    rates = 100 * policy.rates["true_positive_rate"].astype(float)
    for shift, (group, hue) in zip(
        (0.24, 0.08, -0.08, -0.24), hues.items(), strict=True
    ):
        rule = policy.rules[group]
        half = rule.thresholds[np.argmax(rule.probabilities[1:] >= 0.5)]
        left.plot(half, shift - place, "o", ms=5, color=COLOURS[hue])
        label = group if place == 0 else None
        right.plot(
            rates[group], shift - place, "o", ms=5, color=COLOURS[hue], label=label
        )
labels = [f"{name}\n({kept[name]:.1f} %)" for name in policies]
left.set_yticks(-np.arange(5), labels)
left.set(title="threshold", xlabel="score", xlim=(10, 60))
right.set(title="good payers with a loan", xlabel="of the group (%)", xlim=(35, 100))
figure.legend(loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# *Five rules and what they do.* In brackets: the share of the maximal profit. Left: the score from which at least half get a loan. Right: of those who would pay back, how many get one.
#
# - **Max profit** lets the lender use race, and asks *more* of Black applicants, 48 instead of 40, since at the same score fewer of them paid back. Of the Black good payers 43 % get a loan, of the White ones 82 %.
# - **Race blind** costs less than 1 % and has one threshold. Unawareness is cheap here, and it leaves most of the gap in the right panel.
# - **Equal opportunity** gives all good payers the same chance, 76 %, for 7 % of the profit.
# - **Equalised odds** also holds the wrong loans equal. Around this point the score tells good payers from bad least well for Hispanic applicants, and everybody else is brought down to that, by drawing lots.
# - **Demographic parity** gives the same share of each group a loan. Of the Black people who would *not* pay back, a third get one.

# %%
parity = policies["demographic parity"].rates["false_positive_rate"].astype(float)
profit = policies["max profit"].rates
wrong = profit["false_positive_rate"].astype(float)
claim("A third of them", 0.32 < parity["Black"] < 0.34)
claim("against 2 % under max profit", 0.02 < wrong["Black"] < 0.025)
chance = profit["true_positive_rate"].astype(float)
rules = policies["max profit"].rules
asked = [round(rules[g].thresholds[0]) for g in ("Black", "White")]
claim("48 against 40 points", asked == [48, 40])
claim("43 and 82 %", [round(100 * chance[g]) for g in ("Black", "White")] == [43, 82])
same = policies["equal opportunity"].rates["true_positive_rate"].astype(float)
claim("76 % of each", (round(100 * same) == 76).all())
odds = policies["equalised odds"]
held = odds.rates[["true_positive_rate", "false_positive_rate"]].astype(float)
claim("Equalised odds holds exactly", np.ptp(held, axis=0).max() < 1e-9)
lots = {g for g, rule in odds.rules.items() if set(rule.probabilities) != {0, 1}}
claim("with lots for all but Hispanic applicants", lots == {"Asian", "Black", "White"})

# %% [markdown]
# The last point cuts both ways. A loan refused to someone who would have paid keeps a family out of a house. A loan given to someone who cannot pay can cost the house and the credit record, and Liu and others show in a model that parity can so lower
# the scores of the group that it was meant to help {cite}`liu2018delayed`. Whose harm counts how much is not in the table. Nor does the percentage say who pays the 30 %: the lender, or through interest the other customers.
#
# Could a lender in the United States do this? The statute on credit forbids discrimination by race in any aspect of it {cite}`ecoa1974`, and of these five rules only the second does not use race. The others show what is at stake; they are not
# offers. And the file has people who *had* credit, with defaults on any account; it
# does not have those who were never offered any.
#
# ## What goes wrong
#
# **The convenient definition.** Among five, one is usually nearly fulfilled. Choose before you look, and write down why.
#
# **Labels taken as truth.** Four of the five lean on $Y$. Here $Y$ is what banks did.
#
# **A difference without an interval**, or one of groups that were searched for until one differed.
#
# **0 for undefined.** See the two women above.
#
# **Equal by making worse.** All differences vanish when everybody is refused. Print the rates, not only their differences.
#
# **A threshold for a law.** 0.8 is not the law, and 0.79 is not a crime.
#
# ## Evaluate honestly
#
# Say which harm you fear and to whom; which rate counts it, divided by whom; what the label records; then print all rates of all groups with their numbers and intervals, beside the definition that you chose. The rest of the identity is
# then in plain sight. As code: the checks that anybody can make of a table that somebody else has published.


# %%
def consistent(p, tpr, fpr, ppv, slack):
    """Whether the four rates, each off by at most `slack`, can be of one table."""
    steps = np.array(np.meshgrid(*[[-slack, 0, slack]] * 3)).reshape(3, -1)
    reach = forced(p + steps[0], tpr=tpr + steps[1], fpr=fpr + steps[2])
    return bool(reach.min() - slack <= ppv <= reach.max() + slack)


given = {k: round(v, 2) for k, v in ours[black].items()}
claim("COMPAS, rounded to per cent: consistent", consistent(0.51, **given, slack=0.005))
slip = given | {"ppv": 0.72}
claim("With a slip in PPV: not", not consistent(0.51, **slip, slack=0.005))

# %% [markdown]
# ## Practice
#
# **Exercise 1** (15 minutes). *Calibrated, and unfair.* For the loans, make a score that is perfectly calibrated by group and knows nothing about a person but the group. Approve at a score of 0.8 or more. Compute calibration, and the five
# differences. Which definitions would raise an alarm?
#
# <details><summary>Hint 1: the score</summary>
#
# Everybody gets the base rate of their group. `table.groupby("race")["approve"].transform("mean")`.
#
# </details>
#
# <details><summary>Hint 2: what to expect</summary>
#
# One of the differences cannot be computed. Why is that so?
#
# </details>

# %% tags=["hide-cell"]
# Solution: calibration sees nothing wrong. All White and no other applicants are
# approved: demographic parity, equal opportunity and equalised odds differ by 1, as
# much as can be. Predictive parity is undefined: in two groups nobody is approved.
lazy = table.groupby("race")["approve"].transform("mean")
found = fairness.calibration_by_group(y, lazy, sensitive_features=race).summary
claim("Calibrated exactly", found["expected_calibration_error"].max() < 1e-12)
only = (lazy >= 0.8).astype(int)
for difference in (
    fairness.demographic_parity_difference,
    fairness.equal_opportunity_difference,
    fairness.equalized_odds_difference,
):
    claim(difference.__name__, difference(y, only, sensitive_features=race) == 1)
reasons = fairness.group_metrics(y, only, sensitive_features=race).undefined
reasons = reasons[reasons["metric"] == "positive_predictive_value"]
claim("PPV is undefined in two groups", len(reasons) == 2)

# %% [markdown]
# **Exercise 2** (20 minutes). *Equalised odds cost parity.* Derive from the table that two groups with equal $\mathrm{TPR}$ and $\mathrm{FPR}$ have shares of yes that differ by $(p_a - p_b)(\mathrm{TPR} - \mathrm{FPR})$. Check it with the
# policy of equalised odds on the credit scores. What would the two demands together make of the program?
#
# <details><summary>Hint 1: the share of yes</summary>
#
# It is made of two parts: those with $Y = 1$ and those with $Y = 0$. How large is each, and which share of it gets a yes?
#
# </details>
#
# <details><summary>Hint 2: the check</summary>
#
# `policies["equalised odds"].rates` has the rates; base rates are `good.sum() / counts.sum()`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: P(yes) = p TPR + (1 - p) FPR = FPR + p (TPR - FPR); subtract for a and b.
# With both demands and different base rates TPR = FPR: the yes has nothing to do with
# the outcome.
rates = policies["equalised odds"].rates.astype(float)
p_credit = good.sum() / counts.sum()
reach = rates["true_positive_rate"] - rates["false_positive_rate"]
left_side = rates.loc["White", "selection_rate"] - rates.loc["Black", "selection_rate"]
right_side = (p_credit["White"] - p_credit["Black"]) * reach["White"]
claim("Both sides are equal", abs(left_side - right_side) < 1e-9)
claim("25 points", 0.24 < left_side < 0.27)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A perfect prediction, Ŷ = Y, and groups with different base rates. Which definition does it violate?
# + Demographic parity :: It accepts exactly the base rates, which differ.
# - Equalised odds :: TPR is 1 and FPR is 0 in each group.
# - Predictive parity :: PPV is 1 in each group.
# ? PPV is equal in two groups, and so is TPR. Base rates are 30 and 50 %. What about FPR?
# - It is equal too :: The identity has the base rate in it.
# + It is higher in the group with 50 % :: FPR grows with p / (1 − p), unless PPV is 1.
# - It can be anything :: Three numbers of a group fix the fourth.
# ? A score is calibrated in each group. What does that exclude?
# - That good applicants of one group are all refused :: Exercise 1 does just that.
# + That 70 % means seven in ten in one group and five in ten in the other :: This is what calibration says, and all it says.
# - That the innocent of one group have higher mean scores :: With different base rates some such difference follows from it, unless the score is never in doubt.
# ? Race is not among the columns, and decisions hardly change when it is added. What follows?
# - The model does not discriminate :: The columns may be saying it together.
# - The model uses proxies :: Or the columns are the reasons. These two cannot be told apart from decisions alone.
# + Deleting race changes few decisions :: This much was measured.
# ? A report on four groups of 40 people says "largest difference 15 points". How alarming is it?
# - Very: 15 points are a lot :: Four fair coins differ as much.
# + Not by itself :: Chance alone makes about 16 points of such groups; ask for the interval.
# - Not at all: it was chance :: It may be a true difference, too. The sample cannot tell.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** The definitions force one to say which people are compared, and which mistake counts. They can be computed by outsiders, from counts alone. The theorems end a kind of dispute in which each side proves its case by its own formula.
#
# **Limitations.** They compare groups that somebody has defined, with labels that somebody has recorded, at one moment. They do not see causes, what a decision does later, or whether it should be made at all. A program that holds one of them is not thereby fair; one that
# violates one of them is not thereby unfair. It owes an explanation.
#
# **Software.** [Fairlearn](https://fairlearn.org) and [AIF360](https://github.com/Trusted-AI/AIF360) compute these and many more; mind how they treat empty denominators. In this library: `fairness.group_metrics`, the five differences,
# `fairness.calibration_by_group`, `fairness.audit`, `fairness.group_thresholds`.
#
# ## What to take away
#
# Each definition protects somebody: the group, the deserving, those who rely on the answer, those who get the number. With different base rates and a score that errs, you cannot protect them all, and not looking protects nobody. Choose by the harm, say so, show the
# other rates, and put an interval on each. Next: [how to change a model, and what it costs](mitigation.ipynb).
