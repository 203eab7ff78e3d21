"""A sound is an image of one row: the attacks of the chapter know nothing of width and height."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers.attacks import expectation_over_transformation, pgd


def ear(seed: int) -> nn.Module:
    """A random network on sixty samples, whatever their shape."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(60, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layers


def sounds(seed: int) -> tuple[Tensor, Tensor]:
    """Loud ones: many samples stand at the ends of the range."""
    generator = torch.Generator().manual_seed(seed)
    waves = 3 * torch.randn(4, 1, 1, 60, generator=generator, dtype=torch.float64)
    return (waves + 0.5).clamp(0, 1), torch.randint(3, (4,), generator=generator)


@given(seed=st.integers(0, 999), norm=st.sampled_from(["linf", "l2"]))
@settings(max_examples=15)
def test_a_changed_sound_is_a_sound_and_no_louder_than_was_said(seed: int, norm: str) -> None:
    """adversarial-robustness-toolbox #2002: what was added to a sound took it out of its range."""
    clean, labels = sounds(seed)
    epsilon = 0.1 if norm == "linf" else 0.6
    changed = pgd(ear(seed), clean, labels, epsilon=epsilon, norm=norm, steps=6)
    assert changed.min() >= 0
    assert changed.max() <= 1
    size = (changed - clean).flatten(1).norm(dim=1, p=torch.inf if norm == "linf" else 2)
    assert (size <= epsilon + 1e-9).all()
    assert (size > 0).all()


def test_one_row_and_many_rows_are_attacked_alike() -> None:
    clean, labels = sounds(5)
    settings = {"epsilon": 0.6, "norm": "l2", "steps": 5, "random_start": False}
    row, table = (pgd(ear(5), x, labels, **settings) for x in (clean, clean.view(4, 1, 6, 10)))
    assert torch.equal(row.flatten(), table.flatten())


def test_a_sound_that_is_made_for_late_rooms_leaves_what_no_room_lets_through() -> None:
    """A room that passes the second half of a sound alone: the first half is not touched, for it moves nothing."""
    clean, labels = sounds(7)
    heard = (torch.arange(60) >= 30).double()
    settings = {"epsilon": 0.6, "norm": "l2", "steps": 4, "samples": 2}
    changed = expectation_over_transformation(
        ear(7), clean, labels, transformations=[lambda x, generator: heard * x], **settings
    )
    moved = (changed - clean).abs()[:, 0, 0]
    assert moved[:, :30].max() == 0
    assert (moved[:, 30:].amax(1) > 0).all()


def test_each_step_draws_new_rooms_for_each_sound() -> None:
    """What was drawn once would be overfitted: adversarial-robustness-toolbox #2539, on places of a patch."""
    clean, labels = sounds(9)
    drawn: list[Tensor] = []

    def room(waves: Tensor, generator: torch.Generator | None) -> Tensor:
        drawn.append(torch.rand(len(waves), generator=generator))
        return waves * (0.5 + 0.5 * drawn[-1].view(-1, 1, 1, 1))

    generator = torch.Generator().manual_seed(1)
    settings = {"epsilon": 0.3, "steps": 3, "samples": 2, "generator": generator}
    expectation_over_transformation(ear(9), clean, labels, transformations=[room], **settings)
    loudness = torch.cat(drawn)
    assert len(loudness) >= 3 * 2 * 4
    assert len(loudness.unique()) == len(loudness)


@pytest.mark.parametrize("value", [-0.2, 1.3])
def test_samples_beyond_the_range_are_refused(value: float) -> None:
    clean, labels = sounds(3)
    clean[2, 0, 0, 7] = value
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        pgd(ear(3), clean, labels, epsilon=0.1)
