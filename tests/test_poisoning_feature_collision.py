"""Feature collision: an exact peer for linear features, what must never break, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.data import mnist
from tml_helpers.models import SmallCNN
from tml_helpers.poisoning import CollisionPoison, NoCollisionWarning, feature_collision
from tml_helpers.training import fit, predict, seed_everything

ASKED: dict[str, Any] = {"target_label": 1, "fraction": 0.2, "epsilon": 0.3, "steps": 20}


def scene(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A frozen extractor, 20 images of two classes, and a target."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 5)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    images = torch.rand(20, 1, 4, 4, generator=generator).to(dtype)
    target = torch.rand(1, 4, 4, generator=generator).to(dtype)
    return model.requires_grad_(False), images, torch.arange(20) % 2, target


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoCollisionWarning")
@pytest.mark.parametrize("epsilon", [0.05, 1.0])
@pytest.mark.parametrize("beta", [0.05, 1.0])
def test_for_linear_features_it_is_bounded_least_squares(epsilon: float, beta: float) -> None:
    """scipy solves ‖Wx − Wt‖² + β ‖x − b‖² on the box exactly."""
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4, bias=False, dtype=torch.float64))
    weight = torch.randn(4, 12, generator=generator, dtype=torch.float64)
    model[1].weight.data = weight
    images = torch.rand(10, 3, 2, 2, generator=generator, dtype=torch.float64)
    target = torch.rand(3, 2, 2, generator=generator, dtype=torch.float64)
    asked = ASKED | {"epsilon": epsilon, "beta": beta, "steps": 3000}
    made = feature_collision(model.requires_grad_(False), images, torch.arange(10) % 2, target_image=target, **asked)
    rows = np.vstack([weight.numpy(), np.sqrt(beta) * np.eye(12)])
    for x, b in zip(made.images[made.indices], made.clean_images, strict=True):
        base = b.flatten().numpy()
        right = np.concatenate([weight.numpy() @ target.flatten().numpy(), np.sqrt(beta) * base])
        box = (np.maximum(base - epsilon, 0), np.minimum(base + epsilon, 1))
        best = lsq_linear(rows, right, bounds=box, tol=1e-14)
        reached = 0.5 * np.sum((rows @ x.flatten().numpy() - right) ** 2)
        assert reached - best.cost < 1e-4 * best.cost
        assert np.linalg.norm(x.flatten().numpy() - best.x) < 1e-2


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0, 10),
    st.floats(0.01, 1),
    st.floats(0, 0.9),
    st.sampled_from(["nearest", "random"]),
)
@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoCollisionWarning")
def test_what_no_collision_may_break(seed: int, beta: float, epsilon: float, opacity: float, bases: Any) -> None:
    model, images, labels, target = scene(seed)
    generator = torch.Generator().manual_seed(seed)
    asked = ASKED | {"beta": beta, "epsilon": epsilon, "opacity": opacity, "bases": bases, "generator": generator}
    before = images.clone()
    made = feature_collision(model, images, labels, target_image=target, **asked)
    assert torch.equal(images, before)
    assert made.budget == 0.2
    assert len(made.indices) == 4
    assert bool((made.labels == labels).all())
    assert bool((labels[made.indices] == 1).all())
    assert torch.equal(made.clean.tensors[0], images)
    assert float(made.linf.max()) <= epsilon + 1e-6
    assert float(made.images.min()) >= 0
    assert float(made.images.max()) <= 1
    assert bool((made.objective.diff() <= 0).all()), "the objective rose"
    assert made.objective.shape == (21,)
    by_hand = (model(made.images[made.indices]) - model(target[None])).square().sum(dim=1)
    assert (made.distances - by_hand).norm() <= 1e-4 * by_hand.norm()
    before_hand = (model(made.clean_images) - model(target[None])).square().sum(dim=1)
    assert (made.clean_distances - before_hand).norm() <= 1e-4 * before_hand.norm()


def test_the_nearest_images_of_the_class_are_the_bases() -> None:
    model, images, labels, target = scene()
    made = feature_collision(model, images, labels, target_image=target, **ASKED)
    distance = {i: float((model(images[i : i + 1]) - model(target[None])).norm()) for i in range(20)}
    own = sorted((i for i in distance if i % 2 == 1), key=distance.__getitem__)
    assert made.indices.tolist() == sorted(own[:4])
    assert made.nearest_clean == pytest.approx(min(distance[i] for i in range(0, 20, 2)) ** 2, rel=1e-4)


def test_random_bases_follow_the_generator_and_differ() -> None:
    model, images, labels, target = scene()
    draws = [
        feature_collision(
            model,
            images,
            labels,
            target_image=target,
            bases="random",
            generator=torch.Generator().manual_seed(s),
            **ASKED,
        ).indices.tolist()
        for s in (0, 0, *range(1, 20))
    ]
    assert draws[0] == draws[1]
    assert len({tuple(one) for one in draws}) > 5


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoCollisionWarning")
def test_more_epsilon_and_less_beta_come_nearer() -> None:
    model, images, labels, target = scene(1)
    reached = [
        float(feature_collision(model, images, labels, target_image=target, **ASKED | more).distances.mean())
        for more in ({"epsilon": 1.0, "beta": 0.0}, {"epsilon": 0.1, "beta": 0.0}, {"epsilon": 1.0, "beta": 50.0})
    ]
    assert reached[0] < min(reached[1:])


def test_opacity_starts_from_a_blend_within_the_ball() -> None:
    model, images, labels, target = scene(1)
    asked = ASKED | {"steps": 1, "beta": 1e9, "opacity": 0.5, "epsilon": 0.2}
    made = feature_collision(model, images, labels, target_image=target, **asked)
    blend = (0.5 * (target - made.clean_images)).clamp(-0.2, 0.2)
    assert (made.perturbation - blend).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoCollisionWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_types_and_layouts_do_not_matter(dtype: torch.dtype) -> None:
    model, images, labels, target = scene(2, dtype)
    first = feature_collision(model, images, labels, target_image=target, **ASKED)
    assert first.images.dtype == dtype
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    asked = {"target_image": target.transpose(1, 2).contiguous().transpose(1, 2), "batch_size": 3}
    again = feature_collision(model, turned, labels, **ASKED, **asked)
    assert torch.equal(first.indices, again.indices)
    assert (first.images - again.images).norm() < 1e-3 * first.images.norm()


def test_the_extractor_comes_back_as_it_was_and_answers_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(16), nn.Linear(16, 5)).requires_grad_(False)
    model.train()
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    _, images, labels, target = scene()
    with torch.no_grad():
        first = feature_collision(model, images, labels, target_image=target, **ASKED)
    again = feature_collision(model, images, labels, target_image=target, **ASKED)
    assert torch.equal(first.images, again.images)
    assert float(first.linf.max()) > 0
    assert [one.training for one in model.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


class Layer(nn.Module):
    """A function of the flattened images."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Any:
        return self.function(images.flatten(1))


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoCollisionWarning")
def test_features_that_overflow_on_the_way_leave_no_nan() -> None:
    """adversarial-robustness-toolbox #1252: huge activations made poisons of NaN; a step into them is not taken."""
    _, images, labels, target = scene()
    steep = Layer(lambda rows: torch.exp(200 * (rows - 0.6)))
    dark, target = images * 0.3, target * 0.3
    made = feature_collision(
        steep, dark, labels, target_image=target, **ASKED | {"steps": 50, "epsilon": 1.0, "beta": 0.0}
    )
    assert bool(made.images.isfinite().all())
    assert bool((made.objective.diff() <= 0).all())


