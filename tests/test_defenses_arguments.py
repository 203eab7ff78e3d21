"""Every argument of every defence reaches something that it changes; what applies to nothing is refused."""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import attacks, defenses
from tml_helpers.common import GradientMaskingWarning, margin
from tml_helpers.distillation import distill
from tml_helpers.training import cross_entropy, fit


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


IMAGES = 0.3 + 0.4 * torch.rand(24, 1, 4, 4, generator=seeded())
LABELS = (IMAGES.flatten(1)[:, :8].sum(dim=1) > IMAGES.flatten(1)[:, 8:].sum(dim=1)).long()
DATA = TensorDataset(IMAGES, LABELS)


def network(classes: int = 2, seed: int = 0) -> nn.Module:
    """A smooth network that has learned something, so that attacks have something to take from it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, classes))
        fit(model, DATA, epochs=60, batch_size=8, learning_rate=0.02, generator=seeded())
    return model


NETWORKS = {classes: network(classes) for classes in (2, 3)}


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    """The sizes of the batches that the model is asked about."""
    sizes: list[int] = []
    handle = model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    yield sizes
    handle.remove()


def trained(by: Callable[..., list[float]], classes: int = 2, **given: Any) -> list[Tensor]:
    """What a training makes of a copy of the same network: its history, its weights, the batches that it saw."""
    model = copy.deepcopy(NETWORKS[classes])
    with counted(model) as sizes:
        history = by(model, data=DATA, **({"epochs": 2, "batch_size": 16, "generator": seeded()} | given))
    return [torch.tensor(history, device="cpu", dtype=torch.float64), weights(model), torch.tensor(sizes, device="cpu")]


def distilled(model: nn.Module, data: TensorDataset, **given: Any) -> list[float]:
    return distill(model, NETWORKS[2], data, **given)


def loss_of(of: Callable[..., Tensor], **given: Any) -> list[Tensor]:
    """A loss, or images that were searched for, and the batches that the network saw."""
    with counted(NETWORKS[2]) as sizes:
        value = of(NETWORKS[2], IMAGES, LABELS, **({"generator": seeded()} | given)).detach()
    return [value, torch.tensor(sizes, device="cpu")]


def chances(**given: Any) -> list[Tensor]:
    return [defenses.null_probability(NETWORKS[3], IMAGES, LABELS, **({"generator": seeded()} | given))]


def smoothed(**given: Any) -> list[Tensor]:
    """What a smoothed network answers as a network."""
    defense = defenses.RandomizedSmoothing(NETWORKS[2], **({"sigma": 0.3, "generator": seeded()} | given))
    with counted(NETWORKS[2]) as sizes:
        answer = defense(IMAGES)
    return [answer, torch.tensor(sizes, device="cpu")]


def asked(question: str, **given: Any) -> list[Tensor]:
    """What a smoothed network says to a question of its own."""
    defense = defenses.RandomizedSmoothing(NETWORKS[2], sigma=0.3)
    with counted(NETWORKS[2]) as sizes:
        answer = getattr(defense, question)(IMAGES, **({"n": 50, "generator": seeded()} | given))
    found = [answer.classes, answer.radii] if question == "certify" else [answer]
    return [*found, torch.tensor(sizes, device="cpu")]


class Decoder(nn.Module):
    """z ↦ sigmoid(A z), images of 4×4, for latents of any length."""

    def forward(self, latents: Tensor) -> Tensor:
        matrix = torch.randn(16, latents.shape[1], generator=seeded(), device="cpu", dtype=torch.float32)
        return (latents @ matrix.T).sigmoid().view(-1, 1, 4, 4)


def projected(**given: Any) -> list[Tensor]:
    how = {"decoder": Decoder(), "latent": 3, "steps": 5, "restarts": 2, "generator": seeded()} | given
    with counted(how["decoder"]) as sizes:
        answer = defenses.DefenseGAN(NETWORKS[2], **how)(IMAGES)
    return [answer.detach(), torch.tensor(sizes, device="cpu")]


def squeezed(false_positive_rate: float = 0.2, **given: Any) -> list[Tensor]:
    detector = defenses.FeatureSqueezing(NETWORKS[2], **given)
    threshold = detector.calibrate(IMAGES, false_positive_rate=false_positive_rate)
    return [torch.tensor(threshold, dtype=torch.float64, device="cpu"), detector.score(IMAGES), detector.detect(IMAGES)]


def bounded(**given: Any) -> list[Tensor]:
    return [defenses.clopper_pearson_bound(torch.tensor([80], device="cpu"), **({"n": 100, "alpha": 0.05} | given))]


def squared_error(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.mse_loss(model(images), F.one_hot(labels, 2).float())


def minus_margin(logits: Tensor, labels: Tensor) -> Tensor:
    return -margin(logits, labels)


# Of each call, by name, two values that must make a difference; a generator is said by its seed, as a teacher is.
MADE = {"generator": seeded, "teacher": lambda seed: network(seed=seed)}
TRAINED = {"epochs": (2, 3), "learning_rate": (1e-3, 1e-2), "batch_size": (8, 12), "generator": (0, 1)}
BALL = {"epsilon": (0.1, 0.2), "norm": ("linf", "l2")}
SEARCH = {"steps": (2, 3), "step_size": (0.01, 0.05)}
HARD = TRAINED | BALL | {"warm_up": (0, 1)}
FRIENDLY, TRADES = {"tau": (0, 3)}, {"beta": (1.0, 6.0)}
hardened = partial(trained, defenses.adversarial_training, epsilon=0.2)
VALUES: dict[str, tuple[Callable[..., list[Tensor]], dict[str, tuple[Any, Any]]]] = {
    "fit": (partial(trained, fit), TRAINED | {"loss": (cross_entropy, squared_error)}),
    "distill": (partial(trained, distilled), TRAINED | {"temperature": (2.0, 4.0), "alpha": (0.5, 0.9)}),
    "defensive_distillation": (
        partial(trained, defenses.defensive_distillation),
        TRAINED | {"temperature": (2.0, 4.0), "teacher": (2, 3)},
    ),
    "null_label_training": (
        partial(trained, defenses.null_label_training, classes=3, initial_epochs=2),
        TRAINED | {"initial_epochs": (1, 2), "magnitude": (0.1, 0.3)},
    ),
    "fgsm": (partial(hardened, method="fgsm"), HARD | {"alpha": (0.2, 0.8)}),
    "madry": (partial(hardened, method="madry"), HARD | SEARCH),
    "friendly": (partial(hardened, method="friendly"), HARD | SEARCH | FRIENDLY),
    "trades": (partial(hardened, method="trades"), HARD | SEARCH | TRADES),
    "friendly_trades": (partial(hardened, method="friendly_trades"), HARD | SEARCH | TRADES | FRIENDLY),
    "trades_loss": (
        partial(loss_of, defenses.trades_loss, epsilon=0.2),
        BALL | SEARCH | TRADES | {"tau": (None, 0), "generator": (0, 1)},
    ),
    "friendly_pgd": (
        partial(loss_of, defenses.friendly_pgd, epsilon=0.2),
        BALL | SEARCH | FRIENDLY | {"generator": (0, 1), "random_start": (True, False), "loss": (margin, minus_margin)},
    ),
    "noisy_cross_entropy": (
        partial(loss_of, defenses.noisy_cross_entropy, sigma=0.2),
        {"sigma": (0.2, 0.4), "generator": (0, 1)},
    ),
    "null_probability": (chances, {"magnitude": (0.02, 0.1)}),
    "RandomizedSmoothing": (
        smoothed,
        {"sigma": (0.1, 0.5), "n": (20, 30), "batch_size": (50, 60), "generator": (0, 1)},
    ),
    "counts": (partial(asked, "counts"), {"n": (20, 30), "generator": (0, 1)}),
    "predict": (partial(asked, "predict"), {"n": (50, 60), "alpha": (0.9, 1e-9), "generator": (0, 1)}),
    "certify": (
        partial(asked, "certify"),
        {"n": (50, 60), "n0": (10, 20), "alpha": (0.3, 0.01), "generator": (0, 1)},
    ),
    "DefenseGAN": (
        projected,
        {"latent": (3, 4), "steps": (5, 6), "restarts": (2, 3), "step_size": (0.2, 0.1), "generator": (0, 1)},
    ),
    "FeatureSqueezing": (squeezed, {"false_positive_rate": (0.2, 0.5), "squeezers": (None, [torch.zeros_like])}),
    "clopper_pearson_bound": (bounded, {"n": (100, 90), "alpha": (0.05, 0.01)}),
}
CASES = [
    pytest.param(call, name, *values, id=f"{of}-{name}")
    for of, (call, by_name) in VALUES.items()
    for name, values in by_name.items()
]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize(("call", "name", "one", "other"), CASES)
def test_another_value_gives_another_result(call: Callable[..., list[Tensor]], name: str, one: Any, other: Any) -> None:
    make = MADE.get(name, lambda value: value)
    first, again, changed = (call(**{name: make(value)}) for value in (one, one, other))
    assert same(first, again), "the same arguments give the same result"
    assert not same(first, changed), f"{name} reaches nothing"


OWN = {"fgsm": {"alpha"}, "madry": set(), "friendly": {"tau"}, "trades": {"beta"}, "friendly_trades": {"beta", "tau"}}
OWN = {method: own if method == "fgsm" else own | {"steps", "step_size"} for method, own in OWN.items()}


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("name", ["steps", "step_size", "alpha", "beta", "tau"])
def test_a_number_of_another_method_is_refused(method: str, name: str) -> None:
    with nullcontext() if name in OWN[method] else refuses(ValueError, name, f"method is '{method}'"):
        hardened(method=method, **{name: 1})


def test_what_is_not_given_is_what_the_docstring_says() -> None:
    for method, numbers in (
        ("fgsm", {"alpha": 0.5}),
        ("madry", {"steps": 10, "step_size": 2.5 * 0.2 / 10}),
        ("friendly", {"steps": 10, "step_size": 2.5 * 0.2 / 10}),
        ("trades", {"steps": 10, "step_size": 2.5 * 0.2 / 10, "beta": 6.0}),
        ("friendly_trades", {"steps": 10, "step_size": 2.5 * 0.2 / 10, "beta": 6.0}),
    ):
        assert same(hardened(method=method), hardened(method=method, **numbers))
    assert same(hardened(), hardened(method="madry"))
    of_null = partial(trained, defenses.null_label_training, classes=3)
    assert same(of_null(), of_null(initial_epochs=3))


def test_networks_are_asked_as_often_as_the_methods_say() -> None:
    everything = len(IMAGES)
    assert projected(steps=5, restarts=2)[-1].tolist() == [2 * everything] * (5 + 1), "each step, and at last"
    assert smoothed(n=20, batch_size=50)[-1].tolist() == [50] * 9 + [everything * 20 - 9 * 50]
    assert int(asked("certify", n0=10, n=20)[-1].sum()) == (10 + 20) * everything
    full = {"epsilon": 0.2, "steps": 3}
    assert loss_of(defenses.friendly_pgd, tau=3, **full)[-1].tolist() == [everything] * 3
    assert loss_of(defenses.trades_loss, **full)[-1].tolist() == [everything] * (1 + 3 + 2)
    with counted(NETWORKS[3]) as sizes:
        chances()
    assert sizes == [1] + [everything] * (1 + 29), "a look at its outputs, a gradient, 29 numbers of pixels"


def generated() -> dict[str, Callable[[Any], object]]:
    """Whatever takes a generator, asked with something that is none."""
    calls = {of: call for of, (call, by_name) in VALUES.items() if "generator" in by_name}
    return calls | {"null_probability": chances}


@pytest.mark.parametrize("call", generated().values(), ids=generated())
def test_a_seed_is_no_generator(call: Callable[..., object]) -> None:
    with refuses(TypeError, "generator", "got 0", "manual_seed"):
        call(generator=0)


# --- what is no model, no image and no number ---


class Answering(nn.Module):
    """Another answer than logits; it has weights to be trained."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.answer, self.inner = answer, copy.deepcopy(NETWORKS[2])

    def forward(self, images: Tensor) -> Any:
        return self.answer(self.inner(images))


