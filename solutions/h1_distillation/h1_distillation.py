# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # H1 · Distil it yourself
#
# In [lecture 1.1](../../lectures/10_distillation/response_based.ipynb) a large network,
# the teacher, told a small one, the student, what the labels do not say. Here you build
# that yourself: the softened answers, the loss, the training, and at the end a student
# that recognises a digit which it was never shown.
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | soften logits | 1 | 10 | ●○○ |
# | 2 | the distillation loss | 3 | 30 | ●●○ |
# | 3 | one training step, then the loop | 3 | 40 | ●●● |
# | 4 | never seen a 3 | 1 | 20 | ●●○ |
# | 5 | explain (graded by a human) | 2 | 20 | ●●○ |
#
# **How to work.** `tml start h1` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab and work there. Run the cells from the top. Where
# a cell says `raise NotImplementedError`, replace that line by your own code. Below each
# answer stand tests: when one fails, its last line says what probably went wrong. After you
# have submitted, further tests run on other inputs, so write what the task says, not what
# one test needs. From Task 3 on you use the library's loss and not yours: a slip in Task 2
# costs you nothing later. Before Task 3 that loss is not there while you are graded. Each
# task has hints: open them one by one, if you need them. You may add cells of your own;
# please leave the test cells as they are.
#
# **How to submit.** Restart the kernel, run everything once more, and save. Then ask what
# is missing, in the folder of your copy:
#
# ```
# tml check h1_distillation.ipynb
# ```
#
# It runs nothing and answers in plain words. When it says `ready to submit`, submit that
# one file, under that name, where your course says.
#
# Everything here runs in about fifteen seconds on a laptop, without a GPU.

# %% nbgrader={"grade": false, "grade_id": "0a_setup", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"withhold": ["tml_helpers.distillation", "tml_helpers.kernels", "tml_helpers.defenses"]}
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.common import evaluating
from tml_helpers.data import mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, fit, predict, seed_everything

torch.set_num_threads(1)  # networks as small as these run fastest on one core
train, test = mnist("train", source="default"), mnist("test", source="default")
SHAPES = {name: tuple(w.shape) for name, w in MLP(32).state_dict().items()}
LAST_BIAS = list(SHAPES)[-1]  # the name of the student's last biases
print(f"{len(train):,} images to train on, {len(test):,} to test on")

# %% [markdown]
# The teacher is a small convolutional network. It has seen all labels; you will see
# only 300 of them. The other 3,700 images are there, but nobody has labelled them: they
# have the label −1.

# %% nbgrader={"grade": false, "grade_id": "0b_teacher", "locked": true, "schema_version": 3, "solution": false, "task": false}
generator = seed_everything(0)
teacher = SmallCNN()
settings = {"epochs": 3, "batch_size": 64, "learning_rate": 2e-3, "progress": False}
fit(teacher, train, generator=generator, **settings)
teacher_logits = predict(teacher, train.images)  # (4000, 10)

UNLABELLED = -1
few_labels = train.labels.clone()
few_labels[300:] = UNLABELLED


