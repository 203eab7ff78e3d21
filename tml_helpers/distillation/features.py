"""Feature-based distillation: a hidden layer of the student learns from a hidden layer of the teacher, the hint."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import check_counts, check_numbers
from tml_helpers.distillation._checks import check_floating

__all__ = ["FactorTransfer", "hint_loss"]

SLOPE = 0.1  # of the leaky ReLU after each convolution of a paraphraser and a translator


def hint_loss(
    student_features: Tensor,
    teacher_features: Tensor,
    *,
    regressor: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """mean((r(hˢ) − hᵗ)²) over all numbers of the batch: what a hidden layer says beside what it is to say.

    FitNets takes half of the sum for each image; the half and the sum are left to the weight that this loss is given.
    The regressor r works on the student. One on the teacher could make the loss 0 by forgetting everything.

    Args:
        student_features: hˢ, `[N, D]`, `[N, C, H, W]` or any other shape of N parts, N ≥ 1, floating-point.
        teacher_features: hᵗ, of the shape that the regressor returns, on the same device; no gradient flows into them.
            The dtype may differ.
        regressor: r, as `nn.Conv2d(student_channels, teacher_channels, 1)` or `nn.Linear`; its parameters get
            gradients, so give them to the optimiser as well. None where both layers have one shape.

    Returns:
        A scalar, 0 or more, of float32, or of float64 if either input is.

    Raises:
        TypeError: features that are no floating-point tensors.
        ValueError: no image, values that are not finite, or sizes, channels or devices that differ.

    Source: Romero et al., arXiv:1412.6550, 2015. Derived in: lectures/10_distillation/features_and_relations.
    """
    _check_pair(student_features, teacher_features)
    said = student_features if regressor is None else regressor(student_features)
    check_floating("what the regressor makes of student_features", said)
    if said.shape != teacher_features.shape:
        _raise_shapes(said, teacher_features, regressor is not None)
    dtype = _at_least_float32(said, teacher_features)
    return F.mse_loss(said.to(dtype), teacher_features.detach().to(dtype))


class FactorTransfer(nn.Module):
    """(1/N) Σ ‖R(hˢ)/‖R(hˢ)‖₂ − P(hᵗ)/‖P(hᵗ)‖₂‖₁: factors of the teacher, which the student learns to say.

    Called with the features of student and teacher, `[N, C, H, W]` each, it returns that loss, a scalar. The
    paraphraser P is the first half of a convolutional autoencoder, and is trained before, on the teacher's features
    alone; the translator R is trained with the student:

        fit(transfer, TensorDataset(teacher_features), epochs=…, loss=FactorTransfer.reconstruction_loss)
        optimizer = torch.optim.Adam([*student.parameters(), *transfer.translator.parameters()])

    Neither the teacher nor the paraphraser gets a gradient from the loss. Each half has three 3×3 convolutions with a
    leaky ReLU after each, as the authors' program has, and no layer that acts differently in training: the factors
    don't depend on the mode. Where a factor is 0 everywhere, it has no direction, and stays 0.

    An image adds the sum over its D numbers, the paper's norm. Programs that take the mean over them are D times
    smaller, and so need a weight that is D times as large: 500 in the authors', for D = 2,048.

    Args:
        teacher_channels, student_channels: of the features, 1 or more.
        rate: channels of a factor for each channel of the teacher, above 0; the product is rounded, half to even.

    Features of another dtype are converted to the module's own. Both kinds need the same height and width.

    Raises:
        TypeError: channels that are no whole numbers, a rate that is no number; features that are not floating-point.
        ValueError: a rate that is not positive and finite, or leaves no channel; features of another shape or device,
            without an image, or not finite.

    Source: Kim, Park and Kwak, 2018. Derived in: lectures/10_distillation/features_and_relations.
    """

    def __init__(self, teacher_channels: int, student_channels: int, *, rate: float = 0.5) -> None:
        super().__init__()
        check_counts(teacher_channels=teacher_channels, student_channels=student_channels)
        factors = _factor_channels(teacher_channels, rate)
        self.teacher_channels, self.student_channels, self.factor_channels = teacher_channels, student_channels, factors
        self.paraphraser = _three(nn.Conv2d, teacher_channels, teacher_channels, factors, factors)
        self.decoder = _three(nn.ConvTranspose2d, factors, factors, teacher_channels, teacher_channels)
        self.translator = _three(nn.Conv2d, student_channels, student_channels, factors, factors)

    def forward(self, student_features: Tensor, teacher_features: Tensor) -> Tensor:
        """The loss."""
        _check_pair(student_features, teacher_features)
        student = self._own("student_features", student_features, self.student_channels)
        teacher = self._own("teacher_features", teacher_features, self.teacher_channels)
        if student.shape[2:] != teacher.shape[2:]:
            raise ValueError(
                "student_features and teacher_features must have the same height and width, got "
                f"{_sides(student)} and {_sides(teacher)}: choose other layers, or pool the larger ones"
            )
        with torch.no_grad():
            to_say = _directions(self.paraphraser(teacher))
        return (_directions(self.translator(student)) - to_say).abs().sum(dim=1).mean()

    def reconstruction_loss(self, teacher_features: Tensor) -> Tensor:
        """mean((decoder(P(hᵗ)) − hᵗ)²): what the factors have lost of the teacher's features.

        Args:
            teacher_features: hᵗ, `[N, teacher_channels, H, W]`, N ≥ 1, floating-point; no gradient flows into them.

        Returns:
            A scalar, with gradients for paraphraser and decoder.

        Raises:
            TypeError: features that are no floating-point tensor.
            ValueError: another shape or device, no image, or values that are not finite.
        """
        _check_features("teacher_features", teacher_features)
        features = self._own("teacher_features", teacher_features.detach(), self.teacher_channels)
        _check_finite(teacher_features=features)
        return hint_loss(self.decoder(self.paraphraser(features)), features)

    def _own(self, name: str, features: Tensor, channels: int) -> Tensor:
        """The features in the module's dtype."""
        weight = next(self.parameters())
        if features.ndim != 4 or features.shape[1] != channels:
            raise ValueError(f"{name} must be [N, {channels}, H, W], got shape {list(features.shape)}")
        if features.device != weight.device:
            raise ValueError(f"{name} must be on {weight.device}, as the module is, got {features.device}")
        converted = features.to(weight.dtype)
        if not torch.isfinite(converted).all():
            raise ValueError(f"{name} must be finite in {weight.dtype}, the module's type: has the training diverged?")
        return converted


