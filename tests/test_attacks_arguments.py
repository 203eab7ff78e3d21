"""Every argument reaches what it changes, every draw comes from the generator, and a missing gradient is said."""

import copy
import dataclasses
import functools
import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import attacks
from tml_helpers.attacks import GradientMaskingWarning, sanity
from tml_helpers.models import GAN

N, CLASSES, SHAPE = 6, 5, (2, 8, 8)
SIZE = math.prod(SHAPE)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def net(seed: int = 0) -> nn.Module:
    """A curved random network in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 12), nn.Tanh(), nn.Linear(12, CLASSES)).double()
    made[1].weight.data *= 5
    made[3].weight.data *= torch.linspace(0.5, 3.0, CLASSES)[:, None]
    return made.eval()


@functools.cache
def with_a_far_rival() -> nn.Module:
    """The same, but the likeliest class after the first, which is 4, is out of reach: both rise and fall together."""
    made = copy.deepcopy(net())
    made[3].weight.data[3] = 0.98 * made[3].weight[4]
    made[3].bias.data[3] = made[3].bias[4] - 0.1
    return made


@functools.cache
def gan(seed: int = 0) -> GAN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = nn.Sequential(nn.Linear(4, SIZE), nn.Sigmoid(), nn.Unflatten(1, SHAPE)).double()
        return GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 4)).double())


IMAGES = 0.2 + 0.6 * torch.rand(N, *SHAPE, dtype=torch.float64, generator=seeded(5))
OTHERS = torch.rand(N, *SHAPE, dtype=torch.float64, generator=seeded(6))
LABELS = net()(IMAGES).argmax(dim=1)
TARGETS = (LABELS + 1) % CLASSES
PATCH = OTHERS[0, :, :3, :3]


def softly(asked: Tensor) -> Tensor:
    return (3 * asked).sin().flatten(1).sum(dim=1)


class Asked:
    """An attack that notes what it is handed, with the first number that its generator draws, and finds nothing."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def __call__(self, model, images, labels, *, epsilon, norm, generator, **_):
        self.noted.append((epsilon, norm, generator and first_number(generator)))
        return images


def copy_of(generator: torch.Generator) -> torch.Generator:
    twin = torch.Generator()
    twin.set_state(generator.get_state())
    return twin


def first_number(generator: torch.Generator) -> int:
    return int(torch.randint(10**9, (), generator=copy_of(generator), device="cpu"))


class Together(dict[str, Any]):
    """Values of several arguments, where one alone is refused."""


