# %% [markdown]
# # 4.2 Models that explain themselves
#
# Some models need no second model to explain them: you can read what they do. This lecture reads two, a sum and a tree,
# and finds where reading ends. Then it asks what remains of a sum when the model is none, and that leads to Shapley values.
#
# **What you will learn**
#
# - to read a linear model as a weight plot and as an effect plot, in units, with intervals;
# - what its weights cannot say: correlated features, curves, and answers that are clear and wrong;
# - to read a logistic model's weights as odds, and a tree as AND rules; what depth buys, and what it costs;
# - to share an answer among the features by Shapley's rule: exactly, by sampling, and by Kernel SHAP;
# - where Shapley values come from in the package `shap`, and what they cannot say.
#
# **Before you start**: [why explain at all](why_explain.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 45 minutes to read; {{ cpu_seconds }} to run.

# %%
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from skimage.segmentation import mark_boundaries, slic
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_score
from sklearn.tree import DecisionTreeRegressor, plot_tree

from tml_helpers import explain
from tml_helpers.claims import claim, seed
from tml_helpers.data import bike_sharing, photos
from tml_helpers.kernels import superpixels
from tml_helpers.models import imagenet_classifier
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import predict

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question: why so few bicycles?
#
# The table counts the bicycles that were hired in Washington on each day of 2011, with the weather
# ([data card](../../book/data_cards/bike_sharing.md)). Molnar's book on interpretable machine learning made it a favourite
# {cite}`molnar2022interpretable`, because everybody can judge an explanation of it.

# %%
table = bike_sharing().iloc[:365]  # the full table has a second year
names = ["season", "holiday", "workingday", "weather"]
names += ["temperature", "humidity", "windspeed", "days"]
X, y = table[names], table["rentals"].to_numpy()
day = 238  # 27 August 2011
print({name: str(table[name][day]) for name in ("season", "weather", "workingday")})
for name in ("temperature", "humidity", "windspeed"):
    print(f"{name}: {table[name][day]:.0f}")
claim("On 27 August 2011, 1,115 bicycles were hired", y[day] == 1115)
summer = table["season"] == "summer"
claim("No other day of that summer had fewer", y[day] == y[summer].min())

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bicycles hired on each day of 2011 against the day of the year. They rise from about 1,000 in January to about 5,000 in June, dip slightly in summer, and fall to 3,000 in December. Rainy days lie far below the others. One summer day, ringed, lies lower than all of its neighbours, at 1,115."}}
figure, axis = plt.subplots(figsize=(7, 3.2))
hues = {"clear": "sky", "misty": "blue", "rain or snow": "black"}
for kind, hue in hues.items():
    chosen = table["weather"] == kind
    axis.plot(X["days"][chosen], y[chosen], "o", ms=4, color=COLOURS[hue], label=kind)
axis.plot(day, y[day], "o", ms=13, mfc="none", mew=2, color=COLOURS["orange"])
axis.annotate("27 August", (day, y[day]), xytext=(9, -4), textcoords="offset points")
axis.set(xlabel="day of 2011", ylabel="bicycles hired", ylim=(0, 6500))
axis.legend(title="weather", loc="upper left")
plt.show()

# %% [markdown]
# *A year of bicycles, and one day that stands out.* It was warm, a Saturday in August, and yet hardly anybody rode. What would a model say of this
# day, and why? Keep the answer that you have in mind: we come back to it.
#
# ## A sum that can be read
#
# A linear model answers with a sum, one term a feature:
#
# $$f(x) = \beta_0 + \beta_1 x_1 + \dots + \beta_d x_d .$$
#
# In words: begin with the intercept $\beta_0$; each unit of feature $j$ adds $\beta_j$, whatever the others are. That last clause is what
# makes it easy to read. A **category** has no units. Each of its levels but the first becomes a column of 0 and 1, and its weight is the
# difference from the first: spring, summer and autumn are compared with winter.
#
# The weights that make the squared error least, and their standard errors, are a few lines:
#
# $$\hat\beta = (X^\top X)^{-1} X^\top y, \qquad
# \operatorname{Var} \hat\beta = \hat\sigma^2 (X^\top X)^{-1}, \qquad \hat\sigma^2 = \frac{\|y - X\hat\beta\|^2}{N - d - 1} .$$
#
# In words: a weight is known better the smaller the noise $\hat\sigma$, and the more its column varies where the other columns do not.

# %%
columns = [np.ones(len(X))]
for name in names:
    levels = X[name].cat.categories if X[name].dtype == "category" else []
    columns += [X[name] == level for level in levels[1:]] or [X[name]]
design = np.column_stack(columns).astype(float)  # (days, terms)
inverse = np.linalg.inv(design.T @ design)
beta = inverse @ design.T @ y
left = len(y) - len(beta)
noise = np.sum((y - design @ beta) ** 2) / left
errors = np.sqrt(noise * np.diag(inverse))

model = explain.feature_effects(X, y)
claim(
    "Ten lines and the library agree on the weights", np.allclose(beta, model.weights)
)
claim("And on their errors", np.allclose(errors, model.standard_errors))

# %% tags=["nbval-ignore-output"]
for term, weight, error, t in zip(
    model.terms, model.weights, model.standard_errors, model.t_values, strict=True
):
    print(f"{term:<22} {weight:8.1f} ± {error:5.1f}   t = {t:5.1f}")

# %%
temperature = model.terms.index("temperature")
rain = model.terms.index("weather: rain or snow")
claim("A degree more brings 80 to 100 bicycles", 80 < model.weights[temperature] < 100)
claim("Rain or snow costs more than 1,200", model.intervals[rain, 1] < -1200)

