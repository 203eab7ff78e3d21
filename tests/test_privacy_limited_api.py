"""What a limited interface shows, against what a reader could write down by hand, and what it never gives away."""

import copy
import math
import warnings
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers import attacks
from tml_helpers.common import GradientMaskingWarning
from tml_helpers.privacy import LimitedAPI, QueryLimitError


class Says(nn.Module):
    """Answers with the logarithms of the probabilities that stand in its input, `[N, K]`."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows.log()


def shown(probabilities: list[list[float]], **limits: Any) -> list[list[float]]:
    rows = torch.tensor(probabilities, dtype=torch.float64)
    return [[round(p, 9) for p in row] for row in LimitedAPI(Says(), **limits)(rows).exp().tolist()]


ROW = [0.62, 0.25, 0.124, 0.006]


def test_what_is_shown_by_hand() -> None:
    """The sums: what is left of 1 is spread over what is hidden."""
    assert shown([ROW]) == [ROW]
    assert shown([ROW], top=1) == [[0.62, *[round(0.38 / 3, 9)] * 3]]
    assert shown([ROW], top=2) == [[0.62, 0.25, 0.065, 0.065]]
    assert shown([ROW], top=4) == [ROW]
    assert shown([ROW], decimals=2) == [[0.62, 0.25, 0.12, 0.01]]
    assert shown([ROW], decimals=1) == [[0.6, 0.2, 0.1, 0.1]]  # 0.1 is left for the one that is shown as 0
    assert shown([ROW], clip=0.6) == [[0.6, 0.25, round(0.4 / 3, 9), round(0.4 / 3, 9)]]
    assert shown([ROW], clip=0.6, decimals=1, top=1) == [[0.6, *[round(0.4 / 3, 9)] * 3]]


def test_zeros_have_a_logarithm() -> None:
    """1.00, 0.00, 0.00: half a unit of the last digit is spread over the zeros."""
    assert shown([[0.998, 0.001, 0.001]], decimals=2) == [[1.0, 0.0025, 0.0025]]
    everything = LimitedAPI(Says(), top=1)(torch.tensor([[1.0, 1e-30, 1e-30]]))
    assert torch.isfinite(everything).all()


def test_all_rounded_to_zero_names_the_class_and_no_more() -> None:
    flat = torch.full((3, 11), 1 / 11)
    flat[0, 4], flat[1, 10], flat[2, 0] = 0.1, 0.1, 0.1
    answers = LimitedAPI(Says(), decimals=0)(flat)
    assert answers.argmax(dim=1).tolist() == [4, 10, 0]
    torch.testing.assert_close(answers.exp(), torch.full((3, 11), 1 / 11))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 12),
    top=st.sampled_from([None, 1, 2]),
    decimals=st.sampled_from([None, 0, 1, 2, 5, 15]),
    clip=st.sampled_from([None, 0.5, 0.9]),
    double=st.booleans(),
)
def test_laws(seed: int, classes: int, top: int | None, decimals: int | None, clip: float | None, double: bool) -> None:
    """Whatever the limits: finite, of the model's class, each input by itself, no more different numbers than said."""
    if clip is not None and decimals is not None and round(clip, decimals) != clip:
        clip = None
    generator = torch.Generator().manual_seed(seed)
    kind = torch.float64 if double else torch.float32
    logits = 4 * torch.randn(9, classes, generator=generator, dtype=kind)
    logits[0] = 0  # all equal
    logits[1] = torch.tensor([300.0] + [0.0] * (classes - 1))
    logits[2, :2] = logits[2].max() + 1  # a tie of the first two
    api = LimitedAPI(nn.Identity(), top=top, decimals=decimals, clip=clip)
    answers = api(logits)
    assert answers.dtype == kind
    assert torch.isfinite(answers).all()
    assert torch.equal(answers.argmax(dim=1), logits.argmax(dim=1))
    if top is not None:
        assert all(len(set(row)) <= top + 1 for row in answers.tolist())
    if clip is not None:
        assert answers.exp().max() <= clip * (1 + 1e-6)
    alone = torch.cat([api(row[None]) for row in logits])
    assert torch.equal(alone, answers)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), decimals=st.integers(1, 4))
