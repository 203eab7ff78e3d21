"""The sum of clipped gradients is that of a loop over examples, and what cannot be clipped is refused by name."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from bad_input import refuses
from dp_models import CASES, Case, Reader, clipped, make, norms_of, of_words, one_by_one, relative_error, twice
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tml_helpers import privacy


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using padding='same'")
        torch.manual_seed(3)
        yield


def summed(case: Case, clip_norm: float, **settings: Any) -> dict[str, Tensor]:
    return privacy.clipped_gradient_sum(
        case.model, case.inputs, case.labels, clip_norm=clip_norm, loss=case.loss, **settings
    )


@pytest.mark.parametrize("name", CASES)
def test_sum_and_norms_are_those_of_a_loop(name: str) -> None:
    """In float64 to ten digits, so that no term is missing; half of the examples are clipped."""
    case = make(name, dtype=torch.float64)
    gradients = one_by_one(case)
    norms = norms_of(gradients)
    found = privacy.gradient_norms(case.model, case.inputs, case.labels, loss=case.loss)
    torch.testing.assert_close(found, norms, rtol=1e-10, atol=1e-14)
    clip_norm = float(norms.sort().values[len(norms) // 2 - 1 : len(norms) // 2 + 1].mean())
    assert 0 < int((norms > clip_norm).sum()) < len(norms)
    assert relative_error(summed(case, clip_norm), clipped(gradients, clip_norm)) < 1e-10


@pytest.mark.parametrize("name", CASES)
def test_in_float32_it_is_right_to_six_digits(name: str) -> None:
    case = make(name)
    gradients = one_by_one(case)
    clip_norm = float(norms_of(gradients).mean())
    found = summed(case, clip_norm)
    assert all(part.dtype == torch.float32 for part in found.values())
    assert relative_error(found, clipped(gradients, clip_norm)) < 2e-5


@pytest.mark.parametrize("name", ["SmallCNN", "norms", "a sequence with padding", "a recurrent network"])
def test_per_sample_gradients_are_those_of_a_loop(name: str) -> None:
    case = make(name, dtype=torch.float64)
    for batch_size in (None, 3):
        found = privacy.per_sample_gradients(
            case.model, case.inputs, case.labels, loss=case.loss, batch_size=batch_size
        )
        assert relative_error(found, one_by_one(case)) < 1e-10


def test_per_sample_gradients_of_a_layer_that_a_model_has_twice_leave_the_model_whole() -> None:
    """`torch.func.functional_call` leaves tensors in place of such a layer's parameters."""
    case = make("a layer called twice", dtype=torch.float64)
    before = dict(case.model.named_parameters())
    found = privacy.per_sample_gradients(case.model, case.inputs, case.labels)
    assert relative_error(found, one_by_one(case)) < 1e-10
    assert {name: id(p) for name, p in case.model.named_parameters()} == {name: id(p) for name, p in before.items()}


