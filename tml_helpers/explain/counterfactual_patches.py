"""What would have to be different: the fewest patches to swap with another image before the class changes."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import vmap

from tml_helpers.common import Layer, check_counts, check_images, evaluating, layer_names, recorded

LARGEST_SEARCH = 5_000_000
"""Candidates that the exhaustive search tries at most for one number of swaps."""


@dataclass(frozen=True, eq=False)
class PatchSwaps:
    """S swaps after which the model calls the image's features the target; cells are (row, column) of the grid."""

    cells: Tensor
    """Where the image's features were replaced, in the order of the swaps, `[S, 2]`, int64."""
    distractor_cells: Tensor
    """The distractor's cells that came there, `[S, 2]`, int64."""
    boxes: Tensor
    """Those cells in the image's pixels, (top, left, bottom, right), `[S, 4]`, int64: the grid laid over it."""
    distractor_boxes: Tensor
    """The distractor's, `[S, 4]`, int64."""
    logits: Tensor
    """The logits before the first and after each swap, `[S + 1, K]`."""
    prediction: int
    """What the model saw in the image."""
    target: int
    """What it sees after the last swap: the class of the distractor."""


def counterfactual_patches(
    model: nn.Module,
    image: Tensor,
    *,
    distractor: Tensor,
    layer: Layer,
    search: str = "greedy",
    max_swaps: int | None = None,
    batch_size: int = 256,
) -> PatchSwaps:
    """The fewest swaps of feature-map cells, f(x) ← f(x′), after which the model's class is the target.

    The target is the class that the model sees in the distractor. Each cell is used once, on both sides. What comes out
    is features that no image may have: a counterfactual in representation space.

    Args:
        model: maps images to logits `[N, K]`.
        image: x, `[C, H, W]` in [0, 1], where the model is.
        distractor: x′, alike, of another class than the image; its height and width may differ.
        layer: a module of the model, or its name in `model.named_modules()`, whose output is swapped: `[1, D, h, w]`.
        search: `"greedy"` takes, again and again, the swap after which the target is most probable, of h·w·h′·w′
            candidates; it may need more swaps than necessary. `"exhaustive"`, for small grids, tries all sets of
            1, 2, … swaps, and of the smallest that works takes the one after which the target is most probable.
        max_swaps: 1 or more, all cells unless given.
        batch_size: how many candidates go through the model at a time.

    Returns:
        The swaps, where they lie in both images, and the logits after each.

    Raises:
        TypeError: another kind, type or device.
        ValueError: two images of one class, a search that finds no flip within `max_swaps` or that is too large, a
            layer that the model lacks, or images that do not fit.

    Source: Goyal et al., 2019. Derived in: lectures/40_interpretability/examples_and_counterfactuals
    """
    if search not in ("greedy", "exhaustive"):
        raise ValueError(f"search must be greedy or exhaustive, got {search!r}")
    check_counts(batch_size=batch_size)
    if max_swaps is not None:
        check_counts(max_swaps=max_swaps)
    for name, picture in (("image", image), ("distractor", distractor)):
        if isinstance(picture, Tensor) and picture.ndim != 3:
            raise ValueError(f"{name} must be [C, H, W], got shape {list(picture.shape)}")
        check_images(model, picture[None] if isinstance(picture, Tensor) else picture)
    with torch.no_grad(), evaluating(model):
        split = _Split(model, layer, image)
        found = _Search(split, split.features(image), split.features(distractor), batch_size)
        cells = min(found.query.shape[2], found.other.shape[2])
        limit = cells if max_swaps is None else min(max_swaps, cells)
        swaps = found.greedily(limit) if search == "greedy" else found.exhaustively(limit)
        ours, theirs = torch.tensor(swaps, device=image.device).T
        return PatchSwaps(
            cells=_place(ours, found.grid),
            distractor_cells=_place(theirs, found.other_grid),
            boxes=_boxes(ours, found.grid, image),
            distractor_boxes=_boxes(theirs, found.other_grid, distractor),
            logits=found.path(swaps),
            prediction=found.prediction,
            target=found.target,
        )


Swap = tuple[int, int]
"""A cell of the image and the cell of the distractor that replaces it, counted row by row."""


class _Split:
    """A network in two parts: up to the layer, and from the layer on for any batch of its feature maps."""

    def __init__(self, network: nn.Module, layer: Layer, image: Tensor) -> None:
        (self.name,) = layer_names(network, [layer])
        self.network, self.image, self.layer = network, image, network.get_submodule(self.name)

    def features(self, picture: Tensor) -> Tensor:
        """f(x), `[1, D, h, w]`."""
        with recorded(self.network, [self.name]) as outputs:
            self.network(picture[None])
        features = outputs.get(self.name)
        if features is None or features.ndim != 4 or len(features) != 1:
            shape = "nothing" if features is None else list(features.shape)
            raise ValueError(f"the features of one image must be a map [1, D, h, w], got {shape}: name another layer")
        return features

    def head(self, maps: Tensor) -> Tensor:
        """The logits `[N, K]` of feature maps `[N, D, h, w]`, which take the place of the layer's output.

        Under `vmap` the network sees one image, whatever it does with the size of its batch, and computes the features
        that are replaced only once.
        """

        def of_one(one: Tensor) -> Tensor:
            handle = self.layer.register_forward_hook(lambda *_: one[None])
            try:
                logits: Tensor = self.network(self.image[None])
            finally:
                handle.remove()
            if logits.ndim != 2 or len(logits) != 1:
                raise ValueError(f"the head must return logits [1, K] for one image, got shape {list(logits.shape)}")
            return logits[0]

        logits: Tensor = vmap(of_one)(maps.clone())  # a head that works in place must not change the features
        if not torch.isfinite(logits).all():
            raise ValueError("the model's logits are not finite: has it been trained, and is its input in [0, 1]?")
        return logits


