"""Task 5: the images under attack were made for the network before it was hardened.

loses: 5a_reported
says: attack the hardened network itself
"""

from torch import Tensor

from h2_adversarial_training import attacks, reader, share_right, start


def measure(
    state: dict[str, Tensor], epsilon: float, images: Tensor, labels: Tensor
) -> dict[str, float]:
    model = reader(start)
    pictures = {
        "natural": images,
        "fgsm": attacks.fgsm(model, images, labels, epsilon=epsilon),
        "pgd": attacks.pgd(model, images, labels, epsilon=epsilon, steps=20),
    }
    return {name: share_right(state, x, labels) for name, x in pictures.items()}
