"""Randomised smoothing: the class that a model answers most often under noise, and how far that answer is proven."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers._checks import check_images
from tml_helpers.attacks._common import check_logits
from tml_helpers.training import evaluating

ABSTAIN = -1
"""The class of an image on which too few draws agree."""


class RandomizedSmoothing:
    """g(x) = argmax_k p_k with p_k = P(f(x + δ) = k), δ ~ N(0, σ²I): constant within σ·Φ⁻¹(p_g(x)) of x in L2.

    `model` is f and maps images `[N, C, H, W]` to logits `[N, K]`; `sigma` is σ, in units of a pixel in [0, 1]. Noisy
    images are not cut to [0, 1]: the proof needs the whole Gaussian. `batch_size` of them go through f at once.
    Probabilities are bounded by counting, so an answer that is not an abstention (−1) errs with probability `alpha`
    at most, over the noise, image by image.

    Raises TypeError or ValueError for bad images and for a σ, n or alpha out of its range.
    Source: Cohen, Rosenfeld and Kolter, 2019. Derived in: lectures/20_adversarial/honest_evaluation.
    """

    def __init__(self, model: nn.Module, *, sigma: float, batch_size: int = 1000) -> None:
        check_sigma(sigma)
        if batch_size < 1:
            raise ValueError(f"batch_size is how many noisy images are made at once, 1 or more; got {batch_size}")
        self.model, self.sigma, self.batch_size = model, sigma, batch_size

    def predict(
        self, images: Tensor, *, n: int = 1000, alpha: float = 0.001, generator: torch.Generator | None = None
    ) -> Tensor:
        """g(x) from `n` draws, `[N]`: −1 where a fair coin could have put the first class as far ahead of the second.

        The test is binomial and two-sided: n₁ among n₁ + n₂ against ½.
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
    ) -> tuple[Tensor, Tensor]:
        """(classes, radii), each `[N]`: within L2 distance `radii` of each image, g answers `classes`.

        `n0` draws guess the class; `n` others, so that the guess cannot flatter itself, bound its probability p from
        below by p̲, and the radius is σ·Φ⁻¹(p̲). Where p̲ ≤ ½ the class is −1 and the radius 0. The most that `n`
        draws can prove is σ·Φ⁻¹(alpha^(1/n)), even for an image that is called the same every time.
        """
        from scipy.stats import norm

        check_alpha(alpha)
        classes = self.counts(images, n=n0, generator=generator).argmax(dim=1)
        agreeing = self.counts(images, n=n, generator=generator).gather(1, classes[:, None]).squeeze(1)
        p = clopper_pearson_bound(agreeing, n, alpha)
        radii = self.sigma * torch.from_numpy(norm.ppf(p.cpu().numpy())).to(images)
        proven = p > 0.5
        return torch.where(proven, classes, ABSTAIN), torch.where(proven, radii, 0.0)

    @torch.no_grad()
    def counts(self, images: Tensor, *, n: int, generator: torch.Generator | None = None) -> Tensor:
        """How many of `n` noisy copies of each image the model calls each class, `[N, K]`, int64."""
        check_images(self.model, images)
        if n < 1:
            raise ValueError(f"the number of draws is 1 or more; got {n}")
        total, counts = len(images) * n, torch.zeros(0)
        with evaluating(self.model):
            for start in range(0, total, self.batch_size):
                copies = torch.arange(start, min(start + self.batch_size, total), device=images.device) // n
                noisy = images[copies]
                noisy = noisy + self.sigma * torch.empty_like(noisy).normal_(generator=generator)
                logits = self.model(noisy)
                if start == 0:
                    check_logits(logits, copies[:1])
                    counts = copies.new_zeros(len(images), logits.shape[1])
                counts.index_put_((copies, logits.argmax(dim=1)), torch.ones_like(copies), accumulate=True)
        return counts


def clopper_pearson_bound(successes: Tensor, n: int, alpha: float) -> Tensor:
    """The p̲ that `successes` `[N]` of `n` trials bound p by: p < p̲ with probability `alpha` at most, float64 `[N]`.

    It solves P(Binomial(n, p̲) ≥ successes) = alpha, and is 0 without a success.
    Source: Clopper and Pearson, 1934. Derived in: lectures/20_adversarial/honest_evaluation.
    """
    from scipy.stats import beta

    k = successes.cpu().numpy()
    bound = torch.from_numpy(beta.ppf(alpha, k.clip(min=1), n - k + 1)).to(successes.device)
    return torch.where(successes > 0, bound, 0.0)


def noisy_cross_entropy(
    model: nn.Module, images: Tensor, labels: Tensor, *, sigma: float, generator: torch.Generator | None = None
) -> Tensor:
    """Mean of −log p(label | x + δ), δ ~ N(0, σ²I): a loss for `fit` that prepares a model for its own smoothing.

    Pass it as `loss=functools.partial(noisy_cross_entropy, sigma=0.5)`.
    Source: Lecuyer et al., 2019; Cohen, Rosenfeld and Kolter, 2019.
    Derived in: lectures/20_adversarial/honest_evaluation.
    """
    check_sigma(sigma)
    noise = torch.empty_like(images).normal_(generator=generator)
    return F.cross_entropy(model(images + sigma * noise), labels)


def check_sigma(sigma: float) -> None:
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma is the noise's standard deviation, above 0 and finite; got {sigma}")


def check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is the probability of an error that is accepted, between 0 and 1; got {alpha}")
