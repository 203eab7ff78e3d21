"""Structured pruning: a smaller network that answers as the larger one with its readers blind to what has left."""

import copy
from collections.abc import Callable

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune as peer
from torch.utils.data import TensorDataset

from tml_helpers.compression import UncompressedWarning, prune, prune_channels
from tml_helpers.models import MLP, Generator, SmallCNN, multiply_adds, parameter_count
from tml_helpers.training import fit


def settle(model: nn.Module) -> nn.Module:
    """In double, in evaluation mode, with numbers in the norms that differ from channel to channel."""
    generator = torch.Generator().manual_seed(0)
    for module in model.double().eval().modules():
        for name in ("running_mean", "running_var", "weight", "bias"):
            values = getattr(module, name, None)
            if values is not None and not isinstance(module, nn.Embedding):
                with torch.no_grad():
                    drawn = torch.rand(values.shape, generator=generator, dtype=torch.float64)
                    values.copy_(drawn + 0.1 if "running" in name else drawn - 0.5)
    return model


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def smallest(layer: nn.Module, count: int) -> list[int]:
    """By hand: the channels with the smallest sums of magnitudes."""
    weight = layer.weight.detach()
    sums = [float(part.abs().sum()) for part in (weight.unbind(1) if "Transpose" in type(layer).__name__ else weight)]
    return sorted(sorted(range(len(sums)), key=sums.__getitem__)[:count])


def blinded(model: nn.Module, chains: dict[str, tuple[str, int]], sparsity: float) -> nn.Module:
    """The network of the same size, in which the readers have zeros where they read what leaves."""
    blind = copy.deepcopy(model)
    for maker, (reader, block) in chains.items():
        layer, reading = model.get_submodule(maker), blind.get_submodule(reader)
        channels = layer.weight.shape[1 if "Transpose" in type(layer).__name__ else 0]
        gone = smallest(layer, min(round(sparsity * channels), channels - 1))
        columns = [channel * block + place for channel in gone for place in range(block)]
        with torch.no_grad():
            (reading.weight.data if "Transpose" in type(reading).__name__ else reading.weight.data.transpose(0, 1))[
                columns
            ] = 0
    return blind


class Functional(nn.Module):
    """As many write them: activations, pooling and flattening are functions, and one flattens by a view."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.Conv2d(1, 6, 5)  # a layer with the name of an operation is still a layer
        self.second = nn.Conv2d(6, 16, 5)
        self.dense = nn.Linear(16 * 4 * 4, 30)
        self.out = nn.Linear(30, 10)

    def forward(self, images: Tensor) -> Tensor:
        images = F.max_pool2d(F.relu(self.relu(images)), 2)
        images = F.dropout2d(F.avg_pool2d(torch.tanh(self.second(images)), 2), training=self.training)
        images = images.view(images.size(0), -1)
        return self.out(self.dense(images).relu())


class ByShape(nn.Module):
    """Another way to flatten, and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3), nn.Conv1d(6, 5, 3)
        self.out = nn.Linear(20, 2)

    def forward(self, images: Tensor) -> Tensor:
        images = self.second(self.first(images).mean(dim=-1).sigmoid())
        return self.out(images.reshape(images.shape[0], -1))


