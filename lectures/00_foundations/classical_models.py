# %% [markdown]
# # 0.3 Models before networks
#
# Half of the decisions that touch people are still made by models that fit on a page: a weighted sum, a handful of questions, a line between two groups. They are fast, they can be read, and they have all the troubles of trust that large ones have. Here are nine of them, one function each, every one held against scikit-learn. They differ in
# two things only: which functions are allowed, and what a mistake costs.
#
# **What you will learn**
#
# - learning as an optimisation: loss plus penalty;
# - linear regression, ridge and lasso, and why the lasso's weights are exactly zero;
# - logistic and softmax regression, naive Bayes, and what they do when they are sure;
# - a decision tree by entropy, and how it overfits;
# - the support vector machine: margin, hinge, and the kernel trick.
#
# **Before you start**: [0.2](learning.ipynb), and gradients. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tml_helpers.claims import claim, seed
from tml_helpers.data import digits, loan_applications
from tml_helpers.plotting import COLOURS, use_style

use_style()
rng = np.random.default_rng(seed())

# %% [markdown]
# ## The question: what is a mistake worth?
#
# Nearly all of supervised learning is one line:
#
# $$
# \min_\theta\; \frac1n \sum_{i=1}^{n} \ell\bigl(y_i, f_\theta(x_i)\bigr) + \lambda\, \Omega(\theta).
# $$ (eq-lin-risk)
#
# In words: the mean **loss** $\ell$ on the training examples, plus a **penalty** $\Omega$ on the parameters, with a weight $\lambda$ that cross-validation chooses. The penalty makes the model stiffer, against overfitting: $\Omega = \|\theta\|_2^2$ shrinks all weights (ridge, L2), $\Omega = \|\theta\|_1$ sets some of them to zero (lasso, L1).
#
# For two classes, $y = \pm 1$, and a score $s$ whose sign is the answer, what one minds is the **0-1 loss**: 1 if the sign is wrong. It is flat, and no gradient can follow it. So one takes a loss above it that slopes.

# %%
LOSSES = {  # of the margin m = y · s: how far on the right side
    "0-1": lambda m: (m <= 0).astype(float),
    "hinge (SVM)": lambda m: np.maximum(0, 1 - m),
    "squared hinge": lambda m: np.maximum(0, 1 - m) ** 2,
    "logistic": lambda m: np.logaddexp(0, -m) / np.log(2),
    "exponential": lambda m: np.exp(-m),
}
margins = np.linspace(-2.5, 2.5, 201)
for name, loss in LOSSES.items():
    above = (loss(margins) >= LOSSES["0-1"](margins) - 1e-12).all()
    claim(f"{name} is never under the 0-1 loss", above)

# %% tags=["hide-input", "fig-lin-losses"] mystnb={"image": {"alt": "Five curves over the margin from minus 2.5 to 2.5. The 0-1 loss is a step from 1 to 0 at 0. Hinge falls in a line to 0 at 1; squared hinge in a parabola; logistic and exponential fall smoothly. All lie above the step."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
for (name, loss), style in zip(
    LOSSES.items(), ("-", "--", "-.", ":", "-"), strict=True
):
    axis.plot(margins, loss(margins), style, label=name)
axis.set(xlabel="margin y·s", ylabel="loss", ylim=(0, 5))
axis.legend()
plt.show()

# %% [markdown]
# *What a mistake costs, over how far on the right side the score lies.* The squared and the exponential loss punish a bad mistake most: one wrong label far away can turn the whole model. That is what an attacker who may flip labels looks for ([3.1](../30_poisoning/labels.ipynb)).
#
# A **discriminative** model learns $P(y \mid x)$, or only the border between classes. A **generative** one learns $P(x \mid y)$, how each class looks, and turns it around with Bayes' rule. Naive Bayes is below; mixtures were in [0.2](learning.ipynb).
#
# ## A weighted sum: linear regression
#
# Let $\hat y = w^\top x + b$. With the squared loss the best weights solve the **normal equations** $X^\top X w = X^\top y$, for centred columns. Ridge adds $\lambda$ to the diagonal, and that also helps where two columns are nearly the same and $X^\top X$ has no inverse.
#
# The data are mortgages from Boston ([card](../../book/data_cards/loan_applications.md)): we predict the share of its income that a household owes each month, from five columns. Nobody decides anything with it here.