def noted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of an ensemble, whose outcome is also what an attack of the ensemble was handed."""

    def run(*batch, ensemble=None, **how):
        asked = Asked()
        found = function(*batch, ensemble={"asked": asked, **(ensemble or QUICK)}, **how)
        return found, asked.noted

    return run


def trained(model: nn.Module, images: Tensor, **how: Any) -> Tensor:
    """What a copy answers after training, which is done in place."""
    return attacks.train_substitute(copy.deepcopy(model), images, **how)(IMAGES).detach()


def fresh_network(*batch, network, **how):
    return attacks.substitute(*batch, network=copy.deepcopy(network), **how)


def from_uniform(transform: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **how: transform(**how)(IMAGES, seeded())


QUICK = {"Square": functools.partial(attacks.square, queries=5)}
BATCH = (net(), IMAGES, LABELS)
POSE = [attacks.random_pose(max_rotation=30)]
PLACED = {"location": (1, 2), "max_rotation": 40, "scales": (0.5, 1.2), "generator": seeded(1)}
UNIVERSAL = {"epsilon": 0.1, "norm": "l2", "epochs": 2, "step_size": 0.01, "loss_cap": 1.5, "batch_size": 4}
LATENT = {"gan": gan(1), "max_radius": 3.0, "step": 0.5, "samples": 7, "patience": 12}
COPY = {"rounds": 1, "epochs": 1, "step_size": 0.3, "learning_rate": 0.1, "generator": seeded(1)}
AIM = {"targets": TARGETS}
DRAW = {"generator": seeded(1)}

SAMPLES = Together(samples=3, rotations=None, translations=None)

# What is called (if it is not the function itself), its arguments, and for each keyword another value.
Case = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "fgsm": (attacks.fgsm, BATCH, {"epsilon": 0.1}, {"epsilon": 0.2, "norm": "l2", **AIM}),
    "pgd": (
        attacks.pgd,
        BATCH,
        {"epsilon": 0.3, "steps": 5},
        {
            "epsilon": 0.2,
            "norm": "l2",
            "steps": 6,
            "step_size": 0.01,
            "random_start": False,
            "tau": 0,
            "loss": attacks.margin,
            **AIM,
            **DRAW,
        },
    ),
    "deepfool": (
        attacks.deepfool,
        (with_a_far_rival(), IMAGES, LABELS),
        {"overshoot": 0.0},
        {"norm": "linf", "steps": 1, "overshoot": 0.1, "candidates": 1, "epsilon": 0.01, **AIM},
    ),
    "carlini_wagner": (
        attacks.carlini_wagner,
        BATCH,
        {"search_steps": 3, "steps": 20, "initial_constant": 3.0},
        {
            "confidence": 0.1,
            "search_steps": 2,
            "steps": 10,
            "learning_rate": 0.05,
            "initial_constant": 2.0,
            "epsilon": 0.01,
            **AIM,
        },
    ),
    "boundary": (
        attacks.boundary,
        BATCH,
        {"queries": 40},
        {"queries": 41, "start": OTHERS, "tries": 0, **AIM, **DRAW},
    ),
    "square": (
        attacks.square,
        BATCH,
        {"epsilon": 0.01, "queries": 20},
        {"epsilon": 0.02, "norm": "l2", "queries": 10, "initial_share": 0.1, **AIM, **DRAW},
    ),
    "zoo": (
        attacks.zoo,
        BATCH,
        {"queries": 400, "coordinates": 20, "constant": 99.0, "learning_rate": 0.05},
        {
            "queries": 100,
            "constant": 30.0,
            "confidence": 0.1,
            "solver": "newton",
            "coordinates": 10,
            "learning_rate": 0.03,
            "h": 0.2,
            **AIM,
            **DRAW,
        },
    ),
    "estimate_gradient": (
        attacks.estimate_gradient,
        (softly, IMAGES),
        {},
        {"coordinates": torch.ones(N, 1, dtype=torch.int64), "h": 0.1},
    ),
    "estimate_hessian": (
        attacks.estimate_hessian,
        (softly, IMAGES),
        {},
        {"coordinates": torch.ones(N, 1, dtype=torch.int64), "h": 0.2},
    ),
    "wasserstein": (
        attacks.wasserstein,
        BATCH,
        {"epsilon": 0.2, "steps": 3},
        {
            "epsilon": 0.3,
            "steps": 2,
            "step_size": 0.05,
            "regularization": 10.0,
            "rounds": 2,
            "window": 3,
            **AIM,
        },
    ),
    "project_wasserstein": (
        attacks.project_wasserstein,
        (OTHERS, IMAGES),
        {"epsilon": 0.2, "rounds": 3},
        {"epsilon": 0.3, "regularization": 10.0, "rounds": 5, "window": 3},
    ),
    "sparse_l0": (
        attacks.sparse_l0,
        BATCH,
        {"epsilon": 5, "steps": 4},
        {"epsilon": 6, "steps": 0, "step_size": 1.0, **AIM, **DRAW},
    ),
    "spatial": (
        attacks.spatial,
        BATCH,
        {"max_rotation": 30, "max_translation": 2, "rotations": 3, "translations": 3},
        {"max_rotation": 20, "max_translation": 1, "rotations": 2, "translations": 2, "samples": SAMPLES, **AIM},
    ),
    "expectation_over_transformation": (
        attacks.expectation_over_transformation,
        BATCH,
        {"transformations": POSE, "epsilon": 0.2, "samples": 2, "steps": 3},
        {
            "transformations": [attacks.random_noise(deviation=0.5)],
            "epsilon": 0.1,
            "norm": "l2",
            "samples": 3,
            "steps": 2,
            "step_size": 0.01,
            **AIM,
            **DRAW,
        },
    ),
    "place_patch": (attacks.place_patch, (IMAGES, PATCH), {}, PLACED),
    "universal": (attacks.universal, BATCH, {"epsilon": 0.3, "batch_size": 5}, {**UNIVERSAL, **AIM, **DRAW}),
    "universal_perturbation": (
        attacks.universal_perturbation,
        BATCH,
        {"epsilon": 0.3, "batch_size": 5},
        {**UNIVERSAL, **AIM, **DRAW},
    ),
    "train_substitute": (
        trained,
        (net(1), IMAGES),
        {"oracle": net(), "rounds": 2, "epochs": 2},
        {"oracle": net(2), **COPY},
    ),
    "substitute": (
        fresh_network,
        BATCH,
        {"epsilon": 0.2, "network": net(1), "seed_images": OTHERS, "rounds": 2, "epochs": 2},
        {
            "epsilon": 0.1,
            "network": net(2),
            "seed_images": OTHERS[:2],
            "norm": "l2",
            **COPY,
            "attack": attacks.fgsm,
            **AIM,
        },
    ),
    "latent_search": (
        attacks.latent_search,
        BATCH,
        {"gan": gan(), "samples": 8},
        {**LATENT, **AIM, **DRAW},
    ),
    "natural_adversaries": (
        attacks.natural_adversaries,
        BATCH,
        {"gan": gan(), "samples": 8},
        {**LATENT, **AIM, **DRAW},
    ),
    "goals": (
        attacks.goals,
        BATCH,
        {"adversarial": OTHERS, "targets": TARGETS},
        {"adversarial": IMAGES, "targets": None, "source": int(LABELS[0])},
    ),
    "runner_up_pgd": (
        attacks.runner_up_pgd,
        BATCH,
        {"epsilon": 0.02, "steps": 5},
        {"epsilon": 0.03, "norm": "l2", "ranks": 1, "steps": 4, **DRAW},
    ),
    "evaluate": (
        noted(attacks.evaluate),
        BATCH,
        {"epsilon": 0.2},
        {"epsilon": 0.1, "norm": "l2", "ensemble": {"FGSM": attacks.fgsm}, "each_alone": True, "sanity": False, **DRAW},
    ),
    "robustness_curve": (
        noted(attacks.robustness_curve),
        BATCH,
        {"epsilons": [0.1, 0.2]},
        {"epsilons": [0.1], "norm": "l2", "ensemble": {"FGSM": attacks.fgsm}, **DRAW},
    ),
    "random_pose": (
        from_uniform(attacks.random_pose),
        (),
        {},
        {"max_rotation": 20.0, "max_shift": 1.0, "scales": (0.5, 0.6)},
    ),
    "random_light": (from_uniform(attacks.random_light), (), {}, {"brightness": 0.1, "contrast": 0.1}),
    "random_blur": (from_uniform(attacks.random_blur), (), {"max_sigma": 1.0}, {"max_sigma": 2.0}),
    "random_noise": (from_uniform(attacks.random_noise), (), {"deviation": 0.1}, {"deviation": 0.2}),
}
for name in ("adversarial_patch", "patch"):
    patching = {"step_size": 0.2, **AIM, "batch_size": 2, "size": 4, "steps": 4}
    CASES[name] = (getattr(attacks, name), BATCH, {"size": 3, "steps": 3}, {**PLACED, **patching})


def takes_a_generator(name: str) -> bool:
    return "generator" in inspect.signature(getattr(attacks, name)).parameters


def outcome(name: str, **changes: Any) -> Any:
    """What a function returns for the arguments of its case, with some of them changed, and seed 0."""
    function, positional, how, _ = CASES[name]
    how = ({"generator": seeded()} if takes_a_generator(name) else {}) | how | changes
    if isinstance(how.get("generator"), torch.Generator):
        how["generator"] = copy_of(how["generator"])  # the one of the table stays as it is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientMaskingWarning)
        return function(*positional, **how)


def same(one: Any, other: Any) -> bool:
    """Whether two outcomes are equal, to the last digit of each tensor in them."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.shape == other.shape and torch.equal(one, other)
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@functools.cache
def usual(name: str) -> Any:
    return outcome(name)


