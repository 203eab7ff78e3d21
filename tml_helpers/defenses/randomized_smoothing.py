"""Randomised smoothing: the class that a model answers most often under noise, and how far that answer is proven."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_images, check_logits, check_numbers, draw, evaluating

ABSTAIN = -1
"""The class of an image on which too few draws agree."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """Within L2 distance `radii` of each image, the smoothed model answers `classes`; each `[N]`.

    Where nothing is proven the class is −1 and the radius 0.
    """

    classes: Tensor
    radii: Tensor


class RandomizedSmoothing(nn.Module):
    """g(x) = argmax_k p_k with p_k = P(f(x + δ) = k), δ ~ N(0, σ²I): constant within σ·Φ⁻¹(p_g(x)) of x in L2.

    Noisy images are not cut to [0, 1]: the proof needs the whole Gaussian. Probabilities are bounded by counting, so an
    answer of `predict` or `certify` that is not an abstention (−1) errs with probability `alpha` at most, over the
    noise, image by image.

    As a network it maps images to log((nₖ + 1) / (n + K)), where nₖ of n noisy copies were called class k: its class is
    the one that was answered most often. It never abstains, its noise is another at each call, and it has no gradient.

    Args:
        model: f, maps images `[N, C, H, W]` to logits `[N, K]`.
        sigma: σ, in units of a pixel in [0, 1]; above 0.
        n: noisy copies of each image behind an answer as a network; 1 or more.
        batch_size: noisy images that go through f at once; 1 or more.
        generator: draws the noise of an answer as a network; on any device.

    Raises:
        TypeError: a number that should be whole is not.
        ValueError: a number out of its range.

    Source: Cohen, Rosenfeld and Kolter, 2019. Derived in: lectures/20_adversarial/honest_evaluation.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        sigma: float,
        n: int = 100,
        batch_size: int = 1000,
        generator: torch.Generator | None = None,
    ) -> None:
        check_sigma(sigma)
        check_counts(n=n, batch_size=batch_size)
        super().__init__()
        self.model, self.sigma, self.n, self.batch_size, self.generator = model, sigma, n, batch_size, generator

    def forward(self, images: Tensor) -> Tensor:
        """log((nₖ + 1) / (n + K)), `[N, K]`."""
        counts = self.counts(images, n=self.n, generator=self.generator)
        return ((counts + 1).double() / (self.n + counts.shape[1])).log().to(images.dtype)

    def predict(
        self, images: Tensor, *, n: int = 1000, alpha: float = 0.001, generator: torch.Generator | None = None
    ) -> Tensor:
        """g(x), and −1 where a fair coin could have put the first class as far ahead of the second.

        The test is binomial and two-sided: n₁ among n₁ + n₂ against ½.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the model is.
            n: draws for each image, 1 or more.
            alpha: the probability of an error that is accepted, between 0 and 1.
            generator: draws the noise; on any device.

        Returns:
            Classes, `[N]`, int64.

        Raises:
            TypeError: images of another type or elsewhere.
            ValueError: other images, or a number out of its range.
        """
        from scipy.stats import binom

        check_alpha(alpha)
        counts, classes = self.counts(images, n=n, generator=generator).topk(2, dim=1)
        first, second = counts.cpu().numpy().T
        p_value = 2 * binom.sf(first - 1, first + second, 0.5)  # n₁ ≥ n₂; above 1 for a tie
        sure = torch.from_numpy(p_value <= alpha).to(images.device)
        return torch.where(sure, classes[:, 0], ABSTAIN)

    def certify(
        self,
        images: Tensor,
        *,
        n0: int = 100,
        n: int = 1000,
        alpha: float = 0.001,
        generator: torch.Generator | None = None,
    ) -> Certificate:
        """The class that g answers within a radius σ·Φ⁻¹(p̲) of each image, where p̲ bounds its probability from below.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the model is.
            n0: draws that guess the class, 1 or more.
            n: other draws, so that the guess cannot flatter itself, that bound its probability; 1 or more. The most
                that they can prove is σ·Φ⁻¹(alpha^(1/n)), even for an image that is called the same every time.
            alpha: the probability of an error that is accepted, between 0 and 1.
            generator: draws the noise; on any device.

        Returns:
            Classes and radii; −1 and 0 where p̲ ≤ ½.

        Raises:
            TypeError: images of another type or elsewhere.
            ValueError: other images, or a number out of its range.
        """
        from scipy.stats import norm

        check_alpha(alpha)
        check_counts(n0=n0)
        classes = self.counts(images, n=n0, generator=generator).argmax(dim=1)
        agreeing = self.counts(images, n=n, generator=generator).gather(1, classes[:, None]).squeeze(1)
        p = clopper_pearson_bound(agreeing, n=n, alpha=alpha)
        radii = self.sigma * torch.from_numpy(norm.ppf(p.cpu().numpy())).to(images)
        proven = p > 0.5
        return Certificate(torch.where(proven, classes, ABSTAIN), torch.where(proven, radii, 0.0))

    @torch.no_grad()
    def counts(self, images: Tensor, *, n: int, generator: torch.Generator | None = None) -> Tensor:
        """How many of n noisy copies of each image the model calls each class.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the model is.
            n: 1 or more.
            generator: draws the noise; on any device.

        Returns:
            `[N, K]`, int64; each row adds up to n.

        Raises:
            TypeError: images of another type or elsewhere, or an n that is not whole.
            ValueError: other images, an n below 1, or logits of another shape.
        """
        check_images(self.model, images)
        check_counts(n=n)
        total, counts = len(images) * n, images.new_zeros(0)
        with evaluating(self.model):
            for start in range(0, total, self.batch_size):
                copies = torch.arange(start, min(start + self.batch_size, total), device=images.device) // n
                noisy = gaussian(images[copies], self.sigma, generator)
                logits = self.model(noisy)
                if start == 0:
                    check_logits(logits)
                    counts = copies.new_zeros(len(images), logits.shape[1])
                counts.index_put_((copies, logits.argmax(dim=1)), torch.ones_like(copies), accumulate=True)
        return counts