class Depthwise(nn.Module):
    """As in MobileNet: a convolution widens, one looks at each channel alone, one narrows; and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(4, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6())
        self.alone = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.BatchNorm2d(12), nn.Hardswish())
        self.narrow = nn.Conv2d(12, 4, 1)
        self.out = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        images = images + self.narrow(self.alone(self.wide(images)))
        return self.out(images.mean([2, 3]))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, tuple[str, int]]]] = {
    "the book's": (
        lambda: SmallCNN(width=6),
        (2, 1, 28, 28),
        {"layers.1": ("layers.4", 1), "layers.4": ("layers.8", 49), "layers.8": ("layers.10", 1)},
    ),
    "the book's perceptron": (
        lambda: MLP(20, 10),
        (2, 1, 28, 28),
        {"layers.2": ("layers.4", 1), "layers.4": ("layers.6", 1)},
    ),
    "the book's generator": (
        Generator,
        (2, 64),
        {"layers.4": ("layers.7", 1), "layers.7": ("layers.10", 1)},
    ),
    "of colour": (
        lambda: SmallCNN(3, 32, width=4),
        (2, 3, 32, 32),
        {"layers.1": ("layers.4", 1), "layers.4": ("layers.8", 64), "layers.8": ("layers.10", 1)},
    ),
    "with norms before and after flattening": (
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 8, 3, bias=False), nn.BatchNorm2d(8), nn.PReLU(8), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
            *(nn.BatchNorm1d(32), nn.Dropout(), nn.Linear(32, 12), nn.BatchNorm1d(12, affine=False), nn.GELU()),
            nn.Linear(12, 3),
        ),
        (2, 2, 8, 8),
        {"0": ("7", 4), "7": ("10", 1)},
    ),
    "with norms of each image": (
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 8, 3), nn.InstanceNorm2d(8, affine=True, track_running_stats=True), nn.PReLU()),
            *(nn.Conv2d(8, 6, 3), nn.InstanceNorm2d(6), nn.LPPool2d(2, 2), nn.Flatten(), nn.Linear(24, 3)),
        ),
        (2, 2, 8, 8),
        {"0": ("3", 1), "3": ("7", 4)},
    ),
    "of sounds": (
        lambda: nn.Sequential(
            *(nn.Conv1d(2, 8, 3), nn.SiLU(), nn.MaxPool1d(2), nn.Conv1d(8, 6, 3), nn.Softplus(), nn.Flatten()),
            nn.Linear(18, 3),
        ),
        (2, 2, 12),
        {"0": ("3", 1), "3": ("6", 3)},
    ),
    "of volumes": (
        lambda: nn.Sequential(nn.Conv3d(1, 8, 3), nn.ELU(), nn.AvgPool3d(2), nn.Flatten(), nn.Linear(64, 3)),
        (2, 1, 6, 6, 6),
        {"0": ("4", 8)},
    ),
    "of sequences": (
        lambda: nn.Sequential(
            nn.Linear(6, 20), nn.GELU(), nn.Dropout(), nn.Linear(20, 5), nn.Sigmoid(), nn.Linear(5, 2)
        ),
        (2, 7, 6),
        {"0": ("3", 1), "3": ("5", 1)},
    ),
    "of functions": (
        Functional,
        (2, 1, 28, 28),
        {"relu": ("second", 1), "second": ("dense", 16), "dense": ("out", 1)},
    ),
    "of other functions": (ByShape, (2, 1, 8, 8), {"first": ("second", 1), "second": ("out", 4)}),
    "of transposed convolutions": (
        lambda: nn.Sequential(
            *(nn.ConvTranspose2d(3, 9, 3), nn.BatchNorm2d(9, track_running_stats=False), nn.ReLU()),
            *(nn.Conv2d(9, 7, 3), nn.ReLU(), nn.ConvTranspose2d(7, 2, 3, groups=1)),
        ),
        (4, 3, 5, 5),
        {"0": ("3", 1), "3": ("5", 1)},
    ),
    "with an own name for each kernel": (Depthwise, (2, 4, 6, 6), {"wide.0": ("narrow", 1)}),
}


@pytest.mark.filterwarnings("ignore::tml_helpers.compression.UncompressedWarning")
@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_as_the_network_whose_readers_are_blind(name: str, sparsity: float) -> None:
    make, shape, chains = NETWORKS[name]
    model, inputs = settle(make()), images(*shape)
    smaller = prune_channels(model, inputs[:1], sparsity=sparsity)
    torch.testing.assert_close(smaller(inputs), blinded(model, chains, sparsity)(inputs), atol=1e-9, rtol=1e-9)
    assert parameter_count(smaller) < parameter_count(model)
    for maker in chains:
        channels = model.get_submodule(maker).weight.shape[1 if "Transpose" in str(model.get_submodule(maker)) else 0]
        left = getattr(smaller.get_submodule(maker), "out_channels", None) or smaller.get_submodule(maker).out_features
        assert left == max(channels - round(sparsity * channels), 1)


@pytest.mark.filterwarnings("ignore::tml_helpers.compression.UncompressedWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_what_layers_say_of_their_sizes_is_true_and_they_train(name: str) -> None:
    """Torch-Pruning #37 and #125: layers that still expect the channels from before."""
    make, shape, _ = NETWORKS[name]
    smaller = prune_channels(settle(make()), images(*shape), sparsity=0.5).train()
    smaller(images(4, *shape[1:])).square().sum().backward()
    for module in smaller.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
        elif isinstance(module, nn.ConvTranspose2d):
            assert module.weight.shape[:2] == (module.in_channels, module.out_channels)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d):
            sizes = {
                len(v) for v in (module.weight, module.bias, module.running_mean, module.running_var) if v is not None
            }
            assert sizes <= {module.num_features}
        elif isinstance(module, nn.PReLU):
            assert len(module.weight) == module.num_parameters
    assert all(parameter.grad is not None for parameter in smaller.parameters())


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_the_channels_that_leave_are_those_of_torchs_structured_pruning(kind: type[nn.Module]) -> None:
    model = nn.Sequential(kind(3, 20, 3), nn.ReLU(), nn.Conv2d(20, 4, 1)).double()
    smaller = prune_channels(model, images(1, 3, 8, 8), sparsity=0.35)
    theirs = copy.deepcopy(model)
    peer.ln_structured(theirs[0], "weight", amount=0.35, n=1, dim=0 if kind is nn.Conv2d else 1)
    weight = theirs[0].weight if kind is nn.Conv2d else theirs[0].weight.transpose(0, 1)
    stays = weight.flatten(1).any(dim=1)
    assert int(stays.sum()) == 13
    torch.testing.assert_close(smaller[2].weight, model[2].weight[:, stays], atol=0, rtol=0)
    torch.testing.assert_close(smaller[0].bias, model[0].bias[stays], atol=0, rtol=0)


