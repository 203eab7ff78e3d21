"""What LIME returns: a linear model around one input, and the samples that it was fitted to."""

import html
import re
from dataclasses import dataclass, fields
from typing import Any, Self

from torch import Tensor

from tml_helpers._console import legible
from tml_helpers.explain._local import Samples, fit_line


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """g(z′) = intercept + weights · z′: a linear model that imitates a black box around one input.

    z′ is 1 where a feature is as in the input and 0 where it is hidden or changed.
    Derived in: lectures/40_interpretability/lime
    """

    target: int
    """The class that is explained."""
    weights: Tensor
    """What each feature adds to the answer for the target, `[F]`, float64."""
    intercept: float
    """g where everything is hidden or changed."""
    r2: float
    """The share of the answers' weighted variance around the input that g explains."""
    prediction: float
    """g at the input itself, to be held against the black box's answer there."""
    answer: float | None
    """The black box's answer for the target at the input itself; None if it was not among the samples."""
    names: tuple[str, ...]
    """What the features are called."""
    samples: Samples
    """What the black box was asked, and what it answered."""

    def __repr__(self) -> str:
        largest = ", ".join(f"{self.names[i]}: {float(self.weights[i]):+.3f}" for i in self.top())
        return legible(f"{type(self).__name__}(target={self.target}, r2={self.r2:.2f}, {largest}, …)")

    def top(self, count: int = 5) -> list[int]:
        """The features with the largest weights, in absolute value, first.

        Args:
            count: how many at most.

        Returns:
            Their indices; of equals the first comes first.
        """
        return self.weights.abs().argsort(descending=True, stable=True)[:count].tolist()

    def about(self, target: int) -> Self:
        """The explanation of another class from the same answers: the black box is not asked again.

        Args:
            target: the class, from 0 to K − 1.

        Returns:
            An explanation of the same kind.

        Raises:
            ValueError: a class that the black box does not have.
        """
        others = {field.name: getattr(self, field.name) for field in fields(self)}
        classes = self.samples.answers.shape[1]
        if not 0 <= target < classes:
            raise ValueError(f"targets must lie in 0…{classes - 1}, got {target}")
        return type(self)(**{**others, **fitted(self.samples, target)})


@dataclass(frozen=True, eq=False, repr=False)
class ImageExplanation(Explanation):
    """An explanation whose features are superpixels.

    Derived in: lectures/40_interpretability/lime
    """

    segments: Tensor
    """The superpixel of each pixel, int64 `[H, W]`, from 0 to F − 1."""

    def map(self) -> Tensor:
        """The weight of each pixel's superpixel.

        Returns:
            `[H, W]`, float32.
        """
        return self.weights[self.segments].float()


@dataclass(frozen=True, eq=False, repr=False)
class TextExplanation(Explanation):
    """An explanation whose features are the words of a text, each in all its places.

    A notebook shows it as the text with coloured words: blue speaks for the target, orange against it.
    Derived in: lectures/40_interpretability/lime
    """

    text: str
    """The text itself."""

    def _repr_html_(self) -> str:
        largest = float(self.weights.abs().max()) or 1.0
        shares = dict(zip(self.names, (self.weights / largest).tolist(), strict=True))
        spans = [_span(part, shares.get(part, 0.0)) for part in split(self.text)]
        style = "background:#fff;color:#000;padding:.6em .8em;border-radius:4px;white-space:pre-wrap"
        return f'<div style="{style}">{"".join(spans)}</div>'


def split(text: str) -> list[str]:
    """The text cut into words and what stands between them; joined, they are the text again."""
    return [part for part in re.split(r"(\W+)", text) if part]


def fitted(samples: Samples, target: int) -> dict[str, Any]:
    """The fields of an explanation that the fit decides; the input itself is the sample that shares every feature."""
    line = fit_line(samples, target)
    itself = samples.masks.all(dim=1)
    answer = float(samples.answers[itself, target][0]) if bool(itself.any()) else None
    return {
        "target": target,
        "weights": line.weights,
        "intercept": line.intercept,
        "r2": line.r2,
        "prediction": line.prediction,
        "answer": answer,
        "samples": samples,
    }


def _span(part: str, share: float) -> str:
    """A word on a ground of its colour; one with less than a seventh of the largest weight stays plain."""
    if abs(share) < 1 / 7:
        return html.escape(part)
    colour = "0,114,178" if share > 0 else "213,94,0"
    ground = f"background:rgba({colour},{0.6 * abs(share):.2f})"
    return f'<span style="{ground};border-radius:3px;padding:0 2px">{html.escape(part)}</span>'