# %%
table = loan_applications()
inputs = ["hrat", "loanprc", "unem", "dep", "yjob"]
whole = table[[*inputs, "obrat"]].dropna().to_numpy(dtype=float)
X = (whole[:, :-1] - whole[:, :-1].mean(0)) / whole[:, :-1].std(0)  # (n, 5)
y = whole[:, -1]


def ridge(X, y, penalty=0.0):
    """Weights and intercept that minimise Σ (y − Xw − b)² + penalty · ‖w‖²."""
    mean, level = X.mean(0), y.mean()
    centred = X - mean
    gram = centred.T @ centred + penalty * np.eye(X.shape[1])
    w = np.linalg.lstsq(gram, centred.T @ (y - level), rcond=None)[0]
    return w, level - mean @ w  # lstsq: of equal columns each gets its share


# %%
for penalty, theirs in ((0.0, LinearRegression()), (300.0, Ridge(300.0))):
    w, b = ridge(X, y, penalty)
    theirs.fit(X, y)
    gap = np.abs(w - theirs.coef_).max() + abs(b - theirs.intercept_)
    claim(f"{type(theirs).__name__}: the same up to rounding", gap < 1e-6)

# %% [markdown]
# The **lasso** has no formula, but for one weight at a time it has: take what the other weights leave unexplained, and pull the best single weight towards zero by a fixed amount, through zero not. That is **soft thresholding**. Go round until nothing moves {cite}`tibshirani1996regression`.


# %%
def soft(value, by):
    """Towards zero by `by`, and zero where that would cross it."""
    return np.sign(value) * np.maximum(np.abs(value) - by, 0)


# %%
def lasso(X, y, penalty, rounds=1000):
    """Weights and intercept that minimise Σ (y − Xw − b)² / 2n + penalty · ‖w‖₁."""
    n, d = X.shape
    mean, level = X.mean(0), y.mean()
    centred, w = X - mean, np.zeros(d)
    left = y - level  # what is not explained yet
    scale = (centred**2).mean(0)
    for _ in range(rounds):
        before = w.copy()
        for j in np.flatnonzero(scale):  # a constant column keeps weight 0
            alone = centred[:, j] @ left / n + scale[j] * w[j]
            new = soft(alone, penalty) / scale[j]
            left -= centred[:, j] * (new - w[j])
            w[j] = new
        if np.abs(w - before).max() < 1e-10:
            break
    return w, level - mean @ w


# %%
w, b = lasso(X, y, 0.5)
library = Lasso(0.5, tol=1e-10).fit(X, y)
claim("Lasso: the same, to 1e-6", np.abs(w - library.coef_).max() < 1e-6)
claim("Some weights are exactly zero", (w == 0).any() and (w != 0).any())

# %% tags=["hide-input", "fig-lin-paths"] mystnb={"image": {"alt": "Two panels of five lines, weights over the penalty on a logarithmic axis. Left, ridge: all lines bend towards zero and none reaches it. Right, lasso: one line after another reaches zero and stays there."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
grids = np.geomspace(10, 1e5, 40), np.geomspace(0.01, 6, 40)
for axis, method, grid in zip(axes, (ridge, lasso), grids, strict=True):
    path = np.array([method(X, y, penalty)[0] for penalty in grid])
    for column, name in zip(path.T, inputs, strict=True):
        axis.semilogx(grid, column, label=name)
    axis.set(title=method.__name__, xlabel="penalty λ")
axes[0].set(ylabel="weight")
axes[1].legend(fontsize=9)
plt.show()

