"""The word embedding association test: against a plain implementation, closed forms and the published signs."""

import itertools

import numpy as np
import pandas
import pytest
import torch
from bad_input import refuses
from scipy import stats

from tml_helpers import data, fairness


def vectors(seed: int, *sizes: int, length: int = 5) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(size, length)) for size in sizes]


def plain(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Effect size, statistic and one-sided p, word by word, as the paper writes them."""

    def cosine(u: np.ndarray, v: np.ndarray) -> float:
        return float(u @ v / np.sqrt((u @ u) * (v @ v)))

    def association(w: np.ndarray) -> float:
        return float(np.mean([cosine(w, v) for v in a]) - np.mean([cosine(w, v) for v in b]))

    words = [association(w) for w in (*x, *y)]
    first, second = words[: len(x)], words[len(x) :]
    effect = (np.mean(first) - np.mean(second)) / np.std(words)
    statistic = sum(first) - sum(second)
    as_large = [
        sum(words[i] for i in chosen) - sum(words[i] for i in range(len(words)) if i not in chosen) >= statistic - 1e-12
        for chosen in itertools.combinations(range(len(words)), len(x))
    ]
    return float(effect), statistic, float(np.mean(as_large))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [(3, 3, 2, 2), (4, 4, 3, 5), (5, 5, 1, 1)])
def test_it_is_the_plain_implementation(seed: int, sizes: tuple[int, int, int, int]) -> None:
    sets = vectors(seed, *sizes)
    found = fairness.weat(*sets)
    effect, statistic, p = plain(*sets)
    assert found.exact
    assert (found.effect_size, found.statistic) == (pytest.approx(effect), pytest.approx(statistic))
    assert found.p_value == pytest.approx(p)


def test_two_words_that_lie_on_the_poles_have_the_largest_effect() -> None:
    """d = 2, and of the six partitions this one alone is as large: p = 1/6."""
    pole, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    found = fairness.weat(np.repeat(pole, 2, 0) * [[1], [3]], np.repeat(other, 2, 0), pole, other)
    assert found.effect_size == pytest.approx(2)
    assert (found.p_value, found.partitions) == (pytest.approx(1 / 6), 6)
    np.testing.assert_allclose(found.first, 1)
    np.testing.assert_allclose(found.second, -1)


def test_turning_the_poles_or_the_targets_turns_the_sign() -> None:
    x, y, a, b = vectors(1, 4, 4, 3, 3)
    one = fairness.weat(x, y, a, b)
    assert fairness.weat(y, x, a, b).effect_size == pytest.approx(-one.effect_size)
    assert fairness.weat(x, y, b, a).effect_size == pytest.approx(-one.effect_size)
    assert -2 <= one.effect_size <= 2


def test_only_directions_count() -> None:
    x, y, a, b = vectors(2, 4, 4, 3, 3)
    longer = fairness.weat(x * np.arange(1, 5)[:, None], y * 7, a * 0.01, b)
    assert longer.effect_size == pytest.approx(fairness.weat(x, y, a, b).effect_size)
    tensors = fairness.weat(*(torch.tensor(part) for part in (x, y, a, b)))
    assert tensors.effect_size == pytest.approx(fairness.weat(x, y, a, b).effect_size)


def test_ties_are_as_large() -> None:
    """Two words that are the same on both sides: exchanging them changes nothing, and both partitions count."""
    x, y, a, b = vectors(3, 2, 2, 3, 3)
    y[0] = x[0]
    assert fairness.weat(x, y, a, b).p_value == pytest.approx(plain(x, y, a, b)[2])


@pytest.mark.parametrize("seed", range(5))
def test_drawn_p_values_are_near_the_exact_one_and_never_0(seed: int) -> None:
    sets = vectors(seed, 8, 8, 4, 4)
    exact = fairness.weat(*sets)
    drawn = fairness.weat(*sets, draws=12_000, seed=seed)
    assert exact.exact
    assert not drawn.exact
    assert (exact.partitions, drawn.partitions) == (12_870, 12_000)
    assert abs(drawn.p_value - exact.p_value) < 0.025
    assert drawn.p_value > 0
    assert fairness.weat(*sets, draws=12_000, seed=seed).p_value == drawn.p_value


def test_a_p_value_that_is_drawn_is_not_0_where_no_partition_is_as_large() -> None:
    pole, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    found = fairness.weat(np.repeat(pole, 20, 0), np.repeat(other, 20, 0), pole, other, draws=500)
    assert (found.exact, found.p_value) == (False, 1 / 501)


def test_without_any_association_p_is_uniform() -> None:
    p = [fairness.weat(*vectors(seed, 4, 4, 3, 3)).p_value for seed in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 1e-4


def test_the_published_signs() -> None:
    """Caliskan et al.'s ten tests were all positive; these are the ones whose words have vectors here."""
    words = data.word_vectors()
    for number in (2, 4, 5, 7, 8, 9):
        test = words.weat[number]
        sets = (test.first_target, test.second_target, test.first_attribute, test.second_attribute)
        found = fairness.weat(*(words[list(names)] for names in sets), draws=2000)
        assert found.effect_size > 0.4, test.names
        assert found.p_value < 0.1, test.names


def test_what_has_no_direction_is_refused() -> None:
    x, y, a, b = vectors(0, 3, 3, 2, 2)
    with refuses(ValueError, "second_targets", "direction"):
        fairness.weat(x, y * 0, a, b)
    with refuses(ValueError, "first_attributes", "direction"):
        fairness.weat(x, y, np.full_like(a, np.nan), b)
    with refuses(ValueError, "one length"):
        fairness.weat(x, y, a, b[:, :3])
    with refuses(ValueError, "two words or more", "1 and 3"):
        fairness.weat(x[:1], y, a, b)
    with refuses(ValueError, "second_attributes", "shape [0, 5]"):
        fairness.weat(x, y, a, b[:0])
    with refuses(ValueError, "first_targets", "shape [5]"):
        fairness.weat(x[0], y, a, b)
    with refuses(TypeError, "first_targets", "vectors of numbers"):
        fairness.weat(["he", "she"], y, a, b)
    with refuses(ValueError, "undefined", "same association"):
        fairness.weat(np.ones((2, 3)), np.ones((2, 3)), np.eye(3)[:1], np.eye(3)[1:2])
    with refuses(ValueError, "draws"):
        fairness.weat(x, y, a, b, draws=0)
    with refuses(ValueError, "first_targets has masked entries"):
        fairness.weat(np.ma.masked_array(x, mask=np.eye(3, 5)), y, a, b)


def test_vectors_are_read_in_every_form() -> None:
    x, y, a, b = (np.round(part) + 0.5 for part in vectors(1, 3, 3, 2, 2))
    usual = fairness.weat(x, y, a, b).effect_size
    for form in (
        lambda part: torch.tensor(part, requires_grad=True),
        lambda part: torch.tensor(part).bfloat16(),
        lambda part: part.astype(np.float16),
        lambda part: part.astype(">f4"),
        lambda part: pandas.DataFrame(part, dtype="Float64"),
        lambda part: part.tolist(),
    ):
        assert fairness.weat(*map(form, (x, y, a, b))).effect_size == pytest.approx(usual, abs=1e-12)
