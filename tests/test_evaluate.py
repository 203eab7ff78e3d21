"""The ensemble is the worst case image by image, agrees with closed forms, and is not taken in by masked gradients."""

import dataclasses
import functools
import math

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tml_helpers.attacks import sanity
from tml_helpers.attacks.evaluate import evaluate, robustness_curve, runner_up_pgd, standard_attacks
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.pgd import pgd
from tml_helpers.attacks.sanity import obfuscated_gradients, random_points
from tml_helpers.attacks.square import square
from tml_helpers.common import GradientMaskingWarning, margin, norms
from tml_helpers.data import mnist
from tml_helpers.models import MLP
from tml_helpers.training import seed_everything


class Wrapped(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class Loud(Wrapped):
    """The same answers, with logits so large that softmax rounds to 0 and 1: cross-entropy has no gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * self.model(images)


class Rounding(Wrapped):
    """Four grey levels: no loss has a gradient."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model((images * 3).round() / 3)


class Noisy(Wrapped):
    """Another answer each time."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images + 0.3 * torch.randn_like(images))


class FirstPixel(nn.Module):
    """Class 0 while the first pixel is less than one half, else class 1."""

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)[:, 0]
        return torch.stack([0.5 - x, x - 0.5], dim=1)


class TwoClasses(nn.Module):
    """Logits (w·x + b, 0)."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = w, b

    def forward(self, images: Tensor) -> Tensor:
        score = images.flatten(1) @ self.w + self.b
        return torch.stack([score, torch.zeros_like(score)], dim=1)


@pytest.fixture(scope="module")
def digits():
    test = mnist("test", source="default")
    return test.images[:60], test.labels[:60]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def zeros(count: int) -> tuple[Tensor, Tensor]:
    """Images of class 0 for `FirstPixel`; the second pixel numbers them."""
    images = torch.zeros(count, 1, 1, 2)
    images[:, 0, 0, 1] = torch.arange(count) / count
    return images, torch.zeros(count, dtype=torch.int64)


def breaks(*numbers: int, count: int, seen: list[int] | None = None, to: float = 0.9):
    """An attack that breaks the images with these numbers, and notes how many it was given."""

    def attack(model, images, labels, *, epsilon, norm, generator):
        if seen is not None:
            seen.append(len(images))
        found = images.clone()
        chosen = torch.isin((images[:, 0, 0, 1] * count).round().long(), torch.tensor(numbers))
        found[chosen, 0, 0, 0] = to
        return found

    return attack


QUICK = {"FGSM": fgsm, "PGD": functools.partial(pgd, steps=10, tau=0), "Square": functools.partial(square, queries=50)}


def linear() -> tuple[TwoClasses, Tensor, Tensor, Tensor]:
    """A linear model, images from whose balls of up to 0.2 no side of [0, 1] is reached, and signed scores."""
    generator = seeded(1)
    images = 0.3 + 0.4 * torch.rand(200, 1, 4, 4, generator=generator)
    w = torch.randn(16, generator=generator)
    scores = (images - 0.5).flatten(1) @ w
    return TwoClasses(w, float(-0.5 * w.sum())), images, (scores <= 0).long(), scores.abs()


# --- the ensemble ---


def test_an_image_stands_where_no_attack_broke_it():
    images, labels = zeros(10)
    attacks = {"a": breaks(0, 1, 2, count=10), "b": breaks(2, 3, count=10, to=0.7), "c": breaks(count=10)}
    found = evaluate(FirstPixel(), images, labels, epsilon=1.0, ensemble=attacks, each_alone=True, sanity=False)
    assert found.clean_accuracy == 1
    assert found.robust_accuracy == pytest.approx(0.6)
    assert found.after == pytest.approx({"a": 0.7, "b": 0.6, "c": 0.6})
    assert found.alone == pytest.approx({"a": 0.7, "b": 0.8, "c": 1.0})
    assert found.standing.tolist() == [False] * 4 + [True] * 6
    by_the_first = [0.9, 0.9, 0.9, 0.7] + [0.0] * 6
    assert found.adversarial[:, 0, 0, 0].tolist() == pytest.approx(by_the_first)
    assert found.checks == ()


def test_each_attack_gets_only_what_still_stands_and_all_where_each_is_asked_alone():
    images, labels = zeros(10)
    seen: list[int] = []
    attacks = {
        "a": breaks(0, 1, 2, count=10, seen=seen),
        "b": breaks(2, 3, count=10, seen=seen),
        "c": breaks(count=10, seen=seen),
    }
    arguments = {"epsilon": 1.0, "ensemble": attacks, "sanity": False}
    assert evaluate(FirstPixel(), images, labels, **arguments).alone == {}
    assert seen == [10, 7, 6]
    seen.clear()
    evaluate(FirstPixel(), images, labels, each_alone=True, **arguments)
    assert seen == [10, 10, 10]


def test_an_image_that_is_misread_from_the_start_is_neither_attacked_nor_counted():
    images, labels = zeros(10)
    labels[:3] = 1
    seen: list[int] = []
    attacks = {"a": breaks(0, 3, count=10, seen=seen)}
    found = evaluate(FirstPixel(), images, labels, epsilon=1.0, ensemble=attacks, sanity=False)
    assert seen == [7]
    assert (found.clean_accuracy, found.robust_accuracy) == pytest.approx((0.7, 0.6))
    assert torch.equal(found.adversarial[:3], images[:3])


def test_no_attack_alone_is_stronger(mlp, digits):
    images, labels = digits
    still = {"FGSM": fgsm, "PGD": functools.partial(pgd, random_start=False, steps=10)}
    still["margin"] = functools.partial(pgd, random_start=False, steps=10, loss=margin)
    found = evaluate(mlp, images, labels, epsilon=0.05, ensemble=still, sanity=False)
    for attack in still.values():
        left = mlp(attack(mlp, images, labels, epsilon=0.05)).argmax(dim=1) == labels
        assert not (found.standing & ~left).any()
    assert 0 < found.robust_accuracy < found.clean_accuracy


def test_the_standard_attacks_together_are_no_weaker_than_each(mlp, digits):
    found = evaluate(mlp, *digits, epsilon=0.05, each_alone=True, sanity=False, generator=seeded())
    assert list(found.after) == list(found.alone) == list(standard_attacks())
    assert found.robust_accuracy <= min(found.alone.values())
    assert list(found.after.values()) == sorted(found.after.values(), reverse=True)
    assert found.after["Square"] == found.robust_accuracy


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.8)])
def test_the_adversarial_images_are_in_the_ball_and_misread_where_the_image_fell(mlp, digits, norm, epsilon):
    images, labels = digits
    found = evaluate(mlp, images, labels, epsilon=epsilon, norm=norm, sanity=False, generator=seeded())
    right = mlp(found.adversarial).argmax(dim=1) == labels
    assert torch.equal(right, found.standing)
    assert norms(found.adversarial - images, norm).max() <= epsilon * (1 + 1e-5)
    assert 0 <= found.adversarial.min() <= found.adversarial.max() <= 1
    assert torch.equal(found.adversarial[found.standing], images[found.standing])


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.02), ("linf", 0.05), ("l2", 0.05), ("l2", 0.2)])
def test_on_a_linear_model_robust_accuracy_is_the_share_with_score_above_epsilon_times_the_dual_norm(norm, epsilon):
    model, images, labels, scores = linear()
    dual = model.w.abs().sum() if norm == "linf" else model.w.norm()
    found = evaluate(model, images, labels, epsilon=epsilon, norm=norm, sanity=False, generator=seeded())
    clear = (scores - epsilon * dual).abs() > 1e-3  # on the edge, rounding decides
    assert torch.equal(found.standing[clear], (scores > epsilon * dual)[clear])
    assert 0.05 < found.robust_accuracy < 0.95