# %% [markdown]
# *Weights over the penalty.* Ridge lets all in and makes them small; the lasso lets few in. Which ones it lets in hangs on the sample where columns go together, so "the model does not use it" is no statement about the world.
#
# ## A sum, squeezed: logistic and softmax regression
#
# For two classes the score becomes a probability by the logistic function, $P(y = 1 \mid x) = 1 / (1 + e^{-w^\top x - b})$. For $K$ classes each has weights $w_k$, and $P(y = k \mid x) = e^{w_k^\top x} / \sum_j e^{w_j^\top x}$: **softmax**. The loss is minus the log of the probability that the true class gets: **cross-entropy**. Its gradient is as simple as can be:
#
# $$
# \nabla_{w_k} \ell = (p_k - \mathbb 1[y = k])\, x.
# $$ (eq-lin-softmax)
#
# In words: each example pushes the weights by its input, times how wrong the probability was. Networks end with the same layer.


# %%
def softmax_regression(X, labels, penalty):
    """Weights [K, d], intercepts [K] of least mean cross-entropy + penalty·‖W‖²/2."""
    n, d = X.shape
    K = labels.max() + 1
    hot = np.eye(K)[labels]

    def loss(flat):
        W = flat.reshape(K, d + 1)
        scores = X @ W[:, :-1].T + W[:, -1]
        wrong = (softmax(scores, axis=1) - hot) / n
        gradient = np.hstack([wrong.T @ X + penalty * W[:, :-1], wrong.sum(0)[:, None]])
        cost = -np.sum(log_softmax(scores, axis=1) * hot) / n
        return cost + penalty / 2 * np.sum(W[:, :-1] ** 2), gradient.ravel()

    start = np.zeros(K * (d + 1))
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
    W = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    W = W.reshape(K, d + 1)
    return W[:, :-1], W[:, -1]


# %%
train, test = digits("train"), digits("test")
A, B = (part.images.flatten(1).numpy().astype(float) for part in (train, test))
a, b_labels = train.labels.numpy(), test.labels.numpy()
W, bias = softmax_regression(A, a, 1e-3)
library = LogisticRegression(C=1 / (1e-3 * len(A)), tol=1e-9, max_iter=9000).fit(A, a)
gap = softmax(B @ W.T + bias, axis=1) - library.predict_proba(B)
claim("Softmax: probabilities agree to 1e-3", np.abs(gap).max() < 1e-3)
claim("Over 90 % of new digits", np.mean((B @ W.T + bias).argmax(1) == b_labels) > 0.9)

# %% [markdown]
# ### What goes wrong
#
# If a line separates the two classes, there is no best model: the longer the weights, the smaller the loss, for ever, and all probabilities go to 0 and 1. A little penalty, or stopping early, makes an end of it. The model is then as sure as the penalty lets it be, not as sure as the data are.

# %%
apart = np.array([[-1.0], [1.0]])
two = np.array([0, 1])
lengths = [
    np.abs(softmax_regression(apart, two, p)[0]).max() for p in (1e-1, 1e-3, 1e-5)
]
claim("The weaker the penalty, the longer the weights", np.diff(lengths).min() > 1)

# %% [markdown]
# ## Each column alone: naive Bayes
#
# Gaussian naive Bayes takes each class as a Gaussian in which all features are independent, and turns it round: $P(y \mid x) \propto P(y) \prod_j \mathcal N(x_j \mid \mu_{yj}, \sigma_{yj}^2)$. Fitting is counting. Features are seldom independent, and so it counts the same evidence many times and is far too sure; the class it names is often right all the same. A feature that never varies within a class has $\sigma = 0$, so the
# variances need a floor.