def keywords(function: Callable[..., Any]) -> set[str]:
    return {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}


def test_each_public_function_with_keywords_is_here_with_each_of_its_keywords():
    functions = {name: getattr(attacks, name) for name in attacks.__all__}
    expected = {name: keywords(made) for name, made in functions.items() if inspect.isfunction(made) and keywords(made)}
    del expected["obfuscated_gradients"]  # has a test of its own
    del expected["ascend"]  # pgd hands its arguments on
    expected["spatial"] = expected["spatial"] - {"generator"}
    assert {name: set(case[3]) for name, case in CASES.items()} == expected


@pytest.mark.parametrize(("name", "argument"), [(name, word) for name, case in CASES.items() for word in case[3]])
def test_another_value_of_each_argument_gives_another_result(name, argument):
    assert same(usual(name), outcome(name)), "the same arguments give the same result"
    other = CASES[name][3][argument]
    assert not same(usual(name), outcome(name, **(other if isinstance(other, Together) else {argument: other})))


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("pgd", {"step_size": 2.5 * 0.3 / 5}),
        ("expectation_over_transformation", {"step_size": 2.5 * 0.2 / 3}),
        ("universal_perturbation", {"step_size": 0.3 / 5}),
        ("sparse_l0", {"step_size": SIZE / 2}),
    ],
)
def test_a_step_size_that_is_not_given_is_the_one_that_the_docstring_states(name, stated):
    assert same(usual(name), outcome(name, **stated))


