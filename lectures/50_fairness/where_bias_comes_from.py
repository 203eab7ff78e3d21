# %% [markdown]
# # 5.1 Where bias comes from
#
# A lender approves every second applicant from one part of town, and three in ten from the other. Everyone in the room has an explanation. This lecture
# builds towns in which we know the truth, lets twelve kinds of bias creep in, each by another door, and shows for each which check would have seen it.
#
# **What you will learn**
#
# - why one and the same gap can have quite different causes, and what tells them apart;
# - the loop from data to algorithm to people and back to data, and where twelve kinds of bias sit on it;
# - to simulate each kind in a few lines, with a truth that we know, and to write the check that finds it;
# - what happens to people who are rare in the data, and why the usual test does not notice;
# - what a check cannot decide.
#
# **Before you start**: the [pipeline](../00_foundations/trust.ipynb), from data to a decision; a [logistic regression and its coefficients](../40_interpretability/self_explaining.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tml_helpers.claims import claim, seed
from tml_helpers.data import german_credit
from tml_helpers.fairness import group_metrics
from tml_helpers.plotting import COLOURS, use_style

use_style()
draws = np.random.default_rng(seed())

# %% [markdown]
# ## The question: one gap, three towns
#
# Ash, Birch and Cedar are invented towns. In each live two groups of people, which we call a and b. Each town has one lender, who approves the best 40 %
# of all who apply, by a score that was learnt from the past. Nobody's group is in the score. Here is what an auditor sees.


# %%
def sigmoid(score):
    return 1 / (1 + np.exp(-score))


def gap(values, b):
    """The mean in group b minus that in group a, in points (per cent)."""
    return 100 * (values[b].mean() - values[~b].mean())


def applicants(town, n=40_000):
    """Who is in group b, the files, whether they would repay, the lessons."""
    b = draws.random(n) < 0.5
    means = draws.normal(size=n) - 0.6 * b * (town == "Cedar")
    form = means - 0.6 * b * (town == "Birch")
    street = b ^ (draws.random(n) < 0.1)  # where b mostly lives
    repays = draws.random(n) < sigmoid(2.5 * means)
    officers = form - 0.95 * b + draws.normal(0, 0.5, n) > 0  # who said yes
    files = np.column_stack([form, street if town == "Ash" else 0 * street])
    return b, files, repays, officers if town == "Ash" else repays


# %%
towns = {}
for town in ("Ash", "Birch", "Cedar"):
    b, files, repays, lessons = applicants(town)
    score = LogisticRegression().fit(files, lessons).decision_function
    bar = np.quantile(score(files), 0.6)
    towns[town] = b, files, repays, score, bar
gaps = {t: gap(s(files) > bar, b) for t, (b, files, _, s, bar) in towns.items()}

# %%
claim("In each town b is behind by over 15 points", max(gaps.values()) < -15)
claim(
    "The three gaps differ by less than 7 points",
    max(gaps.values()) - min(gaps.values()) < 7,
)


# %% tags=["hide-input", "fig-towns"] mystnb={"image": {"alt": "Three pairs of bars, one for each of the towns Ash, Birch and Cedar. In all three about half of group a is approved and about three in ten of group b. The three pairs look the same."}}
def pair(axis, at, heights):
    """A bar for a and one for b, with their names on top."""
    for shift, name, height, hue in zip(
        (-0.2, 0.2), "ab", heights, ("blue", "orange"), strict=True
    ):
        axis.bar(at + shift, height, 0.36, color=COLOURS[hue])
        axis.text(at + shift, height + 1, name, ha="center")


figure, axis = plt.subplots(figsize=(5.6, 2.8))
for k, (b, files, _, score, bar) in enumerate(towns.values()):
    yes = score(files) > bar
    pair(axis, k, [100 * yes[~b].mean(), 100 * yes[b].mean()])
axis.set_xticks(range(3), towns)
axis.set(ylabel="approved (%)", ylim=(0, 65))
axis.grid(axis="x", visible=False)
plt.show()

# %% [markdown]
# *Three towns, one picture.* In Ash the score has learnt from officers who were harder on b. In Birch the form measures b too low. In Cedar b has less to
# repay with. Which is which cannot be seen here, and no cleverer look at these six bars will show it: they are the same bars. What would you ask for, to tell the towns apart?
# We come back to it at the end.
#
# Two words first. In this chapter the **bias** of what we are told is
#
# $$\text{bias} = \hat q - q ,$$
#
# with a quantity $q$ of the world, such as the share of b that would repay, and $\hat q$, what data or an algorithm say of it. This is the statistician's word, and it makes no charge
# against anybody. Whether a bias is *unfair* depends on whom it harms and what they are owed; that question belongs to people, and the next four
# lectures give them numbers for it. And a **gap** between groups is not yet a bias: the gap in Cedar is true.
#
# ## The loop
#
# Data make an algorithm, the algorithm shows and decides things for people, and what people then do becomes the next data. Mehrabi and colleagues sorted
# the known biases along this loop {cite}`mehrabi2021survey`. We take twelve.

# %% tags=["hide-input", "fig-loop"] mystnb={"image": {"alt": "A triangle of three boxes, data at the lower left, algorithm at the top, people at the lower right. An arrow from data to algorithm carries the words historical, aggregation, temporal, social. An arrow from algorithm to people carries population, ranking, evaluation, emergent. An arrow from people back to data carries behavioural, presentation, linking, content production."}}
figure, axis = plt.subplots(figsize=(6, 3.9))
corners = {"data": (1.5, 1), "algorithm": (5, 5), "people": (8.5, 1)}
for name, (x, y) in corners.items():
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "linewidth": 1.5}
    axis.text(x, y, name, ha="center", va="center", size=13, weight="bold", bbox=box)
sides = [
    ((1.9, 1.7), (4.2, 4.4), (2.2, 3.6), "right", "blue"),
    ((5.8, 4.4), (8.1, 1.7), (7.8, 3.6), "left", "orange"),
    ((7.4, 1), (2.4, 1), (5, 0.5), "center", "green"),
]
words = [
    "historical\naggregation\ntemporal\nsocial",
    "population\nranking\nevaluation\nemergent",
    "behavioural · presentation\nlinking · content production",
]
for (start, end, (x, y), side, hue), kinds in zip(sides, words, strict=True):
    style = {"arrowstyle": "-|>", "lw": 3, "color": COLOURS[hue], "mutation_scale": 22}
    axis.annotate("", end, start, arrowprops=style)
    high = "top" if side == "center" else "center"
    axis.text(x, y, kinds, ha=side, va=high, size=11, color=COLOURS[hue])
axis.set(xlim=(0, 10), ylim=(-0.7, 5.7))
axis.axis("off")
plt.show()

