"""The gradient of an answer with respect to the pixels."""

from torch import Tensor, nn

from tml_helpers.explain._common import check, input_gradients


def saliency(model: nn.Module, images: Tensor, targets: Tensor, *, absolute: bool = True) -> Tensor:
    """|∂z_t / ∂x|: how fast the target's logit moves with each value of the image.

    `images` `[N, C, H, W]` in [0, 1], `targets` `[N]`; returns `[N, C, H, W]`. `absolute=False` keeps the sign. For
    one map of an image, take the largest value over its channels, as the paper does.

    Raises TypeError or ValueError for what cannot be explained.
    Source: Simonyan, Vedaldi and Zisserman, 2014. Derived in: lectures/40_interpretability/attributions.
    """
    check(model, images, targets)
    gradient = input_gradients(model, images, targets)
    return gradient.abs() if absolute else gradient
