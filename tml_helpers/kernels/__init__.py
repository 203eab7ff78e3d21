"""Kernels that carry the work of the methods, one file each: formula, fewest bytes, reference, Triton kernel, function.

Each public function takes its Triton kernel on CUDA tensors and plain PyTorch elsewhere. Nothing here knows a topic of
the book. Every kernel has a page in `lectures/09_kernels/`.
"""

from tml_helpers.kernels.ball_step import ball_step
from tml_helpers.kernels.clip_and_sum import clip_and_sum
from tml_helpers.kernels.distillation_loss import distillation_loss
from tml_helpers.kernels.group_counts import GroupCounts, group_counts
from tml_helpers.kernels.keyed_select import keyed_hash, keyed_select
from tml_helpers.kernels.superpixels import superpixels

__all__ = [
    "GroupCounts",
    "ball_step",
    "clip_and_sum",
    "distillation_loss",
    "group_counts",
    "keyed_hash",
    "keyed_select",
    "superpixels",
]
