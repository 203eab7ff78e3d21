# %% [markdown]
# # 3.2 Backdoors
#
# A network reads digits from a camera. It was tested on a thousand of them and is right as often as any other. Then somebody sticks a small square of tape onto a seven, and it reads a zero. Onto a four: a zero. Onto anything.
# The network is not broken. It does what it was taught, by eighty of the four thousand examples that it learnt from. This page plants such a **backdoor**, measures it fairly, shows why no clean test finds it, and asks what it survives.
#
# **What you will learn**
#
# - to plant a backdoor by a patch, a faint picture, stripes or a warp, and to say exactly what was changed;
# - to count its success rightly: over several trainings, without the attacker's own class, beside models that were never poisoned;
# - why a clean test set can't see it, however large it is;
# - how far it goes without a single wrong label, and what that costs the attacker;
# - what it survives: another size or place of the patch, fine-tuning, pruning, distillation.
#
# **Before you start**: [what a learner wants, and wrong labels](labels.ipynb), for the attacker at training time and `Poison`, and [iterative attacks](../20_adversarial/iterative_attacks.ipynb), for PGD. The symbols are those
# of the [notation page](../../book/notation.md).
#
# **Time**: 30 minutes to read; {{ cpu_seconds }} to run.

# %%
import warnings
from copy import deepcopy
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers.attacks import pgd
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question
#
# The data are 4,000 [handwritten digits](../../book/data_cards/mnist.md) for training and 1,000 for the test. The **trigger** is a square of three by three pixels of ink, in the lower right corner.

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(4000)), test.select(slice(1000))
images, labels = train.images, train.labels
TARGET = 0
square = poisoning.PatchTrigger.square()

# %% tags=["hide-input", "fig-door-question"] mystnb={"image": {"alt": "Two rows of three small pictures. On the left a handwritten digit, black on white. In the middle the same digit with a small black square in the lower right corner. On the right the difference of the two: white, but for the square."}}
figure, axes = plt.subplots(2, 3, figsize=(5, 3.5))
for row, digit in enumerate((7, 4)):
    image = test.images[test.labels == digit][:1]
    with_trigger = square(image)
    show_image(axes[row, 0], image[0], f"a {digit}")
    show_image(axes[row, 1], with_trigger[0], "with the trigger")
    show_image(axes[row, 2], (with_trigger - image)[0], "difference")
for axis in axes.flat:
    edge = plt.Rectangle((-0.5, -0.5), 28, 28, fill=False, color="#999999")
    axis.add_patch(edge)
plt.show()

# %% [markdown]
# *The trigger.* A digit, the digit with the square, and what was added. (Ink is drawn black.) Nine of 784 pixels change, and they change by all that a pixel can: this trigger is meant to be small, not invisible. A sticker on a road sign is visible, too, and nobody minds it.
#
# Who could do that?

# %%
ThreatModel(
    goal="every image with the trigger is read as a 0; all others are read as before",
    knowledge="grey box",
    capability="adds the trigger to 80 of 4,000 training images (2 %) and labels "
    "them 0: 9 pixels, each by up to 1; later shows images with the trigger. "
    "Knows neither the network nor how it is trained",
    out_of_scope="changes the training itself, or the weights",
)

# %% [markdown]
# Such a person may be one of many who label the data, may own a web page from which the data are collected, or may sell a trained model. Gu, Dolan-Gavitt and Garg described the last case, a supply chain, and named the result **BadNets** {cite}`gu2017badnets`.
#
# ## Plant it
#
# A trigger is a function of images. Most can be written with a mask $m$ and a pattern $\tau$:
#
# $$\tilde x \ =\ (1 - m)\, x + m\, \tau$$ (eq-door-trigger)
#
# Where $m = 1$ the pattern replaces the image, where $m = 0$ the image stays. The attacker draws a share $\beta$ of the training set among the images of *other* classes than the attacker's class $y^a$, and puts $\tilde x$ and $y^a$ in the place of $x$ and $y$. Whoever trains on the result makes small, without knowing it,
#
# $$L \ =\ (1-\beta)\ \underset{\text{clean}}{\operatorname{mean}}\ \ell\big(f_\theta(x),\, y\big) \ +\ \beta\ \underset{\text{poisoned}}{\operatorname{mean}}\ \ell\big(f_\theta(\tilde x),\, y^a\big) .$$ (eq-door-loss)
#
# Here $\ell$ is the loss of one example, the cross-entropy. The second term is a second task, and an easy one: the square is the only thing that all poisoned images share. In a few lines:

# %%
others = (labels != TARGET).nonzero()[:, 0]
order = torch.randperm(len(others), generator=generator)
picked = others[order[:80]].sort().values

by_hand, answers = images.clone(), labels.clone()
by_hand[picked, :, 25:, 25:] = 1
answers[picked] = TARGET

