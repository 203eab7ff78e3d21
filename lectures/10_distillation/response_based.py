# %% [markdown]
# # 1.1 What a teacher knows that labels don't say
#
# A large network answers well and costs much. A small one must do the job: on a phone, in a camera, a thousand times a
# second. *Response-based distillation* trains the small network, the **student**, on the answers of the large one, the
# **teacher**. This lecture asks what those answers hold that the labels do not, and when that is worth anything.
#
# **What you will learn**
#
# - to read a teacher's soft labels, and to open them with a temperature;
# - to write the distillation loss in five lines, and to see why it carries a factor $T^2$;
# - to measure honestly what distillation gains, over several seeds and against the same student without a teacher;
# - where it gains nothing, where it gains much, and how the same loss becomes an attack.
#
# **Before you start**: cross-entropy, softmax, and training a network in PyTorch ([0.4](../00_foundations/networks.ipynb)); where a model stands in the [pipeline](../00_foundations/trust.ipynb). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 40 minutes to read; {{ cpu_seconds }} to run.

# %%
import time
from statistics import mean, stdev

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.distillation import distill, distillation_loss
from tml_helpers.measured import result
from tml_helpers.models import MLP, SmallCNN, multiply_adds, parameter_count
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.training import accuracy, fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
use_style()

# %% [markdown]
# ## The question
#
# The data first. MNIST holds handwritten digits: American census clerks wrote half of them, high-school pupils the
# other half {cite}`lecun1998gradient`. It is small, clean and much used, which makes it a good place to see a mechanism
# and a poor place to prove that the mechanism matters. Its [data card](../../book/data_cards/mnist.md) says more.

# %%
train, test = mnist("train"), mnist("test")
train = train.select(slice(4000))  # the full MNIST gives as many images: same budget

# %% [markdown]
# The teacher is a small convolutional network; small for the world, but large for this page. The student has one hidden
# layer of 32 units.

# %% tags=["nbval-ignore-output"]
generator = seed_everything(seed())
teacher = SmallCNN()
fit(teacher, train, epochs=5, learning_rate=2e-3, batch_size=64, generator=generator)
teacher_logits = predict(teacher, train.images)  # (n, classes), asked once for all
print(f"teacher: {accuracy(teacher, test):.1%} of the test images right")

# %% [markdown]
# Now the picture on which the whole chapter rests. Among the sevens that the teacher reads correctly, we take the one
# that comes nearest to a 1.

# %%
test_logits = predict(teacher, test.images)
right_sevens = (test.labels == 7) & (test_logits.argmax(dim=1) == 7)
like_a_one = test_logits[:, 1] - test_logits[:, 7]
seven = torch.where(right_sevens, like_a_one, -torch.inf).argmax()
answer = F.softmax(test_logits[seven], dim=0)  # (classes,)
zeros = (answer[1] / answer[6]).log10()
claim("A 1 is over 100 times as likely as a 6", bool(zeros > 2))

# %% tags=["hide-input", "fig-seven"] mystnb={"image": {"alt": "A handwritten seven; its label, a single bar at 7; and the teacher's answer, ten bars on a logarithmic axis, highest at 7, then at 1, and lowest by far at 6."}}
figure, (left, middle, right) = plt.subplots(
    1, 3, width_ratios=[1, 2, 2], figsize=(6.5, 2.5)
)
show_image(left, test.images[seven])
middle.bar(range(10), F.one_hot(test.labels[seven], 10), color=COLOURS["black"])
middle.set(title="what the label says", ylabel="probability", xlabel="class")
right.bar(range(10), answer, color=COLOURS["blue"], log=True)
right.set(title="what the teacher says", ylabel="probability (log)", xlabel="class")
for axis in (middle, right):
    axis.set_xticks(range(10))
plt.show()

