"""Weight sharing: k-means on a line against scikit-learn and the exact optimum, and training that moves the values."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils import prune as torch_prune
from torch.utils.data import TensorDataset

from tml_helpers.compression import SharedValues, codebook, plain, prune, quantize
from tml_helpers.compression.codebook import lloyd
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import fit, seed_everything


def linear_of(weights: Any, dtype: torch.dtype = torch.float32) -> nn.Linear:
    """One layer with these weights, and no bias."""
    weight = torch.as_tensor(weights, dtype=dtype)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
    layer.weight.data = weight.clone()
    return layer


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parts(layer: nn.Module) -> tuple[SharedValues, Tensor]:
    """What makes the layer's weight: the parametrisation, and its values."""
    chain: Any = layer.parametrizations["weight"]  # type: ignore[index]
    assert len(chain) == 1
    return chain[0], chain.original


def nearest_by_hand(points: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Lloyd's rule as it is written down, point by point; returns what each point becomes."""
    centroids = sorted(start.tolist())
    while True:
        members: list[list[float]] = [[] for _ in centroids]
        for point in points.tolist():
            members[int(np.argmin([abs(point - c) for c in centroids]))].append(point)
        assert all(members), "this rule is for starts that lose no value"
        moved = [sum(group) / len(group) for group in members]
        if np.allclose(moved, centroids, rtol=0, atol=1e-15):
            return np.array([centroids[int(np.argmin([abs(p - c) for c in centroids]))] for p in points.tolist()])
        centroids = moved


def best_error(points: np.ndarray, values: int) -> float:
    """The smallest sum of squares that so many values leave: dynamic programming over where groups end."""
    ordered = np.sort(points)
    cost = {
        (a, b): float(((ordered[a:b] - ordered[a:b].mean()) ** 2).sum())
        for a, b in itertools.combinations(range(len(ordered) + 1), 2)
    }
    best = {b: cost[0, b] for b in range(1, len(ordered) + 1)}
    for _ in range(values - 1):
        best = {b: min([best[b]] + [best[a] + cost[a, b] for a in range(1, b)]) for b in best}
    return best[len(ordered)]


@pytest.mark.parametrize("seed", range(3))
def test_lloyds_rule_point_by_point(seed: int) -> None:
    points = np.linspace(-1, 1, 120) + 0.003 * np.random.default_rng(seed).standard_normal(120)
    start = np.linspace(points.min(), points.max(), 8)
    centroids, indices = lloyd(points, start)
    np.testing.assert_allclose(centroids[indices], nearest_by_hand(points, start), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_scikit_learns(seed: int) -> None:
    weights = torch.rand(40, 50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5
    column = weights.flatten().numpy()[:, None]
    start = np.linspace(column.min(), column.max(), 16)[:, None]
    peer = KMeans(16, init=start, n_init=1, tol=0, max_iter=10_000).fit(column)
    shared = codebook(linear_of(weights, torch.float64), bits=4)
    error = float((shared.weight.detach() - weights).square().sum())  # type: ignore[operator]
    assert error == pytest.approx(peer.inertia_, rel=1e-9)


@given(st.lists(st.floats(-4, 4).map(lambda x: round(x, 3)).filter(bool), min_size=6, max_size=24), st.integers(1, 2))
def test_never_better_than_the_exact_optimum_and_a_fixed_point(numbers: list[float], bits: int) -> None:
    points = np.array(numbers)
    shared = codebook(linear_of(points[None], torch.float64), bits=bits)
    made = shared.weight.detach().numpy()[0]  # type: ignore[operator]
    error, (_, values) = float(((made - points) ** 2).sum()), parts(shared)
    assert error >= best_error(points, 2**bits) - 1e-9
    assert len(np.unique(made)) == len(values) == min(2**bits, len(np.unique(points)))
    for value in np.unique(made):  # each value is the mean of its members, and no other value is nearer to one
        assert value == pytest.approx(points[made == value].mean(), abs=1e-9)
    distances = np.abs(points[:, None] - values.detach().numpy()[None])
    np.testing.assert_allclose(np.abs(points - made), distances.min(axis=1), atol=1e-9)


def test_the_exact_optimum_is_reached_where_groups_are_plain() -> None:
    groups = np.concatenate([center + np.linspace(-0.1, 0.1, 9) for center in (-3.0, -1.0, 1.0, 3.0)])
    made = codebook(linear_of(groups[None], torch.float64), bits=2).weight.detach().numpy()  # type: ignore[operator]
    assert ((made - groups) ** 2).sum() == pytest.approx(best_error(groups, 4), rel=1e-9)


def test_a_value_that_loses_its_members_goes_on_elsewhere() -> None:
    """One outlier stretches a linear start so far that most values begin where no weight is."""
    weights = torch.cat([torch.linspace(-1, 1, 500, dtype=torch.float64), torch.tensor([1000.0], dtype=torch.float64)])
    shared = codebook(linear_of(weights[None], torch.float64), bits=4)
    _, values = parts(shared)
    assert len(values) == 16
    assert values.max() == 1000
    assert (shared.weight - weights).abs().max() < 0.15  # type: ignore[operator]


def test_few_different_weights_are_kept_as_they_are() -> None:
    """coreai-optimization #93: more values than samples ended in an error, and the layer was left as it was."""
    weights = torch.tensor([[0.3, -0.7, 0.3, 1e-8], [0.3, 1e-8, -0.7, 5.0]])
    for bits in (2, 3, 16):
        shared = codebook(linear_of(weights), bits=bits)
        assert torch.equal(shared.weight, weights)  # type: ignore[arg-type]
        assert torch.equal(parts(shared)[1], torch.tensor([-0.7, 1e-8, 0.3, 5.0]))


@pytest.mark.parametrize("bits", range(1, 17))
def test_each_number_of_bits(bits: int) -> None:
    weights = normal(300, 300, dtype=torch.float32)
    shared = codebook(linear_of(weights), bits=bits)
    indices, values = parts(shared)[0].indices, parts(shared)[1]
    assert len(values) == 2**bits
    assert torch.equal(torch.unique(indices), torch.arange(1, 2**bits + 1))
    assert torch.equal(shared.weight, values[indices.long() - 1])  # type: ignore[arg-type]


def test_more_bits_leave_less_error() -> None:
    weights = normal(100, 100)
    errors = [
        float((codebook(linear_of(weights, torch.float64), bits=bits).weight.detach() - weights).square().mean())  # type: ignore[union-attr, operator]
        for bits in range(1, 9)
    ]
    # of normal numbers, the best 2ᵇ values leave 0.3634, 0.1175, 0.03454, 0.009497, … (Max, 1960, table I)
    for error, published in zip(errors, (0.3634, 0.1175, 0.03454, 0.009497), strict=False):
        assert published * 0.85 < error < published * 1.4
    assert all(after < before / 2 for before, after in itertools.pairwise(errors))


def test_the_gradient_of_a_value_is_the_sum_over_its_members() -> None:
    seed_everything(0)
    model = prune(MLP(12, in_features=16), sparsity=0.4)
    shared = codebook(model, bits=2)
    images, labels = torch.rand(32, 1, 4, 4), torch.randint(10, (32,))
    F.cross_entropy(shared(images), labels).backward()
    bare = plain(shared)
    F.cross_entropy(bare(images), labels).backward()
    for layer, twin in zip(shared.layers, bare.layers, strict=True):  # type: ignore[union-attr, arg-type]
        if isinstance(twin, nn.Linear):
            made, values = parts(layer)
            for number in range(1, 5):
                members = twin.weight.grad[made.indices == number]  # type: ignore[index]
                torch.testing.assert_close(values.grad[number - 1], members.sum())  # type: ignore[index]


def test_the_values_pass_gradcheck() -> None:
    indices = torch.tensor([[0, 1, 2], [2, 2, 1]])
    values = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SharedValues(indices, 2), values)


def test_training_moves_values_and_nothing_else() -> None:
    """model-optimization #520 and #702: the zeros of a pruned network drifted away in the training that followed."""
    seed_everything(0)
    images, labels = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
    shared = codebook(prune(SmallCNN(width=2), sparsity=0.8), bits=3)
    before = copy.deepcopy(shared)
    losses = fit(shared, TensorDataset(images, labels), epochs=15, learning_rate=0.01, batch_size=32)
    assert losses[-1] < losses[0]
    for name, layer in shared.named_modules():
        if parametrize.is_parametrized(layer):
            old = before.get_submodule(name)
            assert torch.equal(parts(layer)[0].indices, parts(old)[0].indices)
            assert torch.equal(layer.weight == 0, old.weight == 0)  # type: ignore[arg-type]
            assert not torch.equal(parts(layer)[1], parts(old)[1])
            assert len(torch.unique(layer.weight)) <= 9  # type: ignore[arg-type]


def test_the_model_stays_as_it_is() -> None:
    for model in (SmallCNN(width=2), prune(SmallCNN(width=2), sparsity=0.5), codebook(SmallCNN(width=2), bits=5)):
        state = copy.deepcopy(model.state_dict())
        model.layers[1].eval()  # type: ignore[union-attr, index]
        shared = codebook(model, bits=2)
        assert [module.training for module in model.modules()].count(False) > 0
        assert not shared.layers[1].training  # type: ignore[union-attr, index]
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert model.layers[1].weight.shape == (2, 1, 3, 3)  # type: ignore[union-attr, index]
        assert {id(p) for p in model.parameters()}.isdisjoint({id(p) for p in shared.parameters()})


def test_zeros_cost_no_value() -> None:
    weights = torch.tensor([[0.0, 1.0, 2.0, 0.0, -1.0, -2.0]])
    shared = codebook(linear_of(weights), bits=2)
    assert torch.equal(shared.weight, weights)  # type: ignore[arg-type]
    assert parts(shared)[0].indices.tolist() == [[0, 3, 4, 0, 2, 1]]


def test_a_layer_of_zeros_has_no_value() -> None:
    shared = codebook(linear_of(torch.zeros(2, 3)), bits=2)
    assert len(parts(shared)[1]) == 0
    assert torch.equal(shared.weight, torch.zeros(2, 3))  # type: ignore[arg-type]
    shared(torch.ones(1, 3)).sum().backward()


def test_what_is_assigned_becomes_the_mean_of_its_members() -> None:
    shared = codebook(linear_of([[1.0, 1.0, 4.0, 0.0, 4.0]]), bits=1)
    shared.weight = torch.tensor([[2.0, 4.0, 7.0, 9.0, 9.0]])  # type: ignore[assignment]
    assert torch.equal(shared.weight, torch.tensor([[3.0, 3.0, 8.0, 0.0, 8.0]]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_type_of_weight(dtype: torch.dtype) -> None:
    weights = normal(20, 30).to(dtype)
    shared = codebook(linear_of(weights, dtype), bits=5)
    assert shared.weight.dtype == parts(shared)[1].dtype == dtype  # type: ignore[union-attr]
    assert (shared.weight - weights).abs().max() < 0.5  # type: ignore[operator]
    assert shared.double().weight.dtype == torch.float64  # type: ignore[union-attr]


def test_convolutions_of_every_kind_and_a_network_without_sequential() -> None:
    """model-optimization #1132: depthwise convolutions were passed over, and kept all of their weights."""

    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep = nn.Conv2d(3, 3, 3, groups=3)
            self.back = nn.ConvTranspose2d(3, 4, 2)
            self.line = nn.Conv1d(4, 5, 2)

        def forward(self, images: Tensor) -> Tensor:
            out: Tensor = self.line(self.back(self.deep(images)).flatten(2)).mean(dim=2)
            return out

    seed_everything(0)
    model = Foreign()
    model.deep.weight.data = model.deep.weight.data.to(memory_format=torch.channels_last)
    shared = codebook(model, bits=2)
    for layer in (shared.deep, shared.back, shared.line):
        assert len(torch.unique(layer.weight)) == 4  # type: ignore[arg-type, union-attr]
    assert shared(torch.rand(2, 3, 6, 6)).shape == (2, 5)
    difference = (shared.deep.weight - model.deep.weight).abs().max()  # type: ignore[union-attr, operator]
    assert difference < model.deep.weight.std()  # a weight at another's place would be farther off


def test_tied_weights_stay_tied() -> None:
    """pytorch #188346: what ties two layers is easily lost, and one of them then learns alone."""
    seed_everything(0)
    model = nn.ModuleDict({"words": nn.Embedding(7, 4), "answer": nn.Linear(4, 7)})
    model["answer"].weight = model["words"].weight
    for start in (model, prune(model, sparsity=0.3), codebook(model, bits=3), quantize(model)):
        shared: Any = codebook(start, bits=2)
        assert shared["words"].parametrizations.weight.original is shared["answer"].parametrizations.weight.original
        assert torch.equal(shared["words"].weight, shared["answer"].weight)
        assert sum(p.numel() for p in shared.parameters()) == 4 + 7
        (shared["words"].weight.sum() + shared["answer"].weight.sum()).backward()
        members = torch.bincount(shared["words"].parametrizations.weight[0].indices.flatten(), minlength=5)[1:]
        assert torch.equal(shared["words"].parametrizations.weight.original.grad, 2.0 * members)


def test_a_copy_and_a_state_carry_all() -> None:
    seed_everything(0)
    shared = codebook(MLP(8, in_features=9), bits=2)
    other = codebook(MLP(8, in_features=9), bits=2)
    other.load_state_dict(shared.state_dict())
    images = torch.rand(5, 1, 3, 3)
    assert torch.equal(other(images), shared(images))
    assert torch.equal(copy.deepcopy(shared)(images), shared(images))
    assert torch.equal(plain(shared)(images), shared(images))


def test_a_frozen_layer_stays_frozen() -> None:
    model = MLP(8, in_features=9)
    model.layers[2].weight.requires_grad_(False)  # type: ignore[union-attr, operator]
    shared = codebook(model, bits=2)
    assert [parts(shared.layers[n])[1].requires_grad for n in (2, 4)] == [False, True]  # type: ignore[union-attr, index]


def test_the_random_start() -> None:
    weights = normal(50, 50)

    def made(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        layer = linear_of(weights, torch.float64)
        return codebook(layer, bits=6, start="random", generator=generator).weight  # type: ignore[return-value]

    assert torch.equal(made(0), made(0))
    assert not torch.equal(made(0), made(1))
    assert float((made(2).detach() - weights).square().mean()) < 0.006  # the best 64 values leave some 0.0007


def test_bits_are_whole_numbers_from_1_to_16() -> None:
    model = MLP(in_features=4)
    for wrong in (0, 17, -1):
        with refuses(ValueError, f"bits must be a whole number from 1 to 16, got {wrong}"):
            codebook(model, bits=wrong)
    for kind in (True, 4.0, "4", None):
        with refuses(TypeError, f"bits must be a whole number from 1 to 16, got {kind!r}"):
            codebook(model, bits=kind)  # type: ignore[arg-type]


def broken(name: str) -> nn.Module:
    model = MLP(in_features=4)
    layer: Any = model.layers[2]
    if name == "hook":
        torch_prune.l1_unstructured(layer, "weight", 2)
    else:
        layer.weight.data[0, 0] = float(name)
    return model


@pytest.mark.parametrize("name", ["nan", "inf", "-inf"])
def test_weights_that_are_not_finite(name: str) -> None:
    with refuses(ValueError, "layers.2", "not finite"):
        codebook(broken(name), bits=4)


def test_models_without_weights_of_their_own() -> None:
    """pytorch #37322: a model that PyTorch's pruning holds by a hook cannot even be copied after an answer."""
    with refuses(ValueError, "hook", "prune.remove"):
        codebook(broken("hook"), bits=4)
    with refuses(ValueError, "no linear layer and no convolution"):
        codebook(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), bits=4)
    with refuses(TypeError, "torch.nn.Module, got dict"):
        codebook({}, bits=4)  # type: ignore[arg-type]


def test_other_arguments() -> None:
    model = MLP(in_features=4)
    with refuses(ValueError, "start must be one of linear, random, got 'density'"):
        codebook(model, bits=4, start="density")  # type: ignore[arg-type]
    with refuses(TypeError, "generator", "manual_seed"):
        codebook(model, bits=6, start="random", generator=3)  # type: ignore[arg-type]
    with refuses(TypeError, "indices must be a tensor of integers, got torch.float32"):
        SharedValues(torch.zeros(2, 2), 1)
    for wrong in (torch.tensor([[0, 3]]), torch.tensor([[-1, 2]])):
        with refuses(ValueError, "indices must lie in 0…2"):
            SharedValues(wrong, 2)
