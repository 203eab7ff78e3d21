"""Distillation without data: a generator paints the images on which a student learns from its teacher."""

import math
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from tml_helpers.common import (
    check_counts,
    check_logits,
    check_numbers,
    draw,
    evaluating,
    home,
    offspring,
    own_generator,
)
from tml_helpers.distillation._checks import check_student

__all__ = ["DataFree", "GeneratorCollapseWarning", "ImageGenerator", "distill_data_free"]

Statistics = tuple[Sequence[float], Sequence[float]]


class GeneratorCollapseWarning(UserWarning):
    """The generator paints no images of some classes, so that the student has learned nothing about them.

    Derived in: lectures/10_distillation/without_the_data.
    """


class ImageGenerator(nn.Module):
    """u ↦ G(u): noise `[N, latent]`, standard normal, becomes smooth images `[N, C, H, W]` in [0, 1].

    A linear layer paints maps of a quarter of the side, convolutions between two bilinear enlargements refine them. The
    last batch normalisation and sigmoid give every channel about the mean and the standard deviation asked for.

    Args:
        shape: channels, height and width, 1 or more each.
        latent: how many numbers make an image, 1 or more.
        statistics: mean, in (0, 1), and standard deviation, above 0, of each channel, as `models.STATISTICS` has them;
            None for 0.5 and 0.25.

    Raises:
        TypeError: sizes that are not whole numbers.
        ValueError: a size below 1, or statistics that are not of these channels or out of their range.

    Source: Chen et al., 2019. Derived in: lectures/10_distillation/without_the_data.
    """

    offset: Tensor
    slope: Tensor

    def __init__(self, shape: tuple[int, int, int], *, latent: int = 64, statistics: Statistics | None = None) -> None:
        if len(shape) != 3:
            raise ValueError(f"shape is (channels, height, width); got {tuple(shape)}")
        check_counts(**dict(zip(("channels", "height", "width"), shape, strict=True)), latent=latent)
        super().__init__()
        channels, height, width = shape
        mean, std = _statistics(statistics, channels)
        self.latent, self.height, self.width = latent, height, width
        rows, columns = -(-height // 4), -(-width // 4)
        self.layers = nn.Sequential(
            nn.Linear(latent, 16 * rows * columns),
            nn.Unflatten(1, (16, rows, columns)),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.2),
            *_refine(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *_refine(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(16, channels, 3, padding=1),
            nn.BatchNorm2d(channels, affine=False),
        )
        self.register_buffer("offset", (mean / (1 - mean)).log().view(-1, 1, 1))
        self.register_buffer("slope", (std / (mean * (1 - mean))).view(-1, 1, 1))

    def forward(self, noise: Tensor) -> Tensor:
        standard: Tensor = self.layers(noise)[..., : self.height, : self.width]
        return torch.sigmoid(self.offset + self.slope * standard)


@dataclass(frozen=True, eq=False)
class DataFree:
    """What was painted on the way, and who painted it.

    Args:
        network: the generator, in evaluation mode.
        losses: the student's mean distance from its teacher, in logits, by step.
        one_hot: the generator's one-hot loss by step: how unsure the teacher is, in nats.
        entropy: of the teacher's mean answer by step, in nats: at most log K, when all classes are painted alike.
        shares: the share of the images in the last memory that the teacher reads as each class, `[K]`.
    """

    network: ImageGenerator
    losses: list[float]
    one_hot: list[float]
    entropy: list[float]
    shares: Tensor

    @property
    def missing(self) -> list[int]:
        """The classes that have less than a tenth of their fair share 1/K of the images."""
        return [k for k, share in enumerate(self.shares.tolist()) if share < 0.1 / len(self.shares)]


def distill_data_free(
    student: nn.Module,
    teacher: nn.Module,
    *,
    shape: tuple[int, int, int],
    steps: int,
    statistics: Statistics | None = None,
    latent: int = 64,
    balance: float = 5.0,
    adversary: float = 0.5,
    looks: int = 6,
    memory: int = 60,
    learning_rate: float = 5e-3,
    generator_rate: float = 2e-3,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> DataFree:
    """A generator minimises CE(q, argmax q) − balance·H(mean q) − adversary·gap, the student minimises the gap.

    q are the teacher's answers to a batch of painted images, H is the entropy, and the gap is mean |z^t − z^s| over the
    centred logits. In words: paint what the teacher is sure of, all classes alike, and what the student gets wrong.
    Each step paints one batch; then the student looks at some of the batches that were painted last.

    No image is needed, but two numbers for each channel are a great help: the mean and the standard deviation with
    which the teacher normalises its input. They tell how bright the images of its training were.

    Args:
        student: maps images `[N, C, H, W]` to logits `[N, K]`; it is trained, and in training mode afterwards.
        teacher: maps such images to logits of the same classes, and has a gradient; it is asked in evaluation mode, and
            stays as it is.
        shape: of an image: channels, height, width.
        steps: batches that are painted, 1 or more.
        statistics: mean and standard deviation of each channel, as of `ImageGenerator`.
        latent: how many random numbers make an image, 1 or more.
        balance: weight of the entropy, 0 or more; at 0 nothing keeps the generator from one class.
        adversary: weight of the gap in the generator's loss, 0 or more.
        looks: the student's steps for each of the generator's, 1 or more.
        memory: how many batches are kept for the student, 1 or more.
        learning_rate: of the student's Adam at the start, above 0; it falls to 0 along half a cosine.
        generator_rate: of the generator's Adam; 0 leaves the generator as it starts.
        batch_size: images in a batch, 2 or more.
        generator: starts the generator network, and draws its noise and the student's batches; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The generator network and the history.

    Warns:
        GeneratorCollapseWarning: classes of which next to nothing was painted.

    Raises:
        TypeError: networks that are no modules, counts that are not whole numbers, or a generator that is none.
        ValueError: numbers out of their range, student and teacher with shared parameters, on different devices, of
            different types or classes, a teacher without a gradient, or losses that are not finite.

    Source: Chen et al., 2019; Fang et al., 2019. Derived in: lectures/10_distillation/without_the_data.
    """
    check_counts(steps=steps, looks=looks, memory=memory)
    check_counts(2, batch_size=batch_size)
    _check_weights(balance=balance, adversary=adversary, learning_rate=learning_rate, generator_rate=generator_rate)
    _check_pair(student, teacher)
    generator = own_generator(generator)
    network = _started(shape, latent, statistics, generator).to(_example(teacher, student))
    painter = torch.optim.Adam(network.parameters(), lr=generator_rate)
    learner = torch.optim.Adam(student.parameters(), lr=learning_rate)
    painted: deque[tuple[Tensor, Tensor]] = deque(maxlen=memory)
    losses: list[float] = []
    one_hot: list[float] = []
    entropy: list[float] = []
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(learner, steps)
    student.train()
    for _ in tqdm(range(steps), desc="batches painted", disable=None if progress is None else not progress):
        images = network(_noise(network, batch_size, generator))
        with evaluating(teacher):
            z_t = teacher(images)
        if not one_hot:
            _check_answers(student, images, z_t)
        sure, varied = F.cross_entropy(z_t, z_t.argmax(dim=1)), _entropy_of_mean(z_t)
        goal = sure - balance * varied
        if adversary:
            with evaluating(student):
                goal = goal - adversary * _gap(student(images), z_t)
        _step(painter, goal)
        painted.append((images.detach(), z_t.detach()))
        total = 0.0
        for chosen in draw(torch.randint, len(painted), (looks,), device="cpu", generator=generator).tolist():
            images, z_t = painted[chosen]
            distance = _gap(student(images), z_t)
            _step(learner, distance)
            total += distance.item()
        slower.step()
        losses.append(total / looks)
        one_hot.append(sure.item())
        entropy.append(varied.item())
        if not math.isfinite(losses[-1] + one_hot[-1]):
            raise ValueError(f"the losses are not finite in step {len(losses)}: lower the learning rates")
    answers = torch.cat([z_t for _, z_t in painted])
    shares = answers.argmax(dim=1).bincount(minlength=answers.shape[1]) / len(answers)
    made = DataFree(network.eval(), losses, one_hot, entropy, shares)
    if made.missing:
        warnings.warn(
            f"the generator paints next to nothing of {len(made.missing)} of {len(shares)} classes "
            f"({', '.join(map(str, made.missing))}): the student learned little about them; raise balance or steps",
            GeneratorCollapseWarning,
            stacklevel=2,
        )
    return made


def _gap(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean |z^t − z^s| over all logits, each row less its mean, which softmax never sees."""
    difference = teacher_logits - student_logits
    return (difference - difference.mean(dim=1, keepdim=True)).abs().mean()


def _refine() -> tuple[nn.Module, ...]:
    return nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.LeakyReLU(0.2)


def _statistics(given: Statistics | None, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, `[C]` each."""
    mean, std = (torch.tensor(part) for part in given or ([0.5] * channels, [0.25] * channels))
    if mean.shape != (channels,) or std.shape != (channels,):
        raise ValueError(
            f"statistics must be a mean and a standard deviation for each of {channels} channels, "
            f"got shapes {list(mean.shape)} and {list(std.shape)}"
        )
    if not (((mean > 0) & (mean < 1)).all() and ((std > 0) & std.isfinite()).all()):
        raise ValueError(
            f"statistics must be means in (0, 1) and standard deviations above 0, of images in [0, 1]; got {given}"
        )
    return mean, std


def _started(
    shape: tuple[int, int, int], latent: int, statistics: Statistics | None, generator: torch.Generator
) -> ImageGenerator:
    """A generator network whose first weights are drawn from `generator`; PyTorch's own is left as it is."""
    seed = offspring(generator).initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return ImageGenerator(shape, latent=latent, statistics=statistics)


def _noise(network: ImageGenerator, count: int, generator: torch.Generator) -> Tensor:
    where = network.offset
    return draw(torch.randn, count, network.latent, device=where.device, generator=generator, dtype=where.dtype)


def _entropy_of_mean(logits: Tensor) -> Tensor:
    """H(mean over the batch of softmax(logits)), in nats."""
    mean = F.softmax(logits, dim=1).mean(dim=0)
    return -(mean * mean.clamp_min(torch.finfo(mean.dtype).tiny).log()).sum()


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step downhill; no parameter of another network gets a gradient."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _example(*models: nn.Module) -> Tensor:
    """A weight of the first model that has any: its device and type are those of the images."""
    return next(chain.from_iterable(model.parameters() for model in models))


def _check_weights(**weights: float) -> None:
    check_numbers(**weights)
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"{name} must be 0 or more and finite, got {weight}")
        if name == "learning_rate" and weight == 0:
            raise ValueError("learning_rate must be above 0, got 0: the student would learn nothing")


def _check_pair(student: nn.Module, teacher: nn.Module) -> None:
    """A student with something to learn, that is no part of its teacher, and lives where it does."""
    check_student(student, teacher)
    if home(teacher) not in (None, home(student)):
        raise ValueError(f"the student is on {home(student)}, but the teacher is on {home(teacher)}: move one of them")
    types = [_example(model, student).dtype for model in (student, teacher)]
    if types[0] != types[1]:
        raise ValueError(f"the student is {types[0]}, but the teacher is {types[1]}: convert one of them")


def _check_answers(student: nn.Module, images: Tensor, teacher_logits: Tensor) -> None:
    """Logits of the same classes, and a teacher through which the generator can learn."""
    with torch.no_grad(), evaluating(student):
        answered = student(images)
    for whose, logits in {"teacher": teacher_logits, "student": answered}.items():
        if not isinstance(logits, Tensor):
            raise TypeError(f"the {whose} must answer with a tensor of logits, got {type(logits).__name__}")
    check_logits(teacher_logits)
    if answered.shape != teacher_logits.shape:
        raise ValueError(
            "student and teacher must answer with logits of the same classes, "
            f"got shapes {list(answered.shape)} and {list(teacher_logits.shape)}"
        )
    if not teacher_logits.requires_grad:
        raise ValueError("the teacher's logits have no gradient with respect to the image: is it wrapped in no_grad?")
