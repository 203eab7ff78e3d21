"""NULL labels: a class of its own for images that were tampered with."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers._checks import check_images, check_labels
from tml_helpers.attacks._common import attacked, cross_entropy, per_image
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

    `model` has one output more than there are classes, the last, for NULL. `data` holds images `[N, C, H, W]` in
    [0, 1] and labels `[N]`. Three stages: `initial_epochs` of plain training; f = `null_probability` of that model;
    `epochs` on each image and a changed copy of it. In the copy, n pixels move by `magnitude` towards a random wrong
    class, by a `targeted_step` of the model as it is then; n is drawn uniformly from 1 to the smallest with f(n) = 1,
    or to all. The other arguments are those of `training.fit`; returns the mean loss of each epoch of both trainings.

    It keeps attacks from transferring. It does not stop an attacker who has the gradients and who avoids NULL as well,
    and it rejects harmless noise too.

    Raises TypeError or ValueError for other data, where no output is left for NULL, for a magnitude outside (0, 1], and
    where the first stage leaves a model that only guesses.
    Source: Hosseini et al., 2017. Derived in: lectures/20_adversarial/defenses.
    """
    images, labels = to_device(model, *data.tensors)
    generator = generator or torch.Generator().manual_seed(torch.initial_seed() % 2**63)
    null = check(model, images, labels, magnitude)
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
        counts = torch.randint(1, most + 1, labels.shape, generator=generator)
        chance = chances[counts].to(images)
        step, rank = targeted_step(model, images, wrong_classes(labels, null, generator), magnitude)
        changed = images + step * (rank < per_image(counts).to(images))
        logits = model(changed)
        rejected = torch.full_like(labels, null)
        soft = (1 - chance) * cross_entropy(logits, labels) + chance * cross_entropy(logits, rejected)
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

    f(0) = 0; f = 1 where the model is no better than guessing; it never falls as n grows. Measured on `images`
    `[N, C, H, W]` and `labels` `[N]` at 29 numbers of pixels from none to all, and linear between them: `[H·W + 1]`.
    The changed pixels are those of a `targeted_step` towards a random wrong class. The model has K + 1 outputs, of
    which the last, NULL, counts as no answer here.

    Raises TypeError or ValueError as `null_label_training`.
    Source: Hosseini et al., 2017. Derived in: lectures/20_adversarial/defenses.
    """
    images, labels = to_device(model, images, labels)
    null = check(model, images, labels, magnitude)
    step, rank = targeted_step(model, images, wrong_classes(labels, null, generator), magnitude)
    sizes = torch.linspace(0, images[0, 0].numel(), INTERVALS + 1)
    answers = [predict(model, images + step * (rank < size))[:, :null].argmax(dim=1) for size in sizes.tolist()]
    accuracy = torch.stack([(answer == labels).double().mean() for answer in answers]).cpu()
    if accuracy[0] <= 1 / null:
        raise ValueError(f"the model only guesses on clean images ({accuracy[0]:.0%} right): train it for longer first")
    chances = ((accuracy[0] - accuracy) / (accuracy[0] - 1 / null)).clamp(0, 1).cummax(dim=0).values
    return F.interpolate(chances[None, None].float(), images[0, 0].numel() + 1, mode="linear", align_corners=True)[0, 0]


def targeted_step(model: nn.Module, images: Tensor, targets: Tensor, magnitude: float) -> tuple[Tensor, Tensor]:
    """−magnitude · sign(∇ₓ −log p(target)), cut so that x + step is in [0, 1]; and each pixel's rank, best first.

    The rank is by how much of the loss a pixel's step removes, to first order: `[N, C, H, W]` and `[N, 1, H, W]`.
    """
    with attacked(model):
        leaf = images.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(model(leaf), targets).sum(), leaf)
    step = (images - magnitude * gradient.sign()).clamp(0, 1) - images
    left = (step * gradient).sum(dim=1).flatten(1)  # negative where the step helps
    return step, left.argsort(dim=1).argsort(dim=1).view(-1, 1, *images.shape[2:])


def to_device(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    return images.to(device), labels.to(device)


def wrong_classes(labels: Tensor, classes: int, generator: torch.Generator | None) -> Tensor:
    """A random class other than the label, for each image."""
    shift = torch.randint(1, classes, labels.shape, generator=generator).to(labels.device)
    return (labels + shift) % classes


def check(model: nn.Module, images: Tensor, labels: Tensor, magnitude: float) -> int:
    """The index of the output for NULL, or a sentence about what is wrong."""
    check_images(model, images)
    check_labels("labels", labels, images)
    if not 0 < magnitude <= 1:
        raise ValueError(f"magnitude is how far a pixel moves, above 0 and at most 1; got {magnitude}")
    null = predict(model, images[:1]).shape[1] - 1
    if null < 2 or int(labels.max()) >= null:
        raise ValueError(
            f"the model has {null + 1} outputs for labels up to {int(labels.max())}, which leaves none for NULL: "
            "give it one output more than there are classes"
        )
    return null