# %%
def naive_bayes(X, labels, new, floor=1e-9):
    """log P(class | x) for each new row, from means and variances by class."""
    classes = np.unique(labels)
    groups = [X[labels == k] for k in classes]
    means = np.stack([g.mean(0) for g in groups])
    variances = np.stack([g.var(0) for g in groups]) + floor * X.var(0).max()
    prior = np.log([len(g) / len(X) for g in groups])
    z = (new[:, None] - means) ** 2 / variances + np.log(2 * np.pi * variances)
    joint = prior - z.sum(2) / 2
    return joint - logsumexp(joint, axis=1, keepdims=True)


ours = naive_bayes(A, a, B)
theirs = GaussianNB().fit(A, a).predict_log_proba(B)
gap = np.abs(ours - theirs).max() / np.abs(theirs).max()
claim("As scikit-learn, to a part in a million", gap < 1e-6)

# %%
said, sure = ours.argmax(1), np.exp(ours.max(1))
claim("It is sure: over 95 % on average", sure.mean() > 0.95)
claim("It is right on under 90 %", np.mean(said == b_labels) < 0.9)

# %% [markdown]
# ## Questions: the decision tree
#
# A tree asks one question at a time, of the form "is $x_j \le t$?". Which one first? The one after which the classes are least mixed. How mixed a set is, says its **entropy** $-\sum_k p_k \log_2 p_k$, in bits; the question's **information gain** is the entropy before, minus the mean entropy after {cite}`quinlan1986induction`.


# %%
def entropy(labels):
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return -np.sum(shares * np.log2(shares))


# %%
def best_question(X, labels):
    """Feature, threshold and gain of the question that sorts best; 0: none does."""
    best = (0, 0.0, 0.0)
    for j in range(X.shape[1]):
        values = np.unique(X[:, j])
        for t in (values[1:] + values[:-1]) / 2:
            left = X[:, j] <= t
            share = left.mean()
            after = share * entropy(labels[left]) + (1 - share) * entropy(labels[~left])
            gain = entropy(labels) - after
            if gain > best[2] + 1e-12:
                best = (j, t, gain)
    return best


# %%
def grow(X, labels, depth):
    """A tree: a class, or (feature, threshold, tree if at most that, tree if more)."""
    j, t, gain = best_question(X, labels) if depth else (0, 0.0, 0.0)
    if gain == 0:
        return int(np.bincount(labels).argmax())
    left = X[:, j] <= t
    yes, no = (
        grow(X[left], labels[left], depth - 1),
        grow(X[~left], labels[~left], depth - 1),
    )
    return j, t, yes, no


# %%
def follow(tree, x):
    while isinstance(tree, tuple):
        j, t, yes, no = tree
        tree = yes if x[j] <= t else no
    return tree


# %%
pair = table[["obrat", "loanprc"]].notna().all(axis=1)
P = table.loc[pair, ["obrat", "loanprc"]].to_numpy(dtype=float)[:600]
approved = table.loc[pair, "approve"].to_numpy(dtype=int)[:600]
shallow, deep = grow(P, approved, 2), grow(P, approved, 30)
kwargs = {"criterion": "entropy", "random_state": 0}
theirs = DecisionTreeClassifier(max_depth=2, **kwargs).fit(P, approved).predict(P)
mine = np.array([follow(shallow, row) for row in P])
claim("Two questions: scikit-learn answers alike", np.mean(mine == theirs) > 0.99)
right = np.mean([follow(deep, row) for row in P] == approved)
claim("Without a limit it knows nearly all by heart", right > 0.97)

# %% tags=["hide-input", "fig-lin-trees"] mystnb={"image": {"alt": "Two panels of the same applications, debts across and loan as a share of the price upwards. Left, depth 2: a few rectangles. Right, no limit: dozens of thin strips and little boxes around single points."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
across, up = np.linspace(10, 60, 150), np.linspace(0.3, 1.1, 150)
spots = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
for axis, tree, title in zip(
    axes, (shallow, deep), ("two questions", "no limit"), strict=True
):
    said = np.array([follow(tree, row) for row in spots]).reshape(150, 150)
    axis.contourf(
        across, up, said, levels=[-0.5, 0.5, 1.5], colors=["#f5c7a9", "#bcd9ea"]
    )
    for answer, hue in ((1, "blue"), (0, "orange")):
        axis.scatter(*P[approved == answer].T, s=4, color=COLOURS[hue])
    axis.set(title=title, xlabel="debts (% of income)", xlim=(10, 60), ylim=(0.3, 1.1))