# %% [markdown]
# *Twelve kinds, four on each arrow.* The places are an aid to memory, not a law: the survey's own text puts several of these names on another arrow, and many real cases are two or three
# kinds at once. What matters is the direction. Ask of each number: what has it passed through before it reached me?
#
# Others sort the causes by what went wrong: the *data* lack some people, the *labels* carry prejudice or stand in badly for what is meant, the *objective* is an
# average that hides those who are few, the *deployment* happens elsewhere than the training. All four are below: under *population*, *historical*, *aggregation* and *emergent*.
#
# For the twelve experiments we use one company throughout: a website on which people ask for loans and other people fund them. Everything is invented, so that we know the truth. For each
# kind we write down three numbers: **the truth**, **what we are told**, and **what a check says** that somebody could do who does not know the truth.

# %%
found = {}  # kind -> truth, told, check; in per cent or points
shown = {}  # kind -> what its panel draws

# %% [markdown]
# ## From data to algorithm
#
# **Historical bias** is in the world before anybody collects data. Amazon tried out a program that rated applications for jobs; it had learnt from ten years of
# applications, mostly by men, and marked down those with the word "women's", Reuters reported; the company said that its recruiters never used it to evaluate candidates {cite}`dastin2018amazon`. Here, officers asked more of b. The new model
# never sees the group, but it sees the street. *The check*: by lot, lend to 4,000 people whatever the model says, and see who repays.

# %%
n = 20_000
b = draws.random(n) < 0.5
means = draws.normal(size=n)
street = b ^ (draws.random(n) < 0.1)
repays = draws.random(n) < sigmoid(2 * means)
officers = means - 0.8 * b + draws.normal(0, 0.5, n) > 0
files = np.column_stack([means, street])
model = LogisticRegression().fit(files, officers)
yes = model.predict(files)
lot = draws.choice(n, 4000, replace=False)
truth = gap(sigmoid(2 * means), b)
found["historical"] = truth, gap(yes, b), gap(repays[lot], b[lot])
shown["historical"] = model

# %%
claim(
    "The model repeats over half of the officers' gap",
    gap(yes, b) < gap(officers, b) / 2,
)

# %% [markdown]
# **Aggregation bias** draws a conclusion about a few from the many. A monthly plan was offered by lot, which is the best that an experiment can do. It helps a,
# four fifths of the people, and harms b. *The check*: the same experiment, read by group.

# %%
n = 40_000
b = draws.random(n) < 0.2
plan = draws.random(n) < 0.5
repays = draws.random(n) < 0.7 + plan * np.where(b, -0.12, 0.10)
everyone = np.full(n, True)


def effect(who):
    return 100 * (repays[who & plan].mean() - repays[who & ~plan].mean())


found["aggregation"] = -12, effect(everyone), effect(b)
shown["aggregation"] = {
    name: [100 * repays[who & ~plan].mean(), 100 * repays[who & plan].mean()]
    for name, who in (("a", ~b), ("all", everyone), ("b", b))
}

# %%
claim("On the whole the plan helps", effect(everyone) > 0)
claim("It costs b over 6 points", effect(b) < -6)

# %% [markdown]
# **Temporal bias** takes yesterday's people for today's. Year after year, what makes a borrower sound shifts a little from the salary to the turnover of an account; each year is exactly
# as hard to predict as any other. A model learns from years 3 and 4 and is used in year 6. Its test set was drawn at random from its own years. *The check*: learn
# from older years, and test as far ahead as the model will be used. (Averages over time mislead as well: on Reddit comments got shorter over the years, while those of
# each year's newcomers got longer with time {cite}`barbosa2016averaging`.)


# %%
def borrowers(year, n=4000):
    """What a file says, salary and turnover, and whether the person repays."""
    x = draws.normal(size=(n, 2))
    turn = np.radians(18 * year)
    return x, draws.random(n) < sigmoid(4 * (x @ [np.cos(turn), np.sin(turn)]))


def learnt(*years):
    x, y = (np.concatenate(part) for part in zip(*years, strict=True))
    return LogisticRegression().fit(x, y)


def error(model, data):
    return 100 * (1 - model.score(*data))


years = {year: borrowers(year) for year in range(1, 7)}
model, earlier = learnt(years[3], years[4]), learnt(years[1], years[2])
told = np.mean([error(model, borrowers(year)) for year in (3, 4)])
found["temporal"] = error(model, years[6]), told, error(earlier, years[4])
shown["temporal"] = [error(model, data) for data in years.values()]

# %%
claim(
    "In use it errs half as much again as its test said",
    found["temporal"][0] > 1.5 * told,
)

# %% [markdown]
# **Social bias**: what others have said changes what we say. In an experiment with over 100,000 comments on a news site, one vote up, given by lot before anyone else had voted, raised the final
# rating by 25 % on average {cite}`muchnik2013social`. Here 800 borrowers are rated by 60 people each, all equally good. Only the first three raters are prejudiced; those who follow see the
# mean so far and mostly agree with it. *The check*: ratings that are given before the others are shown.

# %%
b = np.arange(800) % 2 == 1
likes, course = np.zeros(800), []
for k in range(60):
    first = np.where(b, 0.4, 0.7)
    like = first if k < 3 else 0.2 * 0.7 + 0.8 * likes / k
    likes += draws.random(800) < like
    course.append([100 * (likes / (k + 1))[who].mean() for who in (~b, b)])
blind = draws.binomial(60, 0.7, 800) / 60
found["social"] = 0, gap(likes / 60, b), gap(blind, b)
shown["social"] = np.array(course), 100 * blind.mean()

# %%
claim(
    "After 57 raters without prejudice b is still over 8 points behind",
    gap(likes / 60, b) < -8,
)

# %% tags=["hide-input", "fig-data-to-algorithm"] mystnb={"image": {"alt": "Four panels. Historical: the model's probability of a yes against means; the curve of b's streets lies to the right of that of a's streets. Aggregation: repaid without and with the plan; the line of a rises, that of b falls, that of all rises. Temporal: the error by year, lowest in years 3 and 4 and far higher in year 6 than the dashed line of the random test. Social: the mean rating over 60 raters; a starts near 70 per cent and stays, b starts near 40 and creeps up to under 60; a dashed line at 70 is the blind rating."}}
figure, ((one, two), (three, four)) = plt.subplots(2, 2, figsize=(7, 5.2))
grid = np.linspace(-2, 2)
for name, value, hue in (("a's streets", 0, "blue"), ("b's streets", 1, "orange")):
    at = np.column_stack([grid, np.full(50, value)])
    chance = 100 * shown["historical"].predict_proba(at)[:, 1]
    one.plot(grid, chance, color=COLOURS[hue], label=name)