# --- draws ---

DRAWING = {name: {} for name in CASES if takes_a_generator(name)} | {"spatial": SAMPLES}
every_draw = pytest.mark.parametrize("name", DRAWING)


@every_draw
def test_every_draw_comes_from_the_generator(name):
    """So equal seeds give equal results whatever PyTorch's own generator has drawn, which nothing touches."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = outcome(name, **DRAWING[name])
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        assert same(first, outcome(name, **DRAWING[name]))
        assert not same(first, outcome(name, **DRAWING[name], generator=seeded(1)))


@every_draw
def test_a_seed_is_no_generator(name):
    with refuses(TypeError, "generator must be a torch.Generator", "manual_seed"):
        outcome(name, **DRAWING[name], generator=0)


def test_the_checks_for_obfuscated_gradients_hand_on_the_ball_and_the_generator(monkeypatch):
    spies = {name: Asked() for name in ("fgsm", "pgd", "square", "random_points")}
    for name, spy in spies.items():
        monkeypatch.setattr(sanity, name, spy)
    for epsilon, norm, largest in ((0.1, "linf", 1.0), (0.3, "l2", math.sqrt(SIZE))):
        for spy in spies.values():
            spy.noted.clear()
        attacks.obfuscated_gradients(*BATCH, epsilon=epsilon, norm=norm, generator=seeded(3))
        given = (epsilon, norm, first_number(seeded(3)))
        assert spies["fgsm"].noted == spies["square"].noted == spies["random_points"].noted == [given]
        assert spies["pgd"].noted == [given, given, (2 * epsilon, *given[1:]), (largest, *given[1:])]


# --- how often the model is asked ---


class Counted(nn.Module):
    """Notes how many images each call asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.asked = net(), []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(len(images))
        return self.model(images)


@pytest.mark.parametrize(
    ("attack", "how", "expected"),
    [
        (attacks.fgsm, {"epsilon": 0.1}, [N]),
        (attacks.pgd, {"epsilon": 0.1, "steps": 7}, [N] * 7),
        (attacks.wasserstein, {"epsilon": 0.1, "steps": 3}, [N] * 3),
        (attacks.sparse_l0, {"epsilon": 3, "steps": 3}, [N] * 4),
        (attacks.spatial, {"max_rotation": 9, "max_translation": 1, "rotations": 2, "translations": 3}, [N] * 19),
        (attacks.spatial, {"max_rotation": 9, "max_translation": 1}, [N] * (1 + 31 * 25)),
        (attacks.spatial, {"max_rotation": 9, "max_translation": 1, "samples": 4}, [N] * 5),
        (
            attacks.expectation_over_transformation,
            {"transformations": POSE, "epsilon": 0.1, "samples": 4, "steps": 3},
            [4 * N] * 3,
        ),
        (attacks.adversarial_patch, {"size": 3, "steps": 3, "batch_size": 4}, [4] * 3),
        (attacks.universal_perturbation, {"epsilon": 0.1, "epochs": 2, "batch_size": 4}, [4, 2] * 2),
    ],
)
def test_the_model_is_asked_as_often_as_the_arguments_say(attack, how, expected):
    model = Counted()
    attack(model, IMAGES, LABELS, **how)
    assert model.asked == expected


# --- gradients that are missing ---