NO_MODELS: dict[str, Any] = {
    "a tuple": Answering(lambda logits: (logits,)),
    "a dictionary": Answering(lambda logits: {"logits": logits}),
    "None for an answer": Answering(lambda _: None),
    "a function": lambda images: NETWORKS[2](images),
    "no model": None,
    "other sizes": nn.Sequential(nn.Flatten(), nn.Linear(17, 2)),
    "other channels": nn.Sequential(nn.Conv2d(3, 2, 4), nn.Flatten()),
}
OF_A_MODEL: dict[str, Callable[[Any], object]] = {
    **{
        method: partial(defenses.adversarial_training, data=DATA, epochs=1, epsilon=0.1, method=method)
        for method in ("fgsm", "madry", "friendly", "trades", "friendly_trades")
    },
    "defensive_distillation": partial(defenses.defensive_distillation, data=DATA, epochs=1),
    "null_label_training": partial(defenses.null_label_training, data=DATA, epochs=1, classes=3, initial_epochs=1),
    "trades_loss": partial(defenses.trades_loss, images=IMAGES, labels=LABELS, epsilon=0.1),
    "friendly_pgd": partial(defenses.friendly_pgd, images=IMAGES, labels=LABELS, epsilon=0.1),
    "noisy_cross_entropy": partial(defenses.noisy_cross_entropy, images=IMAGES, labels=LABELS, sigma=0.2),
    "null_probability": partial(defenses.null_probability, images=IMAGES, labels=LABELS),
    "RandomizedSmoothing.certify": lambda model: defenses.RandomizedSmoothing(model, sigma=0.1).certify(IMAGES, n=5),
    "FeatureSqueezing.calibrate": lambda model: defenses.FeatureSqueezing(model).calibrate(IMAGES),
    "DefenseGAN": lambda model: defenses.DefenseGAN(model, decoder=Decoder(), latent=3)(IMAGES),
}


