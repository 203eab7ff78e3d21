"""Low rank: two factors, as near to the weight as two factors can be, in the place of one layer."""

import copy
import warnings
from collections.abc import Mapping

import numpy as np
import pytest
import scipy.linalg
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.data import TensorDataset

from tml_helpers.compression import LowRank, UncompressedWarning, low_rank, prune
from tml_helpers.models import MLP, SmallCNN, multiply_adds, parameter_count
from tml_helpers.training import fit

CONVOLUTIONS = {
    "plain": nn.Conv2d(6, 8, 3),
    "of one dimension": nn.Conv1d(6, 8, 5),
    "of three dimensions": nn.Conv3d(3, 8, 3),
    "stride, padding and dilation": nn.Conv2d(6, 8, 3, stride=2, padding=(2, 1), dilation=2),
    "of a kernel that is no square": nn.Conv2d(6, 8, (1, 5)),
    "padded the same": nn.Conv2d(6, 8, 3, padding="same"),
    "padded around": nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular"),
    "padded by mirrors": nn.Conv2d(6, 8, 3, padding=2, padding_mode="reflect"),
    "without a bias": nn.Conv2d(6, 8, 3, bias=False),
    "in groups": nn.Conv2d(12, 16, 3, groups=2),
    "of kernel 1": nn.Conv2d(20, 30, 1),
}


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(weight: Tensor, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


@given(rows=st.integers(6, 20), columns=st.integers(6, 20), rank=st.integers(1, 2), seed=st.integers(0, 2**32))
def test_no_matrix_of_that_rank_is_nearer(rows: int, columns: int, rank: int, seed: int) -> None:
    """Eckart and Young: ‖W − Ŵ‖ is the root of the sum of the squares of the singular values that were cut."""
    weight = matrix(rows, columns, seed)
    ours = low_rank(linear(weight), rank=rank).requires_grad_(False)
    cut = scipy.linalg.svdvals(weight.numpy())[rank:]
    error = float((ours.weight - weight).norm())
    assert error == pytest.approx(np.sqrt((cut**2).sum()), rel=1e-9)
    assert np.linalg.matrix_rank(ours.weight.numpy()) == rank
    thin, back = (part.weight + 0.01 * matrix(*part.weight.shape, seed + 1) for part in ours)
    assert float((back @ thin - weight).norm()) >= error


def test_the_factors_are_the_truncated_decomposition_of_numpy() -> None:
    weight = matrix(30, 20)
    u, s, v = np.linalg.svd(weight.numpy(), full_matrices=False)
    ours = low_rank(linear(weight), rank=5)
    expected = torch.from_numpy((u[:, :5] * s[:5]) @ v[:5])
    torch.testing.assert_close(ours.weight, expected)
    thin, back = ours[0].weight.detach(), ours[1].weight.detach()
    torch.testing.assert_close(thin @ thin.T, torch.diag(torch.from_numpy(s[:5])))  # √σ went to each of the two
    torch.testing.assert_close(back.T @ back, torch.diag(torch.from_numpy(s[:5])))


@pytest.mark.parametrize("shape", [(16,), (4, 16), (2, 3, 16)])
def test_a_linear_layer_answers_by_its_factors(shape: tuple[int, ...]) -> None:
    layer = linear(matrix(20, 16))
    ours, inputs = low_rank(layer, rank=4), torch.rand(*shape, dtype=torch.float64)
    assert [(part.in_features, part.out_features) for part in ours] == [(16, 4), (4, 20)]
    torch.testing.assert_close(ours(inputs), F.linear(inputs, ours.weight, layer.bias))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_answers_as_one_with_the_nearest_weight(name: str) -> None:
    """PFLlib #265: a decomposition of each kernel alone, where that of the whole matrix was meant."""
    layer = copy.deepcopy(CONVOLUTIONS[name]).double()
    ours = low_rank(layer, rank=2)
    groups = layer.groups
    nearest = layer.weight.detach().clone()
    for group in nearest.chunk(groups):
        u, s, v = scipy.linalg.svd(group.flatten(1).numpy(), full_matrices=False)
        group.copy_(torch.from_numpy((u[:, :2] * s[:2]) @ v[:2]).view_as(group))
    torch.testing.assert_close(ours.weight.detach(), nearest)
    images = torch.rand(2, layer.in_channels, *[11] * len(layer.kernel_size), dtype=torch.float64)
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        expected.weight.copy_(nearest)
    torch.testing.assert_close(ours(images), expected(images))
    assert parameter_count(ours) < parameter_count(layer)
    assert ours[0].bias is None


def test_a_full_rank_gives_the_weight_back() -> None:
    weight = torch.cat([matrix(5, 8), torch.zeros(25, 8, dtype=torch.float64)])
    layer = linear(weight)
    torch.testing.assert_close(low_rank(layer, rank=5).weight.detach(), weight)
    torch.testing.assert_close(low_rank(layer, energy=1.0).weight.detach(), weight)


@given(energy=st.floats(0.01, 0.9), seed=st.integers(0, 2**32))
def test_energy_takes_the_fewest_ranks_that_keep_so_much(energy: float, seed: int) -> None:
    weight = torch.diag(torch.arange(1.0, 13, dtype=torch.float64)) @ matrix(12, 200, seed)
    ours = low_rank(linear(weight), energy=energy)
    squares = scipy.linalg.svdvals(weight.numpy()) ** 2
    rank = ours[0].out_features
    assert squares[:rank].sum() >= energy * squares.sum() > squares[: rank - 1].sum()


def test_energy_counts_squares() -> None:
    """Singular values 3 and 2, 1, 1, …: 9 of 20 is 45 %, while 3 of 10 would be 30 %."""
    values = torch.tensor([3.0, 2.0, 1, 1, 1, 1, 1, 1, 1, 0], dtype=torch.float64)
    layer = linear(torch.diag(values)[:, :10] @ torch.eye(10, 40, dtype=torch.float64))
    ranks = [low_rank(layer, energy=energy)[0].out_features for energy in (0.44, 0.46, 0.64, 0.66)]
    assert ranks == [1, 2, 2, 3]


def test_ranks_by_name_and_by_layer() -> None:
    model = SmallCNN()
    ours = low_rank(model, rank={"layers.4": 7, "layers.8": 20})
    assert isinstance(ours.layers[4], LowRank)
    assert ours.layers[4][0].weight.shape == (7, 16, 3, 3)
    assert ours.layers[8][0].weight.shape == (20, 1568)
    named = low_rank(model, rank=9, layers=[model.layers[8], "layers.4"])
    assert [type(layer) is LowRank for layer in named.layers] == [index in (4, 8) for index in range(11)]
    assert parameter_count(ours) == 206_922 - 32 * 144 + 7 * (32 + 144) - 128 * 1568 + 20 * (128 + 1568)
    image = torch.rand(1, 1, 28, 28)
    assert multiply_adds(model, image) - multiply_adds(ours, image) == (
        14 * 14 * (32 * 144 - 7 * (32 + 144)) + 128 * 1568 - 20 * (128 + 1568)
    )


def test_a_layer_smaller_than_its_factors_stays_and_is_told_of() -> None:
    model = SmallCNN()
    with pytest.warns(UncompressedWarning, match=r"'layers\.1' of 16×9, smaller than its factors of rank 9") as caught:
        ours = low_rank(model, rank=9)
    assert caught[0].filename == __file__
    assert [type(layer) is LowRank for layer in ours.layers] == [index in (4, 8, 10) for index in range(11)]
    with pytest.warns(UncompressedWarning, match="smaller"):
        assert type(low_rank(nn.Linear(6, 6), rank=3)) is nn.Linear  # 3 · 12 numbers in the place of 36
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert type(low_rank(nn.Linear(6, 7), rank=3)) is LowRank


def test_of_many_reasons_three_are_told() -> None:
    with pytest.warns(UncompressedWarning, match=r"'0' of [^;]*; [^;]*'1' of [^;]*; [^;]*'2' of [^;]*; and 2 more$"):
        low_rank(nn.Sequential(*(nn.Linear(6, 6) for _ in range(5))), rank=3)
    with pytest.warns(UncompressedWarning, match=r"'2' of [^;]*$"):
        low_rank(nn.Sequential(*(nn.Linear(6, 6) for _ in range(3))), rank=3)


def test_the_model_that_is_given_and_the_random_state_stay_as_they_are() -> None:
    model = MLP(64, 32)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    model.layers[2].weight.requires_grad_(False)
    ours = low_rank(model.eval(), rank=5)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.fill_(7.0)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)
    assert torch.equal(torch.get_rng_state(), state)
    trained = [part.weight.requires_grad for index in (2, 4) for part in ours.layers[index]]
    assert trained == [False, False, True, True]
    assert not any(module.training for module in ours.modules())
    assert all(module.training for module in low_rank(model.train(), rank=5).modules())


