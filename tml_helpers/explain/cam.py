"""The map that is hidden in a linear head after an average."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import evaluating
from tml_helpers.explain._common import check_explainable, scores

SHAPE = "classic CAM needs convolutions, their mean over all positions and one linear layer: use grad_cam"


@torch.no_grad()
def cam(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Σ_k w_{t,k} A_k(i, j): the target's row of the linear head, applied at every position of the last features A.

    Args:
        model: as of `saliency`; it must end with the mean of its features over all positions and one linear layer.
        images, targets: as of `saliency`.

    Returns:
        `[N, H, W]`, signed, enlarged bilinearly. Before that, the mean over a map plus the head's bias is the target's
        logit: the map says where the logit comes from.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, or a model of another shape.

    Source: Zhou et al., 2016. Derived in: lectures/40_interpretability/attributions
    """
    check_explainable(model, images, targets)
    head = next((layer for layer in reversed(list(model.modules())) if isinstance(layer, nn.Linear)), None)
    if head is None:
        raise ValueError(f"the model has no linear layer: {SHAPE}")
    features, pooled, logits = _last_features(model, images.detach(), head)
    scores(logits, targets)
    if pooled is None or not torch.allclose(head(pooled), logits, rtol=1e-3, atol=1e-3):
        raise ValueError(f"the model's answer is not that of its last linear layer: {SHAPE}")
    for maps in features:
        mean = maps.mean(dim=(2, 3))
        if mean.shape == pooled.shape and torch.allclose(
            mean, pooled, rtol=1e-2, atol=1e-3 * float(pooled.abs().max())
        ):
            weights = head.weight[targets].to(maps.dtype)
            small = torch.einsum("nk,nkhw->nhw", weights, maps)
            return F.interpolate(small[:, None].to(images.dtype), images.shape[2:], mode="bilinear").squeeze(1)
    raise ValueError(f"the last linear layer does not read the mean of a convolution's features: {SHAPE}")


def _last_features(model: nn.Module, images: Tensor, head: nn.Linear) -> tuple[list[Tensor], Tensor | None, Tensor]:
    """What may be the features before the mean, the largest maps first; what the head read; and the logits."""
    found: list[Tensor] = []
    read: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] == head.in_features:
            found.append(output)  # not a copy: a ReLU that works in place leaves here what the mean is taken of

    hooks = [m.register_forward_hook(keep) for m in model.modules() if m is not head]
    hooks.append(head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0])))
    try:
        with evaluating(model):
            logits = model(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    maps = [output for output in found if output[0, 0].numel() > 1]  # what the pool returns has one position
    return sorted(maps, key=lambda output: -output[0, 0].numel()), read[-1] if read else None, logits
