# %% [markdown]
# # 6.4 What answers give away: attributes, faces of a class, the model itself
#
# A clinic lets a program answer over the network. Patients' files stay in the cellar, the weights stay in the safe, only answers go out. Each answer is a number that was made from files and weights, so it says something about both. How much?
# This page asks four times: for a hidden column of somebody's file, for what a class looks like, for the weights, and for a setting of the training. Then it limits the answers, and measures what the limits stop and what they cost.
#
# **What you will learn**
#
# - to infer a hidden attribute with Bayes' rule, and to subtract what anybody could have guessed without the model;
# - to make an image of a class from a model's weights or from its answers alone, to check it with a second model, and to say whose image it is;
# - to recover the weights of a linear model to the last digits by asking d + 1 questions, and the strength of its penalty from its weights;
# - what top-1 answers, rounding, clipping, rate limits and less overfitting stop, what they cost honest users, and why they are no bound.
#
# **Before you start**: [membership inference](membership_inference.ipynb), and black boxes ([lecture 2.4](../20_adversarial/black_box.ipynb)). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import privacy
from tml_helpers.claims import claim, seed
from tml_helpers.data import adult, loan_applications, mnist
from tml_helpers.models import MLP, Normalize, SmallCNN
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question
#
# A network of one hidden layer has learned ten digits from 2,000 images of [MNIST](../../book/data_cards/mnist.md). The images are gone. What is left of them?