def test_per_sample_gradients_of_tied_weights_are_sums() -> None:
    """Where clipping refuses, teaching need not: the gradient of what two layers share."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    model[2].weight = model[0].weight
    case = Case(model, torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 1, 2]))
    found = privacy.per_sample_gradients(model, case.inputs, case.labels)
    assert relative_error(found, one_by_one(case)) < 1e-10


@settings(max_examples=20)
@given(
    count=st.integers(1, 6),
    length=st.integers(1, 7),
    sizes=st.tuples(st.integers(1, 9), st.integers(3, 9)),
    factor=st.floats(1e-3, 1e3),
    seed=st.integers(0, 99),
)
def test_no_clipped_sum_is_longer_than_count_times_clip_norm(
    count: int, length: int, sizes: tuple[int, int], factor: float, seed: int
) -> None:
    """‖Σ ḡ‖ ≤ N·C, with equality for equal examples that are clipped; and C above all norms clips nothing."""
    torch.manual_seed(seed)
    words = torch.randint(11, (count, length))
    case = Case(Reader(*sizes).double(), words, words.flip(1), of_words)
    norms = norms_of(one_by_one(case))
    clip_norm = factor * float(norms.mean())
    size = torch.cat([part.flatten() for part in summed(case, clip_norm).values()]).norm()
    assert size <= count * clip_norm * (1 + 1e-9)
    same = Case(case.model, words[:1].expand(count, -1), words[:1].flip(1).expand(count, -1), of_words)
    size = torch.cat([part.flatten() for part in summed(same, clip_norm).values()]).norm()
    assert float(size) == pytest.approx(count * min(clip_norm, float(norms[0])), rel=1e-9)
    everything = summed(case, 2 * float(norms.max()))
    assert relative_error(everything, {k: g.sum(dim=0) for k, g in one_by_one(case).items()}) < 1e-7


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_parts_of_a_batch_add_up_to_it(batch_size: int) -> None:
    case = make("norms", dtype=torch.float64)
    assert relative_error(summed(case, 0.5, batch_size=batch_size), summed(case, 0.5)) < 1e-10
    whole = privacy.gradient_norms(case.model, case.inputs, case.labels)
    parts = privacy.gradient_norms(case.model, case.inputs, case.labels, batch_size=batch_size)
    torch.testing.assert_close(parts, whole, rtol=1e-10, atol=0)


def test_no_example_is_zeros_and_one_example_is_its_gradient() -> None:
    case = make("norms", dtype=torch.float64)
    nobody = Case(case.model, case.inputs[:0], case.labels[:0])
    found = summed(nobody, 0.5)
    assert all(not part.any() for part in found.values())
    assert {name: part.shape for name, part in found.items()} == {
        name: p.shape for name, p in case.model.named_parameters()
    }
    one = Case(case.model, case.inputs[:1], case.labels[:1])
    assert relative_error(summed(one, 1e6), {name: part[0] for name, part in one_by_one(one).items()}) < 1e-10


def test_frozen_layers_have_no_part() -> None:
    """Opacus #542: a layer with a frozen weight and a trainable bias."""
    case = make("SmallCNN", dtype=torch.float64)
    case.model.layers[1].requires_grad_(False)  # type: ignore[index]
    case.model.layers[8].weight.requires_grad_(False)  # type: ignore[index,union-attr]
    gradients = one_by_one(case)
    assert set(gradients) == {f"layers.{name}" for name in ("4.weight", "4.bias", "8.bias", "10.weight", "10.bias")}
    clip_norm = float(norms_of(gradients).median())
    assert relative_error(summed(case, clip_norm), clipped(gradients, clip_norm)) < 1e-10


def test_a_layer_that_takes_no_part_gets_zeros() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle, self.cut = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, rows: Tensor) -> Tensor:
            with torch.no_grad():
                lost = self.cut(rows)
            logits: Tensor = self.used(rows) + lost
            return logits

    found = privacy.clipped_gradient_sum(Idle(), torch.randn(4, 3), torch.tensor([0, 1, 0, 1]), clip_norm=1.0)
    assert found["used.weight"].any()
    assert not any(found[name].any() for name in ("idle.weight", "idle.bias", "cut.weight", "cut.bias"))


