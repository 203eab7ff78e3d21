# %% [markdown]
# # 0.2 Learning, and how to tell
#
# Give a program enough freedom, and it will fit any data you show it, coin flips too. So a good fit to the past is no sign of learning. This lecture says what is: an answer on examples that played no part in making the model. Everything later in the book stands on this one rule,
# and most wrong numbers in the field come from breaking it. Then come three methods that look for structure where there are no labels, each in a few lines, and each checked against a library.
#
# **What you will learn**
#
# - what learning is, and what training, validation and test sets are for;
# - the golden rule, how large a success one can have by breaking it on pure noise, and how sure a test score is;
# - bias, variance and noise, measured until the three add up to the error;
# - $k$-means, mixtures of Gaussians by expectation-maximisation, and principal components, by hand.
#
# **Before you start**: [0.1](trust.ipynb), means, variances and matrices. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp
from scipy.stats import binom, multivariate_normal
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from tml_helpers.claims import claim, seed
from tml_helpers.data import digits
from tml_helpers.plotting import COLOURS, use_style

use_style()
rng = np.random.default_rng(seed())

# %% [markdown]
# ## The question: when has a program learnt?
#
# By Mitchell's definition a program **learns** from experience $E$, for tasks $T$ and a measure of success $P$, if its success at $T$, measured by $P$, grows with $E$ {cite}`mitchell1997machine`. All three have to be named. In this book the experience is mostly a table $X$ with a row for each of $n$ examples and a column for each of $d$
# **features**, often with a **label** $y$ for each row. To learn is to choose, among functions $f_\theta$, the parameters $\theta$.
#
# - **Supervised**: there are labels, and $f_\theta(x)$ should be near $y$: **regression** if $y$ is a number, **classification** if it is a class.
# - **Unsupervised**: no labels; one looks for structure in $X$ itself: groups, outliers, few directions that hold most of it.
# - **Reinforcement**: an agent acts, and learns from rewards. Not in this book.
#
# Here is the oldest example: thirty noisy points on a curve, and polynomials of three degrees fitted to them.


# %%
def truth(x):
    return np.sin(2 * np.pi * x)


def sample(n, rng, noise=0.3):
    """n points: places in [0, 1], and the curve there with Gaussian noise."""
    x = rng.uniform(0, 1, n)
    return x, truth(x) + rng.normal(0, noise, n)


def fit_polynomial(x, y, degree):
    """The least-squares polynomial, as a function."""
    return np.polynomial.Polynomial.fit(x, y, degree, domain=[0, 1])


def error(model, x, y):
    return np.mean((model(x) - y) ** 2)


x, y = sample(30, rng)
fresh = sample(2000, rng)
fits = {degree: fit_polynomial(x, y, degree) for degree in (1, 4, 15)}
claim("More freedom fits better", error(fits[15], x, y) < error(fits[4], x, y))
worse = error(fits[15], *fresh) > 1.2 * error(fits[4], *fresh)
claim("and does worse on fresh points, by over 20 %", worse)

# %% tags=["hide-input", "fig-learn-degrees"] mystnb={"image": {"alt": "Three panels with the same thirty points and a grey sine curve. Degree 1: a straight line that misses the bend. Degree 4: a smooth curve close to the sine. Degree 15: a curve that runs through many points and swings wildly at the edges."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.5), sharey=True)
grid = np.linspace(0, 1, 300)
for axis, (degree, model) in zip(axes, fits.items(), strict=True):
    axis.plot(grid, truth(grid), color="grey", linewidth=1)
    axis.scatter(x, y, s=8, color=COLOURS["blue"])
    axis.plot(grid, model(grid), color=COLOURS["orange"])
    axis.set(title=f"degree {degree}", ylim=(-2, 2), xlabel="x")
plt.show()

# %% [markdown]
# *Grey: the truth. Blue: what is seen of it. Orange: the fit.* Degree 1 **underfits**: it has not the shapes to follow the data. Degree 15 **overfits**: it follows the noise, too.
#
# | | training error | error on fresh data | what helps |
# |---|---|---|---|
# | underfitting | high | about as high | a richer model, more features, longer training |
# | about right | low | a little higher | |
# | overfitting | very low | much higher | more data, a penalty ([0.3](classical_models.ipynb)), stopping early ([0.4](networks.ipynb)) |
#
# ## The golden rule
#
# Data are split in three. The **training set** fits $\theta$. The **validation set** compares models: which degree, when to stop. The **test set** is looked at once, at the end, and says what to expect. The rule: *what judges a model played no part in making it*. Also the choice among models is a part of making.
#
# Few people train on the test set. The rule is broken more quietly. Take 60 people, 2,000 features and labels, **all drawn at random**: there is nothing to learn. Choose the 20 features that go best with the labels, and only then split the data, fit and test.


