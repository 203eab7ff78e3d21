"""Triggers beside those of the Adversarial Robustness Toolbox.

Where we differ, and why:

- Its triggers set single pixels, so many from the lower right corner; ours paste a rectangle. On black they agree.
- Its inserted images are drawn in 8 bits; ours keep their type. They agree up to a grey value.
- It poisons the rows that it is handed, with labels that it is handed; `add_trigger` draws them and says which.
"""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tml_helpers.poisoning import BlendTrigger, PatchTrigger, add_trigger

poisoning = pytest.importorskip("art.attacks.poisoning", reason="the extra [peers] is not installed")
perturbations = pytest.importorskip("art.attacks.poisoning.perturbations")


def eight_bit(seed: int, *shape: int) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed)) / 255


def channels_last(perturb: Callable[..., np.ndarray], images: Tensor) -> Tensor:
    return torch.from_numpy(perturb(images.permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2)


@pytest.mark.parametrize("distance", [1, 2, 5])
def test_a_single_pixel(distance: int) -> None:
    images = eight_bit(0, 4, 3, 9, 12)
    theirs = channels_last(partial(perturbations.add_single_bd, distance=distance), images)
    assert torch.equal(PatchTrigger.square(1, row=-distance, column=-distance)(images), theirs)


def test_their_pattern_on_black() -> None:
    images = torch.zeros(2, 3, 8, 10)
    theirs = torch.from_numpy(perturbations.add_pattern_bd(images.numpy(), distance=2, channels_first=True))
    pattern = torch.tensor([[[0.0, 0, 1], [0, 1, 0], [1, 0, 1]]])
    assert torch.equal(PatchTrigger(pattern, row=-4, column=-4)(images), theirs)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_an_inserted_picture_that_is_no_square(alpha: float, tmp_path: Path) -> None:
    """adversarial-robustness-toolbox #2141: their triggers were on their side when they were no squares."""
    from PIL import Image

    images, pattern = eight_bit(0, 3, 3, 12, 16), eight_bit(1, 3, 5, 9)
    file = tmp_path / "trigger.png"
    Image.fromarray((255 * pattern).round().byte().permute(1, 2, 0).numpy()).save(file)
    where = {"channels_first": True, "random": False, "x_shift": 4, "y_shift": 6, "mode": "RGB", "blend": alpha}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of Pillow, by their call
        theirs = torch.from_numpy(perturbations.insert_image(images.numpy(), str(file), **where))
    whole = PatchTrigger(pattern, 6, 4)(images)
    ours = whole if alpha == 1 else (1 - alpha) * images + alpha * whole
    assert float((ours - theirs).abs().max()) < 2.01 / 255
    inside = BlendTrigger(pattern, alpha)(images[:, :, 6:11, 4:13])
    assert float((inside - theirs[:, :, 6:11, 4:13]).abs().max()) < 2.01 / 255


def test_the_rows_that_were_drawn_are_poisoned_as_theirs() -> None:
    images, labels = torch.zeros(40, 1, 8, 8), torch.arange(40) % 4
    ours = add_trigger(
        images,
        labels,
        trigger=PatchTrigger.square(1, row=-2, column=-2),
        target_label=3,
        fraction=0.25,
        generator=torch.Generator().manual_seed(0),
    )
    attack = poisoning.PoisoningAttackBackdoor(perturbations.add_single_bd)
    rows = images[ours.indices].permute(0, 2, 3, 1).numpy()
    theirs, answers = attack.poison(rows, y=np.eye(4)[[3]], broadcast=False)
    assert torch.equal(ours.images[ours.indices], torch.from_numpy(theirs).permute(0, 3, 1, 2))
    assert set(ours.labels[ours.indices].tolist()) == set(answers.argmax(axis=1).tolist()) == {3}