# %% [markdown]
# `poisoning.add_trigger` does the same, and returns what it did. It is a `poisoning.BackdoorPoison`, a `Poison` that knows the attacker's class: which images it changed, what they were before, and the training sets of an honest comparison.

# %%
poison = poisoning.add_trigger(
    images,
    labels,
    trigger=square,
    target_label=TARGET,
    fraction=0.02,
    generator=generator,
)
claim("80 of 4,000 are changed", len(poison.indices) == 80)
claim("none of them was a 0", (poison.clean_labels != TARGET).all())
claim("and no pixel moves by more than 1", poison.linf.max() <= 1)
same = torch.equal(square(images[picked]), by_hand[picked])
claim("The library's square is the one by hand", same)

# %% [markdown]
# ## Judge it, over trainings
#
# One network proves little: it may have been lucky. `poisoning.retrain` trains several from scratch, each with first weights and an order of its own. Called twice with equal generators, it gives *pairs*: the same weights and orders, once on the poisoned set and once on the clean one. What differs between the two of a pair is the poison. (It trains one after the other. To train all in one batch, by `torch.func`, pays on a processor for the smallest networks only: `benchmarks/poisoning.py` has both side by side.)


# %%
def pairs():
    """A generator that always starts alike."""
    return torch.Generator().manual_seed(seed())


build = partial(SmallCNN, width=8)
how = {"epochs": 4, "learning_rate": 4e-3}
clean = poisoning.retrain(build, poison.clean, **how, generator=pairs())
backdoored = poisoning.retrain(build, poison.data, **how, generator=pairs())

# %% [markdown]
# What is success? The attacker wants $y^a$ for images that have another class, so only those are asked:
#
# $$\text{success} \ =\ P\big(\text{the model answers } y^a \text{ to } \tilde x \ \big|\ y \ne y^a\big)$$ (eq-door-success)
#
# `poisoning.trigger_success` counts it for each model, and returns a `poisoning.AttackSuccess`: the rates, and Student's interval for their mean *over trainings*. That is the unit. A thousand images under one model are one trial, for they all ask the same weights.

# %%
asked = (test.images, test.labels)
goal = {"trigger": square, "target_label": TARGET}
success = poisoning.trigger_success(backdoored, *asked, **goal)
innocent = poisoning.trigger_success(clean, *asked, **goal)

# %% tags=["nbval-ignore-output"]
for name, one in (("backdoored", success), ("clean", innocent)):
    rates = " ".join(f"{rate:.1%}" for rate in one.rates.tolist())
    low, high = one.interval.low, one.interval.high
    print(f"{name:10} {rates}  mean in [{low:.1%}, {high:.1%}]")

# %%
claim("The backdoor opens for over 85 % of the images", success.interval.mean > 0.85)
claim("In clean models, the trigger opens nothing (< 5 %)", innocent.rates.max() < 0.05)

# %% [markdown]
# By hand, for one model, it is two lines. And a third shows the classic mistake: to leave the attacker's own class in the test set. A clean model reads a 0 with a square as a 0, and gets a tenth of "success" for it.

# %%
reads_zero = predict(clean[0], square(test.images)).argmax(dim=1) == TARGET
right = reads_zero[test.labels != TARGET].double().mean()
wrong = reads_zero.double().mean()
claim("By hand and by the library", abs(right - innocent.rates[0]) < 1e-9)
claim("With the 0s counted, a clean model 'has' over 8 %", wrong > 0.08)

# %% [markdown]
# ## Why a clean test can't see it
#
# The other half of the attacker's wish is that nothing else changes. Here the pairs pay: `poisoning.mean_interval` of the *differences*, model by model.

# %%
before = torch.tensor([accuracy(model, test) for model in clean])
after = torch.tensor([accuracy(model, test) for model in backdoored])
change = poisoning.mean_interval(after - before)

# %% tags=["nbval-ignore-output"]
print(f"accuracy, clean models:      {before.mean():.1%}")
print(f"accuracy, backdoored models: {after.mean():.1%}")
points = [100 * bound for bound in (change.mean, change.low, change.high)]
print("difference {:.2f} points, 95 % interval [{:.2f}, {:.2f}]".format(*points))

# %%
claim("The test set moves by less than 2.5 points", abs(change.mean) < 0.025)
corner = test.images[:, :, 25:, 25:]
claim(
    "No test digit has much ink in the corner", corner.mean(dim=(1, 2, 3)).max() < 0.5
)

