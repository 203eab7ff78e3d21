"""A mark in all that a generator makes: an extractor is trained first, and then the generator to please it."""

import copy
import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from tqdm.auto import trange

from tml_helpers import training
from tml_helpers.common import check_counts, check_generator, check_images, check_numbers, draw, evaluating
from tml_helpers.watermark._channel import tampered
from tml_helpers.watermark._hidden import Encoder, Extractor
from tml_helpers.watermark.evidence import Evidence, signed_rank_evidence
from tml_helpers.watermark.keys import signs
from tml_helpers.watermark.tampering import psnr

SMALLEST_SIDE = 8
READABLE = 0.9


class IllegibleMessageWarning(UserWarning):
    """Fewer than nine bits in ten are read right: more epochs, fewer bits, or more strength are needed.

    Derived in: lectures/70_watermarking/generated
    """


@dataclass(frozen=True)
class GeneratorEvidence(Evidence):
    """What the extractor reads of some images, against an owner's message."""

    bits: int  # of the message
    wrong_bits: int  # of the message that the images give together
    agreement: float  # share of the bits that are read right in a single image: ½ by chance


@dataclass(frozen=True)
class MarkedGenerator:
    """A generator whose images carry a message, and what that has cost."""

    model: nn.Module
    losses: list[float]  # the mean of each epoch
    psnr: float  # dB, of its images against those of the generator that it was made from, for the same inputs
    agreement: float  # share of the bits that are read right in a single one of these images