one.set(title="historical", xlabel="means", ylabel="a yes (%)")
one.legend(fontsize=9)
hues = {"a": "blue", "all": "black", "b": "orange"}
for name, ends in shown["aggregation"].items():
    two.plot([0, 1], ends, "o--" if name == "all" else "o-", color=COLOURS[hues[name]])
    two.text(1.06, ends[1], name, va="center")
two.set(title="aggregation", ylabel="repaid (%)", xlim=(-0.2, 1.3))
two.set_xticks([0, 1], ["no plan", "plan"])
three.plot(range(1, 7), shown["temporal"], "o-", color=COLOURS["black"])
three.axhline(found["temporal"][1], ls="--", color=COLOURS["pink"])
three.text(1.7, found["temporal"][1] - 1, "told", va="top", color=COLOURS["pink"])
three.axvspan(2.8, 4.2, color="#eeeeee")
three.text(3.5, max(shown["temporal"]), "learnt", ha="center", va="top")
three.set(title="temporal", xlabel="year", ylabel="error (%)", ylim=(8, None))
course, blind = shown["social"]
for name, line, hue in zip("ab", course.T, ("blue", "orange"), strict=True):
    four.plot(range(1, 61), line, color=COLOURS[hue], label=name)
four.axhline(blind, ls="--", color=COLOURS["green"], label="blind")
four.set(title="social", xlabel="raters so far", ylabel="liked (%)", ylim=(30, 80))
four.legend(fontsize=9, ncols=3, loc="lower right")
plt.show()

# %% [markdown]
# *Four ways to learn something false from true records.* Upper left: with the same means, the wrong street costs a large part of one's chance. Upper right: the dashed line rises, and b's falls. Lower left:
# the dashed line is what the random test promised, and the last point what year 6 got. Lower right: three prejudiced raters, and 57 without prejudice do not undo it.
#
# ## From algorithm to people
#
# **Population bias**: those who use a thing are not those for whom it is meant. Of the site's users 85 % are of group a, of the town 60 %. The app works for 95 % of a
# and for 55 % of b. *The check*: weigh the users' answers by the town's shares, which the census has.

# %%
town, users = 0.40, 0.15  # the share of b
works = {"a": 0.95, "b": 0.55}
n = 4000
b = draws.random(n) < users
answer = draws.random(n) < np.where(b, works["b"], works["a"])
truth = 100 * ((1 - town) * works["a"] + town * works["b"])
told = 100 * answer.mean()
weights = np.where(b, town / b.mean(), (1 - town) / (1 - b.mean()))
found["population"] = truth, told, 100 * np.average(answer, weights=weights)
shown["population"] = {"users": users, "town": town}

# %%
claim("The users' answers are over 5 points too rosy", told - truth > 5)

# %% [markdown]
# **Ranking bias**: what stands on top is clicked because it stands on top, and then it stands on top because it was clicked {cite}`joachims2017unbiased`. Twenty offers, equally good; those of a came a day earlier
# and have one click more. People look at place $r$ with a chance proportional to $1/r$. *The check*: every twentieth visitor gets the list in random order, and only
# these clicks are counted.

# %%
b = np.arange(20) % 2 == 1
look = 1 / np.arange(1, 21)
look /= look.sum()
clicks, shuffled = np.where(b, 1, 2), np.zeros(20)
for _ in range(400):
    order = np.argsort(-clicks, kind="stable")
    clicks[order] += draws.multinomial(95, look)
    shuffled[draws.permutation(20)] += draws.multinomial(5, look)


def lead(counts):
    """Clicks on b's offers minus clicks on a's, in % of all."""
    return 100 * (counts[b].sum() - counts[~b].sum()) / counts.sum()


found["ranking"] = 0, lead(clicks), lead(shuffled)
order = np.argsort(-clicks)
shown["ranking"] = 100 * clicks[order] / clicks.sum(), b[order]

# %%
claim("One click of difference became a lead of over 30 points", lead(clicks) < -30)

# %% [markdown]
# **Evaluation bias**: the benchmark is not the world. In two much-used benchmarks for faces, 79.6 % and 86.2 % of the people had lighter skin; on a balanced one, the errors that the average had hidden came out
# {cite}`buolamwini2018gender`. With a share $\pi$ of b, and the error $e$ of each group,
#
# $$e(\pi) = (1 - \pi)\, e_a + \pi\, e_b . $$ (eq-test-set)
#
# So whoever mixes the test set chooses the number. *The check*: the error by group, weighed with the shares of those who will be judged.


# %%
def pictures(n, share):
    """Who is in b, features, labels: alike in difficulty, unlike in direction."""
    b = draws.random(n) < share
    x = draws.normal(size=(n, 5))
    turn = np.radians(60) * b
    signal = x[:, 0] * np.cos(turn) + x[:, 1] * np.sin(turn)
    return b, x, draws.random(n) < sigmoid(5 * signal)


_, x, y = pictures(4000, 0.05)
model = LogisticRegression().fit(x, y)
b, x, y = pictures(20_000, 0.05)  # the benchmark
bench = group_metrics(y, model.predict(x), sensitive_features=np.where(b, "b", "a"))
e_a, e_b = 100 * (1 - bench.rates("accuracy"))
_, many, labels = pictures(40_000, 0.40)  # the town
told, truth = 100 * (1 - model.score(x, y)), 100 * (1 - model.score(many, labels))
found["evaluation"] = truth, told, 0.6 * e_a + 0.4 * e_b
shown["evaluation"] = e_a, e_b

# %%
claim("For b it errs over twice as often", e_b > 2 * e_a)
claim(
    "The benchmark's error is its groups' errors, mixed",
    np.isclose(told, (1 - b.mean()) * e_a + b.mean() * e_b),
)

# %% [markdown]
# **Emergent bias** comes with use, after the design is finished {cite}`friedman1996bias`. On its first day the rule approves both groups alike. Then advisers find out what it looks at, and whoever can pay one and is not far below
# the bar lifts the figure over it. In a many can pay, in b few. *The check*: do not audit once; look at 2,000 applications every month.


# %%
def month(t, n):
    """Who is in b, and who is approved, t months after the start."""
    b = draws.random(n) < 0.5
    means = draws.normal(size=n)
    advised = draws.random(n) < np.where(b, 0.1, 0.8) * t / 12
    return means + 0.8 * (advised & (means < 0)) > 0, b


course = [gap(*month(t, 2000)) for t in range(13)]
audit = gap(*month(0, 40_000))
found["emergent"] = gap(*month(12, 40_000)), audit, np.mean(course[-3:])
shown["emergent"] = course

# %%
claim("At the start nothing is to be seen: under 3 points", abs(audit) < 3)
claim("After a year b is over 12 points behind", found["emergent"][0] < -12)

