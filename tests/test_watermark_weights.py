"""A message in weights: its law over keys by the normal and the binomial distribution, and what it survives."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch.utils.data import TensorDataset

from tml_helpers.compression import prune, quantize
from tml_helpers.data import digits
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, fit
from tml_helpers.watermark import WeightWatermark, normals, signs, uniforms

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CONV = "layers.4"


def keys(count: int, seed: int = 0) -> list[bytes]:
    generator = torch.Generator().manual_seed(seed)
    return [bytes(torch.randint(256, (16,), generator=generator).tolist()) for _ in range(count)]


def network(seed: int = 0, width: int = 4) -> SmallCNN:
    torch.manual_seed(seed)
    return SmallCNN(width=width)


def marked(mark: WeightWatermark, model: nn.Module, steps: int = 60, rate: float = 0.01) -> nn.Module:
    """A network whose penalty alone was made small."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        mark.penalty(model).backward()
        optimizer.step()
    return model


def test_the_statistic_is_the_formula() -> None:
    """The same in NumPy, from the key's numbers: fails where a row, a sign or the norm is another."""
    model = network()
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=20)
    w = model.get_submodule(CONV).weight.detach().double().numpy().ravel()
    X, b = normals(KEY, "weights: projections", 20, w.size).numpy(), signs(KEY, "weights: message", 20).numpy()
    projected = X @ w / np.sqrt((w**2).sum())
    found = mark.test(model)
    statistic = (b * projected).sum() / np.sqrt(20)
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p_value == found.p_beyond == pytest.approx(stats.norm.sf(statistic), rel=1e-9)
    assert np.allclose(found.margins, b * projected, rtol=1e-9)
    assert found.wrong_bits == ((projected > 0) != (b > 0)).sum()
    assert found.of_bits.p_value == pytest.approx(stats.binom.sf(19 - found.wrong_bits, 20, 0.5), rel=1e-9)
    assert torch.equal(mark.read(model), torch.from_numpy(projected > 0))
    assert torch.equal(mark.read(model), found.message)


@pytest.mark.parametrize("strength", [0.25, 3.0])
def test_the_penalty_is_the_mean_cross_entropy_of_the_bits(strength: float) -> None:
    """Uchida et al., 2017, equation 3, divided by n; by PyTorch's own cross-entropy and its gradient."""
    model = network().double()
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=30, strength=strength)
    weight = model.get_submodule(CONV).weight
    logits = normals(KEY, "weights: projections", 30, weight.numel()) @ weight.flatten()
    by_torch = strength * F.binary_cross_entropy_with_logits(logits, mark.message.double())
    assert torch.allclose(mark.penalty(model), by_torch, rtol=1e-9)
    ours, theirs = (torch.autograd.grad(value, weight)[0] for value in (mark.penalty(model), by_torch))
    assert torch.allclose(ours, theirs, rtol=1e-7)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), power=st.integers(-30, 30), bits=st.integers(1, 60))
def test_rescaled_weights_carry_the_same_message(seed: int, power: int, bits: int) -> None:
    """Fails without the norm; powers of ten down to 1e-30, whose squares are no floats of single precision."""
    model = network(seed)
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=bits)
    before = mark.test(model)
    with torch.no_grad():
        model.get_submodule(CONV).weight.mul_(2.0**power)
    assert mark.test(model).statistic == pytest.approx(before.statistic, rel=1e-9)
    with torch.no_grad():
        model.get_submodule(CONV).weight.mul_(-1)
    assert mark.test(model).statistic == pytest.approx(-before.statistic, rel=1e-9)


@pytest.mark.parametrize("of", ["unmarked", "marked with another key", "sparse", "one weight"])
def test_over_keys_the_p_value_is_uniform_whatever_the_weights(of: str) -> None:
    """400 keys: Kolmogorov and Smirnov for t, a binomial law for the wrong bits, and no false positive below 1e-8."""
    model: nn.Module = network()
    if of == "marked with another key":
        model = marked(WeightWatermark(model, layer=CONV, key=KEY, bits=64), model)
    weight = model.get_submodule(CONV).weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        if of == "sparse":
            weight[:, 1:] = 0
        if of == "one weight":
            weight.zero_()[0, 0, 0, 0] = -3.0
    found = [WeightWatermark(model, layer=CONV, key=key, bits=16).test(model) for key in keys(400)]
    assert stats.kstest([evidence.p_value for evidence in found], "uniform").pvalue > 1e-6
    by_coins = [
        evidence.of_bits.randomized(generator=torch.Generator().manual_seed(i)) for i, evidence in enumerate(found)
    ]
    assert stats.kstest(by_coins, "uniform").pvalue > 1e-6
    wrong = np.bincount([evidence.wrong_bits for evidence in found], minlength=17)
    expected = 400 * stats.binom.pmf(range(17), 16, 0.5)
    assert (
        stats.chisquare(
            [wrong[:6].sum(), *wrong[6:11], wrong[11:].sum()],
            [expected[:6].sum(), *expected[6:11], expected[11:].sum()],
        ).pvalue
        > 1e-6
    )
    margins = torch.cat([evidence.margins for evidence in found])
    assert stats.kstest(margins.numpy(), "norm").pvalue > 1e-6


