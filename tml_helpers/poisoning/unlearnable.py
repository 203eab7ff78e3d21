"""Data that refuse to be learnt: a small noise that is easier to learn than what the images show."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from tml_helpers.common import (
    answer_and_gradient,
    check_counts,
    check_gradient,
    check_images,
    check_logits,
    check_numbers,
    differentiable,
    draw,
    own_generator,
    seeded,
    warn_of_masking,
)
from tml_helpers.poisoning._checks import budgeted, check_epsilon, check_examples, check_two_classes, chosen
from tml_helpers.poisoning.poison import Poison
from tml_helpers.training import batches, predict

__all__ = ["UnlearnableNoise", "separable_noise", "unlearnable_noise"]


@dataclass(frozen=True, eq=False, kw_only=True)
class UnlearnableNoise(Poison):
    """The protected training set, and what the maker's own network made of it.

    Args:
        noise: before it is cut to [0, 1] with the images, within ε: one for each class `[K, C, H, W]`, or one for each
            protected image `[M, C, H, W]`.
        maker_errors: `[R]`, float64, the share of the protected images that the maker's network got wrong after each
            round. Near 0 it says that the network is content, not with what.
        clean_errors: `[R]`, float64, the same on the images as they were before. Where it is near 0, too, the network
            has learnt the images, and not the noise.
        converged: whether the maker's error came down to what was asked for, or to 0 where nothing was.

    Derived in: lectures/30_poisoning/unlearnable
    """

    noise: Tensor
    maker_errors: Tensor
    clean_errors: Tensor
    converged: bool


def unlearnable_noise(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    fraction: float = 1.0,
    class_wise: bool = False,
    rounds: int = 10,
    train_steps: int = 10,
    steps: int = 20,
    step_size: float | None = None,
    stop_error: float | None = 0.01,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> UnlearnableNoise:
    """min over θ and over δ, ‖δ_i‖∞ ≤ ε, of (1/M) Σ ℓ(f_θ(x_i + δ_i), y_i): error-minimising noise.

    A round is a few steps of training on the noisy images, and then steps of the noise along the sign of its slope,
    downhill. Rounds end when the maker's network errs on no more than `stop_error` of the noisy images. One noise for
    each image takes `steps` steps for every image in a round; one for each class takes `steps` steps in all, each on
    one batch.

    Args:
        model: the maker's network, trained or not; a copy of it is trained, and it stays as it is.
        images: `[N, C, H, W]` in [0, 1], on the model's device.
        labels: `[N]`, int64, of two classes or more.
        epsilon: how much a pixel may change, above 0 and at most 1.
        fraction: the share of the images that are protected, above 0 and at most 1; the maker sees no others.
        class_wise: one noise for all images of a class, instead of one for each image.
        rounds: how many at most, 1 or more.
        train_steps: batches on which the network is trained in a round, 1 or more. Many let it learn the images
            themselves, and then nothing is left for the noise to do.
        steps: of the noise in a round, 1 or more.
        step_size: how much a pixel moves in one step, above 0; ε/10 unless given.
        stop_error: the maker's error at which the rounds end, from 0 to 1; None for all rounds, whatever it is.
        learning_rate: Adam's, for the maker's network, above 0.
        batch_size: images at a time, 1 or more.
        generator: draws the protected images and the batches; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The protected training set, its noise, and the maker's own errors.

    Raises:
        TypeError: images, labels or numbers of another kind.
        ValueError: shapes that differ, values, budgets or numbers out of range, one class alone, a model that has
            nothing to train, whose answers or loss are not finite, or that has fewer classes than the labels.

    Warns:
        GradientMaskingWarning: where the network gives an image no slope at the start, its noise cannot be made.

    Source: Huang et al., 2021. Derived in: lectures/30_poisoning/unlearnable
    """
    check_images(model, images)
    check_examples(images, labels)
    check_epsilon(epsilon)
    check_counts(rounds=rounds, train_steps=train_steps, steps=steps, batch_size=batch_size)
    size = _step_size(epsilon, step_size)
    _check_training(stop_error, learning_rate)
    if not isinstance(class_wise, bool):
        raise TypeError(f"class_wise must be True or False, got {class_wise!r}")
    generator = own_generator(generator)
    indices = _protected(labels, fraction, generator)
    clean, classes = images.detach()[indices], labels[indices]
    check_logits(predict(model, clean, batch_size=batch_size), labels=labels)
    rows = classes if class_wise else torch.arange(len(clean), device=clean.device)  # whose noise an image gets
    noise = clean.new_zeros(int(rows.max()) + 1, *clean.shape[1:])
    errors: list[tuple[float, float]] = []
    with seeded(int(draw(torch.randint, 2**62, (), device="cpu", generator=generator))):  # dropout and the like
        maker = _Maker(model, clean, classes, learning_rate, batch_size, generator)
        for _ in tqdm(range(rounds), desc="rounds", disable=None if progress is None else not progress):
            maker.train(_noisy(clean, noise, rows), train_steps)
            for at in maker.places(steps) if class_wise else maker.all_places():
                noise = maker.descend(noise, rows, at, epsilon, size, 1 if class_wise else steps)
            if not errors:
                warn_of_masking(noise[rows], so="no noise is made for them: give another network as the maker")
            errors.append((maker.error(_noisy(clean, noise, rows)), maker.error(clean)))
            if stop_error is not None and errors[-1][0] <= stop_error:
                break
    own, on_clean = torch.tensor(errors, dtype=torch.float64).T
    return UnlearnableNoise(
        **vars(_published(images, labels, indices, _noisy(clean, noise, rows), epsilon)),
        noise=noise,
        maker_errors=own,
        clean_errors=on_clean,
        converged=bool(own[-1] <= (stop_error or 0)),
    )


def separable_noise(
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    fraction: float = 1.0,
    block: int = 4,
    spread: float = 0.0,
    generator: torch.Generator | None = None,
) -> Poison:
    """x_i + ε · cut(c_y + spread · n_i): fair signs c_k for each block and class, which no network was asked for.

    Without spread all images of a class get the same blocks of ±ε. With it each image's blocks scatter about those of
    its class by normal numbers n_i, and are cut to ±ε. In many blocks the classes stay linearly separable.

    Args:
        images: `[N, C, H, W]` in [0, 1].
        labels: `[N]`, int64, of two classes or more.
        epsilon: how much a pixel may change, above 0 and at most 1.
        fraction: the share of the images that are protected, above 0 and at most 1.
        block: the side of a block in pixels, 1 or more, at most that of the image; blocks at the lower and right edge
            may be cut.
        spread: the standard deviation of n_i, 0 or more.
        generator: draws the protected images, the signs and the normal numbers; on any device.

    Returns:
        The protected training set.

    Raises:
        TypeError: images, labels or numbers of another kind.
        ValueError: shapes that differ, values, budgets or numbers out of range, or one class alone.

    Source: after Yu et al., 2022. Derived in: lectures/30_poisoning/unlearnable
    """
    check_examples(images, labels)
    check_epsilon(epsilon)
    check_counts(block=block)
    check_numbers(spread=spread)
    if not 0 <= spread < float("inf"):
        raise ValueError(f"spread must be a finite number of 0 or more, got {spread}")
    channels, *sides = images.shape[1:]
    if block > min(sides):
        raise ValueError(f"block must be at most the side of the {sides[0]}×{sides[1]} images, got {block}")
    generator = own_generator(generator)
    indices = _protected(labels, fraction, generator)
    grid = (channels, *(-(-side // block) for side in sides))
    coins = draw(torch.randint, 2, (int(labels.max()) + 1, *grid), device=images.device, generator=generator)
    signs = (2 * coins - 1).to(images.dtype)[labels[indices]]
    if spread:
        scatter = draw(torch.randn, *signs.shape, device=images.device, generator=generator, dtype=images.dtype)
        signs = (signs + spread * scatter).clamp(-1, 1)
    blocks = signs.repeat_interleave(block, dim=2).repeat_interleave(block, dim=3)[..., : sides[0], : sides[1]]
    noisy = (images.detach()[indices] + epsilon * blocks).clamp(0, 1)
    return _published(images, labels, indices, noisy, epsilon)


class _Maker:
    """The maker's own network, its optimiser, and its batches of the M images that are protected."""

    def __init__(
        self,
        model: nn.Module,
        clean: Tensor,
        classes: Tensor,
        learning_rate: float,
        batch_size: int,
        generator: torch.Generator,
    ) -> None:
        self.network, self.clean, self.classes = deepcopy(model), clean, classes
        self.batch_size, self.generator = batch_size, generator
        trainable = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        if not trainable:
            raise ValueError("the model has no parameters that can be trained: the maker needs an untrained network")
        self.optimizer = torch.optim.Adam(trainable, lr=learning_rate)
        self.stream = self._stream()

    def all_places(self) -> Iterator[Tensor]:
        """Every image once, in batches."""
        everywhere = torch.arange(len(self.clean), device=self.clean.device)
        for start in range(0, len(everywhere), self.batch_size):
            yield everywhere[start : start + self.batch_size]

    def places(self, count: int) -> Iterator[Tensor]:
        """The next batches of an endless, shuffled stream."""
        for _ in range(count):
            yield next(self.stream)

    def train(self, noisy: Tensor, steps: int) -> None:
        self.network.train()
        with torch.enable_grad():
            for at in self.places(steps):
                loss = F.cross_entropy(self.network(noisy[at]), self.classes[at])
                if not bool(loss.isfinite()):
                    raise ValueError(f"the loss of the maker's network is {float(loss)}: lower the learning rate")
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()

    def descend(self, noise: Tensor, rows: Tensor, at: Tensor, epsilon: float, size: float, steps: int) -> Tensor:
        """Steps of the noise of these images along the sign of its slope; the slope is that at the image as it is cut.

        Were the slope taken through the cut, noise that had pushed a pixel beyond black could never come back.
        """
        own, place = torch.unique(rows[at], return_inverse=True)
        part, classes = noise[own], self.classes[at]
        with differentiable(self.network):
            for _ in range(steps):
                noisy = (self.clean[at] + part[place]).clamp(0, 1)
                _, slope = answer_and_gradient(
                    self.network, noisy, lambda z: F.cross_entropy(z, classes, reduction="sum")
                )
                slope = torch.zeros_like(part).index_add(0, place, check_gradient(slope))
                part = (part - size * slope.sign()).clamp(-epsilon, epsilon)
        noise[own] = part
        return noise

    def error(self, images: Tensor) -> float:
        wrong = predict(self.network, images, batch_size=self.batch_size).argmax(dim=1) != self.classes
        return float(wrong.double().mean())

    def _stream(self) -> Iterator[Tensor]:
        order = TensorDataset(torch.arange(len(self.clean)))
        while True:
            for (at,) in batches(order, batch_size=self.batch_size, generator=self.generator):
                yield at.to(self.clean.device)


