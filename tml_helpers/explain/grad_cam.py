"""Feature maps, weighted by how much the answer gains from each."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.explain._common import check, finite, scores
from tml_helpers.training import evaluating


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, *, layer: nn.Module | None = None) -> Tensor:
    """max(0, Σ_k α_k A_k), where A are the features of `layer` and α_k is the mean of ∂z_t / ∂A_k over its positions.

    `images` `[N, C, H, W]` in [0, 1], `targets` `[N]`; returns `[N, H, W]`, 0 or more, enlarged bilinearly. `layer` is
    the model's last convolution unless given; its output must be `[N, K, h, w]`.

    Raises ValueError where there is no convolution, or the layer is not the model's; TypeError or ValueError for what
    cannot be explained.
    Source: Selvaraju et al., 2017. Derived in: lectures/40_interpretability/attributions.
    """
    check(model, images, targets)
    layer = layer or _last_convolution(model)
    if all(layer is not module for module in model.modules()):
        raise ValueError("layer must be one of the model's own modules, as model.layers[4]")
    outputs: list[Tensor] = []

    def watch(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            kind = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"the layer must return maps [N, K, h, w], got {kind}: name a convolution or a block")
        outputs.append(output.detach().requires_grad_())  # the graph starts here, even where parameters are frozen
        return outputs[-1].clone()  # what follows may work in place

    hook = layer.register_forward_hook(watch)
    try:
        with evaluating(model), torch.enable_grad():
            value = scores(model(images.detach().clone()), targets).sum()
    finally:
        hook.remove()
    if not outputs:
        raise ValueError("the layer takes no part in the model's answer")
    features = outputs[-1]
    gradient = torch.autograd.grad(value, features, allow_unused=True)[0] if value.requires_grad else None
    if gradient is None:
        return torch.zeros_like(images[:, 0])
    weights = finite(gradient).mean(dim=(2, 3), keepdim=True)  # α: (n, k, 1, 1)
    maps = (weights * features.detach()).sum(dim=1, keepdim=True).relu()
    return F.interpolate(maps.to(images.dtype), images.shape[2:], mode="bilinear").squeeze(1)


def _last_convolution(model: nn.Module) -> nn.Module:
    for layer in reversed(list(model.modules())):
        if isinstance(layer, nn.Conv2d):
            return layer
    raise ValueError("the model has no convolution: name a layer that returns maps [N, K, h, w], or use saliency")
