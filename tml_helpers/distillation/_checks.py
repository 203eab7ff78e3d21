"""What the distillations ask of their numbers, tensors and networks: an error is one sentence with its remedy."""

import math

from torch import Tensor, nn

from tml_helpers.common import check_numbers
from tml_helpers.training import predict


def check_blend(temperature: float, alpha: float) -> None:
    """T and α, the two numbers of a blend of soft answers and labels.

    Args:
        temperature: T > 0.
        alpha: α in [0, 1].

    Raises:
        TypeError: what is no number.
        ValueError: a number out of its range.
    """
    check_numbers(temperature=temperature, alpha=alpha)
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, got {temperature}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")


def check_floating(name: str, tensor: Tensor) -> None:
    """A floating-point tensor.

    Args:
        name: what the caller calls it.
        tensor: of any shape.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {kind}")


def check_networks(**networks: nn.Module) -> None:
    """Modules.

    Args:
        networks: by name, as `student=…`.

    Raises:
        TypeError: anything else, as a function.
    """
    for name, network in networks.items():
        if not isinstance(network, nn.Module):
            raise TypeError(f"{name} must be a torch.nn.Module, got {type(network).__name__}")


def check_student(student: nn.Module, teacher: nn.Module) -> None:
    """A student with something to learn that its teacher does not have: the teacher stays as it is.

    Args:
        student: is trained.
        teacher: is asked.

    Raises:
        TypeError: what is no module.
        ValueError: nothing to train, or a parameter that both have and the student would train.
    """
    check_networks(student=student, teacher=teacher)
    trained = {id(p) for p in student.parameters() if p.requires_grad}
    if not trained:
        raise ValueError("the student has no parameters to train")
    if trained & {id(p) for p in teacher.parameters()}:
        raise ValueError("student and teacher share parameters: pass two networks, as copy.deepcopy makes one")


def ask(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's logits, as `training.predict` asks for them.

    Args:
        teacher: maps images to logits.
        images: `[N, …]`, at least one.

    Returns:
        `[N, K]`, where the teacher is.

    Raises:
        ValueError: no images, or answers that are NaN.
    """
    logits = predict(teacher, images)
    if logits.isnan().any():
        raise ValueError("the teacher's answers are NaN: has it been trained, and are its images finite?")
    return logits