def test_examples_whose_gradient_is_zero_add_nothing_and_nothing_is_nan() -> None:
    """Rows of zeros through a network without biases: the norm is 0, and C / 0 must not be."""
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)).double()
    rows, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    rows[1:3] = 0
    norms = privacy.gradient_norms(model, rows, labels)
    assert norms[1] == norms[2] == 0 < norms[0]
    found = privacy.clipped_gradient_sum(model, rows, labels, clip_norm=0.1)
    other = privacy.clipped_gradient_sum(model, rows[[0, 3]], labels[[0, 3]], clip_norm=0.1)
    assert relative_error(found, other) < 1e-12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    """Squares of these gradients overflow in float16: a norm of 300 has a square of 90,000."""
    model = nn.Linear(64, 2, bias=False).to(dtype)
    rows = torch.full((5, 64), 50.0, dtype=dtype)
    labels = torch.tensor([0, 1, 0, 1, 1])
    probabilities = model(rows).detach().float().softmax(dim=1)
    expected = torch.stack([(p - F.one_hot(y, 2)).norm() * 400 for p, y in zip(probabilities, labels, strict=True)])
    assert float(expected.max()) > 256
    norms = privacy.gradient_norms(model, rows, labels, loss=lambda z, y: F.cross_entropy(z, y, reduction="none"))
    torch.testing.assert_close(norms, expected, rtol=1e-2, atol=0.5)
    found = privacy.clipped_gradient_sum(model, rows, labels, clip_norm=1.0)
    assert found["weight"].dtype == torch.float32


def test_views_and_strides_do_not_matter() -> None:
    case = make("convolution with padding", dtype=torch.float64)
    wanted = summed(case, 0.5)
    strided = case.inputs.repeat_interleave(2, dim=0)[::2].to(memory_format=torch.channels_last)
    assert relative_error(summed(Case(case.model, strided, case.labels.repeat_interleave(2)[::2]), 0.5), wanted) < 1e-10


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    """Mode, parameters, gradients, hooks and buffers, also after an error."""
    case = make("SmallCNN")
    case.model.train(training)
    first = next(case.model.parameters())
    first.grad = torch.ones_like(first)
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    summed(case, 1.0)
    privacy.per_sample_gradients(case.model, case.inputs, case.labels)
    with pytest.raises(ValueError, match="reduction"):
        privacy.clipped_gradient_sum(case.model, case.inputs, case.labels, clip_norm=1.0, loss=F.cross_entropy)
    assert all(module.training == training for module in case.model.modules())
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(p.grad is None for p in list(case.model.parameters())[1:])
    assert all(torch.equal(value, before[name]) for name, value in case.model.state_dict().items())
    assert not any(module._forward_hooks for module in case.model.modules())


def test_dropout_draws_for_each_example_and_is_off_in_evaluation() -> None:
    """Kept units of one example are zeros of another: in training mode equal rows have different gradients."""
    model = nn.Sequential(nn.Linear(6, 50), nn.Dropout(0.5), nn.Linear(50, 3))
    rows, labels = torch.randn(1, 6).expand(8, -1), torch.zeros(8, dtype=torch.int64)
    assert len(privacy.gradient_norms(model.train(), rows, labels).unique()) > 4
    norms = privacy.gradient_norms(model.eval(), rows, labels)
    torch.testing.assert_close(norms, norms[:1].expand(8))
    assert len(norms_of(privacy.per_sample_gradients(model.train(), rows, labels)).unique()) > 4


def test_checkpointed_layers_are_right() -> None:
    """Layers that run once more in the backward pass are not counted twice."""

    class Saving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = checkpoint(lambda x: torch.tanh(self.first(x)), rows, use_reentrant=False)
            logits: Tensor = self.second(hidden)
            return logits

    case = Case(Saving().double(), torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1]))
    gradients = one_by_one(case)
    clip_norm = float(norms_of(gradients).median())
    assert relative_error(summed(case, clip_norm), clipped(gradients, clip_norm)) < 1e-10


# What cannot be clipped


class Weird(nn.Linear):
    """A subclass that does something else."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Mixing(nn.Module):
    """Examples meet, in a place of one's choice."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place, self.first, self.second = place, nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows - rows.mean(dim=0) if self.place == "input" else rows
        hidden = self.first(rows)
        hidden = hidden - hidden.mean(dim=0) if self.place == "hidden" else hidden
        logits: Tensor = self.second(hidden)
        return logits