def test_a_part_of_any_torch_module_serves_as_the_extractor() -> None:
    """adversarial-robustness-toolbox #1551: the peer found no layer in a plain PyTorch model."""
    torch.manual_seed(0)
    network = SmallCNN(3, 32, width=2).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(10, 3, 32, 32, generator=generator)
    extractor = nn.Sequential(*network.layers[:10])
    made = feature_collision(extractor, photos, torch.arange(10) % 2, target_image=photos[0].flip(2), **ASKED)
    assert float(made.distances.mean()) < float(made.clean_distances.mean())


def test_distances_that_overflow_are_refused() -> None:
    _, images, labels, target = scene()
    with refuses(ValueError, "overflow"):
        feature_collision(Layer(lambda rows: 1e25 * rows), images, labels, target_image=target, **ASKED)


def test_warns_where_nothing_collides() -> None:
    model, images, labels, target = scene()
    with pytest.warns(NoCollisionWarning, match="raise epsilon"):
        feature_collision(model, images, labels, target_image=target, **ASKED | {"epsilon": 1e-4})


@pytest.mark.filterwarnings("ignore::tml_helpers.poisoning.NoCollisionWarning")
def test_warns_where_the_features_have_no_gradient() -> None:
    _, images, labels, target = scene()
    rounding = Layer(lambda rows: (4 * rows).round())
    with pytest.warns(GradientMaskingWarning, match="stay as they were"):
        made = feature_collision(rounding, images, labels, target_image=target, **ASKED | {"beta": 0.0})
    assert float(made.linf.max()) == 0


