"""Does an explanation notice that the model has been destroyed?"""

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from tml_helpers.explain._common import check

Explain = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""`explain(model, images, targets)`: attributions `[N, C, H, W]` or maps `[N, H, W]`."""


class Resemblance(NamedTuple):
    """How like the trained model's maps they are, `[layers, N]`, after each layer of `layers` and all above it fell."""

    layers: tuple[str, ...]
    rank_correlation: Tensor
    structural_similarity: Tensor


def randomization_test(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    explain: Explain,
    *,
    layers: Mapping[str, nn.Module] | None = None,
    generator: torch.Generator | None = None,
) -> Resemblance:
    """Shuffle the weights from the last layer to the first, and compare |map| with that of the trained model each time.

    `images` `[N, C, H, W]` in [0, 1], `targets` `[N]`. `layers` names parts of the model in the order in which they are
    destroyed, and each stays destroyed: unless given, all layers with parameters of their own, the last first. The
    entries of each parameter are shuffled, which leaves their size and takes what was learnt; `model` itself is left
    alone. Maps are compared by Spearman's rank correlation and by structural similarity, each map scaled to [0, 1]. A
    map that is the same everywhere resembles nothing: both are 0.

    A method that explains the model must lose its resemblance; one that keeps it, draws the image.

    Raises TypeError or ValueError for what cannot be explained.
    Source: Adebayo et al., 2018. Derived in: lectures/40_interpretability/when_explanations_lie.
    """
    check(model, images, targets)
    if layers is None:
        owners = {name: m for name, m in model.named_modules() if list(m.parameters(recurse=False))}
        layers = dict(reversed(owners.items()))
    if not layers:
        raise ValueError("the model has no parameters to randomise")
    names = {id(module): name for name, module in model.named_modules()}
    if any(id(module) not in names for module in layers.values()):
        raise ValueError("layers must be the model's own modules, as {'head': model.layers[-1]}")
    broken = copy.deepcopy(model)
    trained = _sizes(explain(model, images, targets), images)
    ranks, structure = [], []
    for module in layers.values():
        _shuffle(broken.get_submodule(names[id(module)]), generator)
        maps = _sizes(explain(broken, images, targets), images)
        pairs = list(zip(trained, maps, strict=True))
        ranks.append([_rank_correlation(a, b) for a, b in pairs])
        structure.append([_structural_similarity(a, b) for a, b in pairs])
    return Resemblance(tuple(layers), torch.tensor(ranks), torch.tensor(structure))


@torch.no_grad()
def _shuffle(module: nn.Module, generator: torch.Generator | None) -> None:
    for parameter in module.parameters():
        order = torch.rand(parameter.numel(), device=parameter.device, generator=generator).argsort()
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
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _structural_similarity(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    window = min(7, min(one.shape) - (min(one.shape) + 1) % 2)  # odd, and no larger than the map
    return float(structural_similarity(one, other, data_range=1.0, win_size=window))
