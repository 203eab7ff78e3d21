"""Networks that write an image down in few numbers and read it back: plain, and with a law for the numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, draw

__all__ = ["ELBO", "VAE", "Autoencoder", "Posterior", "elbo"]


def _encoder(pixels: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, out))


def _decoder(latent: int, hidden: int, size: int) -> nn.Sequential:
    layers = (nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size * size), nn.Unflatten(1, (1, size, size)))
    return nn.Sequential(*layers)


class Autoencoder(nn.Module):
    """x ↦ D(E(x)): an image becomes `latent` numbers, its code, and is read back from them.

    Takes grey images `[N, 1, size, size]` in [0, 1]; returns images of the same shape in (0, 1).

    Args:
        latent: how many numbers make a code, 1 or more.
        hidden: units of the one hidden layer of encoder and decoder.
        size: the images' side in pixels.

    Raises:
        ValueError: one of them is below 1.

    Source: Hinton and Salakhutdinov, 2006. Derived in: lectures/00_foundations/representations.
    """

    def __init__(self, latent: int = 16, *, hidden: int = 128, size: int = 28) -> None:
        check_counts(latent=latent, hidden=hidden, size=size)
        super().__init__()
        self.latent = latent
        self.encoder = _encoder(size * size, hidden, latent)
        self.decoder = _decoder(latent, hidden, size)

    def encode(self, images: Tensor) -> Tensor:
        """The codes.

        Args:
            images: `[N, 1, size, size]` in [0, 1].

        Returns:
            `[N, latent]`.
        """
        codes: Tensor = self.encoder(images)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """The images that codes stand for.

        Args:
            codes: `[N, latent]`.

        Returns:
            `[N, 1, size, size]` in (0, 1).
        """
        images: Tensor = self.decoder(codes).sigmoid()
        return images

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


@dataclass(frozen=True, eq=False)
class Posterior:
    """q(u | x) = N(mean, variance): what an encoder says of each image's code.

    Attributes:
        mean: `[N, latent]`.
        log_variance: `[N, latent]`, the logarithm of the variance, one for each number of the code.

    Derived in: lectures/00_foundations/representations.
    """

    mean: Tensor
    log_variance: Tensor


class VAE(nn.Module):
    """x ↦ q(u | x) = N(mean, variance): a variational autoencoder, whose codes u follow N(0, 1) over all images.

    Called with images, it returns the images read back from the means. `elbo` is what training makes large.

    Takes grey images `[N, 1, size, size]` in [0, 1].

    Args:
        latent: how many numbers make a code, 1 or more.
        hidden: units of the one hidden layer of encoder and decoder.
        size: the images' side in pixels.

    Raises:
        ValueError: one of them is below 1.

    Source: Kingma and Welling, 2014. Derived in: lectures/00_foundations/representations.
    """

    def __init__(self, latent: int = 16, *, hidden: int = 128, size: int = 28) -> None:
        check_counts(latent=latent, hidden=hidden, size=size)
        super().__init__()
        self.latent = latent
        self.encoder = _encoder(size * size, hidden, 2 * latent)
        self.decoder = _decoder(latent, hidden, size)

    def encode(self, images: Tensor) -> Posterior:
        """The law of each image's code.

        Args:
            images: `[N, 1, size, size]` in [0, 1].

        Returns:
            Mean and logarithm of the variance.
        """
        return Posterior(*self.encoder(images).chunk(2, dim=1))

    def decode(self, codes: Tensor) -> Tensor:
        """The images that codes stand for: the probability of ink at each pixel.

        Args:
            codes: `[N, latent]`; drawn from N(0, 1), they make new images.

        Returns:
            `[N, 1, size, size]` in (0, 1).
        """
        images: Tensor = self.decoder(codes).sigmoid()
        return images

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images).mean)


@dataclass(frozen=True, eq=False)
class ELBO:
    """What a variational autoencoder gives up, image by image, in nats: bound = −reconstruction − divergence.

    Attributes:
        reconstruction: `[N]`, −log p(x | u) for one drawn code, pixels as independent shares of ink.
        divergence: `[N]`, KL(q(u | x) ‖ N(0, 1)), exactly.

    Derived in: lectures/00_foundations/representations.
    """

    reconstruction: Tensor
    divergence: Tensor

    @property
    def bound(self) -> Tensor:
        """`[N]`, at most log p(x) on average over the draws, where pixels are 0 or 1."""
        return -self.reconstruction - self.divergence

    @property
    def loss(self) -> Tensor:
        """−mean of the bound: what training makes small."""
        return -self.bound.mean()


def elbo(model: VAE, images: Tensor, *, generator: torch.Generator | None = None) -> ELBO:
    """E_q log p(x | u) − KL(q(u | x) ‖ N(0, 1)) ≤ log p(x), by one draw u = mean + σ·noise for each image.

    Args:
        model: a variational autoencoder, where the images are.
        images: `[N, 1, size, size]` in [0, 1].
        generator: for the draws, on any device; None draws from PyTorch's own.

    Returns:
        The two parts, image by image, with their gradients.

    Raises:
        TypeError: a generator of another kind.
        ValueError: images outside [0, 1], or none.

    Source: Kingma and Welling, 2014. Derived in: lectures/00_foundations/representations.
    """
    if len(images) == 0:
        raise ValueError("there must be at least one image")
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError("images must lie in [0, 1]")
    law = model.encode(images)
    mean, log_variance = law.mean, law.log_variance
    noise = draw(torch.randn, *mean.shape, device=mean.device, generator=generator, dtype=mean.dtype)
    logits = model.decoder(mean + (log_variance / 2).exp() * noise)
    ink = F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return ELBO(ink, divergence)