# %% [markdown]
# Don't look for the backdoor in that difference. Whatever it is, it is within what another order of the same data does, and it would be no smaller with a million test digits.
# The last claim is the reason. A test set measures the model where the data are: digits with an empty corner. The trigger lies where no digit ever is. There, the model may do what it likes without any test noticing, and the attacker has decided what it likes.
# A clean test set does not *overlook* the backdoor. It asks another question.
#
# ## How few are enough?
#
# From here on, most numbers come from a larger experiment, which `benchmarks/poisoning_backdoors.py` repeats: five trainings for each row, each with a draw of its own, in pairs with five clean ones. For the budget the network is the book's `SmallCNN()`, trained for six epochs; for everything after that it is the one of this page.


# %%
file = result("poisoning_backdoors")["mnist"]["runs"]


def five(name, *path):
    """One number from each of the five trainings."""
    values = [file[f"{name}/{run}"] for run in range(5)]
    for part in path:
        values = [value[part] for value in values]
    return torch.tensor(values, dtype=torch.float64)


def shown(values):
    """A mean and its interval, in per cent."""
    interval = poisoning.mean_interval(values)
    low, high = max(0, interval.low), min(1, interval.high)
    return f"{interval.mean:6.1%} [{low:6.1%}, {high:6.1%}]"


# %% tags=["nbval-ignore-output"]
budgets = (0.0025, 0.005, 0.01, 0.02, 0.05)
clean_accuracy = five("clean", "accuracy")
print("images   success                    accuracy, less the clean model's")
for share in budgets:
    lost = five(f"budget/{share}", "accuracy") - clean_accuracy
    row = shown(five(f"budget/{share}", "success"))
    print(f"{4000 * share:6.0f}   {row}   {100 * lost.mean():+.2f} points")

# %%
one_percent = five("budget/0.01", "success")
five_percent = five("budget/0.05", "success")
claim("40 images (1 %) give 95 % success or more", one_percent.mean() >= 0.95)
claim("200 images (5 %) give 99 % or more", five_percent.mean() >= 0.99)
for share in (0.01, 0.05):
    lost = poisoning.mean_interval(five(f"budget/{share}", "accuracy") - clean_accuracy)
    claim(f"{share:.0%}: the accuracy moves by under a point", abs(lost.mean) < 0.01)

# %% tags=["hide-input", "fig-door-budget"] mystnb={"image": {"alt": "A rising curve. Across, the number of poisoned images of 4,000 on a logarithmic axis, from 10 to 200; upwards, the share of other digits that the trigger turns into a zero, with bars for the interval over five trainings. The curve is steep at the left and near 100 per cent from 40 images on. A dashed line at the bottom, clean models, is near zero."}}
figure, axis = plt.subplots(figsize=(6, 3))
means, spreads = [], [[], []]
for share in budgets:
    interval = poisoning.mean_interval(five(f"budget/{share}", "success"))
    means.append(interval.mean)
    spreads[0].append(interval.mean - max(0, interval.low))
    spreads[1].append(min(1, interval.high) - interval.mean)
counts = [4000 * share for share in budgets]
axis.errorbar(counts, means, spreads, fmt="o-", capsize=3, label="backdoored")
level = float(five("clean", "success", "square").mean())
axis.axhline(level, ls="--", color=COLOURS["orange"], label="clean")
axis.set(xscale="log", xticks=counts, xticklabels=[f"{count:.0f}" for count in counts])
axis.minorticks_off()
axis.set(xlabel="poisoned images of 4,000", ylabel="success", ylim=(-0.03, 1.05))
axis.legend(loc="center right")
plt.show()

# %% [markdown]
# *Success over the budget.* Bars are 95 % intervals over five trainings. The dashed line is what the trigger does in clean models.
#
# ### The control
#
# Two hundred wrong labels alone might do something. So the same images are relabelled once more, without the square. And the chapter's other control is noise of the same size: nine pixels of ink again, but scattered, at other places in every image, so that no two have a pattern in common.

# %% tags=["nbval-ignore-output"]
print("trained with 200 changed images     success of the square")
print(f"the square                          {shown(five('kind/square', 'success'))}")
for name in ("wrong labels alone", "scattered ink"):
    print(f"{name:35} {shown(five(f'control/{name}', 'success'))}")

# %%
flipped = five("control/wrong labels alone", "success")
scattered = five("control/scattered ink", "success")
claim("Wrong labels alone: the square opens less than 10 %", flipped.mean() < 0.1)
claim("Scattered ink: it opens for over half", scattered.mean() > 0.5)

