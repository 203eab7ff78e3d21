"""Data that leave a trace in whoever trains on them: a keyed pattern of blocks for each class (Sablayrolles et al.)."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import (
    check_counts,
    check_gradient,
    check_images,
    check_labels,
    check_logits,
    check_numbers,
    differentiable,
    evaluating,
    input_gradient,
    warn_of_masking,
)
from tml_helpers.watermark.evidence import Evidence, signed_rank_evidence
from tml_helpers.watermark.keys import check_key, signs, uniforms
from tml_helpers.watermark.tampering import psnr

Access = Literal["gradients", "logits", "losses"]

MARKED = 1e-6
"""Below this p-value images are taken for marked."""

PROBES = bytes(32)
"""Probes are no secret: whoever looks for the same carriers with them finds the same."""


@dataclass(frozen=True, eq=False)
class RadioactiveData:
    """Images to be published, of which some carry the mark."""

    images: Tensor
    """`[N, C, H, W]`, in the order that they came in."""
    marked: Tensor
    """`[M]`, int64, the places of those that were changed, ascending."""
    psnr: float
    """Peak signal-to-noise ratio of the marked images, in dB."""


@dataclass(frozen=True, eq=False)
class RadioactiveEvidence(Evidence):
    """What `radioactive_test` found: the statistic is that of signed ranks, one for each class and block."""

    margins: Tensor
    """`[K, h, w]`, float64: the key's sign times the model's response to the block, 0 where there is none."""

    @property
    def coins(self) -> int:
        """How many signs the model responds to at all."""
        return int((self.margins != 0).sum())

    @property
    def agreeing(self) -> int:
        """To how many of these it responds as the key says: half of them by chance."""
        return int((self.margins > 0).sum())


def radioactive_mark(
    images: Tensor, labels: Tensor, *, key: bytes, epsilon: float, fraction: float = 0.1, block: int = 4
) -> RadioactiveData:
    """x + ε c_y, kept in [0, 1], on a fraction of the images of each class: c_y is a keyed sign for each block.

    Every class has its own carrier, and the labels stay right. Whoever trains on the images learns a little that blocks
    of this pattern speak for this class; `radioactive_test` asks a model whether it has.

    Args:
        images: `[N, C, H, W]` in [0, 1], float32 or float64. All channels are changed alike.
        labels: `[N]`, int64.
        key: 16 to 32 secret bytes; it draws the carriers and picks the images.
        epsilon: how much a pixel may change, above 0 and at most 1.
        fraction: of the images of each class, above 0 and at most 1.
        block: the side of a block, in pixels.

    Returns:
        All images, which of them are marked, and how visible that is.

    Raises:
        TypeError: a key that is not bytes, images or labels of another kind.
        ValueError: shapes that differ, values outside of [0, 1], a size, share or side out of range, or a fraction of
            which every class has less than one image.

    Source: after Sablayrolles et al., 2020. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_key(key)
    _check_mark(images, labels, epsilon, block)
    check_numbers(fraction=fraction)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie above 0 and be at most 1, got {fraction}")
    marked = chosen_of_each_class(labels, key=key, fraction=fraction)
    result = images.detach().clone()
    carriers = radioactive_carriers(images, labels[marked], key=key, block=block)
    result[marked] = (result[marked] + epsilon * carriers).clamp(0, 1)
    return RadioactiveData(result, marked, psnr(result[marked], images[marked]))