axes[0].set(ylabel="loan / price")
plt.show()

# %% [markdown]
# *Blue: the bank approved; orange: it refused. Shaded: what the tree says.* On the right each refused applicant has a box of their own. Nobody would refuse a neighbour for that. Limit the depth, or average many trees that were grown on resampled data and random features: a **random forest**, which is better and can no longer be read.
#
# ## The widest street: support vector machines
#
# Of all lines $w^\top x + b = 0$ that separate two classes, take the one with the widest street around it. Scale $w$ so that the nearest points have $y(w^\top x + b) = 1$: then the half-width of the street, the **margin**, is $\gamma = 1 / \|w\|$. So minimise $\|w\|^2$, with every point on its side. If no line separates, let points pay the hinge loss, with a price $C$ {cite}`cortes1995support`:
#
# $$
# \min_{w, b}\; \tfrac12 \|w\|^2 + C \sum_i \max\bigl(0,\, 1 - y_i (w^\top x_i + b)\bigr).
# $$ (eq-lin-svm)
#
# A small $C$ tolerates points in the street (soft), a large one does not (hard), and then a single outlier turns the street. In the equivalent **dual** problem each point has a weight $0 \le \alpha_i \le C$, and the data occur only in products $x_i^\top x_j$. Points with $\alpha_i > 0$ are the **support vectors**; the others could be deleted.
#
# That is the **kernel trick**: put any $k(x, x') = \phi(x)^\top \phi(x')$ in place of the product, and the line is drawn among the $\phi(x)$, which nobody has to compute. We solve the dual by climbing one pair of weights at a time.


# %%
def svm(kernel, y, C, rounds=20000, tol=1e-6):
    """Dual weights α and offset b for a kernel matrix [n, n] and labels ±1."""
    alpha, gradient = np.zeros(len(y)), np.ones(len(y))  # of Σα − ½ αᵀQα
    for _ in range(rounds):  # the pair that breaks the conditions most
        score = y * gradient
        up = np.where(y > 0, alpha < C, alpha > 0)
        down = np.where(y > 0, alpha > 0, alpha < C)
        i, j = (
            np.where(up, score, -np.inf).argmax(),
            np.where(down, score, np.inf).argmin(),
        )
        if score[i] - score[j] < tol:
            break
        curve = max(kernel[i, i] + kernel[j, j] - 2 * kernel[i, j], 1e-12)
        room_i = C - alpha[i] if y[i] > 0 else alpha[i]
        room_j = alpha[j] if y[j] > 0 else C - alpha[j]
        step = min((score[i] - score[j]) / curve, room_i, room_j)
        alpha[i] += y[i] * step
        alpha[j] -= y[j] * step
        gradient -= y * step * (kernel[:, i] - kernel[:, j])
    return alpha, (score[i] + score[j]) / 2


# %%
def gaussian(X, Z, width):
    """exp(−‖x − z‖² / 2 width²) for all pairs."""
    return np.exp(-((X[:, None] - Z) ** 2).sum(2) / (2 * width**2))


# %%
ring = rng.normal(size=(160, 2))
side = np.where((ring**2).sum(1) < 1.2, 1, -1)
alpha, offset = svm(gaussian(ring, ring, 1.0), side, 10.0)
fresh = rng.normal(size=(500, 2))
score = gaussian(fresh, ring, 1.0) @ (alpha * side) + offset
library = SVC(C=10.0, gamma=0.5, tol=1e-6).fit(ring, side)
gap = np.abs(score - library.decision_function(fresh)).max()
claim("The same scores as scikit-learn's, to a hundredth", gap < 0.01)
claim("Its α balance: Σ αy = 0", abs(alpha @ side) < 1e-6)
claim("Most points could be deleted", np.mean(alpha > 1e-8) < 0.5)

