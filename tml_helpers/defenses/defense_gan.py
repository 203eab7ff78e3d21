"""Defense-GAN: classify not the image but the nearest image that a generator can make."""

import torch
from torch import Tensor, nn

from tml_helpers.common import check_counts, check_images, check_logits, check_numbers, draw, evaluating


class DefenseGAN(nn.Module):
    """x ↦ f(G(z*)), where z* = argmin ‖G(z) − x‖²: what the generator cannot make is not seen.

    For each image, z is found by Adam from each start, and the best is taken. The starts are drawn once, standard
    normal, and are the same for all images: an image's answer depends neither on the call nor on its batch.

    The gradient with respect to the images is zero, so an attack by gradients fails and warns. That is no robustness:
    `straight_through()` gives the same answers with a useful gradient, and what the generator itself can make, as the
    images of `attacks.latent_search`, passes untouched.

    Args:
        model: f, the classifier, maps images `[N, C, H, W]` to logits `[N, K]`.
        decoder: G, the generative network, maps latents `[N, latent]` to images of the same shape.
        latent: how many numbers make an image, 1 or more.
        steps, restarts: of Adam from each start, and how many starts; 1 or more.
        step_size: Adam's, above 0.
        generator: draws the starts; on any device.

    Raises:
        TypeError: a number that should be whole is not.
        ValueError: numbers below 1, or a step size that is not positive.

    Source: Samangouei, Kabkab and Chellappa, 2018; broken by Athalye, Carlini and Wagner, 2018.
    Derived in: lectures/20_adversarial/defenses.
    """

    starts: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        decoder: nn.Module,
        latent: int = 64,
        steps: int = 100,
        restarts: int = 4,
        step_size: float = 0.2,
        generator: torch.Generator | None = None,
    ) -> None:
        check_counts(latent=latent, steps=steps, restarts=restarts)
        check_numbers(step_size=step_size)
        if not step_size > 0:
            raise ValueError(f"step_size must be positive, got {step_size}")
        super().__init__()
        self.model, self.decoder = model, decoder
        self.steps, self.step_size = steps, step_size
        self.register_buffer("starts", draw(torch.randn, restarts, latent, device="cpu", generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits `[N, K]` of G(z*)."""
        check_images(self.model, images)
        logits: Tensor = self.model(self.reconstruct(images) + 0 * images)  # has a gradient, of zeros
        check_logits(logits)
        return logits

    def reconstruct(self, images: Tensor) -> Tensor:
        """G(z*) of each image.

        Args:
            images: `[N, C, H, W]` in [0, 1], where the decoder is.

        Returns:
            Images of the same shape, without gradients.

        Raises:
            ValueError: images of another shape than the decoder's.
        """
        images = images.detach()
        with evaluating(self.decoder), torch.enable_grad():
            latents = self.starts[:, None].repeat(1, len(images), 1).requires_grad_()  # [restarts, N, latent]
            optimizer = torch.optim.Adam([latents], lr=self.step_size)
            for _ in range(self.steps):
                errors = self._made(latents, images)[1]
                (latents.grad,) = torch.autograd.grad(errors.sum(), latents)
                optimizer.step()
        with evaluating(self.decoder), torch.no_grad():
            made, errors = self._made(latents, images)
        return made[errors.argmin(dim=0), torch.arange(len(images), device=images.device)]

    def _made(self, latents: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """G(z) of each start and image, `[restarts, N, C, H, W]`, and ‖G(z) − x‖², `[restarts, N]`."""
        made = self.decoder(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
        if made.shape[2:] != images.shape[1:]:
            raise ValueError(
                f"the decoder makes images of shape {list(made.shape[2:])}, "
                f"but the images have {list(images.shape[1:])}: pass one that was trained on such images"
            )
        return made, (made - images).square().flatten(2).sum(dim=2)

    def straight_through(self) -> nn.Module:
        """The same answers, with the gradient at G(z*) as though it were that at x: for attacks.

        Returns:
            A network of images to logits.
        """
        return StraightThrough(self)


class StraightThrough(nn.Module):
    """Forward through the projection, backward past it: backward pass differentiable approximation (BPDA)."""

    def __init__(self, defense: DefenseGAN) -> None:
        super().__init__()
        self.defense = defense

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.defense.model(self.defense.reconstruct(images) + (images - images.detach()))
        return logits