class Positions(nn.Module):
    """Learned places in a text, looked up once for all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.out = nn.Embedding(11, 4), nn.Embedding(9, 4), nn.Linear(4, 11)

    def forward(self, words: Tensor) -> Tensor:
        logits: Tensor = self.out(self.words(words) + self.places(torch.arange(words.shape[1])))
        return logits


class Counting(nn.Module):
    """Keeps the mean of what it has seen."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, rows: Tensor) -> Tensor:
        self.seen += rows.detach().sum(dim=0)
        logits: Tensor = self.out(rows)
        return logits


class OwnParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.out = nn.Parameter(torch.ones(4)), nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.out(rows * self.scale)
        return logits


class Around(nn.Module):
    """One layer's weight is used by hand as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.second(torch.tanh(self.first(rows)) @ self.first.weight)
        return logits


class InPlace(nn.Module):
    """What a layer has read is changed before the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, rows: Tensor) -> Tensor:
        hidden: Tensor = self.first(rows) * 2
        logits: Tensor = self.second(hidden)
        hidden += 1
        return logits + hidden


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


def attention() -> nn.Module:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, rows: Tensor) -> Tensor:
            attended: Tensor = self.attend(rows, rows, rows)[0].mean(dim=1)
            return attended

    return Attending()


def rows(*shape: int) -> Tensor:
    return torch.randn(4, *shape) if shape else torch.randn(4, 4)


LABELS = torch.tensor([0, 1, 2, 0])
REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], tuple[str, ...]]] = {
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
        rows,
        ("'1' (BatchNorm1d)", "differential privacy forbids it: it mixes examples; use GroupNorm"),
    ),
    "batch norm that is frozen": (
        lambda: nn.Sequential(nn.BatchNorm1d(4, affine=False).eval(), nn.Linear(4, 4)),
        rows,
        ("BatchNorm1d", "GroupNorm"),
    ),
    "synchronised batch norm": (lambda: nn.Sequential(nn.SyncBatchNorm(4), nn.Linear(4, 4)), rows, ("GroupNorm",)),
    "running statistics": (
        lambda: nn.Sequential(nn.InstanceNorm1d(3, track_running_stats=True), nn.Flatten(), nn.Linear(12, 3)),
        lambda: rows(3, 4),
        ("InstanceNorm1d", "track_running_stats=False"),
    ),
    "max_norm": (lambda: nn.Sequential(nn.Embedding(9, 4, max_norm=1.0), nn.Linear(4, 3)), rows, ("max_norm",)),
    "scale_grad_by_freq": (
        lambda: nn.Sequential(nn.Embedding(9, 4, scale_grad_by_freq=True), nn.Linear(4, 3)),
        rows,
        ("scale_grad_by_freq",),
    ),
    "attention": (attention, lambda: rows(3, 4), ("'attend' (MultiheadAttention)", "no rule is known", "Linear")),
    "a GRU": (lambda: nn.GRU(4, 4), rows, ("GRU",)),
    "a transposed convolution": (lambda: nn.ConvTranspose1d(4, 3, 2), lambda: rows(4, 4), ("ConvTranspose1d",)),
    "PReLU": (lambda: nn.Sequential(nn.Linear(4, 4), nn.PReLU()), rows, ("PReLU",)),
    "a subclass with its own forward": (lambda: nn.Sequential(Weird(4, 4)), rows, ("'0' (Weird)",)),
    "a parameter of the model": (OwnParameter, rows, ("OwnParameter",)),
    "a layer that is not initialised": (
        lambda: nn.Sequential(nn.LazyLinear(3)),
        rows,
        ("LazyLinear", "call the model once"),
    ),
    "weight norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))),
        rows,
        ("ParametrizationList",),
    ),
    "spectral norm, old": (
        lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4))),
        rows,
        ("weight_orig",),
    ),
    "tied weights": (tied, rows, ("0.weight", "2.weight", "one parameter")),
    "a weight by hand": (Around, rows, ("first.weight is used outside of its layer",)),
    "examples meet at the input": (lambda: Mixing("input"), rows, ("depends on another",)),
    "examples meet later": (lambda: Mixing("hidden"), rows, ("depends on another",)),
    "a buffer that learns": (Counting, rows, ("'seen' changed in the forward pass",)),
    "in place": (InPlace, rows, ("'second' was changed in place",)),
    "rows in place of examples": (
        lambda: nn.Sequential(nn.Flatten(0, 1), nn.Linear(4, 3)),
        lambda: rows(3, 4),
        ("'1' is given shape [6, 4] for 2 examples", "the first dimension must count them"),
    ),
    "all frozen": (lambda: nn.Linear(4, 3).requires_grad_(False), rows, ("no trainable parameter",)),
    "no parameter": (nn.Flatten, rows, ("no trainable parameter",)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_models_that_cannot_be_clipped_are_refused(kind: str) -> None:
    """Among them Opacus #319, batch normalisation, and #413, tied weights."""
    model, inputs, words = REFUSED[kind]
    with refuses(ValueError, *words):
        privacy.clipped_gradient_sum(model(), inputs(), LABELS, clip_norm=1.0)
    with refuses(ValueError, *words):
        privacy.gradient_norms(model(), inputs(), LABELS)


@pytest.mark.parametrize("length", [2, 3])
def test_places_that_are_looked_up_once_for_all_are_refused_at_any_length(length: int) -> None:
    """With as many places as examples, the shapes fit, and rows of places would pass for examples."""
    words = torch.randint(11, (length, length))
    with refuses(ValueError):
        privacy.clipped_gradient_sum(Positions(), words, words, clip_norm=1.0, loss=of_words)


def test_per_sample_gradients_refuse_layers_that_mix_and_take_layers_that_have_no_rule() -> None:
    with refuses(ValueError, "GroupNorm"):
        privacy.per_sample_gradients(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), rows(), LABELS)
    with refuses(ValueError, "no trainable parameter"):
        privacy.per_sample_gradients(nn.Flatten(), rows(), LABELS)
    case = Case(attention().double(), rows(3, 4).double(), LABELS)
    assert relative_error(privacy.per_sample_gradients(case.model, case.inputs, LABELS), one_by_one(case)) < 1e-10


