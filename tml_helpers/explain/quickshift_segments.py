"""Superpixels: regions of an image that have nearly one colour."""

import torch
from torch import Tensor


def quickshift_segments(images: Tensor) -> Tensor:
    """Every pixel climbs to the nearest one in a denser part of space and colour; the trees that arise are superpixels.

    By quickshift, with the settings of the package lime. Trees are cut where a branch is long. The same image gives
    the same segments.

    Args:
        images: `[N, 1 or 3, H, W]` in [0, 1], on any device.

    Returns:
        int64 `[N, H, W]`, each image's superpixels counted from 0; on the images' device.

    Raises:
        ValueError: another shape.

    Source: Vedaldi and Soatto, 2008. Derived in: lectures/40_interpretability/lime
    """
    from skimage.segmentation import quickshift

    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"superpixels are found in images [N, 1 or 3, H, W], got shape {list(images.shape)}: pass segments"
        )
    pixels = images.detach().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()
    found = [torch.from_numpy(quickshift(p, kernel_size=4, max_dist=200, ratio=0.2, rng=42)) for p in pixels]
    return torch.stack(found).to(images.device, torch.int64)
