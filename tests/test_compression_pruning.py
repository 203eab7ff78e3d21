"""Pruning: exactly so many weights are 0, the smallest ones, and they stay 0 whatever happens to the network."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import prune as peer
from torch.utils.data import TensorDataset

from tml_helpers.compression import (
    LayerCollapseWarning,
    Mask,
    codebook,
    nonzero_count,
    plain,
    prune,
    quantize,
    sparsity_of,
)
from tml_helpers.models import MLP, SmallCNN, parameter_count
from tml_helpers.training import fit


def network(*, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """144 + 216 + 300 = 660 weights of three kinds, and numbers that are none: biases, norms, an embedding."""
    layers = (nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 3, 3), nn.Flatten(), nn.Linear(300, 1))
    for index in (0, 2, 4):
        nn.init.normal_(layers[index].weight)
    return nn.Sequential(*layers).to(dtype)


def weights_of(model: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]


def zeros(model: nn.Module) -> list[int]:
    return [int((weight == 0).sum()) for weight in weights_of(model)]


def answer(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    first = next(model.parameters())
    return model(torch.rand(4, 2, 10, 10, generator=generator).to(first.dtype))


@given(sparsity=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**32))
@pytest.mark.filterwarnings("ignore::tml_helpers.compression.LayerCollapseWarning")
def test_exactly_so_many_weights_are_zero_and_they_are_the_smallest(sparsity: float, seed: int) -> None:
    torch.manual_seed(seed)
    model = network()
    pruned = prune(model, sparsity=sparsity)
    before, after = (torch.cat([weight.flatten() for weight in weights_of(m)]) for m in (model, pruned))
    gone = after == 0
    assert int(gone.sum()) == round(sparsity * 660)
    torch.testing.assert_close(after[~gone], before[~gone], atol=0, rtol=0)
    if gone.any() and not gone.all():
        assert before[gone].abs().max() <= before[~gone].abs().min()


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.505, 0.9])
def test_magnitudes_in_the_whole_network_are_pruned_as_torchs_global_pruning_does(sparsity: float) -> None:
    model = network()
    theirs = copy.deepcopy(model)
    layers = [(theirs[index], "weight") for index in (0, 2, 4)]
    peer.global_unstructured(layers, pruning_method=peer.L1Unstructured, amount=sparsity)
    ours = prune(model, sparsity=sparsity)
    for found, (layer, _) in zip(weights_of(ours), layers, strict=True):
        torch.testing.assert_close(found, layer.weight, atol=0, rtol=0)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_magnitudes_in_each_layer_are_pruned_as_torchs_pruning_of_a_layer_does(sparsity: float) -> None:
    model = network()
    theirs = copy.deepcopy(model)
    ours = prune(model, sparsity=sparsity, scope="layer")
    for index, found in zip((0, 2, 4), weights_of(ours), strict=True):
        peer.l1_unstructured(theirs[index], "weight", amount=sparsity)
        torch.testing.assert_close(found, theirs[index].weight, atol=0, rtol=0)


def test_the_model_that_is_given_stays_as_it_is() -> None:
    model = network().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    answer(model).sum().backward()
    gradients = [p.grad for p in model.parameters()]
    pruned = prune(model, sparsity=0.9)
    prune(pruned, sparsity=0.95), plain(pruned)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name] if "running" not in name else value, atol=0, rtol=0)
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert not any(parametrize.is_parametrized(layer) for layer in model.modules())
    assert [m.training for m in pruned] == [True, False, True, True, True]
    assert not pruned[0].parametrizations.weight.original.requires_grad
    assert sparsity_of(pruned) == pytest.approx(0.9)


def test_biases_and_norms_are_not_pruned() -> None:
    model = network()
    pruned = prune(model, sparsity=0.99)
    names = [name for name, _ in model.named_parameters() if "bias" in name or name.startswith("1.")]
    for name in names:
        torch.testing.assert_close(pruned.get_parameter(name), model.get_parameter(name), atol=0, rtol=0)
    assert nonzero_count(pruned) == round(0.01 * 660) + sum(model.get_parameter(n).count_nonzero() for n in names)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, lr=1e-5, momentum=0.9, nesterov=True),
    ],
)
def test_training_changes_what_is_left_and_leaves_the_zeros(
    optimizer: Callable[[object], torch.optim.Optimizer],
) -> None:
    """Microsoft/nni #4521: the parameters of a pruned network did not move when it was trained on."""
    pruned = prune(network(dtype=torch.float32), sparsity=0.8)
    before = [weight.detach().clone() for weight in weights_of(pruned)]
    data = TensorDataset(torch.rand(32, 2, 10, 10), torch.rand(32, 1))
    fit(
        pruned,
        data,
        epochs=5,
        loss=lambda model, x, y: (model(x) - y).square().mean(),
        optimizer=optimizer(pruned.parameters()),
        batch_size=8,
    )
    for old, new in zip(before, weights_of(pruned), strict=True):
        assert torch.equal(old == 0, new == 0)
        assert (old != new)[old != 0].float().mean() > 0.99