EVERY: dict[str, Callable[..., Any]] = {
    "clipped_gradient_sum": partial(privacy.clipped_gradient_sum, clip_norm=1.0),
    "gradient_norms": privacy.gradient_norms,
    "per_sample_gradients": privacy.per_sample_gradients,
}


@pytest.mark.parametrize("name", EVERY)
def test_bad_arguments(name: str) -> None:
    method, model = EVERY[name], nn.Linear(4, 3)
    with refuses(TypeError, "model", "str"):
        method("model", rows(), LABELS)
    with refuses(TypeError, "images", "list"):
        method(model, [[0.0] * 4] * 4, LABELS)
    with refuses(TypeError, "labels", "list"):
        method(model, rows(), [0, 1, 2, 0])
    with refuses(ValueError, "4 images and 3 labels"):
        method(model, rows(), LABELS[:3])
    with refuses(ValueError, "labels", "single number"):
        method(model, rows(), torch.tensor(1))
    with refuses(ValueError, "images are on meta", "cpu"):
        method(model, rows().to("meta"), LABELS)
    with refuses(ValueError, "labels are on meta", "cpu"):
        method(model, rows(), LABELS.to("meta"))
    with refuses(ValueError, "batch_size", "0"):
        method(model, rows(), LABELS, batch_size=0)
    with refuses(TypeError, "batch_size", "2.5"):
        method(model, rows(), LABELS, batch_size=2.5)
    for wrong in (F.cross_entropy, lambda z, y: None):
        with refuses(ValueError, "one number for each", 'reduction="none"'):
            method(model, rows(), LABELS, loss=wrong)
    infinite = rows()
    infinite[2, 1] = torch.inf
    with refuses(ValueError, "not finite"):
        method(model, infinite, LABELS)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf")])