def test_the_factors_are_trained() -> None:
    model = MLP(64, in_features=16)
    ours = low_rank(model, rank=4)
    before = copy.deepcopy(ours.state_dict())
    data = TensorDataset(torch.rand(64, 1, 4, 4), torch.randint(10, (64,)))
    first, *_, last = fit(ours, data, epochs=20, learning_rate=0.01)
    assert last < first
    assert all((ours.state_dict()[name] != before[name]).any() for name, _ in ours.named_parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_floating_type_is_decomposed_in_double(dtype: torch.dtype) -> None:
    weight = matrix(20, 30).to(dtype)
    ours = low_rank(linear(weight), rank=3).requires_grad_(False)
    assert {p.dtype for p in ours.parameters()} == {dtype}
    cut = scipy.linalg.svdvals(weight.double().numpy())[3:]
    error = float((ours[1].weight.double() @ ours[0].weight.double() - weight.double()).norm())
    assert error == pytest.approx(np.sqrt((cut**2).sum()), rel=100 * torch.finfo(dtype).eps)


def test_complex_weights_keep_their_imaginary_part() -> None:
    weight = torch.complex(matrix(20, 30), matrix(20, 30, 1)).to(torch.complex64)
    ours = low_rank(linear(weight), rank=3).requires_grad_(False)
    cut = scipy.linalg.svdvals(weight.numpy())[3:]
    assert float((ours.weight - weight).norm()) == pytest.approx(np.sqrt((cut**2).sum()), rel=1e-4)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_layers_without_numbers_are_passed_over() -> None:
    model = nn.Sequential(nn.Linear(4, 0), nn.Linear(0, 4), nn.Linear(4, 9))
    assert [type(layer) for layer in low_rank(model, rank=1)] == [nn.Linear, nn.Linear, LowRank]
    with refuses(ValueError, "'0'", "Linear"):
        low_rank(model, rank=1, layers=["0"])


def test_weights_that_are_all_zero_have_rank_one() -> None:
    layer = nn.Linear(10, 20)
    nn.init.zeros_(layer.weight)
    ours = low_rank(layer, energy=0.9)
    assert ours[0].out_features == 1
    torch.testing.assert_close(ours(torch.rand(3, 10)), layer.bias.expand(3, 20))


def test_a_layer_that_is_used_twice_is_one_layer_afterwards() -> None:
    shared = nn.Linear(20, 20)
    model = nn.Sequential(shared, nn.ReLU(), nn.Sequential(shared))
    ours = low_rank(model, rank=3)
    assert ours[0] is ours[2][0]
    assert parameter_count(ours) == 20 * 6 + 20


def test_tied_weights_stay_tied_and_are_told_of() -> None:
    model = nn.ModuleDict({"read": nn.Embedding(50, 20), "say": nn.Linear(20, 50)})
    model["say"].weight = model["read"].weight
    with pytest.warns(UncompressedWarning, match="'say', whose weight is tied"):
        ours = low_rank(model, rank=2)
    assert ours["say"].weight is ours["read"].weight


def test_a_layer_with_a_hook_stays_and_is_told_of() -> None:
    model = nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9))
    model[0].register_forward_hook(lambda layer, inputs, output: output.flip(-1))
    with pytest.warns(UncompressedWarning, match="'0', which has a hook"):
        assert [type(layer) for layer in low_rank(model, rank=2)] == [nn.Linear, LowRank]