# %% [markdown]
# That the trick is no trick: the kernel $(1 + x^\top z)^2$ in two dimensions is the product of six explicit features.


# %%
def explicit(X):
    """φ with φ(x)ᵀφ(z) = (1 + xᵀz)²."""
    a, b = X.T
    r = np.sqrt(2)
    return np.stack([np.ones(len(X)), r * a, r * b, a**2, b**2, r * a * b], axis=1)


kernel = (1 + ring @ ring.T) ** 2
gap = np.abs(kernel - explicit(ring) @ explicit(ring).T).max() / kernel.max()
claim("Equal up to rounding", gap < 1e-12)

# %% tags=["hide-input", "fig-lin-street"] mystnb={"image": {"alt": "Two panels. Left: two clouds and a straight street between them, a solid line with two dashed ones; the points on the edges of the street are circled. Right: a disc of blue points within orange ones; a closed curve between them, drawn by a Gaussian kernel, with circled points along it."}}
lines = rng.normal(size=(60, 2)) * 0.6
group = np.repeat([1, -1], 30)
lines += np.outer(group, [1.2, 1.0])
cases = [
    (lines, group, lambda X, Z: X @ Z.T, "a straight street"),
    (ring, side, lambda X, Z: gaussian(X, Z, 1.0), "a Gaussian kernel"),
]
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2))
axis_points = np.linspace(-3, 3, 80)
spots = np.stack(np.meshgrid(axis_points, axis_points), axis=-1).reshape(-1, 2)
for axis, (points, sign, product, title) in zip(axes, cases, strict=True):
    weights, shift = svm(product(points, points), sign, 10.0)
    height = product(spots, points) @ (weights * sign) + shift
    axis.contour(axis_points, axis_points, height.reshape(80, 80), [-1, 0, 1],
                 colors="black", linestyles=["--", "-", "--"])  # fmt: skip
    for answer, hue in ((1, "blue"), (-1, "orange")):
        axis.scatter(*points[sign == answer].T, s=8, color=COLOURS[hue])
    axis.scatter(*points[weights > 1e-6].T, s=50, facecolors="none", edgecolors="black")
    axis.set(title=title, xlim=(-3, 3), ylim=(-3, 3))
plt.show()

# %% [markdown]
# *Left: the widest street; right: the same, drawn among features that were never computed. Circles: support vectors.* The picture says what an attacker learns from the model: it is made of some of its training points, and stores them.
#
# ## Where the book uses this
#
# Linear models are where attacks can be computed exactly: [2.1](../20_adversarial/linear_explanation.ipynb) starts from $w^\top x$, [3.1](../30_poisoning/labels.ipynb) poisons an SVM. The lasso chooses the few words of a LIME explanation ([4.3](../40_interpretability/lime.ipynb)), trees and weights are what "interpretable" means ([4.2](../40_interpretability/self_explaining.ipynb)), and the credit models of [chapter 5](../50_fairness/definitions.ipynb) are logistic.
#
# ## How to judge them honestly
#
# The nine are compared on data that chose none of them. The penalty, the depth and $C$ are chosen by cross-validation, inside the training part. And a probability is judged as a probability: of the cases called 90 % sure, are nine in ten right? Naive Bayes above is not ([5.3](../50_fairness/definitions.ipynb) has calibration).

# %%
deciles = np.digitize(sure, [0.5, 0.9, 0.99])
very_sure = deciles == 3
claim("Naive Bayes is over 99 % sure of most digits", very_sure.mean() > 0.5)
errors = 1 - np.mean((ours.argmax(1) == b_labels)[very_sure])
claim("and wrong on over 3 % of those", errors > 0.03)