NAN = torch.full((1, 4, 4), float("nan"))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"fraction": 0.0}, ValueError, "fraction"),
        ({"fraction": 0.01}, ValueError, "less than one example"),
        ({"fraction": 0.6}, ValueError, "class 1 has only 10"),
        ({"fraction": True}, TypeError, "fraction"),
        ({"target_label": 2}, ValueError, "class 2 has only 0"),
        ({"target_label": -1}, ValueError, "target_label"),
        ({"target_label": "1"}, TypeError, "target_label"),
        ({"epsilon": 0.0}, ValueError, "epsilon"),
        ({"epsilon": 16}, ValueError, "epsilon"),
        ({"epsilon": float("nan")}, ValueError, "epsilon"),
        ({"beta": -1.0}, ValueError, "beta"),
        ({"beta": float("nan")}, ValueError, "beta"),
        ({"beta": "1"}, TypeError, "beta"),
        ({"opacity": 1.0}, ValueError, "opacity"),
        ({"steps": 0}, ValueError, "steps"),
        ({"steps": 2.0}, TypeError, "steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"bases": "far"}, ValueError, "nearest, random"),
        ({"generator": 7}, TypeError, "torch.Generator"),
        ({"images": 255 * torch.rand(20, 1, 4, 4)}, ValueError, "division"),
        ({"images": torch.rand(0, 1, 4, 4)}, ValueError, "non-empty"),
        ({"images": torch.rand(20, 4, 4)}, ValueError, "[N, C, H, W]"),
        ({"images": torch.rand(20, 1, 4, 4).double()}, TypeError, "float64"),
        ({"labels": torch.ones(20, dtype=torch.int64)}, ValueError, "two classes"),
        ({"labels": torch.ones(20)}, TypeError, "labels"),
        ({"labels": torch.arange(19)}, ValueError, "labels"),
        ({"target_image": torch.rand(1, 1, 4, 4)}, ValueError, "one image of shape [1, 4, 4]"),
        ({"target_image": torch.rand(1, 4, 4).double()}, TypeError, "target_image"),
        ({"target_image": NAN}, ValueError, "target_image"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 5))}, ValueError, "must be frozen"),
        ({"model": Layer(lambda rows: rows[:, :, None])}, ValueError, "[N, F]"),
        ({"model": Layer(lambda rows: rows[:1])}, ValueError, "one row for each image"),
        ({"model": Layer(lambda rows: (rows, rows))}, ValueError, "tuple"),
        ({"model": Layer(lambda rows: rows / 0)}, ValueError, "not finite"),
    ],
)
def test_what_cannot_be_asked_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    model, images, labels, target = scene()
    given = {"model": model, "images": images, "labels": labels, "target_image": target, **ASKED} | change
    with refuses(error, words):
        feature_collision(given.pop("model"), given.pop("images"), given.pop("labels"), **given)


def test_a_target_in_other_units_than_the_images_is_refused() -> None:
    """poisoning-benchmark #5: a target that had been normalised otherwise than the images went through unnoticed."""
    model, images, labels, target = scene()
    with refuses(ValueError, "target_image must lie in [0, 1]"):
        feature_collision(model, images, labels, target_image=(target - 0.5) / 0.25, **ASKED)


def test_a_target_that_is_a_training_image_of_the_class_is_refused() -> None:
    model, images, labels, _ = scene()
    with refuses(ValueError, "training image of class 1"):
        feature_collision(model, images, labels, target_image=images[1], **ASKED)


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor, int]:
    """An extractor of digits, 500 others, and a target with its class and the runner-up."""
    train, test = mnist("train", source="default"), mnist("test", source="default")
    generator = seed_everything(0)
    network = SmallCNN(width=4)
    old = TensorDataset(train.images[:1500], train.labels[:1500])
    fit(network, old, epochs=4, learning_rate=2e-3, batch_size=64, generator=generator, progress=False)
    network.requires_grad_(False)
    logits = predict(network, test.images[:100])
    place = int((logits.argmax(dim=1) == test.labels[:100]).nonzero()[0])
    wanted = int(logits[place].topk(2).indices[1])
    extractor = nn.Sequential(*network.layers[:10])
    return extractor, train.images[1500:2000], train.labels[1500:2000], test.images[place], test.labels[place], wanted


def margin_of_a_head(features: Tensor, labels: Tensor, asked: Tensor, wanted: int, true: int) -> float:
    """z of the wanted class less z of the true one, by a logistic regression that is run to its end."""
    from sklearn.linear_model import LogisticRegression

    head = LogisticRegression(C=1.0, max_iter=3000).fit(features.numpy(), labels.numpy())
    scores = head.decision_function(asked.numpy())[0]
    return float(scores[wanted] - scores[true])


def test_a_head_on_poisoned_features_moves_towards_the_attackers_class(
    digits: tuple[nn.Module, Tensor, Tensor, Tensor, Tensor, int],
) -> None:
    extractor, images, labels, target, true, wanted = digits
    made = feature_collision(
        extractor, images, labels, target_image=target, target_label=wanted, fraction=0.02, epsilon=0.5, steps=100
    )
    assert isinstance(made, CollisionPoison)
    noise = made.noise_control(generator=torch.Generator().manual_seed(0))
    asked = extractor(target[None])
    poisoned, noisy, clean = (
        margin_of_a_head(extractor(x), labels, asked, wanted, int(true)) for x in (made.images, noise.images, images)
    )
    assert poisoned > max(noisy, clean) + 1