def test_clip_norm_is_positive(wrong: float) -> None:
    with refuses(ValueError, "clip_norm must be positive and finite"):
        privacy.clipped_gradient_sum(nn.Linear(4, 3), rows(), LABELS, clip_norm=wrong)


@pytest.mark.parametrize("wrong", [1e-16, 1e16])
def test_clip_norm_whose_square_leaves_float32(wrong: float) -> None:
    """Gradients of 1e-22 have a norm of 0 in float32: with C of 1e-23, they would go unclipped."""
    with refuses(ValueError, "clip_norm must lie between 1e-15 and 1e+15"):
        privacy.clipped_gradient_sum(nn.Linear(4, 3), rows(), LABELS, clip_norm=wrong)


@pytest.mark.parametrize("wrong", [True, "1", None])
def test_clip_norm_is_a_number(wrong: Any) -> None:
    with refuses(TypeError, "clip_norm must be a number"):
        privacy.clipped_gradient_sum(nn.Linear(4, 3), rows(), LABELS, clip_norm=wrong)


def test_nothing_to_measure() -> None:
    for method in (privacy.gradient_norms, privacy.per_sample_gradients):
        with refuses(ValueError, "no images"):
            method(nn.Linear(4, 3), rows()[:0], LABELS[:0])


def test_a_loss_without_gradient_and_a_penalty_on_weights() -> None:
    model = nn.Linear(4, 3)
    with refuses(ValueError, "no gradient"):
        privacy.clipped_gradient_sum(model, rows(), LABELS, clip_norm=1.0, loss=lambda z, y: (z.argmax(1) == y).float())

    def decayed(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none") + model.weight.square().sum()

    with refuses(ValueError, "weight is used outside of its layer", "penalty"):
        privacy.clipped_gradient_sum(model, rows(), LABELS, clip_norm=1.0, loss=decayed)


def test_a_loss_that_mixes_examples_is_refused() -> None:
    def centred(logits: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(logits, labels, reduction="none")
        return losses - losses.mean()

    with refuses(ValueError, "depends on another"):
        privacy.clipped_gradient_sum(nn.Linear(4, 3), rows(), LABELS, clip_norm=1.0, loss=centred)


def test_the_number_of_examples_without_a_finite_gradient_is_said() -> None:
    infinite = rows()
    infinite[1:3, 1] = torch.nan
    with refuses(ValueError, "2 of 4 examples"):
        privacy.gradient_norms(nn.Linear(4, 3), infinite, LABELS)


def test_a_model_in_inference_mode_or_without_gradients_is_differentiated_all_the_same() -> None:
    case = make("MLP", dtype=torch.float64)
    wanted = summed(case, 0.5)
    with torch.no_grad():
        assert relative_error(summed(case, 0.5), wanted) < 1e-12


def test_both_calls_of_a_layer_make_one_gradient() -> None:
    """Opacus #413: a second call was taken for another batch; both add to one gradient, as in a recurrent network."""
    case = Case(twice().double(), torch.randn(4, 3, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0]))
    gradients = one_by_one(case)
    torch.testing.assert_close(privacy.gradient_norms(case.model, case.inputs, case.labels), norms_of(gradients))


@pytest.mark.parametrize("method", [partial(privacy.clipped_gradient_sum, clip_norm=1.0), privacy.per_sample_gradients])
def test_labels_that_are_no_classes_of_the_model(method: Callable[..., Any]) -> None:
    """PyTorch leaves out an example whose label is −100 and says nothing, and of a larger one it shows the value."""
    model = nn.Linear(4, 3)
    for wrong in (3, -1, -100):
        labels = LABELS.clone()
        labels[2] = wrong
        with refuses(ValueError, "labels must lie in 0…2"):
            method(model, rows(), labels)
    for kind in (torch.int32, torch.uint8, torch.bool, torch.float32):
        with refuses(TypeError, "labels must be int64", str(kind)):
            method(model, rows(), LABELS.to(kind))
    with refuses(ValueError, "shape", "1]"):
        method(model, rows(), LABELS[:, None])


@pytest.mark.parametrize("method", [partial(privacy.clipped_gradient_sum, clip_norm=1.0), privacy.per_sample_gradients])
def test_labels_that_are_probabilities(method: Callable[..., Any]) -> None:
    model, images = nn.Linear(4, 3), rows()
    wanted, found = method(model, images, LABELS), method(model, images, F.one_hot(LABELS, 3).float())
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6) for name in wanted)