# %% [markdown]
# The **t value** is the weight in units of its error. Beyond ±2 a weight can hardly be an accident, if the model is right.
# The weights themselves must not be compared: one is per degree, the next per per cent, a third for "it is spring".
#
# ### Two pictures of one model

# %%
reach = stats.t(left).ppf(0.975) * errors
claim(
    "The library's intervals are 95 % intervals of Student's t",
    np.allclose(model.intervals[:, 1], beta + reach),
)
spread = model.effects.std(axis=0)
order = np.argsort(spread)
widest = names[order[-1]]
claim("Temperature moves the answer most from day to day", widest == "temperature")

# %% tags=["hide-input", "fig-weights-and-effects"] mystnb={"image": {"alt": "Top, weight plot: one dot with a horizontal bar for each term. Rain or snow is far left of zero near minus 1,700, the seasons are far right near plus 1,000; temperature, humidity, windspeed and days sit so close to zero that nothing can be read. Bottom, effect plot: a box for each feature. The box of temperature is by far the widest, its whiskers reach from −500 to 2,800; those of season, weather and windspeed come next. Orange crosses mark the 27th of August: temperature and season far to the right, humidity and windspeed at the left ends of their boxes."}}
figure, (weight_plot, effect_plot) = plt.subplots(2, 1, figsize=(7, 6.4))
places = np.arange(len(model.terms) - 1)[::-1]
weight_plot.errorbar(
    model.weights[1:], places, xerr=reach[1:], fmt="o", color=COLOURS["blue"], capsize=3
)
weight_plot.axvline(0, color=COLOURS["black"], linewidth=1)
weight_plot.set_yticks(places, labels=model.terms[1:])
weight_plot.set(title="weights, 95 % intervals", xlabel="bicycles per unit")
boxes = {"orientation": "horizontal", "medianprops": {"color": COLOURS["blue"]}}
effect_plot.boxplot([model.effects[:, j] for j in order], sym=".", **boxes)
marks = model.effects[day, order]
effect_plot.plot(marks, 1 + np.arange(8), "X", ms=9, color=COLOURS["orange"], zorder=3)
effect_plot.axvline(0, color=COLOURS["black"], linewidth=1)
effect_plot.set_yticks(1 + np.arange(8), labels=[names[j] for j in order])
effect_plot.set(title="effects; crosses: 27 August", xlabel="bicycles")
plt.show()

# %% [markdown]
# *The weight plot shows the model, the effect plot shows what the model does to days.* Top: the weights of numbers seem to be nothing, because a single
# degree or per cent is little. Bottom: each weight has been multiplied by the feature's values, $\beta_j x_{ij}$: now all terms are in bicycles, and
# comparable. A wide box moves the answer much from day to day. The crosses tell the story of one day: warmth and summer speak for many
# bicycles, wind and damp against them.
#
# A change of units changes the weights and not the effects. In degrees Fahrenheit the weight shrinks to five ninths:

# %%
degrees = X.assign(temperature=32 + 1.8 * X["temperature"])
fahrenheit = explain.feature_effects(degrees, y)
ratio = fahrenheit.weights[temperature] / model.weights[temperature]
claim("The weight is divided by 1.8", np.isclose(ratio, 1 / 1.8))
claim(
    "The box is as wide as before", np.allclose(fahrenheit.effects.std(axis=0), spread)
)

# %% [markdown]
# ### What did it say of 27 August?

# %% tags=["nbval-ignore-output"]
terms = [model.weights[0], *model.effects[day]]
for name, term in zip(["intercept", *names], terms, strict=True):
    print(f"{name:<12} {term:+7.0f}")
answer = model.predict(X)[day]
print(f"{'sum':<12} {answer:7.0f}, hired: {y[day]:.0f}")

# %%
claim("The terms add up to the answer", np.isclose(sum(terms), answer))
claim("The answer is three times too high", answer > 3 * y[day])

# %% [markdown]
# Every term is plain, and the sum is absurd. On that Saturday hurricane Irene reached Washington, and the table has no column for it.
# A readable model tells you *what it did*. It does not tell you that it was right, and it cannot mention what it has never seen. But because it can be
# read, you could find out in a minute.
#
# ### Weights of correlated features
#
# "Whatever the others are" has a price: a weight depends on which others there are. Ask four models what humidity does.

# %% tags=["nbval-ignore-output"]
companies = {
    "alone": [],
    "+ temperature": ["temperature"],
    "+ weather": ["temperature", "weather"],
    "all eight": [name for name in names if name != "humidity"],
}
asked = {}
for company, others in companies.items():
    fitted = explain.feature_effects(table[["humidity", *others]], y)
    asked[company] = (fitted.weights[1], *fitted.intervals[1])
    print(f"{company:<14} {fitted.weights[1]:6.1f} bicycles per per cent")

# %%
claim("Beside temperature, humidity costs bicycles", asked["+ temperature"][2] < 0)
claim("Beside weather as well, it brings some", asked["+ weather"][0] > 0)
claim("Beside all others, it costs again", asked["all eight"][2] < 0)

# %% tags=["hide-input"] mystnb={"image": {"alt": "The weight of humidity with its 95 per cent interval in four models. Alone it is zero within a wide interval. With temperature it is clearly below zero. With temperature and weather it is above zero, with an interval that reaches below. With all eight features it is clearly below zero again."}}
figure, axis = plt.subplots(figsize=(7, 2.4))
for place, (weight, low, high) in enumerate(asked.values()):
    arms = [[weight - low], [high - weight]]
    axis.errorbar(weight, -place, xerr=arms, fmt="o", color=COLOURS["blue"], capsize=4)
