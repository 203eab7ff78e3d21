"""Task 2: the coins do not come from the generator.

loses: 2c_lime
says: the same seed must give the same explanation
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
    masks = torch.rand(samples, count) < 0.5
    answers = []
    for part in masks.split(50):
        pictures = torch.where(part[:, segments][:, None], image, fill)
        answers.append(black_box(pictures))
    distance = 1 - masks.double().mean(dim=1).sqrt()
    scale = torch.exp(-(distance**2) / (4 * width**2))[:, None]
    columns = torch.cat([masks.double(), torch.ones(samples, 1).double()], dim=1)
    target = torch.cat(answers).double()[:, None]
    found = torch.linalg.lstsq(scale * columns, scale * target).solution[:, 0]
    return found[:-1].float(), float(found[-1])
