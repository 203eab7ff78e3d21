"""The gradient of a model's answer with respect to its input, also where there is none."""

import contextlib
import traceback
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn


class GradientMaskingWarning(UserWarning):
    """The gradient says nothing about where to go: the model may be constant, untrained, or hide its gradients."""


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode; afterwards every layer is back in the mode that it had.

    Args:
        model: the network.

    Yields:
        Nothing.

    Raises:
        ValueError: the model cannot read its input, as one of other channels or sizes.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    except RuntimeError as error:
        if type(error) is not RuntimeError or not raised_within(model, error):  # its kinds have a meaning of their own
            raise
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the model cannot read its input, as it is with other channels or sizes: {reason}") from error
    finally:
        for module, mode in modes:
            module.training = mode


def raised_within(model: nn.Module, error: BaseException) -> bool:
    """Whether an error comes from a call of the model."""
    return any(frame.f_locals.get("self") is model for frame, _ in traceback.walk_tb(error.__traceback__))


@contextlib.contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Inside, the model answers in evaluation mode and gradients are on; afterwards each layer is in its own mode.

    Differentiate with respect to inputs alone, by `torch.autograd.grad`: parameters keep their gradients.

    Args:
        model: the network.

    Yields:
        Nothing.
    """
    with evaluating(model), torch.enable_grad():
        yield


def input_gradient(value: Tensor, leaf: Tensor, *, again: bool = False) -> Tensor:
    """∂value/∂leaf; zeros where the value does not depend on the leaf, or only through an argmax or the like.

    Args:
        value: a scalar.
        leaf: the input, with `requires_grad`.
        again: keep the graph, to be asked for another value's gradient.

    Returns:
        The gradient, of the leaf's shape.
    """
    gradient = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, leaf, retain_graph=again, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def answer_and_gradient(
    model: Callable[[Tensor], Tensor], inputs: Tensor, objective: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """f(x), and the gradient of Σ objective(f(x)) with respect to x; to be called inside `differentiable(model)`.

    Args:
        model: f, a network or any function of its input; it sees a copy, for it may work in place.
        inputs: x, any shape.
        objective: of the answer, one number for each input or one for all.

    Returns:
        The answer, without its graph, and the gradient, of the inputs' shape: zeros where there is none.
    """
    leaf = inputs.detach().requires_grad_()
    answer = model(leaf.clone())
    gradient = input_gradient(objective(answer).sum(), leaf)  # the objective may refuse what is no tensor
    return answer.detach(), gradient


def warn_of_masking(
    gradient: Tensor,
    needed: Tensor | None = None,
    *,
    so: str = "a failed attack proves nothing; try one without gradients, as attacks.square",
) -> None:
    """Warn where an input that needs a gradient has one of zeros only.

    Args:
        gradient: `[N, …]`.
        needed: `[N]`, bool, which inputs need one; None for all.
        so: what follows from it, for the warning.
    """
    lost = (gradient.flatten(1) == 0).all(dim=1)
    count = int((lost if needed is None else lost & needed).sum())
    if count:
        warnings.warn(
            f"the gradient is zero for {count} of {len(gradient)} images: the model is constant there or masks its "
            f"gradients, so {so}",
            GradientMaskingWarning,
            stacklevel=4,
        )


def check_gradient(result: Tensor) -> Tensor:
    """What was made of a model's gradient, unless it is no number.

    Args:
        result: any shape.

    Returns:
        The same.

    Raises:
        ValueError: it is not finite.
    """
    if not torch.isfinite(result).all():
        raise ValueError("the model's gradient is not a number for some images: does it divide by zero or take log(0)?")
    return result