# %%
def best_features(x, y, count):
    """Columns that correlate most with the labels; a constant one not at all."""
    centred = x - x.mean(0)
    size = np.sqrt((centred**2).sum(0))
    covariance = np.abs(centred.T @ (y - y.mean()))
    found = np.divide(covariance, size, out=np.zeros(len(size)), where=size > 0)
    return np.argsort(-found)[:count]


def folds(n, k, rng):
    """k parts of 0 … n − 1, drawn at random, of equal size up to one."""
    if not 2 <= k <= n:
        raise ValueError(f"k lies between 2 and the {n} examples, got {k}")
    return np.array_split(rng.permutation(n), k)


def nearest_mean(x, y, new):
    """The class, 0 or 1, whose mean is the nearest."""
    if len(np.unique(y)) < 2:
        raise ValueError("both classes must be there to learn from")
    means = np.stack([x[y == label].mean(0) for label in (0, 1)])
    return ((new[:, None] - means) ** 2).sum(2).argmin(1)


# %%
def cross_validated(x, y, rng, choose_inside):
    """Accuracy over five folds, with 20 features chosen before or inside the folds."""
    chosen = best_features(x, y, 20)
    right = []
    for part in folds(len(x), 5, rng):
        rest = np.setdiff1d(np.arange(len(x)), part)
        if choose_inside:
            chosen = best_features(x[rest], y[rest], 20)
        answers = nearest_mean(x[rest][:, chosen], y[rest], x[part][:, chosen])
        right.append(np.mean(answers == y[part]))
    return np.mean(right)


# %%
broken, kept = [], []
for _ in range(20):
    nothing, coin = rng.normal(size=(60, 2000)), rng.permutation(60) % 2
    broken.append(cross_validated(nothing, coin, rng, choose_inside=False))
    kept.append(cross_validated(nothing, coin, rng, choose_inside=True))
claim("Chosen before the split: over 80 % on coin flips", np.mean(broken) > 0.8)
claim("Chosen inside: between 40 and 60 %", 0.4 < np.mean(kept) < 0.6)

# %% [markdown]
# No test example was used for fitting, and the result is worthless: the features had seen all labels. The same happens with a normalisation by the whole data, with several images of one person on both sides, with a test set that a thousand papers have looked at. Ask of each number: *what would it be on coin flips?*
#
# ## Cross-validation
#
# With few data, a validation set is a luxury. $k$-fold **cross-validation** cuts the training data in $k$ parts, leaves out each in turn, fits on the rest, and averages the $k$ errors. It chooses among models; the winner is fitted anew on all of the training data, and judged on the test set, which was in no fold.


# %%
def cross_validation(x, y, degree, k, rng):
    """The mean squared error of a degree over k folds."""
    errors = []
    for part in folds(len(x), k, rng):
        rest = np.setdiff1d(np.arange(len(x)), part)
        errors.append(error(fit_polynomial(x[rest], y[rest], degree), x[part], y[part]))
    return np.mean(errors)


degrees = range(1, 13)
found = [
    np.mean([cross_validation(x, y, d, 10, rng) for _ in range(5)]) for d in degrees
]
chosen = degrees[int(np.argmin(found))]
winner = fit_polynomial(x, y, chosen)  # anew, on all thirty
claim("It chooses neither a line nor the wildest curve", 2 <= chosen <= 11)
claim("Judged once, it beats the line", error(winner, *fresh) < error(fits[1], *fresh))

# %% [markdown]
# ## How sure is a test score?
#
# A test set is a draw, too. If a model is right on a share $p$ of all that may come, then among $n$ independent examples the number $k$ of right answers is binomial, and the measured share $k/n$ moves with standard deviation $\sqrt{p(1-p)/n}$: for $p = 0.97$ by half a point on 1,000 images, by 2.4 points on 50.
# A **95 % confidence interval** is a rule that contains $p$ for at least about 95 of 100 test sets that might have been drawn. The usual rule, the share plus and minus 1.96 of its own deviations, fails where nearly all answers are right: 50 of 50 gives an interval of no width. **Wilson's** takes every $p$ from which $k/n$ lies at most 1.96 of *the deviations of $p$* away {cite}`wilson1927probable`.