# %% tags=["hide-input", "fig-algorithm-to-people"] mystnb={"image": {"alt": "Four panels. Population: two horizontal bars; b makes up 15 per cent of the users and 40 per cent of the town. Ranking: the clicks on twenty offers, sorted; the tall bars on the left belong to a. Evaluation: the error rises in a straight line with the share of b in the test set, with marks for the benchmark at 5 per cent and the town at 40. Emergent: the monthly gap in approvals falls from about zero to about minus twenty points within a year."}}
figure, ((one, two), (three, four)) = plt.subplots(2, 2, figsize=(7, 5.2))
for k, share in enumerate(shown["population"].values()):
    one.barh(k, 100 - 100 * share, color=COLOURS["blue"])
    one.barh(k, 100 * share, left=100 - 100 * share, color=COLOURS["orange"])
    one.text(3, k, f"a {1 - share:.0%}", color="white", va="center")
    one.text(97, k, "b", color="white", va="center", ha="right")
one.set(title="population", xlabel="people (%)")
one.set_yticks([0, 1], shown["population"])
one.grid(visible=False)
share, b = shown["ranking"]
two.bar(range(1, 21), share, color=np.where(b, COLOURS["orange"], COLOURS["blue"]))
two.set(title="ranking", xlabel="place", ylabel="clicks (%)")
two.set_xticks([1, 10, 20])
e_a, e_b = shown["evaluation"]
three.plot([0, 100], [e_a, e_b], color=COLOURS["black"])
for name, at, hue in (("benchmark", 5, "pink"), ("town", 40, "green")):
    high = e_a + at / 100 * (e_b - e_a)
    three.plot(at, high, "o", color=COLOURS[hue], ms=9)
    three.text(at + 6, high, name, color=COLOURS[hue], va="top")
three.set_ylim(0, None)
three.set(title="evaluation", xlabel="b in the test set (%)", ylabel="error (%)")
four.plot(range(13), shown["emergent"], "o-", color=COLOURS["green"])
four.plot(0, found["emergent"][1], "D", color=COLOURS["pink"], ms=8)
four.text(0.6, 5.5, "the audit", color=COLOURS["pink"])
four.set(title="emergent", xlabel="months in use", ylabel="gap, b − a (points)")
four.set(ylim=(-28, 9), xticks=range(0, 13, 3))
plt.show()

# %% [markdown]
# *Four ways to serve people badly with a number that is right somewhere.* Upper left: who answers, and who lives there. Upper right: orange offers are as good as blue ones; they came a day later.
# Lower left: one model, and each test set has its own truth. Lower right: an audit is a photograph, and the system moves.
#
# ## From people to data
#
# **Behavioural bias**: the same person behaves otherwise on another device, platform or day. Emoji are one example: the same sign looks different on different phones, and is read as another mood {cite}`miller2016blissfully`. Here
# careful borrowers give more details, but on a phone everybody gives fewer, and b mostly has phones. *The check*: compare within a device, by giving it to the model.

# %%
n = 20_000
b = draws.random(n) < 0.5
phone = draws.random(n) < np.where(b, 0.8, 0.2)
care = draws.normal(size=n)
repays = draws.random(n) < sigmoid(2 * care)
details = care - 1.2 * phone


def foretold(*columns):
    files = np.column_stack(columns)
    return LogisticRegression().fit(files, repays).predict_proba(files)[:, 1]


truth = gap(sigmoid(2 * care), b)
told, check = gap(foretold(details), b), gap(foretold(details, phone), b)
found["behavioural"] = truth, told, check
shown["behavioural"] = details, phone

# %%
claim("It foretells over 10 points less for b", told < -10)

# %% [markdown]
# **Presentation bias**: one cannot click what one does not see {cite}`baezayates2018bias`. Cards with a photograph are seen by 80 % of the visitors, plain lines by 25 %. Of those who see an offer, 40 % open it,
# whosever it is. Fewer of b's offers have a photograph. *The check*: divide by those who saw it, not by all who came.

# %%
n = 40_000  # an offer and a visitor
b = draws.random(n) < 0.5
photograph = draws.random(n) < np.where(b, 0.3, 0.7)
seen = draws.random(n) < np.where(photograph, 0.80, 0.25)
opened = seen & (draws.random(n) < 0.40)
found["presentation"] = 0, gap(opened, b), gap(opened[seen], b[seen])
shown["presentation"] = {
    "of all\nvisitors": [100 * opened[who].mean() for who in (~b, b)],
    "of those\nwho saw it": [100 * opened[who & seen].mean() for who in (~b, b)],
}

# %%
claim("b's offers seem less wanted, by over 5 points", gap(opened, b) < -5)

# %% [markdown]
# **Linking bias**: a network of contacts is not what people do with each other. On Facebook, the network of those who really interact was found to look quite different from that of declared friends
# {cite}`wilson2009user`. Here the site trusts the half with the longer lists of friends. People of b keep shorter lists and write as much. *The check*: count messages.

# %%
n = 4000
b = np.arange(n) % 2 == 1
friends = draws.poisson(np.where(b, 15, 25) * draws.lognormal(0, 0.5, n))
messages = draws.poisson(60 * draws.lognormal(0, 0.5, n))
trusted, active = (count > np.median(count) for count in (friends, messages))
found["linking"] = 0, gap(trusted, b), gap(active, b)
shown["linking"] = friends, messages, b
claim("b is trusted less often by over 20 points", gap(trusted, b) < -20)

# %% [markdown]
# **Content production bias**: people write differently. Programs that recognise languages took English as some African-American users of Twitter write it for another language more often than that of
# white users {cite}`blodgett2017racial`. Here ten ideas occur in requests, five that speak for a borrower and five against. For each idea b has, mostly, a word of its own. Of the 1,000 texts to learn from
# 98 % are by a. Like most models for text, this one keeps the weights of rare words small, and it lets pass only what it is sure of. *The check*: people who know both ways of writing read 2,000 requests.


# %%
def texts(n, share):
    """Who is in b, counts of 20 words (a's ten, b's ten), whether it is sound."""
    b, sound = draws.random(n) < share, draws.random(n) < 0.5
    speaks = np.repeat([0.6, -0.6], 5)
    ideas = np.exp(np.where(sound[:, None], speaks, -speaks))
    own = np.where(b, 0.9, 0.0)[:, None]
    words = [draws.poisson(ideas * (1 - own)), draws.poisson(ideas * own)]
    return b, np.hstack(words), sound


_, words, sound = texts(1000, 0.02)
model = LogisticRegression(C=0.1).fit(words, sound)
b, words, sound = texts(10_000, 0.5)
passed = model.predict_proba(words)[:, 1] > 0.9
read = draws.choice(10_000, 2000, replace=False)
judged = sound[read] ^ (draws.random(2000) < 0.05)  # readers err, too
found["content production"] = gap(sound, b), gap(passed, b), gap(judged, b[read])
shown["content production"] = model.coef_[0]
rates = group_metrics(sound, passed, sensitive_features=np.where(b, "b", "a"))