def test_attention_reads_the_weight_of_its_factors() -> None:
    """PyTorch reads `out_proj.weight`, and in evaluation mode the weights of all layers, without calling them."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0).double().eval()
    ours, tokens = low_rank(layer, rank=5), torch.rand(2, 5, 16, dtype=torch.float64)
    assert isinstance(ours.self_attn.out_proj, LowRank)
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        for name in ("self_attn.out_proj", "linear1", "linear2"):
            expected.get_submodule(name).weight.copy_(ours.get_submodule(name).weight)
    torch.testing.assert_close(ours(tokens), expected(tokens))
    torch.testing.assert_close(ours.train()(tokens), expected.train()(tokens))


def test_what_a_layer_shows_is_decomposed() -> None:
    """A mask and another parametrisation are in the product, and the bias is as it was."""
    model = prune(nn.Sequential(parametrizations.weight_norm(nn.Linear(30, 20)).double()), sparsity=0.5)
    ours = low_rank(model, rank=4)
    cut = scipy.linalg.svdvals(model[0].weight.detach().numpy())[4:]
    assert (ours[0].weight - model[0].weight).norm().item() == pytest.approx(np.sqrt((cut**2).sum()))
    assert torch.equal(ours[0].bias, model[0].bias)
    assert ours[0].bias is not model[0].bias


class OwnPadding(nn.Conv2d):
    """A convolution that does more than its weight says."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(F.pad(images, (1, 1, 1, 1)))