def answers_of(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """The logits (N, 10) of the student MLP(32) with these parameters."""
    student = MLP(32)
    student.load_state_dict(state)
    return predict(student, images)


def accuracy_of(state: dict[str, Tensor], images: Tensor, labels: Tensor) -> float:
    """The share of images that the student with these parameters gets right."""
    return (answers_of(state, images).argmax(dim=1) == labels).float().mean().item()


print(f"the teacher gets {accuracy(teacher, test):.0%} of the test images right")

# %% [markdown]
# ## Task 1 · Soften logits
#
# *1 point · 10 minutes · ●○○*
#
# Read [lecture 1.1](../../lectures/10_distillation/response_based.ipynb), section
# *Temperature*.
#
# A network's last layer gives a row of logits $z$ for each image. At temperature $T$ they
# become the probabilities
#
# $$ \operatorname{softmax}(z / T)_k
#    = \frac{\exp(z_k / T)}{\sum_{j=1}^{K} \exp(z_j / T)}. $$
#
# Those of the student's logits $z^s$ are called $p(T)$, those of the teacher's logits $z^t$
# are called $q(T)$.
#
# **Goal.** Write `soften`. Mind that $\exp(1000)$ is infinite in a computer: subtracting
# the same number from all logits of a row changes no probability, so choose one that keeps
# every exponent at or below zero.
#
# <details><summary>Hint 1: over which dimension</summary>
#
# `logits` is (N, K), and each row is one image. A maximum or a sum over the classes must
# have the shape (N, 1), so that it can be combined with the whole: see `keepdim`.
#
# </details>
#
# <details><summary>Hint 2: which number to subtract</summary>
#
# Divide by $T$ first. Then the largest exponent of each row should become exactly 0.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "1_soften_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def soften(logits: Tensor, temperature: float) -> Tensor:
    """Softmax of `logits / temperature` over the classes.

    logits: (N, K), any finite numbers, however large.
    temperature: T > 0; 1 gives the plain softmax, larger values a softer answer.
    Returns probabilities (N, K): each row sums to 1.
    """
    ### BEGIN SOLUTION
    scaled = logits / temperature
    scaled = scaled - scaled.amax(dim=1, keepdim=True)
    exponentials = scaled.exp()
    return exponentials / exponentials.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "1_soften", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
p = soften(z, 1.0)
assert p.shape == z.shape, (
    f"expected one probability per logit, {z.shape}; got {p.shape}"
)
assert (p.sum(dim=1) - 1).abs().max() < 1e-5, (
    "rows do not sum to 1: did you take the softmax over the batch instead of over the "
    "classes?"
)
assert (p - torch.softmax(z, dim=1)).abs().max() < 1e-5, (
    "T = 1 is not the plain softmax"
)
assert (soften(z, 4.0).amax(dim=1) < p.amax(dim=1)).all(), (
    "a higher temperature made the answer harder: did you multiply by T, not divide?"
)
assert (soften(z + 1000, 1.0) - p).abs().max() < 1e-3, (
    "large logits overflow: subtract each row's largest logit before you take exp"
)
### BEGIN HIDDEN TESTS
draw = torch.Generator().manual_seed(731)
for rows, classes, T in [(1, 2, 0.5), (7, 10, 3.0), (64, 33, 20.0)]:
    z = 5 * torch.randn(rows, classes, generator=draw)
    p = soften(z, T)
    exact = torch.softmax(z.double() / T, dim=1)
    assert (p - exact).abs().max() < 1e-5, f"not the softmax of z / T at T = {T}"
    shifted = soften(z + 10 * torch.randn(rows, 1, generator=draw), T)
    assert (shifted - p).abs().max() < 1e-4, (
        "adding a number to all logits of a row changed the answer"
    )
z = torch.stack([torch.randperm(6, generator=draw) for _ in range(5)]).float()
cold, hot = soften(z, 1e-3), soften(z, 1e5)
assert (cold - F.one_hot(z.argmax(dim=1), 6)).abs().max() < 1e-5, (
    "T → 0 must give 1 for the largest logit: does exp overflow, or did you multiply by T?"
)
assert (hot - 1 / 6).abs().max() < 1e-3, "T → ∞ must give the same for all classes"
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2 · The distillation loss
#
# *3 points (value, gradient, properties: 1 each) · 30 minutes · ●●○*
#
# Read [lecture 1.1](../../lectures/10_distillation/response_based.ipynb), section *The
# loss, in five lines*.
#
# The student should agree with the teacher's softened answer $q(T)$, and give the label $y$
# a high probability in its plain answer $p(1)$. With $q^{(n)}$ and $p^{(n)}$ for the
# answers to the $n$-th image:
#
# $$ L = \alpha\, T^2\, \frac1N \sum_{n=1}^{N} \mathrm{KL}\big(q^{(n)}(T)
#    \,\|\, p^{(n)}(T)\big)
#    \;+\; (1 - \alpha)\, \frac1N \sum_{n=1}^{N} -\log p^{(n)}_{y_n}(1),
# \qquad \mathrm{KL}(q \,\|\, p) = \sum_k q_k \log \frac{q_k}{p_k}. $$
#
# **Goal.** Write `distillation_loss` with PyTorch's operations, so that gradients reach the
# student's logits, and only the student's. Logarithms: `torch.log_softmax` stays finite
# where the logarithm of a softmax is $-\infty$.
#
# <details><summary>Hint 1: in which order</summary>
#
# Go from the inside out: $\log p(T)$ and $\log q(T)$, both (N, K); the sum over the
# classes, (N,); the mean over the images, a scalar; then $T^2$ and $\alpha$. The hard term
# takes the student's logits as they are.
#
# </details>
#
# <details><summary>Hint 2: what is easily overlooked</summary>
#
# $q(T)$ is the exponential of its logarithm, which you have already. A mean over all
# $N \cdot K$ numbers is not the mean over the images. And which of the two networks is not
# being trained?
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "2_loss_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    """α·T²·KL(teacher ‖ student) + (1 − α)·cross-entropy, means over the batch.

    student_logits, teacher_logits: (N, K). labels: (N,), whole numbers from 0 to K − 1.
    temperature: T > 0, for the first term only. alpha: from 0 to 1.
    Returns a scalar. No gradient flows into the teacher's logits.
    """
    ### BEGIN SOLUTION
    log_p_s = torch.log_softmax(student_logits / temperature, dim=1)
    log_p_t = torch.log_softmax(teacher_logits.detach() / temperature, dim=1)
    soft = (log_p_t.exp() * (log_p_t - log_p_s)).sum(dim=1).mean()
    hard = F.cross_entropy(student_logits, labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def loss_and_gradients(
    z_s: Tensor, z_t: Tensor, labels: Tensor, *, temperature: float, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Your loss, and its gradients for the student's and the teacher's logits."""
    z_s, z_t = z_s.clone().requires_grad_(), z_t.clone().requires_grad_()
    loss = distillation_loss(z_s, z_t, labels, temperature=temperature, alpha=alpha)
    if loss.requires_grad:
        loss.backward()
    nothing = torch.zeros_like(z_s)
    return loss.detach(), *(nothing if z.grad is None else z.grad for z in (z_s, z_t))


# %% [markdown]
# **Value.** Two images, two classes, $T = 3$: the student is undecided, $p(3) = (½, ½)$,
# and the teacher's softened answer is $q(3) = (¾, ¼)$. By hand:
# $T^2\, \mathrm{KL} = 9 \cdot (¾ \log \tfrac{3}{2} + ¼ \log \tfrac{1}{2}) = 1.1773$.

# %% nbgrader={"grade": true, "grade_id": "2a_loss_value", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z_s = torch.zeros(2, 2)
z_t = torch.tensor([[3 * math.log(3), 0.0]] * 2)
y = torch.tensor([0, 1])
soft = float(distillation_loss(z_s, z_t, y, temperature=3.0, alpha=1.0))
for slip, value in {
    "the factor T² is missing": 0.1308,
    "the factor is T² and not T": 0.3924,
    "sum over the classes, and take the mean over the images only": 0.5887,
    "the batch was summed: take the mean over its images": 2.3546,
    "the KL divergence is the wrong way round: it is KL(teacher ‖ student)": 1.2946,
    "alpha weighs the soft term, 1 − alpha the hard one": 0.6931,
}.items():
    assert not abs(soft - value) < 1e-3, f"the soft term is {soft:.4f}: {slip}"
assert abs(soft - 1.1773) < 1e-3, f"the soft term is {soft:.4f} and should be 1.1773"
hard = float(distillation_loss(z_s, z_t, y, temperature=3.0, alpha=0.0))
assert abs(hard - math.log(2)) < 1e-3, (
    f"the hard term is {hard:.4f} and should be log 2 = 0.6931, with T = 1"
)
### BEGIN HIDDEN TESTS
draw = torch.Generator().manual_seed(732)


def exact_loss(z_s, z_t, y, T, alpha):
    """The loss in float64."""
    s, t = (torch.log_softmax(z.double() / T, dim=1) for z in (z_s, z_t))
    soft = F.kl_div(s, t, log_target=True, reduction="batchmean")
    return alpha * T**2 * soft + (1 - alpha) * F.cross_entropy(z_s.double(), y)


for rows, classes, T, alpha in [
    (1, 10, 1.0, 0.3),
    (8, 3, 4.0, 0.9),
    (50, 40, 9.0, 1.0),
]:
    z_s, z_t = (3 * torch.randn(rows, classes, generator=draw) for _ in range(2))
    y = torch.randint(classes, (rows,), generator=draw)
    value = float(distillation_loss(z_s, z_t, y, temperature=T, alpha=alpha))
    exact = float(exact_loss(z_s, z_t, y, T, alpha))
    assert abs(value - exact) < 1e-4 * (1 + exact), (
        f"the loss of {rows} images, {classes} classes at T = {T}, alpha = {alpha} is wrong"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Gradient.** For the same two images the gradient of the soft term for the student's
# first logit is $T\,(½ - ¾) / N = -0.375$.

# %% nbgrader={"grade": true, "grade_id": "2b_loss_gradient", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z_s = torch.zeros(2, 2)
z_t = torch.tensor([[3 * math.log(3), 0.0]] * 2)
y = torch.tensor([0, 1])
_, gradient, _ = loss_and_gradients(z_s, z_t, y, temperature=3.0, alpha=1.0)
assert gradient.abs().max() > 0, (
    "no gradient reaches the student: did you detach its logits, or use no_grad?"
)
assert (gradient - torch.tensor([-0.375, 0.375])).abs().max() < 1e-4, (
    f"the student's gradient is {gradient[0].tolist()} and should be [-0.375, 0.375]: a "
    "factor T², the mean over the batch, or the direction of the KL divergence is wrong"
)
### BEGIN HIDDEN TESTS
draw = torch.Generator().manual_seed(733)
for rows, classes, T, alpha in [
    (1, 10, 1.0, 0.3),
    (8, 3, 4.0, 0.9),
    (50, 40, 9.0, 1.0),
]:
    z_s, z_t = (3 * torch.randn(rows, classes, generator=draw) for _ in range(2))
    y = torch.randint(classes, (rows,), generator=draw)
    _, gradient, _ = loss_and_gradients(z_s, z_t, y, temperature=T, alpha=alpha)
    s, t = (torch.softmax(z.double() / T, dim=1) for z in (z_s, z_t))
    h = torch.softmax(z_s.double(), dim=1) - F.one_hot(y, classes)
    exact = (alpha * T * (s - t) + (1 - alpha) * h) / rows
    assert (gradient - exact).abs().max() < 1e-4, (
        f"the gradient for {rows} images at T = {T}, alpha = {alpha} is wrong"
    )
### END HIDDEN TESTS

# %% [markdown]
# **Properties.** A student that says what its teacher says has nothing to learn from it;
# logits of any size give a finite loss; the teacher is not trained.

# %% nbgrader={"grade": true, "grade_id": "2c_loss_properties", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
z = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
y = torch.tensor([0, 1])
same = float(distillation_loss(z, z, y, temperature=3.0, alpha=1.0))
assert abs(same) < 1e-5, (
    f"the student agrees with the teacher, but the loss is {same:.4f}"
)
extreme = torch.tensor([[0.0, 400.0, -400.0]])
far = float(distillation_loss(extreme, -extreme, y[:1], temperature=2.0, alpha=0.5))
assert math.isfinite(far), (
    "large logits give inf or nan: take log_softmax instead of the logarithm of a softmax"
)
### BEGIN HIDDEN TESTS
draw = torch.Generator().manual_seed(734)
for rows, classes, T in [(4, 10, 1.0), (16, 5, 6.0)]:
    z_s, z_t = (4 * torch.randn(rows, classes, generator=draw) for _ in range(2))
    y = torch.randint(classes, (rows,), generator=draw)
    loss, _, leak = loss_and_gradients(z_s, z_t, y, temperature=T, alpha=0.7)
    assert leak.abs().max() < 1e-9, (
        "a gradient flows into the teacher: detach its logits, it is not being trained"
    )
    soft = float(distillation_loss(z_s, z_t, y, temperature=T, alpha=1.0))
    assert soft > 0, "a KL divergence between different answers is positive"
    moved = distillation_loss(z_s + 5, z_t - 7, y, temperature=T, alpha=0.7)
    assert abs(float(moved) - float(loss)) < 1e-3, (
        "adding a number to all logits of a row changed the loss"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3 · One training step, then the loop
#
# *3 points (step 1, loop 2) · 40 minutes · ●●●*
#
# Read [lecture 1.1](../../lectures/10_distillation/response_based.ipynb), sections *Where
# it pays* and *What goes wrong*.
#
# From here on use the library's `distillation.distillation_loss`, which has the arguments
# of yours.
#
# ### The step
#
# **Goal.** Write `training_step`: one step of gradient descent on the student,
#
# $$ w \leftarrow w - \eta\, \frac{\partial L}{\partial w}, $$
#
# with the teacher's answers to the same images as the target. The teacher below has
# dropout and batch normalisation: in training mode it answers at random, and each answer
# changes its running averages. So it must answer in evaluation mode, without gradients,
# and come back exactly as it was: parameters, buffers, and the mode that it had.
#
# <details><summary>Hint 1: in which order</summary>
#
# The teacher's answers; the student's answers; the loss; clear the student's gradients;
# go backward; step. The value that is returned is that of the loss before the step.
#
# </details>
#
# <details><summary>Hint 2: how the teacher comes back as it was</summary>
#
# The first cell imports `evaluating`: within `with evaluating(network):` a network is in
# evaluation mode, and afterwards each part has the mode that it had. `torch.no_grad` can
# stand in the same `with`. Plain gradient descent is `torch.optim.SGD`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3_networks", "locked": true, "schema_version": 3, "solution": false, "task": false} tml={"give": ["tml_helpers.distillation", "tml_helpers.kernels"]}
from tml_helpers import distillation


def moody_teacher() -> nn.Module:
    """A teacher whose answers depend on its mode: it has dropout and batch statistics."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(32, 10),
    )


# %% nbgrader={"grade": false, "grade_id": "3a_step_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def training_step(
    student: nn.Module,
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    learning_rate: float,
) -> float:
    """One step of plain gradient descent on the student; returns the loss before it.

    images: (N, 1, 28, 28). labels: (N,), from 0 to 9. learning_rate: η > 0.
    The teacher keeps its parameters, its buffers and its mode.
    """
    ### BEGIN SOLUTION
    with torch.no_grad(), evaluating(teacher):
        target = teacher(images)
    optimiser = torch.optim.SGD(student.parameters(), lr=learning_rate)
    loss = distillation.distillation_loss(
        student(images), target, labels, temperature=temperature, alpha=alpha
    )
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()
    ### END SOLUTION


# Given, for the tests: keep this function in the same cell.
def try_steps(
    student_state: dict,
    teacher_state: dict,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    training: bool,
) -> dict:
    """Take steps on one batch, the teacher in training mode or not; what came of it."""
    student, teacher = MLP(8), moody_teacher().train(training)
    student.load_state_dict(student_state)
    teacher.load_state_dict(teacher_state)
    settings = {"temperature": 3.0, "alpha": 0.7, "learning_rate": 0.05}
    networks, batch = (student, teacher), (images, labels)
    return {
        "losses": [training_step(*networks, *batch, **settings) for _ in range(steps)],
        "student": dict(student.state_dict()),
        "teacher": dict(teacher.state_dict()),
        "modes": [module.training for module in teacher.modules()],
    }


# %% nbgrader={"grade": true, "grade_id": "3a_step", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
seed_everything(1)
states = dict(MLP(8).state_dict()), dict(moody_teacher().state_dict())
batch = train.images[:64], train.labels[:64]
came = try_steps(*states, *batch, steps=20, training=False)
assert came["losses"][-1] < 0.95 * came["losses"][0], (
    "twenty steps on the same batch did not lower the loss: do you step against the "
    "gradient, and does the optimiser hold the student's parameters?"
)
### BEGIN HIDDEN TESTS
for training in (True, False):
    came = try_steps(*states, *batch, steps=2, training=training)
    changed = {
        k for k, v in came["teacher"].items() if not torch.equal(v, states[1][k])
    }
    assert not {k for k in changed if k.endswith(("weight", "bias"))}, (
        "the teacher's parameters changed: does your optimiser hold both networks?"
    )
    assert not changed, (
        "the teacher's running averages changed: it answered in training mode, with dropout"
    )
    assert set(came["modes"]) == {training}, (
        "the teacher came back in another mode: note its mode, and restore it afterwards"
    )
    student, quiet = MLP(8), moody_teacher().eval()
    student.load_state_dict(states[0])
    quiet.load_state_dict(states[1])
    for step in range(2):
        answers = student(batch[0]), quiet(batch[0]).detach()
        loss = distillation.distillation_loss(
            *answers, batch[1], temperature=3.0, alpha=0.7
        )
        assert abs(came["losses"][step] - loss.item()) < 1e-3 * loss.item(), (
            f"the loss of step {step + 1} is not that of the student against the teacher in "
            "evaluation mode; if it is the second: clear the gradients first (zero_grad)"
        )
        gradients = torch.autograd.grad(loss, list(student.parameters()))
        with torch.no_grad():
            for w, g in zip(student.parameters(), gradients, strict=True):
                w -= 0.05 * g
    for name, w in student.state_dict().items():
        assert (came["student"][name] - w).abs().max() < 1e-4, (
            "the second step went elsewhere: clear the first step's gradients (zero_grad), "
            "and take plain gradient descent, w ← w − η ∂L/∂w"
        )
### END HIDDEN TESTS

# %% [markdown]
# ### The loop
#
# **Goal.** Write the loop of `distil`: train on all images although only some have labels.
# The teacher was asked once, before the loop: its answers do not change. The soft term
# counts for every image of a batch, the hard one for those that have a label:
#
# $$ L = \alpha\, T^2\, \overline{\mathrm{KL}}_{\text{all}}
#    + (1 - \alpha)\, \overline{\mathrm{CE}}_{\text{labelled}}. $$
#
# `labels == UNLABELLED` says who has none. A batch may well have no label at all: then
# there is no hard term (the mean over nothing is not a number). The library's loss takes
# `labels=None` when `alpha=1`.
#
# <details><summary>Hint 1: two terms over two sets of images</summary>
#
# Ask the student once for the whole batch. The soft term uses all of its rows, the hard
# term those that a mask picks: which images of this batch have a label?
#
# </details>
#
# <details><summary>Hint 2: how to put the terms together</summary>
#
# Let the library compute the soft term alone, with `alpha=1`, and multiply by your $\alpha$
# yourself. Add the hard term only if the mask has an entry that is true. Then the
# optimiser's three lines, as in every loop.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "3b_loop_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def distil(
    images: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    epochs: int = 10,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Train a student MLP(32) on images of which few are labelled; returns its state_dict.

    images: (N, 1, 28, 28). labels: (N,), from 0 to 9, or −1 for an image without a label.
    teacher_logits: (N, 10). Adam with learning rate 3e-3, shuffled batches of 64.
    """
    generator = seed_everything(seed)
    student = MLP(32)
    optimiser = torch.optim.Adam(student.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            ### BEGIN SOLUTION
            logits = student(images[batch])
            loss = alpha * distillation.distillation_loss(
                logits, teacher_logits[batch], None, temperature=temperature, alpha=1.0
            )
            labelled = labels[batch] != UNLABELLED
            if labelled.any():
                hard = F.cross_entropy(logits[labelled], labels[batch][labelled])
                loss = loss + (1 - alpha) * hard
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            ### END SOLUTION
    return dict(student.state_dict())


# %% [markdown]
# Expect a little over 80 % from the 300 labels alone, and about 90 % with the teacher's
# answers to all 4,000 images.

# %%
few = train.images[:300], few_labels[:300], teacher_logits[:300]
alone = distil(*few, alpha=0.0, epochs=60)
with_teacher = distil(train.images, few_labels, teacher_logits)
print(f"300 labels alone:    {accuracy_of(alone, test.images, test.labels):.0%}")
print(f"with the teacher:    {accuracy_of(with_teacher, test.images, test.labels):.0%}")

# %% nbgrader={"grade": true, "grade_id": "3b_loop", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
fewer = few_labels.clone()
fewer[100:] = UNLABELLED
state = distil(train.images, fewer, teacher_logits, seed=1)
assert all(w.isfinite().all() for w in state.values()), (
    "the student's parameters are not numbers: a batch without labels has no hard term"
)
reached = accuracy_of(state, test.images, test.labels)
assert reached > 0.5, f"the student reaches {reached:.0%}: does it learn at all?"
### BEGIN HIDDEN TESTS
assert reached > 0.87, (
    f"the student reaches {reached:.0%}, as it would without images that nobody labelled: "
    "does it learn the teacher's answers to them, and no class, for −1 is none?"
)
# A teacher that calls each digit by the next one's name, and no label that says otherwise.
nobody = torch.full_like(few_labels, UNLABELLED)
state = distil(train.images, nobody, teacher_logits.roll(1, dims=1), alpha=0.1, seed=3)
assert all(w.isfinite().all() for w in state.values()), (
    "without any label the parameters are not numbers: a mean was taken over no image"
)
assert not accuracy_of(state, test.images, test.labels) > 0.2, (
    "the teacher was made to mislead, but the student knows the true digits: "
    "true labels leak into the images that have none"
)
follows = accuracy_of(state, test.images, (test.labels + 1) % 10)
assert follows > 0.85, (
    f"on images without labels the student agrees with its teacher on {follows:.0%} only"
)
# A teacher that hardly prefers any class: its student must not be sure either.
state = distil(train.images, nobody, 0.02 * teacher_logits, alpha=1.0, epochs=3)
sure = torch.softmax(answers_of(state, test.images), dim=1).amax(dim=1).mean()
assert sure < 0.3, (
    f"the teacher is undecided but the student is {sure:.0%} sure: "
    "learn the teacher's soft answer, not its most likely class"
)
### END HIDDEN TESTS

# %% [markdown]
# ## Task 4 · Never seen a 3
#
# *1 point · 20 minutes · ●●○*
#
# Read [lecture 1.1](../../lectures/10_distillation/response_based.ipynb), section *The
# surprise: a student that never saw a 3*.
#
# Hinton's experiment: take every 3 out of the training images. The student then never sees
# one, but its teacher says of some 5s and 8s that they look a little like a 3.
#
# **Goal.** Write `distil_without`, which trains on all images but those of one digit, and
# `raise_bias`, which adds a number to that digit's bias in the student's last layer. A
# student that never saw a 3 has learned that no image is a 3; the bias undoes just that.
#
# <details><summary>Hint 1: which images</summary>
#
# Compare the labels with the digit: that gives a mask. Three tensors go into the
# `TensorDataset`, and their rows must still belong together.
#
# </details>
#
# <details><summary>Hint 2: how to change one number in a copy</summary>
#
# A copy of the dictionary is not enough: its tensors would be the old ones, and adding to
# one would change the student as well. `LAST_BIAS` is the key, `digit` the index.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "4_never_seen_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def distil_without(
    digit: int,
    images: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    alpha: float,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Train a student MLP(32) on the images whose label is not `digit`.

    images: (N, 1, 28, 28). labels: (N,), all known. teacher_logits: (N, 10).
    alpha: 1 learns from the teacher alone, 0 from the labels alone; T = 4.
    Returns the student's state_dict.
    """
    generator = seed_everything(seed)
    student = MLP(32)

    def loss(
        model: nn.Module, images: Tensor, labels: Tensor, answers: Tensor
    ) -> Tensor:
        return distillation.distillation_loss(
            model(images), answers, labels, temperature=4.0, alpha=alpha
        )

    settings = {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "progress": False,
    }
    # Call fit(student, TensorDataset(...), loss=loss, generator=generator, **settings)
    # with a TensorDataset of images, labels and the teacher's logits, in this order.
    ### BEGIN SOLUTION
    keep = labels != digit
    data = TensorDataset(images[keep], labels[keep], teacher_logits[keep])
    fit(student, data, loss=loss, generator=generator, **settings)
    ### END SOLUTION
    return dict(student.state_dict())


def raise_bias(
    state: dict[str, Tensor], digit: int, amount: float
) -> dict[str, Tensor]:
    """A copy of the student's state with `amount` added to the digit's bias.

    The last layer's biases are `state[LAST_BIAS]`, one for each of the ten digits.
    """
    ### BEGIN SOLUTION
    changed = {name: tensor.clone() for name, tensor in state.items()}
    changed[LAST_BIAS][digit] += amount
    return changed
    ### END SOLUTION


# %% [markdown]
# How much to add? Choose it on the training images (now with the 3s), look at the test
# images only afterwards.


# %% nbgrader={"grade": false, "grade_id": "4_choose", "locked": true, "schema_version": 3, "solution": false, "task": false}
def best_amount(states: list[dict[str, Tensor]]) -> int:
    """Which of the states does best on the training images."""
    scores = [accuracy_of(state, train.images, train.labels) for state in states]
    return scores.index(max(scores))


def share_of(digit: int, state: dict[str, Tensor]) -> float:
    """The share of the digit's test images that the student recognises."""
    mask = test.labels == digit
    return accuracy_of(state, test.images[mask], test.labels[mask])


AMOUNTS = [0.5 * step for step in range(13)]

# %%
never = distil_without(3, train.images, train.labels, teacher_logits, alpha=1.0)
raised = [raise_bias(never, 3, amount) for amount in AMOUNTS]
chosen = best_amount(raised)
print(f"3s recognised by a student that never saw one: {share_of(3, never):.0%}")
print(
    f"... with {AMOUNTS[chosen]} added to one bias:  {share_of(3, raised[chosen]):.0%}"
)

# %% nbgrader={"grade": true, "grade_id": "4_never_seen", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
everything = train.images, train.labels, teacher_logits
state = distil_without(3, *everything, alpha=1.0)
assert {name: tuple(w.shape) for name, w in state.items()} == SHAPES, (
    "return the student's state_dict, with the shapes of MLP(32)"
)
higher = raise_bias(state, 3, 2.0)
difference = {name: (higher[name] - w).abs().sum() for name, w in state.items()}
assert abs(difference.pop(LAST_BIAS) - 2) < 1e-4, (
    "raise_bias must add the amount to one number, the digit's own bias, in a copy"
)
assert max(difference.values()) < 1e-6, (
    "raise_bias must change the last layer's bias only"
)
### BEGIN HIDDEN TESTS
hard = distil_without(3, *everything, alpha=0.0, seed=5)
assert share_of(3, hard) < 0.1, (
    f"from labels alone the student recognises {share_of(3, hard):.0%} of the 3s: "
    "there were 3s among its training images"
)
eightless = distil_without(8, *everything, alpha=1.0, seed=5)
for digit, soft in ((3, state), (8, eightless)):
    raised = [raise_bias(soft, digit, amount) for amount in AMOUNTS]
    seen = share_of(digit, raised[best_amount(raised)])
    assert seen > 0.3, (
        f"with the best bias the student recognises {seen:.0%} of the {digit}s: "
        "does it learn from the teacher's soft answers to the other digits?"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Task 5 · Explain
#
# *2 points · 20 minutes · graded by a human, with the rubrics below*
#
# ### a. Why T²? (1 point)
#
# Read [lecture 1.1](../../lectures/10_distillation/response_based.ipynb), section *Why
# $T^2$*.
#
# In three to five sentences: why does the soft term carry the factor $T^2$, and what goes
# wrong when you leave it out and then change $T$?
#
# *Rubric.* ½ point: says how the gradient of the soft term shrinks with $T$, with a reason
# (a formula, a limit, or numbers that you measured above). ½ point: says what this does to
# the balance between the soft and the hard term.
#
# <details><summary>Hint: what to look at</summary>
#
# Measure it: `loss_and_gradients` from Task 2 gives the student's gradient. Take `alpha=1`
# and some temperatures, divide by $T^2$, and compare with the gradient for `alpha=0`.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "5a_why", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# The gradient of the soft term for a student's logit is (p(T) − q(T))/T: one factor 1/T
# comes from dividing the logits, and for large T the difference of the two softened answers
# itself shrinks like 1/T. So the gradient falls like 1/T², and the factor T² brings it back
# to the same size at every temperature. Without it, going from T = 2 to T = 8 would make
# the soft term about sixteen times weaker beside the hard one: one would believe to have
# changed only the softness, but would in effect have turned down α.

# %% [markdown]
# ### b. When would you not distil? (1 point)
#
# Read [lecture 1.1](../../lectures/10_distillation/response_based.ipynb), section *An
# honest experiment*.
#
# In three to five sentences: name a situation in which you would not distil, and say how
# you would find out that you are in it.
#
# *Rubric.* ½ point: a situation in which distillation gains nothing or does harm, with the
# reason. ½ point: a measurement that would show it (which two numbers are compared, on
# which data).
#
# <details><summary>Hint: what to look at</summary>
#
# Lecture 1.1 has settings in which the teacher helped much, little, and not at all. What
# did the student have in each that it did not have in the others?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "5b_when_not", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# When every training image is labelled already, the teacher adds little; it pays where the
# teacher can answer for images that nobody has labelled. And when the teacher is wrong or
# unfair for some group, the student inherits that, also where the labels would have said
# otherwise. I would train the student with and without the teacher, on the same images,
# with at least five seeds, and compare the accuracies on held-out images, for each group,
# with an interval; where the intervals overlap I would save the effort.

# %% [markdown]
# ## Before you submit
#
# Restart the kernel, run all cells, save, and run `tml check h1_distillation.ipynb`. It
# lists what is missing, and says `ready to submit` when nothing is.