# %%
generator = seed_everything(seed())
train, test = mnist("train"), mnist("test")
hers, others = train.select(slice(2000)), train.select(slice(2000, 4000))
model = MLP(64)
fit(model, hers, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
targets = torch.arange(10)
inverted = privacy.model_inversion(model, targets=targets, shape=(1, 28, 28))
claim("The model is right about over 85 % of new digits", accuracy(model, test) > 0.85)
claim("It is over 90 % sure of each image", inverted.confidences.min() > 0.9)


# %%
def mosaic(axis, images, title):
    """Ten images side by side."""
    strip = torch.cat(list(images), dim=2)
    show_image(axis, strip)
    axis.set_title(title, fontsize=9, loc="left")


# %% tags=["hide-input", "fig-inv-first"] mystnb={"image": {"alt": "Ten small pictures in a row, one for each digit from 0 to 9. They are blotchy, dark on white, and most of them can be read: a ring for 0, a stroke for 1, a clear 3, a hook for 7."}}
figure, axis = plt.subplots(figsize=(7, 1.1))
mosaic(axis, inverted.images, "made from the weights, from 0 to 9")
plt.show()

# %% [markdown]
# *Ten images that nobody drew.* Each was made from a black square and the network alone. Are these the training images? Their memory? Or only what fools this network? We come back to it, after an easier question.
#
# ## Attributes: what is in the column that I do not see?
#
# In 2014 Fredrikson and colleagues took a published formula for the dose of a blood thinner, which uses a patient's genes. They asked what somebody who knows the patient's age, height and dose learns about the genes {cite}`fredrikson2014privacy`. The recipe needs no training: try every value of
# what is hidden, ask the model, and see under which value its answer fits the dose.

# %%
ThreatModel(
    goal="the value of one hidden attribute of a person",
    knowledge="black box",
    capability="knows the other columns and the outcome; puts any value in",
    queries=2,
    out_of_scope="whether the person was in the training data",
)

# %% [markdown]
# Let $v$ be a value, $x$ the known columns and $y$ the outcome. Bayes' rule says
#
# $$P(v \mid x, y) \;\propto\; \pi(v \mid x) \cdot P\big(y \mid f(x, v)\big) .$$ (eq-inv-posterior)
#
# In words: how probable the value was before, times how well it explains the outcome. The prior $\pi$ is what one knows without the model. The second factor is the model's error. For a number it is a bell curve of a width $s$ around the model's answer; for a class it is the probability that the model itself gives, or
# a table of how often it is wrong.
#
# We have no doses, so we take the nearest real data that come with scikit-learn: 442 patients with diabetes, ten measurements each, and how far the disease went in a year {cite}`efron2004least`. The hidden attribute is the patient's sex, in the file a 1 or a 2.

# %%
patients, progress = load_diabetes(return_X_y=True, scaled=False)
sex = torch.tensor(patients[:, 1])  # 1 or 2, without words in the source
formula = LinearRegression().fit(patients, progress)
published = nn.Linear(10, 1, dtype=torch.float64)
published.load_state_dict(
    {
        "weight": torch.tensor(formula.coef_)[None],
        "bias": torch.tensor([formula.intercept_]),
    }
)
rows = torch.tensor(patients)
rows[:, 1] = torch.nan  # hidden
answers = torch.tensor(formula.predict(patients))
outcome = torch.tensor(progress)
spread = float(np.std(progress - formula.predict(patients)))  # s

# %% [markdown]
# By hand it is three lines, and the library's function gives the same. The attacker first holds the *outcome*, then the *model's answer* for this patient, rounded to a whole number.


# %%
def by_hand(y, s):
    """P(sex = 2 | x, y), with an even prior."""
    filled = [torch.where(rows.isnan(), value, rows) for value in (1.0, 2.0)]
    fit = [-((y - published(x).squeeze(1)) ** 2) / (2 * s**2) for x in filled]
    return torch.stack(fit, dim=1).softmax(dim=1)[:, 1].detach()


def guess(y, s):
    values = torch.tensor([1.0, 2.0])
    return privacy.attribute_inference(
        published, rows, y, feature=1, values=values, error=s
    )


found, told = guess(outcome, spread), guess(answers.round(), 0.5)
agree = (by_hand(outcome, spread) - found.probabilities[:, 1]).abs().max() < 1e-9
claim("By hand and by privacy.attribute_inference: the same", bool(agree))

# %% tags=["nbval-ignore-output"]
right = [float((f.values == sex).double().mean()) for f in (found, told)]
print(f"{right[0]:.1%} from the outcome, {right[1]:.1%} from the model's answer")

# %%
claim("From the model's rounded answer: right for everybody", right[1] == 1)
claim("From the true outcome: right for fewer than 65 %", right[0] < 0.65)
claim("In the formula a 2 is over 20 lower than a 1", formula.coef_[1] < -20)
claim("Patients scatter by over 50 around it", spread > 50)

# %% [markdown]
# An answer of a linear model with one unknown column is one equation with one unknown. It gives the attribute away completely; rounding to whole numbers does not help, since the two sexes differ by more than 20 in this formula. The true outcome is another matter: patients scatter by over 50 around the formula, and little can be read from it.
#
# **Is it the model that leaks?** If you know that somebody is married, you can guess their age. No model was needed, and no secret of theirs was kept badly. Jayaraman and Evans compared inference attacks with *imputation*, which fills in a missing column from the others, learned from other people's data.
# Many published attacks were no better {cite}`jayaraman2022attribute`. So the question is not "how often is the attack right?", but "how much more often than without the model?"
#
# Take [adult](../../book/data_cards/adult.md): a network learns from 1,000 people whether they earn over 50,000 dollars. Hidden is whether a person is married. It overfits, as networks on small tables do.

# %%
people = pd.concat([adult("train"), adult("test")], ignore_index=True)
married = people["marital_status"].isin(["Married-civ-spouse", "Married-AF-spouse"])
columns = pd.DataFrame({"married": married.astype(float)})
for name in ("age", "education_num", "hours_per_week"):
    columns[name] = (people[name] - people[name].mean()) / people[name].std()
columns["capital gain"] = np.log1p(people["capital_gain"]) / 3
columns["female"] = (people["sex"] == "Female").astype(float)
work = pd.get_dummies(people[["occupation", "workclass"]].fillna("missing"))
x = torch.tensor(pd.concat([columns, work], axis=1).to_numpy(float)).float()
y = torch.tensor(people["above_50k"].to_numpy())
order = torch.randperm(len(x), generator=generator)
members, strangers = order[:1000], order[1000:9000]
known = order[9000:12_000]  # the attacker's own people, from another source

# %%
income = nn.Sequential(
    *(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()),
    nn.Linear(64, 2),
)
learned = TensorDataset(x[members], y[members])
losses = fit(income, learned, epochs=60, batch_size=32, generator=generator)
claim("Its loss on them falls by more than half", losses[-1] < losses[0] / 2)


# %%
def without_the_model(who, *, outcome):
    """The imputer: P(married | other columns), learned from the attacker's people."""

    def seen(which):
        return np.c_[x[which, 1:], y[which]] if outcome else x[which, 1:].numpy()

    imputer = LogisticRegression(max_iter=2000).fit(seen(known), x[known, 0].numpy())
    return torch.tensor(imputer.predict_proba(seen(who)))


def with_the_model(who, prior=None):
    values = torch.tensor([0.0, 1.0])
    return privacy.attribute_inference(
        income, x[who], y[who], feature=0, values=values, prior=prior
    ).probabilities


def right_about(who, probabilities):
    return float((probabilities.argmax(dim=1) == x[who, 0]).double().mean())


# %%
result = {}
for group, who in (("members", members), ("strangers", strangers)):
    base = without_the_model(who, outcome=False)
    result[group] = {
        "majority": right_about(who, torch.ones(len(who), 2)),
        "imputation": right_about(who, base),
        "imputation, outcome known": right_about(
            who, without_the_model(who, outcome=True)
        ),
        "model, even prior": right_about(who, with_the_model(who)),
        "model and imputation": right_about(who, with_the_model(who, base)),
    }
result = 100 * pd.DataFrame(result)

# %% tags=["hide-input", "fig-inv-attribute"] mystnb={"image": {"alt": "Five ways to guess whether somebody is married, a dot for people in the training data and one for strangers. Majority about 53 percent for both. Imputation 76. Imputation with the outcome 77. The model with an even prior 71. Model and imputation together 81 for members and 76 for strangers."}}
figure, axis = plt.subplots(figsize=(7, 2.6))
for group, hue, mark in (("members", "orange", "o"), ("strangers", "blue", "s")):
    label = f"{group} of the training data" if group == "members" else group
    axis.plot(result[group], range(5), mark, color=COLOURS[hue], label=label)
axis.set_yticks(range(5), result.index)
axis.invert_yaxis()
axis.set(xlabel="right about “married” (%)", xlim=(45, 100))
axis.legend(loc="upper right")
plt.show()

# %% [markdown]
# *Five guessers.* Compared with the majority, the model alone looks like an attack. Compared with imputation it is none. Only for members does the model add something to imputation.

# %%
best = result.loc[["imputation", "imputation, outcome known"]].max()
alone = result.loc["model, even prior"]
gain = result.loc["model and imputation"] - best
claim(
    "The model alone beats the majority by over 8 points",
    result.loc["majority"].max() + 8 < alone.min(),
)
claim(
    "and is worse than imputation, for strangers by over 3 points",
    alone["strangers"] + 3 < best["strangers"],
)
claim(
    "Together, members: over 1 point more than without the model", gain["members"] > 1
)
claim("Together, strangers: less than 1.5 points more", gain["strangers"] < 1.5)

# %% [markdown]
# The two gains mean different things. What strangers lose is what *statistics about people like them* say. It would be the same had they, or any one person, not been in the data, and [differential privacy](differential_privacy.ipynb) does not promise to prevent it. What members lose beyond that, the model knows because *they* were in its training
# set. Report both, beside an imputer; one number alone says nothing.
#
# ## Faces of a class
#
# In 2015 Fredrikson and colleagues asked a network that recognises forty people for the face that it is surest to be "person 7". What they got was recognised by people who knew nothing but the picture {cite}`fredrikson2015model`.

# %%
ThreatModel(
    goal="an image that shows what a class looks like",
    knowledge="white box",
    capability="follows gradients; knows the images' size and nothing about them",
    out_of_scope="an exact training image; attackers with public images of the kind",
)

# %% [markdown]
# It is [an attack on the input](../20_adversarial/iterative_attacks.ipynb) that starts from nothing and has no ball to stay in:
#
# $$\hat x = \arg\min_{x \in [0, 1]^{C \times H \times W}} \; -\log p_y(x) + \gamma\, \mathrm{TV}(x)$$ (eq-inv-objective)
#
# The first term wants the model sure of class $y$. Alone it finds noise that has the class's label and nobody's look. So the second term asks for smoothness: the *total variation* $\mathrm{TV}$ of an image is the mean difference of neighbouring pixels, downwards plus to the right. Here is the whole attack:

# %%
gamma = 0.3
image = torch.zeros(10, 1, 28, 28, requires_grad=True)
search = torch.optim.Adam([image], lr=0.05)
model.eval()
for _ in range(200):
    down, across = image.diff(dim=2), image.diff(dim=3)
    rough = down.abs().mean(dim=(1, 2, 3)) + across.abs().mean(dim=(1, 2, 3))
    loss = F.cross_entropy(model(image), targets, reduction="none") + gamma * rough
    search.zero_grad()
    loss.sum().backward()
    search.step()
    image.data.clamp_(0, 1)
same = (image.detach() - inverted.images).abs().mean() < 0.01
claim("By hand and by privacy.model_inversion: the same, up to rounding", bool(same))

# %% [markdown]
# **Is it a digit, or does it only fool this network?** An adversarial image also makes a model sure. So ask a *second* network: a convolutional one, with other weights, trained on the other 2,000 digits. What is only a weakness of the first should mean nothing to it.
#
# **Without weights.** If only confidences can be had, the slope has to be asked for. An image is made of 100 smooth waves (cosines of low frequency), and along random mixtures of them the model is asked twice, a step forward and a step back: [finite differences](../20_adversarial/black_box.ipynb), in few dimensions.

# %%
second = SmallCNN()
fit(second, others, epochs=4, learning_rate=2e-3, batch_size=64, generator=generator)
asked = privacy.model_inversion(
    model, targets=targets, shape=(1, 28, 28), access="confidence", generator=generator
)


def seen_by_second(images):
    """Of ten images, how many the second network takes for their class."""
    return int((predict(second, images).argmax(dim=1) == targets).sum())


# %% tags=["nbval-ignore-output"]
for name, made in (("gradient", inverted), ("confidence", asked)):
    print(f"{name}: {seen_by_second(made.images)} of 10, {made.queries:,} questions")

# %%
claim(
    "By gradient: the second network names at least 9 of 10",
    seen_by_second(inverted.images) >= 9,
)
claim("By questions alone: at least 8 of 10", seen_by_second(asked.images) >= 8)
noise = torch.rand(10, 1, 28, 28, generator=generator)
claim("Of random noise it names at most 4", seen_by_second(noise) <= 4)

# %% [markdown]
# **Whose image is it?** Compare by correlation of pixels: with the mean image of the class, with the nearest of the 2,000 training images, and with the nearest of the 2,000 digits that the network never saw.


# %%
def correlation(one, other):
    """Of each image with each other, [N, M]."""
    one, other = (
        F.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)
        for flat in (one.flatten(1), other.flatten(1))
    )
    return one @ other.T