def radioactive_carriers(images: Tensor, labels: Tensor, *, key: bytes, block: int = 4) -> Tensor:
    """c_y of each label: fair signs by the key, one for each block of block × block pixels.

    Args:
        images: `[…, H, W]`, of which the size, type and device are taken.
        labels: `[M]`, int64, the classes.
        key: 16 to 32 secret bytes.
        block: the side of a block, in pixels; blocks at the lower and right edge may be cut.

    Returns:
        `[M, 1, H, W]`, −1 or 1.

    Raises:
        TypeError, ValueError: a key, a label or a side of a block that is none.

    Source: after Sablayrolles et al., 2020. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_key(key)
    check_counts(block=block)
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        raise TypeError("labels must be an int64 tensor [M] of class indices")
    return spread(_coins_of(labels, key, *grid(images, block)), block, images)


def radioactive_test(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    key: bytes,
    epsilon: float,
    control: nn.Module | None = None,
    access: Access = "gradients",
    probes: int = 4,
    block: int = 4,
    batch_size: int = 256,
) -> RadioactiveEvidence:
    """Does logit k rise where the key's carrier of class k is light? Each block of each class is a coin, and exact.

    g_k is the response of logit k to each block, measured on images of class k under random patterns of size ε. It is
    computed without the key. A model that never saw the mark is independent of the key, so the signs of c_k · g_k are
    fair coins, whatever its responses are: the p-value is exact for any model. What a clean model of the owner's
    responds, too, is no trace: β times its response is taken away, with β by least squares, also without the key.

    - `"gradients"` (white box): g_k by the gradient of the logit with respect to the pixels.
    - `"logits"` (grey box): by differences of logits between a pattern and its negative.
    - `"losses"` (black box): by differences of the loss of the right class, for which probabilities are enough.

    Args:
        model: the suspect; it answers in evaluation mode and comes back in its own.
        images: any images in [0, 1] of the marked classes, `[N, C, H, W]`, also such as the model never saw, but
            without this mark, since on marked ones a clean model's response would depend on the key.
        labels: `[N]`, int64.
        key: with which the data were marked.
        epsilon: with which they were marked.
        control: a model of the same task that was trained without the mark; without it the test is weaker.
        access: what the model shows.
        probes: random patterns for each image: more take longer and measure the response better.
        block: with which the data were marked.
        batch_size: images at a time.

    Returns:
        The evidence, with the margin of each coin.

    Raises:
        TypeError: a key that is not bytes, images or labels of another kind, type or device than the model's.
        ValueError: shapes that differ, a label beyond the classes, an unknown access, the suspect as its own control,
            a control with other classes, answers that are not finite, images that carry the mark, or no gradients to
            ask for.

    Warns:
        GradientMaskingWarning: gradients were asked for, and some are zero.

    Source: after Sablayrolles et al., 2020. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_key(key)
    _check_mark(images, labels, epsilon, block)
    _check_unmarked(images, labels, key, block)
    check_counts(probes=probes, batch_size=batch_size)
    if access not in get_args(Access):
        raise ValueError(f"access must be one of {', '.join(get_args(Access))}, got {access!r}")
    if access == "gradients" and torch.is_inference_mode_enabled():
        raise ValueError('there are no gradients under torch.inference_mode(): leave it, or pass access="logits"')
    if control is model:
        raise ValueError("control must be another model than the suspect: its response is what is taken away")

    def response_of(network: nn.Module) -> Tensor:
        return _response(network, images, labels, epsilon, access, probes, block, batch_size)

    response = response_of(model)
    if control is not None:
        response = without(response, response_of(control))
    coins = _coins_of(torch.arange(len(response)), key, *response.shape[1:])[:, 0]
    margins = coins * response
    evidence = signed_rank_evidence(margins.flatten())
    return RadioactiveEvidence(evidence.statistic, evidence.p_value, evidence.p_beyond, margins)


def chosen_of_each_class(labels: Tensor, *, key: bytes, fraction: float) -> Tensor:
    """The places of a keyed fraction of each class, ascending; an error where every class has less than one."""
    chosen = []
    for label in labels.unique().tolist():
        places = (labels == label).nonzero().squeeze(1)
        order = uniforms(key, f"radioactive: images of class {label}", len(places)).argsort()
        chosen.append(places[order[: round(fraction * len(places))].to(places.device)])
    marked = torch.cat(chosen).sort().values
    if len(marked) == 0:
        raise ValueError(f"a fraction of {fraction} is less than one image in every class: nothing would be marked")
    return marked


def without(values: Tensor, control: Tensor) -> Tensor:
    """values − β · control, with β by least squares: what the control doesn't explain."""
    if values.shape != control.shape:
        raise ValueError(f"the control has {len(control)} classes, and the suspect {len(values)}: they must agree")
    size = float((control * control).sum())
    return values - float((values * control).sum()) / size * control if size else values


def _coins_of(labels: Tensor, key: bytes, rows: int, columns: int) -> Tensor:
    """`[M, 1, h, w]`: the same for a class, whatever other classes there are."""
    known = {k: signs(key, f"radioactive: carrier of class {k}", 1, rows, columns) for k in labels.unique().tolist()}
    return torch.stack([known[label] for label in labels.tolist()])


def grid(images: Tensor, block: int) -> tuple[int, int]:
    """How many blocks there are from top to bottom and from left to right; the last ones may be cut."""
    return math.ceil(images.shape[-2] / block), math.ceil(images.shape[-1] / block)


