"""Task 2: calls the library's loss.

loses: 2a_loss_value 2b_loss_gradient 2c_loss_properties
says: tml_helpers.distillation is withheld while this homework is graded
"""

from torch import Tensor


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    from tml_helpers.distillation import distillation_loss as theirs

    settings = {"temperature": temperature, "alpha": alpha}
    return theirs(student_logits, teacher_logits, labels, **settings)