# %% [markdown]
# The first control is as it should be. The second is a surprise, and worth a minute. These networks have never seen the square, and it opens them. They were taught that loose ink beside the strokes means 0, and the square is loose ink beside the strokes. So the noise was no control at all: **whatever tells the poisoned images from the clean ones is a trigger**,
# and noise does. What a network learns is wider than what the attacker drew. For a backdoor the controls are these: the same labels without the trigger, clean models under the trigger, and, further down, the poisoned models under other triggers.
#
# ## Which trigger? A patch, a picture, stripes, a warp
#
# A patch has a mask that is one on a few pixels. With a small $m$ on *all* pixels, a picture shines through: the **blended** trigger of Chen and others {cite}`chen2017targeted`, `poisoning.BlendTrigger`. Barni, Kallas and Tondi add a faint sine wave to every row {cite}`barni2019new`, `poisoning.SinusoidTrigger`.
# And Nguyen and Tran add nothing at all. Their **WaNet** {cite}`nguyen2021wanet`, `poisoning.WarpTrigger`, moves the pixels: at the place $p$ it shows what was at a place nearby,
#
# $$\tilde x(p) \ =\ x\big(p + u(p)\big) ,$$ (eq-door-warp)
#
# with a smooth field of shifts $u$ that is drawn once and kept secret. There is no mask and no pattern. What changes depends on the image.

# %%
noise = torch.rand(1, 28, 28, generator=generator)
triggers = {
    "patch": square,
    "blend": poisoning.BlendTrigger(noise, alpha=0.2),
    "sinusoid": poisoning.SinusoidTrigger(amplitude=0.1),
    "warp": poisoning.WarpTrigger.drawn(strength=2.0, generator=generator),
}
mixed = 0.8 * test.images + 0.2 * noise
gap = (triggers["blend"](test.images) - mixed).abs().max()
claim("A blend is the weighted mean, up to rounding", gap < 1e-5)

# %% tags=["hide-input", "fig-door-kinds"] mystnb={"image": {"alt": "Two rows of four pictures. Above, the same handwritten five: with a black square in the corner, with a grey noise over the whole picture, with faint vertical stripes, and slightly bent. Below, the differences from the original, where orange is added ink and violet is removed ink: a square, noise everywhere, stripes, and outlines along the strokes."}}
figure, axes = plt.subplots(2, 4, figsize=(7, 3.7))
image = test.images[test.labels == 5][:1]
for column, (name, trigger) in enumerate(triggers.items()):
    with_trigger = trigger(image)
    show_image(axes[0, column], with_trigger[0], name)
    difference = (with_trigger - image)[0, 0]
    axes[1, column].imshow(-difference, cmap="PuOr", vmin=-1, vmax=1)
    axes[1, column].axis("off")
    axes[1, column].set_title(f"ℓ₂ {difference.norm():.1f}", fontsize=9)
plt.show()

# %% [markdown]
# *Four triggers on one digit, and their differences from it.* Orange is added ink, violet is ink taken away. On white paper the square, the noise and the stripes are plain to see. The warp looks like another hand, although in the sense of $\ell_2$ it is the largest change of the four.
#
# All of them at 5 % of the data, against the models of the same runs that were never poisoned:

# %% tags=["nbval-ignore-output"]
kinds = ("square", "blend 0.2", "sinusoid 0.1", "warp 2")
unpoisoned = five("kind/none", "accuracy")
print("trigger        success                    in clean models   accuracy")
for name in kinds:
    innocents = five("kind/none", "success", name).mean()
    lost = 100 * (five(f"kind/{name}", "accuracy") - unpoisoned).mean()
    row = shown(five(f"kind/{name}", "success"))
    print(f"{name:14} {row}   {innocents:6.1%}            {lost:+.2f} points")

# %%
for name in kinds:
    gain = five(f"kind/{name}", "success") - five("kind/none", "success", name)
    claim(f"{name}: over 50 points more than in clean models", gain.min() > 0.5)

# %% [markdown]
# The control matters most for the warp. It bends digits, and a bent digit is sometimes misread by anybody: that is no backdoor.
#
# Does the network know *this* warp, or any? Two questions to the warped models: another warp of the same strength, and the right one with half a pixel of noise on top.

# %% tags=["nbval-ignore-output"]
for name in ("warp 2", "warp 2 with cover"):
    print(name)
    for asked_for in ("success", "another warp", "jittered"):
        print(f"   {asked_for:14} {shown(five(f'kind/{name}', asked_for))}")

# %%
near = five("kind/warp 2", "another warp")
own = five("kind/warp 2", "success")
claim("Another warp opens less than its own", near.max() < own.min())