# %%
claim(
    "Of sound requests, over 20 points fewer of b's pass",
    100 * rates.difference("true_positive_rate") > 20,
)


# %% tags=["hide-input"]
def links_and_messages(axis, friends, messages, b):
    """Each person a dot; right of the line is the longer half of the lists."""
    for name, who, hue in (("a", ~b, "blue"), ("b", b, "orange")):
        style = {"s": 7, "alpha": 0.5, "color": COLOURS[hue], "label": name}
        axis.scatter(friends[who], messages[who], **style)
    axis.axvline(np.median(friends), ls="--", color=COLOURS["black"], lw=1)
    axis.set(title="linking", xlabel="friends", ylabel="messages")
    axis.set(xscale="log", yscale="log", xlim=(2, 120), ylim=(8, 600))
    axis.set_xticks([5, 20, 80], ["5", "20", "80"])
    axis.set_yticks([10, 100, 500], ["10", "100", "500"])
    axis.minorticks_off()
    axis.legend(fontsize=9, ncols=2, loc="upper left", markerscale=2)


def words_of_both(axis, first, second):
    """Each idea a dot: the weight of b's word for it against that of a's."""
    limit = 1.1 * max(np.abs(first).max(), np.abs(second).max())
    axis.plot([-limit, limit], [-limit, limit], "--", color=COLOURS["black"], lw=1)
    axis.plot(first, second, "o", color=COLOURS["pink"])
    axis.set(title="content production", xlabel="weight of a's word")
    axis.set(ylabel="of b's word", xlim=(-limit, limit), ylim=(-limit, limit))


# %% tags=["hide-input", "fig-people-to-data"] mystnb={"image": {"alt": "Four panels. Behavioural: two histograms of details given; that of phones lies to the left of that of desktops. Presentation: pairs of bars; of all visitors fewer open b's offers, of those who saw it as many. Linking: a cloud of dots, messages against friends, with logarithmic axes; b's dots lie further left and as high as a's. Content production: a dot for each of ten ideas, the weight of b's word against that of a's; the dots lie nearer to zero than the diagonal."}}
figure, ((one, two), (three, four)) = plt.subplots(2, 2, figsize=(7, 5.2))
details, phone = shown["behavioural"]
for name, who, hue in (("phone", phone, "green"), ("desktop", ~phone, "sky")):
    style = {"bins": np.linspace(-5, 4, 46), "alpha": 0.6, "label": name}
    one.hist(details[who], color=COLOURS[hue], **style)
one.set(title="behavioural", xlabel="details given", ylabel="people")
one.set_ylim(0, 1150)
one.legend(fontsize=9, ncols=2)
for k, heights in enumerate(shown["presentation"].values()):
    pair(two, k, heights)
two.set(title="presentation", ylabel="opened (%)", ylim=(0, 50))
two.set_xticks([0, 1], shown["presentation"])
links_and_messages(three, *(part[:600] for part in shown["linking"]))
words_of_both(four, *np.split(shown["content production"], 2))
plt.show()

# %% [markdown]
# *Four ways to write records that are not about the person.* Upper left: the device explains who gives details. Upper right: both pairs come from the same clicks. Lower left: right of the dashed line one is trusted; b's dots
# lie as high as a's, but further to the left. Lower right: each dot is an idea; were both words for it understood alike, the dots would lie on the dashed line.
#
# ## Twelve rows
#
# All of it in one table: the truth that only we know, what the company was told, and what the check says.

# %% tags=["nbval-ignore-output"]
measured = [
    "yes, b − a", "effect on b", "error, year 6", "liked, b − a",
    "app works, town", "clicks, b − a", "error, town", "yes, b − a",
    "will repay, b − a", "opened, b − a", "trusted, b − a", "passed, b − a",
]  # fmt: skip
table = pd.DataFrame(found, index=["truth", "told", "check"]).T.round(1)
table.insert(0, "of what", measured)
print(table.to_string())

# %%
biases = {kind: abs(told - truth) for kind, (truth, told, _) in found.items()}
left = {kind: abs(check - truth) for kind, (truth, _, check) in found.items()}
claim("There are twelve", len(found) == 12)
claim("Each is off by over 4 points", min(biases.values()) > 4)
claim(
    "Each check by less than half of that", all(left[k] < biases[k] / 2 for k in found)
)

# %% tags=["hide-input", "fig-twelve"] mystnb={"image": {"alt": "Twelve rows, four for each arrow of the loop. In each a black bar marks the truth, a pink diamond what was told, a green dot what the check says. The green dots lie at or near the black bars, the pink diamonds far from them, to the left in most rows with a true gap of zero, to the wrong side in all."}}
figure, axis = plt.subplots(figsize=(7, 5.4))
looks = {
    "truth": ("|", "black", 17),
    "told": ("D", "pink", 8),
    "check": ("o", "green", 7),
}
for k, values in enumerate(found.values()):
    axis.plot(values[:2], [k, k], color="#bbbbbb", lw=3, zorder=1)
    for (name, (mark, hue, size)), value in zip(looks.items(), values, strict=True):
        style = {"color": COLOURS[hue], "ms": size, "mew": 3 if mark == "|" else 1}
        axis.plot(value, k, mark, label=None if k else name, **style)
labels = [f"{kind}: {what}" for kind, what in zip(found, measured, strict=True)]
axis.set_yticks(range(12), labels)
arrows = ["data → algorithm", "algorithm → people", "people → data"]
for at, name in zip((-0.5, 3.5, 7.5), arrows, strict=True):
    axis.axhline(at, color="#999999", lw=0.8)
    axis.text(100, at + 1.6, name, ha="right", va="top", size=9, style="italic")
figure.legend(loc="outside upper center", ncols=3)
axis.set(
    xlabel="per cent, or points between the groups", xlim=(-65, 101), ylim=(11.6, -0.5)
)
axis.grid(axis="y", visible=False)
plt.show()

