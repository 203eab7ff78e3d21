"""Every task answered rightly, in another way than the model solution does."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from torch import Tensor, nn
from torch.nn import functional as F


def hide(image: Tensor, segments: Tensor, masks: Tensor, fill: Tensor) -> Tensor:
    batch = fill.repeat(len(masks), 1, 1, 1)
    for picture, mask in zip(batch, masks, strict=True):
        for region in mask.nonzero().flatten():
            picture[:, segments == region] = image[:, segments == region]
    return batch


def proximity(masks: Tensor, width: float) -> Tensor:
    everything = torch.ones(masks.shape[1]).double()
    cosine = F.cosine_similarity(masks.double(), everything[None], dim=1)
    return torch.exp(-0.5 * ((1 - cosine) / width).square())


def fit_line(masks: Tensor, answers: Tensor, weights: Tensor) -> tuple[Tensor, float]:
    found = LinearRegression().fit(masks.numpy(), answers.numpy(), weights.numpy())
    return torch.as_tensor(np.float32(found.coef_)), float(found.intercept_)


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
    coins = torch.rand(samples, int(segments.max()) + 1, generator=generator) < 0.5
    answers = torch.zeros(samples)
    for start in range(0, samples, 20):
        batch = slice(start, start + 20)
        answers[batch] = black_box(hide(image, segments, coins[batch], fill))
    return fit_line(coins, answers, proximity(coins, width))


def fidelity(answers: Tensor, line: Tensor, weights: Tensor) -> float:
    return float(r2_score(answers.numpy(), line.numpy(), sample_weight=weights.numpy()))


def weigh(activations: Tensor, gradients: Tensor) -> Tensor:
    total = sum(
        float(slope.mean()) * one_map
        for slope, one_map in zip(gradients, activations, strict=True)
    )
    return torch.maximum(total, torch.zeros_like(total))


def grad_cam(
    features: nn.Module, head: nn.Module, image: Tensor, target: int
) -> Tensor:
    maps = features(image.unsqueeze(0)).detach().requires_grad_(True)
    slopes = torch.autograd.grad([head(maps)[0, target]], [maps])[0]
    small = weigh(maps.detach()[0], slopes[0])[None, None]
    enlarge = nn.Upsample(tuple(image.shape[1:]), mode="bilinear", align_corners=False)
    return enlarge(small).squeeze()