@given(widths=st.lists(st.integers(1, 9), min_size=1, max_size=4), sparsity=st.floats(0, 1, exclude_max=True))
def test_at_least_one_channel_stays(widths: list[int], sparsity: float) -> None:
    """Torch-Pruning #8: no channel was left, and the network could not answer."""
    smaller = prune_channels(MLP(*widths, in_features=4), torch.rand(1, 1, 2, 2), sparsity=sparsity)
    left = [layer.out_features for layer in smaller.layers if isinstance(layer, nn.Linear)]
    assert left == [max(width - round(sparsity * width), 1) for width in widths] + [10]
    assert smaller(torch.rand(3, 1, 2, 2)).shape == (3, 10)


def test_one_channel_in_one_group_is_an_ordinary_convolution() -> None:
    """Torch-Pruning #126 and #179: a convolution to one channel was taken for a depthwise one, and cut wrongly."""
    model = settle(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 1, 3)))
    inputs = images(2, 1, 9, 9)
    smaller = prune_channels(model, inputs, sparsity=0.5)
    assert [layer.weight.shape[:2] for layer in smaller if isinstance(layer, nn.Conv2d)] == [(1, 1), (3, 1), (1, 3)]
    torch.testing.assert_close(smaller(inputs), blinded(model, {"1": ("3", 1)}, 0.5)(inputs))


@pytest.mark.filterwarnings("ignore::tml_helpers.compression.UncompressedWarning")
def test_depthwise_convolutions_are_cut_again_and_again() -> None:
    """Torch-Pruning #328: the groups of a depthwise convolution did not follow its channels, as in MobileNet."""
    model, inputs = settle(Depthwise()), images(2, 4, 6, 6)
    for left in (6, 3, 1, 1):
        smaller = prune_channels(model, inputs, sparsity=0.5)
        torch.testing.assert_close(smaller(inputs), blinded(model, {"wide.0": ("narrow", 1)}, 0.5)(inputs))
        assert smaller.alone[0].groups == smaller.alone[0].in_channels == smaller.alone[0].out_channels == left
        model = smaller


def test_of_equal_channels_the_first_leaves_first() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
    nn.init.ones_(model[0].weight)
    smaller = prune_channels(model, torch.rand(1, 2), sparsity=0.5)
    torch.testing.assert_close(smaller[1].weight, model[1].weight[:, 2:], atol=0, rtol=0)


def test_the_sizes_of_the_books_network() -> None:
    model, example = SmallCNN(), torch.rand(1, 1, 28, 28)
    smaller = prune_channels(model, example, sparsity=0.5)
    same = SmallCNN(width=8)  # 8, 16 and 64: half of each
    assert parameter_count(smaller) == parameter_count(same) == 52_138
    assert multiply_adds(smaller, example) == multiply_adds(same, example)
    same.load_state_dict(smaller.state_dict())
    torch.testing.assert_close(smaller(example), same(example), atol=0, rtol=0)


def test_the_model_that_is_given_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    smaller = prune_channels(model, torch.rand(5, 1, 8, 8), sparsity=0.5)
    with torch.no_grad():
        for parameter in smaller.parameters():
            parameter.fill_(7.0)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)
    assert [m.training for m in model] == [m.training for m in smaller] == [True, False, True, True]
    assert [p.requires_grad for p in smaller.parameters()] == [False] + [True] * 5
    assert all(p.grad is None for p in model.parameters())