def test_the_interval_is_that_of_clopper_and_pearson():
    images, labels = zeros(40)
    all_stand = evaluate(FirstPixel(), images, labels, epsilon=0.0, ensemble={"FGSM": fgsm}, sanity=False)
    assert dataclasses.astuple(all_stand.interval()) == pytest.approx((0.025 ** (1 / 40), 1.0))
    assert all_stand.interval(0.99).low == pytest.approx(0.005 ** (1 / 40))
    none = evaluate(FirstPixel(), images, labels, epsilon=1.0, ensemble={"FGSM": fgsm}, sanity=False)
    assert dataclasses.astuple(none.interval()) == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))


def test_the_standard_attacks_differ_in_loss_target_and_knowledge_and_all_rest_as_soon_as_they_have_won():
    made = {name: (getattr(a, "func", a), getattr(a, "keywords", {})) for name, a in standard_attacks().items()}
    assert made == {
        "FGSM": (fgsm, {}),
        "PGD, cross-entropy": (pgd, {"tau": 0}),
        "PGD, margin": (pgd, {"tau": 0, "loss": margin}),
        "PGD, targeted": (runner_up_pgd, {}),
        "Square": (square, {}),
    }


def test_with_two_classes_the_runner_up_is_the_other_one():
    model, images, labels, _ = linear()
    found, by_pgd = (
        attack(model, images, labels, epsilon=0.1, steps=10, generator=seeded(), **how)
        for attack, how in ((runner_up_pgd, {}), (pgd, {"targets": 1 - labels, "tau": 0, "loss": margin}))
    )
    assert torch.equal(found, by_pgd)


