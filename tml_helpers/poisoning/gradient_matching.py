"""Clean-label poison for networks trained from scratch: its gradient is turned into the attacker's (Geiping et al.)."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from tml_helpers.common import check_counts, check_images, check_logits, check_numbers, differentiable, draw
from tml_helpers.poisoning._checks import (
    budgeted,
    check_class,
    check_epsilon,
    check_examples,
    check_one_image,
    check_two_classes,
    chosen,
)
from tml_helpers.poisoning._parameter_gradients import (
    Gradient,
    aligned,
    cosine,
    logits_of,
    loss_gradient,
    summed_gradient,
    trainable,
)
from tml_helpers.poisoning.poison import Poison

__all__ = ["GradientMatchingPoison", "NoAlignmentWarning", "gradient_alignment", "gradient_matching"]

Bases = Literal["loss", "random"]


class NoAlignmentWarning(UserWarning):
    """The poison's gradient did not turn towards the target's: it will hardly do more than noise of its size.

    Derived in: lectures/30_poisoning/clean_label
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientMatchingPoison(Poison):
    """A poisoned training set, and how well its gradient came to point where the attacker wants.

    Args:
        images, labels, indices, clean_images, clean_labels, epsilon: as in `Poison`.
        target_image: the one image that the attack is about, `[C, H, W]`.
        target_label: the class that the attacker wants for it.
        alignments: `[T, S]`, the cosine at each of S surrogates before each of T steps, of the restart that was kept.
        before: `[S]`, the cosine of the images that were chosen, unchanged.
        after: `[S]`, the cosine of the poison that is handed out.

    Derived in: lectures/30_poisoning/clean_label
    """

    target_image: Tensor
    target_label: int
    alignments: Tensor
    before: Tensor
    after: Tensor


