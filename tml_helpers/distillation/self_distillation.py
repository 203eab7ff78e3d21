"""Self-distillation: a network with an exit after each section, whose deepest exit teaches those before it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_numbers, evaluating
from tml_helpers.distillation._checks import check_blend
from tml_helpers.distillation.features import hint_loss
from tml_helpers.kernels import distillation_loss

__all__ = ["SelfDistillation"]

POOLED = 4
"""The side to which a bottleneck pools a section's maps: what an exit sees of an image is at most 4×4 places."""


class SelfDistillation(nn.Module):
    """A trunk cut into sections, with an exit after each: a bottleneck to D features, and a linear classifier.

    The last section gives the D features of the deepest exit, which has no bottleneck. `forward` asks the deepest exit
    alone, so that the network costs what its trunk costs.

    Takes images `[N, …]`; returns the deepest exit's logits `[N, classes]`.

    Args:
        sections: two or more modules, each made for what the one before returns; the last returns features `[N, D]`.
        image: an example `[1, …]` or more, where the sections are; only its shape matters.
        classes: 2 or more.
        bottlenecks: for each section but the last, a module from what it returns to `[N, D]`; None makes them: maps are
            pooled to at most 4×4 places, and a linear layer and ReLU follow.

    Raises:
        TypeError: sections that are not modules or return another thing than a tensor, or an image that is none.
        ValueError: an empty image, fewer than two sections, one that is given twice, a number of bottlenecks that is
            not one less than that of the sections, features of another shape than `[N, D]`, or fewer than two classes.

    Source: Zhang et al., 2019. Derived in: lectures/10_distillation/many_at_once.
    """

    def __init__(
        self,
        sections: Sequence[nn.Module],
        image: Tensor,
        *,
        classes: int,
        bottlenecks: Sequence[nn.Module] | None = None,
    ) -> None:
        check_counts(2, classes=classes)
        super().__init__()
        self.sections = nn.ModuleList(_checked(sections))
        if not isinstance(image, Tensor):
            raise TypeError(f"image must be a tensor of one image or more, got {type(image).__name__}")
        if image.numel() == 0:
            raise ValueError(f"image must be a tensor of one image or more, got shape {list(image.shape)}")
        with torch.no_grad(), evaluating(self.sections):
            hidden = _outputs(self.sections, image)
        if hidden[-1].ndim != 2:
            raise ValueError(f"the last section must return features [N, D], got shape {list(hidden[-1].shape)}")
        deepest = hidden[-1]
        width = deepest.shape[1]
        if bottlenecks is None:
            bottlenecks = [_bottleneck(shallow, width).to(deepest) for shallow in hidden[:-1]]
        self.bottlenecks = nn.ModuleList(bottlenecks)
        if len(self.bottlenecks) != len(hidden) - 1:
            raise ValueError(
                f"bottlenecks must be one for each section but the last, {len(hidden) - 1}, got {len(self.bottlenecks)}"
            )
        for index, (bottleneck, shallow) in enumerate(zip(self.bottlenecks, hidden, strict=False)):
            with torch.no_grad(), evaluating(bottleneck):
                shape = list(bottleneck(shallow).shape)
            if shape != list(deepest.shape):
                raise ValueError(f"bottlenecks[{index}] must return features {list(deepest.shape)}, got shape {shape}")
        self.classifiers = nn.ModuleList(nn.Linear(width, classes).to(deepest) for _ in hidden)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifiers[-1](_outputs(self.sections, images)[-1])
        return logits

    def until(self, exit: int) -> nn.Sequential:
        """The network that ends at one exit: its sections, bottleneck and classifier, with shared weights.

        Args:
            exit: from 0, the first, to the number of sections less one, the deepest.

        Returns:
            Images in, logits `[N, classes]` out.

        Raises:
            ValueError: no such exit.
        """
        if isinstance(exit, bool) or not isinstance(exit, int) or exit not in range(len(self.sections)):
            raise ValueError(f"exit must be a whole number from 0 to {len(self.sections) - 1}, got {exit!r}")
        return nn.Sequential(*self.sections[: exit + 1], *self.bottlenecks[exit : exit + 1], self.classifiers[exit])

    def exits(self, images: Tensor) -> Tensor:
        """The logits of every exit, in one pass through the trunk.

        Args:
            images: `[N, …]`, where the network is.

        Returns:
            `[E, N, classes]`, the first exit first.
        """
        return self._answers(self._features(images))

    def loss(
        self, images: Tensor, labels: Tensor, *, temperature: float = 1.0, alpha: float = 0.3, beta: float = 0.001
    ) -> Tensor:
        """CE(y, deepest) + Σ_exit (1 − α)·CE(y, exit) + α·T²·KL(deepest ‖ exit) + β·‖h_exit − h_deepest‖²/D.

        The sum is over the exits before the deepest, which hears the labels alone: it teaches with its current answer
        and features, through which no gradient flows back. `fit(network, data, loss=SelfDistillation.loss)` trains all.

        The authors' program has T = 3 and β = 0.03 on a sum of squares. In short trainings so much of a teacher that
        has not learned yet keeps the early exits from learning: raise T and β with the number of epochs.

        Args:
            images: `[N, …]`, where the network is.
            labels: `[N]`, int64, class indices.
            temperature: T, above 0.
            alpha: α, from 0 to 1; at 0, with `beta` 0, each exit has only the labels.
            beta: β, 0 or more; of the mean square over the D features of a bottleneck.

        Returns:
            A scalar, with a gradient.

        Raises:
            TypeError: a number that is none, or labels that are no tensor of whole numbers.
            ValueError: a number out of its range, or labels that do not fit.
        """
        check_blend(temperature, alpha)
        check_numbers(beta=beta)
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be a number of 0 or more, got {beta}")
        features = self._features(images)
        logits = self._answers(features)
        if labels is None:
            raise TypeError("labels must be an int64 tensor of class indices, got None: the deepest exit hears them")
        lessons = [
            distillation_loss(own, logits[-1], labels, temperature=temperature, alpha=alpha)
            + beta * hint_loss(own_features, features[-1])
            for own, own_features in zip(logits[:-1], features[:-1], strict=True)
        ]
        return torch.stack(lessons).sum() + F.cross_entropy(logits[-1], labels.long())

    def _features(self, images: Tensor) -> list[Tensor]:
        """What each exit's classifier reads, `[N, D]` each."""
        *hidden, deepest = _outputs(self.sections, images)
        return [
            *(bottleneck(shallow) for bottleneck, shallow in zip(self.bottlenecks, hidden, strict=True)),
            deepest,
        ]

    def _answers(self, features: list[Tensor]) -> Tensor:
        return torch.stack([c(h) for c, h in zip(self.classifiers, features, strict=True)])