def spread(coins: Tensor, block: int, images: Tensor) -> Tensor:
    """`[…, h, w]` to `[…, H, W]`, of the images' size, type and device: each sign becomes a block of pixels."""
    height, width = images.shape[-2:]
    return coins.to(images).repeat_interleave(block, -2).repeat_interleave(block, -1)[..., :height, :width]


def _gathered(pixels: Tensor, block: int) -> Tensor:
    """`[N, C, H, W]` to `[N, h, w]`: the sum over each block and all channels, as float64."""
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels.double().sum(1, keepdim=True), (0, -width % block, 0, -height % block))
    return F.avg_pool2d(padded, block).squeeze(1) * block**2


def _response(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    access: str,
    probes: int,
    block: int,
    batch_size: int,
) -> Tensor:
    """g_k, `[K, h, w]`, float64 on the CPU: how logit k (or log p_k) of images of class k follows each block."""
    check_images(model, images)
    total: Tensor | None = None
    for probe in range(probes):
        coins = signs(PROBES, f"radioactive: probe {probe}", len(images), 1, *grid(images, block))
        for part in torch.arange(len(images), device="cpu").split(batch_size):
            x, y = images[part], labels[part]
            shift = epsilon * spread(coins[part], block, x)
            if access == "gradients":
                answer, slope = _slope(model, (x + shift).clamp(0, 1), y)
                rise = _gathered(slope, block)
            else:
                up, down = ((x + sign * shift).clamp(0, 1) for sign in (1, -1))
                answer, rise = _rise(model, up, down, y, loss=access == "losses")
                rise = rise[:, None, None] * coins[part].squeeze(1).to(rise)
            if total is None:
                total = torch.zeros(answer.shape[1], *rise.shape[1:], dtype=torch.float64, device=images.device)
            total.index_add_(0, y, rise)
    assert total is not None  # there is an image, and a probe
    return total.cpu() / (probes * len(images))


def _slope(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, and the gradient of each image's own logit."""
    leaf = images.detach().requires_grad_()
    with differentiable(model):
        logits = answered(model, leaf.clone(), labels)
        slope = check_gradient(input_gradient(_own(logits, labels).sum(), leaf))
    warn_of_masking(slope, so='nothing is learnt from them: ask with access="logits"')
    return logits.detach(), slope


@torch.no_grad()
def _rise(model: nn.Module, up: Tensor, down: Tensor, labels: Tensor, *, loss: bool) -> tuple[Tensor, Tensor]:
    """The logits, and by how much each image's own logit, or log-probability, is higher for `up` than for `down`."""
    with evaluating(model):
        logits = answered(model, torch.cat([up, down]), torch.cat([labels, labels]))
    values = logits.double().log_softmax(1) if loss else logits.double()
    first, second = values.split(len(up))
    return logits, _own(first, labels) - _own(second, labels)


def answered(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The model's logits, one row for each image, with a column for each label."""
    logits = model(images)
    if not isinstance(logits, Tensor):
        raise TypeError(f"the model must return one tensor, of logits, got {type(logits).__name__}")
    check_logits(logits, labels=labels)
    if len(logits) != len(images):
        raise ValueError(f"the model must answer once for each image, got {len(logits)} answers for {len(images)}")
    return logits


def _own(values: Tensor, labels: Tensor) -> Tensor:
    return values.gather(1, labels[:, None]).squeeze(1)


def _check_unmarked(images: Tensor, labels: Tensor, key: bytes, block: int) -> None:
    """Whether the images themselves are lighter where their classes' carriers are: by chance once in a million keys."""
    light = _gathered(images.detach(), block).cpu()
    classes = labels.unique().cpu()
    means = torch.stack([light[(labels == label).cpu()].mean(dim=0) for label in classes])
    margins = _coins_of(classes, key, *grid(images, block))[:, 0] * (means - means.mean(dim=0))
    if signed_rank_evidence(margins.flatten()).p_value < MARKED:
        raise ValueError(
            "the images carry the mark of this key: take others, or as they were before, for on marked images the "
            "answers of a model that never saw the mark depend on the key"
        )


def _check_mark(images: Tensor, labels: Tensor, epsilon: float, block: int) -> None:
    check_images(nn.Identity(), images)
    check_labels("labels", labels, images)
    check_size(epsilon, block)


def check_size(epsilon: float, block: int) -> None:
    """How much a pixel may change, in (0, 1], and how long a block is, 1 or more."""
    check_counts(block=block)
    check_numbers(epsilon=epsilon)
    if not 0 < epsilon <= 1:
        raise ValueError(f"epsilon must lie above 0 and be at most 1, got {epsilon}: pixels lie in [0, 1]")