# %%
def plus_minus(k, n, z=1.96):
    """The share k/n with z of its own standard deviations to both sides."""
    half = z * np.sqrt(k / n * (1 - k / n) / n)
    return k / n - half, k / n + half


def wilson(k, n, z=1.96):
    """All p from which k/n is at most z standard deviations away."""
    middle = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    return middle - half, middle + half


# %%
def coverage(interval, p, n):
    """The probability that the interval of n examples contains p: a sum, not a draw."""
    k = np.arange(n + 1)
    low, high = interval(k, n)
    return binom.pmf(k, n, p)[(low <= p) & (p <= high)].sum()


shares = np.linspace(0.5, 0.97, 48)
plain, better = (
    np.array([coverage(rule, p, 50) for p in shares]) for rule in (plus_minus, wilson)
)
claim("On 50 images the usual rule misses 0.97 in one of five", plain[-1] < 0.8)
claim("Wilson's contains each share in over 91 of 100", better.min() > 0.91)

# %% [markdown]
# Where this book counts images it uses Wilson's interval. Two models on the *same* images are compared image by image, which is sharper than two intervals side by side. And an interval over images says nothing of another training: for that one trains again, under other seeds ([0.4](networks.ipynb)).
#
# ## Bias, variance, noise
#
# Why does the error on fresh data fall and rise again? Imagine many training sets of the same size, each with its own fit $\hat f$. At a place $x$, let $\bar f(x)$ be the mean of all fits. Then the expected squared error is
#
# $$
# \mathbb E\,(y - \hat f(x))^2 = \underbrace{(\bar f(x) - f(x))^2}_{\text{bias}^2} + \underbrace{\mathbb E\,(\hat f(x) - \bar f(x))^2}_{\text{variance}} + \underbrace{\mathbb E\,(y - f(x))^2}_{\text{noise}}.
# $$ (eq-learn-bias)
#
# In words: how far the average fit is from the truth $f$; how much a fit changes from one training set to another; and what nobody can predict. Here the truth is known, so that all three can be measured apart, and the error as well, on fresh points.


# %%
def decompose(degree, n, rng, sets=500, noise=0.3):
    """Bias², variance, noise, and the measured error, of polynomials over many sets."""
    places = np.linspace(0.05, 0.95, 50)
    guesses = np.stack(
        [fit_polynomial(*sample(n, rng, noise), degree)(places) for _ in range(sets)]
    )  # (sets, places)
    fresh = truth(places) + rng.normal(0, noise, guesses.shape)
    bias = np.mean((guesses.mean(0) - truth(places)) ** 2)
    return bias, np.mean(guesses.var(0)), noise**2, np.mean((fresh - guesses) ** 2)


parts = np.array([decompose(degree, 30, rng) for degree in range(1, 9)])
gap = np.abs(parts[:, :3].sum(1) / parts[:, 3] - 1)
claim("Bias², variance and noise add up to the error, within 5 %", gap.max() < 0.05)
claim("Bias falls by a hundred from degree 1 to 5", parts[0, 0] > 100 * parts[4, 0])
claim("Variance at least doubles from 1 to 8", parts[7, 1] > 2 * parts[0, 1])