def test_a_pruned_network_trains_on() -> None:
    model = MLP(64, in_features=16)
    smaller = prune_channels(model, torch.rand(1, 1, 4, 4), sparsity=0.75)
    data = TensorDataset(torch.rand(64, 1, 4, 4), torch.randint(10, (64,)))
    first, *_, last = fit(smaller, data, epochs=20, learning_rate=0.01)
    assert last < first
    assert smaller.layers[2].weight.shape == (16, 16)


def test_masks_become_ordinary_zeros() -> None:
    model = prune(MLP(20, in_features=16), sparsity=0.5)
    smaller = prune_channels(model, torch.rand(1, 1, 4, 4), sparsity=0.5)
    assert type(smaller.layers[2]) is nn.Linear
    weight = model.layers[2].weight.detach()
    stays = weight.abs().sum(dim=1).argsort()[10:].sort().values
    torch.testing.assert_close(smaller.layers[2].weight, weight[stays], atol=0, rtol=0)
    assert (smaller.layers[2].weight == 0).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_floating_type(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)).to(dtype)
    smaller = prune_channels(model, torch.rand(1, 1, 8, 8).to(dtype), sparsity=0.5)
    assert {p.dtype for p in smaller.parameters()} == {dtype}
    assert smaller[3].weight.shape == (4, 108)


