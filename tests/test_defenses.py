"""Adversarial training, TRADES and friendly data against the papers' formulas, written out here once more, slowly."""

import itertools
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers.attacks import pgd
from tml_helpers.data import ImageSet, mnist
from tml_helpers.defenses.adversarial_training import adversarial_training
from tml_helpers.defenses.friendly import friendly_pgd, tau_schedule
from tml_helpers.defenses.trades import divergence, trades_loss
from tml_helpers.models import MLP
from tml_helpers.training import accuracy, fit, seed_everything

METHODS = ("fgsm", "madry", "friendly", "trades", "friendly_trades")


def fast(method: str) -> dict[str, Any]:
    """A method with few steps, where it makes any."""
    return {"method": method} | ({} if method == "fgsm" else {"steps": 2})


@pytest.fixture(scope="module")
def test_set() -> ImageSet:
    return mnist("test", source="default")


@pytest.fixture(scope="module")
def network(mlp: MLP) -> nn.Module:
    """A network in float64: batched or one by one, its gradients have the same signs."""
    return mlp.double()


def batch(test_set: ImageSet, count: int = 40) -> tuple[Tensor, Tensor]:
    chosen = test_set.select(slice(0, None, len(test_set) // count))
    return chosen.images.double(), chosen.labels


# --- friendly data ---


def algorithm_1(
    model: nn.Module, image: Tensor, label: Tensor, epsilon: float, alpha: float, steps: int, tau: int
) -> Tensor:
    """PGD-K-τ as Zhang et al. print it, for one image: x̃ and τ change, K counts down."""
    adversarial = image.clone()
    while steps > 0:
        adversarial = adversarial.detach().requires_grad_()
        logits = model(adversarial[None])
        if logits.argmax() != label and tau == 0:
            break
        if logits.argmax() != label:
            tau = tau - 1
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, label[None]), adversarial)
        moved = adversarial.detach() + alpha * gradient.sign()
        adversarial = torch.min(torch.max(moved, image - epsilon), image + epsilon).clamp(0, 1)
        steps = steps - 1
    return adversarial.detach()


@pytest.mark.parametrize("tau", [0, 1, 3, 10])
def test_friendly_pgd_is_the_papers_algorithm_1_image_by_image(network, test_set, tau) -> None:
    images, labels = batch(test_set)
    together = friendly_pgd(network, images, labels, epsilon=0.2, steps=10, step_size=0.03, tau=tau, random_start=False)
    alone = [algorithm_1(network, x, y, 0.2, 0.03, 10, tau) for x, y in zip(images, labels, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-6, rtol=0)


def test_patience_ends_in_plain_pgd_and_its_lack_in_an_image_that_stays(network, test_set) -> None:
    images, labels = batch(test_set)
    how: dict[str, Any] = {"epsilon": 0.2, "steps": 10, "random_start": False}
    patient = friendly_pgd(network, images, labels, tau=10, **how)
    apart = (patient - pgd(network, images, labels, **how)).abs() > 1e-6  # where rounding turns a sign
    assert apart.float().mean() < 0.01
    wrong = (network(images).argmax(dim=1) + 1) % 10  # each image counts as misclassified from the start
    torch.testing.assert_close(friendly_pgd(network, images, wrong, tau=0, **how), images, atol=0, rtol=0)


def test_friendly_images_are_misclassified_but_less_so(network, test_set) -> None:
    images, labels = batch(test_set, 200)
    losses = []
    for tau in (0, 2, 10):
        found = friendly_pgd(network, images, labels, epsilon=0.2, steps=10, tau=tau, random_start=False)
        logits = network(found)
        assert (logits.argmax(dim=1) != labels).float().mean() > 0.8
        losses.append(F.cross_entropy(logits, labels).item())
    assert losses[0] < 0.7 * losses[1] < 0.7 * losses[2]


@pytest.mark.parametrize(
    ("method", "epochs", "lengths"),
    [("friendly", 120, [50, 40, 30]), ("friendly_trades", 85, [30, 20, 20, 15]), ("friendly", 12, [5, 4, 3])],
)
def test_tau_grows_when_it_does_in_the_authors_runs(method, epochs, lengths) -> None:
    published = [tau for tau, length in enumerate(lengths) for _ in range(length)]
    assert [tau_schedule(epoch, epochs, method=method) for epoch in range(epochs)] == published


def test_a_schedule_needs_a_known_method_and_an_epoch_of_its_own() -> None:
    with refuses(ValueError, "method", "friendly", "'madry'"):
        tau_schedule(0, 3, method="madry")
    for epoch in (-1, 3):
        with refuses(ValueError, "epoch", "0…2", str(epoch)):
            tau_schedule(epoch, 3)


# --- TRADES ---


def published_trades(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, alpha: float, beta: float, seed: int
) -> Tensor:
    """Equation 5 of Zhang et al., 2019, the inner maximum by 5 steps from x + 0.001 · N(0, 1)."""
    noise = torch.empty_like(images).normal_(generator=torch.Generator().manual_seed(seed))
    away = (images + 0.001 * noise).clamp(0, 1)
    natural = model(images).softmax(dim=1)
    for _ in range(5):
        away = away.detach().requires_grad_()
        kl = (natural.detach() * (natural.detach() / model(away).softmax(dim=1)).log()).sum()
        (gradient,) = torch.autograd.grad(kl, away)
        moved = away.detach() + alpha * gradient.sign()
        away = torch.min(torch.max(moved, images - epsilon), images + epsilon).clamp(0, 1)
    kl = (natural * (natural / model(away.detach()).softmax(dim=1)).log()).sum(dim=1)
    return F.cross_entropy(model(images), labels) + beta * kl.mean()


@pytest.mark.parametrize("beta", [1.0, 6.0])
def test_trades_is_the_papers_formula_with_its_gradient(network, test_set, beta) -> None:
    images, labels = batch(test_set)
    theirs = published_trades(network, images, labels, 0.1, 0.03, beta, seed=5)
    generator = torch.Generator().manual_seed(5)
    ours = trades_loss(network, images, labels, epsilon=0.1, beta=beta, steps=5, step_size=0.03, generator=generator)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)
    parameters = list(network.parameters())
    slopes = (torch.autograd.grad(loss, parameters) for loss in (ours, theirs))
    for mine, other in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-12)