def test_layers_of_another_kind_are_left_or_refused() -> None:
    model = nn.Sequential(OwnPadding(4, 8, 3), nn.ConvTranspose2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    ours = low_rank(model, rank=2)
    assert [type(layer) for layer in ours] == [OwnPadding, nn.ConvTranspose2d, LowRank]
    for name, kind in (("0", "OwnPadding"), ("1", "ConvTranspose2d")):
        with refuses(ValueError, f"'{name}'", kind):
            low_rank(model, rank=2, layers=[name])


@pytest.mark.parametrize("rank", [11, {"2": 11}])
def test_a_rank_above_the_smaller_side_is_refused(rank: int | Mapping[str, int]) -> None:
    model = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10))
    with refuses(ValueError, "rank is 11", "'2'", "10×20", "at most"):
        low_rank(model, rank=rank)
    with refuses(ValueError, "rank is 4", "3×36"):
        low_rank(nn.Conv2d(4, 3, 3), rank=4)
    with refuses(ValueError, "rank is 2", "1×9"):
        low_rank(nn.Conv2d(4, 4, 3, groups=4), rank=2)


@pytest.mark.parametrize("rank", [0, -1])
def test_a_rank_below_one_is_refused(rank: int) -> None:
    with refuses(ValueError, "rank must be a whole number of 1 or more"):
        low_rank(nn.Linear(9, 9), rank=rank)


@pytest.mark.parametrize("rank", [2.0, True, "2"])
def test_a_rank_that_is_no_whole_number_is_refused(rank: int) -> None:
    with refuses(TypeError, "rank must be a whole number"):
        low_rank(nn.Linear(9, 9), rank=rank)
    with refuses(TypeError, "rank must be a whole number"):
        low_rank(nn.Sequential(nn.Linear(9, 9)), rank={"0": rank})


@pytest.mark.parametrize("energy", [0, -0.5, 1.1, float("nan"), float("inf")])
def test_an_energy_outside_its_range_is_refused(energy: float) -> None:
    with refuses(ValueError, "energy must lie in (0, 1]", str(energy)):
        low_rank(nn.Linear(9, 9), energy=energy)


@pytest.mark.parametrize("energy", [True, "0.9"])
def test_an_energy_that_is_no_number_is_refused(energy: float) -> None:
    with refuses(TypeError, "energy must be a number"):
        low_rank(nn.Linear(9, 9), energy=energy)


def test_what_cannot_be_factorised_is_refused() -> None:
    model = MLP(64)
    with refuses(ValueError, "either a rank or an energy"):
        low_rank(model)
    with refuses(ValueError, "either a rank or an energy"):
        low_rank(model, rank=3, energy=0.9)
    with refuses(ValueError, "no layer 'layers.9'"):
        low_rank(model, rank=3, layers=["layers.9"])
    with refuses(ValueError, "no layer 'layers.9'"):
        low_rank(model, rank={"layers.9": 3})
    with refuses(ValueError, "'layers.3'", "ReLU"):
        low_rank(model, energy=0.5, layers=["layers.3"])
    with refuses(ValueError, "layers has no effect"):
        low_rank(model, rank={"layers.2": 3}, layers=["layers.2"])
    with refuses(TypeError, "layers must be a list", "'layers.2'"):
        low_rank(model, rank=3, layers="layers.2")
    for nothing in ({"rank": 3, "layers": []}, {"rank": {}}):
        with refuses(ValueError, "no layer to factorise"):
            low_rank(model, **nothing)
    with refuses(ValueError, "no layer to factorise"):
        low_rank(nn.Sequential(nn.ReLU()), rank=3)
    with refuses(TypeError, "torch.nn.Module", "NoneType"):
        low_rank(None, rank=3)
    with torch.no_grad():
        model.layers[2].weight[0, 0] = float("nan")
    with refuses(ValueError, "'layers.2'", "not finite"):
        low_rank(model, rank=3)