axis.axvline(0, color=COLOURS["black"], linewidth=1)
axis.set_yticks([0, -1, -2, -3], labels=list(asked))
axis.set(xlabel="weight of humidity (bicycles per per cent)", ylim=(-3.5, 0.5))
plt.show()

# %% [markdown]
# *One feature, one table, four answers.* None of the four is a bug. With temperature alone beside it, humidity also speaks for the rain that comes with it;
# once rain has a column of its own, that part is gone. A weight answers the question "what if this feature changes **and those that are in the model
# do not**". Where features move together, that is a question about days that hardly exist. If two columns say exactly the same, there
# is no answer at all, and the library refuses:

# %%
for twins in (["temperature"], []):
    both = {"temperature": X["temperature"], "fahrenheit": degrees["temperature"]}
    if not twins:
        both["fahrenheit"] = np.full(len(X), 32.0)
    try:
        explain.feature_effects(both, y)
    except ValueError as error:
        print(error)

# %% [markdown]
# ### Where a line is wrong, so is its story
#
# The model says that each degree brings bicycles. Even at 31 °C?

# %% tags=["nbval-ignore-output"]
squared = X.assign(**{"temperature²": X["temperature"] ** 2})
curved = explain.feature_effects(squared, y)
b1, b2 = (curved.weights[curved.terms.index(t)] for t in list(squared)[4:9:4])
peak = -b1 / (2 * b2)
hot = X["temperature"] > 30
over = (model.predict(X) - y)[hot].mean()
print(f"most bicycles at {peak:.0f} °C; the line is {over:.0f} too high above 30 °C")

# %%
claim("The curve turns between 22 and 30 °C", 22 < peak < 30)
claim("On the hottest days the line promises 1,000 too many", over > 1000)
claim("The square's t value is beyond −5", curved.t_values[-1] < -5)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bicycles against temperature as grey dots: they rise up to about 25 degrees and fall beyond. A straight blue line goes on rising through and above the hottest days; an orange curve follows the dots and bends down after 26 degrees."}}
figure, axis = plt.subplots(figsize=(6.5, 3.2))
axis.plot(X["temperature"], y, "o", ms=3, color="#999999")
ticks = np.linspace(-5, 35, 81)
share = model.predict(X).mean() - model.effects[:, 4].mean()
axis.plot(ticks, share + model.weights[temperature] * ticks, label="line")
bend = b1 * ticks + b2 * ticks**2
middle = b1 * X["temperature"] + b2 * X["temperature"] ** 2
axis.plot(
    ticks, bend + y.mean() - middle.mean(), color=COLOURS["orange"], label="curve"
)
axis.set(xlabel="temperature (°C)", ylabel="bicycles", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown]
# *People like it warm, not hot.* The line is a fair summary of the year and a false statement about every hot day: it says "+89 for one
# degree more" at 31 °C, where the data say the opposite. The explanation is faithful to the model, and the model is not faithful to the world. With the
# square as a ninth column the fit is better, and the tidy sentence "a degree brings 89 bicycles" is gone: what a degree
# brings depends on the temperature. That is the price of a curve.
#
# ## Odds
#
# For a yes or no, the sum is passed through the logistic function, and the sum itself is the logarithm of the odds:
#
# $$\log \frac{p}{1 - p} = \beta_0 + \sum_j \beta_j x_j, \qquad
# \frac{\text{odds at } x_j + 1}{\text{odds at } x_j} = e^{\beta_j} .$$
#
# In words: one unit more **multiplies the odds** by $e^{\beta_j}$. How much it adds to the probability depends on where you are. When is a day busy, with
# more bicycles than the median?

# %% tags=["nbval-ignore-output"]
busy = (y > np.median(y)).astype(int)
few = table[["temperature", "humidity", "windspeed"]].to_numpy()
odds = explain.feature_effects(
    few, busy, model="logistic", names=["temperature", "humidity", "windspeed"]
)
factors, ranges = np.exp(odds.weights[1:]), np.exp(odds.intervals[1:])
for term, factor, (low, high) in zip(odds.terms[1:], factors, ranges, strict=True):
    print(f"{term:<12} odds × {factor:.2f}   (95 %: {low:.2f} to {high:.2f})")

# %%
here, warmer = odds.predict(np.stack([few[0], few[0] + [1, 0, 0]]))
claim(
    "A degree multiplies the odds by exp(weight)",
    np.isclose((warmer / (1 - warmer)) / (here / (1 - here)), factors[0]),
)
claim("By 1.2 to 1.5", 1.2 < factors[0] < 1.5)

# %% [markdown]
# Rain is left out here, and for a reason. No rainy day was busy, so the likelihood grows for ever as its weight goes to
# minus infinity; the classes are **separated**. Many programs return some large number with a larger error. Ours says so:

# %%
try:
    explain.feature_effects(table[["temperature", "weather"]], busy, model="logistic")
except ValueError as error:
    print(error)
claim("No rainy day was busy", busy[table["weather"] == "rain or snow"].sum() == 0)

# %% [markdown]
# ## A tree is a list of rules
#
# A decision tree asks one feature at a time {cite}`breiman1984classification`. A way from the root to a leaf is a chain of conditions that all hold, so each
# leaf is a sentence: IF this AND that THEN so many bicycles.

# %% tags=["nbval-ignore-output"]
questions = ["temperature", "humidity", "windspeed", "days", "rain"]
wet = (table["weather"] == "rain or snow").astype(float)
Q = np.column_stack([*(table[name] for name in questions[:4]), wet])  # (days, 5)
tree = DecisionTreeRegressor(max_leaf_nodes=6, random_state=0).fit(Q, y)
rules = explain.tree_rules(tree, feature_names=questions)
for rule in rules:
    print(rule)

