# %% [markdown]
# # 3.4 Data that refuse to be learnt
#
# Until now somebody poisoned *our* training set, and we were the victim. On this page the one who poisons is a person with a photo album, and the victim is a company that copies albums from the web. The person
# changes each picture a little before it is published. People see what they saw before. A network that is trained on the pictures learns the change instead of the picture, and then fails on every picture without it.
#
# Is that protection? It works in the afternoon on which it is shown. We shall measure how well, see why, and undo it in one line.
#
# **What you will learn**
#
# - to make **unlearnable examples** by the noise that minimises a network's error, for each image or for each class;
# - why the smallest training error in the world proves nothing about such noise, and which number does;
# - that a pattern of blocks which nobody optimised does the same, and why;
# - to undo both by a comparison, and to see remedies that fail;
# - who is protected, against whom, and for how long.
#
# **Before you start**: [backdoors](backdoors.ipynb), for retrainings and controls, and [iterative attacks](../20_adversarial/iterative_attacks.ipynb), for signed steps. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import poisoning
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.measured import result
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question
#
# The album is a thousand [handwritten digits](../../book/data_cards/mnist.md). The collector trains a small network on what is published, and wants to read *other* people's digits with it: the test set, to which nobody has done anything.

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(1000)), test.select(slice(1000))
images, labels = train.images, train.labels
EPSILON = 0.4
coins = torch.Generator().manual_seed(seed())
blocks = poisoning.separable_noise(images, labels, epsilon=EPSILON, generator=coins)
claim("All 1,000 images are changed, no label is", len(blocks.indices) == 1000)
claim("No pixel moves by more than 0.4", blocks.linf.max() < 0.4001)

# %% tags=["hide-input", "fig-unl-question"] mystnb={"image": {"alt": "Three rows of four small pictures. Above, four handwritten digits, dark ink on white paper. In the middle the same digits behind a chequered pattern of grey and white squares, in another arrangement for each class; they can still be read. Below, the difference alone: squares of one size, either orange for more ink, violet for less, or white where black or white could not go further."}}
figure, axes = plt.subplots(3, 4, figsize=(7, 5.2))
for column in range(4):
    show_image(axes[0, column], blocks.clean_images[column], "clean")
    show_image(axes[1, column], blocks.images[column], "published")
    axes[2, column].imshow(
        -blocks.perturbation[column, 0], cmap="PuOr", vmin=-0.5, vmax=0.5
    )
    axes[2, column].set(title="difference", xticks=[], yticks=[], frame_on=False)
plt.show()

# %% [markdown]
# *Clean, published, and the difference.* (Ink is drawn black; orange adds ink.) On empty paper $\varepsilon = 0.4$ is plain to see, and this page doesn't pretend otherwise: digits are the hardest canvas for it. On colour photographs 8 grey values of 255 will do, as you will see below.

# %%
ThreatModel(
    goal="whoever trains on the published images gets a network that fails on others",
    knowledge="black box",
    capability="changes 1,000 of 1,000 images before they are published, once; "
    "ℓ∞ ≤ 0.4, labels untouched; does not know the collector's network",
    out_of_scope="images of the same kind from anybody else; a collector who looks",
)

# %% [markdown]
# ## The idea: nothing left to learn
#
# A network changes its weights where its loss has a slope. If an image is easy already, there is none, and nothing is learnt from it. So Huang and others {cite}`huang2021unlearnable` look for the noise $\delta_i$ of image $i$ that makes the loss *small*:
#
# $$\min_\theta \ \frac1N \sum_{i=1}^N \ \min_{\lVert \delta_i \rVert_\infty \le \varepsilon} \ \ell\big( f_\theta(x_i + \delta_i),\, y_i \big)$$ (eq-unl-minmin)
#
# Read it from the inside. The inner minimum makes each image as easy as can be, for a network $\theta$, with no pixel moved by more than $\varepsilon$. It is an adversarial attack with the opposite sign. The outer minimum trains that network, the
# **maker's**, on the easy images. Where the noise is one for each image it is called *sample-wise*; where all images of class $k$ share one noise $c_k$, *class-wise*.
#
# Solve it by turns: train the maker a little, then move the noise by a few steps along the sign of its slope, downhill. Here is the inner part by hand, for one noise for each image and a maker that stands still.