class Silent(nn.Module):
    """Class 0 for every image, without a gradient that says where to go."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.bias = nn.Parameter(torch.tensor([1.0, 0.5, 0.0, 0.0, 0.0]).double(), "frozen" not in kind)

    def forward(self, images: Tensor) -> Tensor:
        if "bias" in self.kind:
            return self.bias.expand(len(images), -1)
        if self.kind == "zeros without a graph":
            return torch.zeros(len(images), CLASSES, dtype=images.dtype)
        brightest = (images.flatten(1).amax(dim=1) > 2).long()  # never
        return F.one_hot(brightest, CLASSES).to(images.dtype)


SILENT = ["zeros without a graph", "a class through argmax", "a bias that is trained", "a bias that is frozen"]
every_silent_model = pytest.mark.parametrize("kind", SILENT)
ZEROS = torch.zeros_like(LABELS)
BY_GRADIENT = {
    name: (getattr(attacks, name), CASES[name][2])
    for name in [
        *("fgsm", "pgd", "deepfool", "carlini_wagner", "wasserstein", "sparse_l0", "runner_up_pgd", "patch"),
        *("adversarial_patch", "universal", "universal_perturbation", "expectation_over_transformation"),
    ]
}
STILL = {"transformations": [lambda images, _: images]}
BY_ANSWERS = ("boundary", "square", "zoo", "spatial", "latent_search")


@every_silent_model
@pytest.mark.parametrize("name", BY_GRADIENT)
def test_a_missing_gradient_is_zero_and_said(name, kind):
    attack, how = BY_GRADIENT[name]
    with pytest.warns(GradientMaskingWarning, match="gradient is zero for"):
        found = attack(Silent(kind), IMAGES, ZEROS, **how)
    assert torch.isfinite(found).all()


def test_an_image_needs_a_gradient_until_all_of_its_views_are_misread():
    class Hard(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return F.one_hot((images.flatten(1)[:, 0] > 0.5).long(), 2).double()

    how = {"transformations": [attacks.random_noise(deviation=0.3)], "epsilon": 0.1, "samples": 20, "steps": 1}
    grey = torch.full_like(IMAGES, 0.5)
    with pytest.warns(GradientMaskingWarning, match=f"zero for {N} of {N}"):
        attacks.expectation_over_transformation(Hard(), grey, ZEROS, **how, generator=seeded())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attacks.expectation_over_transformation(Hard(), 0 * grey, ZEROS + 1, **how | STILL)


@every_silent_model
@pytest.mark.parametrize("name", BY_ANSWERS)
@pytest.mark.filterwarnings("error")
def test_an_attack_by_answers_says_nothing_of_gradients(name, kind):
    assert torch.isfinite(getattr(attacks, name)(Silent(kind), IMAGES, ZEROS, **CASES[name][2])).all()


@pytest.mark.parametrize("kind", SILENT[::2])
def test_a_model_without_gradients_is_judged_and_the_judgement_says_that_it_means_nothing(kind):
    batch = (Silent(kind), IMAGES, ZEROS)
    found = attacks.evaluate(*batch, epsilon=0.1, generator=seeded())
    assert found.robust_accuracy == 1
    for name in ("FGSM", "PGD, cross-entropy", "PGD, margin", "PGD, targeted"):
        assert f"{name}: the gradient is zero for {N} of {N} images" in found.notes
    assert f"gradients are there: no, the gradient of the loss is zero for {N} of {N} images" in found.notes
    with pytest.warns(GradientMaskingWarning, match=f"ε = 0.1, FGSM: the gradient is zero for {N} of {N}"):
        assert attacks.robustness_curve(*batch, epsilons=[0.1], ensemble={"FGSM": attacks.fgsm}) == [1.0]


@pytest.mark.parametrize("kind", ["a bias that is trained", "a bias that is frozen"])
def test_a_copy_without_gradients_is_said(kind):
    """Its images stay where they are, so they say nothing of the oracle."""
    model = Silent(kind)
    model.other = nn.Parameter(torch.zeros(1).double())  # else nothing can be trained
    box = attacks.BlackBox(net())
    with pytest.warns(GradientMaskingWarning, match=f"gradient is zero for {N} of {N}"):
        attacks.train_substitute(model, IMAGES, oracle=box, rounds=2, epochs=int("trained" in kind))
    assert box.asked == [N, N]


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_a_model_may_change_its_input_in_place(name):
    class InPlace(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return CASES[name][1][0](images.neg_().neg_())

    attack, how = BY_GRADIENT[name]
    how = how | ({"generator": seeded()} if takes_a_generator(name) else {})
    assert same(attack(InPlace(), IMAGES, LABELS, **how), usual(name))


# --- a model that is none ---


class Answering(nn.Module):
    """Another answer than logits."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.answer, self.inner = answer, net()

    def forward(self, images: Tensor) -> Any:
        return self.answer(self.inner(images))


