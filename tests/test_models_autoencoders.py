"""Autoencoders: the divergence in closed form, a bound that is one, draws that follow their generator, shapes."""

import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Normal, kl_divergence

from tml_helpers.models import VAE, Autoencoder, elbo, parameter_count


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fixed(mean: float, log_variance: float, *, size: int = 2, latent: int = 1, slope: float = 0.0) -> VAE:
    """A tiny model, float64, whose posterior is the same for every image and whose logits are slope · u."""
    model = VAE(latent, hidden=2, size=size).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.encoder[3].bias[:latent], model.encoder[3].bias[latent:] = mean, log_variance
        model.decoder[0].weight[0, 0], model.decoder[0].weight[1, 0] = 1, -1  # ReLU(u) and ReLU(−u)
        model.decoder[2].weight[:, 0], model.decoder[2].weight[:, 1] = slope, -slope
    return model


@given(st.floats(-3, 3), st.floats(-4, 2), st.integers(1, 5))
@settings(deadline=None)
def test_the_divergence_is_that_of_the_library_of_distributions(mean: float, log_variance: float, latent: int) -> None:
    found = elbo(fixed(mean, log_variance, latent=latent), torch.rand(3, 1, 2, 2, dtype=torch.float64)).divergence
    deviation = torch.tensor(log_variance / 2, dtype=torch.float64).exp()
    posterior = Normal(torch.tensor(mean, dtype=torch.float64), deviation)
    prior = Normal(torch.zeros(1).double(), torch.ones(1).double())
    torch.testing.assert_close(found, (latent * kl_divergence(posterior, prior)).expand(3), rtol=1e-9, atol=1e-12)
    assert (found >= -1e-12).all()


def log_probability(image: torch.Tensor, slope: float) -> float:
    """log ∫ p(x | u) N(u) du, by adding up over a fine grid."""
    u = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    inks = Bernoulli(logits=slope * u[:, None]).log_prob(image.flatten()[None]).sum(1)
    return torch.logsumexp(inks + Normal(0.0, 1.0).log_prob(u) + math.log(u[1] - u[0]), 0).item()


@pytest.mark.parametrize("slope", [0.5, 2.0])
@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.0, -1.0), (-0.5, -3.0)])
def test_the_bound_is_never_above_the_probability_that_it_bounds(
    slope: float, mean: float, log_variance: float
) -> None:
    image = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64).view(1, 1, 2, 2)
    model = fixed(mean, log_variance, slope=slope)
    bounds = elbo(model, image.expand(40_000, 1, 2, 2), generator=generator(3)).bound
    error = bounds.std().item() / 200
    assert bounds.mean().item() < log_probability(image, slope) + 5 * error


def test_the_bound_is_exact_where_the_image_says_nothing_about_the_code() -> None:
    """The posterior is then the prior, and every draw gives log p(x) = 4 · log ½."""
    found = elbo(fixed(0, 0, slope=0), torch.tensor([0.0, 1, 1, 0]).double().view(1, 1, 2, 2).expand(5, 1, 2, 2))
    torch.testing.assert_close(found.bound, torch.full((5,), 4 * math.log(0.5), dtype=torch.float64))
    assert found.loss.item() == pytest.approx(4 * math.log(2))


def test_reconstruction_is_the_binary_cross_entropy_of_each_image_alone() -> None:
    """pytorch/examples #234: a mean over pixels beside a sum over codes weighs the two parts wrongly; here both add."""
    model, images = VAE(3, hidden=8, size=4), torch.rand(6, 1, 4, 4)
    found = elbo(model, images, generator=generator(1))
    law = model.encode(images)
    mean, log_variance = law.mean, law.log_variance
    noise = torch.randn(6, 3, generator=generator(1))
    ink = model.decode(mean + (log_variance / 2).exp() * noise)
    expected = -(images * ink.log() + (1 - images) * (1 - ink).log()).flatten(1).sum(1)
    torch.testing.assert_close(found.reconstruction, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.loss, (found.reconstruction + found.divergence).mean())


def test_gradients_reach_mean_and_variance_through_the_draw() -> None:
    torch.manual_seed(0)
    model = VAE(2, hidden=64, size=3)  # so many that some are not silent
    elbo(model, torch.rand(4, 1, 3, 3), generator=generator(0)).reconstruction.sum().backward()
    head = model.encoder[3].weight.grad
    assert (head[:2].abs().sum(1) > 0).all()
    assert (head[2:].abs().sum(1) > 0).all()


def test_draws_follow_the_generator_and_differ_from_image_to_image() -> None:
    model, images = VAE(4, hidden=8, size=4), torch.rand(1, 1, 4, 4).expand(5, 1, 4, 4)
    same, again = (elbo(model, images, generator=generator(7)).reconstruction for _ in range(2))
    assert torch.equal(same, again)
    assert len(same.unique()) == 5
    other = elbo(model, images, generator=generator(8)).reconstruction
    assert not torch.equal(same, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_ranges(dtype: torch.dtype) -> None:
    images = torch.rand(3, 1, 28, 28, dtype=dtype)
    for model in (Autoencoder(5, hidden=16).to(dtype), VAE(5, hidden=16).to(dtype)):
        out = model(images)
        assert (out.shape, out.dtype) == (images.shape, dtype)
        assert out.min() > 0
        assert out.max() < 1
        assert model.decode(torch.zeros(2, 5, dtype=dtype)).shape == (2, 1, 28, 28)
    law = model.encode(images)
    mean, log_variance = law.mean, law.log_variance
    assert mean.shape == log_variance.shape == (3, 5)
    torch.testing.assert_close(model(images), model.decode(mean))
    assert Autoencoder(5).encode(images.float()).shape == (3, 5)


def test_parameters_by_hand() -> None:
    assert parameter_count(Autoencoder(2, hidden=10, size=4)) == 16 * 10 + 10 + 10 * 2 + 2 + 2 * 10 + 10 + 10 * 16 + 16
    assert parameter_count(VAE(2, hidden=10, size=4)) == parameter_count(Autoencoder(2, hidden=10, size=4)) + 22


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
@pytest.mark.parametrize("name", ["latent", "hidden", "size"])
def test_counts_are_checked(kind: type, name: str) -> None:
    with refuses(ValueError, name, "0"):
        kind(**{name: 0})


def test_images_are_checked() -> None:
    model = VAE(2, hidden=4, size=2)
    for images in (torch.full((1, 1, 2, 2), 1.5), torch.full((1, 1, 2, 2), float("nan")), -torch.ones(1, 1, 2, 2)):
        with refuses(ValueError, "[0, 1]"):
            elbo(model, images)
    with refuses(ValueError, "at least one"):
        elbo(model, torch.zeros(0, 1, 2, 2))
    with refuses(TypeError, "generator"):
        elbo(model, torch.zeros(1, 1, 2, 2), generator=3)