# %% [markdown]
# *In every row the green dot is where the truth is, and the diamond is not.* In most rows the groups are alike, and the data say that b is worse. In *aggregation*, *temporal*, *population*, *evaluation* and *emergent* something is
# really bad, and the number says that it is fine. Note what the checks have in common. None of them is a cleverer model of the same records. They are **a lottery, a shuffled list, a blind rating, a later year, a census, a second reader, a count by group**: ways to get a number
# that has not been round the loop.
#
# And note their price. Each needs something that the records do not hold; most need to know who is in which group. In the USA a lender may in general *not* ask a credit applicant for race or sex, with exceptions such as
# home loans, where the question is asked by rule {cite}`cfpb2025regulation`, and the European Union's AI Act of 2024 lets sensitive data be used to find bias in high-risk systems only where that is strictly necessary {cite}`eu2024aiact` (article 10(5); an amendment adopted in June 2026 changes this rule, too {cite}`eu2026omnibus`). Whoever does not know the
# group cannot tell how it fares; whoever knows it can misuse it. Good safeguards make this conflict smaller. None removes it.
#
# ## Once round the loop
#
# So far each arrow by itself. Now close the loop. Two streets, and in both 80 of 100 loans are repaid. The company has lent 12 times in each. In street a ten paid back, in street b eight: bad luck, no prejudice. Its rule is sober: it lends where at
# least seven in ten have repaid so far.


# %%
def lending(lottery, months=60):
    """What is believed of each street after each month, as a share that repays."""
    repaid, lent = np.array([10, 8]), np.array([12, 12])
    course = [100 * repaid / lent]
    for _ in range(months):
        loans = np.where(repaid / lent >= 0.70, 100, 100 * lottery).astype(int)
        repaid, lent = repaid + draws.binomial(loans, 0.8), lent + loans
        course.append(100 * repaid / lent)
    return np.array(course)


closed, opened = lending(lottery=0.0), lending(lottery=0.05)

# %%
claim("Without a lottery the belief about b never changes", np.ptp(closed[:, 1]) == 0)
claim("With 5 loans a month by lot it is off by under 7", abs(opened[-1, 1] - 80) < 7)

# %% tags=["hide-input", "fig-round"] mystnb={"image": {"alt": "The believed share that repays over 60 months. Street a settles near 80 per cent within months. Street b without a lottery is a flat line at 67 per cent. Street b with a lottery climbs past the dashed bar at 70 per cent within a few months and ends near 80."}}
figure, axis = plt.subplots(figsize=(6, 2.9))
axis.plot(closed[:, 0], color=COLOURS["blue"], label="a")
axis.plot(opened[:, 1], color=COLOURS["green"], label="b, 5 % by lot")
axis.plot(closed[:, 1], color=COLOURS["orange"], label="b")
axis.axhline(70, ls="--", lw=1, color=COLOURS["black"])
axis.text(60, 70.3, "the bar", ha="right")
axis.set(xlabel="month", ylabel="believed to repay (%)", ylim=(63, 88))
axis.legend(ncols=3, loc="upper center", fontsize=9)
plt.show()

# %% [markdown]
# *A belief that forbids its own correction.* The orange line is flat for ever: who gets no loan leaves no record, so the error feeds on nothing and cannot starve. Five loans a month by lot, and the loop corrects itself. Ensign and colleagues
# proved the like for a model of police patrols that are sent where crime was found {cite}`ensign2018runaway`. Labels that exist only for those accepted return in
# [lecture 5.5](individuals_and_audits.ipynb).
#
# ## A data set that does not look like the world
#
# ImageNet was for years the data set on which machines learnt to see. Shankar and colleagues looked up, where they could, in which country its pictures were taken {cite}`shankar2017no`: about 45 % in the United States, 1 % in China, 2.1 % in India. Of all people, about 4,
# 19 and 18 % lived there {cite}`un2017world`. They found the same lean in Open Images, and that classifiers trained on either were less sure of, for instance, bridegrooms
# from other parts of the world. Household goods are recognised less well in photographs from poorer homes {cite}`devries2019does`. And before a games camera went on sale in 2010, as
# a manager of its maker later told a newspaper, it turned out to work less well for women and children: it had been *tested* on men of 18 to 35 {cite}`nyt2019exposing`.
#
# We cannot show you these pictures: they would have to be downloaded, and showing people as examples of failure is a harm of its own. We can show what being rare does. Two places, equally difficult: with enough
# pictures of its own, each could be read with the same few errors. In b, other features matter than in a. We vary the share of b among 4,000 training pictures. One model is told the place, the other is not.


# %%
def places(n, share):
    """Pictures of 20 features, told apart by others in place b than in a."""
    b = draws.random(n) < share
    x = draws.normal(size=(n, 20))
    signal = np.where(b, x[:, 10:].sum(axis=1), x[:, :10].sum(axis=1)) / 10**0.5
    return b, x, draws.random(n) < sigmoid(5 * signal)


def told_the_place(b, x):
    return np.hstack([x * ~b[:, None], x * b[:, None]])  # weights for each place


shares = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
errors = {name: [] for name in ("a", "b", "b, place told", "own test set")}
b_test, x_test, y_test = places(20_000, 0.5)
for share in shares:
    b, x, y = places(4000, share)
    wrong = LogisticRegression().fit(x, y).predict(x_test) != y_test
    placed = LogisticRegression().fit(told_the_place(b, x), y)
    other = placed.predict(told_the_place(b_test, x_test)) != y_test
    e_a, e_b = 100 * wrong[~b_test].mean(), 100 * wrong[b_test].mean()
    both = [e_a, e_b, 100 * other[b_test].mean(), (1 - share) * e_a + share * e_b]
    for name, value in zip(errors, both, strict=True):
        errors[name].append(value)

# %%
few, five = 0, 2  # the places of 1 % and 5 % in the lists

# %%
claim("At 1 % of the pictures, b's error is over 40 %", errors["b"][few] > 40)
claim("A test set of the same mix says under 20 %", errors["own test set"][few] < 20)
claim(
    "At 5 %, a model that is told the place saves b over 10 points",
    errors["b"][five] - errors["b, place told"][five] > 10,
)
claim(
    "At one half both places fare alike, to 8 points",
    abs(errors["a"][-1] - errors["b"][-1]) < 8,
)

# %% tags=["hide-input", "fig-geography"] mystnb={"image": {"alt": "Two panels. Left, bars for the United States, China and India: shares of ImageNet's pictures, 45, 1 and 2.1 per cent, beside shares of the world's people, 4, 19 and 18 per cent. Right, error against the share of b among the training pictures, from 1 to 50 per cent: the line of b starts near one half and falls; with the place told it falls far sooner; the line of a and that of the model's own test set are low and flat where b is rare, and the two lines of b and a meet at one half."}}
figure, (one, two) = plt.subplots(1, 2, figsize=(7, 3.5), width_ratios=[1, 1.25])
countries = {"USA": (45, 4), "China": (1, 19), "India": (2.1, 18)}
for k, both in enumerate(countries.values()):
    for shift, share, hue in zip((-0.2, 0.2), both, ("pink", "black"), strict=True):
        one.bar(k + shift, share, 0.36, color=COLOURS[hue])
        one.text(k + shift, share + 0.8, f"{share:g}", ha="center", size=9)