def test_a_message_of_the_owners_own_has_the_same_law() -> None:
    model = network()
    own = [1] * 16
    found = [WeightWatermark(model, layer=CONV, key=key, message=own).test(model).p_value for key in keys(300)]
    assert stats.kstest(found, "uniform").pvalue > 1e-6


def test_the_mark_is_read_and_another_key_reads_nothing() -> None:
    model = network()
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=64)
    assert mark.test(model).p_value > 1e-8
    owned = marked(mark, model)
    found = mark.test(owned)
    assert found.wrong_bits == 0
    assert found.p_value < 1e-12
    assert found.of_bits.p_value == pytest.approx(2.0**-64)
    assert torch.equal(mark.read(owned), mark.message)
    assert WeightWatermark(model, layer=CONV, key=OTHER, bits=64).test(owned).p_value > 1e-8


@pytest.mark.parametrize(
    "message",
    [[0, 1, 1, 0, 1], np.array([0, 1, 1, 0, 1]), torch.tensor([0.0, 1, 1, 0, 1]), [False, True, True, False, True]],
)
def test_a_message_of_ones_own_is_set_and_read(message: Any) -> None:
    model = network()
    mark = WeightWatermark(model, layer=CONV, key=KEY, message=message)
    assert mark.read(marked(mark, model, steps=40)).int().tolist() == [0, 1, 1, 0, 1]


def test_any_message_as_long_as_the_layer_can_be_set() -> None:
    """n rows of as many normal numbers are independent: each pattern of signs has a solution. One more is refused."""
    model = nn.Sequential(nn.Linear(6, 5))
    mark = WeightWatermark(model, layer="0", key=KEY, bits=30)
    rows = normals(KEY, "weights: projections", 30, 30)
    solved = torch.linalg.solve(rows, torch.where(mark.message, 1.0, -1.0).double())
    with torch.no_grad():
        model[0].weight.copy_(solved.view(5, 6))
    model.double()[0].weight.data = solved.view(5, 6)
    assert mark.test(model).wrong_bits == 0
    with refuses(ValueError, "message has 31 bits", "layer '0' has 30 weights", "larger layer"):
        WeightWatermark(model, layer="0", key=KEY, bits=31)


def test_of_a_large_layer_the_key_chooses_weights() -> None:
    """Those with its smallest numbers; what is not chosen may be anything, and the law over keys is the same."""
    model = nn.Sequential(nn.Linear(100, 100))
    mark = WeightWatermark(model, layer="0", key=KEY, bits=8)
    seen = torch.zeros(10_000, dtype=torch.bool)
    weight = model[0].weight
    seen[torch.autograd.grad(mark.penalty(model), weight)[0].flatten() != 0] = True
    assert int(seen.sum()) == 8 * 32
    assert seen[uniforms(KEY, "weights: places", 10_000).argsort()[: 8 * 32]].all()
    before = mark.test(model).statistic
    with torch.no_grad():
        weight.view(-1)[~seen] = 1e3
    assert mark.test(model).statistic == before
    other = torch.autograd.grad(WeightWatermark(model, layer="0", key=OTHER, bits=8).penalty(model), weight)[0]
    assert not torch.equal(other.flatten() != 0, seen)
    found = [WeightWatermark(model, layer="0", key=key, bits=8).test(model).p_value for key in keys(200)]
    assert stats.kstest(found, "uniform").pvalue > 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_in_other_precisions(dtype: torch.dtype) -> None:
    model = network()
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=32)
    owned = marked(mark, model).to(dtype)
    assert mark.test(owned).wrong_bits == 0
    with torch.no_grad():
        assert float(mark.penalty(owned)) == pytest.approx(float(mark.penalty(owned.float())), rel=0.02)