means = torch.stack([hers.images[hers.labels == k].mean(dim=0) for k in targets])
to_mean = correlation(inverted.images, means).diagonal()
to_hers = correlation(inverted.images, hers.images).max(dim=1)
to_others = correlation(inverted.images, others.images).max(dim=1)

# %% tags=["hide-input", "fig-inv-digits"] mystnb={"image": {"alt": "Four rows of ten pictures. First the images made by gradient, then those made by questions alone, which are darker and more contrasted blots, then the blurred mean of each digit, then the most similar training image of each: ordinary digits, of another shape than the blots."}}
figure, axes = plt.subplots(4, 1, figsize=(7, 4.1))
shown = {
    "inverted, by gradient": inverted.images,
    "inverted, by questions alone": asked.images,
    "mean of the class": means,
    "most similar training image": hers.images[to_hers.indices],
}
for axis, (title, pictures) in zip(axes, shown.items(), strict=True):
    mosaic(axis, pictures, title)
plt.show()

# %% [markdown]
# *A type, not a person.* Both attacks draw what is common to the class. No training image stands out: digits that the network never saw are as similar as those that it learned from.

# %% tags=["nbval-ignore-output"]
print(
    f"correlation with the mean {to_mean.mean():.2f}, with the nearest training",
    end=" ",
)
print(f"image {to_hers.values.mean():.2f}, unseen {to_others.values.mean():.2f}")

