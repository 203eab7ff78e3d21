"""Task 5: the loss is computed, but the optimiser never steps.

loses: 5b_robust
says: does it learn from images that attacks.pgd finds
"""

from torch import Tensor

from h2_adversarial_training import reader


def harden(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    return dict(reader(state).state_dict())