def _noisy(clean: Tensor, noise: Tensor, rows: Tensor) -> Tensor:
    return (clean + noise[rows]).clamp(0, 1)


def _protected(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """The places of the images that are protected, of two classes or more."""
    everywhere = torch.arange(len(labels), device=labels.device)
    indices = chosen(everywhere, budgeted(fraction, labels, len(labels)), generator)
    check_two_classes(labels[indices])
    return indices


def _published(images: Tensor, labels: Tensor, indices: Tensor, noisy: Tensor, epsilon: float) -> Poison:
    """The training set in which these images are the noisy ones."""
    published = images.detach().clone()
    published[indices] = noisy
    return Poison(published, labels.clone(), indices, images.detach()[indices], labels[indices], epsilon)


def _step_size(epsilon: float, step_size: float | None) -> float:
    if step_size is None:
        return epsilon / 10
    check_numbers(step_size=step_size)
    if not 0 < step_size < float("inf"):
        raise ValueError(f"step_size must be a finite number above 0, got {step_size}")
    return step_size


def _check_training(stop_error: float | None, learning_rate: float) -> None:
    check_numbers(stop_error=0 if stop_error is None else stop_error, learning_rate=learning_rate)
    if stop_error is not None and not 0 <= stop_error <= 1:
        raise ValueError(f"stop_error must lie from 0 to 1, a share of the images, or be None, got {stop_error}")
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate must be a finite number above 0, got {learning_rate}")