def test_what_is_pruned_has_no_gradient_and_the_rest_has_that_of_the_weight() -> None:
    pruned = prune(network(), sparsity=0.7)
    reference = plain(pruned)
    answer(pruned).square().sum().backward()
    answer(reference).square().sum().backward()
    for index in (0, 2, 4):
        mask = pruned[index].parametrizations.weight[0].mask
        expected = torch.where(mask, reference[index].weight.grad, 0)
        torch.testing.assert_close(pruned[index].parametrizations.weight.original.grad, expected)


def test_pruning_again_goes_on_from_the_zeros() -> None:
    model = network()
    once = prune(model, sparsity=0.5)
    with torch.no_grad():  # large where it was pruned: a magnitude must not bring it back
        for weight in once.parameters():
            weight.add_(100 * (weight == 0))
    twice = prune(once, sparsity=0.8)
    assert sum(zeros(once)) == 330
    assert sum(zeros(twice)) == 528
    for old, new in zip(weights_of(once), weights_of(twice), strict=True):
        assert (new == 0)[old == 0].all()
    for index in (0, 2, 4):
        assert len(twice[index].parametrizations.weight) == 1
        assert torch.equal(twice[index].parametrizations.weight.original, twice[index].weight)
    assert zeros(prune(twice, sparsity=0.8)) == zeros(twice)


