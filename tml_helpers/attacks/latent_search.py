"""Natural adversarial examples: search not among the pixels of an image but among the latents of a generator."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tml_helpers.attacks.aim import Aim
from tml_helpers.attacks.protocol import check_batch
from tml_helpers.common import check_counts, check_images, check_numbers, draw, evaluating
from tml_helpers.models import GAN

CHUNK = 2048  # images that are made and asked about at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class NaturalAdversaries:
    """What a search in latent space found for N images."""

    images: Tensor
    """G(z̃), or the image itself where nothing was found: `[N, C, H, W]`."""
    latents: Tensor
    """z̃, or z where nothing was found: `[N, latent]`."""
    origins: Tensor
    """z = I(x), where each search began: `[N, latent]`."""
    distances: Tensor
    """‖z̃ − z‖ after each round: `[rounds + 1, N]`. It never grows; the last row is the result; ∞ until one is found."""


def latent_search(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    gan: GAN,
    max_radius: float = 10.0,
    step: float = 0.1,
    samples: int = 256,
    patience: int = 3,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """G(z̃) with the smallest ‖z̃ − I(x)‖ found that the model misclassifies: a natural adversarial example.

    There is no ε: the change of the pixels may be large. Call `natural_adversaries` for the latents and distances.

    Args:
        model, images, labels, gan: as of `natural_adversaries`.
        max_radius, step, samples, patience, targets, generator: as of `natural_adversaries`.

    Returns:
        Images of the same shape, in [0, 1]; the image itself where nothing was found.

    Raises:
        TypeError, ValueError: as `natural_adversaries`.

    Source: Zhao, Dua and Singh, 2018. Derived in: lectures/20_adversarial/black_box
    """
    return natural_adversaries(
        model,
        images,
        labels,
        gan=gan,
        max_radius=max_radius,
        step=step,
        samples=samples,
        patience=patience,
        targets=targets,
        generator=generator,
    ).images


@torch.no_grad()
def natural_adversaries(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    gan: GAN,
    max_radius: float = 10.0,
    step: float = 0.1,
    samples: int = 256,
    patience: int = 3,
    targets: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> NaturalAdversaries:
    """min ‖z̃ − z‖ such that the model misclassifies G(z̃), from z = I(x): hybrid shrinking search.

    Each round draws latents from a shell low ≤ ‖z̃ − z‖ ≤ high around each image's z. While halving, high is the largest
    radius at first: the nearest latent that fools the model becomes high, with low at half of it; where none does, low
    moves half-way up to high. Once the shell is thinner than a step, shells of that thickness go inwards. An image
    whose reconstruction G(z) is misclassified already has distance 0, which says more of the inverter than of the
    model.

    Args:
        model: maps images to logits `[N, K]`, of which the largest alone is used: at most `samples` answers an image
            and round. It answers in evaluation mode, and comes back as it went in.
        images: x, `[N, C, H, W]` in [0, 1], float32 or float64.
        labels: `[N]`, int64, class indices below K.
        gan: the generator G and its inverter I, of such images.
        max_radius: where the search begins, a distance of latents.
        step: the thickness of the last shells, above 0 and at most `max_radius`.
        samples: latents drawn for each image and round, 1 or more.
        patience: the search ends after so many rounds in a row that found nothing, 1 or more.
        targets: `[N]`, int64, none of them the label: only the target's class counts; None for any other class.
        generator: draws the latents; on any device.

    Returns:
        Images, latents, and the distances round by round.

    Raises:
        TypeError, ValueError: what an attack is not defined on, as a generator of images of another shape.

    Source: Zhao, Dua and Singh, 2018. Derived in: lectures/20_adversarial/black_box
    """
    check_batch(model, images, labels, targets)
    check_counts(samples=samples, patience=patience)
    check_numbers(step=step, max_radius=max_radius)
    if not 0 < step <= max_radius:
        raise ValueError(f"step must be positive and at most max_radius, got step {step} and max_radius {max_radius}")
    check_images(gan.inverter, images)
    images, aim = images.detach(), Aim(labels, targets)
    with evaluating(model), evaluating(gan.generator), evaluating(gan.inverter):
        aim.check(model(images))
        search = ShellSearch(model, aim, gan, gan.inverter(images), samples, generator)
        if search.reconstructions.shape != images.shape:
            raise ValueError(
                f"the generator makes images of shape {list(search.reconstructions.shape[1:])}, "
                f"but the images have {list(images.shape[1:])}: pass a GAN that was trained on such images"
            )
        search.halve(max_radius, step)
        search.go_inwards(max_radius, step, patience)
        made = gan.generator(search.latents)
    found = torch.isfinite(search.nearest).view(-1, *[1] * (images.ndim - 1))
    return NaturalAdversaries(
        images=torch.where(found, made, images),
        latents=search.latents,
        origins=search.origins,
        distances=torch.stack(search.distances),
    )


class ShellSearch:
    """One search for each image, all in step: where each began, and the nearest latent that fools the model."""

    def __init__(
        self,
        model: nn.Module,
        aim: Aim,
        gan: GAN,
        origins: Tensor,
        samples: int,
        generator: torch.Generator | None,
    ) -> None:
        self.model, self.aim, self.gan = model, aim, gan
        self.samples, self.generator = samples, generator
        self.origins, self.latents = origins, origins.clone()
        self.reconstructions = gan.generator(origins)
        wrong = aim.reached(model(self.reconstructions))
        self.nearest = torch.where(wrong, 0.0, torch.inf).to(origins)
        self.distances = [self.nearest.clone()]

    def halve(self, max_radius: float, step: float) -> None:
        """Far away first, then by halves nearer."""
        low, high = torch.zeros_like(self.nearest), torch.full_like(self.nearest, max_radius)
        high[self.nearest == 0] = 0
        while (open_ := (high - low >= step).nonzero().flatten()).numel():
            nearer = self.look(open_, low[open_], high[open_])
            distance = self.nearest[open_]
            low[open_] = torch.where(nearer, distance / 2, (low + high)[open_] / 2)
            high[open_] = torch.where(nearer, distance, high[open_])

    def go_inwards(self, max_radius: float, step: float, patience: int) -> None:
        """Shell by shell towards the origin, from the nearest latent found so far."""
        high = self.nearest.clamp_max(max_radius)
        fruitless = torch.zeros_like(high, dtype=torch.int64)
        while (open_ := ((fruitless < patience) & (high > 0)).nonzero().flatten()).numel():
            low = (high[open_] - step).clamp_min(0)
            nearer = self.look(open_, low, high[open_])
            high[open_] = torch.where(nearer, low, high[open_])
            fruitless[open_] = torch.where(nearer, 0, fruitless[open_] + 1)

    def look(self, index: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """One round for the images at `index`: draw, ask, keep the nearest; whether it is nearer than before, `[n]`."""
        origins = self.origins[index]
        shape = (len(index), self.samples, origins.shape[1])
        sample = functools.partial(draw, device=origins.device, generator=self.generator, dtype=origins.dtype)
        directions, share = sample(torch.randn, shape), sample(torch.rand, shape[:2])
        radii = low[:, None] + share * (high - low)[:, None]
        moved = directions * (radii / directions.norm(dim=2))[:, :, None]
        wrong = self.wrong((origins[:, None] + moved).flatten(0, 1), index).view(shape[:2])
        distance, best = torch.where(wrong, radii, torch.inf).min(dim=1)
        nearer = distance < self.nearest[index]
        chosen = index[nearer]
        self.latents[chosen] = (origins + moved[torch.arange(len(index), device=index.device), best])[nearer]
        self.nearest[chosen] = distance[nearer]
        self.distances.append(self.nearest.clone())
        return nearer

    def wrong(self, latents: Tensor, index: Tensor) -> Tensor:
        """Whether the model is fooled by the image of each latent, `samples` of them for each image at `index`."""
        owners = index.repeat_interleave(self.samples)
        answers = [self.model(self.gan.generator(part)) for part in latents.split(CHUNK)]
        return self.aim.reached(torch.cat(answers), owners)
