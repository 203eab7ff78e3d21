"""Task 2: near and far pictures count alike.

loses: 2c_lime
says: do near pictures count more
"""

from collections.abc import Callable

import torch
from torch import Tensor


def lime(
    black_box: Callable[[Tensor], Tensor],
    image: Tensor,
    segments: Tensor,
    fill: Tensor,
    *,
    samples: int,
    width: float,
    generator: torch.Generator,
) -> tuple[Tensor, float]:
    count = int(segments.max()) + 1
    masks = torch.rand(samples, count, generator=generator) < 0.5
    answers = []
    for part in masks.split(50):
        pictures = torch.where(part[:, segments][:, None], image, fill)
        answers.append(black_box(pictures))
    scale = torch.ones(samples, 1).double()
    columns = torch.cat([masks.double(), torch.ones(samples, 1).double()], dim=1)
    target = torch.cat(answers).double()[:, None]
    found = torch.linalg.lstsq(scale * columns, scale * target).solution[:, 0]
    return found[:-1].float(), float(found[-1])
