"""The rule of Neural Cleanse beside the Adversarial Robustness Toolbox's, on the same masks.

Its search runs on Keras alone; what it does with the masks that were found is plain NumPy, and is compared here.
Where we differ, and why:

- It compares classes of which no trigger was found as if one had been; we leave them out.
- It calls the distance from the median an anomaly on either side, and then looks at the side; our index has a sign.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from tml_helpers.poisoning import ReconstructedTriggers

neural_cleanse = pytest.importorskip(
    "art.estimators.poison_mitigation.neural_cleanse.neural_cleanse", reason="the extra [peers] is not installed"
)


class Found(neural_cleanse.NeuralCleanseMixin):  # type: ignore[misc, name-defined]
    """Its rule, on masks that were found before."""

    def __init__(self, masks: Tensor) -> None:
        self.masks, self.nb_classes = masks.numpy(), len(masks)

    def generate_backdoor(
        self, x_val: np.ndarray, y_val: np.ndarray, y_target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        mask = self.masks[int(y_target.argmax())]
        return mask, np.zeros_like(mask)


@pytest.mark.parametrize("classes", [3, 10, 43])
@pytest.mark.parametrize("seed", range(20))
def test_the_same_classes_are_accused(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(classes, 8, 8, generator=generator, dtype=torch.float64)
    masks *= torch.rand(classes, 1, 1, generator=generator, dtype=torch.float64)
    masks[seed % classes] *= 0.01  # one class is far smaller, as after a backdoor
    theirs = [label for label, _, _ in Found(masks).outlier_detection(np.zeros(0), np.zeros(0))]
    ones = torch.ones(classes, dtype=torch.float64)
    ours = ReconstructedTriggers(masks, torch.zeros(classes, 1, 8, 8), ones, 0.95)
    assert (ours.anomaly_index > 2).nonzero().squeeze(1).tolist() == theirs
