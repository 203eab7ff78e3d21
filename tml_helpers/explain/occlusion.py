"""Cover a window of the image and ask again."""

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts
from tml_helpers.explain._common import answers, baseline_like, check_explainable
from tml_helpers.kernels.superpixels import superpixels


def occlusion(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    window: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    baseline: Tensor | float = 0.0,
    batch_size: int = 16,
) -> Tensor:
    """z_t(x) − z_t(x with a window covered), as a map: where windows overlap, the mean over those that cover a pixel.

    Args:
        model, images, targets: as of `saliency`.
        window: pixels, one number or (vertical, horizontal), at most the image's side. All channels are covered.
        stride: pixels from one window to the next, alike: the window unless given, and no more than it. The last window
            of a row or column is cut at the border.
        baseline: what covers, finite: a number, or what broadcasts to the images, where they are.
        batch_size: how many covered images go through the model at a time.

    Returns:
        `[N, H, W]`, positive where covering lowers the logit.

    Raises:
        TypeError: another kind, type or device.
        ValueError: as of `saliency`, windows that do not fit or leave pixels out, or a baseline that does not fit.

    Source: Zeiler and Fergus, 2014. Derived in: lectures/40_interpretability/attributions
    """
    check_explainable(model, images, targets)
    check_counts(batch_size=batch_size)
    rows, columns = (
        Windows(size, *steps, images.device)
        for size, steps in zip(images.shape[2:], _both(window, window if stride is None else stride), strict=True)
    )
    segments = rows.cell_of[:, None] * columns.cells + columns.cell_of  # (h, w): overlaps cut windows into cells
    images, start = images.detach(), baseline_like(baseline, images)
    whole = answers(model, images, targets, batch_size=batch_size)
    maps = torch.empty_like(images[:, 0])
    for place, (image, target) in enumerate(zip(images, targets, strict=True)):
        total = torch.zeros(rows.cells * columns.cells, dtype=images.dtype, device=images.device)
        for chosen in torch.arange(len(rows) * len(columns), device=images.device).split(batch_size):
            down, across = rows.covers[chosen // len(columns)], columns.covers[chosen % len(columns)]
            hidden = (down[:, :, None] & across[:, None, :]).flatten(1)  # (windows, cells)
            covered = superpixels(image, segments, ~hidden, fill=start[place], channels_last=not image.is_cuda)
            drop = whole[place] - answers(model, covered, target.expand(len(covered)), batch_size=batch_size)
            total += drop @ hidden.to(drop.dtype)
        times = rows.covers.sum(dim=0)[:, None] * columns.covers.sum(dim=0)
        maps[place] = (total / times.flatten())[segments]
    return maps


class Windows:
    """The windows along one side of the image, and the cells into which their ends cut it.

    `cell_of` `[size]` gives each pixel's cell, `covers` `[windows, cells]` which windows cover which cells.
    """

    def __init__(self, size: int, window: int, stride: int, device: torch.device) -> None:
        check_counts(window=window, stride=stride)
        if window > size:
            raise ValueError(f"window must fit into the image: it is {window} pixels, and the image's side {size}")
        if stride > window and window < size:
            raise ValueError(f"stride must be at most the window, {window}, or pixels are left out; got {stride}")
        first = torch.arange(0, size - window + stride, stride, device=device)
        ends = (first + window).clamp_max(size)
        cuts = torch.cat([first, ends]).unique()  # sorted; the first is 0, the last is the size
        self.cells = len(cuts) - 1
        self.cell_of = torch.bucketize(torch.arange(size, device=device), cuts[1:], right=True)
        self.covers = (first[:, None] <= cuts[:-1]) & (cuts[:-1] < ends[:, None])

    def __len__(self) -> int:
        return len(self.covers)


def _both(window: int | tuple[int, int], stride: int | tuple[int, int]) -> list[tuple[int, int]]:
    """(window, stride) of the vertical and of the horizontal."""
    pairs = [(size, size) if isinstance(size, int) else tuple(size) for size in (window, stride)]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"window and stride are a number or (vertical, horizontal), got {window} and {stride}")
    return [(pairs[0][side], pairs[1][side]) for side in (0, 1)]
