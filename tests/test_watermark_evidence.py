"""Evidence: p-values against enumeration, scipy and closed forms, and exactly uniform where there is no mark."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tml_helpers.watermark import (
    Evidence,
    binomial_evidence,
    evidence,
    normal_evidence,
    rank_evidence,
    signed_rank_evidence,
)
from tml_helpers.watermark.evidence import SMALLEST

TIGHT = 1e-12
NEVER = 1e-6  # a true null is below it once in a million runs
MARGINS = st.lists(st.integers(-5, 5).map(float), max_size=10)  # with ties and zeros


def enumerated(margins: list[float]) -> tuple[float, float]:
    """P(S ≥ s) and P(S > s) of the sum of the positive ones' ranks, over all signs: no convolution."""
    sizes = [abs(margin) for margin in margins if margin]
    ranks = [(sum(b < a for b in sizes) + sum(b <= a for b in sizes) + 1) / 2 for a in sizes]
    found = sum(rank for rank, margin in zip(ranks, [m for m in margins if m], strict=True) if margin > 0)
    sums = [
        sum(rank for rank, up in zip(ranks, ups, strict=True) if up)
        for ups in itertools.product([0, 1], repeat=len(ranks))
    ]
    return sum(s >= found for s in sums) / len(sums), sum(s > found for s in sums) / len(sums)


@given(MARGINS)
def test_signed_ranks_are_those_of_all_signs(margins: list[float]) -> None:
    found = signed_rank_evidence(torch.tensor(margins, dtype=torch.float64))
    assert (found.p_value, found.p_beyond) == pytest.approx(enumerated(margins), rel=TIGHT, abs=0)


@pytest.mark.parametrize("count", [1, 2, 9, 30, 50])
def test_signed_ranks_are_scipys(count: int) -> None:
    margins = torch.randn(count, generator=torch.Generator().manual_seed(count), dtype=torch.float64) + 0.3
    peer = stats.wilcoxon(margins.numpy(), alternative="greater", method="exact")
    found = signed_rank_evidence(margins)
    assert found.p_value == pytest.approx(peer.pvalue, rel=1e-9)
    assert found.statistic == peer.statistic


def test_a_message_that_is_read_without_an_error_has_one_of_all_messages() -> None:
    """P = 2^-n: where rounding of a sum of chances would show first."""
    for count in (1, 8, 32, 256):
        found = signed_rank_evidence(torch.arange(1.0, count + 1))
        assert found.p_value == pytest.approx(max(2.0**-count, SMALLEST), rel=1e-9)
        assert found.p_beyond == 0
        worst = signed_rank_evidence(-torch.arange(1.0, count + 1))
        assert worst.p_value == pytest.approx(1, abs=1e-9)
        assert worst.p_beyond == pytest.approx(1 - 2.0**-count, abs=1e-9)


@pytest.mark.parametrize("count", [2000, 50_000])
def test_more_margins_than_are_enumerated_still_have_an_exact_distribution(count: int) -> None:
    """Their ranks become grades: coarser weights of the same coins, whose normal approximation is near, and no law."""
    sizes = torch.arange(1.0, count + 1, dtype=torch.float64)
    order = torch.rand(count, generator=torch.Generator().manual_seed(0))
    for share in (0.49, 0.505):
        margins = torch.where(order < share, sizes, -sizes)
        found, ranks = signed_rank_evidence(margins), sizes if count < 30_000 else torch.ones_like(sizes)
        score = float((ranks * margins.sign()).sum() / ranks.square().sum().sqrt())
        assert found.p_value == pytest.approx(stats.norm.sf(score), rel=0.2, abs=0.01)
        assert 0 <= found.p_value - found.p_beyond < 0.02


