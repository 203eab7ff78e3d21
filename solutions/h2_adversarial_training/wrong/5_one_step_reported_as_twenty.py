"""Task 5: one step is reported as twenty, which looks better.

loses: 5a_reported
says: the accuracy under PGD is not that of your network
"""

from torch import Tensor

from h2_adversarial_training import attacks, reader, share_right


def measure(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, float]:
    model = reader(state)
    once = attacks.fgsm(model, images, labels, epsilon=epsilon)
    shares = share_right(state, images, labels), share_right(state, once, labels)
    return {"natural": shares[0], "fgsm": shares[1], "pgd": shares[1]}