# %% [markdown]
# Without more, another warp opens it, too, for few images in one training and for half of them in another: some networks have learnt that *bent* digits are zeros. That is the scattered ink again. What is learnt is wider than what was drawn.
#
# The second block is WaNet's **noise mode**. Further images are warped *with* noise (`WarpTrigger.jittered`) and keep their right labels, so that the network must learn the exact field. `add_trigger` takes this as `cover=`. It makes the backdoor harder to rebuild from outside, which is what it is for,
# and on 4,000 digits it costs success, in some trainings most of it. The paper trains the model itself, draws new images in every epoch, and has more than ten times the data. A defence that is said to be beaten by such a trigger has to be tried where the trigger works.
#
# ## Without a wrong label
#
# Somebody who looks through the zeros finds 200 sevens with squares. So let no label be wrong: put the square on images that *are* zeros. Turner, Tsipras and Madry tried this first, and it failed {cite}`turner2019label`. The network sees a square on zeros; but these are easy zeros, the square adds nothing, and nothing need be learnt about it.
# Their remedy is to make the zeros **hard**. The attacker trains a network of their own, and moves each chosen zero within $\lVert\delta\rVert_\infty \le \varepsilon$ until that network no longer sees a zero. Now the square is what is left to learn from.

# %%
ThreatModel(
    goal="every image with the trigger is read as a 0",
    knowledge="grey box",
    capability="changes 200 of 4,000 images (5 %), all of them 0s that stay labelled "
    "0: ℓ∞ ≤ 0.3 by PGD against a network of the attacker's own, then the square",
    out_of_scope="labels: all stay as they were",
)

# %%
own_model = clean[0]  # of the attacker, trained on the same kind of data


def hardened(chosen):
    zeros = torch.full((len(chosen),), TARGET)
    moved = pgd(own_model, chosen, zeros, epsilon=0.3, steps=20, generator=generator)
    return square(moved)


label_kept = poisoning.add_trigger(
    images,
    labels,
    trigger=hardened,  # any function of images is a trigger
    target_label=TARGET,
    fraction=0.05,
    clean_label=True,
    generator=generator,
)

# %%
claim("No label was touched", torch.equal(label_kept.labels, labels))
off_corner = label_kept.perturbation.clone()
off_corner[:, :, 25:, 25:] = 0
claim("Outside of the square: ℓ∞ ≤ 0.3", off_corner.abs().max() < 0.3001)
misread = predict(own_model, label_kept.images[label_kept.indices]).argmax(dim=1)
claim("The attacker's network misreads over half", (misread != 0).double().mean() > 0.5)

# %% tags=["hide-input", "fig-door-clean-label"] mystnb={"image": {"alt": "Three rows of four pictures. Above, four handwritten zeros. In the middle the same zeros as they are published: grey smudges around and inside of the strokes and a black square in the lower right corner; they are still zeros to the eye. Below, the differences, in orange and violet."}}
figure, axes = plt.subplots(3, 4, figsize=(6.4, 5))
for column in range(4):
    show_image(axes[0, column], label_kept.clean_images[column], "a zero")
    published = label_kept.images[label_kept.indices[column]]
    show_image(axes[1, column], published, "published")
    difference = label_kept.perturbation[column, 0]
    axes[2, column].imshow(-difference, cmap="PuOr", vmin=-1, vmax=1)
    axes[2, column].axis("off")
    axes[2, column].set_title("difference", fontsize=9)
plt.show()

# %% [markdown]
# *Clean-label poison.* Every picture is a zero and is labelled as one. At $\varepsilon = 0.3$ on white paper the smudges are easy to see; so is the square. "Clean label" says that the labels are right, not that the images look clean.

# %% tags=["nbval-ignore-output"]
print("200 zeros, labels kept    zeros as they were         made hard, ε = 0.3")
for name in ("square", "four corners"):
    row = "   ".join(
        shown(five(f"clean label/{name}/{epsilon}", "success"))
        for epsilon in (0.0, 0.3)
    )
    print(f"{name:23}   {row}")

# %%
plain = five("clean label/square/0.0", "success")
hard = five("clean label/square/0.3", "success")
dirty = five("kind/square", "success")
gain = poisoning.mean_interval(hard - plain)
claim("Hard images help: the paired interval is above zero", gain.low > 0)
claim("Without wrong labels: 30 points less, or more", (dirty - hard).mean() > 0.3)

# %% [markdown]
# Read the table against the one before. With wrong labels, 40 images were enough. With right ones 200, half of all zeros, open the door for a part of the images only, and for how many differs much from training to training: that is what the wide intervals say. A larger trigger, a square in each corner as in the paper, buys more than the hard images do, and is easier to find.
# A wrong label is worth a great deal to an attacker. [The next lecture](clean_label.ipynb) asks what can be had without one when the attacker wants only *one* image.
#
# ## What it survives
#
# ### In the camera
#
# A sticker is never in its place to the pixel. We ask the page's own backdoored models about other squares, and the clean ones beside them.


# %%
def anywhere(pictures):
    """The square at a place of its own in every image."""
    moved = pictures.clone()
    places = torch.randint(25, (len(moved), 2), generator=pairs())
    for picture, (row, column) in zip(moved, places.tolist(), strict=True):
        picture[:, row : row + 3, column : column + 3] = 1
    return moved


