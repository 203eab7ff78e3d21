"""Gradient matching beside that of the Adversarial Robustness Toolbox, for the same surrogate and images.

Where we differ, and why:

- It takes the cosine batch by batch, so that its poison depends on the size of a batch; ours is of the whole poison.
- It draws the images that are changed; ours takes those of the largest loss, and draws where that is asked for.
- It has one surrogate, and keeps δ within ε by tanh; ours cuts it.
"""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tml_helpers.poisoning import gradient_alignment, gradient_matching

attacks = pytest.importorskip("art.attacks.poisoning", reason="the extra [peers] is not installed")
classifiers = pytest.importorskip("art.estimators.classification")

EPSILON = 0.3


def task(seed: int) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A small network, 30 images of three classes, and a target that it gives class 1 or 2."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(30, 1, 6, 6, generator=generator)
    torch.manual_seed(seed)
    last = nn.Linear(16, 3)
    last.bias.data[0] = -2
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), last)
    return model, images, torch.arange(30) % 3, torch.rand(1, 6, 6, generator=generator)


def theirs(model: nn.Module, **how: Any) -> Any:
    wrapped = classifiers.PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 6, 6), 3, clip_values=(0, 1), device_type="cpu"
    )
    return attacks.GradientMatchingAttack(wrapped, percent_poison=0.2, epsilon=EPSILON, verbose=0, **how)


@pytest.mark.parametrize("seed", range(3))
def test_one_minus_their_objective_is_the_alignment(seed: int) -> None:
    model, images, labels, target = task(seed)
    attack, own = theirs(model), images[labels == 0]
    attack._initialize_poison(target[None].numpy(), np.array([0]), own.numpy(), np.zeros(len(own), dtype=np.int64))
    places, zeros = torch.arange(len(own))[:, None], torch.zeros(len(own), dtype=torch.int64)
    attack.backdoor_model.noise_embedding.embedding_layer.weight.data.normal_(std=0.5)
    objective, poisoned = attack.backdoor_model(own, places, zeros, attack.grad_ws_norm)
    ours = gradient_alignment(model, poisoned.detach(), zeros, target_image=target, target_label=0)
    assert abs(1 - float(objective.detach()) - ours) < 1e-5


def test_both_align_what_they_change() -> None:
    model, images, labels, target = task(0)
    goal: dict[str, Any] = {"target_image": target, "target_label": 0}
    attack = theirs(model, max_trials=1, max_epochs=15, learning_rate_schedule=([0.1], [15]))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        changed, _ = attack.poison(target[None].numpy(), np.array([0]), images.numpy(), labels.numpy())
    poisoned = torch.from_numpy(changed)
    places = ((poisoned - images).abs().amax(dim=(1, 2, 3)) > 0).nonzero()[:, 0]
    assert bool((labels[places] == 0).all())
    before, after = (gradient_alignment(model, x[places], labels[places], **goal) for x in (images, poisoned))
    assert after > before
    ours = gradient_matching(
        model,
        images,
        labels,
        **goal,
        fraction=0.2,
        epsilon=EPSILON,
        bases="random",
        steps=15,
        generator=torch.Generator().manual_seed(0),
    )
    assert len(ours.indices) == len(places)
    assert ours.after[0] > ours.before[0]
