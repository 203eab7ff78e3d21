"""watermark.QueryWatermark: what is answered, the exact law of the test under fresh keys, and what is refused."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.kernels import keyed_hash, keyed_select
from tml_helpers.privacy import LimitedAPI
from tml_helpers.training import fit
from tml_helpers.watermark import QueryEvidence, QueryWatermark

KEY = bytes(range(32))


class Fixed(nn.Module):
    """Answers by a table: input n, which is `[n, …]`, gets the logits of row n."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits[inputs[:, 0].long()]


def table(rows: int, classes: int, seed: int = 0) -> Fixed:
    return Fixed(torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed)))


def numbered(rows: int) -> Tensor:
    return torch.arange(rows, dtype=torch.float32)[:, None]


def keys(count: int, seed: int = 0) -> list[bytes]:
    drawn = torch.randint(256, (count, 32), generator=torch.Generator().manual_seed(seed))
    return [bytes(row) for row in drawn.tolist()]


def top(logits: Tensor) -> Tensor:
    return logits.argmax(dim=1)


# ------------------------------------------------------------------------------------------------- the answers


@given(classes=st.integers(3, 12), fraction=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_selected_inputs_get_another_class_and_the_others_the_models_own_logits(classes, fraction, seed):
    inputs, model = numbered(40), table(40, classes, seed)
    counter = QueryWatermark(model, key=KEY, fraction=fraction)
    own, told, chosen = model(inputs), counter(inputs), counter.selected(inputs)
    assert torch.equal(chosen, keyed_select(inputs, key=KEY, fraction=fraction))
    assert torch.equal(told[~chosen], own[~chosen])
    assert (top(told) != top(own))[chosen].all()
    assert torch.equal(told.sort(dim=1).values, own.sort(dim=1).values)  # two logits changed places


def test_the_wrong_class_is_as_the_second_word_says():
    """By hand, in Python's whole numbers: a step of 1 to K − 1 from the model's class."""
    inputs, model = numbered(200), table(200, 7)
    told = top(QueryWatermark(model, key=KEY, fraction=1.0)(inputs)).tolist()
    for answer, own, word in zip(
        told, top(model(inputs)).tolist(), keyed_hash(inputs, key=KEY)[:, 1].tolist(), strict=True
    ):
        assert answer == (own + 1 + word * 6 // 2**32) % 7


def test_each_wrong_class_is_as_frequent_as_another():
    inputs = torch.arange(6000.0)[:, None]
    model = Fixed(torch.eye(5)[2].expand(6000, 5))
    told = top(QueryWatermark(model, key=KEY, fraction=1.0)(inputs))
    counts = torch.bincount(told, minlength=5)
    assert counts[2] == 0
    assert stats.chisquare(counts[[0, 1, 3, 4]].numpy()).pvalue > 1e-6  # of one fixed key: no luck in it


def test_the_same_query_gets_the_same_answer_in_any_batch():
    inputs, model = numbered(60), table(60, 10)
    counter = QueryWatermark(model, key=KEY, fraction=0.5)
    told = counter(inputs)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert torch.equal(counter(inputs[order]), told[order])
    assert torch.equal(torch.cat([counter(part) for part in inputs.split(7)]), told)
    assert torch.equal(copy.deepcopy(counter)(inputs), told)
    assert torch.equal(QueryWatermark(model, key=KEY, fraction=0.5)(inputs), told)
    assert not torch.equal(QueryWatermark(model, key=KEY[::-1], fraction=0.5)(inputs), told)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_where_classes_share_the_top_logit_the_marked_one_is_alone(dtype):
    inputs = numbered(100)
    model = Fixed(torch.zeros(100, 4, dtype=dtype))
    told = QueryWatermark(model, key=KEY, fraction=1.0)(inputs)
    steps = 1 + keyed_hash(inputs, key=KEY)[:, 1] * 3 // 2**32
    assert torch.equal(top(told), steps)
    assert told.dtype == dtype


def test_it_answers_in_evaluation_mode_without_gradient_and_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))
    model.train()
    model[2].eval()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    model(torch.rand(5, 6)).sum().backward()
    model.load_state_dict(before)
    gradients = [weight.grad.clone() for weight in model.parameters()]
    counter = QueryWatermark(model, key=KEY, fraction=0.5)
    inputs = torch.rand(9, 6, requires_grad=True)
    assert torch.equal(counter(inputs), counter(inputs))
    assert not counter(inputs).requires_grad
    counter.test(nn.Linear(6, 4), inputs)
    assert [module.training for module in model.modules()] == modes
    assert all(map(torch.equal, model.state_dict().values(), before.values()))
    assert all(torch.equal(weight.grad, old) for weight, old in zip(model.parameters(), gradients, strict=True))


# ---------------------------------------------------------------------------------------------------- the test