def test_the_divergence_is_measured_from_the_clean_answer() -> None:
    clean, moved = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]], dtype=torch.float64)[:, None]  # ¾, ¼ and ½, ½
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert divergence(clean, moved).item() == pytest.approx(expected, rel=1e-12)
    assert divergence(clean, clean).item() == 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_without_a_ball_or_without_beta_trades_is_cross_entropy(network, test_set, norm) -> None:
    images, labels = batch(test_set)
    plain = F.cross_entropy(network(images), labels)
    for how in ({"epsilon": 0.0, "steps": 0}, {"epsilon": 0.1, "steps": 2, "beta": 0.0}):
        torch.testing.assert_close(trades_loss(network, images, labels, norm=norm, **how), plain)
    with refuses(ValueError, "beta", "-1"):
        trades_loss(network, images, labels, epsilon=0.1, beta=-1)


def test_a_friendly_search_moves_the_answer_less_than_a_full_one(network, test_set) -> None:
    images, labels = batch(test_set, 200)
    full, friendly = (
        trades_loss(network, images, labels, epsilon=0.2, tau=tau, generator=torch.Generator().manual_seed(0)).item()
        for tau in (None, 0)
    )
    assert friendly < 0.7 * full


# --- adversarial training: on a linear model the inner maximum is known ---