def test_many_margins_of_one_size_are_a_count() -> None:
    for count in (100, 5000, 50_000):
        margins = torch.ones(count, dtype=torch.float64)
        margins[: count // 2 - 20] = -1
        found, hits = signed_rank_evidence(margins), stats.binom(count, 0.5)
        assert found.p_value == pytest.approx(hits.sf(count - count // 2 + 19), rel=1e-9)
        assert found.p_beyond == pytest.approx(hits.sf(count - count // 2 + 20), rel=1e-9)


def test_grades_are_summed_over_all_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grade = ⌈rank · grades / n⌉; the law is enumerated, where 8 margins are already many."""
    monkeypatch.setattr(evidence, "EXACT", 8)
    for seed, count, grades in ((0, 9, 6), (1, 10, 5), (2, 12, 3)):
        margins = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        ranks = margins.abs().argsort().argsort() + 1
        weights = [math.ceil(grades * int(rank) / count) for rank in ranks]
        statistic = sum(weight for weight, margin in zip(weights, margins.tolist(), strict=True) if margin > 0)
        sums = [sum(itertools.compress(weights, ups)) for ups in itertools.product([0, 1], repeat=count)]
        found = signed_rank_evidence(margins)
        assert found.statistic == statistic
        assert found.p_value == pytest.approx(sum(s >= statistic for s in sums) / len(sums), rel=TIGHT)
        assert found.p_beyond == pytest.approx(sum(s > statistic for s in sums) / len(sums), rel=TIGHT)


def test_the_order_type_and_layout_of_margins_do_not_matter() -> None:
    margins = torch.randn(40, generator=torch.Generator().manual_seed(0))
    expected = signed_rank_evidence(margins)
    assert signed_rank_evidence(margins.flip(0)) == expected
    assert signed_rank_evidence(margins.double() * 1e30) == expected
    assert signed_rank_evidence(torch.stack([margins, margins * 0], dim=1)[:, 0]) == expected
    assert signed_rank_evidence(margins.clone().requires_grad_()) == expected
    assert signed_rank_evidence(torch.cat([margins, torch.zeros(7)])) == expected


@given(st.integers(0, 60), st.data())
def test_hits_are_those_of_scipy(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    chance = data.draw(st.floats(0.01, 0.99))
    found = binomial_evidence(hits, trials, chance)
    beyond = sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(hits + 1, trials + 1))
    at = math.comb(trials, hits) * chance**hits * (1 - chance) ** (trials - hits)
    assert found.p_beyond == pytest.approx(beyond, rel=1e-8, abs=1e-300)
    assert found.p_value == pytest.approx(beyond + at, rel=1e-8, abs=1e-300)
    assert found.statistic == hits


def test_no_trials_tell_nothing() -> None:
    assert binomial_evidence(0, 0, 0.1).p_value == 1
    assert signed_rank_evidence(torch.zeros(0)).p_value == 1
    assert signed_rank_evidence(torch.zeros(5)).p_value == 1


@pytest.mark.parametrize(
    ("score", "p_value"), [(0, 0.5), (1.6448536269514722, 0.05), (2.3263478740408408, 0.01), (6, 9.865876450376981e-10)]
)
def test_scores_have_the_tables_p_values(score: float, p_value: float) -> None:
    found = normal_evidence(score)
    assert found.p_value == found.p_beyond == pytest.approx(p_value, rel=1e-9)
    assert normal_evidence(-score).p_value == pytest.approx(1 - p_value, rel=1e-9)


def test_no_p_value_is_zero() -> None:
    """A product or a logarithm of p-values must not break: 50 standard deviations are below the smallest float."""
    for found in (normal_evidence(50.0), binomial_evidence(2000, 2000, 0.1), signed_rank_evidence(torch.ones(4000))):
        assert 0 < found.p_value < 1e-200


def test_the_place_among_decoys() -> None:
    decoys = [1.0, 2.0, 2.0, 3.0]
    for statistic, at_least, more in ((0.0, 5, 4), (2.0, 4, 1), (2.5, 2, 1), (3.0, 2, 0), (4.0, 1, 0)):
        found = rank_evidence(statistic, decoys)
        assert (found.p_value, found.p_beyond) == (at_least / 5, more / 5)
        assert rank_evidence(statistic, torch.tensor(decoys, dtype=torch.float32)) == found


@given(st.integers(0, 12), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_a_randomized_p_value_is_uniform_exactly(trials: int, chance: float) -> None:
    """P(randomized ≤ α) = Σ_h P(h)·clip((α − beyond)/(p − beyond), 0, 1) = α, for every α; and P(p_value ≤ α) ≤ α."""
    every = [binomial_evidence(hits, trials, chance) for hits in range(trials + 1)]
    weights = stats.binom.pmf(range(trials + 1), trials, chance)
    for alpha in (0.001, 0.01, 0.05, 0.3, 0.77, 1.0):
        shares = [
            np.clip((alpha - e.p_beyond) / (e.p_value - e.p_beyond), 0, 1) if e.p_value > e.p_beyond else 1.0
            for e in every
        ]
        assert weights @ shares == pytest.approx(alpha, abs=1e-9)
        assert sum(w for w, e in zip(weights, every, strict=True) if e.p_value <= alpha * (1 - TIGHT)) <= alpha + TIGHT


def test_randomized_lies_between_the_two_and_uses_its_generator() -> None:
    found = Evidence(3.0, 0.5, 0.25)
    draws = [found.randomized(generator=torch.Generator().manual_seed(seed)) for seed in range(300)]
    again = [found.randomized(generator=torch.Generator().manual_seed(seed)) for seed in range(300)]
    assert draws == again
    assert min(draws) >= 0.25
    assert max(draws) <= 0.5
    assert stats.kstest(draws, stats.uniform(0.25, 0.25).cdf).pvalue > NEVER
    torch.manual_seed(1)
    first = found.randomized()
    assert first != found.randomized()
    with refuses(TypeError, "generator"):
        found.randomized(generator=3)  # type: ignore[arg-type]


def coins(generator: torch.Generator) -> Evidence:
    return binomial_evidence(int((torch.rand(30, generator=generator) < 0.1).sum()), 30, 0.1)


def margins(generator: torch.Generator) -> Evidence:
    """Sizes that differ a lot, some equal: only the signs are by chance."""
    sizes = torch.tensor([100.0, 1, 1, 1, 3, 3, 0.1, 20, 5, 5])
    return signed_rank_evidence(sizes * (torch.randint(2, (10,), generator=generator) * 2 - 1))


def graded(generator: torch.Generator) -> Evidence:
    """More margins than are taken by their ranks, as `EXACT` is moved to 8: 5 grades of 10."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "EXACT", 8)
        return signed_rank_evidence(torch.randn(10, generator=generator))


def counted(generator: torch.Generator) -> Evidence:
    return signed_rank_evidence(torch.randn(40_000, generator=generator))


def place(generator: torch.Generator) -> Evidence:
    statistics = torch.poisson(torch.full((20,), 2.0), generator=generator)  # with ties
    return rank_evidence(float(statistics[0]), statistics[1:])


def score(generator: torch.Generator) -> Evidence:
    return normal_evidence(float(torch.randn((), generator=generator, dtype=torch.float64)))


@pytest.mark.parametrize("unmarked", [coins, margins, graded, counted, place, score])
def test_what_is_unmarked_has_uniform_p_values(unmarked: Callable[[torch.Generator], Evidence]) -> None:
    generator, count = torch.Generator().manual_seed(0), 300
    found = [unmarked(generator) for _ in range(count)]
    assert stats.kstest([one.randomized(generator=generator) for one in found], "uniform").pvalue > NEVER
    for level in (0.01, 0.05, 0.2):
        below = sum(one.p_value <= level for one in found)
        assert stats.binom.sf(below - 1, count, level) > NEVER


def test_margins_of_one_extractor_counted_as_independent_are_the_wrong_null() -> None:
    """Eight pictures read by one biased extractor are not 8 · 16 coins: what API forbids is seen to fail."""
    generator = torch.Generator().manual_seed(0)
    wrong, right = 0, 0
    for _ in range(200):
        message = torch.randint(2, (16,), generator=generator) * 2 - 1
        bias = torch.randn(16, generator=generator)
        read = bias + 0.3 * torch.randn(8, 16, generator=generator)
        wrong += signed_rank_evidence((read * message).flatten()).p_value < 0.01
        right += signed_rank_evidence(read.mean(dim=0) * message).p_value < 0.01
    assert stats.binom.sf(wrong - 1, 200, 0.01) < NEVER
    assert stats.binom.sf(right - 1, 200, 0.01) > NEVER


def test_bad_numbers_are_refused_in_one_sentence() -> None:
    for value in (math.nan, math.inf, -math.inf):
        with refuses(ValueError, "finite"):
            normal_evidence(value)
        with refuses(ValueError, "finite"):
            rank_evidence(value, [1.0])
        with refuses(ValueError, "finite"):
            rank_evidence(1.0, [1.0, value])
        with refuses(ValueError, "finite"):
            signed_rank_evidence(torch.tensor([1.0, value]))
    for chance in (0.0, 1.0, -0.1, math.nan):
        with refuses(ValueError, "chance"):
            binomial_evidence(1, 2, chance)
    with refuses(ValueError, "3 of 2"):
        binomial_evidence(3, 2, 0.5)
    with refuses(ValueError, "[0]"):
        rank_evidence(1.0, [])
    with refuses(ValueError, "[2, 3]"):
        signed_rank_evidence(torch.ones(2, 3))


def test_truth_values_are_no_margins() -> None:
    """False is 0, and zeros are left out: a message read wrong in every second bit had p = 2^-16."""
    right = torch.arange(32) % 2 == 0
    with refuses(TypeError, "margins", "bool"):
        signed_rank_evidence(right)
    with refuses(TypeError, "list"):
        signed_rank_evidence([1.0, -1.0])  # type: ignore[arg-type]
    for wrong in ("a", True, None):
        with refuses(TypeError, "number"):
            normal_evidence(wrong)  # type: ignore[arg-type]
        with refuses(TypeError, "number"):
            rank_evidence(wrong, [1.0])  # type: ignore[arg-type]
        with refuses(TypeError, "hits"):
            binomial_evidence(wrong, 2, 0.5)  # type: ignore[arg-type]