def by_hand(model: Fixed, suspect: Fixed, inputs: Tensor, key: bytes, fraction: float) -> tuple[int, int, int]:
    """Selected, contradicted and matched, input by input, each once."""
    seen, selected, contradicted, matched = set(), 0, 0, 0
    for n, row in enumerate(inputs):
        if row.numpy().tobytes() in seen:
            continue
        seen.add(row.numpy().tobytes())
        if not keyed_select(inputs[n : n + 1], key=key, fraction=fraction).item():
            continue
        told = int(top(QueryWatermark(model, key=key, fraction=1.0)(inputs[n : n + 1])))
        said, own = int(top(suspect(inputs[n : n + 1]))), int(top(model(inputs[n : n + 1])))
        selected, contradicted, matched = selected + 1, contradicted + (said != own), matched + (said == told)
    return selected, contradicted, matched


@given(seed=st.integers(0, 1000), classes=st.integers(3, 6), fraction=st.floats(0.1, 1))
def test_counts_and_p_value_are_those_of_the_definition(seed, classes, fraction):
    model, suspect = table(30, classes, seed), table(30, classes, seed + 1)
    inputs = numbered(30)[torch.randint(30, (45,), generator=torch.Generator().manual_seed(seed))]
    found = QueryWatermark(model, key=KEY, fraction=fraction).test(suspect, inputs)
    selected, contradicted, matched = by_hand(model, suspect, inputs, KEY, fraction)
    assert (found.selected, found.disagreements, found.statistic) == (selected, contradicted, matched)
    law = stats.binom(contradicted, 1 / (classes - 1))
    assert math.isclose(found.p_value, law.sf(matched - 1), rel_tol=1e-9)
    assert math.isclose(found.p_beyond, law.sf(matched), rel_tol=1e-9, abs_tol=1e-300)


def test_who_gives_the_marked_answers_is_found_with_all_there_is():
    model, inputs = table(300, 10), numbered(300)
    counter = QueryWatermark(model, key=KEY, fraction=0.1)
    found = counter.test(counter, inputs)
    selected = int(counter.selected(inputs).sum())
    assert (found.statistic, found.disagreements, found.selected) == (selected, selected, selected)
    assert math.isclose(found.p_value, 9.0**-selected, rel_tol=1e-9)


def test_the_unmarked_model_itself_is_never_convicted():
    """Its weights were stolen, or it is the owner's: this mark says nothing of it."""
    model, inputs = table(300, 10), numbered(300)
    found = QueryWatermark(model, key=KEY, fraction=0.5).test(copy.deepcopy(model), inputs)
    assert (found.statistic, found.disagreements, found.p_value, found.p_beyond) == (0, 0, 1, 0)
    assert found.selected > 0


def law_of_fresh_keys(model: nn.Module, suspect: nn.Module, inputs: Tensor, fraction: float = 0.5) -> list[float]:
    generator = torch.Generator().manual_seed(2)
    return [
        QueryWatermark(model, key=key, fraction=fraction).test(suspect, inputs).randomized(generator=generator)
        for key in keys(300)
    ]


SUSPECTS = {
    "one that errs at random": table(80, 5, 9),
    "one that says a single class": Fixed(torch.eye(5)[3].expand(80, 5)),
    "one that learnt another key's mistakes": QueryWatermark(
        table(80, 5), key=b"the real one, sixteen and more", fraction=1.0
    ),
}


@pytest.mark.parametrize("suspect", SUSPECTS.values(), ids=SUSPECTS.keys())
def test_under_fresh_keys_the_p_value_is_uniform_whatever_the_suspect(suspect):
    drawn = law_of_fresh_keys(table(80, 5), suspect, numbered(80))
    assert stats.kstest(drawn, "uniform").pvalue > 1e-6


def test_a_repeated_query_counts_once():
    """entangled-watermark #1: of 50 to 98 % one day and 2 % the next, none can be read without its law; and in a log of
    queries the same picture comes again. Counted anew each time, one match would be twenty."""
    model, inputs, suspect = table(80, 5), numbered(80), table(80, 5, 9)
    counter = QueryWatermark(model, key=KEY, fraction=0.5)
    assert counter.test(suspect, inputs.repeat(20, 1)) == counter.test(suspect, inputs)
    wrong = []
    for key in keys(300):
        found = QueryWatermark(model, key=key, fraction=0.1).test(suspect, inputs)
        wrong.append(stats.binom.sf(20 * found.statistic - 1, 20 * found.disagreements, 1 / 4) < 0.001)
    assert np.mean(wrong) > 0.1  # the trap: a hundred times what it promises


def test_only_selected_inputs_need_be_brought():
    """The key may have chosen the list: what is not selected does not count, so leaving it out changes nothing."""
    model, inputs, suspect = table(80, 5), numbered(80), table(80, 5, 9)
    counter = QueryWatermark(model, key=KEY, fraction=0.3)
    assert counter.test(suspect, inputs[counter.selected(inputs)]) == counter.test(suspect, inputs)


