"""Feature maps, weighted by how much the answer gains from each."""

from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import Layer, check_gradient, differentiable, input_gradient, layer_names
from tml_helpers.explain._common import check_explainable, scores, warn_of_no_gradient


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, *, layer: Layer | None = None) -> Tensor:
    """max(0, Σ_k α_k A_k), where A are the features of `layer` and α_k is the mean of ∂z_t / ∂A_k over its positions.

    Args:
        model, images, targets: as of `saliency`.
        layer: a module of the model, or its name in `model.named_modules()`, which returns maps `[N, K, h, w]`: the
            last convolution unless given.

    Returns:
        `[N, H, W]`, 0 or more, enlarged bilinearly. Zeros, with a `GradientMaskingWarning`, where the logit has no
        gradient with respect to the features.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, no convolution, or a layer that the model lacks or that returns no maps.

    Source: Selvaraju et al., 2017. Derived in: lectures/40_interpretability/attributions
    """
    check_explainable(model, images, targets)
    module = _last_convolution(model) if layer is None else model.get_submodule(layer_names(model, [layer])[0])
    outputs: list[Tensor] = []

    def watch(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            kind = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"the layer must return maps [N, K, h, w], got {kind}: name a convolution or a block")
        outputs.append(output.detach().requires_grad_())  # the graph starts here, even where parameters are frozen
        return outputs[-1].clone()  # what follows may work in place

    hook = module.register_forward_hook(watch)
    try:
        with differentiable(model):
            value = scores(model(images.detach().clone()), targets).sum()
    finally:
        hook.remove()
    if not outputs:
        raise ValueError("the layer takes no part in the model's answer")
    features = outputs[-1]
    gradient = check_gradient(input_gradient(value, features))
    warn_of_no_gradient(gradient)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # α: (n, k, 1, 1)
    maps = (weights * features.detach()).sum(dim=1, keepdim=True).relu()
    return F.interpolate(maps.to(images.dtype), images.shape[2:], mode="bilinear").squeeze(1)


def _last_convolution(model: nn.Module) -> nn.Module:
    for layer in reversed(list(model.modules())):
        if isinstance(layer, nn.Conv2d):
            return layer
    raise ValueError("the model has no convolution: name a layer that returns maps [N, K, h, w], or use saliency")
