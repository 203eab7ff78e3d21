"""Who makes a network's channels, what they pass through, and who reads them: seen in its answer to an example."""

import math
import operator
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules import batchnorm, dropout, instancenorm, pooling
from torch.nn.modules.conv import _ConvNd

from tml_helpers.common import evaluating
from tml_helpers.compression._weights import first_line, holders, hooked

FUNCTIONS = {
    *("relu", "relu_", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
    *("tanh", "sigmoid", "hardtanh", "hardswish", "hardsigmoid", "logsigmoid", "threshold", "clamp", "contiguous"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
}
BY_VALUE = FUNCTIONS | {getattr(place, name) for place in (torch, F) for name in FUNCTIONS if hasattr(place, name)}
BY_VALUE_LAYERS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Softsign, nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid, nn.Threshold),
    *(nn.Identity, dropout._DropoutNd),
)
POOLS = {
    getattr(F, f"{kind}_pool{dimensions}d"): dimensions
    for kind in ("max", "avg", "adaptive_max", "adaptive_avg")
    for dimensions in (1, 2, 3)
}
IMAGE_LAYERS = (
    *(pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._LPPoolNd, pooling._AdaptiveMaxPoolNd),
    *(pooling._AdaptiveAvgPoolNd, instancenorm._InstanceNorm),
)
HOLDERS = (batchnorm._BatchNorm, instancenorm._InstanceNorm, nn.PReLU, _ConvNd)


@dataclass(frozen=True)
class Chain:
    """The channels that one layer makes and one layer reads, and the layers in between that hold numbers of each."""

    maker: nn.Module
    between: tuple[tuple[nn.Module, int], ...]  # with how many values they see of each channel
    reader: nn.Module
    block: int  # how many values the reader sees of each channel, next to each other


@dataclass(frozen=True)
class Chains:
    """By the names of their makers, the chains of a network; and why the channels of other layers must stay."""

    found: dict[str, Chain]
    left: dict[str, str]


def chains(model: nn.Module, images: Tensor) -> Chains:
    """Follow the channels of each convolution and linear layer to the one layer that reads them."""
    graph = _traced(model, images)
    alone = _used_once(model, graph)
    found, left = {}, {}
    for node in graph.nodes:
        maker = model.get_submodule(node.target) if node.op == "call_module" else None
        if not isinstance(maker, nn.Linear | _ConvNd) or is_depthwise(maker):
            continue
        end = _follow(node, model, alone)
        if isinstance(end, Chain):
            found[node.target] = end
        elif end:
            left[node.target] = end
    return Chains(found, left)


class _Shapes(fx.Interpreter):
    """Runs the operations, and notes the shape of the one tensor that each returns."""

    def run_node(self, node: fx.Node) -> Any:
        result = super().run_node(node)
        node.meta["shape"] = result.shape if isinstance(result, Tensor) else None
        return result


def _traced(model: nn.Module, images: Tensor) -> fx.Graph:
    """The operations of a forward pass in evaluation mode, with the shape of what each returns."""
    with evaluating(model), torch.no_grad():
        try:
            graph = fx.Tracer().trace(model)
        except Exception as error:  # whatever a forward pass does with what is not a tensor yet
            raise ValueError(
                f"the forward pass of {type(model).__name__} cannot be followed ({first_line(error)}): it must be the "
                "same operations for all inputs, as in a Sequential"
            ) from error
        try:
            _Shapes(model, graph=graph).run(images)
        except Exception as error:
            raise ValueError(f"the model does not answer the images ({first_line(error)})") from error
    return graph


def _used_once(model: nn.Module, graph: fx.Graph) -> set[int]:
    """The layers that the pass calls once, whose numbers nobody else has or reads."""
    uses: Counter[int] = Counter()
    for node in graph.nodes:
        if node.op == "call_module":
            uses[id(model.get_submodule(node.target))] += 1
        elif node.op == "get_attr":
            uses[id(model.get_submodule(node.target.rpartition(".")[0]))] += 2
    tied = {id(module) for places in holders(model).values() if len(places) > 1 for module, _ in places}
    return {module for module, count in uses.items() if count == 1} - tied


