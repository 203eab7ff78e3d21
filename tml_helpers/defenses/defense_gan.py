"""Defense-GAN: classify not the image but the nearest image that a generator can make."""

import torch
from torch import Tensor, nn

from tml_helpers.training import evaluating


class DefenseGAN(nn.Module):
    """x ↦ classifier(G(z*)), where z* = argmin ‖G(z) − x‖²: what the generator cannot make is not seen.

    `generator` maps latents `[N, latent]` to images. For each image, z is found by `steps` steps of Adam of size
    `step_size` from each of `restarts` starts, and the best is taken. The starts are drawn once, standard normal, by
    `random`, and are the same for all images: an image's answer depends neither on the call nor on its batch.

    The gradient with respect to the images is zero, so an attack by gradients fails and warns. That is no robustness:
    `straight_through()` gives the same answers with a useful gradient, and what the generator itself can make, as the
    images of `attacks.latent_search`, passes untouched.

    Raises ValueError for numbers below 1 and a step size that is not positive.
    Source: Samangouei, Kabkab and Chellappa, 2018; broken by Athalye, Carlini and Wagner, 2018.
    Derived in: lectures/20_adversarial/defenses.
    """

    starts: Tensor

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module,
        *,
        latent: int = 64,
        steps: int = 100,
        restarts: int = 4,
        step_size: float = 0.2,
        random: torch.Generator | None = None,
    ) -> None:
        if min(latent, steps, restarts) < 1:
            raise ValueError(f"latent, steps and restarts must be 1 or more, got {latent}, {steps} and {restarts}")
        if not step_size > 0:
            raise ValueError(f"step_size must be positive, got {step_size}")
        super().__init__()
        self.classifier, self.generator = classifier, generator
        self.steps, self.step_size = steps, step_size
        self.register_buffer("starts", torch.randn(restarts, latent, generator=random))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.reconstruct(images) + 0 * images)  # has a gradient, of zeros
        return logits

    def reconstruct(self, images: Tensor) -> Tensor:
        """G(z*) of each image, of the same shape, without gradients."""
        images = images.detach()
        with evaluating(self.generator), torch.enable_grad():
            latents = self.starts[:, None].repeat(1, len(images), 1).requires_grad_()  # [restarts, N, latent]
            optimizer = torch.optim.Adam([latents], lr=self.step_size)
            for _ in range(self.steps):
                errors = self.made(latents, images)[1]
                (latents.grad,) = torch.autograd.grad(errors.sum(), latents)
                optimizer.step()
        with evaluating(self.generator), torch.no_grad():
            made, errors = self.made(latents, images)
        return made[errors.argmin(dim=0), torch.arange(len(images), device=images.device)]

    def made(self, latents: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """G(z) of each start and image, `[restarts, N, C, H, W]`, and ‖G(z) − x‖², `[restarts, N]`."""
        made = self.generator(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
        if made.shape[2:] != images.shape[1:]:
            raise ValueError(
                f"the generator makes images of shape {list(made.shape[2:])}, "
                f"but the images have {list(images.shape[1:])}: pass one that was trained on such images"
            )
        return made, (made - images).square().flatten(2).sum(dim=2)

    def straight_through(self) -> nn.Module:
        """The same answers, with the gradient at G(z*) as though it were that at x: for attacks."""
        return StraightThrough(self)


class StraightThrough(nn.Module):
    """Forward through the projection, backward past it: backward pass differentiable approximation (BPDA)."""

    def __init__(self, defense: DefenseGAN) -> None:
        super().__init__()
        self.defense = defense

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.defense.classifier(self.defense.reconstruct(images) + (images - images.detach()))
        return logits