BY_PYTORCH = ("defensive_distillation", "noisy_cross_entropy", "DefenseGAN")
STILL_PYTORCHS_WORDS = {"other sizes": BY_PYTORCH, "other channels": BY_PYTORCH}


@pytest.mark.parametrize(
    ("of", "kind"),
    [(of, kind) for of in OF_A_MODEL for kind in NO_MODELS if of not in STILL_PYTORCHS_WORDS.get(kind, ())],
)
def test_what_is_no_model_is_one_sentence(of: str, kind: str) -> None:
    with refuses((TypeError, ValueError)):
        OF_A_MODEL[of](copy.deepcopy(NO_MODELS[kind]))


BAD_IMAGES = {"uint8": (255 * IMAGES).byte(), "0…255": 255 * IMAGES, "NaN": IMAGES * torch.nan, "one": IMAGES[0]}
OF_IMAGES: dict[str, Callable[[Tensor], object]] = {
    "reduce_bit_depth": partial(defenses.reduce_bit_depth, bits=4),
    "median_filter": partial(defenses.median_filter, size=3),
    "calibrate": lambda images: defenses.FeatureSqueezing(NETWORKS[2]).calibrate(images),
    "certify": lambda images: defenses.RandomizedSmoothing(NETWORKS[2], sigma=0.1).certify(images, n=5),
    "null_probability": lambda images: defenses.null_probability(NETWORKS[3], images, LABELS),
    "friendly_pgd": lambda images: defenses.friendly_pgd(NETWORKS[2], images, LABELS, epsilon=0.1),
    "trades_loss": lambda images: defenses.trades_loss(NETWORKS[2], images, LABELS, epsilon=0.1),
    "noisy_cross_entropy": lambda images: defenses.noisy_cross_entropy(NETWORKS[2], images, LABELS, sigma=0.2),
    "DefenseGAN": lambda images: defenses.DefenseGAN(NETWORKS[2], decoder=Decoder(), latent=3)(images),
}