def test_nobody_learns_more_than_the_digits(seed: int, decimals: int) -> None:
    """Two models whose rounded confidences are equal are the same behind the counter."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(5, 4, generator=generator, dtype=torch.float64).softmax(dim=1)
    digits = (first * 10**decimals).round() / 10**decimals
    second = torch.where(digits > 0, digits, 1e-9)
    second[torch.arange(5), first.argmax(dim=1)] += 1e-9  # the same first choice
    other = second / second.sum(dim=1, keepdim=True)
    same = ((other * 10**decimals).round() / 10**decimals == digits).all(dim=1)
    api = LimitedAPI(Says(), decimals=decimals)
    assert torch.equal(api(first)[same], api(other)[same])


def test_a_batch_is_rounded_row_by_row() -> None:
    """ART 1675: a defence of its answers divided by the sum over the batch, and was wrong for more than one input."""
    rows = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    for limits in ({"top": 1}, {"decimals": 1}, {"clip": 0.5}, {"top": 2, "decimals": 2, "clip": 0.9}):
        answers = LimitedAPI(Says(), **limits)(rows)
        torch.testing.assert_close(answers, torch.cat([LimitedAPI(Says(), **limits)(row[None]) for row in rows]))
        if limits != {"top": 2, "decimals": 2, "clip": 0.9}:
            assert (answers.exp().sum(dim=1) - 1).abs().max() < 0.3


def test_the_limit_is_never_passed() -> None:
    api = LimitedAPI(nn.Identity(), max_queries=10)
    rows = torch.zeros(6, 3)
    api(rows)
    with refuses(QueryLimitError, "6 of 10", "no answer for 6"):
        api(rows)
    assert api.queries == 6
    assert api(rows[:4]).shape == (4, 3)
    with pytest.raises(QueryLimitError):
        api(rows[:1])
    api.reset()
    assert api.queries == 0
    assert len(api(rows)) == 6
    with pytest.raises(QueryLimitError):
        LimitedAPI(nn.Identity(), max_queries=0)(rows[:1])


def test_beyond_the_limit_the_model_is_not_even_asked() -> None:
    asked: list[int] = []
    model = nn.Identity()
    model.register_forward_hook(lambda *_: asked.append(1))
    with pytest.raises(QueryLimitError):
        LimitedAPI(model, max_queries=5)(torch.zeros(6, 3))
    assert not asked


def test_an_answer_that_fails_is_not_counted() -> None:
    api = LimitedAPI(nn.Identity(), max_queries=5)
    with refuses(ValueError, "logits"):
        api(torch.full((2, 3), math.nan))
    with refuses(ValueError, "logits"):
        api(torch.zeros(2, 1))
    assert api.queries == 0


def test_copies_share_the_count_and_weights_carry_none() -> None:
    """A copy, or a checkpoint, would be a way to ask for ever."""
    api = LimitedAPI(nn.Linear(3, 2), max_queries=4)
    twin, shallow = copy.deepcopy(api), copy.copy(api)
    twin(torch.zeros(3, 3))
    assert api.queries == twin.queries == shallow.queries == 3
    assert set(api.state_dict()) == {"model.weight", "model.bias"}
    api.load_state_dict(twin.state_dict())
    assert api.queries == 3
    with pytest.raises(QueryLimitError):
        api(torch.zeros(2, 3))
    assert LimitedAPI(api.model, max_queries=4).queries == 0


@pytest.mark.parametrize("limits", [{}, {"top": 1}, {"decimals": 2}, {"clip": 0.9}, {"max_queries": 10**6}])
def test_no_gradient_and_a_warning_in_place_of_a_wrong_one(limits: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    api = LimitedAPI(model, **limits)
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = model(images).argmax(dim=1)
    assert not api(images.clone().requires_grad_()).requires_grad
    with pytest.warns(GradientMaskingWarning, match="zero for 2 of 2"):
        found = attacks.fgsm(api, images, labels, epsilon=0.1)
    assert torch.equal(found, images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attacks.square(api, images, labels, epsilon=0.1, queries=5)


def test_it_answers_in_evaluation_mode_and_leaves_modes_alone() -> None:
    dropout = nn.Dropout(0.5)
    norm = nn.BatchNorm1d(4)
    model = nn.Sequential(norm, dropout).train()
    norm.eval()
    api = LimitedAPI(model)
    before = norm.running_mean.clone() if norm.running_mean is not None else None
    rows = torch.rand(8, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(api(rows), api(rows))
    assert dropout.training
    assert not norm.training
    assert torch.equal(before, norm.running_mean)  # type: ignore[arg-type]


def test_other_layouts_and_half_precision() -> None:
    rows = torch.rand(5, 6, generator=torch.Generator().manual_seed(2))
    api = LimitedAPI(Says(), decimals=2)
    torch.testing.assert_close(api(rows.T), api(rows.T.contiguous()))
    half = LimitedAPI(nn.Identity(), decimals=2)(torch.tensor([[3.0, 0.0, 0.0]], dtype=torch.bfloat16))
    assert half.dtype == torch.float32
    assert len(api(rows[:0])) == 0


@pytest.mark.parametrize(
    ("limits", "kind", "word"),
    [
        ({"top": 0}, ValueError, "top"),
        ({"top": True}, TypeError, "top"),
        ({"top": 1.5}, TypeError, "top"),
        ({"decimals": -1}, ValueError, "decimals"),
        ({"decimals": 16}, ValueError, "15"),
        ({"decimals": 2.0}, TypeError, "decimals"),
        ({"clip": 0.49}, ValueError, "[0.5, 1)"),
        ({"clip": 1.0}, ValueError, "[0.5, 1)"),
        ({"clip": math.nan}, ValueError, "clip"),
        ({"clip": "0.9"}, TypeError, "clip"),
        ({"clip": 0.95, "decimals": 1}, ValueError, "at most 1 decimals"),
        ({"clip": 0.9, "decimals": 0}, ValueError, "decimals"),
        ({"max_queries": -1}, ValueError, "max_queries"),
        ({"max_queries": 10.0}, TypeError, "max_queries"),
    ],
)
def test_limits_that_are_none(limits: dict[str, Any], kind: type[Exception], word: str) -> None:
    with refuses(kind, word):
        LimitedAPI(nn.Identity(), **limits)


def test_more_classes_than_there_are() -> None:
    api = LimitedAPI(nn.Identity(), top=4, max_queries=3)
    with refuses(ValueError, "top must be at most 3", "got 4"):
        api(torch.zeros(2, 3))
    assert api.queries == 0


def test_a_model_that_is_none() -> None:
    with refuses(TypeError, "model must be a torch.nn.Module", "function"):
        LimitedAPI(lambda x: x)  # type: ignore[arg-type]