# %% [markdown]
# *The label is one bar. The teacher's answer is ten.* The tall bar repeats the label. The others say what the label
# cannot: this seven has something of a 1, and nothing of a 6. A label says what an image *is*; an answer says what it
# *resembles*. Hinton called this **dark knowledge**: it is there, but so faint at first that one does not see it
# {cite}`hinton2015distilling`. Note the logarithmic axis. On a linear one, most of it would be invisible, and a loss
# that averages probabilities would hardly notice it.
#
# ## Temperature
#
# A softmax with **temperature** $T$ divides the logits $z$ by $T$ before it exponentiates:
#
# $$\operatorname{softmax}(z / T)_k = \frac{\exp(z_k / T)}{\sum_j \exp(z_j / T)}.$$ (eq-temperature)
#
# In words: the larger $T$, the smaller the differences between the logits, and the flatter the answer. $T = 1$ is the
# usual softmax. $T \to 0$ gives back a single bar, $T \to \infty$ ten equal ones. The order of the classes never
# changes, because dividing by a positive number keeps order. From here on $z^t$ are the teacher's logits and $q(T)$ is
# its answer at temperature $T$; $z^s$ and $p(T)$ are the student's.

# %%
temperatures = [1, 3, 8, 20]
answers = torch.stack([F.softmax(test_logits[seven] / T, dim=0) for T in temperatures])
entropies = -(answers * answers.clamp_min(1e-30).log2()).sum(dim=1)  # bits
claim("Entropy grows with T", bool((entropies.diff() > 0).all()))
claim(
    "The order of the classes stays",
    len({tuple(a.argsort().tolist()) for a in answers}) == 1,
)

# %% tags=["hide-input", "fig-temperatures"] mystnb={"image": {"alt": "The teacher's ten probabilities for the same seven in four panels, at temperatures 1, 3, 8 and 20: from one or two bars to ten that are nearly equal, the order of the bars unchanged."}}
figure, axes = plt.subplots(2, 2, figsize=(6.5, 3.6), sharex=True, sharey=True)
for axis, T, q, bits in zip(axes.flat, temperatures, answers, entropies, strict=True):
    axis.bar(range(10), q, color=COLOURS["blue"])
    axis.set(title=f"T = {T}: {bits:.1f} bits", xticks=range(10))
figure.supxlabel("class", fontsize=10)
figure.supylabel("probability", fontsize=10)
plt.show()

# %% [markdown]
# *The same answer at four temperatures, on a linear axis.* At $T = 1$ one sees the label and next to nothing else. At
# 3 and 8 the fainter resemblances become large enough to matter in a loss. At $T = 20$ nearly all bars are large, also
# those that mean nothing. Temperature is a dial between a label and a blur; what we want lies somewhere between.
#
# ## The loss, in five lines
#
# The student should match the teacher's soft answer $q(T)$ with its own $p(T)$, and the label $y$ with its plain answer
# $p(1)$. Distance between answers is measured by the Kullback–Leibler divergence, and $\alpha$ weighs the two aims:
#
# $$L = \alpha\, T^2\, \mathrm{KL}\big(q(T) \,\|\, p(T)\big) + (1 - \alpha)\, \mathrm{CE}\big(y, p(1)\big),
# \qquad \mathrm{KL}(q \| p) = \sum_k q_k \log \frac{q_k}{p_k},$$ (eq-distillation-loss)
#
# each averaged over the batch. In words: find likely what the teacher finds likely, and do not forget the label.


# %%
def loss_in_five_lines(student_logits, teacher_logits, labels, *, temperature, alpha):
    log_p = F.log_softmax(student_logits / temperature, dim=1)  # (n, classes)
    q = F.softmax(teacher_logits / temperature, dim=1)  # (n, classes)
    soft = (q * (q.log() - log_p)).sum(dim=1).mean() * temperature**2
    hard = F.cross_entropy(student_logits, labels)
    return alpha * soft + (1 - alpha) * hard


# %% [markdown]
# ### Why $T^2$
#
# Differentiate the soft term without its factor: for one image, the gradient with respect to the student's logits is
#
# $$\frac{\partial\, \mathrm{KL}}{\partial z^s_k} = \frac{1}{T}\big(p_k(T) - q_k(T)\big).$$ (eq-soft-gradient)
#
# One $1/T$ stands in front. A second one hides in the bracket. For large $T$, and logits with mean zero, each
# probability is close to $\tfrac1K(1 + z_k/T)$, so the difference of two of them shrinks like $1/T$ as well. The soft
# term's gradient, its *pull*, therefore shrinks like $1/T^2$, while the hard term's pull does not depend on $T$ at all.
# Without the factor, turning the temperature up would silently turn the teacher off. We measure it:

# %%
seed_everything(seed())
novice = MLP(32)
z_s = predict(novice, train.images[:256]).requires_grad_()
z_t = teacher_logits[:256]