@pytest.mark.parametrize("of", OF_IMAGES)
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_what_are_no_images_is_one_sentence(of: str, kind: str) -> None:
    with refuses((TypeError, ValueError)):
        OF_IMAGES[of](BAD_IMAGES[kind])


@pytest.mark.parametrize("value", [1.5, True, 0, 9, "two"])
@pytest.mark.parametrize(("squeeze", "name"), [(defenses.reduce_bit_depth, "bits"), (defenses.median_filter, "size")])
def test_bits_and_windows_are_whole(squeeze: Callable[..., Tensor], name: str, value: Any) -> None:
    with refuses((TypeError, ValueError), name):
        squeeze(IMAGES, **{name: value})


def test_a_threshold_is_never_nan() -> None:
    with refuses(ValueError, "finite"):
        defenses.FeatureSqueezing(Answering(lambda logits: logits * torch.nan)).calibrate(IMAGES)


COUNTED = [
    (call, name)
    for call, by_name in VALUES.values()
    for name, (one, _) in by_name.items()
    if isinstance(one, int | float) and not isinstance(one, bool) and name not in MADE
]


@pytest.mark.parametrize(("call", "name"), COUNTED)
@pytest.mark.parametrize("value", [float("nan"), "two", -1e9], ids=str)
def test_a_number_without_sense_is_one_sentence(call: Callable[..., object], name: str, value: Any) -> None:
    with refuses((TypeError, ValueError), name.removeprefix("initial_")):
        call(**{name: value})