# %%
held = np.stack([rule.holds(Q) for rule in rules])  # (rules, days)
claim("Exactly one rule covers each day", bool((held.sum(axis=0) == 1).all()))
by_rule = np.array([rule.value for rule in rules])[held.argmax(axis=0)]
claim("Rules and tree give the same answers", np.allclose(by_rule, tree.predict(Q)))

# %% [markdown]
# How are the rules found? Walk down, and keep for each feature the interval that is still allowed. Two conditions on one feature merge into one:


# %%
def walk(node, allowed):
    """Each leaf below a node, with the interval that its way leaves to each feature."""
    nodes = tree.tree_
    if nodes.children_left[node] == -1:
        yield dict(allowed), nodes.value[node][0, 0]
        return
    name, at = questions[nodes.feature[node]], nodes.threshold[node]
    low, high = allowed.get(name, (-np.inf, np.inf))
    yield from walk(nodes.children_left[node], allowed | {name: (low, min(high, at))})
    yield from walk(nodes.children_right[node], allowed | {name: (max(low, at), high)})


ours = [(leaf, float(value)) for leaf, value in walk(0, {})]
theirs = [({c.name: (c.low, c.high) for c in r.conditions}, r.value) for r in rules]
claim("Our walk and the library find the same rules", ours == theirs)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A decision tree with six leaves drawn from top to bottom. Its root asks for the temperature; below, it asks for temperature, days, humidity or rain. Each leaf shows the mean number of bicycles; darker boxes have more."}}
figure, axis = plt.subplots(figsize=(7, 4.4))
boxes = {"impurity": False, "filled": True, "rounded": True, "precision": 1}
plot_tree(tree, feature_names=questions, ax=axis, fontsize=9, **boxes)
plt.show()

# %% [markdown]
# *The same six rules, drawn.* Left means yes. A tree takes numbers and categories alike, needs no units, and finds that warmth and season act together
# without being told.
#
# What does depth buy? And is it *the* tree? Draw 365 days from the table with replacement, grow the tree again, and do so twenty times.

# %% tags=["nbval-ignore-output"]
random = np.random.default_rng(seed())
folds = KFold(5, shuffle=True, random_state=seed())
draws = random.integers(len(y), size=(20, len(y)))
sizes = [2, 4, 8, 16, 32, 64, 128]
score, spreads = [], []
for leaves in sizes:
    plant = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0)
    score.append(cross_val_score(plant, Q, y, cv=folds).mean())
    grown = [plant.fit(Q[d], y[d]).predict(Q) for d in draws]
    spreads.append(np.std(grown, axis=0).mean())
print("R²", np.round(score, 2), "spread", np.round(spreads))
roots = [plant.fit(Q[d], y[d]).tree_ for d in draws]
first = {f"{questions[r.feature[0]]} > {r.threshold[0]:.0f}" for r in roots}
print("first questions of the twenty trees:", *sorted(first), sep="\n  ")