# %% [markdown]
# ## Practice
#
# **Exercise 1** (10 minutes). *Twins among columns.* Add to the table a column that is the first one again, with a little noise. What do the two weights become, with least squares, ridge and lasso? Which of the three would you show to somebody who asks "how much does it count"?
#
# <details><summary>Hint: the sum</summary>
#
# Look at the two weights' sum as well as at each.
#
# </details>

# %% tags=["hide-cell"]
# Solution: least squares splits the weight in an arbitrary way, with large numbers of
# either sign; ridge halves it; lasso takes mostly one. Only the sum is firm: show that.
twin = X[:, 0] + 0.01 * rng.normal(size=len(X))
doubled = np.column_stack([X, twin])
half = ridge(doubled, y, 300.0)[0][[0, -1]]
alone = ridge(X, y, 150.0)[0][0]
claim("Ridge halves", abs(half[0] - half[1]) < 0.1 * half.sum())
claim("The sum is firm", abs(half.sum() / alone - 1) < 0.1)

# %% [markdown]
# **Exercise 2** (15 minutes). *One outlier.* Take the two clouds of the last figure and add one blue point in the middle of the orange cloud. How wide is the street for $C = 0.01$, $1$ and $100$, with and without it?
#
# <details><summary>Hint: the width</summary>
#
# $w = \sum_i \alpha_i y_i x_i$, and the margin is $1 / \|w\|$.
#
# </details>


# %% tags=["hide-cell"]
def street(points, sign, C):
    alpha, _ = svm(points @ points.T, sign, C)
    return 1 / np.linalg.norm((alpha * sign) @ points)


outlier = np.vstack([lines, [[-1.2, -1.0]]])
signs = np.append(group, 1)
soft_change, hard_change = (
    street(outlier, signs, C) / street(lines, group, C) for C in (0.01, 100.0)
)
claim("The soft street keeps its width within a fifth", abs(soft_change - 1) < 0.2)
claim("The hard one changes more", abs(hard_change - 1) > abs(soft_change - 1))

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Why not minimise the number of errors directly?
# + It is flat: a small change of the weights changes nothing, so no gradient says where to go :: Hence the losses that lie above it.
# - It would overfit :: Any loss can.
# - It is not convex, and that alone is the reason :: A network's loss is not convex either, and is minimised.
# ? The lasso gave the column "unemployment" the weight 0. What does it mean?
# - Unemployment does not matter :: Another column may say the same, and took the weight.
# + In this sample, with this penalty, the others say what it would say :: Another sample may choose otherwise.
# - It was not measured :: It was.
# ? A logistic regression gives 0.9999. How sure should you be?
# - 99.99 % :: Only if the model is calibrated, on data like these.
# + It depends on the penalty and on whether a line separates the data :: On separable data the probability is as near 1 as the penalty lets it be.
# - Not at all :: The order of the scores may still be good.
# ? What does a Gaussian kernel SVM keep of its training data?
# - Nothing but a line :: The line lives among features that are computed from training points.
# + The support vectors, as they are :: A model is not always free of its data. Chapter 6 asks what leaks.
# - An average :: That would be naive Bayes.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Few parameters, a convex problem (all but the tree), an answer that can be read, and seconds to fit. On tables they are hard to beat.
#
# **Limitations.** A weighted sum of pixels sees no shapes. Weights are no effects where columns go together. A deep tree, a forest, a kernel machine are as opaque as a network. And none of them knows when it is asked about something that it has never seen.
#
# **Software and further reading.** scikit-learn has every model here, tested by many. Hastie, Tibshirani and Friedman {cite}`hastie2009elements` and James et al. {cite}`james2021introduction` say the rest, the latter with less mathematics.
#
# ## What to take away
#
# Loss plus penalty, and which functions are allowed: that is a model. What a mistake costs decides what an outlier, or an attacker, can do. Being sure is a property of the fit, not of the world. Next: [from a perceptron to a network](networks.ipynb).