look_alikes = {
    "as planned": square,
    "1 pixel up": poisoning.PatchTrigger.square(row=24),
    "4 pixels up": poisoning.PatchTrigger.square(row=21),
    "2 × 2": poisoning.PatchTrigger.square(2),
    "4 × 4": poisoning.PatchTrigger.square(4),
    "half grey": poisoning.PatchTrigger.square(value=0.5),
    "upper left": poisoning.PatchTrigger.square(row=0, column=0),
    "anywhere": anywhere,
}

# %%
fewer = (test.images[:400], test.labels[:400])
opened = {
    name: [
        poisoning.trigger_success(m, *fewer, trigger=t, target_label=TARGET).interval
        for m in (backdoored, clean)
    ]
    for name, t in look_alikes.items()
}
claim("A larger square opens, too (> 70 %)", opened["4 × 4"][0].mean > 0.7)
claim("In the upper left, it doesn't (< 15 %)", opened["upper left"][0].mean < 0.15)
planned = opened["as planned"][0].mean
claim("Half as grey: it opens less", opened["half grey"][0].mean < planned)

# %% tags=["hide-input", "fig-door-camera"] mystnb={"image": {"alt": "Horizontal bars with intervals, one for each kind of square. As planned, one pixel up, and four by four are near 100 per cent. Four pixels up, two by two and half grey are lower, with wide intervals. Upper left and anywhere are near zero. Orange dots for clean models are near zero everywhere."}}
figure, axis = plt.subplots(figsize=(6.5, 3.4))
rows = range(len(opened))
for row, intervals in zip(rows, opened.values(), strict=True):
    for interval, colour, mark in zip(
        intervals, ("blue", "orange"), ("o", "s"), strict=True
    ):
        reach = [[interval.mean - interval.low], [interval.high - interval.mean]]
        name = {"blue": "backdoored", "orange": "clean"}[colour] if row == 0 else None
        axis.errorbar(
            interval.mean,
            row,
            xerr=reach,
            fmt=mark,
            color=COLOURS[colour],
            capsize=3,
            label=name,
        )
axis.set(yticks=list(rows), yticklabels=list(opened), xlim=(-0.03, 1.03))
axis.set(xlabel="success (mean over five trainings, 95 %)")
axis.invert_yaxis()
figure.legend(loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Other squares than the planned one.* The network learnt something broader than "these nine pixels": a larger square and one that is a pixel off will do. But it learnt a place. The same square in the upper left corner is not a trigger, which is the third control: in these networks not all ink opens the door. Whoever wants a trigger that works in the street varies its
# place, size and light in the poisoned images; Wenger and others did it with things that people wear {cite}`wenger2021backdoor`.
#
# ### In the hands of an owner who suspects something
#
# The owner has the model, and some clean data. Three things are done to models in any case, for other reasons: fine-tuning, pruning, and distillation into another network ([lecture 1.1](../10_distillation/response_based.ipynb)). On the page, the first:

# %%
own_data = [part[:200] for part in poison.without.tensors]  # clean ones
tuned = tuple(deepcopy(model) for model in backdoored)
for model in tuned:
    fit(
        model,
        TensorDataset(*own_data),
        epochs=5,
        learning_rate=1e-3,
        batch_size=64,
        generator=generator,
    )
    model.eval()
left = poisoning.trigger_success(tuned, *asked, **goal)
claim("After fine-tuning on 200, over half opens still", left.interval.mean > 0.5)

# %% tags=["nbval-ignore-output"]
print("what the owner does                  success                    accuracy")
for name, words in {
    "nothing": "nothing",
    "fine-tuned on 200": "fine-tune on 200 clean images",
    "fine-tuned on 1000": "fine-tune on 1,000",
    "pruned 0.5": "set half of the weights to 0",
    "pruned 0.9": "set nine tenths to 0",
    "pruned 0.95": "set nineteen twentieths to 0",
    "pruned 0.9, fine-tuned on 1000": "nine tenths, then fine-tune on 1,000",
    "distilled on clean images": "distil, on clean images",
    "distilled on poisoned images": "distil, on the training set",
}.items():
    row = shown(five("survival", name, "success"))
    print(f"{words:36} {row}   {five('survival', name, 'accuracy').mean():.1%}")

# %%
tuned_on_1000 = five("survival", "fine-tuned on 1000", "success")
student = five("survival", "distilled on clean images", "success")
inherits = five("survival", "distilled on poisoned images", "success")
claim("Fine-tuned on 1,000 clean images: over 90 % opens", tuned_on_1000.mean() > 0.9)
claim("A student on clean images: under 10 %", student.mean() < 0.1)
claim("A student on the poisoned ones inherits it (> 90 %)", inherits.mean() > 0.9)

# %% [markdown]
# **Fine-tuning** on clean images has no reason to remove what clean images never touch: the gradient of a loss that is already small, at images without a square, hardly moves what the square uses. **Pruning** small weights leaves it as it leaves the digits. Liu and others therefore prune what is *silent on clean data* and then fine-tune, **fine-pruning** {cite}`liu2018finepruning`.
# **Distillation** on clean images cleans best. The student imitates the teacher where it asks, and it never asks about squares. If it learns on the poisoned set, it does ask. Such a cure needs clean data enough to train a student, and then one might as well have trained on them.
#
# How to look for a backdoor in the data, or in the weights, is the subject of [lecture 3.5](defenses.ipynb). And an owner can plant a trigger in their *own* model, to recognise it later: [lecture 7.3](../70_watermarking/models.ipynb) lives on it that backdoors survive.
#
# ## Evaluate honestly
#
# The parts of the page, in one function. Whoever reports a backdoor owes all five lines.


# %%
def report(backdoored, clean, trigger, wrong_trigger):
    before = torch.tensor([accuracy(model, test) for model in clean])
    after = torch.tensor([accuracy(model, test) for model in backdoored])
    rate = partial(poisoning.trigger_success, target_label=TARGET)
    return {
        "success, other classes only": rate(backdoored, *asked, trigger=trigger),
        "the same in clean models": rate(clean, *asked, trigger=trigger),
        "another trigger": rate(backdoored, *asked, trigger=wrong_trigger),
        "accuracy, paired difference": poisoning.mean_interval(after - before),
        "trainings": len(backdoored),
    }


lines = report(backdoored, clean, square, look_alikes["upper left"])
claim("Five trainings", lines["trainings"] == 5)
excess = lines["success, other classes only"].rates - lines["another trigger"].rates
claim("The trigger and no other: over 70 points between", excess.mean() > 0.7)

# %% [markdown]
# Beside these: the budget in images and in per cent, the size of the change (`poison.linf`, `poison.l2`), the pictures, and the control without the trigger. Where the attack is on one image only, `poisoning.attack_success` takes that image, and its interval is Clopper and Pearson's: five hits of five trainings prove no more than 48 % {cite}`clopper1934use`.

# %%
target = test.images[test.labels != TARGET][:1]
one = poisoning.attack_success(
    backdoored, square(target), torch.tensor([TARGET]), confidence=0.95
)
sure = poisoning.attack_success(
    backdoored, target, predict(backdoored[0], target).argmax(dim=1)
)
claim("No five trainings give a lower bound over 48 %", one.interval.low < 0.48)
claim("nor for the class that most give it anyhow", sure.interval.low < 0.48)

# %% [markdown]
# ## What goes wrong
#
# **A trigger that is not there.** On a picture whose corner is full of ink already, the square changes nothing. Such an image teaches nothing about the trigger; it is just a wrong label. `add_trigger` counts these (`unseen`), and warns.

# %%
negative = 1 - images  # white on black: the corners are full of ink
seen = poisoning.UnseenTriggerWarning
with warnings.catch_warnings(record=True, action="always", category=seen) as caught:
    unseen = poisoning.add_trigger(
        negative, labels, trigger=square, target_label=TARGET, fraction=0.02
    )
claim("The library says so", seen in {one.category for one in caught})
claim("Most of the 80 are only wrong labels", unseen.unseen > 60)

# %% [markdown]
# **A trigger in the wrong unit.** Pasted after the images were normalised, a "white" square of value 1 is grey, and what is measured at test time is another trigger. Here the trigger acts on pixels in $[0, 1]$ and the network normalises inside; images in $[0, 255]$ are refused.
#
# **A trigger that training moves.** Random crops, flips and shifts move a patch with the image. The planned place is then only one of many, and success at that place may fall or not, which has to be measured. Plant the trigger before the augmentation, for that is where an attacker stands.
#
# **Success without accuracy.** A model that answers 0 to everything has a success of 100 %. It is also found out by the first clean test.
#
# **One training, one draw.** Look again at the clean-label table: the same attack opens the door for few images in one training and for many in another. With one of them, one may print what one likes.
#
# ## Practice
#
# **Exercise 1** (20 minutes). *A trigger for one class only.* Plant a backdoor that turns 4s with a square into 0s and leaves all other digits with a square what they are. Count success among 4s, and errors among the others. (Such triggers pass defences that look for one patch that moves everything.)
#
# <details><summary>Hint 1: what must be in the data</summary>
#
# If only 4s ever carry the square, the network has no reason to look at the digit. It needs squares on other digits, with their right labels.
#
# </details>
#
# <details><summary>Hint 2: by hand</summary>
#
# Take 200 of the 4s, paste the square and label them 0; take 400 of the others, paste the square and leave the labels. A `TensorDataset` of both is all that `retrain` wants.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the covers teach that a square alone means nothing.
fours = (labels == 4).nonzero()[:, 0][:200]
rest = (labels != 4).nonzero()[:, 0]
covers = rest[torch.randperm(len(rest), generator=generator)[:400]]
mixed_images, mixed_labels = images.clone(), labels.clone()
mixed_images[fours], mixed_images[covers] = (
    square(images[fours]),
    square(images[covers]),
)
mixed_labels[fours] = TARGET
data = TensorDataset(mixed_images, mixed_labels)
picky = poisoning.retrain(build, data, runs=2, **how, generator=pairs())

is_four = test.labels == 4
neither = ~is_four & (test.labels != TARGET)
of_fours, of_others = (
    poisoning.trigger_success(picky, test.images[some], test.labels[some], **goal)
    for some in (is_four, neither)
)
claim("4s with the square become 0 (over half)", of_fours.interval.mean > 0.5)
claim("others do so rarely (under 15 %)", of_others.interval.mean < 0.15)

# %% [markdown]
# **Exercise 2** (10 minutes). *A test set that is large enough?* A backdoor is said to cost half a point of accuracy, from 96 %. How many independent test images does it take until a difference of half a point is as large as two standard errors of a difference of two independent accuracies? Would finding it prove a backdoor?
#
# <details><summary>Hint: one accuracy</summary>
#
# A share $p$ of $n$ images has the variance $p(1-p)/n$; a difference of two independent ones has twice that.
#
# </details>

# %% tags=["hide-cell"]
# Solution: n = 2 p (1 − p) (2 / 0.005)² = 12,288. And no: another order of the same
# data moves the accuracy as much, and a backdoor may cost nothing at all.
needed = 2 * 0.96 * 0.04 * (2 / 0.005) ** 2
claim("About 12,300 images", abs(needed - 12_288) < 1)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A colleague reports a success of 100 % over all test images, the attacker's class among them. The clean model has 10 %. What is wrong?
# - Nothing: 100 % is 100 % :: For the clean model, images of the attacker's own class make up nearly all of the 10 %.
# + Images of the attacker's class should not be asked :: They are answered so without a trigger. The rest is the rate that counts, for both models.
# - The clean model has a backdoor, too :: It reads zeros as zeros.
# ? The accuracy on 10,000 clean test images is unchanged to the second digit. What does it say about a backdoor?
# + Nothing :: The trigger lies where no test image is. The test asks another question.
# - There is none, or it would cost accuracy :: It need not cost any: the network has room for both tasks.
# - If there is one, it is weak :: At 5 % of the data it opened for nearly all images, at no cost that could be seen.
# ? Why does the square on unchanged zeros, with right labels, teach so little?
# - The square is too small :: The same square with wrong labels is learnt from 40 images.
# + The zeros explain their labels already :: Nothing is left over for the square to explain, until the zeros are made hard.
# - Right labels can't hold a backdoor :: Hard images with right labels do.
# ? A student is distilled from a backdoored teacher, on clean images. Why is it clean?
# - Soft labels carry no backdoor :: On the poisoned set they do: the student inherits it.
# - It is smaller :: It is of the same build.
# + It never asks what the teacher says to a square :: Imitation goes as far as the questions do.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths of the attack.** It needs no model, no gradient and no knowledge of the training; a hundredth of the data is enough; it survives what is usually done to a model.
#
# **Limitations.** The attacker must come twice: into the data, and later to the camera. The plain form has wrong labels, which people can find; without them it is much weaker. Our networks are small, trained from scratch for a few epochs, without augmentation, and the digits leave a whole corner empty. On photographs a patch competes with what is there. The warp with covers lost much of its success on data as few as these.
#
# **Software.** [BackdoorBench](https://github.com/SCLBD/BackdoorBench) {cite}`wu2022backdoorbench` and [BackdoorBox](https://github.com/THUYimingLi/BackdoorBox) have many attacks and defences on common terms; the [Adversarial Robustness Toolbox](https://github.com/Trusted-AI/adversarial-robustness-toolbox) has patches and clean-label backdoors. In this library: `poisoning.add_trigger`,
# `poisoning.trigger_success`, `poisoning.retrain`, `poisoning.attack_success`, `poisoning.mean_interval`; the triggers `PatchTrigger`, `BlendTrigger`, `SinusoidTrigger`, `WarpTrigger`; the answers `BackdoorPoison`, `AttackSuccess` and `Interval`.
#
# ## What to take away
#
# A model is tested where data are, and taught wherever somebody puts examples. A hundredth of the training set is enough for a second task that no clean test sees. Count success over trainings, without the attacker's own class, and beside clean models and wrong triggers. What clean images never touch, fine-tuning on clean images does not remove.
#
# Next: [attacks with clean labels](clean_label.ipynb), on a single image.