# %%
claim("Sixteen leaves or more fit better than two", max(score[3:]) > score[0] + 0.1)
claim("With 128, answers vary more than with 4", spreads[-1] > 1.1 * spreads[1])
claim("With any number of leaves they vary by 150 or more", min(spreads) > 150)
claim("The twenty trees do not agree on their first question", len(first) >= 2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two curves against the number of leaves from 2 to 128. Left: the share of variance explained on held-back days climbs from one half to three quarters at about 16 leaves, then falls a little. Right: how much a day's answer varies between twenty resampled tables lies between 200 and 400 bicycles everywhere, and grows slowly from 4 leaves on."}}
figure, (fit_plot, stable) = plt.subplots(1, 2, figsize=(7, 2.9))
fit_plot.semilogx(sizes, score, "o-", base=2, color=COLOURS["blue"])
fit_plot.set(xlabel="leaves", ylabel="R² on held-back days", ylim=(0.4, 0.9))
stable.semilogx(sizes, spreads, "o-", base=2, color=COLOURS["orange"])
stable.set(xlabel="leaves", ylabel="spread of an answer (bicycles)")
stable.set_ylim(0, 1.1 * max(spreads))
for axis in (fit_plot, stable):
    axis.set_xticks(sizes, labels=sizes)
plt.show()

# %% [markdown]
# *Deeper is better for a while; the rules are unstable throughout.* Six rules can be learnt by heart; sixty can be followed for one day, but not
# surveyed. Right: the standard deviation of a day's answer between the twenty trees, averaged over the days. It grows from 4 leaves on, but even trees with two leaves disagree:
# some begin by asking for the temperature, others for the day of the year, since both tell winter from summer. Their stories differ from the first word.
# Show a tree with such a picture, or show several trees.
#
# ## Shapley values
#
# A forest of trees predicts better than all of this, and has no sum to read. Can its answer be *made* into a sum, one term a feature? Many sums would do.
# Shapley asked in 1953 which one is fair {cite}`shapley1953value`, not for features but for players who earn something together.
#
# ### A game
#
# Three friends busk. Their takings depend on who plays:

# %%
band = ("guitar", "voice", "drum")
takings = {(): 0, (0,): 40, (1,): 60, (2,): 10, (0, 1): 150, (0, 2): 60, (1, 2): 80}
takings[0, 1, 2] = 180
gains = np.zeros((6, 3))
for row, coming in zip(gains, itertools.permutations(range(3)), strict=True):
    before = ()
    for player in coming:
        after = tuple(sorted((*before, player)))
        row[player] = takings[after] - takings[before]
        before = after
fair = gains.mean(axis=0)
for name, share, each in zip(band, fair, gains.T, strict=True):
    print(
        f"{name:<7} gains {each.astype(int)} in the six orders, {share:.0f} on average"
    )
claim("The shares add up to 180", np.isclose(fair.sum(), 180))

# %% [markdown]
# Who comes later finds the others there, and so adds another amount. Fair is the **mean over all orders of coming**. As a formula,
# with $v(S)$ what the coalition $S$ earns:
#
# $$\phi_j = \sum_{S \not\ni j} \frac{|S|!\,(d - 1 - |S|)!}{d!}\, \big(v(S \cup \{j\}) - v(S)\big) .$$
#
# In words: what $j$ adds to a coalition, weighted by the share of orders in which exactly this coalition came before. It is the only rule that keeps four
# promises: the values add up to $v(\text{all}) - v(\emptyset)$ (**efficiency**), equal players get equal values (**symmetry**), who never changes anything gets nothing (**dummy**),
# and the values of a sum of two games are the sums of the values (**additivity**).


# %%
def worth(masks):  # (m, 3) -> (m,)
    return np.array([takings[tuple(np.flatnonzero(mask))] for mask in masks])


by_library = explain.shapley_of_game(worth, 3)
claim("Six orders and the library agree", np.allclose(fair, by_library.values[0]))

# %% [markdown]
# ### Features as players
#
# Now the players are features, and what they earn together is the model's answer {cite}`strumbelj2014explaining`. But a model cannot be asked with half of its
# features. So the missing ones are filled in from a **background** of other rows, and the answers averaged:
#
# $$v(S) = \frac{1}{B} \sum_{u} f(x_S, u_{\text{rest}}) .$$
#
# In words: keep the features in $S$ as they are on our day, take the others from each of the $B$ background days $u$ in turn. For a linear model all orders give the
# same, and the sum collapses to
#
# $$\phi_j = \beta_j \, (x_j - \bar u_j) .$$
#
# This is the effect in the lower plot of {fig}`weights-and-effects`, measured from the mean.

# %%
rows = table[["temperature", "humidity", "windspeed", "days"]].to_numpy()
linear = explain.feature_effects(rows, y)
found = explain.shapley(linear.predict, rows[[day]], rows)
closed = linear.weights[1:] * (rows[day] - rows.mean(axis=0))
claim("Shapley values of a sum are its terms", np.allclose(found.values[0], closed))

# %% [markdown]
# And for the forest, whose answer is no sum, all $2^8$ coalitions:

# %%
codes = {name: column.cat.codes for name, column in X.select_dtypes("category").items()}
M = X.assign(**codes).to_numpy(float)  # categories as 0, 1, 2, … (days, 8)
forest = RandomForestRegressor(50, min_samples_leaf=3, random_state=seed()).fit(M, y)
fit = cross_val_score(forest, M, y, cv=folds).mean()
claim("The forest explains more than the best tree", fit > max(score))
background = M[::4]
shares = explain.shapley(forest.predict, M[[day]], background, method="exact")
phi = shares.values[0]
total = shares.base[0] + phi.sum()
claim("Base and values add up to the answer", np.isclose(total, shares.predictions[0]))
claim(
    "Humidity and wind speak against the day",
    max(phi[names.index("humidity")], phi[names.index("windspeed")]) < -100,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A waterfall of horizontal bars. It begins at the mean answer of the background, about 3,400 bicycles. Temperature pushes it right by about 500 and the day of the year by 200; humidity pushes it left by about 500, windspeed by 400 and the weather by 200; it ends at the forest's answer near 3,100."}}
figure, axis = plt.subplots(figsize=(7, 3.3))
ranked = np.argsort(-np.abs(phi))
ends = shares.base[0] + np.append(0, phi[ranked].cumsum())  # where each bar begins
for place, j in enumerate(ranked):
    hue = COLOURS["blue" if phi[j] > 0 else "orange"]
    axis.barh(-place, phi[j], left=ends[place], color=hue)
    edge = max(ends[place : place + 2]) + 15
    axis.text(edge, -place, f"{phi[j]:+.0f}", va="center", fontsize=9)
axis.axvline(shares.base[0], color=COLOURS["black"], linewidth=1, linestyle=":")
axis.axvline(ends[-1], color=COLOURS["black"], linewidth=1)
axis.set_yticks(-np.arange(8), labels=[names[j] for j in ranked])
axis.set(xlabel="bicycles", xlim=(min(ends) - 80, max(ends) + 120))
axis.set_title("from the mean answer (dotted) to 27 August (line)")
plt.show()

# %% [markdown]
# *The forest's answer as a sum.* Bars to the right are reasons for more bicycles than usual, to the left for fewer. They add up to the distance
# between the two lines, by construction. The forest is as wrong as the line: it too has no column for a hurricane.
#
# ### More players: sampling
#
# Twenty features have a million coalitions, and each costs a background's worth of answers. So one draws. Two ways, both exact in the long run:
#
# - **Permutations**: let the players come in a random order, and then in the reverse order. Who was early is now late, so the errors of the two partly cancel.
# - **Kernel SHAP** {cite}`lundberg2017unified`: *fit a sum to the game*. Draw coalitions $S$ as rows of 0 and 1, and find the $\phi$ that solve
#
# $$\min_\phi \sum_S \pi(S) \Big(v(S) - v(\emptyset) - \sum_{j \in S} \phi_j\Big)^2, \qquad
# \pi(S) = \frac{d - 1}{\binom{d}{|S|}\,|S|\,(d - |S|)} .$$ (eq-kernel-shap)
#
# In words: weighted least squares, where coalitions that are nearly empty or nearly full count most, and where the
# sum must hit $v(\text{all}) - v(\emptyset)$ exactly. If you know [LIME](lime.ipynb), you have seen this. It *is* LIME with another kernel $\pi$: LIME chooses
# its weights by distance, and Shapley's axioms leave no choice.


# %%
def kernel(d, s):
    return (d - 1) / (math.comb(d, s) * s * (d - s))


def game(masks):  # (m, 8) -> (m,)
    mixed = np.where(masks[:, None, :], M[day], background)  # (m, b, 8)
    return forest.predict(mixed.reshape(-1, 8)).reshape(len(masks), -1).mean(axis=1)


every = np.array(list(itertools.product([False, True], repeat=8)))
values_of = game(every)  # (256,)
inner, v = every[1:-1], values_of[1:-1]
weight = np.array([kernel(8, s) for s in inner.sum(axis=1)])
# the last player gets what is left, which keeps the sum exact
rest = values_of[-1] - values_of[0]
A = inner[:, :-1].astype(float) - inner[:, -1:]
b = v - values_of[0] - inner[:, -1] * rest
first = np.linalg.lstsq(np.sqrt(weight)[:, None] * A, np.sqrt(weight) * b)[0]
claim(
    "Least squares on all coalitions gives the Shapley values",
    np.allclose([*first, rest - first.sum()], phi),
)

# %% tags=["nbval-ignore-output"]
number = 2 ** np.arange(7, -1, -1)


def lookup(masks):  # every value is known: no forest is asked again
    return values_of[masks @ number]


budgets = [32, 64, 128, 250]
lost = {"permutation": [], "kernel": []}
for method, curve in lost.items():
    for samples in budgets:
        runs = [
            explain.shapley_of_game(lookup, 8, method=method, samples=samples, seed=s)
            for s in range(30)
        ]
        wrong = np.concatenate([run.values for run in runs]) - phi
        curve.append(np.sqrt(np.mean(wrong**2)))
print({method: np.round(curve).tolist() for method, curve in lost.items()})

# %%
for method, curve in lost.items():
    claim(
        f"With 8 times as many draws, {method} errs less than half",
        curve[3] < curve[0] / 2,
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: weight of a coalition of 8 players against its size, on a logarithmic axis. Shapley's kernel is a U, high for sizes 1 and 7 and twenty times lower in the middle; the exponential kernel of LIME rises steadily towards the full coalition. Right: error of sampled Shapley values against the number of coalitions drawn, both axes logarithmic; the lines of both methods fall."}}
figure, (kernels, error_plot) = plt.subplots(1, 2, figsize=(7, 3))
held_sizes = np.arange(1, 8)
kernels.semilogy(held_sizes, [kernel(8, s) / kernel(8, 1) for s in held_sizes], "o-")
near = np.exp(-((1 - np.sqrt(held_sizes / 8)) ** 2) / 0.25**2 / 2)
kernels.semilogy(held_sizes, near / near[-1], "s--", color=COLOURS["orange"])
kernels.set(xlabel="players in the coalition", ylabel="weight (largest = 1)")
kernels.set_ylim(0.01, 1.3)
kernels.legend(["Shapley", "LIME"], loc="lower right")
for (method, curve), mark in zip(lost.items(), ("o-", "s--"), strict=True):
    error_plot.loglog(budgets, curve, mark, label=method)
error_plot.set_xticks(budgets, labels=budgets)
error_plot.set_yticks([10, 20, 30], labels=[10, 20, 30])
error_plot.minorticks_off()
error_plot.set(xlabel="coalitions drawn", ylabel="error (bicycles)")
error_plot.legend()
plt.show()

# %% [markdown]
# *Two kernels, and what drawing costs.* Left: LIME (its default for images) trusts coalitions that are near the instance, Shapley's kernel those from which a single feature's part can be told, one
# alone or one missing. Right: the error, in bicycles, against exact values. The library returns a standard error with each sampled value; report it.
#
# ### Where is SHAP?
#
# **SHAP** is the name under which Lundberg and Lee brought Shapley values to machine learning, and of the package that everybody uses. Its parts are what you have just
# seen, or faster ways to the same numbers for one family of models: `KernelExplainer` is the least squares of {eq}`eq-kernel-shap`; `PermutationExplainer` draws orders and their reverses;
# `LinearExplainer` is the closed form; `TreeExplainer` computes exact values of trees and forests in polynomial time, with a background as
# here or from the tree's own counts {cite}`lundberg2020local`; `DeepExplainer` and `GradientExplainer` approximate for networks. Beeswarm and force plots are drawings of
# `values` over many rows.
#
# And for images? The players are **superpixels**, patches of one colour, and a patch that is not in the coalition is painted over. `shapley_of_game` takes any function from masks
# to numbers, so a photograph ([data card](../../book/data_cards/photos.md)) and a real ImageNet network need no more than this:

# %%
photograph = photos().images[0]  # (3, 224, 224)
pixels = photograph.permute(1, 2, 0).numpy()
patches = torch.from_numpy(slic(pixels, n_segments=16, start_label=0)).long()
network, tabby = imagenet_classifier(), 281
mean_colour = photograph.mean(dim=(1, 2))


def logit(masks):  # (m, patches) -> (m,)
    shown = superpixels(photograph, patches, torch.from_numpy(masks), fill=mean_colour)
    return predict(network, shown, batch_size=32)[:, tabby]


players = int(patches.max()) + 1
how = {"method": "permutation", "samples": 240, "seed": seed()}
cat = explain.shapley_of_game(logit, players, **how)
by_patch = torch.from_numpy(cat.values[0])
typical = np.median(cat.standard_errors)
claim("The best patch stands out from its error", by_patch.max() > 3 * typical)
claim(
    "Patches add up to the logit's gain over a plain picture",
    np.isclose(by_patch.sum(), cat.predictions[0] - cat.base[0], atol=1e-3),
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three pictures. Left, the photograph of a tabby cat's head with the borders of its patches. Middle, the same patches coloured by Shapley value, blue for and red against tabby: the patch with both eyes and the bridge of the nose is the darkest blue, those at the rim are pale. Right, only the four best patches of the photograph, the rest painted over."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.5))
show_image(axes[0], photograph, "the patches")
axes[0].imshow(mark_boundaries(pixels, patches.numpy(), color=(1, 1, 0)))
limit = by_patch.abs().max()
painted = axes[1].imshow(by_patch[patches], cmap="RdBu", vmin=-limit, vmax=limit)
axes[1].set_title("Shapley value for tabby", fontsize=9)
axes[1].axis("off")
figure.colorbar(painted, ax=axes[1], shrink=0.8, label="logit")
best_four = torch.zeros(1, players, dtype=torch.bool)
best_four[0, by_patch.topk(4).indices] = True
kept = superpixels(photograph, patches, best_four, fill=mean_colour)
show_image(axes[2], kept[0], "the best four")
plt.show()

# %% [markdown]
# *Which patches say "tabby".* Blue patches raise the logit, red ones lower it, by the number on the scale, on average over the orders in which patches may appear. The price was some 240 questions to the network. Mind that a photograph with
# brown holes is one more thing that it has never seen.
#
# ## What goes wrong
#
# **Days that never were.** To hide a feature, it is taken from another day. What of a summer day with the temperature of January? The
# model has never seen one, and answers all the same.

# %%
masks = random.random((2000, 8)) < 0.5
donors = M[random.integers(len(M), size=2000)]
hybrids = np.where(masks, M[random.integers(len(M), size=2000)], donors)
season, warm = names.index("season"), names.index("temperature")


def strange(rows):
    """Share of rows whose temperature no day of that season ever had."""
    seen = [M[M[:, season] == s][:, warm] for s in range(4)]
    low = np.array([s.min() for s in seen])[rows[:, season].astype(int)]
    high = np.array([s.max() for s in seen])[rows[:, season].astype(int)]
    return np.mean((rows[:, warm] < low) | (rows[:, warm] > high))


claim("More than one mixed day in ten is impossible", strange(hybrids) > 0.1)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Temperature against day of the year, twice. Left, real days: a band that rises from zero degrees in January to 30 in July and falls again. Right, mixed days: a cloud that fills the whole square, with 30 degrees in January and frost in July."}}
figure, (real, mixed) = plt.subplots(1, 2, figsize=(7, 2.8), sharex=True, sharey=True)
real.plot(M[:, -1], M[:, warm], "o", ms=3, color=COLOURS["blue"])
mixed.plot(hybrids[:365, -1], hybrids[:365, warm], "o", ms=3, color=COLOURS["orange"])
real.set(title="real days", xlabel="day of 2011", ylabel="temperature (°C)")
mixed.set(title="mixed days, which the forest was asked", xlabel="day of 2011")
plt.show()

# %% [markdown]
# *Much of what the model was asked lies where it never learnt.* There a forest repeats its nearest leaf, a network may say anything, and a dishonest model can behave well on
# purpose ([lecture 4.6](when_explanations_lie.ipynb)). LIME has the same trouble.
#
# **Correlated features.** One could fill in from days that are *like* ours instead (the conditional expectation). Then a feature that the model does not even read gets a share because it is
# correlated with one that is read. The two choices answer two questions, what the model reads and what the data tell, and neither is wrong {cite}`kumar2020problems`. A model that reads only the first of two
# identical columns shows it:

# %%
twin = random.normal(size=400)
both = np.column_stack([twin, twin])  # the second is a copy


def reader(rows):
    return rows[:, 0]


def given_equal(masks):  # knowing either column is knowing both
    return np.where(masks.any(axis=1), 1.0, 0.0)


one = np.ones((1, 2))
marginal = explain.shapley(reader, one, both - both.mean(axis=0)).values[0]
conditional = explain.shapley_of_game(given_equal, 2).values[0]
claim("By mixed rows: all to the column that is read", np.allclose(marginal, [1, 0]))
claim("By rows like ours: half each", np.allclose(conditional, [0.5, 0.5]))

# %% [markdown]
# **The background is part of the question.** "Why fewer than on a usual day" and "why more than on a rainy day" have different answers:

# %% tags=["nbval-ignore-output"]
versus = {"all days": background, "rainy days": M[wet == 1]}
damp = {}
for name, against in versus.items():
    again = explain.shapley(forest.predict, M[[day]], against).values[0]
    damp[name] = again[names.index("humidity")]
    print(f"against {name:<10} humidity: {damp[name]:+.0f}")

# %%
claim("Against all days, humidity is a reason for fewer", damp["all days"] < -100)
claim("Against rainy days, a reason for more", damp["rainy days"] > 0)

# %% [markdown]
# ### An honest check, as code
#
# Standard errors and sums are computed under assumptions. A few lines check them:

# %% tags=["nbval-ignore-output"]
residual = y - model.predict(X)
echo = np.corrcoef(residual[1:], residual[:-1])[0, 1]
print(f"correlation of a day's error with the day before: {echo:.2f}")
weeks = np.arange(365) // 7
draws = []
for _ in range(200):
    chosen = np.concatenate([np.flatnonzero(weeks == w) for w in random.choice(53, 53)])
    coefficient = np.linalg.lstsq(design[chosen], y[chosen])[0]
    draws.append(coefficient[temperature])
wider = np.std(draws) / model.standard_errors[temperature]
print(
    f"temperature: the error is {wider:.1f} times as large when whole weeks are drawn"
)

# %%
claim("Errors are not independent, so intervals are too short", echo > 0.2)
claim("Temperature's error is too small by a fifth or more", wider > 1.2)

# %% [markdown]
# The intervals in the upper plot of {fig}`weights-and-effects` took the days for independent. But a day's error resembles the day before (a storm, a holiday week, a broken
# station). Drawing whole weeks instead, the **block bootstrap**, gives wider and more honest ones.
#
# ## Practice
#
# **Exercise 1** (10 minutes). A working day's weight is +27 with an error of 71. Does the working day not matter? Fit the model without `holiday` and look; then count bicycles on working days and
# others, by hand. What might differ on working days that this table, which adds up whole days, cannot show?
#
# <details><summary>Hint 1: two columns</summary>
#
# When a day is a holiday, it is not a working day. So the weight of one depends on whether the other is in the model: drop the column and call `feature_effects` again.
#
# </details>
#
# <details><summary>Hint 2: what a sum hides</summary>
#
# The table has one number for each day. Two days with the same number can have very different hours.
#
# </details>

# %% tags=["hide-cell", "nbval-ignore-output"]
without = explain.feature_effects(X.drop(columns="holiday"), y)
place = without.terms.index("workingday: yes")
print(f"{without.weights[place]:+.0f} ± {without.standard_errors[place]:.0f}")
free = table["workingday"] == "no"
print(f"working days {y[~free].mean():.0f}, others {y[free].mean():.0f}")

# %% tags=["hide-cell"]
claim(
    "The weight stays within two errors of zero or so",
    abs(without.t_values[place]) < 2.5,
)
# As many bicycles, but others ride, and at other hours: commuters at eight and five.
# A sum over the day cannot show it. An explanation cannot find what was added away.

# %% [markdown]
# **Exercise 2** (15 minutes). Shapley values hide interactions. Take the game in which two features earn 1 only together, $v = x_1 x_2$, and the game in which they earn ½ each, $v = (x_1 + x_2)/2$. Compute both
# games' values. What does a reader of the values not learn?
#
# <details><summary>Hint 1: how to compute them</summary>
#
# A game is a function from masks, `(m, 2)`, to what they earn, `(m,)`; `explain.shapley_of_game` takes it. On paper, two players have only two orders of coming.
#
# </details>
#
# <details><summary>Hint 2: what to compare</summary>
#
# Ask of each game: what does feature 1 earn alone?
#
# </details>

# %% tags=["hide-cell"]
together = explain.shapley_of_game(lambda m: m[:, 0] * m[:, 1] * 1.0, 2).values[0]
apart = explain.shapley_of_game(lambda m: m.mean(axis=1), 2).values[0]
claim("Both games have the values ½ and ½", np.allclose(together, apart))
# Whether one of the two would do anything without the other cannot be read off.
# An explanation as a sum has no place for "and". A tree's rule has.

# %% [markdown]
# ```{quiz}
# ? The weight of temperature is 89 and that of "spring" is 1,046. Spring matters more. Right?
# - Yes, its weight is larger :: One is per degree, the other for a whole season. Twenty degrees weigh 1,780.
# + Cannot be said from weights; compare the effects' spread :: Effects are all in bicycles, so that their boxes can be compared.
# - No, its t value is smaller :: A t value says how well a weight is known, not how much it matters.
# ? In a linear model, a feature's weight changes sign when another feature is added. What has happened?
# - A bug, or too little data :: It happens with exact data and endless rows, wherever features are correlated.
# + The question has changed: what if this one changes and that one does not :: Each weight is conditional on the others in the model.
# - The added feature is the true cause :: Nothing here tells causes from companions.
# ? Kernel SHAP differs from LIME for the same coalitions in …
# - that it asks the model more often :: Both may ask as often as one likes.
# + the weights, and that its sum must hit the answer :: Shapley's axioms fix the kernel; LIME's is chosen.
# - that it needs gradients :: Neither looks into the model.
# ? A feature's Shapley value is zero. Does the model ignore it?
# - Yes, that is the dummy axiom :: The axiom goes the other way: ignored features get zero.
# + Not necessarily: its gains may cancel, on this row, against this background :: Zero is a mean over orders and background rows.
# - Yes, if the values are exact :: Exactness removes the noise of drawing, not the cancelling.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** A sum and a short list of rules can be checked by people who know the matter and no statistics. Weights come with errors, rules with shares. Shapley values bring
# a sum to any model, add up to the answer, and are the only ones to keep their four promises.
#
# **Limitations.** A sum that fits badly explains a bad fit. Weights of correlated features answer questions about days that do not exist; so do Shapley values, which ask the model on mixed rows, depend on the
# background, cost exponentially many answers or an error, and hide what acts only together. None of them speaks of causes.
#
# **Software.** In this library: `tml_helpers.explain.feature_effects`, `tree_rules`, `shapley` and `shapley_of_game`. In earnest:
# [statsmodels](https://www.statsmodels.org) for regressions with all their tests, [scikit-learn](https://scikit-learn.org) for trees (`export_text`, `plot_tree`),
# [shap](https://github.com/shap/shap) for Shapley values, [InterpretML](https://github.com/interpretml/interpret) for sums of curves, which are readable and bend.
#
# ## What to take away
#
# Effects, not weights, can be compared. A weight is an answer given the other features. Rules are clear, and shaky. A Shapley value is a mean gain over orders, against a background
# that you choose. And a clear explanation of a wrong answer is still one of a wrong answer. Next: explain *one* answer of *any* model by a simple one near by, [LIME](lime.ipynb).