# %%
difference = to_hers.values - to_others.values
claim(
    "Unseen digits are as near as training images, within 0.05",
    abs(difference.mean()) < 0.05,
)

# %% [markdown]
# That is a plain result, and it is often told otherwise. Where a class has many different members, what comes out is a type: "what this model takes for a 3". Where **all images of a class show one person**, the type *is* that person. We have no faces here, so let each class be one piece of handwriting: 20 "people",
# each of them one digit of MNIST, photographed twenty times, a little shifted, darker, with noise.

# %%
someone = torch.randperm(4000, generator=generator)[:20]
shots = train.images[someone].repeat_interleave(20, dim=0)  # (400, 1, 28, 28)
moves = torch.randint(-1, 2, (400, 2), generator=generator).tolist()
shots = torch.stack([s.roll(m, (1, 2)) for s, m in zip(shots, moves, strict=True)])
shots = shots * (0.7 + 0.3 * torch.rand(400, 1, 1, 1, generator=generator))
shots = (shots + 0.1 * torch.randn(shots.shape, generator=generator)).clamp(0, 1)
badge = torch.arange(20).repeat_interleave(20)
gate = MLP(classes=20)  # names the person
shown = TensorDataset(shots, badge)
fit(gate, shown, epochs=20, learning_rate=2e-3, generator=generator)
clear = 100 * accuracy(gate, shown)
claim("It names over 95 % of the shots that it was shown", clear > 95)

# %%
ways = {"shape": (1, 28, 28), "access": "confidence", "generator": generator}
faces = {
    "by gradient": privacy.model_inversion(
        gate, targets=torch.arange(20), shape=(1, 28, 28)
    ),
    "by questions alone": privacy.model_inversion(
        gate, targets=torch.arange(20), **ways
    ),
}
rank = {}
for name, found in faces.items():
    near = correlation(found.images, train.images)
    own = near[torch.arange(20), someone]
    rank[name] = (near > own[:, None]).sum(dim=1)  # how many are more similar

# %% tags=["hide-input", "fig-inv-people"] mystnb={"image": {"alt": "Three rows of ten pictures. Above, the handwriting that a class consists of. Below it what gradients made of the model: pale, thick copies of the same strokes, with the same slant. Below that what questions alone made: dark blots, among which the strokes can be found."}}
figure, axes = plt.subplots(3, 1, figsize=(7, 3.1))
mosaic(
    axes[0], train.images[someone[:10]], "ten of the twenty: the only one in its class"
)
for axis, (name, found) in zip(axes[1:], faces.items(), strict=True):
    mosaic(axis, found.images[:10], f"inverted, {name}")
plt.show()

# %% [markdown]
# *One person a class.* To the eye some of these are blots. A program that compares them with 4,000 digits finds the right one, or comes near, even from confidences alone. So before you ask whether a model can be inverted, ask what its classes are. A model that names people is a set of portraits.

# %% tags=["nbval-ignore-output"]
for name, place in rank.items():
    nearest, near = int((place == 0).sum()), int((place < 10).sum())
    print(
        f"{name}: of 4,000 digits the right one is nearest for {nearest} of 20", end=""
    )
    print(f", and among the ten nearest for {near}")

# %%
for name, place in rank.items():
    claim(
        f"{name}: the right one of 4,000 is among the ten nearest, 13 times or more",
        int((place < 10).sum()) >= 13,
    )

# %% [markdown]
# ## The model itself
#
# ### Weights, by solving equations
#
# A bank answers loan applications by a formula with secret weights. It sells single answers, and lives from it. In 2016 Tramèr and colleagues noticed that one can buy the formula with a handful of answers {cite}`tramer2016stealing`.

# %%
ThreatModel(
    goal="the weights of a linear model, to every digit",
    knowledge="black box",
    capability="asks about rows of their own; gets probabilities with all their digits",
    queries=9,
    out_of_scope="deep networks, which are copied by training: lecture 2.4",
)

# %% [markdown]
# Our bank is a logistic regression on eight columns of [1,989 mortgage applications](../../book/data_cards/loan_applications.md). Its answer to a row $x$ is a probability $p_1$, and
#
# $$\log \frac{p_1}{p_0} = w^\top x + w_0$$ (eq-inv-equation)
#
# is *linear* in the unknowns: $d$ weights and $w_0$. Each answer is one equation, so $d + 1 = 9$ answers will do. The simplest questions are a row of zeros, which tells $w_0$, and a row with a single 1 for each column, which tells $w_0 + w_j$.

# %%
names = ["obrat", "hrat", "loanprc", "unem", "mortg", "cons", "pubrec", "sch"]
file = loan_applications().dropna(subset=names)
z = ((file[names] - file[names].mean()) / file[names].std()).to_numpy()
approved = file["approve"].to_numpy()
bank = LogisticRegression(C=2.0, tol=1e-9, max_iter=1000).fit(z, approved)

questions = np.vstack([np.zeros(8), np.eye(8)])
p = bank.predict_proba(questions)
odds = np.log(p[:, 1] / p[:, 0])
w_by_hand = odds[1:] - odds[0]
stolen = privacy.steal_linear_model(bank.predict_proba, features=8, checks=0)
w = torch.tensor(bank.coef_[0])
claim(
    "By hand, nine answers: within a millionth of the weights",
    np.abs(w_by_hand - w.numpy()).max() < 1e-6,
)
claim(
    "privacy.steal_linear_model, nine answers: the same",
    bool((stolen.weights - w).abs().max() < 1e-6),
)