def clopper_pearson_bound(successes: Tensor, *, n: int, alpha: float) -> Tensor:
    """The p̲ below which p lies with probability `alpha` at most: P(Binomial(n, p̲) ≥ successes) = alpha; 0 without one.

    Args:
        successes: `[N]`, int64, from 0 to n.
        n: trials.
        alpha: between 0 and 1.

    Returns:
        p̲, `[N]`, float64, where the successes are.

    Raises:
        TypeError: an n that is no whole number.
        ValueError: an n below 1, or an alpha that is not between 0 and 1.

    Source: Clopper and Pearson, 1934. Derived in: lectures/20_adversarial/honest_evaluation.
    """
    from scipy.stats import beta

    check_counts(n=n)
    check_alpha(alpha)
    k = successes.cpu().numpy()
    bound = torch.from_numpy(beta.ppf(alpha, k.clip(min=1), n - k + 1)).to(successes.device)
    return torch.where(successes > 0, bound, 0.0)


def noisy_cross_entropy(
    model: nn.Module, images: Tensor, labels: Tensor, *, sigma: float, generator: torch.Generator | None = None
) -> Tensor:
    """Mean of −log p(label | x + δ), δ ~ N(0, σ²I): a loss for `fit` that prepares a model for its own smoothing.

    Pass it as `loss=functools.partial(noisy_cross_entropy, sigma=0.5)`.

    Args:
        model: maps images to logits.
        images: x, `[N, C, H, W]` in [0, 1].
        labels: `[N]`, int64.
        sigma: σ, in units of a pixel; above 0.
        generator: draws δ; on any device.

    Returns:
        A scalar, with a gradient.

    Raises:
        ValueError: σ out of its range.

    Source: Lecuyer et al., 2019; Cohen, Rosenfeld and Kolter, 2019.
    Derived in: lectures/20_adversarial/honest_evaluation.
    """
    check_images(model, images)
    check_sigma(sigma)
    return F.cross_entropy(model(gaussian(images, sigma, generator)), labels)


def gaussian(images: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """x + δ, δ ~ N(0, σ²I)."""
    noise = draw(torch.randn, images.shape, device=images.device, generator=generator, dtype=images.dtype)
    return images + sigma * noise


def check_sigma(sigma: float) -> None:
    check_numbers(sigma=sigma)
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma is the noise's standard deviation, above 0 and finite; got {sigma}")


def check_alpha(alpha: float) -> None:
    check_numbers(alpha=alpha)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is the probability of an error that is accepted, between 0 and 1; got {alpha}")
