"""Was my image in the training set? Two versions of it, a coin, and the question which of them the model prefers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, check_images, check_labels, evaluating
from tml_helpers.watermark.evidence import Evidence, signed_rank_evidence
from tml_helpers.watermark.keys import check_key, signs
from tml_helpers.watermark.radioactive import answered, check_size, grid, spread, without
from tml_helpers.watermark.tampering import psnr

AT_ONCE = 1000
"""Images whose noise is drawn in one piece: the key's bytes take eight times the memory of a pixel."""


@dataclass(frozen=True, eq=False)
class Twins:
    """Two versions of each image: one to publish, one to keep."""

    published: Tensor
    """`[N, C, H, W]`: the versions that the coins chose."""
    withheld: Tensor
    """`[N, C, H, W]`: the others; whoever has them could undo the test."""
    psnr: float
    """Of the published versions against the images, in dB."""


@dataclass(frozen=True, eq=False)
class TwinEvidence(Evidence):
    """What `twin_test` found: the statistic is that of signed ranks, one for each pair."""

    margins: Tensor
    """`[N]`, float64: by how much the published version is surer of its class than the withheld one."""

    @property
    def pairs(self) -> int:
        """How many pairs the model tells apart at all."""
        return int((self.margins != 0).sum())

    @property
    def wins(self) -> int:
        """In how many of these it is surer of the published version: half of them by chance."""
        return int((self.margins > 0).sum())


def twins(images: Tensor, *, key: bytes, epsilon: float, block: int = 1) -> Twins:
    """x + ε s ν and x − ε s ν, kept in [0, 1]: ν are keyed signs of blocks, s a keyed coin of the image.

    Publish the first and keep the second. The two are made alike, so that nobody can tell which is which; the coin
    alone decides.

    Args:
        images: `[N, C, H, W]` in [0, 1], float32 or float64.
        key: 16 to 32 secret bytes.
        epsilon: how much a pixel may change, above 0 and at most 1.
        block: the side of a block of equal signs, in pixels. Single pixels are what a linear layer remembers best.

    Returns:
        Both versions of each image.

    Raises:
        TypeError: a key that is not bytes, or images of another kind.
        ValueError: values outside of [0, 1], or a size or side out of range.

    Source: after Wei et al., 2024. Derived in: lectures/70_watermarking/radioactive_data
    """
    check_key(key)
    check_images(nn.Identity(), images)
    check_size(epsilon, block)
    parts = images.split(AT_ONCE)
    drawn = [signs(key, f"twins: noise {i}", len(part), 1, *grid(part, block)) for i, part in enumerate(parts)]
    noise = spread(torch.cat(drawn), block, images)
    coins = signs(key, "twins: coins", len(images), 1, 1, 1)
    shift = (epsilon * coins * noise).to(images)
    published, withheld = ((images.detach() + sign * shift).clamp(0, 1) for sign in (1, -1))
    return Twins(published, withheld, psnr(published, images))


def twin_test(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    withheld: Tensor,
    control: nn.Module | None = None,
    batch_size: int = 512,
) -> TwinEvidence:
    """Is the model surer of the published versions than of their twins? Under a fair coin each is as likely.

    mⱼ = ψ(published) − ψ(withheld), where ψ = log p_y − log(1 − p_y). A model that was not trained on the published
    versions is independent of the coins: the signs of the margins are fair, whatever their sizes, and the p-value is
    exact. A control explains which twin is easier for everybody; β times its difference is taken away.

    Args:
        model: the suspect; it answers in evaluation mode and comes back in its own.
        images: the published versions, `[N, C, H, W]`, where the model is.
        labels: `[N]`, int64.
        withheld: their twins, in the same order.
        control: a model of the same task that saw neither; without it the test is weaker.
        batch_size: images at a time.

    Returns:
        The evidence, with the margin of each pair.

    Raises:
        TypeError: images or labels of another kind, type or device than the model's.
        ValueError: shapes that differ, values outside of [0, 1], a label beyond the classes, the suspect as its own
            control, or answers that are not finite.

    Source: after Wei et al., 2024. Derived in: lectures/70_watermarking/radioactive_data
    """
    for version in (images, withheld):
        check_images(model, version)
    if images.shape != withheld.shape:
        raise ValueError(f"each image has one twin: got {list(images.shape)} and {list(withheld.shape)}")
    check_labels("labels", labels, images)
    check_counts(batch_size=batch_size)
    if control is model:
        raise ValueError("control must be another model than the suspect: its preference is what is taken away")
    margins = _preference(model, images, withheld, labels, batch_size)
    if control is not None:
        margins = without(margins, _preference(control, images, withheld, labels, batch_size))
    evidence = signed_rank_evidence(margins)
    return TwinEvidence(evidence.statistic, evidence.p_value, evidence.p_beyond, margins)


@torch.no_grad()
def _preference(model: nn.Module, first: Tensor, second: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """By how much the model is surer of the first version of each, float64 `[N]` on the CPU."""
    margins = []
    with evaluating(model):
        for part in torch.arange(len(first), device="cpu").split(batch_size):
            sure = [
                _sureness(answered(model, version[part], labels[part]), labels[part]) for version in (first, second)
            ]
            margins.append(sure[0] - sure[1])
    return torch.cat(margins).cpu()


def _sureness(logits: Tensor, labels: Tensor) -> Tensor:
    """ψ = z_y − log Σ_{k≠y} exp z_k: log odds of the class, which never round to infinity."""
    z, own = logits.double(), labels[:, None]
    return z.gather(1, own).squeeze(1) - z.scatter(1, own, -torch.inf).logsumexp(1)