def _follow(node: fx.Node, model: nn.Module, alone: set[int]) -> Chain | str | None:
    """The chain that begins here; or why there is none; None where the channels are the network's answer."""
    maker, shape = _layer(node, model), _shape(node)
    if maker is None or shape is None or id(maker) not in alone:
        return "is used twice, or its weight is"
    if isinstance(maker, _ConvNd) and (maker.groups > 1 or len(shape) != 2 + len(maker.kernel_size)):
        return "has groups, or sees images without a batch"
    if hooked(maker):
        return "has a hook"
    axis, block = 1 if isinstance(maker, _ConvNd) else len(shape) - 1, 1
    between: list[tuple[nn.Module, int]] = []
    while True:
        readers = [user for user in node.users if not _asks_length(user)]
        if len(readers) != 1:
            return f"is read by {len(readers)} operations"
        node = readers[0]
        layer, after = _layer(node, model), _shape(node)
        if node.op == "output":
            return None
        if isinstance(layer, (nn.Linear, *HOLDERS)) and id(layer) not in alone:
            return f"goes into {node.name}, which is used twice"
        if layer is not None and hooked(layer):
            return f"goes into {node.name}, which has a hook"
        if layer is not None and _reads(layer, axis, block, shape):
            return Chain(maker, tuple(between), layer, block)
        seen = _passed(node, layer, axis, block, shape)
        if seen is None or after is None:
            return f"goes into {node.name}"
        if isinstance(layer, HOLDERS):
            between.append((layer, block))
        block, shape = seen, after


def _reads(layer: nn.Module, axis: int, block: int, shape: torch.Size) -> bool:
    """Whether a layer mixes the channels, each with weights of its own."""
    if isinstance(layer, nn.Linear):
        return axis == len(shape) - 1
    return isinstance(layer, _ConvNd) and layer.groups == 1 and _images(len(layer.kernel_size), axis, block, shape)


def _passed(node: fx.Node, layer: nn.Module | None, axis: int, block: int, shape: torch.Size) -> int | None:
    """How many values of each channel come out of an operation that mixes none; None of one that may."""
    does = node.target if node.op in ("call_function", "call_method") else None
    if isinstance(layer, nn.Flatten) or does in (torch.flatten, "flatten", "view", "reshape"):
        return block * math.prod(shape[2:]) if axis == 1 and _flattens(node, shape) else None
    if len(node.all_input_nodes) != 1:
        return None
    if isinstance(layer, BY_VALUE_LAYERS) or does in BY_VALUE:
        return block
    if isinstance(layer, batchnorm._BatchNorm):
        return block if axis == 1 else None
    if isinstance(layer, nn.PReLU):
        return block if axis == 1 or layer.num_parameters == 1 else None
    if does in (torch.mean, "mean"):
        return block if axis == 1 and _is_spatial(node, shape) else None
    return block if _images(_dimensions(node, layer), axis, block, shape) else None


def _images(dimensions: int, axis: int, block: int, shape: torch.Size) -> bool:
    """Whether these are channels of images, or of what has so many dimensions: `[N, C, …]`."""
    return axis == 1 and block == 1 and 2 < len(shape) == 2 + dimensions


def _dimensions(node: fx.Node, layer: nn.Module | None) -> int:
    """How many dimensions of each channel a pool, an instance norm or a depthwise convolution sees; 0 for all else."""
    if isinstance(layer, IMAGE_LAYERS):
        return int(type(layer).__name__[-2])  # MaxPool2d
    if isinstance(layer, _ConvNd) and is_depthwise(layer):
        return len(layer.kernel_size)
    return POOLS.get(node.target, 0) if node.op == "call_function" else 0


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel has a kernel of its own."""
    return isinstance(layer, _ConvNd) and layer.groups == layer.in_channels == layer.out_channels > 1


def _flattens(node: fx.Node, shape: torch.Size) -> bool:
    """Whether all but the batch becomes one dimension, however many channels there are."""
    whole = _shape(node) == (shape[0], math.prod(shape[1:]))
    if node.op == "call_method" and node.target in ("view", "reshape"):  # x.view(x.size(0), -1)
        length = node.args[1] if node.args[2:] == (-1,) else None
        return whole and isinstance(length, fx.Node) and _asks_length(length)
    return whole


def _asks_length(node: fx.Node) -> bool:
    """`x.size(0)` or `x.shape[0]`, which are the same with fewer channels."""
    if node.op == "call_method":
        return node.target == "size" and node.args[1:] == (0,)
    if node.target is getattr:
        return node.args[1] == "shape" and all(user.args[1:] == (0,) and _asks_length(user) for user in node.users)
    asked = node.args[0] if node.target is operator.getitem and node.args[1] == 0 else None
    return isinstance(asked, fx.Node) and asked.target is getattr and asked.args[1] == "shape"


def _is_spatial(node: fx.Node, shape: torch.Size) -> bool:
    """Whether a mean is over dimensions behind the channels."""
    given: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    dimensions = [given] if isinstance(given, int) else given or [0]
    return all(dimension % len(shape) > 1 for dimension in dimensions)


def _layer(node: fx.Node, model: nn.Module) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _shape(node: fx.Node) -> torch.Size | None:
    """The shape of the one tensor that an operation returns; None of several."""
    shape: torch.Size | None = node.meta["shape"]
    return shape