# %%
def easier(model, images, labels, epsilon, steps):
    """Noise of each image, downhill in the loss."""
    noise = torch.zeros_like(images)
    for _ in range(steps):
        changed = (images + noise).clamp(0, 1).requires_grad_()
        loss = F.cross_entropy(model(changed), labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, changed)
        noise = (noise - epsilon / 10 * slope.sign()).clamp(-epsilon, epsilon)
    return noise


still = MLP()  # a linear network
by_hand = easier(still, images[:200], labels[:200], 0.1, 20)
by_library = poisoning.unlearnable_noise(
    still,
    images[:200],
    labels[:200],
    epsilon=0.1,
    rounds=1,
    learning_rate=1e-12,  # the maker does not move
)
gap = (by_library.noise - by_hand).norm() / by_hand.norm()
claim("By hand and by the library: the same, up to rounding", gap < 0.1)

# %% [markdown]
# Now in earnest, class-wise, with a network like the collector's as the maker. It costs a few seconds.

# %%
minimised = poisoning.unlearnable_noise(
    SmallCNN(width=4),
    images,
    labels,
    epsilon=EPSILON,
    class_wise=True,
    rounds=15,
    train_steps=5,
    steps=10,
    stop_error=None,  # all rounds
    generator=generator,
)
lowest = float(minimised.maker_errors[-1])
claim("The maker errs on under 1 % of its noisy images", lowest < 0.01)

# %% [markdown]
# ## Five trainings, and a control
#
# The collector's network is trained from scratch, five times, on each of four training sets: the clean one, those with the two noises, and the **control**, random noise of the same size. If random noise did the same harm, nothing would have been shown. All four meet the same five first weights and orders, so they can be compared in pairs.


# %%
def collectors(data, runs=5):
    return poisoning.retrain(
        lambda: SmallCNN(width=4),
        data,
        runs=runs,
        epochs=6,
        learning_rate=2e-3,
        generator=torch.Generator().manual_seed(seed()),
    )


def reads(models, data):
    """Accuracy of each, in per cent."""
    return torch.tensor([100 * accuracy(model, data) for model in models])


held_out = TensorDataset(test.images, test.labels)

# %%
control = minimised.noise_control(generator=generator)
published = {
    "clean": minimised.clean,
    "random noise": control.data,
    "error-minimising": minimised.data,
    "blocks": blocks.data,
}
learnt = {name: collectors(data) for name, data in published.items()}
others = {name: reads(models, held_out) for name, models in learnt.items()}

# %% tags=["nbval-ignore-output"]
print("                      on others' digits    on its own images")
for name, models in learnt.items():
    row = poisoning.mean_interval(others[name])
    own = reads(models, published[name]).mean()
    print(f"{name:18} {row.mean:6.1f} ({row.low:.1f} to {row.high:.1f}) {own:13.1f} %")

# %%
lost = {
    name: poisoning.mean_interval(others["random noise"] - others[name])
    for name in ("error-minimising", "blocks")
}
for name, interval in lost.items():
    claim(f"{name}: over 10 points below the control", interval.mean > 10)
    claim("and the paired interval stays above 0", interval.low > 0)
    own = reads(learnt[name], published[name])
    claim("while over 95 % of its own images are read", own.mean() > 95)
small = (others["clean"] - others["random noise"]).mean()
claim("Random noise of the same size costs under 25 points", small < 25)

# %% [markdown]
# The collector, who looks only at the training images, sees a network that is nearly perfect. So would a collector who keeps back a part of the *published* images for validation, since they carry the noise, too. Only clean images from elsewhere tell.
#
# ## The number that proves nothing
#
# The maker's error on its noisy images came down to nearly nothing. Is that the sign of a good noise? Let us take an $\varepsilon$ that nobody could see, 0.02, and let the maker train longer.

# %%
idle = poisoning.unlearnable_noise(
    SmallCNN(width=4),
    images,
    labels,
    epsilon=0.02,
    class_wise=True,
    rounds=8,
    train_steps=30,
    steps=3,
    learning_rate=4e-3,
    stop_error=None,
    generator=generator,
)
learnt["idle"] = collectors(idle.data)
others["idle"] = reads(learnt["idle"], held_out)
content = float(idle.maker_errors[-1])
claim("At ε = 0.02 the maker errs on under 3 %, too", content < 0.03)
harm = (others["clean"] - others["idle"]).mean()
claim("and the noise costs under 8 points", harm < 8)