# %% tags=["hide-input", "fig-learn-bias"] mystnb={"image": {"alt": "Stacked areas over the degree of the polynomial from 1 to 8: noise is a level band at the bottom; bias is large at degrees 1 and 2 and gone from degree 4 on; variance grows with the degree. Dots of the measured error lie on the top of the stack; the lowest is at degree 3 to 5."}}
figure, axis = plt.subplots(figsize=(6, 3))
axis.stackplot(
    range(1, 9),
    parts[:, 2],
    parts[:, 0],
    parts[:, 1],
    labels=["noise", "bias²", "variance"],
    colors=["lightgrey", COLOURS["blue"], COLOURS["orange"]],
)
axis.plot(range(1, 9), parts[:, 3], "ko", label="measured error")
axis.set(xlabel="degree of the polynomial", ylabel="squared error", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown]
# *The picture to keep. Left: too stiff, and bias makes the error. Right: too free, and variance does.* More data shrink the orange part and not the blue one; a richer model does the opposite. The grey one stays.
#
# Networks with far more parameters than examples do not blow up on the right as polynomials do: [0.4](networks.ipynb) says what is known of that. The decomposition is true for them, too; it is the *shape* of the picture that may differ.
#
# ## Groups: $k$-means
#
# Without labels, one may look for $K$ groups, each around a **centroid** $\mu_k$, so that the **inertia**, the sum of squared distances of all points to their nearest centroid, is small. Lloyd's algorithm repeats two steps {cite}`lloyd1982least`: assign each point to its nearest centroid; move each centroid to the mean of its points. Neither step can raise the inertia, so it ends; where it
# ends depends on the start. $k$-means++ draws the start: each next centroid is a data point drawn with probability proportional to the squared distance from the nearest one so far {cite}`arthur2007kmeans`.


# %%
def squared_distances(x, centroids):
    """[n, K] from each point to each centroid; whole numbers must not wrap around."""
    x, centroids = (np.asarray(part, dtype=float) for part in (x, centroids))
    if not np.isfinite(x).all():
        raise ValueError("points must be finite numbers")
    return ((x[:, None] - centroids) ** 2).sum(2)


def spread_start(x, K, rng):
    """k-means++: K points of x, far apart."""
    if not 1 <= K <= len(np.unique(x, axis=0)):
        raise ValueError(
            f"K lies between 1 and the number of different points, got {K}"
        )
    chosen = [x[rng.integers(len(x))]]
    while len(chosen) < K:
        far = squared_distances(x, np.array(chosen)).min(1)
        chosen.append(x[rng.choice(len(x), p=far / far.sum())])
    return np.array(chosen)


# %%
def moved(x, group, centroids):
    """Each centroid at the mean of its group; one without points stays."""
    return np.stack(
        [
            x[group == k].mean(0) if (group == k).any() else centroids[k]
            for k in range(len(centroids))
        ]
    )


def k_means(x, centroids, steps=100):
    """Lloyd's algorithm; groups, centroids, inertias, and whether no group changes."""
    distances = squared_distances(x, centroids)
    inertias = [distances.min(1).sum()]
    for _ in range(steps):
        group = distances.argmin(1)
        centroids = moved(x, group, centroids)
        distances = squared_distances(x, centroids)
        inertias.append(distances.min(1).sum())
        if (distances.argmin(1) == group).all():
            return group, centroids, np.array(inertias), True
    return distances.argmin(1), centroids, np.array(inertias), False


# %% [markdown]
# Three ways to stop are in use: after a number of steps; when no point changes its group, as here; when the inertia falls by less than a tolerance. The data are handwritten digits of 8×8 pixels ([card](../../book/data_cards/digits.md)), without their labels.

# %%
data = digits("train")
pixels = data.images.flatten(1).numpy().astype(np.float64)  # (1438, 64)
start = spread_start(pixels, 10, rng)
group, centroids, inertias, ended = k_means(pixels, start)
theirs = KMeans(10, init=start, n_init=1, tol=0).fit(pixels)
claim(
    "It ends, and the inertia never rises", ended and (np.diff(inertias) <= 1e-9).all()
)
same = abs(inertias[-1] / theirs.inertia_ - 1)
claim("scikit-learn ends at the same inertia, to a part in a thousand", same < 1e-3)

# %% tags=["hide-input", "fig-learn-centroids"] mystnb={"image": {"alt": "Ten small grey images in a row, the centroids: most can be read as digits, some are blends of two."}}
figure, axes = plt.subplots(1, 10, figsize=(7, 1))
for axis, centroid in zip(axes, centroids, strict=True):
    axis.imshow(centroid.reshape(8, 8), cmap="gray_r")
    axis.axis("off")
plt.show()

# %% [markdown]
# *Ten centroids, found without labels.* Most can be read. Groups need not be classes: two ways to write a 1 make two groups, and a 3 and a 9 may share one. How many groups there are, no formula knows. The inertia falls with each further one; people look for an elbow in that curve, or take the $K$ with the largest **silhouette** (how much nearer a point is to its own group than to the next).