def _three(convolution: Callable[..., nn.Module], *channels: int) -> nn.Sequential:
    """Three 3×3 convolutions, or transposed ones, that keep height and width; a leaky ReLU after each."""
    layers: list[nn.Module] = []
    for incoming, outgoing in itertools.pairwise(channels):
        layers += [convolution(incoming, outgoing, 3, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def _directions(factors: Tensor) -> Tensor:
    """Each image's factor in one row `[N, D]`, of length 1; what has no length stays as it is."""
    rows = factors.flatten(1).to(_at_least_float32(factors))
    largest = rows.detach().abs().amax(dim=1, keepdim=True)
    rows = rows / largest.where(largest > 0, 1.0)  # so that no square over- or underflows
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths.where(lengths > 0, 1.0)


def _factor_channels(teacher_channels: int, rate: float) -> int:
    check_numbers(rate=rate)
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be positive and finite, got {rate}")
    if not (factors := round(rate * teacher_channels)):
        raise ValueError(f"rate must leave a factor at least one channel, got {rate} of {teacher_channels} channels")
    return factors


def _at_least_float32(*tensors: Tensor) -> torch.dtype:
    """The widest dtype, at least float32: squares of larger numbers than 255 overflow float16."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _check_features(name: str, features: Tensor) -> None:
    check_floating(name, features)
    if features.ndim < 2 or features.numel() == 0:
        raise ValueError(f"{name} must be a batch that is not empty, [N, …], got shape {list(features.shape)}")


def _check_finite(**features: Tensor) -> None:
    for name, numbers in features.items():
        if not torch.isfinite(numbers).all():
            raise ValueError(f"{name} must be finite, got NaN or inf: has the network been trained?")


def _check_pair(student: Tensor, teacher: Tensor) -> None:
    """Two batches of features of the same images, in one place."""
    _check_features("student_features", student)
    _check_features("teacher_features", teacher)
    if len(student) != len(teacher):
        raise ValueError(
            "student_features and teacher_features must be of the same images, got "
            f"{len(student)} and {len(teacher)} of them"
        )
    if student.device != teacher.device:
        raise ValueError(f"teacher_features must be on {student.device}, as the student's are, got {teacher.device}")
    _check_finite(student_features=student, teacher_features=teacher)


def _raise_shapes(said: Tensor, teacher: Tensor, regressed: bool) -> None:
    """What differs between what the student says and what it is to say, and the remedy."""
    what = "what the regressor makes of student_features" if regressed else "student_features"
    remedy = "choose layers of one size, or a regressor that ends in the teacher's shape"
    if said.ndim == teacher.ndim == 4 and said.shape[2:] == teacher.shape[2:]:
        remedy = f"their channels differ, so pass regressor=nn.Conv2d({said.shape[1]}, {teacher.shape[1]}, 1)"
    elif said.ndim == teacher.ndim == 4:
        remedy = f"their sides are {_sides(said)} and {_sides(teacher)}: {remedy}"
    raise ValueError(
        f"{what} must have the shape of teacher_features, {list(teacher.shape)}, got {list(said.shape)}: {remedy}"
    )


def _sides(features: Tensor) -> str:
    return "×".join(str(side) for side in features.shape[2:])