@pytest.mark.parametrize("method", [partial(privacy.clipped_gradient_sum, clip_norm=1.0), privacy.per_sample_gradients])
def test_one_logit_has_no_cross_entropy(method: Callable[..., Any]) -> None:
    """The loss of a single logit is 0 whatever it is: every gradient would be zero, and nothing would be learnt."""
    with refuses(ValueError, "K ≥ 2"):
        method(nn.Linear(4, 1), rows(), torch.zeros_like(LABELS))


def test_an_answer_that_is_no_tensor() -> None:
    class Pair(nn.Linear):
        def forward(self, inputs: Tensor) -> Any:
            return super().forward(inputs), inputs

    model = nn.Sequential(nn.Linear(4, 4), Pair(4, 3).requires_grad_(False))
    with refuses(TypeError, "must return logits", "tuple"):
        privacy.clipped_gradient_sum(model, rows(), LABELS, clip_norm=1.0)


def test_a_parameter_of_the_model_itself_is_named() -> None:
    class Shifted(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 3)
            self.token = nn.Parameter(torch.zeros(3))

        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) + self.token

    with refuses(ValueError, "the model itself (Shifted)", "token"):
        privacy.clipped_gradient_sum(Shifted(), rows(), LABELS, clip_norm=1.0)


class Beside(nn.Linear):
    """A layer with something beside its output that depends on the batch, or on chance, and has no gradient."""

    def __init__(self, beside: Callable[[Tensor], Tensor]) -> None:
        super().__init__(4, 3)
        self.beside = beside

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = super().__call__(inputs)
        return outputs - self.beside(outputs.detach())


@pytest.mark.parametrize("beside", [lambda z: z.mean(dim=0), lambda z: z.flip(0), lambda z: z * z.std()])
def test_examples_that_meet_where_no_gradient_flows(beside: Callable[[Tensor], Tensor]) -> None:
    """Without one example, the gradients of the others change: no clip norm bounds that."""
    with refuses(ValueError, "depends on another"):
        privacy.clipped_gradient_sum(Beside(beside), rows(), LABELS, clip_norm=1.0)


def test_chance_is_no_other_example() -> None:
    own = torch.Generator().manual_seed(0)
    for beside in (torch.rand_like, lambda z: torch.rand(z.shape, generator=own), lambda z: nn.Dropout(0.5)(z)):
        for count in (0, 1, 4):
            found = privacy.clipped_gradient_sum(Beside(beside), rows()[:count], LABELS[:count], clip_norm=1.0)
            assert bool(found["weight"].any()) == (count > 0)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_have_gradients_side_by_side(kind: type[nn.RNNBase]) -> None:
    """Of `nn.GRU`, torch.func.vmap makes an error about shapes."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.out = kind(3, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, rows: Tensor) -> Tensor:
            outputs: Tensor = self.out(self.read(rows)[0][:, -1])
            return outputs

    case = Case(Last(), torch.randn(4, 5, 3), LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = privacy.per_sample_gradients(case.model, case.inputs, case.labels)
    assert all(torch.allclose(found[name], wanted, atol=1e-6) for name, wanted in one_by_one(case).items())


def test_inputs_that_do_not_fit_have_the_models_own_error() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        privacy.per_sample_gradients(nn.Linear(7, 3), rows(), LABELS)