one.set_xticks(range(3), countries)
one.set(ylabel="%", ylim=(0, 52))
one.text(2.4, 47, "of ImageNet's pictures", color=COLOURS["pink"], ha="right")
one.text(2.4, 42.5, "of the world's people", ha="right")
one.grid(axis="x", visible=False)
looks = {"b": "o-", "b, place told": "o--", "a": "s-", "own test set": "D:"}
hues = {"b": "orange", "b, place told": "orange", "a": "blue", "own test set": "pink"}
for name, look in looks.items():
    two.plot(
        100 * shares, errors[name], look, color=COLOURS[hues[name]], label=name, ms=5
    )
two.set(
    xscale="log", xlabel="b in the training set (%)", ylabel="error (%)", ylim=(0, 60)
)
two.set_xticks(100 * shares, [f"{100 * share:g}" for share in shares])
two.minorticks_off()
two.legend(fontsize=9)
plt.show()

# %% [markdown]
# *Left, a data set and the world; right, what it is like to be rare.* A model that cannot tell the places apart serves the many, and by its own test set (dotted) it does well. By {eq}`eq-test-set`, an error of one half for one per cent of the people
# adds less than half a point to the average. If the model is told the place (dashed), what counts is no longer b's *share* but b's *number*: at 5 % there are 200 pictures, enough to learn something of their own from.
# So there are two remedies, to collect and to tell apart, and one mistake: to look only at the average. (Where a place stands for a protected group, the law may forbid the second; lecture 5.3 has the terms.) Note also where the lines of a and b meet. Without the place told, the one model's gain for b is a's loss.
#
# ## The card: a real data set with a frame of its own
#
# The German credit data are in many papers on fairness. Read [their card](../../book/data_cards/german_credit.md) before you use them: 1,000 people who got a loan from one bank in the south of Germany between 1973 and 1975, whose sex cannot be read off,
# among them 37 foreign workers. Thirty per cent did not repay. At the bank far fewer failed (we reckon with *five* in a hundred): they were sampled more often on purpose {cite}`groemping2019south`, so that there were enough to learn from. That is good
# practice, if one knows it. Suppose that somebody does not, and sells a rule that flags people as risks.

# %%
credit = german_credit()
files = pd.get_dummies(credit.drop(columns=["good", *credit.attrs["sensitive"]]))
files = ((files - files.mean()) / files.std()).to_numpy(dtype=float)
failed = (credit["good"] == 0).to_numpy()
flagged = cross_val_predict(LogisticRegression(C=0.05), files, failed, cv=5)
tpr, fpr = flagged[failed].mean(), flagged[~failed].mean()


def right_of_flagged(p):
    """Of 100 people who are flagged, how many fail, if a share p of all fails."""
    return 100 * tpr * p / (tpr * p + fpr * (1 - p))


in_data, at_bank = right_of_flagged(failed.mean()), right_of_flagged(0.05)

# %%
claim(
    "In the data the formula gives what one counts",
    np.isclose(in_data, 100 * failed[flagged].mean()),
)
claim("In the data, over half of those flagged failed", in_data > 50)
claim("At the bank it would be under a third", at_bank < 33)

# %% tags=["nbval-ignore-output"]
print(f"of 100 flagged, {in_data:.0f} failed in the data, {at_bank:.0f} at the bank")

# %% [markdown]
# Most people whom this rule flags at such a bank would have repaid. The rates of error among those who repaid and among those who did not carry over from the sample, if each kind was drawn by chance; what a flag *means* does not. No test on these data, however often
# repeated, can show it, for they all have the same thirty per cent. It stands on the card, or nowhere {cite}`gebru2021datasheets`.
#
# ## Back to the three towns
#
# Two of the checks settle the question of {fig}`towns`. **A lottery**: lend to 4,000 by lot, and see who repays. **Twin files**: change the street in every file, nothing else, and see how many answers change.

# %%
checks = {}
for town, (b, files, repays, score, bar) in towns.items():
    lot = draws.choice(len(b), 4000, replace=False)
    twins = [np.column_stack([files[:, 0], np.full(len(b), on)]) for on in (0, 1)]
    here, there = (100 * (score(twin) > bar).mean() for twin in twins)
    checks[town] = gap(repays[lot], b[lot]), there - here

# %% tags=["nbval-ignore-output"]
for town, (lottery, twins) in checks.items():
    print(
        f"{town:6} repaid, b − a: {lottery:5.1f}   yes, b's street − a's: {twins:5.1f}"
    )

# %%
claim(
    "By lot, b repays as often as a in Ash and Birch (to 8 points), not in Cedar",
    max(abs(checks["Ash"][0]), abs(checks["Birch"][0])) < 8
    and checks["Cedar"][0] < -10,
)
claim(
    "The street changes answers in Ash alone",
    checks["Ash"][1] < -10 and checks["Birch"][1] == checks["Cedar"][1] == 0,
)

# %% [markdown]
# Ash learnt from prejudice, Birch measures badly, Cedar has a true difference. The same six bars, three diagnoses, and three different things to do: other lessons, another form, and in Cedar ‒ what?
#
# **What no number decides.** In Cedar the score is right about the money. Why b has less, these data do not say. It may be the outcome of an older injustice, in which lenders may have had a part. And lending to people who cannot repay harms them too. Whether a lender should take the world as it is, or
# has a duty to help change it, is a question of law and politics. It helps to know that it is this question one is arguing about.
#
# **The other side's best argument.** People who decide can be biased too, and are hard to audit; an algorithm gives the same answer to the same file, and can be asked a million times. A study of bail decisions in New York estimates that release by predicted risk could have cut crime by up to a quarter with no more people in
# jail, or jailed far fewer with no more crime, and have narrowed racial disparities at the same time {cite}`kleinberg2018human`. "Crime" is short there for a failure to appear in court, and the authors
# have to assume how those would have behaved who were in jail. To abolish a biased score is no gain if what replaces it is more biased and less visible. The honest comparison is always with what would be done otherwise.
#
# ## What goes wrong
#
# **A name for everything.** After this page one finds twelve biases in any project. A name is no evidence. Say which $q$, which $\hat q$, and how you would measure the difference.
#
# **A check of the wrong arrow.** Weights from the census repair *who* answers, not *what* they could see. Exercise 1 shows a case in which weights make everyone confident, and nothing right.
#
# **A lottery is paid for by people.** Loans that fail hurt those who took them. Keep it small, keep it near the bar, say so, and stop when you know.
#
# **The check has a margin of error.** The lottery of 4,000 can be off by 3 points either way. A lottery of 100 could be off by 20, and would have found anything.


# %%
def margin(n):
    """Two standard errors of a gap between halves of n people, in points, at most."""
    return 2 * 100 * (0.25 / (n / 2) + 0.25 / (n / 2)) ** 0.5


