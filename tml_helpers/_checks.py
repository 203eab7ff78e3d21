"""What every function that takes a model and images asks of them: an error is one sentence with its remedy."""

import torch
from torch import Tensor, nn


def check_images(model: nn.Module, images: Tensor) -> None:
    if not isinstance(images, Tensor) or images.dtype not in (torch.float32, torch.float64):
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images must be a float32 or float64 tensor, got {kind}: pass images.float()")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(f"images must be a non-empty [N, C, H, W] tensor, got shape {list(images.shape)}")
    lowest, highest = (float(bound) for bound in images.detach().aminmax())
    if not (lowest >= 0 and highest <= 1):  # false for NaN as well
        raise ValueError(
            f"images must lie in [0, 1], got values from {lowest:g} to {highest:g}: is a division missing?"
        )
    weight = next(model.parameters(), None)
    if weight is not None and (weight.dtype, weight.device) != (images.dtype, images.device):
        raise TypeError(
            f"the model is {weight.dtype} on {weight.device}, but the images are {images.dtype} on {images.device}: "
            "bring both to one"
        )


def check_labels(name: str, labels: Tensor, images: Tensor) -> None:
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"{name} must be an int64 tensor of class indices, got {kind}")
    if labels.shape != images.shape[:1] or labels.device != images.device:
        raise ValueError(
            f"{name} must have shape [{len(images)}] on {images.device}, got {list(labels.shape)} on {labels.device}"
        )
    if int(labels.min()) < 0:
        raise ValueError(f"{name} must be class indices of 0 or more, got {int(labels.min())}")