# %% tags=["hide-input", "fig-unl-maker"] mystnb={"image": {"alt": "Two panels with the rounds across and the maker's error in per cent upwards. Left, epsilon 0.4: the error on noisy images falls to 0 within a few rounds, the error on clean images falls slowly and stays far above it. Right, epsilon 0.02: both lines fall together to nearly 0."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.9), sharey=True)
for axis, made, title in (
    (axes[0], minimised, r"$\varepsilon = 0.4$"),
    (axes[1], idle, r"$\varepsilon = 0.02$"),
):
    rounds = range(1, len(made.maker_errors) + 1)
    axis.plot(
        rounds,
        100 * made.clean_errors,
        "s--",
        color=COLOURS["blue"],
        label="on clean images",
    )
    axis.plot(
        rounds,
        100 * made.maker_errors,
        "o-",
        color=COLOURS["orange"],
        label="on noisy images",
    )
    axis.set(title=title, xlabel="round", ylim=(-3, 103))
    axis.locator_params(axis="x", integer=True)
axes[0].set_ylabel("the maker's error (%)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Two makers that are content.* Both end near 0 on what they were trained on (orange). The left one has learnt the noise, and errs on clean digits (blue). The right one has learnt the digits: the noise had nothing to do.
#
# So the number to look at is the **gap** between the two lines; `clean_errors` is there for that. And even the gap is about the maker's own network. What counts is the accuracy of somebody else's, trained from scratch, beside its control.

# %%
gaps = [float(m.clean_errors[-1] - m.maker_errors[-1]) for m in (minimised, idle)]
claim("The gap is over 10 points at 0.4", gaps[0] > 0.10)
claim("and under 4 at 0.02", gaps[1] < 0.04)

# %% [markdown]
# ## Why it works: a shortcut
#
# Lay the two noises on grey paper, without any digit, and ask the simplest learner there is. Yu and others {cite}`yu2022availability` found of all noises of this kind that a *linear* classifier tells their classes apart. For class-wise noise it is plain: there are ten patterns. Their second finding is less so: any such pattern does, also one that no network was asked for. That is what
# our blocks are: for class $k$ a fair sign for each block of $4 \times 4$ pixels, $\delta_i = \varepsilon\, c_{y_i}$. With `spread` each image gets blocks of its own, scattered about those of its class:
#
# $$\delta_i = \varepsilon \cdot \operatorname{cut}\big( c_{y_i} + \sigma\, n_i \big), \qquad n_i \sim \mathcal N(0, 1) \text{ in every block}$$ (eq-unl-blocks)
#
# where the cut is to $[-1, 1]$. No two images then share their noise.

# %%
grey = torch.full_like(images, 0.5)
scattered = poisoning.separable_noise(
    grey, labels, epsilon=EPSILON, spread=0.5, generator=generator
)
noise = scattered.perturbation.flatten(1).numpy()
line = LogisticRegression(max_iter=200).fit(noise[:500], labels[:500])
told = line.score(noise[500:], labels[500:])
claim("Without a digit, a line tells over 99 % of noises apart", told > 0.99)

# %% [markdown]
# A network looks for whatever lowers its loss soonest. Signs in fixed places are easier than the shapes of ten digits written by hundreds of people, and so it learns those: a **shortcut** {cite}`geirhos2020shortcut`. The proof is a swap. Take digits that the network never saw, and lay the blocks of *another* class over them. What does it read, the digit or the blocks?

# %%
coins = torch.Generator().manual_seed(seed())  # the same coins, so the same blocks
on_grey = poisoning.separable_noise(grey, labels, epsilon=EPSILON, generator=coins)
patterns = torch.stack([on_grey.perturbation[labels == k][0] for k in range(10)])
wrong = (test.labels + 1) % 10
swapped = (test.images + patterns[wrong]).clamp(0, 1)
for_blocks = reads(learnt["blocks"], TensorDataset(swapped, wrong)).mean()
for_digits = reads(learnt["blocks"], TensorDataset(swapped, test.labels)).mean()
claim("Over 80 % are read as the class of the blocks", for_blocks > 80)
claim("and under 15 % as the digit", for_digits < 15)

# %% [markdown]
# So an unlearnable data set is a **backdoor** whose trigger sits on every training image, one for each class. The network does not fail because it has learnt nothing. It waits for a trigger that never comes.
#
# ## How small may it be? The curve over ε
#
# The result file has the same experiment with all 4,000 digits of the default data and five trainings a point, and once more on 4,000 colour photographs of CIFAR-10, where eight grey values are enough.

# %%
measured = result("poisoning_unlearnable")["runs"]


def final(data, way, epsilon, remedy="none", epoch=-1):
    """Accuracy on the test set in per cent, one number for each training."""
    start = f"{data}/{way}/{epsilon:.3f}/{remedy}/"
    runs = [run["test"] for name, run in measured.items() if name.startswith(start)]
    return torch.tensor([100 * curve[epoch] for curve in runs])


steps = (0.1, 0.25, 0.4)
clean = final("mnist", "clean", 0)
EIGHT = 8 / 255

# %% tags=["hide-input", "fig-unl-curve"] mystnb={"image": {"alt": "Accuracy on clean test digits over epsilon from 0 to 0.4. Random noise of the same size, dotted, stays near the 93 percent of clean training. Error-minimising noise falls with every step, to about 60 at 0.4. Blocks fall fastest, and lie far below 60 percent at 0.4."}}
figure, axis = plt.subplots(figsize=(6, 3.3))
for way, label, hue, style in (
    ("noise", "random noise of the same size", "black", "s:"),
    ("class", "error-minimising, class-wise", "orange", "o-"),
    ("blocks", "blocks", "blue", "^--"),
):
    rows = [clean, *(final("mnist", way, step) for step in steps)]
    means = [float(row.mean()) for row in rows]
    reach = [float(row.std()) for row in rows]
    axis.errorbar(
        (0, *steps), means, reach, fmt=style, color=COLOURS[hue], label=label, capsize=3
    )
axis.axhline(10, lw=0.8, color=COLOURS["black"])
axis.text(0, 12, "guessing")
axis.set(xlabel=r"$\varepsilon$", ylabel="others' digits read (%)", ylim=(0, 100))
figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *How much noise for how much harm.* Means over trainings, with one standard deviation. The blocks, which cost nothing, do more harm at every ε than the noise that was computed.

# %%
at_quarter = (clean - final("mnist", "blocks", 0.25)).mean()
claim("Blocks at ε = 0.25 cost over 30 points on 4,000 digits", at_quarter > 30)
at_most = (clean - final("mnist", "class", 0.4)).mean()
claim("Error-minimising noise at 0.4 does, too", at_most > 30)
photos_left = final("cifar10", "blocks", EIGHT).mean()
claim("On photographs, blocks of 8/255 leave under 40 %", photos_left < 40)

# %% tags=["nbval-ignore-output"]
print("4,000 photographs, ε = 8/255       mean of five trainings")
for way, words in (
    ("clean", "clean"),
    ("noise", "random noise of the same size"),
    ("class", "error-minimising, class-wise"),
    ("blocks", "blocks of 8×8"),
):
    row = final("cifar10", way, 0 if way == "clean" else EIGHT)
    print(f"{words:32} {row.mean():8.1f} % (sd {row.std():.1f})")

# %% [markdown]
# Keep two things apart here. On photographs our small network reads about half even when nobody protects anything, so "under 40 %" is a smaller loss than it sounds; therefore the clean row stands beside it. And digits are hard to protect because most of a digit is paper: black paper cannot become darker, so half of each pattern is cut away, and what is left stands in plain view.
#
# ## One line undoes it
#
# Ink is dark or it is not. A collector who plots one image writes this, and trains again:

# %%
ink = TensorDataset((minimised.images > 0.5).float(), labels)
asked = TensorDataset((test.images > 0.5).float(), test.labels)
undone = reads(collectors(ink), asked)
back = poisoning.mean_interval(undone - others["error-minimising"])
claim("A threshold gets over 12 points back", back.mean > 12)
claim("paired over five trainings: above 0", back.low > 0)

# %% tags=["hide-input", "fig-unl-undone"] mystnb={"image": {"alt": "Two rows of four pictures. Above, digits as they are published, behind a pattern of grey. Below, the same after the threshold: black digits on white paper, with single dots added or missing at the rims of the strokes."}}
figure, axes = plt.subplots(2, 4, figsize=(7, 3.6))
for column in range(4):
    show_image(axes[0, column], minimised.images[column], "published")
    show_image(axes[1, column], ink.tensors[0][column], "x > 0.5")
plt.show()

# %% [markdown]
# *Before and after one comparison.* No change below 0.5 moves white paper or full ink across the threshold; only pixels that were grey already can flip.
#
# What else does a collector try? **Adversarial training** {cite}`madry2018towards` is the remedy with a reason: if the network must answer the same for all images in a ball around the published one, and the clean image is in that ball, then it learns about the clean image, too. Tao and others prove it {cite}`tao2021better`. The condition is that the ball is as large as the noise, and that the network can bear it: our smallest one
# cannot, so two larger ones of 206,922 parameters stand in the last two rows of the table. The table is from the result file, with 4,000 digits and five trainings a number. It has failures in it.

# %% tags=["nbval-ignore-output"]
print("                                     ε   blocks   error-minimising")
for epsilon, remedy, words in (
    (0.4, "none", "nothing"),
    (0.4, "threshold", "threshold at 0.5"),
    (0.4, "jpeg", "JPEG, quality 10"),
    (0.4, "shifts", "shifts by up to 4 pixels"),
    (0.1, "wide", "larger network, nothing"),
    (0.1, "adversarial", "larger network, 2 adversarial epochs"),
):
    row = [final("mnist", way, epsilon, remedy).mean() for way in ("blocks", "class")]
    print(f"{words:36} {epsilon}   {row[0]:5.1f}       {row[1]:5.1f}")

# %%
kept = [final("mnist", way, 0.4, "threshold").mean() for way in ("blocks", "class")]
claim("Threshold: over 70 % read in either case", min(kept) > 70)
kept = [final("mnist", way, 0.1, "adversarial").mean() for way in ("blocks", "class")]
claim("Two adversarial epochs, noise of 0.1: over 85 %", min(kept) > 85)

# %% [markdown]
# **Shifts make it worse.** To move the image about is the first thing that one tries against a pattern in fixed places. But convolutions find the blocks wherever they are, and the digits have become harder: the shortcut gains. **JPEG** is made for photographs, where it takes away what the eye doesn't see; our blocks are as coarse as the digits, and it keeps both. On colour photographs Liu and others found JPEG and greyscale
# to be enough against most published noises {cite}`liu2023image`. Which remedy works depends on the noise, and here lies the whole matter: *the collector may try them one after the other*, with a few clean images to see which one works. The protector had one move.

# %% tags=["nbval-ignore-output"]
print("photographs, 8/255     clean   blocks   error-minimising")
for remedy, words in (
    ("none", "nothing"),
    ("grey", "grey"),
    ("jpeg", "JPEG, quality 10"),
):
    row = [
        final("cifar10", way, 0 if way == "clean" else EIGHT, remedy).mean()
        for way in ("clean", "blocks", "class")
    ]
    print(f"{words:20} {row[0]:7.1f} {row[1]:8.1f} {row[2]:12.1f}")

# %% [markdown]
# ## Whom does it protect?
#
# Suppose half of the people protect their pictures and the others don't. The control is the training set in which the protected half is simply left out.

# %%
half = poisoning.separable_noise(
    images, labels, epsilon=EPSILON, fraction=0.5, generator=generator
)
joined, left_out = collectors(half.data), collectors(half.without)
cost = poisoning.mean_interval(reads(left_out, held_out) - reads(joined, held_out))
theirs = reads(joined, TensorDataset(half.clean_images, half.clean_labels))

# %% tags=["nbval-ignore-output"]
print(f"lost by protection rather than leaving out: {cost.mean:+.1f} points")
print(f"the protected people's clean pictures: {theirs.mean():.1f} % read")

# %%
claim("Protected rather than left out: under 5 points lost", cost.mean < 5)
claim("Clean pictures of the protected: over 70 % read", theirs.mean() > 70)

# %% [markdown]
# The collector's network is hardly worse, and often better, than if the protected pictures did not exist: beside clean ones, even noisy digits teach something. So the most that anybody can reach alone is what they would have reached by not publishing. And the clean pictures of those who protected themselves are read as well as anybody's: the network learnt from the others what a seven is. What is protected is never the *person*; it is the
# contribution of the picture, and only as long as no clean picture of the same kind is found.
#
# ## What goes wrong
#
# **A maker of another kind.** The noise is the best one against the maker's network, at the moment at which it was made. Whoever trains another network, longer or with other images, meets a noise that was made for somebody else. That it harms all the same is because it is a shortcut, not because it is a minimum.
#
# **The noise of each image, laid over by class.** In the authors' own code the noise of image $i$ was once looked up by its class, and no longer by its number. The results were *better* than they should have been, since this is class-wise noise. If a sample-wise noise works surprisingly well, shuffle the images and look again.
#
# **Validation with the noise.** A test set that was protected, too, has the trigger on it: the collector and the protector both see what they wish to see.
#
# **The last epoch.** Some noises let the network learn the images first and lose them later. Then a collector who stops early, on a few clean images, gets more than the last epoch shows. Sandoval-Segura and others ask for the *best* epoch {cite}`sandovalsegura2022poisons`:

# %% tags=["nbval-ignore-output"]
runs = [
    run["test"] for name, run in measured.items() if "mnist/blocks/0.100/none" in name
]
best = torch.tensor([100 * max(curve) for curve in runs]).mean()
last = torch.tensor([100 * curve[-1] for curve in runs]).mean()
print(f"blocks of 0.1: {last:.1f} % after the last epoch, {best:.1f} % after the best")

# %% [markdown]
# ## Evaluate honestly
#
# A protection is as good as it is against the collector who *knows* of it. So the protector's number is not the loss of the naive collector, but what is left after the best of the remedies, paired with the same collector on clean images.

# %%
tidy = TensorDataset((images > 0.5).float(), labels)
without_noise = reads(collectors(tidy), asked)
naive = poisoning.mean_interval(others["clean"] - others["error-minimising"])
knowing = poisoning.mean_interval(without_noise - undone)

# %% tags=["nbval-ignore-output"]
print(f"against the naive collector:   {naive.mean:5.1f} points lost")
print(f"against one with a threshold:  {knowing.mean:5.1f} points lost")

# %%
claim("Over 15 points against who does not look", naive.mean > 15)
claim("under 15 against who does", knowing.mean < 15)

# %% [markdown]
# ## What became of the ideas
#
# Altering data *before* they are published, so that machines cannot use them, has been proposed for faces, paintings and albums.
#
# - **Against a machine that looks at one picture.** Shen and others change a photograph so that a classifier no longer finds what is private in it, where the eye notices least {cite}`shen2019human`. These are adversarial examples in the service of their owner; nothing is trained.
# - **Fawkes** {cite}`shan2020fawkes` moves the features of your face to those of somebody else, so that a model trained on your pictures does not know you. Radiya-Dixit and others show that a collector who waits for the next face model, or trains one on Fawkes's own output, recognises the pictures, also all that were published before {cite}`radiyadixit2022data`.
# - **Noise that adversarial training does not remove** {cite}`fu2022robust`, and a single pixel that is changed by much, which no small ball around the image covers {cite}`wu2023onepixel` (Exercise 1 takes nine). Projecting out what a linear classifier sees removes the simple ones {cite}`sandovalsegura2023what`.
# - **Glaze** {cite}`shan2023glaze` hides an artist's style, and **Nightshade** {cite}`shan2024nightshade` makes a text-to-image model confuse what a word means. Hönig and others mimic protected styles after no more than upscaling the pictures {cite}`honig2025adversarial`. LightShed learns from protected pictures, which anybody can make with the public tool, to recognise the noise and to take it off {cite}`foerster2025lightshed`.
#
# The pattern is the same in each case. The protector publishes once. The collector keeps the file, and tries again with every method that anybody will ever find. **The protector must win for ever, the collector once.** There are two honest uses: to make the collection dearer for those who don't look, and to gain time.
#
# None of this changes what the law says. In Europe a photograph of an identifiable person is personal data with noise or without; the rights to object and to have it erased (Articles 21 and 17 of the General Data Protection Regulation, with conditions and exceptions) don't depend on whether a machine can learn from it. What can be done *after* training is the subject of [lecture 6.6](../60_privacy/memory_and_forgetting.ipynb).
#
# ## Practice
#
# **Exercise 1** (15 minutes). *A dot.* In every training image of class $k$, set a square of $3 \times 3$ pixels to full ink: rows 0 to 2, columns $2k$ to $2k + 2$. Is that a protection? Does the threshold undo it? What does?
#
# <details><summary>Hint 1: all at once</summary>
#
# With two loops over the square: `dotted[torch.arange(1000), 0, row, 2 * labels + column] = 1.0`.
#
# </details>
#
# <details><summary>Hint 2: the remedy</summary>
#
# The threshold keeps full ink. What would a person do who sees a dot at the rim of every picture?
#
# </details>

# %% tags=["hide-cell"]
# Solution: it is one, with 9 of 784 pixels. Ink passes the threshold. To wipe the rim
# of the pictures is enough, for who knows where to look.
dotted = images.clone()
for row in range(3):
    for column in range(3):
        dotted[torch.arange(1000), 0, row, 2 * labels + column] = 1.0
spoiled = reads(collectors(TensorDataset(dotted, labels), runs=3), held_out).mean()
inked = TensorDataset((dotted > 0.5).float(), labels)
still_spoiled = reads(collectors(inked, runs=3), asked).mean()
dotted[:, :, :3] = 0.0
wiped = reads(collectors(TensorDataset(dotted, labels), runs=3), held_out).mean()
claim("The dot costs over 5 points", wiped - spoiled > 5)
claim("also after the threshold", wiped - still_spoiled > 5)
claim("With the rim wiped over 75 % are read", wiped > 75)

# %% [markdown]
# **Exercise 2** (15 minutes). *A hundred clean pictures.* The collector has 100 digits that nobody protected. Keep all layers of a network that was trained on the error-minimising noise, but train a new last layer on these 100. Had the network learnt nothing about digits?
#
# <details><summary>Hint 1: features</summary>
#
# `model.layers[:10]` gives what the last layer reads; call it in evaluation mode and without gradients.
#
# </details>
#
# <details><summary>Hint 2: the new layer</summary>
#
# `LogisticRegression` on the features of 100 clean images, each brought to mean 0 and deviation 1 by `StandardScaler`. Test on the other 900.
#
# </details>

# %% tags=["hide-cell"]
# Solution: it had. The features that serve the shortcut came with features of digits,
# and a hundred clean pictures tell which to use.
regained = []
for model in learnt["error-minimising"]:
    with torch.no_grad():
        features = model.layers[:10](test.images).numpy()
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    head.fit(features[:100], test.labels[:100])
    regained.append(100 * head.score(features[100:], test.labels[100:]))
gained = poisoning.mean_interval(torch.tensor(regained) - others["error-minimising"])
claim("A new last layer gets over 5 points back", gained.mean > 5)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? The maker's network errs on 0.1 % of the noisy images. What follows for the noise?
# - It will spoil any network that is trained on it :: The error would be as low if the maker had learnt the images themselves.
# + Nothing yet :: Look at its error on clean images, and then at somebody else's network, trained from scratch, beside a control.
# - The noise is too strong :: The error says nothing about its size.
# ? Why does the collector notice nothing?
# + Training and validation images both carry the noise :: The shortcut works on all images that were published, so that every number looks well.
# - The loss is higher than usual :: It is lower than usual.
# - The noise cannot be seen :: Often it can; but who looks at a thousand pictures?
# ? One half of a class protects its pictures. What does the network learn of the class?
# - Nothing :: The clean half teaches it.
# - Half as much, so that half of the test images are read :: What is read does not go in shares of the training set.
# + About what the clean half alone would have taught :: Protected or left out, the result is nearly the same.
# ? Which collector should the protector evaluate against?
# - The one of the paper, to be comparable :: That is a collector who does not know.
# - A network that was never trained :: It collects nothing.
# + The best of those who know how the noise was made, and may try several remedies on a few clean images :: The picture stays on the web, and the collector has time.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Labels stay right, people see the same picture, and a collector who does nothing special is badly served. A pattern of blocks costs one line, and needs no network and no knowledge of the collector's.
#
# **Limitations.** It needs nearly all pictures of a kind. On digits it is in plain view, and a comparison undoes it. It protects against training only: whoever looks at the picture, or has a model already, sees what is there. And it is final: what was published with a weak noise stays published.
#
# **Software.** The authors' [Unlearnable-Examples](https://github.com/HanxunH/Unlearnable-Examples) is research code for CIFAR-10 and a part of ImageNet. We know of no maintained library for it. In this library: `poisoning.unlearnable_noise` with its answer `UnlearnableNoise`, `poisoning.separable_noise`, and for all attacks of the chapter `poisoning.retrain`, `poisoning.mean_interval` and `Poison.noise_control`.
#
# ## What to take away
#
# A network learns what is easiest, and it is easy to be easier than a picture. That is a protection against a collector who doesn't look, and none against one who does. Judge it by trainings from scratch, beside noise of the same size, against a collector who knows; never by the error of the one who made it.
#
# Next: [defences](defenses.ipynb).