def test_targets_beyond_the_runner_up_are_tried():
    class Decoy(nn.Module):
        """Of class 0 everywhere near; class 1 comes second but never nearer; class 2 is far off, and can be reached."""

        def forward(self, images: Tensor) -> Tensor:
            x = images.flatten(1)[:, 0]
            return torch.stack([0 * x, 0 * x - 0.1, 3 * (x - 0.5) - 1], dim=1)

    images, labels = torch.full((4, 1, 1, 1), 0.5), torch.zeros(4, dtype=torch.int64)
    for ranks, reached in ((1, False), (2, True)):
        with pytest.warns(GradientMaskingWarning):
            found = runner_up_pgd(Decoy(), images, labels, epsilon=0.4, ranks=ranks, steps=10, generator=seeded())
        assert bool((Decoy()(found).argmax(dim=1) == 2).all()) is reached
    with refuses(ValueError, "ranks", "0"):
        runner_up_pgd(Decoy(), images, labels, epsilon=0.4, ranks=0)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (lambda model, images, labels, **ball: images + 0.02, ("too far", "left the ball", "0.02")),
        (lambda model, images, labels, **ball: images + 0.0101, ("too far", "left the ball", "0.0101")),
        (lambda model, images, labels, **ball: images - 0.01, ("too far", "no image", "[0, 1]")),
        (lambda model, images, labels, **ball: images * math.nan, ("too far", "no image")),
        (lambda model, images, labels, **ball: images[:1], ("too far", "shape")),
    ],
)
def test_an_attack_that_breaks_the_rules_is_named(attack, words):
    images, labels = zeros(4)
    with refuses(ValueError, *words):
        evaluate(FirstPixel(), images, labels, epsilon=0.01, ensemble={"too far": attack})


def test_other_warnings_of_an_attack_reach_the_reader():
    def grumbling(model, images, labels, **ball):
        import warnings

        warnings.warn("slow today", RuntimeWarning, stacklevel=2)
        return images

    images, labels = zeros(4)
    with pytest.warns(RuntimeWarning, match="slow today"):
        evaluate(FirstPixel(), images, labels, epsilon=0.01, ensemble={"one": grumbling}, sanity=False)


# --- robustness curves ---


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_curve_of_a_linear_model_is_the_distribution_of_its_margins(norm):
    model, images, labels, scores = linear()
    dual = model.w.abs().sum() if norm == "linf" else model.w.norm()
    epsilons = [0.0, 0.03, 0.08, 0.15]
    curve = robustness_curve(model, images, labels, epsilons=epsilons, norm=norm, ensemble=QUICK, generator=seeded())
    expected = [(scores > epsilon * dual).double().mean().item() for epsilon in epsilons]
    assert curve == pytest.approx(expected, abs=0.005)  # one image that lies on the edge


@given(st.sets(st.floats(0.01, 1), min_size=1, max_size=5), st.floats(0.01, 1))
def test_the_curve_never_rises_even_if_the_attack_is_weaker_in_larger_balls(epsilons, works_until):
    def fickle(model, images, labels, *, epsilon, norm, generator):
        found = images.clone()
        if epsilon <= works_until:
            found[: len(images) // 2, 0, 0, 0] += epsilon
        return found

    class Sharp(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            x = images.flatten(1)[:, 0]
            return torch.stack([0.005 - x, x - 0.005], dim=1)

    images, labels = zeros(8)
    curve = robustness_curve(Sharp(), images, labels, epsilons=sorted(epsilons), ensemble={"fickle": fickle})
    assert curve == sorted(curve, reverse=True)
    worked = sum(epsilon <= works_until for epsilon in epsilons)
    assert curve[-1] == math.ceil(8 / 2**worked) / 8 or worked > 3


def test_the_curve_starts_at_the_clean_accuracy_and_attacks_nothing_there():
    def never(model, images, labels, **ball):
        raise AssertionError("nothing can be done at ε = 0")

    images, labels = zeros(4)
    labels[0] = 1
    assert robustness_curve(FirstPixel(), images, labels, epsilons=[0.0], ensemble={"never": never}) == [0.75]


def test_a_curve_that_rests_on_zero_gradients_says_so(mlp, digits):
    with pytest.warns(GradientMaskingWarning, match=r"ε = 0.1, FGSM: the gradient is zero .*2 such warnings"):
        robustness_curve(Rounding(mlp), *digits, epsilons=[0.1, 0.2], ensemble={"FGSM": fgsm})


def test_a_curve_wants_epsilons_that_grow():
    images, labels = zeros(4)
    for epsilons in ([], [0.1, 0.1], [0.2, 0.1]):
        with refuses(ValueError, "epsilons must grow"):
            robustness_curve(FirstPixel(), images, labels, epsilons=epsilons)
    with refuses(ValueError, "epsilon", "8/255"):
        robustness_curve(FirstPixel(), images, labels, epsilons=[0.1, 8])


# --- obfuscated gradients ---


def failed(checks) -> set[str]:
    return {check.name for check in checks if not check.passed}


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.8)])
def test_an_honest_model_passes_every_check(mlp, digits, norm, epsilon):
    checks = obfuscated_gradients(mlp, *digits, epsilon=epsilon, norm=norm, generator=seeded())
    assert len(checks) == 8
    assert failed(checks) == set()