# %% [markdown]
# To nine questions *any* nine answers fit some linear model. So the library asks a tenth, unless told not to, and warns when it does not fit: the model is none of this kind, or something was done to its answers. It also says when questions cannot determine the weights, and when a probability is exactly 0 or 1, for then the logarithm has nothing to say.
#
# With $K$ classes, $\log p_k / p_j$ is linear in the same way. One thing stays unknown for ever: a vector that is added to the weights of all classes changes no probability. The thief takes the weights that add up to zero over the classes, and has a model that answers alike. Here are ten classes and 784 pixels:

# %%
digits_model = MLP()  # softmax regression
fit(digits_model, hers, epochs=5, learning_rate=2e-3, generator=generator)


def ask(rows):
    return digits_model(rows.float().view(-1, 1, 28, 28)).softmax(dim=1)


copy = privacy.steal_linear_model(ask, features=784, scale=0.5)
with torch.no_grad():
    theirs, ours = ask(test.images), copy(test.images.flatten(1))
claim(
    "786 questions: no probability is off by more than 0.001",
    bool((theirs - ours).abs().max() < 1e-3),
)

# %% [markdown]
# A network is no set of equations that one could solve so easily. It is copied by training on its answers, as a [substitute](../20_adversarial/black_box.ipynb) or by [distillation](../10_distillation/response_based.ipynb): what the copy answers is then alike, its weights are not. (For networks of ReLUs there are exact attacks, too {cite}`jagielski2020high`.)
#
# **Rounding.** Suppose that the bank shows fewer digits.