class Residual(nn.Module):
    """x + f(x): the channels of the sum are those of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Conv2d(4, 8, 3, padding=1),
            nn.Conv2d(8, 4, 1),
        )
        self.out = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        images = F.relu(self.first(images))
        images = images + self.last(F.relu(self.inner(images)))
        return self.out(F.adaptive_avg_pool2d(images, 1).flatten(1))


def test_layers_that_end_in_a_sum_keep_their_channels_and_are_told_of() -> None:
    model = settle(Residual())
    with pytest.warns(UncompressedWarning, match=r"'first' is read by 2.*'last' goes into add") as caught:
        smaller = prune_channels(model, images(1, 1, 6, 6), sparsity=0.5)
    assert caught[0].filename == __file__
    inputs = images(3, 1, 6, 6)
    torch.testing.assert_close(smaller(inputs), blinded(model, {"inner": ("last", 1)}, 0.5)(inputs))
    assert (smaller.first.out_channels, smaller.inner.out_channels, smaller.last.out_channels) == (4, 4, 4)


def grouped() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 2, 1))


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    model[2].weight = model[0].weight
    return model


def used_twice() -> nn.Module:
    shared = nn.Linear(6, 6)
    return nn.Sequential(shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(6, 2))


def norm_used_twice() -> nn.Module:
    norm = nn.BatchNorm1d(6, affine=False)
    return nn.Sequential(nn.Linear(6, 6), norm, nn.Linear(6, 6), norm, nn.Linear(6, 2))


def weight_read_elsewhere() -> nn.Module:
    class Decayed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, rows: Tensor) -> Tensor:
            return self.out(self.first(rows).relu()) + self.first.weight.square().sum()

    return Decayed()


def hooked(place: int) -> Callable[[], nn.Module]:
    """What a hook does, only the hook knows: this one turns the channels around."""

    def make() -> nn.Module:
        model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
        if place == 2:
            model[2].register_forward_pre_hook(lambda layer, inputs: (inputs[0].flip(-1),))
        else:
            model[place].register_forward_hook(lambda layer, inputs, output: output.flip(-1))
        return model

    return make


def between(*layers: nn.Module, width: int = 6) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(6, width), *layers, nn.Linear(6, 2))


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


IMMOVABLE = {  # no channel can go without a change of what the others mean, or this cannot be seen
    "groups": (grouped, (1, 2, 9, 9), "groups"),
    "tied weights": (tied, (1, 6), "used twice"),
    "a layer that is used twice": (used_twice, (1, 6), "used twice"),
    "a norm that is used twice": (norm_used_twice, (3, 6), "used twice"),
    "a weight that is read elsewhere": (weight_read_elsewhere, (1, 6), "used twice"),
    "a hook at the maker": (hooked(0), (1, 6), "has a hook"),
    "a hook in between": (hooked(1), (1, 6), "has a hook"),
    "a hook at the reader": (hooked(2), (1, 6), "has a hook"),
    "softmax over channels": (between(nn.Softmax(dim=-1)), (1, 6), "goes into"),
    "a norm over channels": (between(nn.LayerNorm(6)), (1, 6), "goes into"),
    "a norm over groups": (between(nn.GroupNorm(2, 6)), (1, 6), "goes into"),
    "gates": (between(nn.GLU(), width=12), (1, 6), "goes into"),
    "a sort": (between(Lambda(lambda x: x.sort(dim=-1).values)), (1, 6), "goes into"),
    "a flip": (between(Lambda(lambda x: x.flip(-1))), (1, 6), "goes into"),
    "a mean over channels": (between(Lambda(lambda x: x - x.mean(-1, keepdim=True))), (1, 6), "is read by 2"),
    "a pool over units": (
        lambda: nn.Sequential(nn.Linear(6, 12), nn.MaxPool1d(2), nn.Linear(6, 2)),
        (4, 6),
        "goes into",
    ),
    "a norm over positions": (between(nn.BatchNorm1d(6)), (2, 6, 6), "goes into"),
    "flattened sequences": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Flatten(), nn.Linear(20, 2)),
        (1, 5, 6),
        "goes into",
    ),
    "a view of fixed size": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(lambda x: x.view(-1, 16)), nn.Linear(16, 2)),
        (1, 1, 4, 4),
        "goes into view",
    ),
    "a view whose second size is fixed": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(lambda x: x.view(x.size(0), 16)), nn.Linear(16, 2)),
        (1, 1, 4, 4),
        "goes into view",
    ),
    "a mean over channels and rows": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(lambda x: x.mean([1, 2])), nn.Linear(2, 2)),
        (1, 1, 4, 4),
        "goes into mean",
    ),
    "a mean over all": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(lambda x: x.mean()[None]), nn.Linear(1, 2)),
        (1, 1, 4, 4),
        "goes into mean",
    ),
    "two results": (
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, return_indices=True), Lambda(lambda pair: pair[0])),
            *(nn.Flatten(), nn.Linear(4, 2)),
        ),
        (1, 1, 4, 4),
        "goes into",
    ),
    "the number of channels in the view": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(lambda x: x.view(x.shape[1] // 4, -1)), nn.Linear(16, 2)),
        (1, 1, 4, 4),
        "is read by 2",
    ),
    "the batch in the view": (  # Torch-Pruning #50
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Lambda(torch.flatten), nn.Linear(16, 2)),
        (1, 1, 4, 4),
        "goes into flatten",
    ),
    "an image without a batch": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 1, 1)), (1, 6, 6), "batch"),
    "channels that are shuffled": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2), nn.Conv2d(1, 2, 1)),
        (1, 1, 6, 6),
        "goes into",
    ),
    "a layer alone": (lambda: nn.Linear(6, 6), (1, 6), "one layer or none"),
    "no layer": (nn.ReLU, (1, 6), "one layer or none"),
}


@pytest.mark.parametrize("name", IMMOVABLE)
def test_channels_that_cannot_be_followed_are_never_cut(name: str) -> None:
    make, shape, reason = IMMOVABLE[name]
    model = settle(make())
    with refuses(ValueError, "no layer's channels can be removed", reason):
        prune_channels(model, images(*shape), sparsity=0.5)


def test_a_forward_pass_that_depends_on_its_input_is_refused() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, rows: Tensor) -> Tensor:
            return self.out(self.first(rows) if rows.sum() > 0 else rows)

    with refuses(ValueError, "forward pass of Deciding cannot be followed", "same operations"):
        prune_channels(Deciding(), torch.rand(1, 6), sparsity=0.5)


@pytest.mark.parametrize("sparsity", [1, -0.1, float("nan")])
def test_a_sparsity_outside_its_range_is_refused(sparsity: float) -> None:
    with refuses(ValueError, "sparsity must lie in [0, 1)", str(sparsity)):
        prune_channels(MLP(8), torch.rand(1, 1, 28, 28), sparsity=sparsity)


def test_what_is_no_example_is_refused() -> None:
    with refuses(TypeError, "images must be a tensor", "list"):
        prune_channels(MLP(8), [[0.0]], sparsity=0.5)
    with refuses(ValueError, "does not answer the images", "shapes cannot be multiplied"):
        prune_channels(MLP(8), torch.rand(1, 1, 20, 20), sparsity=0.5)
    with refuses(ValueError, "does not answer the images"):
        prune_channels(MLP(8), torch.rand(1, 1, 28, 28, dtype=torch.float64), sparsity=0.5)
    with refuses(TypeError, "sparsity must be a number", "'0.5'"):
        prune_channels(MLP(8), torch.rand(1, 1, 28, 28), sparsity="0.5")
    with refuses(TypeError, "torch.nn.Module", "function"):
        prune_channels(lambda x: x, torch.rand(1), sparsity=0.5)
    with refuses(ValueError, "'0'", "lazy"):
        prune_channels(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2)), torch.rand(1, 4), sparsity=0.5)