# %%
runs = {K: k_means(pixels, spread_start(pixels, K, rng)) for K in (2, 5, 10, 15, 20)}
shape = {K: silhouette_score(pixels, run[0]) for K, run in runs.items()}
falls = [run[2][-1] for run in runs.values()]
claim(
    "Inertia falls with each K: no elbow at ten is forced", (np.diff(falls) < 0).all()
)
claim("No silhouette is over a third", max(shape.values()) < 1 / 3)

# %% [markdown]
# The silhouettes say that no number of groups fits well, although there are ten digits. Clusters are a description; whether they are real is a question that other data must answer.
#
# When data arrive one by one, a centroid can move a step towards each new point, $\mu \leftarrow \mu + (x - \mu) / n_k$, where $n_k$ counts its points so far: MacQueen's **online** $k$-means {cite}`macqueen1967some`. Each centroid is then exactly the mean of what it was given.


# %%
def online_k_means(stream, centroids):
    """One pass: each point moves the centroid that was nearest to it when it came."""
    centroids = centroids.astype(float)  # a copy
    counts = np.zeros(len(centroids))
    for point in stream:
        nearest = ((centroids - point) ** 2).sum(1).argmin()
        counts[nearest] += 1
        centroids[nearest] += (point - centroids[nearest]) / counts[nearest]
    return centroids


def inertia(x, centroids):
    return squared_distances(x, centroids).min(1).sum()


one_pass = inertia(pixels, online_k_means(rng.permutation(pixels), start))
claim("One pass comes within 15 % of Lloyd's", one_pass < 1.15 * inertias[-1])

# %% [markdown]
# ## Soft groups: mixtures of Gaussians
#
# $k$-means gives each point to one group, and all groups are round. A **mixture** says how the data may have come about: choose part $k$ with probability $\pi_k$, then draw from a Gaussian with mean $\mu_k$ and covariance $\Sigma_k$:
#
# $$
# p(x) = \sum_{k=1}^{K} \pi_k\, \mathcal N(x \mid \mu_k, \Sigma_k).
# $$ (eq-learn-mixture)
#
# Expectation-maximisation (**EM**) makes $\log p$ of the data large {cite}`dempster1977maximum`. The E-step computes **responsibilities** $r_{ik}$: which share of point $i$ is owed to part $k$. The M-step takes weighted means: $\pi_k$ the mean of $r_{ik}$; then $\mu_k$; then $\Sigma_k$ around that mean. Neither step lowers the likelihood.