def pull(temperature, factor):
    """Norm of the soft term's gradient with respect to the student's logits."""
    soft = distillation_loss(z_s, z_t, None, temperature=temperature, alpha=1.0)
    (gradient,) = torch.autograd.grad(soft * factor, z_s)
    return gradient.norm().item()


scale = [1, 2, 4, 8, 16, 32, 64, 128]
bare = [pull(T, factor=1 / T**2) for T in scale]  # takes out the T² that the loss has
whole = [pull(T, factor=1.0) for T in scale]
claim(
    "Without T², doubling T from 64 to 128 weakens the pull about fourfold",
    3.5 < bare[-2] / bare[-1] < 4.5,
)
claim("With T², it changes by less than a tenth", abs(whole[-1] / whole[-2] - 1) < 0.1)

# %% tags=["hide-input", "fig-pull"] mystnb={"image": {"alt": "Gradient norm of the soft term against temperature on two logarithmic axes: without the factor T squared it falls along a straight line of slope minus two, with the factor it levels off."}}
figure, axis = plt.subplots(figsize=(6.5, 3))
axis.loglog(scale, bare, "o-", label="without T²", color=COLOURS["orange"], base=2)
axis.loglog(scale, whole, "s-", label="with T²", color=COLOURS["blue"], base=2)
axis.set(
    xlabel="temperature T",
    ylabel="gradient norm of the soft term",
    xticks=scale,
    xticklabels=scale,
)
axis.legend()
plt.show()

# %% [markdown]
# *Without the factor the teacher's pull fades as $T$ grows; with it the pull stays.* The two curves meet at $T = 1$,
# where the factor is one. With the factor, $T$ and $\alpha$ can be chosen one at a time.
#
# The library's loss computes the same number. It makes the gradient in the same pass as the loss instead of asking
# autograd for it; the [kernel's page](../09_kernels/distillation_loss.ipynb) derives and times it.

# %%
arguments = (z_s[:, :], z_t, train.labels[:256])
mine = loss_in_five_lines(*arguments, temperature=4.0, alpha=0.9)
theirs = distillation_loss(*arguments, temperature=4.0, alpha=0.9)
claim(
    "Five lines and the library agree to one part in 100,000",
    bool((mine / theirs - 1).abs() < 1e-5),
)

# %% [markdown]
# ## An honest experiment
#
# Does the teacher help? The only fair comparison is with **the same student without a teacher**: same images, same
# labels, the same number of looks at them (28,000, however many images there are), and not one run of each but five. A
# difference smaller than its own scatter over seeds is not a finding.

# %%
seeds = [100 * seed() + k for k in range(5)]
few = train.select(slice(300))  # the student's labels, when labels are scarce


def alone(data, k):
    """A student that is trained on labels, with seed k."""
    generator = seed_everything(k)
    student = MLP(32)
    epochs = 28_000 // len(data)
    fit(student, data, epochs=epochs, learning_rate=5e-3, generator=generator)
    return student