# --- a model without a gradient ---


class Steps(nn.Module):
    """Its answer goes through an argmax: its parameters get a gradient, and its input none."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes))

    def forward(self, images: Tensor) -> Tensor:
        bright = images.flatten(1)[:, :8].sum(dim=1) > images.flatten(1)[:, 8:].sum(dim=1)
        return F.one_hot(bright.long(), len(self.scale)) * self.scale


SEARCHES: dict[str, Callable[[nn.Module], object]] = {
    method: partial(defenses.adversarial_training, data=DATA, epochs=1, epsilon=0.1, method=method)
    for method in ("fgsm", "madry", "friendly", "trades", "friendly_trades")
}
SEARCHES |= {
    "trades_loss": partial(defenses.trades_loss, images=IMAGES, labels=LABELS, epsilon=0.1),
    "friendly_pgd": partial(defenses.friendly_pgd, images=IMAGES, labels=LABELS, epsilon=0.1, random_start=False),
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("trains", [True, False])
def test_a_search_without_a_gradient_warns(search: Callable[[nn.Module], object], trains: bool) -> None:
    if not trains and isinstance(search, partial) and search.func is defenses.adversarial_training:
        return  # nothing to train
    with pytest.warns(GradientMaskingWarning, match="zero for"):
        search(Steps(2).requires_grad_(trains))


@pytest.mark.parametrize("trains", [True, False])
def test_a_null_probability_without_a_gradient_warns_and_is_that_of_unchanged_images(trains: bool) -> None:
    with pytest.warns(GradientMaskingWarning, match="zero for 24 of 24"):
        found = defenses.null_probability(Steps(3).requires_grad_(trains), IMAGES, LABELS)
    assert not found.any()


# --- a defence is a network that can be judged ---


def test_feature_squeezing_answers_as_its_network_does() -> None:
    torch.testing.assert_close(defenses.FeatureSqueezing(NETWORKS[2])(IMAGES), NETWORKS[2](IMAGES))


def test_a_smoothed_networks_logits_are_those_of_its_counts() -> None:
    defense = defenses.RandomizedSmoothing(NETWORKS[3], sigma=0.3, n=40, generator=seeded(2))
    counts = defense.counts(IMAGES, n=40, generator=seeded(2))
    logits = defense(IMAGES)
    assert logits.dtype == IMAGES.dtype
    torch.testing.assert_close(logits.exp() * 43, counts.float() + 1)
    assert not torch.equal(defense(IMAGES), logits), "noise of its own for each call"


@pytest.mark.parametrize("kind", ["DefenseGAN", "FeatureSqueezing", "RandomizedSmoothing"])
def test_evaluate_judges_a_defence(kind: str) -> None:
    model = NETWORKS[2]
    defense = {
        "DefenseGAN": lambda: defenses.DefenseGAN(model, decoder=Decoder(), latent=3, steps=3, generator=seeded()),
        "FeatureSqueezing": lambda: defenses.FeatureSqueezing(model),
        "RandomizedSmoothing": lambda: defenses.RandomizedSmoothing(model, sigma=0.05, n=20, generator=seeded()),
    }[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientMaskingWarning)
        found = attacks.evaluate(defense, IMAGES, LABELS, epsilon=0.3, ensemble={"PGD": attacks.pgd}, sanity=False)
    masked = kind != "FeatureSqueezing"
    assert any("gradient is zero" in note for note in found.notes) == masked
    assert found.clean_accuracy - found.robust_accuracy > 0.5 or masked
