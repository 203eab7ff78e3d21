"""Distillation on a graph: a network that asks the neighbours, and what of it a student is to keep."""

import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_numbers
from tml_helpers.distillation._checks import check_floating
from tml_helpers.distillation.relations import CollapsedEmbeddingsWarning

__all__ = ["GraphConvolution", "GraphNetwork", "local_structure_loss", "normalized_adjacency"]


def normalized_adjacency(edges: Tensor, nodes: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Ã = D^(−1/2) (A + I) D^(−1/2): each node tied to itself as well, and D counts the ties of each.

    An edge that stands twice counts once, and a node that is tied to itself already is so once.

    Args:
        edges: `[2, E]`, int64, 0 to `nodes` − 1, each edge in both directions; no edge at all gives the identity.
        nodes: N, 1 or more.
        dtype: of the values.

    Returns:
        `[N, N]`, sparse (COO, coalesced), symmetric, where the edges are.

    Raises:
        TypeError: edges or a number of nodes that are not whole numbers, or a dtype that is not floating-point.
        ValueError: another shape, a node that there is not, or an edge whose opposite is missing.

    Source: Kipf and Welling, 2017. Derived in: lectures/10_distillation/without_the_data.
    """
    check_counts(nodes=nodes)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point type of PyTorch, got {dtype}")
    _check_edges(edges, nodes)
    target, source = _distinct(edges, nodes)
    back = _numbers(source, target, nodes).sort().values
    if not torch.equal(back, _numbers(target, source, nodes)):
        raise ValueError("edges must hold each edge in both directions: pass torch.cat([edges, edges.flip(0)], dim=1)")
    own = torch.arange(nodes, device=edges.device)
    ends = torch.cat([torch.stack([target, source]), own.expand(2, -1)], dim=1)
    root = ends[0].bincount(minlength=nodes).to(dtype).rsqrt()
    return torch.sparse_coo_tensor(
        ends, root[ends[0]] * root[ends[1]], (nodes, nodes), check_invariants=True
    ).coalesce()


class GraphConvolution(nn.Module):
    """Ã X W + b: each node's row is a weighted mean over itself and its neighbours of what a linear layer makes of X.

    Args:
        inputs: D, how many features a node comes with.
        outputs: how many it leaves with.

    Raises:
        TypeError: sizes that are not whole numbers.
        ValueError: a size below 1.

    Source: Kipf and Welling, 2017. Derived in: lectures/10_distillation/without_the_data.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        check_counts(inputs=inputs, outputs=outputs)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, outputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, features: Tensor, adjacency: Tensor) -> Tensor:
        """`[N, inputs]` and Ã `[N, N]`, sparse or dense, of one type, to `[N, outputs]`."""
        return adjacency @ (features @ self.weight) + self.bias