def test_loud_logits_take_in_cross_entropy_but_neither_the_ensemble_nor_the_checks(mlp, digits):
    images, labels = digits
    with pytest.warns(GradientMaskingWarning, match="gradient is zero"):
        naive = pgd(Loud(mlp), images, labels, epsilon=0.08, generator=seeded())
    found = evaluate(Loud(mlp), images, labels, epsilon=0.08, generator=seeded())
    honest = evaluate(mlp, images, labels, epsilon=0.08, sanity=False, generator=seeded())
    assert (mlp(naive).argmax(dim=1) == labels).double().mean() > found.robust_accuracy + 0.3
    assert found.robust_accuracy == pytest.approx(honest.robust_accuracy, abs=0.05)
    assert {"gradients are there", "without a bound all fall", "scores find no more"} <= failed(found.checks)
    assert any(note.startswith("FGSM: the gradient is zero") for note in found.notes)
    assert any(note.startswith("without a bound all fall: no") for note in found.notes)


def test_rounding_hides_the_gradient_and_is_found_out(mlp, digits):
    found = evaluate(Rounding(mlp), *digits, epsilon=0.1, generator=seeded())
    assert {"gradients are there", "without a bound all fall", "scores find no more"} <= failed(found.checks)
    assert found.robust_accuracy == found.after["Square"] < found.after["PGD, targeted"]


def test_a_model_that_draws_is_found_out(mlp, digits):
    seed_everything(0)
    assert "answers repeat" in failed(obfuscated_gradients(Noisy(mlp), *digits, epsilon=0.05, generator=seeded()))


STRENGTHS = {  # how many of 100 images a PGD breaks that misbehaves in one way: by (radius, steps, starts at random)
    "many steps beat one": lambda radius, steps, start: 100 if radius == 1 else 10,
    "more steps are no weaker": lambda radius, steps, start: 100 if radius == 1 or steps == 10 else 60,
    "a larger ball is no safer": lambda radius, steps, start: {0.6: 60, 1.0: 0 if start else 100}[radius],
    "without a bound all fall": lambda radius, steps, start: 90 if radius == 1 else 60,
    None: lambda radius, steps, start: 100 if radius == 1 else 60,
}


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_comparison_of_attacks_fails_where_it_should_and_no_other(name, monkeypatch):
    def fake(model, images, labels, *, epsilon, norm, generator, tau, steps=40, random_start=True):
        return breaks(*range(STRENGTHS[name](epsilon, steps, random_start)), count=100)(
            model, images, labels, epsilon=epsilon, norm=norm, generator=generator
        )

    monkeypatch.setattr(sanity, "pgd", fake)
    monkeypatch.setattr(sanity, "fgsm", breaks(*range(50), count=100))
    monkeypatch.setattr(sanity, "square", lambda *batch, queries, **ball: breaks(*range(60), count=100)(*batch, **ball))
    monkeypatch.setattr(sanity, "random_points", breaks(*range(10), count=100))
    found = failed(obfuscated_gradients(FirstPixel(), *zeros(100), epsilon=0.6))
    if name == "many steps beat one":
        found.remove("scores find no more")  # Square is stronger than this PGD as well
    assert found == ({name} if name else set())