def gradient_matching(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    target_image: Tensor,
    target_label: int,
    fraction: float = 0.01,
    epsilon: float,
    ensemble: Sequence[nn.Module] = (),
    bases: Bases = "loss",
    steps: int = 80,
    step_size: float | None = None,
    restarts: int = 1,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> GradientMatchingPoison:
    """max over δ of cos(∇L(x_t, a), ∇ mean L(x_i + δ_i, y_i)), ‖δ_i‖∞ ≤ ε: learning the poison teaches the target's a.

    The images that are changed are of class a, and keep this label. Who trains on them follows their gradient, and so
    takes steps that make the target look like an a. The victim's network is not known: the gradients are those of
    surrogates, and the cosine is a mean over them. All are asked in evaluation mode; they come back in their own mode,
    with the gradients that they had.

    Args:
        model: a surrogate, which the attacker trained on clean data; a young one, of few epochs, serves best.
        images: the training set, `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: its classes, int64 `[N]`.
        target_image: x_t, `[C, H, W]`, an image that is not trained on.
        target_label: a, the class that the attacker wants for it, other than what the surrogates say.
        fraction: the share of the training set that is changed, above 0 and at most 1.
        epsilon: how much a pixel may change, above 0 and at most 1.
        ensemble: further surrogates, of other first weights and ages.
        bases: which images of class a are changed: those of the largest mean loss, or random ones.
        steps: of signed Adam, 1 or more.
        step_size: of a pixel in the first steps, in the unit of the pixels, above 0; None takes ε/10. It falls to a
            tenth after five eighths of the steps.
        restarts: how often to begin anew, at a random δ; the poison with the largest cosine is kept.
        batch_size: poisons at a time; it decides on memory and time, not on the result.
        generator: draws the first δ, and random bases; on any device.
        progress: whether to show a bar; None in a terminal only.

    Returns:
        The poisoned training set, with the cosine at every step.

    Raises:
        TypeError: arguments of another kind, images of another type or device than a surrogate's.
        ValueError: shapes or values out of range, a target that the surrogates take for an a already, fewer images of
            class a than are to be changed, one class only, an unknown rule for the bases, a surrogate
            without a parameter that can be trained, or answers or gradients that are not finite.

    Warns:
        NoAlignmentWarning: the mean cosine did not rise above that of the unchanged images.

    Source: Geiping et al., 2021. Derived in: lectures/30_poisoning/clean_label
    """
    if isinstance(ensemble, nn.Module) and not isinstance(ensemble, nn.ModuleList):
        raise TypeError(f"ensemble must be a sequence of surrogates, got one module, {type(ensemble).__name__}")
    surrogates = (model, *ensemble)
    _check(surrogates, images, labels, target_image, target_label)
    check_epsilon(epsilon)
    check_counts(steps=steps, restarts=restarts, batch_size=batch_size)
    step_size = _step_size(step_size, epsilon)
    if bases not in get_args(Bases):
        raise ValueError(f"bases must be one of {', '.join(get_args(Bases))}, got {bases!r}")
    with _asked(surrogates):
        _check_target(surrogates, labels, target_image, target_label)
        indices = _bases(surrogates, images, labels, target_label, fraction, bases, batch_size, generator)
        clean, own = images[indices].detach(), labels[indices]
        aim = _aim(surrogates, target_image, target_label, own, batch_size)
        before = aim.cosines(clean)
        best: tuple[Tensor, Tensor, Tensor] | None = None
        bar = tqdm(total=restarts * steps, desc="steps", disable=None if progress is None else not progress)
        for _ in range(restarts):
            start = epsilon * (2 * draw(torch.rand, clean.shape, device=clean.device, generator=generator) - 1)
            delta = _within(start.to(clean), clean, epsilon)
            delta, history = _match(aim, clean, delta, epsilon=epsilon, steps=steps, step_size=step_size, bar=bar)
            after = aim.cosines(clean + delta)
            if best is None or after.mean() > best[2].mean():
                best = delta, history, after
        bar.close()
    assert best is not None  # there is a restart
    delta, history, after = best
    if not after.mean() > before.mean():
        warnings.warn(
            f"the cosine of the gradients is {float(after.mean()):.3f}, and {float(before.mean()):.3f} without poison: "
            "nothing was aligned, so expect nothing from this poison; try more steps or another surrogate",
            NoAlignmentWarning,
            stacklevel=2,
        )
    poisoned = images.detach().clone()
    poisoned[indices] = clean + delta
    return GradientMatchingPoison(
        images=poisoned,
        labels=labels.clone(),
        indices=indices,
        clean_images=clean,
        clean_labels=own.clone(),
        epsilon=epsilon,
        target_image=target_image.detach().clone(),
        target_label=target_label,
        alignments=history,
        before=before,
        after=after,
    )


def gradient_alignment(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    target_image: Tensor,
    target_label: int,
    batch_size: int = 256,
) -> float:
    """cos(∇L(x_t, a), ∇ mean L(x_i, y_i)): how far a step that teaches these images also teaches the target's class a.

    Args:
        model: a network, asked in evaluation mode; it comes back in its own, with the gradients that it had.
        images: `[M, C, H, W]` in [0, 1], as the poisons or their originals.
        labels: int64 `[M]`, the classes that they are trained with.
        target_image: x_t, `[C, H, W]`.
        target_label: a, the class that the attacker wants for it.
        batch_size: images at a time; it decides on memory and time, not on the result.

    Returns:
        The cosine over all parameters that can be trained, from −1 to 1; 0 where one of the gradients is zero.

    Raises:
        TypeError: arguments of another kind, images of another type or device than the model's.
        ValueError: shapes or values out of range, a model without a parameter that can be trained, or answers or
            gradients that are not finite.

    Source: Geiping et al., 2021. Derived in: lectures/30_poisoning/clean_label
    """
    check_examples(images, labels)
    check_images(model, images)
    check_one_image("target_image", target_image, images)
    check_class("target_label", target_label)
    check_counts(batch_size=batch_size)
    trainable(model)
    with _asked((model,)):
        check_logits(logits_of(model, images[:1]), labels=labels, target_label=torch.tensor([target_label]))
        aim = _aim((model,), target_image, target_label, labels, batch_size)
        return float(aim.cosines(images.detach())[0])


@dataclass(frozen=True, eq=False)
class _Aim:
    """Where the gradient of the poisons is to point, at each of S surrogates."""

    surrogates: tuple[nn.Module, ...]
    gradients: list[Gradient]
    labels: Tensor
    batch_size: int

    def cosines(self, images: Tensor) -> Tensor:
        """`[S]`: how well the gradient of these images points there."""
        found = [
            cosine(summed_gradient(surrogate, images, self.labels, self.batch_size), wanted).detach()
            for surrogate, wanted in zip(self.surrogates, self.gradients, strict=True)
        ]
        return torch.stack(found)

    def slope(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the slope of its sum with respect to the images."""
        found = [
            aligned(surrogate, wanted, images, self.labels, self.batch_size)
            for surrogate, wanted in zip(self.surrogates, self.gradients, strict=True)
        ]
        return torch.stack([one for one, _ in found]), torch.stack([one for _, one in found]).sum(dim=0)


def _aim(
    surrogates: tuple[nn.Module, ...], target_image: Tensor, target_label: int, labels: Tensor, batch_size: int
) -> _Aim:
    """∇L(x_t, a) at each surrogate, for poisons with these labels."""
    target, wanted = target_image.detach()[None], torch.tensor([target_label], device=target_image.device)
    gradients = [loss_gradient(surrogate, target, wanted) for surrogate in surrogates]
    return _Aim(surrogates, gradients, labels, batch_size)


def _match(
    aim: _Aim, clean: Tensor, delta: Tensor, *, epsilon: float, steps: int, step_size: float, bar: "tqdm[object]"
) -> tuple[Tensor, Tensor]:
    """δ after T steps of signed Adam, and the cosines before each of them, `[T, S]`."""
    optimizer = torch.optim.Adam([delta], lr=step_size)
    history = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = step_size if 8 * step < 5 * steps else step_size / 10
        cosines, slope = aim.slope(clean + delta)
        history.append(cosines)
        delta.grad = -slope.sign()
        optimizer.step()
        delta.copy_(_within(delta, clean, epsilon))
        bar.update()
    return delta.detach(), torch.stack(history)


def _bases(
    surrogates: tuple[nn.Module, ...],
    images: Tensor,
    labels: Tensor,
    target_label: int,
    fraction: float,
    bases: str,
    batch_size: int,
    generator: torch.Generator | None,
) -> Tensor:
    """The places of the images that are changed, ascending, all of the attacker's class."""
    places = (labels == target_label).nonzero().squeeze(1)
    count = budgeted(fraction, labels, len(places), of=f"class {target_label}")
    if bases == "random":
        return chosen(places, count, generator)
    losses = sum(_losses(surrogate, images[places], labels[places], batch_size) for surrogate in surrogates)
    assert isinstance(losses, Tensor)  # there is a surrogate
    return places[losses.argsort(descending=True, stable=True)[:count]].sort().values


@torch.no_grad()
def _losses(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    parts = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    return torch.cat([F.cross_entropy(logits_of(model, x), y, reduction="none") for x, y in parts])


def _within(delta: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    """δ cut to ‖δ‖∞ ≤ ε, and so that x + δ stays in [0, 1]."""
    return (clean + delta.detach().clamp(-epsilon, epsilon)).clamp(0, 1) - clean


def _step_size(step_size: float | None, epsilon: float) -> float:
    if step_size is None:
        return epsilon / 10
    check_numbers(step_size=step_size)
    if not 0 < step_size < float("inf"):
        raise ValueError(f"step_size must be above 0 and finite, in the unit of the pixels, got {step_size}")
    return float(step_size)


@contextmanager
def _asked(surrogates: tuple[nn.Module, ...]) -> Iterator[None]:
    """Inside, all surrogates are in evaluation mode and gradients are on."""
    if torch.is_inference_mode_enabled():
        raise ValueError("there are no gradients under torch.inference_mode(): leave it")
    with ExitStack() as stack:
        for surrogate in surrogates:
            stack.enter_context(differentiable(surrogate))
        yield


def _check(
    surrogates: tuple[nn.Module, ...], images: Tensor, labels: Tensor, target_image: Tensor, target_label: int
) -> None:
    check_examples(images, labels)
    check_two_classes(labels)
    check_class("target_label", target_label)
    check_one_image("target_image", target_image, images)
    for surrogate in surrogates:
        if not isinstance(surrogate, nn.Module):
            raise TypeError(f"a surrogate must be a torch.nn.Module, got {type(surrogate).__name__}")
        check_images(surrogate, images[:1])
        trainable(surrogate)


def _check_target(surrogates: tuple[nn.Module, ...], labels: Tensor, target_image: Tensor, target_label: int) -> None:
    """The surrogates know all classes, and their mean says something else of the target than the attacker."""
    said = []
    for surrogate in surrogates:
        logits = logits_of(surrogate, target_image[None]).detach()
        check_logits(logits, labels=labels, target_label=torch.tensor([target_label]))
        said.append(logits.double().softmax(dim=1))
    if len({answer.shape[1] for answer in said}) > 1:
        raise ValueError(f"all surrogates must have the same classes, got {[answer.shape[1] for answer in said]}")
    if int(torch.stack(said).mean(dim=0).argmax()) == target_label:
        raise ValueError(
            f"the surrogates take the target for class {target_label} already: choose another class or another image"
        )