class TwoClasses(nn.Module):
    """Logits −m/2 and m/2 with m = w·x + b: within the ball, an attacker takes ε · ‖w‖₁ of the margin, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 2, 9))
        self.bias = nn.Parameter(torch.tensor(-0.3))

    def forward(self, images: Tensor) -> Tensor:
        half = (images.flatten(1) @ self.weight + self.bias) / 2
        return torch.stack([-half, half], dim=1)

    def worst_case(self, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """The mean over the images of the largest cross-entropy in the ball."""
        margins = (2 * labels - 1) * (images.flatten(1) @ self.weight + self.bias)
        return F.softplus(epsilon * self.weight.abs().sum() - margins).mean()


def grey_images(count: int = 32) -> TensorDataset:
    """So far from black and white that the ball is not cut."""
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        0.4 + 0.2 * torch.rand(count, 1, 3, 3, generator=generator), torch.randint(2, (count,), generator=generator)
    )


@pytest.mark.parametrize(("method", "weight"), [("fgsm", 0.3), ("fgsm", 1.0), ("madry", 0.0)])
def test_one_step_follows_the_gradient_of_the_worst_case(method, weight) -> None:
    data, model, expected = grey_images(), TwoClasses(), TwoClasses()
    images, labels = data.tensors
    loss = weight * expected.worst_case(images, labels, 0) + (1 - weight) * expected.worst_case(images, labels, 0.1)
    loss.backward()
    torch.optim.SGD(expected.parameters(), lr=0.5).step()
    history = adversarial_training(
        model,
        data,
        epochs=1,
        epsilon=0.1,
        method=method,
        alpha=weight if method == "fgsm" else None,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
    )
    assert history == [pytest.approx(loss.item(), rel=1e-5)]
    for found, wanted in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def frozen(model: nn.Module) -> torch.optim.Optimizer:
    """An optimiser that changes nothing, so that the losses of the epochs can be compared."""
    return torch.optim.SGD(model.parameters(), lr=0.0)


def test_epsilon_rises_in_equal_stairs_and_then_stays() -> None:
    data, model = grey_images(), TwoClasses()
    history = adversarial_training(
        model, data, epochs=5, epsilon=0.12, method="madry", warm_up=2, optimizer=frozen(model)
    )
    expected = [model.worst_case(*data.tensors, epsilon).item() for epsilon in (0.04, 0.08, 0.12, 0.12, 0.12)]
    assert history == pytest.approx(expected, rel=1e-5)


def test_friendly_training_keeps_to_the_schedule(network, test_set) -> None:
    data = TensorDataset(*batch(test_set))

    def losses(method: str, tau: int | None) -> list[float]:
        generator = torch.Generator().manual_seed(0)
        how: dict[str, Any] = {"epsilon": 0.2, "tau": tau, "generator": generator, "optimizer": frozen(network)}
        return adversarial_training(network, data, epochs=12, method=method, **how)

    for method in ("friendly", "friendly_trades"):
        by_schedule, by_tau = losses(method, None), [losses(method, tau) for tau in range(4)]
        for epoch, found in enumerate(by_schedule):
            assert found == by_tau[tau_schedule(epoch, 12, method=method)][epoch]
        assert by_tau[0][-1] < by_tau[1][-1] < by_tau[2][-1]
    network.train(False)


@pytest.mark.parametrize("method", METHODS)
def test_training_that_was_interrupted_ends_where_the_other_does(method, tmp_path: Path) -> None:
    data, results = TensorDataset(*grey_images(64).tensors), []
    for stops in ([4], [2, 3, 4]):
        for stop in stops:
            generator = seed_everything(1)
            model = TwoClasses()
            checkpoint = tmp_path / f"{len(stops)}.pt"
            how: dict[str, Any] = {"epsilon": 0.1, "batch_size": 16, **fast(method)}
            how |= {"tau": 1} if "friendly" in method else {}  # the schedule depends on the number of epochs
            history = adversarial_training(model, data, epochs=stop, generator=generator, checkpoint=checkpoint, **how)
        results.append([history, *(p.tolist() for p in model.parameters())])
    assert len(results[0][0]) == 4
    assert results[0] == results[1]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_trains_the_same_network_and_another_another(method) -> None:
    data = mnist("train", source="default").select(slice(0, None, 40))
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = MLP(8)
        generator = torch.Generator().manual_seed(seed)
        how: dict[str, Any] = {"epsilon": 0.1, "batch_size": 64, **fast(method)}
        found.append(adversarial_training(model, data, epochs=2, generator=generator, **how))
    assert found[0] == found[1] != found[2]


def test_robustness_is_bought(test_set) -> None:
    """After so few epochs the gap is wide: standard training leaves little at ε = 0.1."""
    data, attack = mnist("train", source="default"), partial(pgd, epsilon=0.1, steps=10)
    images, labels = test_set.images[::4], test_set.labels[::4]
    robust = {}
    for method in ("standard", "madry", "friendly", "trades"):
        generator = seed_everything(0)
        model = MLP(64)
        if method == "standard":
            fit(model, data, epochs=4, generator=generator)
        else:
            adversarial_training(
                model, data, epochs=4, epsilon=0.1, method=method, steps=4, generator=generator, learning_rate=2e-3
            )
        assert accuracy(model, test_set) > 0.8
        robust[method] = accuracy(model, TensorDataset(attack(model, images, labels, generator=generator), labels))
    assert robust["standard"] < 0.35
    assert min(robust[method] for method in ("madry", "friendly", "trades")) > robust["standard"] + 0.25


def test_what_makes_no_sense_is_refused() -> None:
    data, train = grey_images(), partial(adversarial_training, TwoClasses())
    with refuses(ValueError, "method", "madry", "'magic'"):
        train(data, epochs=1, epsilon=0.1, method="magic")
    with refuses(ValueError, "epochs", "-1"):
        train(data, epochs=-1, epsilon=0.1)
    with refuses(ValueError, "warm_up", "-2"):
        train(data, epochs=1, epsilon=0.1, warm_up=-2)
    with refuses(ValueError, "alpha", "1.5"):
        train(data, epochs=1, epsilon=0.1, method="fgsm", alpha=1.5)
    with refuses(ValueError, "epsilon", "8/255"):
        train(data, epochs=1, epsilon=8)
    for method in METHODS:
        with refuses(ValueError, "images", "[0, 1]"):
            train(TensorDataset(255 * data.tensors[0], data.tensors[1]), epochs=1, epsilon=0.1, method=method)


def test_every_method_takes_one_image_and_leaves_the_model_in_training_mode() -> None:
    for method, norm in itertools.product(METHODS, ("linf", "l2")):
        model = nn.Sequential(TwoClasses(), nn.Dropout(0.5)).train()
        data = TensorDataset(*(tensor[:1] for tensor in grey_images().tensors))
        history = adversarial_training(model, data, epochs=1, epsilon=0.1, norm=norm, **fast(method))
        assert math.isfinite(history[0])
        assert all(module.training for module in model.modules())