@pytest.mark.parametrize(
    ("attack", "name"), [("random_points", "chance finds no more"), ("square", "scores find no more")]
)
@pytest.mark.parametrize(("more", "passes"), [(2, True), (3, False)])
def test_what_finds_more_than_pgd_by_three_images_of_a_hundred_is_no_chance(attack, name, more, passes, monkeypatch):
    def fake(*batch, queries=0, **ball):
        return breaks(*range(60 + more), count=100)(*batch, **ball)

    monkeypatch.setattr(sanity, "pgd", lambda *batch, **how: breaks(*range(60), count=100)(
        *batch, **{key: how[key] for key in ("epsilon", "norm", "generator")}
    ))  # fmt: skip
    monkeypatch.setattr(sanity, attack, fake)
    found = failed(obfuscated_gradients(FirstPixel(), *zeros(100), epsilon=0.1))
    assert (name not in found) is passes
    assert "a larger ball is no safer" not in found, "a PGD that breaks as many in each ball is not weaker in any"


def test_a_sentence_counts_what_was_seen(mlp, digits):
    images, labels = digits
    checks = {check.name: check for check in obfuscated_gradients(Rounding(mlp), images, labels, epsilon=0.05)}
    right = int((Rounding(mlp)(images).argmax(dim=1) == labels).sum())
    assert checks["gradients are there"].sentence == f"the gradient of the loss is zero for {right} of {right} images"


def test_random_points_lie_in_the_ball_and_find_what_is_common():
    images, labels = torch.full((6, 1, 1, 2), 0.4), torch.zeros(6, dtype=torch.int64)
    for norm in ("linf", "l2"):
        found = random_points(FirstPixel(), images, labels, epsilon=0.2, norm=norm, generator=seeded())
        assert (FirstPixel()(found).argmax(dim=1) == 1).all()
        assert norms(found - images, norm).max() <= 0.2 + 1e-6


# --- what every attack promises ---


def test_the_same_seed_gives_the_same_result(mlp, digits):
    images, labels = digits[0][:20], digits[1][:20]
    first, second = (evaluate(mlp, images, labels, epsilon=0.05, ensemble=QUICK, generator=seeded(3)) for _ in range(2))
    assert torch.equal(first.adversarial, second.adversarial)
    assert first.checks == second.checks


def test_the_model_comes_back_in_its_mode_and_with_its_gradients(digits):
    seed_everything(0)
    model = nn.Sequential(MLP(8), nn.Dropout(0.5)).train()
    model[1].eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    evaluate(model, digits[0][:5], digits[1][:5], epsilon=0.05, ensemble=QUICK, generator=seeded())
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert all((parameter.grad == 1).all() for parameter in model.parameters())


def test_one_image_and_images_that_are_not_contiguous(mlp, digits):
    images, labels = digits
    how = {"epsilon": 0.05, "ensemble": QUICK}
    assert evaluate(mlp, images[:1], labels[:1], generator=seeded(), **how).standing.shape == (1,)
    turned = images[:6].transpose(2, 3)
    straight = turned.contiguous()
    one, other = (evaluate(mlp, x, labels[:6], sanity=False, generator=seeded(), **how) for x in (turned, straight))
    assert torch.equal(one.adversarial, other.adversarial)


def test_a_constant_model_stands_and_the_checks_say_that_this_means_nothing():
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([1.0, 0.0, 0.0]).repeat(len(images), 1)

    images, labels = torch.rand(6, 1, 4, 4, generator=seeded()), torch.tensor([0, 0, 0, 1, 2, 0])
    found = evaluate(Constant(), images, labels, epsilon=0.3, generator=seeded())
    assert found.clean_accuracy == found.robust_accuracy == pytest.approx(4 / 6)
    assert {"gradients are there", "without a bound all fall"} <= failed(found.checks)
    nothing = evaluate(Constant(), images, 0 * labels + 2, epsilon=0.3, generator=seeded())
    assert (nothing.robust_accuracy, nothing.checks) == (0.0, ())


def test_bad_input_is_refused_in_one_sentence(mlp, digits):
    images, labels = digits
    with refuses(ValueError, "no attack"):
        evaluate(mlp, images, labels, epsilon=0.1, ensemble={})
    with refuses(ValueError, "epsilon", "-0.1"):
        evaluate(mlp, images, labels, epsilon=-0.1)
    with refuses(ValueError, "norm", "l1"):
        obfuscated_gradients(mlp, images, labels, epsilon=0.1, norm="l1")
    with refuses(TypeError, "labels", "int64"):
        evaluate(mlp, images, labels.float(), epsilon=0.1)
