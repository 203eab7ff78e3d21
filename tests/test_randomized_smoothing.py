"""Certificates: the bound is SciPy's, the radius is the formula's, and no attack within it succeeds."""

import functools
import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from torch import Tensor, nn

from tml_helpers.attacks.pgd import pgd
from tml_helpers.defenses.randomized_smoothing import RandomizedSmoothing, clopper_pearson_bound, noisy_cross_entropy
from tml_helpers.models import MLP
from tml_helpers.training import cross_entropy, fit, seed_everything


class Linear(nn.Module):
    """Class 1 where w·x + b > 0."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = w, b

    def forward(self, images: Tensor) -> Tensor:
        score = images.flatten(1) @ self.w + self.b
        return torch.stack([-score, score], dim=1)


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([0.0, 1.0, 0.0]).expand(len(images), 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def half_space(count: int = 20) -> tuple[Linear, Tensor, Tensor]:
    """A linear model, images on both sides, and how far each is from the plane that parts them."""
    images = torch.rand(count, 1, 3, 3, generator=seeded(1))
    w = torch.randn(9, generator=seeded(2))
    model = Linear(w, float(-0.5 * w.sum()))
    return model, images, model(images)[:, 1] / w.norm()


def with_counts(monkeypatch, *each_call: list[list[int]]) -> RandomizedSmoothing:
    """A smoothed model whose draws came out as written here, call by call."""
    given_counts = iter(torch.tensor(counts) for counts in each_call)
    monkeypatch.setattr(RandomizedSmoothing, "counts", lambda self, images, *, n, generator: next(given_counts))
    return RandomizedSmoothing(Constant(), sigma=0.5)


def blank(count: int) -> Tensor:
    return torch.zeros(count, 1, 2, 2)


# --- Clopper and Pearson's bound ---


@given(st.integers(1, 300), st.data(), st.floats(1e-6, 0.5))
def test_the_lower_bound_is_scipys(n, data, alpha):
    k = data.draw(st.integers(0, n))
    exact = binomtest(k, n, alternative="greater").proportion_ci(confidence_level=1 - alpha, method="exact")
    assert float(clopper_pearson_bound(torch.tensor([k]), n=n, alpha=alpha)) == pytest.approx(
        exact.low, rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_the_lower_bound_lies_above_the_truth_with_probability_alpha_at_most(p):
    trials, n, alpha = 20_000, 500, 0.05
    successes = torch.binomial(torch.full((trials,), float(n)), torch.tensor(p).expand(trials), generator=seeded())
    wrong = (clopper_pearson_bound(successes.long(), n=n, alpha=alpha) > p).double().mean().item()
    assert wrong <= alpha + 3 * math.sqrt(alpha / trials)
    assert wrong > alpha / 5, "a bound that is never wrong gives radii away"


# --- certify ---


@pytest.mark.parametrize("sigma", [0.25, 1.0])
@pytest.mark.parametrize(("n", "alpha"), [(100, 0.001), (1000, 0.05)])
def test_an_image_that_is_always_called_the_same_gets_sigma_times_the_quantile_of_alpha_to_the_one_over_n(
    sigma, n, alpha
):
    smoothed = RandomizedSmoothing(Constant(), sigma=sigma)
    found = smoothed.certify(blank(3), n0=10, n=n, alpha=alpha, generator=seeded())
    assert found.classes.tolist() == [1, 1, 1]
    assert found.radii.tolist() == pytest.approx([sigma * norm.ppf(alpha ** (1 / n))] * 3, rel=1e-5)


@given(st.integers(0, 200))
def test_the_radius_is_sigma_times_the_quantile_of_the_bound(k):
    with pytest.MonkeyPatch.context() as patch:
        smoothed = with_counts(patch, [[0, 9, 1]], [[200 - k, k, 0]])
        found = smoothed.certify(blank(1), n0=10, n=200, alpha=0.01)
    bound = binomtest(k, 200, alternative="greater").proportion_ci(confidence_level=0.99, method="exact").low
    assert found.classes.item() == (1 if bound > 0.5 else -1)
    assert found.radii.item() == pytest.approx(0.5 * norm.ppf(bound) if bound > 0.5 else 0.0, rel=1e-5)


def test_the_class_is_chosen_by_other_draws_than_bound_it(monkeypatch):
    smoothed = with_counts(monkeypatch, [[6, 4, 0]], [[100, 900, 0]])
    found = smoothed.certify(blank(1), n0=10, n=1000)
    assert (found.classes.item(), found.radii.item()) == (-1, 0.0), (
        "the draws that bound p may not choose the class as well"
    )


def test_on_a_half_space_the_radius_never_exceeds_the_distance_and_comes_near_it_with_many_draws():
    model, images, distances = half_space()
    gaps = []
    for n in (100, 1000, 20_000):
        smoothed = RandomizedSmoothing(model, sigma=0.5, batch_size=20_000)
        found = smoothed.certify(images, n=n, generator=seeded(n))
        assert (found.radii <= distances.abs() + 1e-6).all()
        assert ((found.classes == -1) | (found.classes == (distances > 0).long())).all()
        gaps.append((distances.abs() - found.radii).mean().item())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.08 * distances.abs().mean()


def test_a_tie_is_not_decided():
    model, images, distances = half_space(8)
    step = (distances[:, None] * model.w / model.w.norm()).view_as(images)
    on_the_plane = 0.25 + 0.5 * (images - step)  # the plane goes through the middle of the cube
    assert on_the_plane.min() >= 0
    assert on_the_plane.max() <= 1
    assert model(on_the_plane).abs().max() < 1e-5
    smoothed = RandomizedSmoothing(model, sigma=0.5)
    found = smoothed.certify(on_the_plane, generator=seeded())
    assert found.classes.tolist() == [-1] * 8
    assert found.radii.tolist() == [0.0] * 8
    assert smoothed.predict(on_the_plane, generator=seeded()).tolist() == [-1] * 8


class SoftlySmoothed(nn.Module):
    """log E softmax f(x + δ) over noise that is drawn once: what gradient attacks need of a smoothed model."""

    def __init__(self, model: nn.Module, sigma: float, draws: int) -> None:
        super().__init__()
        self.model = model
        self.noise = sigma * torch.randn(draws, 1, 1, 4, 4, generator=seeded(9))

    def forward(self, images: Tensor) -> Tensor:
        noisy = (images + self.noise).flatten(0, 1)
        return self.model(noisy).softmax(dim=1).view(len(self.noise), len(images), -1).mean(dim=0).log()


def test_no_attack_within_the_radius_changes_the_certified_class():
    seed_everything(0)
    images = torch.rand(600, 1, 4, 4, generator=seeded(3))
    labels = ((images[:, 0, :2].sum(dim=(1, 2)) - 4) * (images[:, 0, 2:].sum(dim=(1, 2)) - 4) > 0).long()  # XOR
    sigma, model = 0.12, MLP(64, in_features=16, classes=2)
    loss = functools.partial(noisy_cross_entropy, sigma=sigma, generator=seeded(4))
    fit(model, torch.utils.data.TensorDataset(images, labels), epochs=60, loss=loss, learning_rate=5e-3)
    smoothed, soft = RandomizedSmoothing(model, sigma=sigma), SoftlySmoothed(model, sigma, draws=100)
    proof = smoothed.certify(images[:200], n=2000, generator=seeded(5))
    broken = {}
    for share in (0.98, 4.0):
        changed = torch.zeros(0, dtype=torch.bool)
        for x, c, r in zip(images, proof.classes, proof.radii, strict=False):
            if c >= 0 and len(changed) < 40:
                found = pgd(soft, x[None], c[None], epsilon=share * float(r), norm="l2", steps=15, generator=seeded())
                answer = smoothed.predict(found, n=1000, generator=seeded(6))
                changed = torch.cat([changed, (answer != -1) & (answer != c)])
        broken[share] = changed.sum().item()
    assert len(changed) == 40
    assert broken[0.98] == 0
    assert broken[4.0] > 10, "an attack that breaks nothing anywhere shows nothing"


# --- predict ---


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.floats(1e-4, 0.3))
def test_the_prediction_is_made_where_scipys_binomial_test_rejects_a_fair_coin(a, b, c, alpha):
    a += 1
    with pytest.MonkeyPatch.context() as patch:
        found = with_counts(patch, [[a, b, c]]).predict(blank(1), n=a + b + c, alpha=alpha).item()
    first, second = sorted((a, b, c), reverse=True)[:2]
    p_value = binomtest(first, first + second, 0.5).pvalue
    if abs(p_value - alpha) > 1e-9:
        assert (found != -1) == (p_value <= alpha)
    assert found == -1 or (a, b, c)[found] == first


def test_on_a_half_space_the_prediction_is_the_side():
    model, images, distances = half_space(100)
    classes = RandomizedSmoothing(model, sigma=0.3).predict(images, n=2000, generator=seeded())
    sure = classes != -1
    assert torch.equal(classes[sure], (distances > 0).long()[sure])
    assert sure.double().mean() > 0.7


# --- the draws ---


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_draws_are_counted_for_the_image_that_they_belong_to(batch_size):
    model, images, distances = half_space(9)
    smoothed = RandomizedSmoothing(model, sigma=1e-4, batch_size=batch_size)
    counts = smoothed.counts(images, n=5, generator=seeded())
    assert torch.equal(counts, torch.stack([5 * (distances <= 0), 5 * (distances > 0)], dim=1))


def test_the_noise_is_gaussian_with_deviation_sigma_and_is_not_cut():
    seen = []

    class Watching(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1)[:, :3]

    RandomizedSmoothing(Watching(), sigma=0.7).counts(torch.full((4, 1, 8, 8), 0.25), n=500, generator=seeded())
    noise = (torch.cat(seen) - 0.25) / 0.7
    assert noise.shape == (2000, 1, 8, 8)
    assert noise.mean().abs() < 0.01
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert (noise.abs() > 1.96).double().mean() == pytest.approx(0.05, abs=0.003)
    assert not torch.equal(noise[0], noise[1]), "each copy has noise of its own"


def test_the_same_seed_gives_the_same_certificate():
    model, images, _ = half_space()
    smoothed = RandomizedSmoothing(model, sigma=0.4)
    runs = [smoothed.certify(images, n=200, generator=seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].radii, runs[1].radii)
    assert not torch.equal(runs[0].radii, runs[2].radii)


def test_the_model_answers_in_evaluation_mode_and_comes_back_in_its_own():
    model, images, _ = half_space(4)
    wrapped = nn.Sequential(nn.Dropout(0.9), model).train()
    counts = RandomizedSmoothing(wrapped, sigma=1e-4).counts(images, n=20, generator=seeded())
    assert torch.equal(counts, RandomizedSmoothing(model, sigma=1e-4).counts(images, n=20, generator=seeded()))
    assert wrapped.training
    assert wrapped[0].training


def test_one_image_and_images_that_are_not_contiguous():
    model, images, distances = half_space(6)
    smoothed = RandomizedSmoothing(model, sigma=1e-4)
    assert smoothed.certify(images[:1], generator=seeded()).classes.item() == int(distances[0] > 0)
    twice = images.repeat(1, 1, 1, 2)[:, :, :, :3]
    assert not twice.is_contiguous()
    assert torch.equal(
        smoothed.counts(twice, n=3, generator=seeded()), smoothed.counts(images, n=3, generator=seeded())
    )


# --- training ---


def test_the_loss_is_cross_entropy_on_images_with_this_noise():
    seed_everything(0)
    model, images, labels = MLP(8), torch.rand(20, 1, 28, 28, generator=seeded()), torch.arange(20) % 10
    noisy = images + 0.5 * torch.empty_like(images).normal_(generator=seeded(7))
    loss = noisy_cross_entropy(model, images, labels, sigma=0.5, generator=seeded(7))
    torch.testing.assert_close(loss, cross_entropy(model, noisy, labels))
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# --- bad input ---


def test_bad_input_is_refused_in_one_sentence():
    for sigma in (0.0, -1.0, math.inf, math.nan):
        with refuses(ValueError, "sigma"):
            RandomizedSmoothing(Constant(), sigma=sigma)
    with refuses(ValueError, "batch_size", "0"):
        RandomizedSmoothing(Constant(), sigma=1.0, batch_size=0)
    smoothed = RandomizedSmoothing(Constant(), sigma=1.0)
    for alpha in (0.0, 1.0, math.nan):
        with refuses(ValueError, "alpha"):
            smoothed.certify(blank(1), alpha=alpha)
        with refuses(ValueError, "alpha"):
            smoothed.predict(blank(1), alpha=alpha)
    for name in ("n", "n0"):
        draws = {name: 0}
        with refuses(ValueError, f"{name} must be", "0"):
            smoothed.certify(blank(1), **draws)
    with refuses(ValueError, "non-empty"):
        smoothed.predict(blank(0))
    with refuses(ValueError, "[0, 1]"):
        smoothed.predict(blank(1) + 2)
    with refuses(TypeError, "float32"):
        smoothed.predict(blank(1).long())
