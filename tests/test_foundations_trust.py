"""0.1 and 0.8: their functions on other data, against scipy and closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from page_code import page_code
from scipy import stats
from torch import nn

from tml_helpers.training import predict

CRITIQUE = page_code("00_foundations/critique")


class Slopes(nn.Module):
    """Logits W x of images of any size: softmax regression."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 2 * 5 * 4, generator=generator))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight.T


@pytest.fixture
def model() -> Slopes:
    return Slopes(torch.Generator().manual_seed(0))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(40, 2, 5, 4, generator=torch.Generator().manual_seed(1))


def test_unsure_inputs_stay_in_the_ball_and_are_less_sure(model: Slopes, images: torch.Tensor) -> None:
    page = page_code("00_foundations/trust", model=model)
    before = images.clone()
    for epsilon in (0.0, 0.05, 0.3):
        changed = page.hesitant(images, epsilon)
        assert (changed - images).abs().max() <= epsilon + 1e-6
        assert changed.min() >= 0
        assert changed.max() <= 1
        if epsilon:
            sureness = [predict(model, x).softmax(1).square().sum(1).mean() for x in (images, changed)]
            assert sureness[1] < sureness[0]
    assert torch.equal(images, before)
    assert model.weight.grad is None


def test_losses_are_the_log_of_the_true_class(model: Slopes, images: torch.Tensor) -> None:
    page = page_code("00_foundations/trust")
    labels = torch.arange(40) % 3

    data = SimpleNamespace(images=images, labels=labels)
    logits = (images.flatten(1).double() @ model.weight.double().T).detach().numpy()
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(40), labels.numpy()]
    np.testing.assert_allclose(page.losses(model, data).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_shares_count_what_is_wrong_and_what_is_unsure(model: Slopes, images: torch.Tensor) -> None:
    logits = predict(model, images)
    labels = logits.argmax(1)
    labels[:10] = (labels[:10] + 1) % 3
    page = page_code("00_foundations/trust", model=model, labels=labels, truth=labels)
    assert page.wrong(images) == page.fooled(images) == pytest.approx(0.25)
    sure = torch.stack([row.exp().max() / row.exp().sum() for row in logits])
    assert page.unsure(images) == pytest.approx(sum(p < 0.9 for p in sure.tolist()) / 40)
    calls, errors = page.at_threshold(images, 0.0)
    assert (calls, errors) == (0.0, pytest.approx(0.25))
    assert math.isnan(page.at_threshold(images, 1.1)[1])  # nothing is answered, so no share


@pytest.mark.parametrize(("n", "best"), [(1, 0), (2, math.pi**-0.5), (3, 1.5 * math.pi**-0.5)])
def test_the_best_of_two_and_three_has_a_closed_form(n: int, best: float) -> None:
    assert CRITIQUE.expected_best(n) == pytest.approx(best, abs=1e-6)


def test_twice_the_best_of_ten_is_the_constant_of_control_charts() -> None:
    """d₂ = 3.078 for ten: the expected range of ten normal draws, in deviations."""
    assert 2 * CRITIQUE.expected_best(10) == pytest.approx(3.078, abs=6e-4)


def test_a_race_of_equals_is_won_by_as_much_as_the_best_is_worth() -> None:
    rng = np.random.default_rng(0)
    leads = [CRITIQUE.race(4, 9, rng) for _ in range(4000)]
    assert np.mean(leads) == pytest.approx(1.02938 / 3, abs=0.03)  # E max of 4, over √9
    assert min(leads) == 0


@given(st.integers(0, 10**6), st.integers(3, 12), st.floats(-2, 2), st.integers(1, 30))
def test_the_verdict_is_the_paired_t_test_with_bonferroni(seed: int, n: int, lead: float, many: int) -> None:
    rng = np.random.default_rng(seed)
    ours, theirs = rng.normal(size=(2, n))
    ours = ours + lead
    test = stats.ttest_rel(ours, theirs)
    if abs(test.pvalue * many - 0.05) < 1e-9:
        return
    expected = ("better" if test.statistic > 0 else "worse") if test.pvalue * many < 0.05 else "undecided"
    assert CRITIQUE.verdict(ours, theirs, many) == expected
    mirrored = {"better": "worse", "worse": "better"}.get(expected, expected)
    assert CRITIQUE.verdict(list(theirs), list(ours), many) == mirrored
    chosen = CRITIQUE.verdict(ours, theirs, many, fresh=False)
    assert chosen == ("undecided" if expected == "undecided" else "chosen on the same data: repeat")


def test_without_spread_or_with_two_runs() -> None:
    assert CRITIQUE.verdict([2, 2, 2], [1, 1, 1]) == "better"
    assert CRITIQUE.verdict([1, 1, 1], [1, 1, 1]) == "undecided"
    assert CRITIQUE.verdict([9, 9], [0, 0]) == CRITIQUE.verdict([], []) == "too few runs"


@pytest.mark.parametrize(
    ("ours", "theirs", "many"),
    [
        ([1, math.nan, 3], [0, 0, 0], 1),
        ([1, math.inf, 3], [0, 0, 0], 1),
        ([1, 2, 3], [0], 1),
        ([1, 2, 3, 4], [1, 2, 3], 1),
        ([[1, 2, 3]], [[0, 0, 0]], 1),
        (3.0, 1.0, 1),
        ([1, 2, 3], [0, 0, 0], 0),
    ],
)
def test_the_verdict_refuses_what_is_no_pairing(ours: object, theirs: object, many: int) -> None:
    with refuses(ValueError, "as many finite numbers"):
        CRITIQUE.verdict(ours, theirs, many)


@pytest.mark.parametrize(("pairs", "lead"), [(5, 0.5), (65, 0.5), (5, 2.4)])
def test_power_is_that_of_the_noncentral_t(pairs: int, lead: float) -> None:
    page = page_code("00_foundations/critique", rng=np.random.default_rng(0))
    shift, end = lead * (pairs / 2) ** 0.5, stats.t.ppf(0.975, pairs - 1)
    exact = stats.nct.sf(end, pairs - 1, shift) + stats.nct.cdf(-end, pairs - 1, shift)
    assert page.power(pairs, lead, tries=20_000) == pytest.approx(exact, abs=0.015)