def test_less_than_is_pruned_already_is_refused() -> None:
    once = prune(network(), sparsity=0.5)
    with refuses(ValueError, "sparsity is 0.4", "0.5 already", "does not come back"):
        prune(once, sparsity=0.4)
    with refuses(ValueError, "the layer '", "already"):
        prune(prune(network(), sparsity=0.9, scope="layer"), sparsity=0.8, scope="layer")


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_random_choice_is_the_generators(scope: str) -> None:
    model = network()
    choices = [
        prune(model, sparsity=0.5, criterion="random", scope=scope, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    masks = [[weight == 0 for weight in weights_of(choice)] for choice in choices]
    assert all(map(torch.equal, masks[0], masks[1]))
    assert not all(map(torch.equal, masks[0], masks[2]))
    assert sum(zeros(choices[0])) == 330


def test_a_random_choice_looks_at_no_magnitude() -> None:
    """Of 4,000 weights half are large: a choice by chance takes 1,000 of these, with a deviation of 16."""
    layer = nn.Linear(80, 50)
    with torch.no_grad():
        layer.weight.copy_(torch.where(torch.arange(4000).view(50, 80) < 2000, 1.0, 0.1))
    pruned = prune(layer, sparsity=0.5, criterion="random", generator=torch.Generator().manual_seed(0))
    assert 850 < int((pruned.weight[:25] == 0).sum()) < 1150


def test_of_equal_magnitudes_the_first_is_pruned_first() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    with torch.no_grad():
        for layer in model:
            layer.weight.copy_(torch.tensor([-1.0, 1.0] * 3)[: layer.weight.numel()].view_as(layer.weight))
    pruned = prune(model, sparsity=0.5)
    assert (pruned[0].weight == 0).flatten().tolist() == [True] * 4 + [False] * 2
    assert pruned[1].weight.flatten().tolist() == [-1.0, 1.0]


def test_weights_that_are_zero_anyway_are_pruned_first() -> None:
    layer = nn.Linear(10, 10)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.weight[3] = 1.0
    assert sparsity_of(layer) == pytest.approx(0.9)
    pruned = prune(layer, sparsity=0.5)
    assert sparsity_of(pruned) == pytest.approx(0.9)
    assert int((~pruned.parametrizations.weight[0].mask).sum()) == 50
    assert torch.equal(pruned.weight[3], torch.ones(10))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_type(dtype: torch.dtype) -> None:
    pruned = prune(network(dtype=dtype), sparsity=0.75)
    assert sum(zeros(pruned)) == 495
    assert {weight.dtype for weight in weights_of(pruned)} == {dtype}


def test_zeros_survive_copies_types_and_files() -> None:
    """PyTorch #37322: a network that torch.nn.utils.prune has pruned cannot be copied once it has answered."""
    pruned = prune(network(dtype=torch.float32), sparsity=0.9)
    answer(pruned).sum().backward()
    copied = copy.deepcopy(pruned)
    assert zeros(copied) == zeros(pruned)
    assert copied[0].parametrizations.weight[0] is not pruned[0].parametrizations.weight[0]
    double = copy.deepcopy(pruned).double()
    assert zeros(double) == zeros(pruned)
    assert double[0].parametrizations.weight[0].mask.dtype == torch.bool
    assert copy.deepcopy(pruned).to("meta")[0].parametrizations.weight[0].mask.is_meta
    file = io.BytesIO()
    torch.save(pruned.state_dict(), file)
    file.seek(0)
    fresh = prune(network(dtype=torch.float32), sparsity=0.0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(answer(fresh.eval()), answer(pruned.eval()), atol=0, rtol=0)
    answer(fresh).sum().backward()
    assert zeros(fresh) == zeros(pruned)


def test_what_is_assigned_to_a_weight_is_masked() -> None:
    """As for a "winning ticket": the weights from before training, under the mask from after it."""
    model = network()
    pruned = prune(model, sparsity=0.6)
    mask = pruned[4].parametrizations.weight[0].mask
    with torch.no_grad():
        pruned[4].weight = torch.ones_like(pruned[4].weight)
    assert torch.equal(pruned[4].weight, mask.double())
    assert torch.equal(pruned[4].parametrizations.weight.original, mask.double())


def test_a_plain_copy_answers_the_same_with_ordinary_parameters() -> None:
    model = network()
    pruned = prune(model, sparsity=0.9)
    bare = plain(pruned)
    assert set(bare.state_dict()) == set(model.state_dict())
    assert [type(layer) for layer in bare] == [type(layer) for layer in model]
    assert zeros(bare) == zeros(pruned)
    torch.testing.assert_close(answer(bare), answer(pruned), atol=0, rtol=0)
    torch.save(bare, io.BytesIO())
    assert zeros(plain(model)) == zeros(model)


def test_removing_the_masks_of_a_copy_leaves_the_model_its_weights() -> None:
    """torch.nn.utils.parametrize keeps `weight` in a class, which copy.deepcopy shares between the two."""
    pruned = prune(network(), sparsity=0.5)
    before = answer(pruned)
    plain(pruned)
    torch.testing.assert_close(answer(pruned), before, atol=0, rtol=0)
    prune(pruned, sparsity=0.9)
    torch.testing.assert_close(answer(pruned), before, atol=0, rtol=0)


class Tied(nn.Module):
    """A word's vector is also the weight with which the word is said."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.say = nn.Embedding(20, 6), nn.Linear(6, 20, bias=False)
        self.say.weight = self.read.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.say(self.read(words))


def test_tied_weights_stay_tied_and_count_once() -> None:
    model = Tied()
    pruned = prune(model, sparsity=0.5)
    for again in (pruned, prune(pruned, sparsity=0.5), plain(pruned), copy.deepcopy(pruned)):
        assert parameter_count(again) == 120
        assert nonzero_count(again) == 60
        assert sparsity_of(again) == 0.5
        assert torch.equal(again.read.weight, again.say.weight)
    optimizer = torch.optim.Adam(pruned.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        pruned(torch.arange(20)).square().sum().backward()
        optimizer.step()
    assert torch.equal(pruned.read.weight, pruned.say.weight)
    assert sparsity_of(pruned) == 0.5
    assert not (model.say.weight == 0).any()


def test_a_layer_that_is_used_twice_counts_once() -> None:
    shared = nn.Linear(10, 10)
    pruned = prune(nn.Sequential(shared, nn.ReLU(), shared), sparsity=0.5)
    assert pruned[0] is pruned[2]
    assert nonzero_count(pruned) == 50 + 10


def test_a_network_of_attention_answers_with_its_zeros() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0).eval()
    pruned, tokens = prune(layer, sparsity=0.5), torch.rand(2, 5, 8)
    assert [name for name, module in pruned.named_modules() if isinstance(module, Mask)] == [
        f"{name}.parametrizations.weight.0" for name in ("self_attn.out_proj", "linear1", "linear2")
    ]
    torch.testing.assert_close(pruned(tokens), plain(pruned)(tokens))
    assert (pruned(tokens) - layer(tokens)).abs().max() > 1e-3


def test_pruned_attention_trains_for_more_than_one_step() -> None:
    """PyTorch #69353: with torch.nn.utils.prune, the second backward pass fails."""
    pruned = prune(nn.MultiheadAttention(8, 2, batch_first=True), sparsity=0.5)
    optimizer, tokens = torch.optim.SGD(pruned.parameters(), lr=0.1), torch.rand(2, 5, 8)
    before = pruned.out_proj.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        pruned(tokens, tokens, tokens)[0].square().sum().backward()
        optimizer.step()
    assert torch.equal(before == 0, pruned.out_proj.weight == 0)
    assert (before != pruned.out_proj.weight).sum() == 32


@pytest.mark.parametrize("method", [lambda m: codebook(m, bits=3), lambda m: quantize(m, bits=8, scheme="affine")])
def test_a_mask_goes_on_top_of_shared_values_and_of_integers(method: Callable[[nn.Module], nn.Module]) -> None:
    model = method(network())
    pruned = prune(model, sparsity=0.6)
    assert sparsity_of(pruned) >= 0.6
    for found, before in zip(weights_of(pruned), weights_of(model), strict=True):
        torch.testing.assert_close(found, torch.where(found == 0, 0, before), atol=0, rtol=0)
    bare = plain(pruned)
    torch.testing.assert_close(answer(bare), answer(pruned), atol=0, rtol=0)
    assert parameter_count(bare) == parameter_count(network())


@pytest.mark.parametrize("method", [lambda m: codebook(m, bits=3), lambda m: prune(codebook(m, bits=3), sparsity=0.5)])
def test_tied_shared_values_become_one_parameter(method: Callable[[nn.Module], nn.Module]) -> None:
    model, words = method(Tied()), torch.arange(20)
    bare = plain(model)
    assert bare.read.weight is bare.say.weight
    assert parameter_count(bare) == 120
    torch.testing.assert_close(bare(words), model(words), atol=0, rtol=0)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_plain_copy_of_weight_norm_has_parameters(frozen: bool) -> None:
    layer = parametrizations.weight_norm(nn.Linear(5, 5)).requires_grad_(not frozen)
    bare = plain(layer)
    assert sorted(dict(bare.named_parameters())) == ["bias", "weight"]
    assert bare.weight.requires_grad is not frozen
    torch.testing.assert_close(bare.weight, layer.weight)


def test_a_mask_goes_on_top_of_another_parametrisation() -> None:
    layer = parametrizations.weight_norm(nn.Linear(10, 10))
    pruned = prune(layer, sparsity=0.5)
    assert sparsity_of(pruned) == 0.5
    kept = pruned.weight != 0
    torch.testing.assert_close(pruned.weight[kept], layer.weight[kept])
    assert sparsity_of(prune(pruned, sparsity=0.8)) == 0.8
    assert sparsity_of(plain(pruned)) == 0.5


def test_a_layer_without_weights_is_told_of() -> None:
    model = MLP(8, in_features=16)
    with torch.no_grad():
        model.layers[4].weight.mul_(1e-6)
    with pytest.warns(LayerCollapseWarning, match=r"'layers\.4' lost all weights") as caught:
        prune(model, sparsity=0.9)
    assert caught[0].filename == __file__
    with pytest.warns(LayerCollapseWarning, match=r"the layer lost all weights"):
        prune(nn.Linear(2, 2), sparsity=0.9)


def test_the_books_network_keeps_a_tenth() -> None:
    pruned = prune(SmallCNN(), sparsity=0.9)
    assert parameter_count(pruned) == 206_922
    assert nonzero_count(pruned) == 206_736 - 186_062 + 186  # weights, those pruned, and the 186 biases
    assert sparsity_of(pruned) == 186_062 / 206_736
    assert sparsity_of(pruned.layers[8]) != sparsity_of(pruned.layers[1])


@pytest.mark.parametrize("sparsity", [1, 1.0, -0.1, float("nan"), float("inf")])
def test_a_sparsity_outside_its_range_is_refused(sparsity: float) -> None:
    with refuses(ValueError, "sparsity must lie in [0, 1)", str(sparsity)):
        prune(nn.Linear(2, 2), sparsity=sparsity)


@pytest.mark.parametrize("sparsity", [True, "0.5", None, torch.tensor(0.5)])
def test_a_sparsity_that_is_no_number_is_refused(sparsity: float) -> None:
    with refuses(TypeError, "sparsity must be a number"):
        prune(nn.Linear(2, 2), sparsity=sparsity)


def test_what_cannot_be_pruned_is_refused() -> None:
    with refuses(ValueError, "no linear layer and no convolution"):
        prune(nn.ReLU(), sparsity=0.5)
    with refuses(ValueError, "no linear layer and no convolution"):
        sparsity_of(nn.ReLU())
    with refuses(TypeError, "torch.nn.Module", "dict"):
        prune({}, sparsity=0.5)
    with refuses(ValueError, "criterion must be one of magnitude, random", "'size'"):
        prune(nn.Linear(2, 2), sparsity=0.5, criterion="size")
    with refuses(ValueError, "scope must be one of global, layer", "None"):
        prune(nn.Linear(2, 2), sparsity=0.5, scope=None)
    with refuses(TypeError, "generator", "7"):
        prune(nn.Linear(2, 2), sparsity=0.5, generator=7)
    with refuses(ValueError, "'0'", "lazy", "answer one batch"):
        prune(nn.Sequential(nn.LazyLinear(2)), sparsity=0.5)
    with refuses(TypeError, "mask must be a tensor of bools", "torch.float32"):
        Mask(torch.ones(2, 2))
    with refuses(TypeError, "mask must be a tensor of bools", "list"):
        Mask([True])


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    """PyTorch #54580: a network that keeps what it returned cannot be copied after a forward pass."""

    class Keeps(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            self.last = super().forward(rows)
            return self.last

    model = Keeps(2, 2)
    model(torch.rand(1, 2))
    with refuses(ValueError, "cannot be copied", "graph leaves", "remove what it keeps"):
        prune(model, sparsity=0.5)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_layers_without_numbers_are_passed_over() -> None:
    model = nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 4), nn.Linear(4, 4))
    assert sparsity_of(prune(model, sparsity=0.5)) == 0.5
    with refuses(ValueError, "no weight to prune"):
        prune(model[:2], sparsity=0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_refused(value: float) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight[1, 0] = value
    with refuses(ValueError, "'1'", "not finite"):
        prune(model, sparsity=0.5)


def test_weights_made_by_a_hook_are_refused_with_the_remedy() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    peer.l1_unstructured(model[0], "weight", amount=0.5)
    model(torch.rand(1, 4))
    with refuses(ValueError, "'0'", "hook", "prune.remove"):
        prune(model, sparsity=0.5)
    peer.remove(model[0], "weight")
    assert sparsity_of(prune(model, sparsity=0.75)) == 0.75