def _outputs(sections: nn.ModuleList, images: Tensor) -> list[Tensor]:
    """What each section returns, the first first."""
    hidden = [images]
    for index, section in enumerate(sections):
        hidden.append(section(hidden[-1]))
        if not isinstance(hidden[-1], Tensor):
            raise TypeError(f"sections[{index}] must return one tensor, got {type(hidden[-1]).__name__}")
    return hidden[1:]


def _bottleneck(shallow: Tensor, width: int) -> nn.Sequential:
    """From what a section returns to `width` features."""
    layers: list[nn.Module] = [nn.Flatten()]
    values = shallow[0].numel()
    if shallow.ndim == 4:
        channels, *sides = shallow.shape[1:]
        places = [min(side, POOLED) for side in sides]
        layers.insert(0, nn.AdaptiveAvgPool2d((places[0], places[1])))
        values = channels * math.prod(places)
    return nn.Sequential(*layers, nn.Linear(values, width), nn.ReLU())


def _checked(sections: Sequence[nn.Module]) -> list[nn.Module]:
    """Two or more different modules."""
    parts = list(sections)
    for index, part in enumerate(parts):
        if not isinstance(part, nn.Module):
            raise TypeError(f"sections must be modules, got {type(part).__name__} for sections[{index}]")
    if len(parts) < 2:
        raise ValueError(f"the deepest exit teaches those before it: sections must be two or more, got {len(parts)}")
    if len({id(part) for part in parts}) < len(parts):
        raise ValueError("a section is given twice: make another, for each section is trained for its own place")
    return parts