class _Search:
    """Swaps between the cells of two feature maps, `[1, D, h·w]` and `[1, D, h′·w′]`."""

    def __init__(self, split: _Split, query: Tensor, other: Tensor, batch_size: int) -> None:
        self.head, self.batch_size = split.head, batch_size
        self.grid, self.other_grid = query.shape[2:], other.shape[2:]
        self.query, self.other = query.flatten(2), other.flatten(2)
        self.prediction, self.target = (int(split.head(maps).argmax()) for maps in (query, other))
        if self.prediction == self.target:
            raise ValueError(
                f"the model sees class {self.target} in the image and in the distractor: give one of another class"
            )

    def swapped(self, candidates: Tensor) -> Tensor:
        """The logits after each candidate, a set of swaps: `[B, S, 2]` → `[B, K]`."""
        logits = []
        for part in candidates.split(self.batch_size):
            maps = self.query.repeat(len(part), 1, 1)  # (B, D, h·w)
            rows = torch.arange(len(part), device=maps.device)[:, None]
            maps[rows, :, part[..., 0]] = self.other[0].T[part[..., 1]]  # (B, S, D)
            logits.append(self.head(maps.unflatten(2, self.grid)))
        return torch.cat(logits)

    def most_probable(self, candidates: Tensor) -> tuple[list[Swap], float, bool]:
        """The candidate after which the target is most probable, how probable in logarithms, and whether it flips."""
        logits = self.swapped(candidates)
        flips = logits.argmax(dim=1) == self.target
        scores = logits.log_softmax(dim=1)[:, self.target]
        among = scores.masked_fill(~flips, -math.inf) if flips.any() else scores
        best = int(among.argmax())
        return [(ours, theirs) for ours, theirs in candidates[best].tolist()], float(scores[best]), bool(flips[best])

    def greedily(self, limit: int) -> list[Swap]:
        device = self.query.device
        ours, theirs = (torch.arange(maps.shape[2], device=device) for maps in (self.query, self.other))
        swaps: list[Swap] = []
        for _ in range(limit):
            free = torch.cartesian_prod(ours, theirs)[:, None]  # (candidates, 1, 2)
            fixed = torch.tensor(swaps, dtype=torch.int64, device=device).view(1, -1, 2)
            swaps, _, flipped = self.most_probable(torch.cat([fixed.expand(len(free), -1, -1), free], dim=1))
            if flipped:
                return swaps
            ours, theirs = ours[ours != swaps[-1][0]], theirs[theirs != swaps[-1][1]]
        raise ValueError(_no_flip(self, limit))

    def exhaustively(self, limit: int) -> list[Swap]:
        ours, theirs = self.query.shape[2], self.other.shape[2]
        for size in range(1, limit + 1):
            count = math.comb(ours, size) * math.perm(theirs, size)
            if count > LARGEST_SEARCH:
                raise ValueError(
                    f"no {size - 1} swaps flip the class, and of {size} there are {count}: "
                    "search greedily, in a layer with a smaller grid, or with a smaller max_swaps"
                )
            candidates = (
                [*zip(a, b, strict=True)]
                for a, b in itertools.product(
                    itertools.combinations(range(ours), size), itertools.permutations(range(theirs), size)
                )
            )
            winners = []
            while some := list(itertools.islice(candidates, self.batch_size)):
                winners.append(self.most_probable(torch.tensor(some, device=self.query.device)))
            flipping = [(score, swaps) for swaps, score, flipped in winners if flipped]
            if flipping:
                return max(flipping)[1]
        raise ValueError(_no_flip(self, limit))

    def path(self, swaps: list[Swap]) -> Tensor:
        """The logits before the first and after each swap, `[S + 1, K]`."""
        first = self.head(self.query.unflatten(2, self.grid))
        later = [self.swapped(torch.tensor([swaps[:count]], device=first.device)) for count in range(1, len(swaps) + 1)]
        return torch.cat([first, *later])


def _no_flip(search: _Search, limit: int) -> str:
    return (
        f"{limit} swaps of distinct cells do not turn class {search.prediction} into {search.target}: "
        "take another distractor, another layer, or more swaps"
    )


def _place(cells: Tensor, grid: torch.Size) -> Tensor:
    """Cells counted row by row → (row, column), `[S, 2]`."""
    return torch.stack([cells // grid[1], cells % grid[1]], dim=1)


def _boxes(cells: Tensor, grid: torch.Size, picture: Tensor) -> Tensor:
    """(top, left, bottom, right) of each cell where the grid is laid over the picture, `[S, 4]`."""
    place = _place(cells, grid)
    sides = torch.tensor([*picture.shape[1:]], device=cells.device)
    steps = torch.tensor([*grid], device=cells.device)
    return torch.cat([place * sides // steps, (place + 1) * sides // steps], dim=1)