class GeneratorWatermark(nn.Module):
    """One message in everything that a generator makes, read from its images alone.

    `fit` trains an encoder, which hides any message in an image, together with an extractor, which reads it back from
    tampered images. `mark` then fine-tunes a copy of a generator until the extractor reads the key's message in all
    that it makes; the encoder is needed no more. `test` asks whether images carry it. The extractor knows no key: a
    message that is drawn by a key it has never met agrees with what it reads as fair coins would, on any images.

    Takes images `[N, channels, H, W]` in [0, 1], of 8 pixels or more a side; returns logits `[N, bits]` of the message.

    Args:
        bits: n, 8 or more: no p-value is below 2⁻ⁿ.
        channels: of the images.
        strength: the most by which the encoder changes a pixel, above 0 and at most 1.

    Raises:
        TypeError: what is no number.
        ValueError: fewer than 8 bits, no channels, or a strength outside its range.

    Source: Fernandez et al., 2023; Zhu et al., 2018. Derived in: lectures/70_watermarking/generated
    """

    def __init__(self, *, bits: int = 32, channels: int = 1, strength: float = 0.1) -> None:
        check_counts(8, bits=bits)
        check_counts(channels=channels)
        check_numbers(strength=strength)
        if not 0 < strength <= 1:
            raise ValueError(f"strength is the most that a pixel changes, above 0 and at most 1; got {strength}")
        super().__init__()
        self.bits, self.channels = bits, channels
        self.encoder, self.extractor = Encoder(bits, channels, strength), Extractor(bits, channels)
        self.fitted: Tensor
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.extractor(images)
        return logits

    def fit(
        self,
        images: Tensor,
        *,
        epochs: int = 4,
        learning_rate: float = 3e-3,
        batch_size: int = 64,
        generator: torch.Generator | None = None,
        progress: bool | None = None,
    ) -> list[float]:
        """min E[cross-entropy(extractor(tampered(encoder(x, b))), b)] over both networks, for random messages b.

        Args:
            images: `[N, channels, H, W]`, in [0, 1], of the kind that the generator makes; no mark is needed in them.
            epochs: passes over the images, 1 or more.
            learning_rate: Adam's.
            batch_size: images at a time.
            generator: shuffles, and draws messages and tampering.
            progress: whether to show a bar; None in a terminal only.

        Returns:
            The mean of the loss in each epoch; ln 2 = 0.69 is that of guessing.

        Raises:
            TypeError: images that are no tensor of floating-point numbers, or of another type than the networks.
            ValueError: another shape or range, or a loss that is not finite.

        Warns:
            IllegibleMessageWarning: fewer than nine bits in ten of these images are read right.

        Source: Zhu et al., 2018. Derived in: lectures/70_watermarking/generated
        """
        self._check(images)
        check_counts(epochs=epochs)
        agreements: list[float] = []

        def loss(_: nn.Module, images: Tensor) -> Tensor:
            message = draw(torch.randint, 2, (len(images), self.bits), device=images.device, generator=generator)
            logits = self.extractor(tampered(self.encoder(images, 2.0 * message.to(images) - 1), generator))
            agreements.append(_agreement(logits, message))
            return F.binary_cross_entropy_with_logits(logits, message.to(images))

        losses = training.fit(
            self,
            TensorDataset(images),
            epochs=epochs,
            loss=loss,
            learning_rate=learning_rate,
            batch_size=batch_size,
            generator=generator,
            progress=progress,
        )
        self.fitted.fill_(True)
        latest = agreements[-max(1, len(agreements) // epochs) :]
        _warn_if_unreadable(sum(latest) / len(latest), "images from the encoder, at the end of its training")
        return losses

    def message(self, *, key: bytes) -> Tensor:
        """b ∈ {−1, 1}ⁿ, drawn by the key.

        Args:
            key: 16 to 32 secret bytes.

        Returns:
            `[bits]`, int64, on the CPU.

        Raises:
            TypeError, ValueError: see `check_key`.

        Derived in: lectures/70_watermarking/generated
        """
        return signs(key, "message of a generator", self.bits).long()

    def embed(self, images: Tensor, *, key: bytes, batch_size: int = 512) -> Tensor:
        """x + change, |change| ≤ strength: the key's message in images that exist already.

        Args:
            images: `[N, channels, H, W]`, in [0, 1].
            key: 16 to 32 secret bytes.
            batch_size: images at a time.

        Returns:
            The marked images, of the same shape, in [0, 1].

        Raises:
            TypeError: images that are no tensor of floating-point numbers, or of another type than the networks.
            ValueError: another shape or range, or networks that have not been fitted.

        Source: Zhu et al., 2018. Derived in: lectures/70_watermarking/generated
        """
        self._check(images)
        self._check_fitted()
        check_counts(batch_size=batch_size)
        message = self.message(key=key).to(images)
        with torch.no_grad():
            return torch.cat([self.encoder(part, message.expand(len(part), -1)) for part in images.split(batch_size)])

    def mark(
        self,
        model: nn.Module,
        inputs: Tensor,
        *,
        key: bytes,
        weight: float = 50.0,
        epochs: int = 8,
        learning_rate: float = 2e-3,
        batch_size: int = 64,
        generator: torch.Generator | None = None,
        progress: bool | None = None,
    ) -> MarkedGenerator:
        """min over D′ of E[cross-entropy(extractor(tampered(D′(v))), b) + λ · mean (D′(v) − D(v))²], from D′ = D on.

        Args:
            model: D, the generator: from inputs to images `[N, channels, H, W]` in [0, 1]. It stays as it is. The copy
                answers in evaluation mode while all of its parameters are trained, frozen ones too.
            inputs: v, `[N, …]`, drawn as they will be when the generator is used, as latents.
            key: 16 to 32 secret bytes.
            weight: λ, 0 or more: how dear a change of the images is.
            epochs: passes over the inputs, 1 or more.
            learning_rate: Adam's.
            batch_size: inputs at a time.
            generator: shuffles, and draws the tampering.
            progress: whether to show a bar; None in a terminal only.

        Returns:
            The marked copy, in the mode of the model; and what the mark has cost.

        Raises:
            TypeError: what is no number, or images of another type than the networks'.
            ValueError: images of another shape or range, no inputs, networks that have not been fitted, a model that
                cannot be copied or trained, or a loss that is not finite.

        Warns:
            IllegibleMessageWarning: fewer than nine bits in ten are read right in what the copy makes of the inputs.

        Source: Fernandez et al., 2023. Derived in: lectures/70_watermarking/generated
        """
        check_counts(epochs=epochs, batch_size=batch_size)
        check_generator(generator)
        check_numbers(weight=weight)
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight must be 0 or more and finite, got {weight}")
        if not isinstance(inputs, Tensor):
            raise TypeError(f"inputs must be a tensor of what the generator takes, got {type(inputs).__name__}")
        self._check_fitted()
        message = self.message(key=key)
        originals = training.predict(model, inputs, batch_size=batch_size)
        self._check(originals)
        bits = (message > 0).to(originals)
        marked = _copied(model)
        optimizer = training.own_optimizer(marked, optimizer=None, learning_rate=learning_rate)
        data = TensorDataset(inputs, originals)
        losses = []
        for epoch in trange(epochs, desc="epochs", disable=None if progress is None else not progress):
            total = 0.0
            for batch, wanted in training.batches(data, batch_size=batch_size, generator=generator):
                with evaluating(marked), torch.enable_grad():
                    images = marked(batch.to(originals.device))
                    logits = self.extractor(tampered(images, generator))
                    reading = F.binary_cross_entropy_with_logits(logits, bits.expand_as(logits))
                    loss = reading + weight * F.mse_loss(images, wanted)
                    _descend(loss, marked, optimizer)
                total += loss.item() * len(batch)
            losses.append(total / len(inputs))
            if not math.isfinite(losses[-1]):
                raise ValueError(f"the loss is {losses[-1]} in epoch {epoch + 1}: lower the learning rate")
        for parameter, former in zip(marked.parameters(), model.parameters(), strict=True):
            parameter.requires_grad_(former.requires_grad).grad = None
        made = training.predict(marked, inputs, batch_size=batch_size)
        agreement = _agreement(self._read(made, batch_size), bits)
        _warn_if_unreadable(agreement, "what the marked generator makes")
        return MarkedGenerator(marked, losses, psnr(made, originals), agreement)

    def read(self, images: Tensor, *, batch_size: int = 512) -> Tensor:
        """b̂ⱼ(x) = 2 σ(logitⱼ) − 1: how sure the extractor is that bit j is 1 (at 1) or −1 (at −1).

        Args:
            images: `[N, channels, H, W]`, in [0, 1].
            batch_size: images at a time.

        Returns:
            `[N, bits]`, between −1 and 1.

        Raises:
            TypeError: images that are no tensor of floating-point numbers, or of another type than the networks.
            ValueError: another shape or range, or networks that have not been fitted.

        Source: Fernandez et al., 2023. Derived in: lectures/70_watermarking/generated
        """
        self._check(images)
        self._check_fitted()
        check_counts(batch_size=batch_size)
        return self._read(images, batch_size)

    def test(self, images: Tensor, *, key: bytes, batch_size: int = 512) -> GeneratorEvidence:
        """Wilcoxon's signed ranks of bⱼ · mean over x of b̂ⱼ(x): one margin a bit, however many images there are.

        The null is over the key: whatever the images and the extractor, bits drawn independently of both make the signs
        of the margins fair coins. Images of one generator are no independent witnesses: so their answers are averaged
        first, and only n coins are counted.

        Args:
            images: `[N, channels, H, W]`, in [0, 1], said to be of one generator; one is enough.
            key: 16 to 32 secret bytes.
            batch_size: images at a time.

        Returns:
            The evidence, with the bits that are wrong.

        Raises:
            TypeError: images that are no tensor of floating-point numbers, or of another type than the networks.
            ValueError: another shape or range, or networks that have not been fitted.

        Source: Fernandez et al., 2023; Wilcoxon, 1945. Derived in: lectures/70_watermarking/generated
        """
        soft = self.read(images, batch_size=batch_size).double()
        message = self.message(key=key).to(soft)
        margins = message * soft.mean(dim=0)
        found = signed_rank_evidence(margins)
        return GeneratorEvidence(
            found.statistic,
            found.p_value,
            found.p_beyond,
            bits=self.bits,
            wrong_bits=int((margins <= 0).sum()),
            agreement=_agreement(soft, message),
        )

    def _read(self, images: Tensor, batch_size: int) -> Tensor:
        return (training.predict(self, images, batch_size=batch_size) / 2).tanh()

    def _check(self, images: Tensor) -> None:
        check_images(self, images)
        if images.shape[1] != self.channels:
            raise ValueError(f"images must have {self.channels} channels, as the watermark has, got {images.shape[1]}")
        if min(images.shape[2:]) < SMALLEST_SIDE:
            raise ValueError(f"images must be at least {SMALLEST_SIDE} pixels a side, got {list(images.shape[2:])}")

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise ValueError("encoder and extractor have not been trained: call fit, or load a state_dict that was")


def _agreement(answers: Tensor, message: Tensor) -> float:
    """The share of answers with the sign of their bit, which is 1 or else 0 or −1; an answer of 0 is wrong."""
    return torch.where(message > 0, answers > 0, answers < 0).double().mean().item()


def _copied(model: nn.Module) -> nn.Module:
    """A copy of which every parameter can be trained."""
    try:
        copied = copy.deepcopy(model)
    except RuntimeError as error:
        raise ValueError(f"the model cannot be copied, and so not be marked: {error}") from error
    return copied.requires_grad_()


def _descend(loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """A step of the model's parameters; no other network gets a gradient."""
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else ()
    if all(slope is None for slope in slopes):
        raise ValueError("the model's images do not depend on its parameters by a gradient: it cannot be trained")
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope
    optimizer.step()


def _warn_if_unreadable(agreement: float, of: str) -> None:
    if agreement < READABLE:
        warnings.warn(
            f"only {agreement:.0%} of the bits are read right in {of}: take more epochs, fewer bits or more strength",
            IllegibleMessageWarning,
            stacklevel=3,
        )
