"""NULL labels: a class of its own for images that were tampered with."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.common import (
    answer_and_gradient,
    check_images,
    check_labels,
    check_numbers,
    cross_entropies,
    differentiable,
    draw,
    home,
    own_generator,
    per_image,
    warn_of_masking,
)
from tml_helpers.training import fit, predict

ASKED = 500  # images on which the NULL probability is measured
INTERVALS = 28  # between the numbers of pixels at which it is measured


def null_label_training(
    model: nn.Module,
    data: TensorDataset,
    *,
    epochs: int,
    initial_epochs: int = 3,
    magnitude: float = 0.3,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    generator: torch.Generator | None = None,
    progress: bool | None = None,
) -> list[float]:
    """−log p(y | x) − (1 − f) log p(y | x + δ) − f log p(NULL | x + δ): the more an image is changed, the more NULL.

    Three stages: `initial_epochs` of plain training; f = `null_probability` of that model; `epochs` on each image and a
    changed copy of it. In the copy, n pixels move towards a random wrong class, by a `targeted_step` of the model as it
    is then; n is drawn uniformly from 1 to the smallest with f(n) = 1, or to all.

    It keeps attacks from transferring. It does not stop an attacker who has the gradients and who avoids NULL as well,
    and it rejects harmless noise too.

    Args:
        model: maps images to logits, one more than there are classes, the last for NULL; it is trained.
        data: images `[N, C, H, W]` in [0, 1] and labels `[N]`.
        epochs, initial_epochs: of the last and the first stage, 0 or more.
        magnitude: how far a pixel moves, above 0 and at most 1.
        learning_rate, batch_size, generator, progress: as of `training.fit`, of both trainings.

    Returns:
        The mean loss of each epoch of both trainings.

    Raises:
        TypeError: images or labels of another type.
        ValueError: other data, no output that is left for NULL, a magnitude out of its range, or a first stage that
            leaves a model that only guesses.

    Source: Hosseini et al., 2017. Derived in: lectures/20_adversarial/defenses.
    """
    images, labels = (tensor.to(home(model) or tensor.device) for tensor in data.tensors)
    generator = own_generator(generator)
    null = null_output(model, images, labels, magnitude)
    train = functools.partial(
        fit,
        model,
        TensorDataset(images, labels),
        learning_rate=learning_rate,
        batch_size=batch_size,
        generator=generator,
        progress=progress,
    )
    history = train(epochs=initial_epochs)
    chances = null_probability(model, images[:ASKED], labels[:ASKED], magnitude=magnitude, generator=generator)
    certain = (chances == 1).nonzero()
    most = int(certain[0]) if len(certain) else len(chances) - 1

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        counts = draw(torch.randint, 1, most + 1, labels.shape, device=labels.device, generator=generator)
        chance = chances[counts].to(images.dtype)
        step, rank, _ = targeted_step(model, images, wrong_classes(labels, null, generator), magnitude)
        changed = images + step * (rank < per_image(counts))
        logits = model(changed)
        rejected = torch.full_like(labels, null)
        soft = (1 - chance) * cross_entropies(logits, labels) + chance * cross_entropies(logits, rejected)
        return F.cross_entropy(model(images), labels) + soft.mean()

    return history + train(epochs=epochs, loss=loss)


def null_probability(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    magnitude: float = 0.3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """f(n) = (accuracy − accuracy with n changed pixels) / (accuracy − 1/K): how much of its knowledge a model loses.

    f(0) = 0; f = 1 where the model is no better than guessing; it never falls as n grows. It is measured at 29 numbers
    of pixels from none to all, and linear between them. The changed pixels are those of a `targeted_step` towards a
    random wrong class. Warns where a gradient is zero.

    Args:
        model: maps images to K + 1 logits, of which the last, NULL, counts as no answer here.
        images: `[N, C, H, W]` in [0, 1], where the model is.
        labels: `[N]`, int64, below K.
        magnitude: how far a pixel moves, above 0 and at most 1.
        generator: draws the wrong classes; on any device.

    Returns:
        f, `[H·W + 1]`, float32, from 0 to 1, where the images are.

    Raises:
        TypeError: images or labels of another type or elsewhere.
        ValueError: other images, no output that is left for NULL, a magnitude out of its range, or a model that only
            guesses.

    Source: Hosseini et al., 2017. Derived in: lectures/20_adversarial/defenses.
    """
    null = null_output(model, images, labels, magnitude)
    step, rank, gradient = targeted_step(model, images, wrong_classes(labels, null, generator), magnitude)
    warn_of_masking(gradient)
    sizes = torch.linspace(0, images[0, 0].numel(), INTERVALS + 1, dtype=torch.float64, device="cpu")
    answers = [predict(model, images + step * (rank < size))[:, :null].argmax(dim=1) for size in sizes.tolist()]
    accuracy = torch.stack([(answer == labels).double().mean() for answer in answers])
    if accuracy[0] <= 1 / null:
        raise ValueError(f"the model only guesses on clean images ({accuracy[0]:.0%} right): train it for longer first")
    chances = ((accuracy[0] - accuracy) / (accuracy[0] - 1 / null)).clamp(0, 1).cummax(dim=0).values
    return F.interpolate(chances[None, None].float(), images[0, 0].numel() + 1, mode="linear", align_corners=True)[0, 0]


def targeted_step(model: nn.Module, images: Tensor, targets: Tensor, magnitude: float) -> tuple[Tensor, Tensor, Tensor]:
    """−magnitude · sign(∇ₓ −log p(target)), cut so that x + step is in [0, 1]; each pixel's rank, best first; and ∇ₓ.

    The rank is by how much of the loss a pixel's step removes, to first order: `[N, C, H, W]` and `[N, 1, H, W]`.
    """
    with differentiable(model):
        _, gradient = answer_and_gradient(model, images, lambda logits: cross_entropies(logits, targets))
    step = (images - magnitude * gradient.sign()).clamp(0, 1) - images
    left = (step * gradient).sum(dim=1).flatten(1)  # negative where the step helps
    return step, left.argsort(dim=1).argsort(dim=1).view(-1, 1, *images.shape[2:]), gradient


def wrong_classes(labels: Tensor, classes: int, generator: torch.Generator | None) -> Tensor:
    """A random class other than the label, for each image."""
    shift = draw(torch.randint, 1, classes, labels.shape, device=labels.device, generator=generator)
    return (labels + shift) % classes


def null_output(model: nn.Module, images: Tensor, labels: Tensor, magnitude: float) -> int:
    """The index of the output for NULL, or a sentence about what is wrong."""
    check_images(model, images)
    check_labels("labels", labels, images)
    check_numbers(magnitude=magnitude)
    if not 0 < magnitude <= 1:
        raise ValueError(f"magnitude is how far a pixel moves, above 0 and at most 1; got {magnitude}")
    null = predict(model, images[:1]).shape[1] - 1
    if null < 2 or int(labels.max()) >= null:
        raise ValueError(
            f"the model has {null + 1} outputs for labels up to {int(labels.max())}, which leaves none for NULL: "
            "give it one output more than there are classes"
        )
    return null
