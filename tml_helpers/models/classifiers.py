"""Small classifiers: images in [0, 1] go in, logits come out; each network carries its own normalisation."""

import itertools

from torch import Tensor, nn

from tml_helpers.common import check_counts
from tml_helpers.models.normalize import STATISTICS, Normalize

__all__ = ["MLP", "CourseCNN", "SmallCNN"]


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


class CourseCNN(nn.Module):
    """Three convolutions without padding and two linear layers: 32×32 colour images to logits; 122,570 parameters.

    The sizes are 32 → 30 → 15 → 13 → 6 → 4: a convolution of 3×3 takes off two pixels, a pooling halves and rounds
    down. 4·4·64 = 1,024 numbers are left for 64 hidden units.

    Takes images `[N, 3, 32, 32]` in [0, 1]; returns logits `[N, classes]`.

    Args:
        classes: 1 or more.

    Raises:
        ValueError: no class.

    Derived in: lectures/00_foundations/convolution.
    """

    def __init__(self, classes: int = 10) -> None:
        check_counts(classes=classes)
        super().__init__()
        self.layers = nn.Sequential(
            Normalize(*STATISTICS["cifar10"]),
            nn.Conv2d(3, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * 4 * 64, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits
