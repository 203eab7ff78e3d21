"""Integers for weights: PyTorch's own, half a scale of error at most, zeros that stay zeros."""

import copy
import warnings
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver
from torch.utils.data import TensorDataset

from tml_helpers.compression import LayerCollapseWarning, Quantized, codebook, plain, prune, quantize
from tml_helpers.models import MLP, SmallCNN, parameter_count
from tml_helpers.training import fit, seed_everything

SCHEMES = ["symmetric", "affine"]


def layer_of(weights: Any, dtype: torch.dtype = torch.float32) -> nn.Linear:
    weight = torch.as_tensor(weights, dtype=dtype)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
    layer.weight.data = weight.clone()
    return layer


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(layer: nn.Module) -> Quantized:
    """What makes the layer's weight."""
    chain: Any = layer.parametrizations["weight"]  # type: ignore[index]
    assert len(chain) == 1
    return chain[0]  # type: ignore[no-any-return]


def weight_of(layer: nn.Module) -> Tensor:
    return layer.weight.detach()  # type: ignore[union-attr, operator, return-value]


def away_from_ties(weight: Tensor, scale: Tensor) -> Tensor:
    """The weights moved to where rounding in float32 and in float64 agree."""
    steps = weight.double() / scale.double()
    tied = ((steps - steps.floor()) - 0.5).abs() < 1e-3
    return torch.where(tied, weight + 0.01 * scale, weight)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_eight_bits_are_pytorchs_own(scheme: str, axis: int | None) -> None:
    """The observers say which scales and zero points, the quantised tensors which integers and which weights."""
    layer: Any = nn.ConvTranspose2d(6, 5, 3) if axis == 1 else nn.Conv2d(5, 6, 3)
    weight = normal(*layer.weight.shape, seed=3)
    settings: Any = {"dtype": torch.qint8}
    if scheme == "symmetric":
        settings |= {"quant_min": -127, "quant_max": 127}
    if axis is None:
        observer: Any = MinMaxObserver(qscheme=getattr(torch, f"per_tensor_{scheme}"), **settings)
    else:
        observer = PerChannelMinMaxObserver(ch_axis=axis, qscheme=getattr(torch, f"per_channel_{scheme}"), **settings)
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    shape = [-1 if dim == axis else 1 for dim in range(4)]
    layer.weight.data = away_from_ties(weight, scale.view(shape))
    ours = quantize(layer, bits=8, scheme=scheme, per_channel=axis is not None)  # type: ignore[arg-type]
    torch.testing.assert_close(made(ours).scale, scale.view(shape), rtol=1e-6, atol=0)
    assert torch.equal(made(ours).zero_point, zero_point.view(shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch 2.13 calls its quantised tensors deprecated
        if axis is None:
            peer = torch.quantize_per_tensor(layer.weight, float(scale), int(zero_point), torch.qint8)
        else:
            peer = torch.quantize_per_channel(layer.weight.detach(), scale, zero_point, axis, torch.qint8)
    assert torch.equal(made(ours).integers, peer.int_repr())
    torch.testing.assert_close(weight_of(ours), peer.dequantize(), rtol=1e-6, atol=0)


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6),
    st.integers(1, 16),
    st.sampled_from(SCHEMES),
    st.booleans(),
)
def test_a_weight_moves_by_half_a_scale_at_most(
    numbers: list[float], bits: int, scheme: Any, per_channel: bool
) -> None:
    if scheme == "symmetric" and bits == 1:
        return
    layer = layer_of(torch.tensor(numbers).view(2, 3), torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LayerCollapseWarning)
        ours = quantize(layer, bits=bits, scheme=scheme, per_channel=per_channel)
    parts = made(ours)
    moved = (weight_of(ours) - layer.weight.detach()).abs()
    assert (moved <= parts.scale / 2 * (1 + 1e-12)).all()
    assert parts.scale.numel() == (2 if per_channel else 1)
    assert (weight_of(ours)[layer.weight == 0] == 0).all()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bits", range(2, 17))
def test_integers_fill_the_range_of_their_bits(bits: int, scheme: Any) -> None:
    integers = made(quantize(layer_of(normal(8, 400)), bits=bits, scheme=scheme)).integers
    assert integers.dtype == (torch.int8 if bits <= 8 else torch.int16)
    if scheme == "symmetric":
        most = 2 ** (bits - 1) - 1
        assert (integers.long().abs().amax(dim=1) == most).all()
    else:  # rounding the zero point may leave the last integer of one side without a weight
        low, high = integers.long().amin(dim=1), integers.long().amax(dim=1)
        assert (low >= -(2 ** (bits - 1))).all()
        assert (high <= 2 ** (bits - 1) - 1).all()
        assert (high - low >= 2**bits - 2).all()


def test_affine_by_hand() -> None:
    """From −1 to 2 in two bits: steps of 1, and 0 is the integer −1."""
    ours = quantize(layer_of([[-1.0, 0.4, 0.6, 2.0]]), bits=2, scheme="affine")
    assert made(ours).integers.tolist() == [[-2, -1, 0, 1]]
    assert (float(made(ours).scale), int(made(ours).zero_point)) == (1, -1)
    assert weight_of(ours).tolist() == [[-1, 0, 1, 2]]


def test_zero_is_inside_the_range_of_positive_weights() -> None:
    """Weights from 10 to 11 would otherwise have no integer for 0."""
    ours = quantize(layer_of([[10.0, 10.5, 11.0]]), bits=8, scheme="affine")
    assert float(made(ours).scale) == pytest.approx(11 / 255)
    assert int(made(ours).zero_point) == -128


def test_one_symmetric_bit_is_the_sign_with_the_best_scale() -> None:
    weights = normal(3, 50).double()
    ours = quantize(layer_of(weights, torch.float64), bits=1)
    assert torch.equal(made(ours).integers, weights.sign().to(torch.int8))
    error = (weight_of(ours) - weights).square().sum(dim=1)
    for factor in (0.98, 1.02):
        assert ((factor * weight_of(ours) - weights).square().sum(dim=1) > error).all()
    assert weight_of(ours).abs().amax(dim=1) == pytest.approx(weights.abs().mean(dim=1))


def test_a_scale_for_each_output_channel() -> None:
    """MQBench #113, onnxruntime #19694: of a transposed convolution, the first dimension is the inputs'."""
    weights = normal(3, 4, 2, 2) * torch.tensor([1.0, 10, 100, 1000]).view(1, 4, 1, 1)
    layer = nn.ConvTranspose2d(3, 4, 2)
    layer.weight.data = weights
    ours = quantize(layer, bits=8)
    assert made(ours).scale.shape == (1, 4, 1, 1)
    spread = (weight_of(ours) - weights).abs().amax(dim=(0, 2, 3)) / weights.abs().amax(dim=(0, 2, 3))
    assert (spread < 0.005).all()
    whole = quantize(layer, bits=8, per_channel=False)
    assert (weight_of(whole)[:, 0] == 0).all()  # what one scale does to the channel of small weights


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("per_channel", [True, False])
def test_channels_of_zeros(scheme: Any, per_channel: bool) -> None:
    """coremltools #2853: a channel that pruning had emptied was divided by its scale of 0."""
    weights = torch.tensor([[0.0, 0.0], [1.0, -0.5], [0.0, 0.0]])
    ours = quantize(layer_of(weights), scheme=scheme, per_channel=per_channel)
    assert torch.isfinite(made(ours).scale).all()
    assert (made(ours).scale > 0).all()
    torch.testing.assert_close(weight_of(ours), weights, rtol=0, atol=0.01)
    assert torch.equal(weight_of(ours)[0], torch.zeros(2))
    assert torch.equal(weight_of(quantize(layer_of(torch.zeros(2, 2)), scheme=scheme)), torch.zeros(2, 2))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_equal_weights_are_kept(scheme: Any) -> None:
    """pytorch #36888: where the smallest is the largest weight, the range is empty."""
    ours = quantize(layer_of(torch.full((2, 3), 0.7)), scheme=scheme)
    torch.testing.assert_close(weight_of(ours), torch.full((2, 3), 0.7), rtol=1e-6, atol=0)


def test_weights_too_small_for_a_scale() -> None:
    """coremltools #2851: the scale of tiny weights is 0 in their own precision."""
    tiny = torch.full((1, 2), 2.0**-149)
    with pytest.warns(LayerCollapseWarning, match="1 layers lost all weights"):
        ours = quantize(layer_of(tiny))
    assert torch.equal(weight_of(ours), torch.zeros(1, 2))
    half = torch.tensor([[1e-6, -2e-6]], dtype=torch.float16)
    torch.testing.assert_close(weight_of(quantize(layer_of(half, torch.float16))), half, rtol=0.1, atol=0)


def test_a_layer_that_is_lost_is_said_to_be() -> None:
    with pytest.warns(LayerCollapseWarning, match="pass more bits"):
        ours = quantize(layer_of([[1.0, -1.0]]), bits=1, scheme="affine")
    assert torch.equal(weight_of(ours), torch.zeros(1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantize(layer_of([[1.0, -1.0]]), bits=2, scheme="affine")
        quantize(layer_of(torch.zeros(2, 2)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_type_of_weight(dtype: torch.dtype, scheme: Any) -> None:
    weights = normal(6, 40).to(dtype)
    ours = quantize(layer_of(weights, dtype), scheme=scheme)
    assert weight_of(ours).dtype == dtype
    assert made(ours).scale.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    bound = made(ours).scale / 2 + weights.abs().double() * torch.finfo(dtype).eps
    assert ((weight_of(ours).double() - weights.double()).abs() <= bound).all()
    assert weight_of(ours.double()).dtype == torch.float64


def test_zeros_of_a_pruned_network_stay() -> None:
    seed_everything(0)
    pruned = prune(SmallCNN(width=4), sparsity=0.7)
    for scheme, bits in (("symmetric", 2), ("affine", 1), ("affine", 4)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LayerCollapseWarning)
            ours: Any = quantize(pruned, bits=bits, scheme=scheme)  # type: ignore[arg-type]
        for layer, before in zip(ours.layers, pruned.layers, strict=True):  # type: ignore[arg-type, union-attr]
            if hasattr(before, "parametrizations"):
                assert (layer.weight[before.weight == 0] == 0).all()
                assert isinstance(made(layer), Quantized)
    with refuses(ValueError, "a symmetric bit has no zero", "two bits"):
        quantize(pruned, bits=1)


def test_a_network_of_integers_answers_nearly_as_before() -> None:
    seed_everything(0)
    model = SmallCNN(width=4).eval().double()
    images = torch.rand(20, 1, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        right = model(images)
        differences = [float((quantize(model, bits=bits)(images) - right).abs().mean()) for bits in (4, 8, 12, 16)]
    assert differences[3] < differences[2] / 5 < differences[1] / 25 < differences[0] / 125


def test_the_model_stays_as_it_is() -> None:
    for model in (SmallCNN(width=2), prune(SmallCNN(width=2), sparsity=0.5), codebook(SmallCNN(width=2), bits=5)):
        state = copy.deepcopy(model.state_dict())
        model.layers[1].eval()  # type: ignore[union-attr, index]
        ours = quantize(model)
        assert not ours.layers[1].training  # type: ignore[union-attr, index]
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert model.layers[1].weight.shape == (2, 1, 3, 3)  # type: ignore[union-attr, index]


def test_training_leaves_the_integers_and_moves_the_rest() -> None:
    seed_everything(0)
    ours = quantize(SmallCNN(width=2), bits=4)
    before = copy.deepcopy(ours)
    assert parameter_count(ours) == 2 + 4 + 16 + 10  # the biases
    data = TensorDataset(torch.rand(64, 1, 28, 28), torch.randint(10, (64,)))
    fit(ours, data, epochs=2, learning_rate=0.01)
    for layer, old in zip(ours.layers, before.layers, strict=True):  # type: ignore[arg-type, union-attr]
        if hasattr(old, "parametrizations"):
            assert torch.equal(layer.weight, old.weight)
            assert not torch.equal(layer.bias, old.bias)


def test_a_copy_and_a_state_carry_all() -> None:
    seed_everything(0)
    ours = quantize(MLP(8, in_features=9), bits=5, scheme="affine")
    other = quantize(MLP(8, in_features=9), bits=5, scheme="affine")
    other.load_state_dict(ours.state_dict())
    images = torch.rand(5, 1, 3, 3)
    for twin in (other, copy.deepcopy(ours), plain(ours)):
        assert torch.equal(twin(images), ours(images))


def test_tied_weights_stay_tied() -> None:
    model = nn.ModuleDict({"words": nn.Embedding(7, 4), "answer": nn.Linear(4, 7)})
    model["answer"].weight = model["words"].weight
    ours: Any = quantize(model, bits=4)
    assert torch.equal(ours["words"].weight, ours["answer"].weight)
    assert made(ours["words"]) is made(ours["answer"])


def test_attention_and_layers_from_outside() -> None:
    seed_everything(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    inputs = torch.rand(2, 3, 8)
    with torch.no_grad():
        assert (quantize(model)(inputs) - model(inputs)).abs().max() < 0.05


def test_a_quantised_weight_is_not_assigned() -> None:
    ours: Any = quantize(layer_of(normal(2, 3)))
    before = weight_of(ours)
    ours.weight = before
    with refuses(ValueError, "cannot be assigned"):
        ours.weight = torch.zeros(2, 3)
    assert torch.equal(weight_of(ours), before)


def test_bits_are_whole_numbers_from_1_to_16() -> None:
    for wrong in (0, 17, -8):
        with refuses(ValueError, f"bits must be a whole number from 1 to 16, got {wrong}"):
            quantize(MLP(in_features=4), bits=wrong)
    for kind in (True, 8.0, "8", None):
        with refuses(TypeError, f"bits must be a whole number from 1 to 16, got {kind!r}"):
            quantize(MLP(in_features=4), bits=kind)  # type: ignore[arg-type]


def test_other_arguments() -> None:
    model = MLP(in_features=4)
    with refuses(ValueError, "scheme must be one of symmetric, affine, got 'dynamic'"):
        quantize(model, scheme="dynamic")  # type: ignore[arg-type]
    for wrong in (1, "no", None):
        with refuses(TypeError, "per_channel must be True or False"):
            quantize(model, per_channel=wrong)  # type: ignore[arg-type]
    with refuses(TypeError, "torch.nn.Module, got Tensor"):
        quantize(torch.zeros(2))  # type: ignore[arg-type]
    with refuses(ValueError, "no linear layer and no convolution"):
        quantize(nn.Flatten())
    model.layers[2].weight.data[0, 0] = torch.nan  # type: ignore[union-attr, index, operator]
    with refuses(ValueError, "layers.2", "not finite"):
        quantize(model)


def test_integers_that_their_bits_do_not_hold() -> None:
    one = torch.ones(1, 1)
    with refuses(ValueError, "integers must lie in -7…7, got -8 to 3"):
        Quantized(torch.tensor([[-8, 3]], dtype=torch.int8), one, one * 0, bits=4)
    Quantized(torch.tensor([[-8, 7]], dtype=torch.int8), one, one * 0, bits=4, scheme="affine")
    with refuses(TypeError, "int8 or int16, got torch.int64"):
        Quantized(torch.tensor([[1]]), one, one * 0, bits=4)
    with refuses(ValueError, "bits", "17"):
        Quantized(torch.tensor([[1]], dtype=torch.int8), one, one * 0, bits=17)
