"""A generator of digits, its inverter, and the weights that come with the book."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["GAN", "GAN_WEIGHTS", "Generator", "Inverter", "mnist_gan"]

GAN_WEIGHTS = Path(__file__).parents[1] / "weights/mnist_gan.pt"  # written by benchmarks/train_gan.py


class Generator(nn.Module):
    """z ↦ G(z): latents `[N, latent]`, standard normal, become digits `[N, 1, 28, 28]` in [0, 1].

    One linear layer and three transposed convolutions, 4×4 → 7×7 → 14×14 → 28×28; 136,953 parameters.

    Args:
        latent: how many numbers make an image, 1 or more.

    Raises:
        ValueError: no number.

    Source: Radford, Metz and Chintala, 2016.
    """

    def __init__(self, latent: int = 64) -> None:
        if latent < 1:
            raise ValueError(f"latent is how many numbers make an image, at least 1; got {latent}")
        super().__init__()
        self.latent = latent
        self.layers = nn.Sequential(
            nn.Linear(latent, 80 * 4 * 4),
            nn.Unflatten(1, (80, 4, 4)),
            nn.BatchNorm2d(80),
            nn.ReLU(),
            nn.ConvTranspose2d(80, 48, 3, stride=2, padding=1),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.ConvTranspose2d(48, 24, 4, stride=2, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.ConvTranspose2d(24, 1, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images


class Inverter(nn.Module):
    """x ↦ I(x): digits `[N, 1, 28, 28]` become latents `[N, latent]` whose image G(I(x)) is near x.

    The generator's convolutions the other way round; 135,512 parameters.

    Args:
        latent: how many numbers make an image, 1 or more.

    Source: Zhao, Dua and Singh, 2018.
    """

    def __init__(self, latent: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(  # 28×28 → 14×14 → 7×7 → 4×4 → latents
            nn.Conv2d(1, 24, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(24, 48, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(48, 80, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(80 * 4 * 4, latent),
        )

    def forward(self, images: Tensor) -> Tensor:
        latents: Tensor = self.layers(images)
        return latents


@dataclass(frozen=True)
class GAN:
    """A generator of images and the inverter that leads an image back to its latents."""

    generator: nn.Module
    inverter: nn.Module


def mnist_gan() -> GAN:
    """A generator of MNIST's digits and its inverter, in evaluation mode, with weights that come with the book.

    A Wasserstein GAN with gradient penalty, trained on MNIST's 60,000 images by `benchmarks/train_gan.py`, which
    measures how good it is: `benchmarks/results/gan.json`.

    Returns:
        Both networks, their parameters frozen.

    Source: Gulrajani et al., 2017; Zhao, Dua and Singh, 2018.
    """
    networks: dict[str, nn.Module] = {"generator": Generator(), "inverter": Inverter()}
    state = torch.load(GAN_WEIGHTS, map_location="cpu", weights_only=True)
    for name, network in networks.items():
        network.load_state_dict(state[name])  # float16 in the file, float32 here
        network.eval().requires_grad_(False)
    return GAN(**networks)