NO_MODELS: dict[str, Any] = {
    "a tuple": Answering(lambda logits: (logits,)),
    "a dictionary": Answering(lambda logits: {"logits": logits}),
    "None for an answer": Answering(lambda _: None),
    "one number for each": Answering(lambda logits: logits[:, 0]),
    "NaN": Answering(lambda logits: logits * math.nan),
    "a function": lambda images: net()(images),
    "no model": None,
    "other sizes": nn.Sequential(nn.Flatten(), nn.Linear(SIZE + 1, CLASSES)).double(),
    "other channels": nn.Sequential(nn.Conv2d(3, CLASSES, 8), nn.Flatten()).double(),
}
ASKING = {name: getattr(attacks, name) for name, case in CASES.items() if len(case[1]) > 1 and case[1][2:] == BATCH[2:]}
ASKING |= {"obfuscated_gradients": attacks.obfuscated_gradients}
every_method = pytest.mark.parametrize("name", ASKING)


def settings_of(name: str) -> dict[str, Any]:
    return dict(CASES[name][2]) if name in CASES else {"epsilon": 0.1}


@every_method
@pytest.mark.parametrize("kind", NO_MODELS)
def test_what_is_no_model_is_one_sentence(name, kind):
    with refuses((TypeError, ValueError), "model" if kind not in ("a function", "no model") else ""):
        ASKING[name](NO_MODELS[kind], IMAGES, LABELS, **settings_of(name))


BAD_IMAGES: dict[str, Tensor] = {
    "uint8": (255 * IMAGES).byte(),
    "0…255": 255 * IMAGES,
    "NaN": torch.full_like(IMAGES, math.nan),
    "none": IMAGES[:0],
    "no batch": IMAGES[0],
}


@every_method
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_what_are_no_images_is_one_sentence(name, kind):
    with refuses((TypeError, ValueError), "images"):
        ASKING[name](net(), BAD_IMAGES[kind], LABELS[: len(BAD_IMAGES[kind])], **settings_of(name))


NUMBERS = [
    (name, argument)
    for name, case in CASES.items()
    for argument, value in (case[3] | case[2]).items()
    if isinstance(value, int | float) and not isinstance(value, bool)
]


@pytest.mark.parametrize(("name", "argument"), NUMBERS)
@pytest.mark.parametrize("value", [math.nan, "two", -1e9], ids=str)
def test_a_number_without_sense_is_one_sentence(name, argument, value):
    with refuses((TypeError, ValueError), argument):
        outcome(name, **{argument: value})


# --- what does not apply is refused ---


@pytest.mark.parametrize(
    ("attack", "how", "words"),
    [
        (attacks.deepfool, {"candidates": 3, **AIM}, ("candidates", "targets")),
        (attacks.universal, {"epsilon": 0.1, "loss_cap": 3.0, **AIM}, ("loss_cap", "targets")),
        (
            attacks.spatial,
            {"max_rotation": 9, "max_translation": 1, "rotations": 3, "samples": 4},
            ("rotations", "give"),
        ),
        (
            attacks.spatial,
            {"max_rotation": 9, "max_translation": 1, "translations": 3, "samples": 4},
            ("translations",),
        ),
        (attacks.goals, {"adversarial": IMAGES, "source": 1}, ("source", "targets")),
    ],
)
def test_what_does_not_apply_is_refused(attack, how, words):
    with refuses(ValueError, *words):
        attack(*BATCH, **how)


def aimless(model, images, labels, *, epsilon):
    return images + epsilon / 2


def test_an_attack_is_handed_what_it_takes_and_targets_only_if_it_takes_them():
    found = attacks.evaluate(*BATCH, epsilon=0.1, ensemble={"x": aimless}, sanity=False, generator=seeded())
    assert list(found.after) == ["x"]
    copied = {"network": copy.deepcopy(net(1)), "seed_images": IMAGES, "rounds": 1, "epochs": 0}
    moved = attacks.substitute(*BATCH, epsilon=0.1, **copied, attack=aimless)
    torch.testing.assert_close(moved, IMAGES + 0.05)
    with refuses(TypeError, "takes no targets"):
        attacks.substitute(*BATCH, epsilon=0.1, **copied, attack=aimless, **AIM)
    partly = functools.partial(attacks.pgd, steps=2, random_start=False)
    everything = attacks.substitute(
        *BATCH, epsilon=0.1, norm="l2", **copied, attack=lambda *a, **k: partly(*a, **k), **AIM
    )
    assert same(everything, attacks.substitute(*BATCH, epsilon=0.1, norm="l2", **copied, attack=partly, **AIM))
    assert same(everything, partly(net(1), IMAGES, LABELS, epsilon=0.1, norm="l2", **AIM))