claim("4,000 people: 3 points", round(margin(4000)) == 3)
claim("100 people: 20 points", round(margin(100)) == 20)

# %% [markdown]
# ## Evaluate honestly
#
# Before any model: compare the data with the people for whom they are to speak. The function asks for the shares in the world, because it cannot know them, and says whether chance could explain the difference, because a sample is one draw.


# %%
def frame(sample, world):
    """Shares in a sample beside those in the world, and whether chance explains it."""
    rows = {}
    for name, expected in world.items():
        share, n = (sample == name).mean(), len(sample)
        margin = 2 * (expected * (1 - expected) / n) ** 0.5  # if drawn from it
        rows[name] = share, expected, share / expected, abs(share - expected) <= margin
    return pd.DataFrame(rows, index=["sample", "world", "ratio", "by chance"]).T


repaid = frame(np.where(failed, "failed", "repaid"), {"failed": 0.05, "repaid": 0.95})
fresh = frame(np.repeat(["a", "b"], [612, 388]), {"a": 0.6, "b": 0.4})

# %%
claim("The German data are not the bank by chance", not repaid["by chance"].any())
claim("612 and 388 may well come from a town of 60 and 40 %", fresh["by chance"].all())

# %% [markdown]
# It can only compare what was recorded. Who is missing altogether has no column.
#
# ## Practice
#
# **Exercise 1** (15 minutes). *Weights that do not heal.* Go back to *population bias*, and let the users differ from the town within b, too: whoever has a good telephone uses the site with a chance of 60 %, whoever has
# none with 10 %; the app works for 90 % of the former, for 20 % of the latter. Half of b has a good telephone. Weigh by the census of a and b as before. How far off are you now?
#
# <details><summary>Hint 1: the truth</summary>
#
# In b the app works for half of 90 % plus half of 20 %. In a everything is as before, 95 %.
#
# </details>
#
# <details><summary>Hint 2: what the users of b are like</summary>
#
# Draw people of b, draw their telephones, draw who uses the site, and keep the users only. Then average their answers; the weights cannot look inside b.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the weights repair the shares of a and b, and leave the error inside b.
n = 40_000
good = draws.random(n) < 0.5
uses = draws.random(n) < np.where(good, 0.6, 0.1)
answer = draws.random(n) < np.where(good, 0.9, 0.2)
truth = 0.6 * 95 + 0.4 * 100 * answer.mean()
weighed = 0.6 * 95 + 0.4 * 100 * answer[uses].mean()
claim("After weighing, it is still over 6 points too rosy", weighed - truth > 6)

# %% [markdown]
# **Exercise 2** (15 minutes). *Amplification.* In a set of pictures of people in kitchens, two thirds show women. A model that is not sure says what is more frequent. Simulate 20,000 people of
# whom 67 % are in b, a feature that tells a from b only weakly (means 0 and 0.8, standard deviation 1), a logistic regression, and its predictions. What share does it call b? What share has it if one sums its probabilities instead?
#
# <details><summary>Hint 1: decisions</summary>
#
# `predict` says b wherever the probability is above one half. With a weak feature it seldom falls below.
#
# </details>
#
# <details><summary>Hint 2: probabilities</summary>
#
# A logistic regression with an intercept makes the mean of its probabilities equal to the share in the training set.
#
# </details>

# %% tags=["hide-cell"]
# Solution: 67 % become over 75 %. No prejudice is needed: cutting at one half rounds
# people to the majority. The probabilities keep the share.
b = draws.random(20_000) < 0.67
feature = draws.normal(0.8 * b, 1)[:, None]
model = LogisticRegression().fit(feature, b)
called, summed = (
    model.predict(feature).mean(),
    model.predict_proba(feature)[:, 1].mean(),
)
claim("It calls over 75 % b", called > 0.75)
claim(
    "Its probabilities sum to the true share, to 1 point", abs(summed - b.mean()) < 0.01
)

# %% [markdown]
# Zhao and colleagues found it in a system that names what people do in pictures: cooking involved women 33 % more often than men in the training set, and 68 % more often in the answers {cite}`zhao2017men`.
#
# **Quiz**
#
# ```{quiz}
# ? A lender approves half of a and three in ten of b. What follows?
# - The lender is prejudiced :: Birch and Cedar show the same bars without any prejudice of the lender's.
# - The groups differ :: In Ash and Birch they do not.
# + Nothing yet about the cause :: It is a reason to look. A lottery, twin files or a second measurement tell the causes apart.
# ? The column with the group was deleted before training. Can historical bias still get in?
# - No, the model does not know the group :: It knows the street, and nine of ten people of b live in b's streets.
# + Yes, through anything that goes with the group :: The model repeated most of the officers' gap. Lecture 5.3 takes this up.
# - Only if the groups differ in means :: They were alike.
# ? Accuracy on a held-out test set is 88 %, as it was in training. Whom can it hide?
# - Nobody, the test set was never seen :: It was drawn from the same source, so whoever is rare there is rare here.
# + Those who are rare in both :: One per cent of people with an error of one half move the average by less than half a point.
# - Only those who are not in the data at all :: These too, but rare people are enough.
# ? Users' answers are weighed by the census. When is the result right?
# - Always :: Exercise 1 has a case where it is not.
# + If within each group users are like those who do not use it :: Weights repair shares of groups, nothing inside a group.
# - If there are many answers :: More answers of the same people make a wrong number more precise.
# ? A score starves a street of loans, and no record contradicts it. What breaks the loop?
# - More data of the same kind :: It comes from where the score already lends.
# + A few loans that the score did not choose :: Five a month were enough to correct a wrong belief.
# - A better model of the same records :: The records of that street end on the first day.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** In a simulation the truth is known, so a check can be seen to work before it is trusted with people. Each took few lines, and can be changed to your own case.
#
# **Limitations.** Each town has one fault, is large, and obeys us. Real data have several faults at once, which can hide each other; the checks cost money, time and sometimes harm; and two groups called a and b are
# nobody. The twelve names overlap, and are not complete: whoever looks for these twelve may miss the thirteenth.
#
# **Software.** [Fairlearn](https://fairlearn.org) and [AIF360](https://github.com/Trusted-AI/AIF360) measure by group; [`survey`](https://cran.r-project.org/package=survey), for R, weighs samples; [DoWhy](https://www.pywhy.org/dowhy/) writes down which causes one assumes. In this library:
# `fairness.group_metrics`, and with intervals `fairness.audit`.
#
# ## What to take away
#
# A gap has many possible causes, and the gap does not say which. Ask what a number has passed through; get one that has not been round the loop; count by group, and over time; read the card. Then argue about what is owed, with the right
# question on the table. Next: [three cases that made the field](three_cases.ipynb).