def test_batch_size_order_and_what_only_names_the_class_change_nothing():
    inputs = torch.rand(90, 6, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(4)
    model, suspect = nn.Linear(6, 5), nn.Linear(6, 5)
    counter = QueryWatermark(model, key=KEY, fraction=0.5)
    found = counter.test(suspect, inputs)
    assert found.disagreements > 0
    for other in (
        counter.test(suspect, inputs, batch_size=7),
        counter.test(suspect, inputs.flip(0)),
        counter.test(LimitedAPI(suspect, top=1, decimals=0), inputs),
    ):
        assert other == found


def test_the_test_asks_in_batches(monkeypatch):
    asked = []
    suspect = table(80, 5, 9)
    suspect.register_forward_pre_hook(lambda module, given: asked.append(len(given[0])))
    found = QueryWatermark(table(80, 5), key=KEY, fraction=1.0).test(suspect, numbered(80), batch_size=30)
    assert (asked, found.selected) == ([30, 30, 20], 80)


def test_nothing_selected_is_no_evidence():
    counter = QueryWatermark(table(5, 5), key=KEY, fraction=1e-9)
    found = counter.test(table(5, 5, 1), numbered(5))
    assert found == QueryEvidence(0.0, 1.0, 0.0, selected=0, disagreements=0)
    assert 0 <= found.randomized(generator=torch.Generator().manual_seed(0)) < 1


# --------------------------------------------------------------------------------- a theft, and who is innocent


def points(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three classes of 100 features, which a linear model learns by heart, mistakes included."""
    labels = torch.randint(3, (60,), generator=generator)
    return torch.randn(60, 100, generator=generator) + 0.6 * torch.nn.functional.one_hot(labels, 100), labels


def learnt(inputs: Tensor, labels: Tensor, generator: torch.Generator) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        model = nn.Linear(100, 3)
    fit(model, TensorDataset(inputs, labels), epochs=60, learning_rate=0.05, generator=generator)
    return model


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_that_learnt_the_answers_by_heart_is_found_and_one_with_labels_of_its_own_is_not(seed):
    generator = torch.Generator().manual_seed(seed)
    owner = learnt(*points(generator), generator)
    counter = QueryWatermark(owner, key=keys(1, seed)[0], fraction=0.7)
    queries, labels = points(generator)
    thief = learnt(queries, top(counter(queries)), generator)
    stolen = counter.test(thief, queries)
    selected = int(counter.selected(queries).sum())
    assert stolen.statistic == stolen.disagreements == stolen.selected == selected
    assert stolen.p_value == pytest.approx(0.5**selected)
    assert counter.test(learnt(queries, labels, generator), queries).p_value > 1e-6


# --------------------------------------------------------------------------------------------------- bad input


def test_bad_arguments_are_one_sentence():
    make = partial(QueryWatermark, table(5, 5))
    with refuses(TypeError, "model", "torch.nn.Module", "function"):
        QueryWatermark(lambda x: x, key=KEY, fraction=0.1)
    with refuses(TypeError, "key", "bytes", "hash()"):
        make(key=hash("mine"), fraction=0.1)
    with refuses(ValueError, "key", "16 to 32", "got 5"):
        make(key=b"short", fraction=0.1)
    for wrong in (True, "0.1", None, torch.tensor(0.1)):
        with refuses(TypeError, "fraction", "number"):
            make(key=KEY, fraction=wrong)
    for wrong in (0, 0.0, -0.1, 1.1, math.nan, math.inf):
        with refuses(ValueError, "fraction", "above 0 and at most 1"):
            make(key=KEY, fraction=wrong)
    assert not QueryWatermark(table(5, 5), key=KEY, fraction=1)(numbered(5)).requires_grad


def test_models_that_cannot_be_marked_or_compared_are_refused():
    inputs = numbered(6)
    for answers, words in (
        (torch.zeros(6, 2), ("at least 3 classes", "got 2")),
        (torch.full((6, 4), math.nan), ("not finite",)),
        (torch.zeros(6), ("[N, K]",)),
    ):
        with refuses(ValueError, *words):
            QueryWatermark(Fixed(answers), key=KEY, fraction=1.0)(inputs)
        with refuses(ValueError, *words):
            QueryWatermark(Fixed(answers), key=KEY, fraction=1.0).test(table(6, 4), inputs)
    counter = QueryWatermark(table(6, 4), key=KEY, fraction=1.0)
    with refuses(ValueError, "suspect", "[6, 4]", "got [6, 5]"):
        counter.test(table(6, 5), inputs)
    with refuses(ValueError, "suspect", "NaN"):
        counter.test(Fixed(torch.full((6, 4), math.nan)), inputs)
    with refuses(TypeError, "model", "torch.nn.Module", "function"):
        counter.test(lambda x: x, inputs)
    with refuses(ValueError, "inputs", "at least one", "[0, 1]"):
        counter.test(table(6, 4), inputs[:0])
    with refuses(TypeError, "inputs", "ndarray"):
        counter.test(table(6, 4), inputs.numpy())
    with refuses(ValueError, "batch_size"):
        counter.test(table(6, 4), inputs, batch_size=0)


def test_the_key_is_not_shown_nor_stored_with_the_weights():
    counter = QueryWatermark(nn.Linear(3, 3), key=KEY, fraction=0.1)
    assert repr(KEY) not in repr(counter)
    assert set(counter.state_dict()) == {"model.weight", "model.bias"}
