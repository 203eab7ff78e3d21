"""The gradient of an answer with respect to the pixels."""

from torch import Tensor, nn

from tml_helpers.explain._common import check_explainable, input_gradients, warn_of_no_gradient


def saliency(model: nn.Module, images: Tensor, targets: Tensor, *, absolute: bool = True) -> Tensor:
    """|∂z_t / ∂x|: how fast the target's logit moves with each value of the image.

    Args:
        model: maps images to logits `[N, K]`.
        images: `[N, C, H, W]` in [0, 1], float32 or float64, where the model is.
        targets: the classes t that are explained, `[N]`, int64.
        absolute: False keeps the sign.

    Returns:
        `[N, C, H, W]`, logits for a step of 1 in a pixel. For one map of an image, take the largest value over its
        channels, as the paper does. Zeros, with a `GradientMaskingWarning`, where the logit has no gradient.

    Raises:
        TypeError: another kind, type or device.
        ValueError: another shape, values outside [0, 1], a class that the model lacks, or what is not finite.

    Source: Simonyan, Vedaldi and Zisserman, 2014. Derived in: lectures/40_interpretability/attributions
    """
    check_explainable(model, images, targets)
    gradient = input_gradients(model, images, targets)
    warn_of_no_gradient(gradient)
    return gradient.abs() if absolute else gradient
