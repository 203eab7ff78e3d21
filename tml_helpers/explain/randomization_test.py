"""Does an explanation notice that the model has been destroyed?"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers.common import Layer, draw, layer_names
from tml_helpers.explain._common import check_explainable

Explain = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""`explain(model, images, targets)`: attributions `[N, C, H, W]` or maps `[N, H, W]`."""


@dataclass(frozen=True, eq=False)
class Resemblance:
    """How like those of the trained model the maps of N images are, after each of L layers has been shuffled, too."""

    layers: tuple[str, ...]
    """Their names, in the order in which they were shuffled."""
    rank_correlation: Tensor
    """Spearman's, `[L, N]`, from −1 to 1."""
    structural_similarity: Tensor
    """`[L, N]`, from −1 to 1."""


def randomization_test(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    explain: Explain,
    layers: Sequence[Layer] | None = None,
    generator: torch.Generator | None = None,
) -> Resemblance:
    """Shuffle the weights from the last layer to the first, and compare |map| with that of the trained model each time.

    The entries of each parameter are shuffled, which leaves their size and takes what was learnt. A method that
    explains the model must lose its resemblance; one that keeps it draws the image alone.

    Args:
        model: as of `saliency`; it is copied, and left alone.
        images, targets: as of `saliency`.
        explain: `explain(model, images, targets)` gives attributions `[N, C, H, W]` or maps `[N, H, W]`.
        layers: modules of the model, or their names in `model.named_modules()`, in the order in which they are shuffled
            with all that they hold; each stays so. Unless given, all with parameters of their own, the last first.
        generator: draws the orders, on any device.

    Returns:
        Spearman's rank correlation and structural similarity, each map scaled to [0, 1] before. A map that is the same
        everywhere resembles nothing: both are 0.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, a layer that the model lacks, no parameters, or maps of another shape.

    Source: Adebayo et al., 2018. Derived in: lectures/40_interpretability/when_explanations_lie
    """
    check_explainable(model, images, targets)
    if layers is None:
        names = [name for name, m in model.named_modules() if list(m.parameters(recurse=False))][::-1]
    else:
        names = layer_names(model, layers)
    if not any(True for name in names for _ in model.get_submodule(name).parameters()):
        raise ValueError("the layers have no parameters to shuffle")
    broken = copy.deepcopy(model)
    trained = _sizes(explain(model, images, targets), images)
    ranks, structure = [], []
    for name in names:
        _shuffle(broken.get_submodule(name), generator)
        maps = _sizes(explain(broken, images, targets), images)
        pairs = list(zip(trained, maps, strict=True))
        ranks.append([_rank_correlation(a, b) for a, b in pairs])
        structure.append([_structural_similarity(a, b) for a, b in pairs])
    return Resemblance(
        tuple(names), *(torch.tensor(one, dtype=torch.float64, device="cpu") for one in (ranks, structure))
    )


@torch.no_grad()
def _shuffle(module: nn.Module, generator: torch.Generator | None) -> None:
    for parameter in module.parameters():
        drawn = draw(torch.rand, parameter.numel(), device=parameter.device, generator=generator, dtype=torch.float32)
        order = drawn.argsort()
        parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _sizes(maps: Tensor, images: Tensor) -> np.ndarray:
    """|map|, the largest over channels, scaled to [0, 1]: `[N, H, W]`."""
    if not isinstance(maps, Tensor) or maps.shape not in (images.shape, (len(images), *images.shape[2:])):
        got = list(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"explain must return [N, C, H, W] or [N, H, W] for images {list(images.shape)}, got {got}")
    sizes = maps.detach().abs()
    sizes = sizes.amax(dim=1) if sizes.ndim == 4 else sizes
    lowest, highest = sizes.amin(dim=(1, 2), keepdim=True), sizes.amax(dim=(1, 2), keepdim=True)
    scaled: np.ndarray = ((sizes - lowest) / (highest - lowest).clamp_min(1e-30)).double().cpu().numpy()
    return scaled


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _structural_similarity(one: np.ndarray, other: np.ndarray) -> float:
    from skimage.metrics import structural_similarity

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    window = min(7, min(one.shape) - (min(one.shape) + 1) % 2)  # odd, and no larger than the map
    return float(structural_similarity(one, other, data_range=1.0, win_size=window))