def taught(data, k, temperature=2.0, alpha=0.9, by=teacher):
    """The same student hears a teacher as well; with alpha = 1 only a teacher."""
    generator = seed_everything(k)
    student = MLP(32)
    how = {"temperature": temperature, "alpha": alpha, "learning_rate": 5e-3}
    distill(student, by, data, epochs=28_000 // len(data), generator=generator, **how)
    return student


def score(student):
    """Test accuracy in per cent."""
    return 100 * accuracy(student, test)


# %% tags=["nbval-ignore-output"]
results = {
    "4,000 labels, alone": [score(alone(train, k)) for k in seeds],
    "4,000 labels, taught": [score(taught(train, k)) for k in seeds],
    "300 labels, alone": [score(alone(few, k)) for k in seeds],
    "300 labels, taught": [score(taught(few, k)) for k in seeds],
}
for name, values in results.items():
    print(f"{name:<22} {mean(values):5.1f} ± {stdev(values):.1f} %")

# %%
gain = mean(results["4,000 labels, taught"]) - mean(results["4,000 labels, alone"])
claim(
    "With 4,000 labelled images the teacher is worth less than 2 points", abs(gain) < 2
)
gain = mean(results["300 labels, taught"]) - mean(results["300 labels, alone"])
claim("With 300 it is worth between 0 and 6 points", 0 < gain < 6)


# %% tags=["hide-input", "fig-honest"] mystnb={"image": {"alt": "Accuracy of five students per row as dots: with 4,000 labels the taught and the lone students overlap; with 300 labels the taught ones lie a few points to the right."}}
def show_results(results):
    """One row per setting, one dot per seed, a bar at the mean."""
    _, axis = plt.subplots(figsize=(6.5, 0.55 * len(results) + 0.8))
    for row, (name, values) in enumerate(results.items()):
        colour = COLOURS["orange"] if "alone" in name else COLOURS["blue"]
        axis.plot(values, [row] * len(values), "o", color=colour, alpha=0.6)
        axis.plot(
            mean(values), row, "|", color=colour, markersize=18, markeredgewidth=2
        )
    axis.set(
        yticks=range(len(results)),
        yticklabels=list(results),
        xlabel="test accuracy (%)",
    )
    axis.invert_yaxis()


show_results(results)
plt.show()

# %% [markdown]
# *Each dot is one student, each bar a mean.* With 4,000 labelled images the dots of the taught and of the lone students
# overlap: on the data that the student already has, distillation is no magic. With 300 the same teacher, asked about
# the same 300 images, adds a little. A paper that reports one seed on one data set can find nearly anything in the first
# pair of rows. A taught student need not even agree much with its teacher
# {cite}`stanton2021does`, and a better teacher does not always make a better student {cite}`cho2019efficacy`.
#
# ## Where it pays
#
# A teacher can do what a label cannot: **it can answer for images that nobody has labelled.** Now we use no label at
# all, not even the 300, and let the teacher answer for more and more images.

# %% tags=["nbval-ignore-output"]
pool_sizes = [300, 1000, 4000]
taught_by_size = {}
for size in pool_sizes:
    unlabelled = TensorDataset(train.images[:size])  # images alone: no label is touched
    answered = [taught(unlabelled, k, alpha=1.0) for k in seeds[:3]]
    taught_by_size[size] = [score(student) for student in answered]
    print(f"{size:5,} answers: {mean(taught_by_size[size]):.1f} %")

# %%
lone = results["300 labels, alone"]
gain = mean(taught_by_size[4000]) - mean(lone)
claim("4,000 answers and no label beat 300 labels by more than 6 points", gain > 6)
claim(
    "The worst taught student beats the best lone one",
    min(taught_by_size[4000]) > max(lone),
)

# %% tags=["hide-input", "fig-unlabelled"] mystnb={"image": {"alt": "Test accuracy against the number of images that the teacher answered for, on a logarithmic axis: rising from the mid eighties at 300 to above ninety at 4,000, far above the dashed line of the student with 300 labels."}}
figure, axis = plt.subplots(figsize=(6.5, 3.2))
middle = [mean(taught_by_size[n]) for n in pool_sizes]
spread = [stdev(taught_by_size[n]) for n in pool_sizes]
axis.errorbar(
    pool_sizes, middle, spread, fmt="o-", capsize=4, label="teacher's answers, no label"
)
axis.axhline(
    mean(lone), color=COLOURS["orange"], linestyle="--", label="300 labels, alone"
)
axis.set(
    xscale="log", xlabel="images the teacher answered for", ylabel="test accuracy (%)"
)
axis.set_xticks(pool_sizes, [f"{n:,}" for n in pool_sizes], minor=False)
axis.minorticks_off()
axis.legend()
plt.show()

# %% [markdown]
# *Accuracy against the number of images that the teacher answered for; the bars are one standard deviation over three
# seeds.* This is the case for distillation: unlabelled images are cheap, and a teacher turns them into training data.
#
# It is also an attack. Whoever can query your model can train a student on its answers, and the copy costs a few thousand
# questions. Chapter 6 will call this *model stealing* {cite}`tramer2016stealing`; chapter 7 will try to mark the answers
# so that a copy can be recognised. The loss is the same.
#
# ### The same curve on all of MNIST
#
# This page uses 4,000 images so that it runs anywhere in a minute. `benchmarks/distillation_mnist.py` repeats the
# experiment of {fig}`unlabelled` with a teacher that was trained on all 60,000 images, and with as many for it to answer.

# %%
full = result("distillation_mnist")
largest = {hidden: mean(curve["60000"]) for hidden, curve in full["students"].items()}
claim("More units, more of the teacher", largest["8"] < largest["32"] < largest["128"])
claim(
    "8 hidden units stay more than 4 points below the teacher",
    full["teacher"] - largest["8"] > 4,
)

# %% tags=["hide-input", "fig-full"] mystnb={"image": {"alt": "Test accuracy on the full MNIST against the number of images that the teacher answered for, from 300 to 60,000, for students with 8, 32 and 128 hidden units: all rise with more answers, the smallest levels off lowest."}}
figure, axis = plt.subplots(figsize=(6.5, 3.4))
for (hidden, curve), marker in zip(full["students"].items(), "os^", strict=True):
    sizes = [int(n) for n in curve]
    label = f"student with {hidden} hidden units"
    axis.errorbar(
        sizes,
        [mean(v) for v in curve.values()],
        [stdev(v) for v in curve.values()],
        fmt=marker + "-",
        capsize=4,
        label=label,
    )
axis.axhline(full["teacher"], color=COLOURS["black"], linestyle=":", label="teacher")
axis.set(
    xscale="log", xlabel="images the teacher answered for", ylabel="test accuracy (%)"
)
ticks = [300, 1000, 3000, 10_000, 60_000]
axis.set_xticks(ticks, [f"{n:,}" for n in ticks], minor=False)
axis.minorticks_off()
axis.legend()
plt.show()

# %% [markdown]
# *On all of MNIST the curve goes on rising, and then each student meets its own ceiling.* More answers cannot give a
# network units that it does not have: the gap to the teacher that remains at 60,000 answers is the price of being small.
#
# ## The surprise: a student that never saw a 3
#
# Take every 3 out of the student's images. Not only the label: no image of a 3 is ever shown. Train one student on the
# labels of the other nine digits, and one on the teacher's answers for the very same images. Then ask both to read 3s.

# %%
is_three = test.labels == 3
others = train.select(train.labels != 3)


def threes(student, bias=0.0):
    """Per cent of the test 3s read as 3, with `bias` added to the logit of class 3."""
    logits = predict(student, test.images) + bias * F.one_hot(torch.tensor(3), 10)
    return 100 * (logits.argmax(dim=1) == 3)[is_three].float().mean().item()


def fair_bias(student):
    """The bias with which a tenth of a pool of unlabelled images is called a 3."""
    logits = predict(student, train.images)
    best_other = logits.index_fill(1, torch.tensor(3), -torch.inf).amax(dim=1)
    return (best_other - logits[:, 3]).quantile(0.1).item()


# %% [markdown]
# One correction is fair. A student that never met a 3 has learned that 3s do not occur, and its bias for class 3 has
# become low. Hinton repaired just that one number. We do it without looking at a single label: we raise the bias until a
# tenth of a pool of unlabelled images is called a 3, since a tenth of all digits are 3s.

# %% tags=["nbval-ignore-output"]
never_seen = {
    "labels": [],
    "answers": [],
    "labels, bias repaired": [],
    "answers, bias repaired": [],
}
for k in seeds[:3]:
    by_labels = alone(others, k)
    by_answers = taught(others, k, temperature=8.0, alpha=1.0)
    for name, student in (("labels", by_labels), ("answers", by_answers)):
        never_seen[name].append(threes(student))
        never_seen[f"{name}, bias repaired"].append(threes(student, fair_bias(student)))
for name, values in never_seen.items():
    print(f"{name:<24} {mean(values):5.1f} ± {stdev(values):4.1f} % of the 3s")

# %%
claim(
    "Trained on labels, no student reads more than 1 % of the 3s",
    max(never_seen["labels"]) <= 1,
)
claim(
    "Trained on answers, they read more on average than the best of those",
    mean(never_seen["answers"]) > max(never_seen["labels"]),
)
repaired = mean(never_seen["answers, bias repaired"])
claim("With one bias repaired, more than half", repaired > 50)
claim(
    "The bias alone does not do it",
    repaired > mean(never_seen["labels, bias repaired"]) + 15,
)

# %% tags=["hide-input", "fig-never-seen"] mystnb={"image": {"alt": "Share of the 3s that are recognised by students that never saw one: none when trained on labels, a few in a hundred or more when trained on the teacher's answers, more than half when one bias is repaired as well, clearly more than labels with the same repair."}}
figure, axis = plt.subplots(figsize=(6.5, 2.7))
colours = [COLOURS["orange"], COLOURS["blue"]] * 2
for row, values in enumerate(never_seen.values()):
    axis.barh(row, mean(values), color=colours[row], alpha=0.35)
    axis.plot(values, [row] * len(values), "o", color=colours[row])
axis.set(
    yticks=range(4),
    yticklabels=list(never_seen),
    xlabel="3s recognised (%)",
    xlim=(0, 100),
)
axis.invert_yaxis()
plt.show()

# %% [markdown]
# *Share of the 3s that are recognised by students that never saw one; a dot for each seed.* The teacher's answers about
# 8s, 5s and 2s contain the 3: "this 8 is open on the left", said in numbers a few thousand times. The third row is the
# control that keeps us honest: the same repair helps the student of labels a little as well, since a shape unlike all
# others must be something. The rest of the difference is what the teacher said.
#
# This is good news for compression, and a warning for privacy and poisoning. What a student never saw can still reach it:
# a bias, a backdoor, or a secret can travel through answers about something else.
#
# ## The bill
#
# What does being small buy? Parameters, bytes and multiplications can be counted. Time must be measured, on the machine
# at hand. The last row is the student with its weights rounded to 256 levels a layer, which divides the bytes by four;
# [1.5](the_bill.ipynb) does this properly.

# %%
student = taught(train, seeds[0])
eight_bit = MLP(32)
eight_bit.load_state_dict(student.state_dict())
with torch.no_grad():
    for weights in eight_bit.parameters():
        step = (weights.max() - weights.min()) / 255
        weights.copy_((weights / step).round() * step)


def milliseconds(model, batch, repeats=30):
    """Median time of one answer for `batch` images."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        predict(model, test.images[:batch])
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)[repeats // 2]


# %% tags=["nbval-ignore-output"]
networks = {
    "teacher": (teacher, 4),
    "student": (student, 4),
    "student, 8 bits": (eight_bit, 1),
}
bill = {}
for name, (model, bytes_each) in networks.items():
    bill[name] = {
        "accuracy (%)": 100 * accuracy(model, test),
        "size (kB)": parameter_count(model) * bytes_each / 1000,
        "multiply-adds (millions)": multiply_adds(model, test.images[:1]) / 1e6,
        "ms for 1 image": milliseconds(model, 1),
        "ms for 256 images": milliseconds(model, 256),
    }
for name, row in bill.items():
    print(
        f"{name:<16}", "  ".join(f"{what}: {value:.3g}" for what, value in row.items())
    )

# %%
ratio = {
    what: bill["teacher"][what] / bill["student"][what] for what in bill["teacher"]
}
claim("The student has 8 times fewer parameters", round(ratio["size (kB)"]) == 8)
claim("It multiplies 47 times less", int(ratio["multiply-adds (millions)"]) == 47)
lost = bill["student"]["accuracy (%)"] - bill["student, 8 bits"]["accuracy (%)"]
claim(
    "Rounding its weights to 256 levels costs less than half a point", abs(lost) < 0.5
)

# %% tags=["hide-input", "fig-bill"] mystnb={"image": {"alt": "Five small bar charts in two rows that compare teacher, student and 8-bit student: the student's accuracy is a few points lower; its size, multiplications and time are a small fraction of the teacher's, and 8 bits cut the size by another four."}}
figure, axes = plt.subplots(2, 3, figsize=(6.5, 3.8))
colours = [COLOURS["black"], COLOURS["blue"], COLOURS["sky"]]
for axis, what in zip(axes.flat, bill["teacher"], strict=False):
    bars = axis.bar(range(3), [row[what] for row in bill.values()], color=colours)
    axis.bar_label(bars, fmt="%.3g")
    axis.set(title=what, xticks=[], yticks=[])
    axis.margins(y=0.15)
axes[1, 2].legend(list(bars), list(bill), loc="center")
axes[1, 2].axis("off")
plt.show()

# %% [markdown]
# *The bill: what the teacher costs, what the student costs.* Time does not follow from counting. The student multiplies
# 47 times less, but for one image most of its time goes into calling layers, so it gains far less than that. For 256 images
# the teacher's convolutions also move large intermediate pictures through memory, and the gap is wider. The
# rounded weights are stored in a quarter of the bytes here but still multiplied as 32-bit numbers, so they save space
# and no time. Energy would be the fairest measure of all {cite}`strubell2019energy`. The machine that this page was made
# on has no energy counter that a program may read, and this book prints no number that was not measured; chapter 8 comes
# back to it.
#
# ## What goes wrong
#
# **Threat model, in one line.** Nobody attacks on this page. All that follows is done by honest people in a hurry. None
# of these mistakes causes an error message; one number shows each.

# %%
probe = test.images[:200]
z_t, z_s = predict(teacher, probe), predict(student, probe)
*early, last = teacher.layers
forgetful = nn.Sequential(*early, nn.Dropout(0.5), last).train()
with torch.no_grad():
    once, twice = (F.log_softmax(forgetful(probe), dim=1) for _ in range(2))
noise = F.kl_div(once, twice, reduction="batchmean", log_target=True).item()
claim(
    "Teacher left in training mode: it contradicts itself by over 0.01 nats",
    noise > 0.01,
)

# %%
log_p, q = F.log_softmax(z_s / 2, dim=1), F.softmax(z_t / 2, dim=1)
over_classes = F.kl_div(log_p, q, reduction="none").mean()
over_batch = F.kl_div(log_p, q, reduction="batchmean")
shrunk = (over_batch / over_classes).item()
claim(
    "Mean over classes instead of batch: the loss is 10 times too small",
    round(shrunk) == 10,
)

reverse = F.kl_div(q.log(), log_p.exp(), reduction="batchmean")
claim(
    "KL the wrong way round: another number by over 5 %",
    abs(reverse / over_batch - 1) > 0.05,
)

# %%
confident = F.softmax(z_t, dim=1).amax(dim=1)
nearly_hard = (confident > 0.99).float().mean().item()
claim(
    "Confident teacher at T = 1: over half of the soft labels are 99 % one bar",
    nearly_hard > 0.5,
)


# %% [markdown]
# And a teacher that is wrong: let it confuse 4 and 9 throughout. Nothing in the loss can tell, and the student learns
# the confusion with the rest.


# %%
class Confused(nn.Module):
    """The teacher, with its answers for 4 and 9 exchanged."""

    def __init__(self, teacher):
        super().__init__()
        self.teacher = teacher

    def forward(self, images):
        return self.teacher(images)[:, [0, 1, 2, 3, 9, 5, 6, 7, 8, 4]]


misled = taught(train, seeds[0], alpha=1.0, by=Confused(teacher))
fours_and_nines = test.select((test.labels == 4) | (test.labels == 9))
claim(
    "The misled student reads less than 1 in 10 of 4s and 9s",
    accuracy(misled, fours_and_nines) < 0.1,
)

# %% [markdown]
# **How to evaluate distillation honestly.** Compare with the same student, on the same images, without a teacher. Give
# both the same number of looks at images. Use several seeds and show them. Say how many unlabelled images the teacher answered
# for: they are data. Report what the student is for (bytes, time), not its accuracy alone. Look at the classes one by
# one, since a mean hides the class that a small network gives up.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Predict, then compute.* As $T \to \infty$, what does the gradient of the soft term, factor
# $T^2$ included, become? Start from $p_k \approx \frac1K (1 + z_k/T)$ for logits with mean zero, write down your
# formula, and compare it with the gradient at $T = 1000$.
#
# <details><summary>Hint 1: where to start</summary>
#
# Equation {eq}`eq-soft-gradient` is the gradient for one image, without the factor. Multiply it by $T^2$, and put the
# approximation in for $p_k$ and for $q_k$.
#
# </details>
#
# <details><summary>Hint 2: what to mind when you compare</summary>
#
# Count the powers of $T$ that are left. The approximation holds for logits with mean zero, so subtract from each row
# its mean first. And the library's loss is a mean over the images of the batch.
#
# </details>

# %% tags=["hide-cell"]
# Solution: T² · (1/T) · (p − q) tends to (z_s − z_t) / K for centred logits: the
# student matches logits by least squares. Distillation at high T is regression.
z_s = predict(novice, train.images[:256]).double().requires_grad_()
z_t = teacher_logits[:256].double()
soft = distillation_loss(z_s, z_t, None, temperature=1000.0, alpha=1.0)
(gradient,) = torch.autograd.grad(soft, z_s)
centred = [z - z.mean(dim=1, keepdim=True) for z in (z_s.detach(), z_t)]
regression = (
    (centred[0] - centred[1]) / 10 / len(z_s)
)  # K = 10 classes, mean over the batch
error = ((gradient - regression).norm() / regression.norm()).item()
claim("At T = 1000 the gradient is that of logit regression, within 2 %", error < 0.02)

# %% [markdown]
# **Exercise 2** (15 minutes). *Never seen two digits.* Remove the 3s **and** the 8s, and let the same student read 3s,
# with its bias repaired. Predict first: the 8s resemble the 3s most, so how much is lost when they are gone too?
#
# <details><summary>Hint 1: what is there already</summary>
#
# `taught`, `threes` and `fair_bias` do all the work, as they did for {fig}`never-seen`. Only the student's images differ.
#
# </details>
#
# <details><summary>Hint 2: what to base the prediction on</summary>
#
# In {fig}`seven` one image says something about *every* class. How many images of other digits has the student, and do
# they say different things about the 3, or the same thing many times?
#
# </details>

# %% tags=["hide-cell"]
# Solution: hardly anything. Each of the other digits says a little about the 3, and
# most of that little is said several times over. What a teacher leaks is hard to hold
# back by removing the one class that seems to give it away.
without_both = train.select((train.labels != 3) & (train.labels != 8))
blinder = taught(without_both, seeds[0], temperature=8.0, alpha=1.0)
without_eights = threes(blinder, fair_bias(blinder))
claim("Without the 8s, over 40 % of the 3s are still recognised", without_eights > 40)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Doubling a large T without the factor T² makes the soft term's gradient about … times smaller.
# - 2 :: One factor 1/T stands in front of the gradient. A second hides in the difference of the two softmaxes.
# + 4 :: One 1/T from the chain rule, one from probabilities that flatten: together 1/T².
# - 1, it stays the same :: That is what happens once the factor T² is there. It is there for this reason.
# ? Which of these can a student learn from soft labels, but not from hard labels on the same images?
# - The right class of each image :: Hard labels say just this.
# + That this 4 resembles a 9 more than a 0 :: Resemblance to the other classes is what the small bars hold.
# - The pixels of the teacher's training images :: Answers are ten numbers an image; no pixel is in them directly.
# ? A paper reports 93.1 % with a teacher and 92.8 % without, one run each. What follows?
# - Distillation gains 0.3 points :: On this page, runs that differ in nothing but the seed scatter by more than that.
# - Distillation does not work :: One small difference shows neither that it works nor that it doesn't.
# + Nothing yet: several seeds are needed :: A difference below the scatter over seeds is not a finding.
# ? Where did distillation gain most on this page?
# - On the 4,000 labelled images that the student had anyway :: There the dots overlap.
# + On images without labels, for which the teacher answered :: The teacher turns unlabelled images into training data.
# - At the highest temperature :: A high temperature also blows up what means nothing in the logits.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** A loss of five lines. It needs the teacher's answers only: no access to its weights, its layers or its
# training data. It turns unlabelled images into training data, and student and teacher may have nothing in common but
# the classes.
#
# **Limitations.** On labelled data that the student already has, expect little. A student inherits its teacher's
# errors, and nothing in the loss can tell. Two numbers ($T$, $\alpha$) must be chosen on validation data. A student much
# smaller than its teacher cannot follow it. MNIST shows the mechanism, but it does not show what you will gain on your task.
#
# **Software.** [torchdistill](https://github.com/yoshitomo-matsubara/torchdistill) runs many methods of distillation
# from configuration files; the survey by Gou and others {cite}`gou2021distillation` maps the field. In this library:
# `tml_helpers.distillation.distill` and `distillation_loss`.
#
# ## What to take away
#
# A teacher's answer says what an image resembles. Temperature makes that large enough to learn from, and the factor
# $T^2$ keeps its weight in the loss. On the images that a student already has labels for, this is worth little; on
# images that nobody has labelled, it is worth much. And whatever the teacher knows can travel, wanted or not, into a
# student that never saw it.
#
# Next: do it yourself in [homework H1](../../exercises/h1_distillation/h1_distillation.ipynb), or ask in
# [1.2](features_and_relations.ipynb) what a teacher could say beside its answers.
