"""Weight sharing: all weights of a layer take one of a few values, and training moves the values."""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from tml_helpers.common import check_generator, draw
from tml_helpers.compression._holding import check_bits, hold, layers_and_places
from tml_helpers.compression._weights import own_copy

__all__ = ["SharedValues", "codebook", "lloyd"]

Start = Literal["linear", "random"]


class SharedValues(nn.Module):
    """Ŵ = c[i], with c₀ = 0: a parametrisation that makes a layer's weight of k values and an index for each weight.

    What is trained is the k values, the parametrisation's `original`: autograd adds up the gradients of all weights
    that share one. The buffer `indices` says which: j for the j-th value, 0 for a weight that is 0 and stays so. A
    tensor that is assigned to the weight becomes the mean of its members in each value.

    Args:
        indices: of the weight's shape, integers from 0 to k.
        count: k, the number of values.

    Raises:
        TypeError: indices that are no integers.
        ValueError: an index outside 0 to k.

    Source: Han, Mao and Dally, 2016. Derived in: lectures/10_distillation/the_bill.
    """

    indices: Tensor

    def __init__(self, indices: Tensor, count: int) -> None:
        if not isinstance(indices, Tensor) or indices.dtype not in (torch.uint8, torch.int16, torch.int32, torch.int64):
            kind = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
            raise TypeError(f"indices must be a tensor of integers, got {kind}")
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) <= count:
            raise ValueError(f"indices must lie in 0…{count}, got {int(indices.min())} to {int(indices.max())}")
        super().__init__()
        self.count = count
        self.register_buffer("indices", indices.to(torch.int32))

    def forward(self, values: Tensor) -> Tensor:
        with_zero = torch.cat([values.new_zeros(1), values])
        return with_zero.index_select(0, self.indices.flatten()).view(self.indices.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """c_j = the mean of the weights with index j: the values that come nearest to a weight.

        Args:
            weight: of the indices' shape.

        Returns:
            `[k]`, of the weight's type; 0 for a value without members.
        """
        flat = self.indices.flatten().cpu()  # not every device has float64
        numbers = weight.detach().flatten().to("cpu", torch.float64)
        sums = torch.bincount(flat, numbers, minlength=self.count + 1)
        members = torch.bincount(flat, minlength=self.count + 1)
        return (sums / members.clamp_min(1))[1:].to(weight.device, weight.dtype)


def codebook(
    model: nn.Module, *, bits: int, start: Start = "linear", generator: torch.Generator | None = None
) -> nn.Module:
    """min Σ (W − c[i])² over 2ᵇ values c and indices i, in each layer, by Lloyd's k-means: each weight takes a value.

    Weights of linear layers and convolutions are shared within their layer. Zeros stay zeros, as those of a pruned
    model: they are a further value, which is fixed and costs no member of the codebook. A layer with at most 2ᵇ
    different weights keeps them as they are. Where a value loses all of its members, it goes on at the weight that is
    farthest from its own value, so that all 2ᵇ are used.

    `layer.weight` is a parametrisation, `SharedValues`, of the values, which `training.fit` trains on. In memory the
    network is no smaller, for the weight is made anew in each forward pass; its file is (`save_compressed`). A mask,
    or whatever else made the weight before, is replaced.

    Args:
        model: any network with linear layers or convolutions; it stays as it is.
        bits: b, 1 to 16, of an index.
        start: the first values: spread evenly from the smallest to the largest weight, `"linear"`, which keeps large
            weights well, or `"random"` weights of the layer.
        generator: draws where the start is random.

    Returns:
        A copy of the model, with shared values.

    Raises:
        TypeError: a number of bits that is not whole.
        ValueError: bits outside 1 to 16, an unknown start, a model without such layers, or a weight that is not finite.

    Source: Han, Mao and Dally, 2016; Lloyd, 1982. Derived in: lectures/10_distillation/the_bill.
    """
    check_bits(bits)
    if start not in get_args(Start):
        raise ValueError(f"start must be one of {', '.join(get_args(Start))}, got {start!r}")
    check_generator(generator)
    shared = own_copy(model)
    for layer, places in layers_and_places(shared):
        weight: Tensor = layer.weight.detach()  # type: ignore[operator]
        flat = weight.to("cpu", torch.float64).numpy().ravel()
        indices = np.zeros(flat.shape, dtype=np.int32)
        centroids, indices[flat != 0] = _shared(flat[flat != 0], 2**bits, start, generator)
        where = torch.from_numpy(indices).view(weight.shape).to(weight.device)
        hold(places, SharedValues(where, len(centroids)), weight)
    return shared


def lloyd(weights: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assign each number to the nearest centroid, move each centroid to the mean of its members, until none moves.

    Numbers on a line are sorted once. The members of a centroid are then all that lie between two midpoints, and their
    sum is the difference of two running totals, so that a step costs no more than finding k midpoints.

    Args:
        weights: `[N]`, with at least as many different numbers as centroids.
        centroids: `[k]`, different numbers, where to start.

    Returns:
        The centroids, `[k]`, ascending, and the index of each number's, `[N]`.
    """
    points, inverse, counts = np.unique(weights, return_inverse=True, return_counts=True)
    totals, numbers = (np.concatenate([[0], np.cumsum(column)]) for column in (points * counts, counts))
    centroids, best = np.sort(centroids), -float("inf")
    while True:
        edges = np.concatenate([[0], np.searchsorted(points, (centroids[1:] + centroids[:-1]) / 2), [len(points)]])
        used = np.diff(edges) > 0
        sums, members = np.diff(totals[edges])[used], np.diff(numbers[edges])[used]
        means = sums / members
        explained = float(sums @ means)  # Σ w² less the error: it grows as long as a weight finds a nearer centroid
        if explained <= best:
            break
        best, lost = explained, len(centroids) - len(means)
        if lost:
            distances = np.abs(points - np.repeat(means, np.diff(edges)[used]))
            means = np.concatenate([means, points[np.argsort(distances)[-lost:]]])
        centroids = np.sort(means)
    exact = np.add.reduceat(points * counts, edges[:-1][used]) / members
    return exact, np.repeat(np.arange(len(exact)), np.diff(edges)[used])[inverse]


def _shared(
    weights: np.ndarray, most: int, start: Start, generator: torch.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """The values of a layer, ascending, and the index of each weight's, from 1 on."""
    different, inverse = np.unique(weights, return_inverse=True)
    if len(different) <= most:
        return different, inverse + 1
    if start == "linear":
        centroids = np.linspace(different[0], different[-1], most)
    else:
        chosen = draw(torch.randperm, len(different), device="cpu", generator=generator)[:most]
        centroids = different[chosen.numpy()]
    centroids, indices = lloyd(weights, centroids)
    return centroids, indices + 1