def test_pruned_and_quantized_networks_are_read_as_they_compute() -> None:
    """Masks and grids of `compression` are parametrisations: what counts is the weight that the layer uses."""
    model = network(width=8)
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=64)
    owned = marked(mark, model)
    for changed in (prune(owned, sparsity=0.5), quantize(owned, bits=4)):
        assert parametrize.is_parametrized(changed.get_submodule(CONV), "weight")
        assert mark.test(changed).wrong_bits == 0

    class Zero(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 0 * weight

    parametrize.register_parametrization(owned.get_submodule(CONV), "weight", Zero())
    with refuses(ValueError, CONV, "all 0", "nothing to read"):
        mark.test(owned)


def test_weights_that_are_not_contiguous() -> None:
    model, turned = nn.Sequential(nn.Linear(8, 12)), nn.Sequential(nn.Linear(8, 12))
    turned[0].weight = nn.Parameter(model[0].weight.detach().T.contiguous().T)
    assert not turned[0].weight.is_contiguous()
    mark = WeightWatermark(model, layer="0", key=KEY, bits=9)
    assert mark.test(turned).statistic == mark.test(model).statistic


def test_the_network_is_left_as_it_came() -> None:
    model = network()
    model.train()
    model.layers[4].eval()
    mark = WeightWatermark(model, layer=CONV, key=KEY)
    modes = [module.training for module in model.modules()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copy.deepcopy(model.state_dict())
    mark.test(model), mark.read(model)
    assert [module.training for module in model.modules()] == modes
    assert all((parameter.grad == 1).all() for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not mark.test(model).margins.requires_grad


def test_a_parametrisation_that_learns_when_it_is_read_is_left_alone() -> None:
    """spectral_norm takes a step of its power iteration at each look in training mode."""
    model = network()
    parametrizations.spectral_norm(model.get_submodule(CONV))
    before = copy.deepcopy(model.state_dict())
    WeightWatermark(model, layer=CONV, key=KEY, bits=8).test(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_first_look_without_gradients_does_not_spoil_later_ones() -> None:
    with torch.inference_mode():
        model = network()
        mark = WeightWatermark(model, layer=CONV, key=KEY, bits=8)
        mark.penalty(model)
    trained = network()
    mark.penalty(trained).backward()
    assert trained.get_submodule(CONV).weight.grad is not None


def test_what_is_no_network() -> None:
    mark = WeightWatermark(network(), layer=CONV, key=KEY, bits=8)
    state: Any = network().state_dict()
    for call in (mark.test, mark.read, mark.penalty):
        with refuses(TypeError, "torch.nn.Module", "OrderedDict"):
            call(state)
    with refuses(TypeError, "torch.nn.Module"):
        WeightWatermark(state, layer=CONV, key=KEY)


def test_the_layer_may_be_given_as_a_module_and_has_another_name_in_a_wrapper() -> None:
    model = network()
    mark = WeightWatermark(model, layer=model.layers[4], key=KEY, bits=16)
    assert mark.layer == CONV
    wrapped = nn.DataParallel(model)
    assert mark.test(wrapped, layer="module.layers.4").statistic == mark.test(model).statistic
    assert mark.test(model, layer=model.layers[4]).statistic == mark.test(model).statistic
    assert torch.equal(mark.read(wrapped, layer="module.layers.4"), mark.read(model))
    with refuses(ValueError, "no layer 'layers.4'", "module.layers.4"):
        mark.test(wrapped)


def test_the_penalty_acts_on_the_network_that_it_is_given() -> None:
    """dnn-watermark #10: its regulariser had to be bound to parameters first, and did nothing for another network."""
    first, second = network(0), network(1)
    mark = WeightWatermark(first, layer=CONV, key=KEY, bits=16)
    mark.penalty(second).backward()
    assert first.get_submodule(CONV).weight.grad is None
    assert second.get_submodule(CONV).weight.grad.abs().sum() > 0
    assert mark.test(marked(mark, second)).wrong_bits == 0


def test_the_projections_are_the_same_at_each_step_and_after_a_copy() -> None:
    """A port of dnn-watermark drew them anew at each call: it trained on, and its own matrix read nothing."""
    model = network()
    mark = WeightWatermark(model, layer=CONV, key=KEY, bits=16)
    again = WeightWatermark(network(5), layer=CONV, key=KEY, bits=16)
    assert mark.penalty(model) == mark.penalty(model) == again.penalty(model) == copy.deepcopy(mark).penalty(model)


def test_any_layer_carries_it_and_the_choice_is_part_of_the_key() -> None:
    """DNN-Watermarking #1 asks in which layer a mark is: here the owner says it, and another one reads as chance."""
    model = MLP(32, 32)
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    for name in names:
        mark = WeightWatermark(model, layer=name, key=KEY, bits=64)
        owned = marked(mark, model)
        assert mark.test(owned).wrong_bits == 0
    square = nn.Sequential(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20))
    mark = WeightWatermark(square, layer="0", key=KEY, bits=64)
    assert mark.test(marked(mark, square), layer="2").p_value > 1e-8


REFUSED = {
    "no such layer": ({"layer": "conv9"}, ValueError, ("no layer 'conv9'", "layers.4")),
    "a layer without weights": ({"layer": "layers.2"}, ValueError, ("layers.2", "no weights")),
    "somebody else's layer": ({"layer": nn.Linear(2, 2)}, ValueError, ("no layer Linear of yours",)),
    "too many bits": ({"layer": "layers.1", "bits": 256}, ValueError, ("256 bits", "has 36 weights")),
    "no bits": ({"bits": 0}, ValueError, ("bits", "1 or more")),
    "bits as a truth value": ({"bits": True}, TypeError, ("bits", "True")),
    "a long message": ({"message": [1] * 300}, ValueError, ("300 bits", "288 weights")),
    "both": ({"message": [1, 0], "bits": 2}, ValueError, ("bits has no effect", "message")),
    "an empty message": ({"message": []}, ValueError, ("at least one",)),
    "a table": ({"message": [[0, 1]]}, ValueError, ("[1, 2]",)),
    "other numbers": ({"message": [0, 1, 2]}, ValueError, ("row of bits, 0 and 1",)),
    "NaN": ({"message": [float("nan")]}, ValueError, ("row of bits, 0 and 1",)),
    "a text": ({"message": "0101"}, TypeError, ("got str", "the bits one by one")),
    "a negative strength": ({"strength": -1}, ValueError, ("strength", "-1")),
    "an infinite strength": ({"strength": float("inf")}, ValueError, ("strength", "inf")),
    "a strength in words": ({"strength": "high"}, TypeError, ("strength", "high")),
    "a hash": ({"key": hash("mine")}, TypeError, ("key must be bytes", "hash()")),
    "a short key": ({"key": b"mine"}, ValueError, ("16 to 32 bytes", "got 4")),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str) -> None:
    arguments, error, words = REFUSED[kind]
    given: dict[str, Any] = {"layer": CONV, "key": KEY} | arguments
    with refuses(error, *words):
        WeightWatermark(network(), **given)


def test_another_architecture_and_weights_that_are_no_numbers() -> None:
    mark = WeightWatermark(network(), layer=CONV, key=KEY)
    for call in (mark.test, mark.read, mark.penalty):
        with refuses(ValueError, "[8, 4, 3, 3]", "[16, 8, 3, 3]", "another architecture"):
            call(network(width=8))
        with refuses(ValueError, "no layer 'layers.4'"):
            call(nn.Sequential(nn.Linear(3, 3)))
    for value, word in ((float("nan"), "not finite"), (float("inf"), "not finite"), (0.0, "all 0")):
        model = network()
        nn.init.constant_(model.get_submodule(CONV).weight, value)
        with refuses(ValueError, CONV, word):
            mark.test(model)


def test_a_trained_network_keeps_its_mark_through_training_on_and_pruning_and_loses_it_by_reordering() -> None:
    """Nagai et al., 2018: no bit is lost in training on at the same rate, nor with half of the weights."""
    people = digits("train")
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    order = torch.randperm(len(people), generator=generator)
    owner, thief = (TensorDataset(people.images[part], people.labels[part]) for part in (order[:700], order[700:]))
    model = MLP(128, in_features=64)
    layer = next(name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    mark = WeightWatermark(model, layer=layer, key=KEY, bits=64)
    settings: dict[str, Any] = {"epochs": 10, "learning_rate": 2e-3, "batch_size": 32, "generator": generator}
    fit(model, owner, loss=lambda m, x, y: F.cross_entropy(m(x), y) + mark.penalty(m), **settings)
    assert accuracy(model, thief) > 0.9
    assert mark.test(model).wrong_bits == 0
    trained_on = copy.deepcopy(model)
    fit(trained_on, thief, **settings)
    for changed in (trained_on, prune(model, sparsity=0.5), prune(trained_on, sparsity=0.5)):
        assert mark.test(changed).wrong_bits == 0
    reordered = copy.deepcopy(model)
    first, second = (module for module in reordered.modules() if isinstance(module, nn.Linear))
    channels = torch.randperm(128, generator=generator)
    with torch.no_grad():
        first.weight.copy_(first.weight[channels])
        first.bias.copy_(first.bias[channels])
        second.weight.copy_(second.weight[:, channels])
        assert torch.allclose(reordered(people.images), model(people.images), atol=1e-3)
    assert mark.test(reordered).p_value > 1e-8