# %%
def e_step(x, weights, means, covariances):
    """Responsibilities [n, K], and the mean log-likelihood."""
    logs = np.stack(
        [
            np.log(w) + np.atleast_1d(multivariate_normal(m, c).logpdf(x))
            for w, m, c in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )
    total = logsumexp(logs, axis=1)  # adds tiny probabilities without losing them
    return np.exp(logs - total[:, None]), total.mean()


# %%
def m_step(x, r, floor=1e-6):
    """Weights, means and covariances from responsibilities."""
    size = r.sum(0)
    if size.min() < 1e-12:
        raise ValueError(
            "a part is responsible for no point: start it nearer to the data"
        )
    means = (r.T @ x) / size[:, None]
    covariances = np.stack(
        [
            (r[:, k, None] * (x - m)).T @ (x - m) / size[k] + floor * np.eye(x.shape[1])
            for k, m in enumerate(means)
        ]
    )
    return size / len(x), means, covariances


# %%
def mixture(x, means, steps=200, floor=1e-6):
    """EM from these means, equal weights, unit covariances; parameters, likelihoods."""
    K, d = means.shape
    weights, covariances = np.full(K, 1 / K), np.stack([np.eye(d)] * K)
    history = []
    for _ in range(steps):
        r, likelihood = e_step(x, weights, means, covariances)
        history.append(likelihood)
        weights, means, covariances = m_step(x, r, floor)
    return weights, means, covariances, np.array(history)


# %%
two = (np.isin(data.labels.numpy(), (0, 1, 4))).nonzero()[0]
plane = PCA(2).fit_transform(pixels[two])  # (n, 2), three of the digits
begin = spread_start(plane, 3, rng)
weights, means, covariances, history = mixture(plane, begin)
library = GaussianMixture(
    3, means_init=begin, weights_init=np.full(3, 1 / 3),
    precisions_init=np.stack([np.eye(2)] * 3), max_iter=500, tol=1e-9, reg_covar=1e-6,
)  # fmt: skip
score = library.fit(plane).score(plane)
claim("The likelihood never falls", (np.diff(history) > -1e-6).all())
claim("scikit-learn's comes out the same, to 1e-3", abs(history[-1] - score) < 1e-3)

# %% tags=["hide-input", "fig-learn-mixture"] mystnb={"image": {"alt": "A plane with three clouds of dots, coloured by the part that is most responsible for them, and an ellipse around each cloud: the ellipses have different sizes and directions."}}
figure, axis = plt.subplots(figsize=(5, 3.4))
r, _ = e_step(plane, weights, means, covariances)
for k, name in enumerate(("blue", "orange", "green")):
    mine = r.argmax(1) == k
    axis.scatter(*plane[mine].T, s=6, color=COLOURS[name])
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    ellipse = means[k][:, None] + 2 * np.linalg.cholesky(covariances[k]) @ circle
    axis.plot(*ellipse, color="black", linewidth=1)
axis.set(xlabel="first direction", ylabel="second direction")
plt.show()

# %% [markdown]
# *Zeros, ones and fours in a plane, and the three parts that EM found; ellipses are two standard deviations wide.*
#
# ### What goes wrong
#
# A part that sits on a single point can shrink without end, and the likelihood grows beyond every bound. It is a maximum, and nonsense. So a `floor` is added to each covariance, and its height then decides how nonsensical it gets.

# %%
with_one = np.vstack([plane, [[9.0, 9.0]]])  # one far point
lonely = np.vstack([begin[:2], [[9.0, 9.0]]])
low = [mixture(with_one, lonely, steps=60, floor=f)[3][-1] for f in (1e-2, 1e-6, 1e-10)]
claim("The lower the floor, the higher the likelihood", low[0] < low[1] < low[2])

# %% [markdown]
# ## Few directions: principal components
#
# Which directions hold most of the data's variance? Centre the table, $\tilde X = X - \bar x$; the covariance $C = \tilde X^\top \tilde X / (n - 1)$ is symmetric, so $C = P D P^\top$ with orthonormal columns in $P$, the **principal components**, and their variances in $D$. Keep the largest $m$. Without centring, the first component mostly points at the mean.


# %%
def principal_components(x, m):
    """The mean, the m directions [d, m] of most variance, and their variances."""
    if not 1 <= m <= x.shape[1]:
        raise ValueError(f"m lies between 1 and the {x.shape[1]} columns, got {m}")
    if len(x) < 2:
        raise ValueError("a variance needs two examples or more")
    mean = x.mean(0)
    covariance = (x - mean).T @ (x - mean) / (len(x) - 1)
    variances, directions = np.linalg.eigh(covariance)  # the smallest first
    return mean, directions[:, ::-1][:, :m], variances[::-1][:m]


mean, directions, variances = principal_components(pixels, 20)
pca = PCA(20, svd_solver="full").fit(pixels)
close = np.abs(variances / pca.explained_variance_ - 1).max()
claim("scikit-learn's variances are the same", close < 1e-6)
angles = np.abs(np.sum(directions * pca.components_.T, axis=0))
claim("and its directions, up to their sign", (angles[:8] > 0.999).all())

# %%
codes = (pixels - mean) @ directions  # (n, 20)
again = codes @ directions.T + mean
lost = np.sum((pixels - again) ** 2) / np.sum((pixels - mean) ** 2)
claim("20 numbers of 64 keep over 85 % of the variance", lost < 0.15)
correlations = np.corrcoef(codes, rowvar=False) - np.eye(20)
claim("The codes are uncorrelated", np.abs(correlations).max() < 1e-6)

# %% tags=["hide-input", "fig-learn-pca"] mystnb={"image": {"alt": "Two rows of eight digits: above as they are, below rebuilt from twenty numbers, a little blurred and easy to read."}}
figure, axes = plt.subplots(2, 8, figsize=(7, 1.9))
for column in range(8):
    for row, picture in enumerate((pixels[column], again[column])):
        axes[row, column].imshow(picture.reshape(8, 8), cmap="gray_r")
        axes[row, column].axis("off")
plt.show()

# %% [markdown]
# *Digits, and what twenty numbers keep of them.* Uncorrelated is not independent, and the direction of most variance need not be the one that matters: a rare class may live in a direction that was thrown away.
#
# ## Where the book uses this
#
# The golden rule is in every chapter: an attack is judged on images that tuned nothing ([2.6](../20_adversarial/honest_evaluation.ipynb)), a threshold for a group is set on other people than those it is judged by ([5.4](../50_fairness/mitigation.ipynb)). Overfitting is what [membership inference](../60_privacy/membership_inference.ipynb) reads off a model. Clusters of activations betray a backdoor ([3.5](../30_poisoning/defenses.ipynb)), and principal
# components draw the inside of a network ([4.1](../40_interpretability/why_explain.ipynb)).
#
# ## The card
#
# Nobody attacks here; what a reader must know of the data stands on their [card](../../book/data_cards/digits.md): thirteen writers are on both sides of the split, so that this page's groups may be groups of hands. An honest evaluation splits by writer; the file does not say who wrote what.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *More data or a richer model?* Take degree 1 and degree 8, and training sets of 30 and of 300 points. Measure bias² and variance. Which of the two models is helped by more data, and by what factor?
#
# <details><summary>Hint: the function is there</summary>
#
# `decompose(degree, n, rng)` gives bias², variance, noise and error.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the variance falls about as 1/n for both. Degree 1 gains little, since its
# error is bias; degree 8 does.
line, curve = ([decompose(d, n, rng) for n in (30, 300)] for d in (1, 8))
claim("The line's bias stays", 0.8 < line[1][0] / line[0][0] < 1.25)
claim("The curve's variance falls over fivefold", curve[0][1] > 5 * curve[1][1])
claim("The line's error stays over 80 %", line[1][3] > 0.8 * line[0][3])

# %% [markdown]
# **Exercise 2** (15 minutes). *Coin flips again.* A student tries 200 classifiers that guess at random, on a validation set of 100 examples, and reports the best one's accuracy. What will it be, about? And on a fresh test set?
#
# <details><summary>Hint: the largest of many</summary>
#
# The accuracy of one guesser has standard deviation 5 points. The largest of 200 normal numbers is about 2.75 standard deviations above the mean.
#
# </details>

# %% tags=["hide-cell"]
# Solution: about 50 + 2.75 · 5 = 64 %. Fresh, it is a guesser as all: 50 %.
right = rng.binomial(100, 0.5, size=(500, 200)).max(1) / 100
claim("The best of 200 guessers: 62 to 66 %", 0.62 < right.mean() < 0.66)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? The training error is 1 % and the validation error is 15 %. What may help?
# - A richer model :: It would fit the training data even better.
# + More data or a penalty :: The gap is variance; both shrink it.
# - A larger test set :: It measures more exactly what is wrong.
# ? All images are normalised by the mean over the whole data set, before the split. Is the golden rule kept?
# - Yes, no label was used :: The rule is about any part in making the model.
# + No, though a mean over many images tells little :: The test set played a part. With 2,000 chosen features it told a lot.
# - Only with cross-validation :: It has the same leak in each fold.
# ? $k$-means was run once. Is the result the best grouping?
# - Yes, the inertia never rises :: It ends in a place that no step can leave, which depends on the start.
# + It is one that no step improves :: Run it from several starts and keep the lowest inertia.
# - Yes, with $k$-means++ :: The start is better on average, and no more.
# ? The likelihood of a mixture grows and grows. Good?
# + Look whether a part sits on one point :: There is no highest likelihood, unless covariances have a floor.
# - Yes, likelihood is the aim :: On data that it has not seen, perhaps.
# - No, it must fall at the end :: EM never lowers it.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One rule and one picture judge all that follows. The three methods need no labels, and each step can be read.
#
# **Limitations.** The rule says what a number means, for data like the test data. It says nothing about other times and places. Cross-validation's folds share data, so its spread is no honest interval. $k$-means and mixtures find groups in anything; PCA sees lines only.
#
# **Software and further reading.** scikit-learn has all of it: `KMeans`, `GaussianMixture`, `PCA`, and `Pipeline`, which keeps the golden rule for you. Hastie, Tibshirani and Friedman {cite}`hastie2009elements` have the example of chosen features and much more; Bishop {cite}`bishop2006pattern` derives EM.
#
# ## What to take away
#
# Judge by what played no part. Bias is what the average fit misses, variance is what a fit owes to its data, noise remains. Groups and directions can be found in everything, so ask other data whether they are there. Next: [models before networks](classical_models.ipynb).