# %%
class Service(nn.Module):
    """The bank's formula as a network with two outputs."""

    def forward(self, rows):
        odds = rows @ w + bank.intercept_[0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


def stealing_error(rows=None, **limits):
    """The largest error of a weight, over the largest weight; the thief is warned."""
    counter = privacy.LimitedAPI(Service(), **limits)
    with warnings.catch_warnings(record=True):  # the thief is warned
        found = privacy.steal_linear_model(counter, features=8, rows=rows)
    return float((found.weights - w).abs().max() / w.abs().max())


shown = range(1, 9)  # decimals
many = torch.randn(5000, 8, generator=generator, dtype=torch.float64)
few_questions = [stealing_error(decimals=k) for k in shown]
many_questions = [stealing_error(many, decimals=k) for k in shown]

# %% tags=["hide-input", "fig-inv-rounding"] mystnb={"image": {"alt": "The relative error of the stolen weights over the number of decimals shown, on a logarithmic axis. With ten questions it falls from 1 at one decimal by a factor of about ten for each further decimal. With 5,000 questions the line lies lower, by a factor of ten and more from two decimals on."}}
figure, axis = plt.subplots(figsize=(7, 2.8))
axis.semilogy(shown, few_questions, "o-", color=COLOURS["orange"], label="10 questions")
axis.semilogy(
    shown, many_questions, "s-", color=COLOURS["blue"], label="5,000 questions"
)
axis.set(xlabel="decimals shown", ylabel="error of stolen weights")
axis.legend()
plt.show()

# %% [markdown]
# *Rounding costs questions.* Each digit that is hidden makes the stolen weights ten times less exact. Who asks more often, and takes least squares, gets a good part of it back.

# %%
claim("Ten questions, three decimals: over 0.1 % off", few_questions[2] > 1e-3)
claim(
    "5,000 questions: less than a third of that",
    many_questions[2] < few_questions[2] / 3,
)

# %% [markdown]
# ### The penalty, by looking at the weights
#
# Weights may be public and the training secret all the same: somebody spent a week of computing on finding a good penalty $\lambda$. Wang and Gong saw that the weights tell it to whoever has the training data, for instance a customer of a training service who pays for the search {cite}`wang2018stealing`.

# %%
ThreatModel(
    goal="λ, the strength of the penalty in training",
    knowledge="white box",
    capability="has weights, training rows and the kind of objective",
    queries=0,
    out_of_scope="training that stopped before the minimum",
)

# %% [markdown]
# Training makes $L(w) + \lambda\, \lVert w \rVert^2$ as small as can be. At the minimum the gradient is zero: the data pull at each weight exactly as hard as the penalty pushes.
#
# $$\nabla L(w) + 2 \lambda\, w = 0 \quad\Longrightarrow\quad \lambda = -\,\frac{w^\top \nabla L(w)}{2\, \lVert w \rVert^2}$$ (eq-inv-penalty)
#
# These are $d$ equations for one unknown, and the right side is their least-squares solution. (Where there is a $w_0$, it is not penalised, and has no part in it.)

# %%
ridge = Ridge(alpha=3.0).fit(patients, progress)
residual = ridge.predict(patients) - progress
gradient = 2 * patients.T @ residual
penalty = -(ridge.coef_ @ gradient) / (2 * ridge.coef_ @ ridge.coef_)
claim("By hand: λ = 3, within a per cent", abs(penalty - 3) < 0.03)
penalty = privacy.steal_hyperparameter(
    ridge.coef_, patients, progress, objective="ridge", bias=ridge.intercept_
)
claim("privacy.steal_hyperparameter: λ = 3, within a per cent", abs(penalty - 3) < 0.03)
penalty = privacy.steal_hyperparameter(
    bank.coef_, z, approved, objective="logistic", bias=bank.intercept_
)
claim("The bank's: scikit-learn's C = 2 is λ = 1/4", abs(penalty - 0.25) < 0.0025)

# %% [markdown]
# Mind the convention. Here losses are *added up* and the penalty is $\lambda \lVert w \rVert^2$. scikit-learn's `LogisticRegression` multiplies the losses by $C$ and halves the square, so $C = 1/(2\lambda)$; its `Lasso` takes a mean of half squares. The docstring of `privacy.steal_hyperparameter` has the table.
#
# How would the thief know that the number means anything? One unknown and $d$ equations: what is left of the gradient at the best $\lambda$ tells. `privacy.stationarity` is its share of $\nabla L$: nearly 0 at a minimum, near 1 where no penalty explains the weights, and then the library warns.

# %%
kind = {"objective": "logistic", "penalty": 0.25, "bias": bank.intercept_}
at_minimum = privacy.stationarity(bank.coef_, z, approved, **kind)
elsewhere = privacy.stationarity(bank.coef_ * 1.2, z, approved, **kind)
claim("At the minimum less than a thousandth is left", at_minimum < 1e-3)
claim("With weights a fifth larger, over a half", elsewhere > 0.5)

# %% [markdown]
# ## Showing less
#
# All four attacks live on digits of answers. So show fewer:

# %%
ThreatModel(
    goal="membership, an image of a class, or weights, as above",
    knowledge="black box",
    capability="gets what the interface shows, and knows how it is limited",
    out_of_scope="several accounts, which pass any limit on one of them",
)

# %% [markdown]
# `privacy.LimitedAPI` puts a model behind a counter. `top` shows the largest confidences only, `decimals` rounds, `clip` shows nothing above a number, `max_queries` ends the conversation. What is hidden, a reader fills with an even share of what is left of 1, and so does the interface, so that every attack can be run against it. The class never changes.

# %% tags=["nbval-ignore-output"]
one = torch.tensor([[0.62, 0.25, 0.124, 0.006]]).log()
for limits in ({"decimals": 1}, {"top": 1}, {"clip": 0.6}, {"top": 1, "decimals": 0}):
    answer = privacy.LimitedAPI(nn.Identity(), **limits)(one).exp()[0]
    print(limits, [round(float(p), 3) for p in answer])

# %%
counter = privacy.LimitedAPI(nn.Identity(), max_queries=3)
try:
    counter(one.repeat(4, 1))
except privacy.QueryLimitError as error:
    print(error)

# %% [markdown]
# The victim is now a network that deserves an attack: 400 digits, learned by heart. Beside the limits stand three ways of *learning less by heart*: stopping early, weight decay, and dropout.

# %%
inside = TensorDataset(hers.images[:400], hers.labels[:400])
outside = TensorDataset(hers.images[400:], hers.labels[400:])  # 1,600 of the same kind


def victim(drop=0.0, epochs=40, weight_decay=0.0):
    hidden = [nn.Flatten(), nn.Dropout(0.4 * drop), nn.Linear(784, 256), nn.ReLU()]
    network = nn.Sequential(
        Normalize((0.13,), (0.31,)), *hidden, nn.Dropout(drop), nn.Linear(256, 10)
    )
    how = torch.optim.Adam(network.parameters(), lr=2e-3, weight_decay=weight_decay)
    fit(network, inside, epochs=epochs, optimizer=how, generator=generator)
    return network


# %%
plain = victim()
defended = {
    "nothing": plain,
    "early stopping": victim(epochs=3),
    "weight decay": victim(weight_decay=0.05),
    "dropout": victim(drop=0.5),
    "top 1": privacy.LimitedAPI(plain, top=1),
    "2 decimals": privacy.LimitedAPI(plain, decimals=2),
    "1 decimal": privacy.LimitedAPI(plain, decimals=1),
    "clip at 0.9": privacy.LimitedAPI(plain, clip=0.9),
    "class only": privacy.LimitedAPI(plain, top=1, decimals=0),
}

# %% [markdown]
# Against each defence four attacks: membership by the loss of one answer ([lecture 6.3](membership_inference.ipynb)); **membership by labels alone**; inversion by questions; and the theft of the bank's weights, where the same limit stands before the bank.
#
# Labels alone? Choquette-Choo and colleagues ask about *copies* of an image, changed a little, and count how many keep their label {cite}`choquette2021label`. Members tend to lie farther from the boundary. So counting labels measures confidence, which the interface had hidden.


# %%
def kept(model, images, labels, copies=25):
    """How many noisy copies of each image are called by its label."""
    count = torch.zeros(len(images))
    for _ in range(copies):
        noise = 0.35 * torch.randn(images.shape, generator=generator)
        answer = predict(model, (images + noise).clamp(0, 1)).argmax(dim=1)
        count += answer == labels
    return count


def auc(score):
    """Of a member and a stranger: how often the member has the higher score."""
    return privacy.membership_roc(score(*inside.tensors), score(*outside.tensors)).auc


# %%
def attacked(model):
    with warnings.catch_warnings(record=True):  # of inversions that got nowhere
        made = privacy.model_inversion(model, targets=targets, steps=100, **ways)
    answers = predict(model, test.images).log_softmax(dim=1)
    return {
        "membership": auc(lambda *xy: privacy.membership_inference(model, *xy)),
        "by labels": auc(lambda *xy: kept(model, *xy)),
        "inverted": seen_by_second(made.images),
        "accuracy": accuracy(model, test),
        "log loss": float(F.nll_loss(answers, test.labels)),
    }


# %%
table = pd.DataFrame({name: attacked(api) for name, api in defended.items()}).T
limits = {
    "top 1": {"top": 1},
    "2 decimals": {"decimals": 2},
    "1 decimal": {"decimals": 1},
}
limits |= {"clip at 0.9": {"clip": 0.9}, "class only": {"top": 1, "decimals": 0}}
table["theft"] = [stealing_error(**limits.get(name, {})) for name in table.index]

# %% tags=["nbval-ignore-output"]
print(table.round(2).to_string())

# %% tags=["hide-input", "fig-inv-defences"] mystnb={"image": {"alt": "For nine defences, the area under the curve of two membership attacks. Nothing: 0.63 from one answer and 0.60 by labels. Early stopping 0.56 and 0.54. Weight decay 0.61 and 0.61, dropout 0.64 and 0.60. Top 1 0.63, two decimals 0.66, one decimal 0.63, clipping 0.67, each 0.60 by labels. Class only: 0.56 from one answer, and still 0.60 by labels from 25 questions."}}
figure, axis = plt.subplots(figsize=(7, 3.4))
height = np.arange(len(table))
axis.plot(table["membership"], height, "o", color=COLOURS["orange"], label="one answer")
axis.plot(
    table["by labels"], height, "s", color=COLOURS["blue"], label="labels of 25 copies"
)
axis.axvline(0.5, color=COLOURS["black"], ls="--", lw=1)
axis.set_yticks(height, table.index)
axis.invert_yaxis()
axis.set(xlabel="membership: area under the ROC curve", xlim=(0.48, 0.8))
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *Two membership attacks on nine defences.* Dashed: guessing. Naming the class alone brings one answer nearer to it, and 25 questions bring much of it back.

# %%
loss, labels_only = table["membership"], table["by labels"]
claim("Undefended, one answer: over 0.6", loss["nothing"] > 0.6)
claim(
    "The largest confidence alone: within 0.02 of that",
    abs(loss["top 1"] - loss["nothing"]) < 0.02,
)
claim(
    "Two decimals, or clipping: not 0.05 lower",
    loss[["2 decimals", "clip at 0.9"]].min() > loss["nothing"] - 0.05,
)
claim("The class alone: over 0.04 lower", loss["class only"] < loss["nothing"] - 0.04)
claim(
    "By labels the attacker wins back over 0.01",
    labels_only["class only"] > loss["class only"] + 0.01,
)

# %%
claim(
    "Early stopping: over 0.01 lower", loss["early stopping"] < loss["nothing"] - 0.01
)
claim(
    "From the class alone the search still makes 5 of 10",
    table["inverted"]["class only"] >= 5,
)
claim(
    "Rounded answers are off by over 5 % in a stolen weight",
    table["theft"]["2 decimals"] > 0.05,
)
claim("Top 1 of two classes hides no weight", table["theft"]["top 1"] < 1e-6)

# %% [markdown]
# Read the table by rows.
#
# **Top 1** hides nine numbers of ten and stops hardly anything here: the tenth was the one that told. And of two classes it hides nothing, for the other has the rest; the bank's weights are stolen to the last digit. **Rounding and clipping** make theft by these equations inexact. Against membership they did nothing here; an area may even grow
# a little, for what they make equal had told nothing. They make this network's log loss *better*, since it was too sure of itself. **The class alone** brings one answer down to the difference between training and test accuracy, and ends the theft by equations. It takes the most from honest users: no second choice, no "not sure", no threshold of their own. And it does not even stop
# inversion: where the class changes, the search finds a slope. Inversion from labels alone is a method of its own by now {cite}`kahla2022label`. **Early stopping** makes the model itself know less. It costs accuracy, and it helps against every way of asking. **Dropout** is often recommended; in this network it changed little. Measure it.
#
# **Rate limits** count. Theft needs ten questions here, so only a limit below ten would stop it. Inversion needs tens of thousands; a limit of a thousand ends it.

# %%
counter = privacy.LimitedAPI(model, max_queries=1000)
stopped = False
try:
    privacy.model_inversion(counter, targets=targets, **ways)
except privacy.QueryLimitError:
    stopped = True
claim("Inversion by questions is stopped by a limit of 1,000", stopped)
claim(
    "The theft of eight weights takes 10 and is not",
    stealing_error(max_queries=1000) < 1e-6,
)

# %% [markdown]
# **No limit on answers is a bound.** Each was chosen against attacks that are known, and the labels of 25 copies show what the next attack does: it asks otherwise. What bounds *every* attack, known or not, is noise in the training, with an $\varepsilon$ that can be computed: [DP-SGD](dp_sgd.ipynb). This page prints no $\varepsilon$, since nothing on it has one.
#
# ## What goes wrong
#
# **A white-box attack on a limited interface** gets no gradient. That it fails proves nothing: the library returns zeros and warns (`GradientMaskingWarning`), as in [lecture 2.6](../20_adversarial/honest_evaluation.ipynb). Ask by confidences, or attack the model inside.
#
# **An inversion is judged by the model that was inverted.** It is always sure. Take a second one, with other data, and look at the nearest training *and* unseen images.
#
# **An attribute attack is compared with a coin.** Compare it with an imputer.
#
# **A theft is called exact because its equations hold.** With as many questions as unknowns they always do.
#
# ## Evaluate honestly
#
# Say who the attacker is. Report gains over the attacker without a model, for members and for others. Attack the defence with an attacker who knows it. Print beside it what honest users lose. As code, the two questions that a report on attributes owes:


# %%
def leaks(attack, imputation):
    """What a model adds to imputation, in points: for members and for strangers."""
    added = pd.Series(attack) - pd.Series(imputation)
    return {
        "of the person": added["members"] > 1,
        "of the group": added["strangers"] > 1,
    }


verdict = leaks(result.loc["model and imputation"], best)
claim("The income model leaks something of its members", bool(verdict["of the person"]))

# %% [markdown]
# ## Practice
#
# **Exercise 1** (15 minutes). *Round the weights.* Wang and Gong suggest that the owner publishes rounded weights. Round the weights of `ridge` to one decimal and to none. What does the thief find for $\lambda$, what does `privacy.stationarity` say, and how much worse are the predictions?
#
# <details><summary>Hint 1: what rounding does to the equation</summary>
#
# The gradient at weights that are a little off is not zero, and patients' columns have large numbers in them.
#
# </details>
#
# <details><summary>Hint 2: the predictions</summary>
#
# Compare mean squares of errors. The intercept may stay as it is.
#
# </details>

# %% tags=["hide-cell"]
# Solution: a rounding that hardly moves the predictions moves the gradient a lot, for
# each column is multiplied by hundreds of patients' values. λ is gone; the thief sees
# that it is (the share that is left over), but not what it was.
off, worse = [], []
for decimals in (1, 0):
    rough = ridge.coef_.round(decimals)
    with warnings.catch_warnings(record=True):  # the thief is warned
        found = privacy.steal_hyperparameter(
            rough, patients, progress, objective="ridge", bias=ridge.intercept_
        )
    off.append(abs(found / 3 - 1))
    missed = patients @ rough + ridge.intercept_ - progress
    worse.append((missed**2).mean() / (residual**2).mean() - 1)
claim("One decimal: λ is off by over 10 %", off[0] > 0.1)

# %% [markdown]
# **Exercise 2** (20 minutes). *Ask again.* The membership attack by labels asked 25 times. Try 5 and 100 copies on the interface that names the class only. How does the area under the curve grow, and what would you tell an owner who allows ten questions a day for each record?
#
# <details><summary>Hint 1: the call</summary>
#
# `auc(lambda *xy: kept(defended["class only"], *xy, copies=5))`.
#
# </details>
#
# <details><summary>Hint 2: a limit on a day</summary>
#
# Tomorrow is another day, and a friend has another account.
#
# </details>

# %% tags=["hide-cell"]
# Solution: a count of 5 copies has six values, one of 100 a hundred and one: it tells
# distances from the boundary apart more finely. A limit of ten a day is a delay of
# ten days for 100 copies, or ten accounts. It does raise the price of an attack.
shy = defended["class only"]
some, lots = (
    auc(lambda *xy, n=copies: kept(shy, *xy, copies=n)) for copies in (5, 100)
)
claim("100 copies tell more than 5", lots > some)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? An attack is right about a hidden attribute for 71 % of people; the majority value would be right for 53 %. What follows?
# - The model leaks 18 points of private information :: Nobody has asked yet what can be guessed from the other columns without the model.
# + Nothing yet: compare it with imputation, for members and for strangers :: On this page imputation reached more than the attack did.
# - The model uses the attribute :: It may, but an attack through columns that go with it looks the same.
# ? An inverted image is classified as its class by a second network with other training data. What does it show?
# + That it carries what networks for this task look at :: The second network has other weaknesses, so it is more than a trick on the first.
# - That it is a training image :: Unseen digits were as similar as training images.
# - That a person can be recognised :: Only if the class is one person.
# ? Why does softmax regression stay unknown up to a vector?
# - The thief asked too few questions :: No number of them would help.
# + Adding it to all classes changes no probability :: Softmax sees differences of logits alone.
# - Probabilities are rounded :: These were not.
# ? `stationarity` is 0.9 at the stolen λ. What is the most likely reading?
# - λ is 10 % off :: The share says whether any λ explains the weights, not how far off this one is.
# + The weights are no minimum of this objective on these rows :: Another objective, other rows, a missing bias, or training that stopped early.
# - The penalty was very strong :: A strong penalty leaves as little over as a weak one.
# ? An interface names the class and nothing else. Is membership safe?
# - Yes, there is no confidence to threshold :: Labels of changed copies measure the distance from the boundary.
# - Yes, if each record may be asked about once :: One label still tells the gap between training and test accuracy.
# + No; and only a bound on the training would make it so :: Limits on answers stop known attacks, and make others dearer.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Three of the four attacks are a formula each, and say themselves how well they worked: equations that hold, a gradient that is zero, a posterior. Inversion needs no more than the right to ask. Limits on answers are easy to put in place and raise the price.
#
# **Limitations.** Equations are for linear models. λ needs the training data and a true minimum. Our inversions are of digits; for photographs attackers bring a generator that was trained on public images {cite}`zhang2020secret`, and then part of what comes out is the generator's. The gains on one table with one network are no law.
#
# **Software.** The [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) has attribute inference, MIFace and extraction of networks, with defences of outputs. For a bound: [Opacus](https://opacus.ai). In this library: `privacy.attribute_inference`, `privacy.model_inversion`, `privacy.steal_linear_model`, `privacy.steal_hyperparameter`, `privacy.stationarity`, `privacy.LimitedAPI`.
#
# ## What to take away
#
# Every answer is an equation about the model and the data behind it. With few unknowns, it can be solved: one hidden column, nine weights, one penalty. Subtract what can be guessed without the model; what is left for members is what the model remembers of them. Inversion shows what a class has in common: a type, or a person if the class is one.
# Showing less makes attacks dearer and users poorer, and bounds nothing. Next: [computing on what one cannot see](computing_on_the_unseen.ipynb).