class GraphNetwork(nn.Module):
    """z = Ã·relu(Ã X W₁ + b₁)·W₂ + b₂, read at the nodes asked for: numbers of nodes in, logits out.

    The graph lies in the network, so that a node's number is all that a caller passes: `fit`, `predict`, `accuracy` and
    the distillations of this package take it as they take a network of images. The graph is not part of `state_dict()`:
    what was learned on one graph is loaded into a network of the same sizes that is made on another.

    Args:
        features: X, `[N, D]`, floating-point; N is at least 1.
        edges: `[2, E]`, int64, each edge in both directions.
        hidden: units of the hidden layer, 1 or more.
        classes: K, 2 or more.
        dropout: share of the features and of the hidden units that are left out at random in training, in [0, 1).

    Raises:
        TypeError: features that are not floating-point, or edges or sizes that are not whole numbers.
        ValueError: another shape, features that are not finite, a node that there is not, an edge whose opposite is
            missing, or a number out of its range.

    Source: Kipf and Welling, 2017. Derived in: lectures/10_distillation/without_the_data.
    """

    features: Tensor
    adjacency: Tensor

    def __init__(
        self, features: Tensor, edges: Tensor, *, hidden: int = 64, classes: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        _check_features("features", features)
        check_counts(hidden=hidden)
        check_counts(2, classes=classes)
        check_numbers(dropout=dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        _check_edges(edges, len(features), features.device)
        adjacency = normalized_adjacency(edges, len(features), dtype=features.dtype)
        self.register_buffer("features", features.detach().clone(), persistent=False)
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.dropout = dropout
        self.first = GraphConvolution(features.shape[1], hidden).to(features)
        self.second = GraphConvolution(hidden, classes).to(features)

    def hidden(self) -> Tensor:
        """relu(Ã X W₁ + b₁) for all nodes.

        Returns:
            `[N, hidden]`, with a gradient.
        """
        return F.relu(self.first(self._dropped(self.features), self.adjacency))

    def forward(self, nodes: Tensor) -> Tensor:
        """Numbers of nodes, `[B]`, int64, from 0 to N − 1, to logits `[B, K]`."""
        _check_nodes(nodes, len(self.features))
        logits: Tensor = self.second(self._dropped(self.hidden()), self.adjacency)
        return logits[nodes]

    def _dropped(self, values: Tensor) -> Tensor:
        return F.dropout(values, self.dropout, self.training)


def local_structure_loss(
    student_features: Tensor, teacher_features: Tensor, edges: Tensor, *, sigma: float | None = None
) -> Tensor:
    """mean over nodes i of KL(Sᵗᵢ ‖ Sˢᵢ), where Sᵢⱼ = softmax over i's neighbours j of exp(−‖hᵢ − hⱼ‖² / 2σ²).

    What is compared is whom of its neighbours a node is most like, so student and teacher may have different numbers of
    features. The direction of KL is that of the authors' code and of this book's other losses. A node with one
    neighbour, or with none, has nothing to compare and counts as 0 in the mean. An edge that stands twice counts once,
    and a node is no neighbour of itself. Memory grows with the edges, not with N².

    Args:
        student_features: `[N, D]`, floating-point.
        teacher_features: `[N, E]`, floating-point, taken as constants.
        edges: `[2, edges]`, int64: (i, j) makes j a neighbour of i.
        sigma: σ, above 0; None takes for each network the root mean square of its own distances along the edges, so
            that the scale of its features does not matter.

    Returns:
        A scalar, 0 or more, of the wider of both types, float32 at least.

    Raises:
        TypeError: features that are not floating-point, or edges that are not whole numbers.
        ValueError: shapes or devices that do not fit, features that are not finite, a node that there is not, no node
            with two neighbours, or a σ that is not positive.

    Warns:
        CollapsedEmbeddingsWarning: all neighbours are at distance 0, or so far apart that the kernel is 0 in floating
            point; there is then nothing to learn, or to learn from.

    Source: Yang, Qiu, Song, Tao and Wang, 2020. Derived in: lectures/10_distillation/without_the_data.
    """
    _check_features("student_features", student_features)
    _check_features("teacher_features", teacher_features)
    nodes = len(student_features)
    if len(teacher_features) != nodes or teacher_features.device != student_features.device:
        raise ValueError(
            f"teacher_features must have a row for each of the student's {nodes} nodes, on {student_features.device}, "
            f"got {len(teacher_features)} on {teacher_features.device}"
        )
    if sigma is not None:
        check_numbers(sigma=sigma)
        if not 0 < sigma < math.inf:
            raise ValueError(f"sigma must be a positive number or None, got {sigma}")
    _check_edges(edges, nodes, student_features.device)
    node, neighbour = _distinct(edges, nodes)
    if int(node.bincount(minlength=1).amax()) < 2:
        raise ValueError("no node has two neighbours, so there is no local structure to compare: pass more edges")
    wide = torch.promote_types(student_features.dtype, teacher_features.dtype)
    dtype = torch.promote_types(wide, torch.float32)
    student = _log_structure("student", student_features.to(dtype), node, neighbour, sigma)
    teacher = _log_structure("teacher", teacher_features.detach().to(dtype), node, neighbour, sigma)
    return (teacher.exp() * (teacher - student)).sum() / nodes


def _log_structure(whose: str, features: Tensor, node: Tensor, neighbour: Tensor, sigma: float | None) -> Tensor:
    """log Sᵢⱼ for each edge (i, j), `[E]`."""
    differences = features.index_select(0, node) - features.index_select(0, neighbour)
    largest = differences.detach().abs().amax()
    unit = torch.where(largest > 0, largest, 1.0) if sigma is None else sigma
    squares = (differences / unit).square().sum(dim=1)  # in a unit in which no square over- or underflows
    mean = squares.mean()
    scale = torch.where(mean > 0, mean, 1.0) if sigma is None else 1.0
    kernel = torch.exp(-squares / (2 * scale))  # in [0, 1], so that its exponential needs no shift
    if not ((squares > 0) & (kernel > 0)).any():
        warnings.warn(
            f"in the {whose}'s features all neighbours are at distance 0, or too far for this sigma: there is no local "
            "structure, and no gradient",
            CollapsedEmbeddingsWarning,
            stacklevel=3,
        )
    total = torch.zeros(len(features), dtype=kernel.dtype, device=kernel.device).index_add(0, node, kernel.exp())
    return kernel - total.log().index_select(0, node)


def _numbers(first: Tensor, second: Tensor, nodes: int) -> Tensor:
    """One number for each pair."""
    return first * nodes + second


def _distinct(edges: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Both ends of the edges, sorted: each edge once, none from a node to itself."""
    first, second = edges[:, edges[0] != edges[1]]
    numbers = _numbers(first, second, nodes).unique()
    return numbers // nodes, numbers % nodes


def _check_features(name: str, features: Tensor) -> None:
    check_floating(name, features)
    if features.ndim != 2 or features.numel() == 0:
        raise ValueError(f"{name} must be a non-empty [N, D] tensor, got shape {list(features.shape)}")
    if not torch.isfinite(features).all():
        raise ValueError(f"{name} must be finite, got NaN or infinite values")


def _check_nodes(nodes: Tensor, count: int) -> None:
    if not isinstance(nodes, Tensor) or nodes.dtype != torch.int64 or nodes.ndim != 1:
        kind = f"{nodes.dtype} {list(nodes.shape)}" if isinstance(nodes, Tensor) else type(nodes).__name__
        raise TypeError(f"nodes must be an int64 tensor [B] of numbers of nodes, got {kind}")
    if nodes.numel() and not (int(nodes.min()) >= 0 and int(nodes.max()) < count):
        raise ValueError(f"nodes must lie in 0…{count - 1}, got {int(nodes.min())}…{int(nodes.max())}")


def _check_edges(edges: Tensor, nodes: int, device: torch.device | None = None) -> None:
    if not isinstance(edges, Tensor) or edges.dtype != torch.int64:
        kind = edges.dtype if isinstance(edges, Tensor) else type(edges).__name__
        raise TypeError(f"edges must be an int64 tensor of numbers of nodes, got {kind}")
    if edges.ndim != 2 or len(edges) != 2 or edges.device != (device or edges.device):
        raise ValueError(
            f"edges must have shape [2, E] on {device or edges.device}, got {list(edges.shape)} on {edges.device}"
        )
    if edges.numel() and not (int(edges.min()) >= 0 and int(edges.max()) < nodes):
        raise ValueError(
            f"edges must hold numbers of nodes in 0…{nodes - 1}, got {int(edges.min())}…{int(edges.max())}"
        )
