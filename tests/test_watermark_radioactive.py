"""Radioactive data: against linear models whose responses are known, scipy's tests, and the paper's formulas."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from scipy import stats
from scipy.special import betainc
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.data import mnist
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import fit
from tml_helpers.watermark import (
    cosine_test,
    feature_mark,
    radioactive_carriers,
    radioactive_mark,
    radioactive_test,
)

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
FAIR = 1e-6  # what a Kolmogorov-Smirnov test of fair numbers falls below in one of a million runs


def keys(seed: int, count: int) -> list[bytes]:
    generator = torch.Generator().manual_seed(seed)
    return [bytes(torch.randint(256, (32,), generator=generator).tolist()) for _ in range(count)]


def pictures(seed: int, *shape: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Images between 0.3 and 0.7, so that small marks are never clipped, and labels of all classes."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.4 * torch.rand(*shape, generator=generator)
    return images, torch.arange(shape[0]) % classes


def linear(weights: Tensor) -> nn.Module:
    """Logits ⟨w_k, x⟩."""
    layer = nn.Linear(weights[0].numel(), len(weights), bias=False)
    layer.weight.data = weights.flatten(1).clone()
    return nn.Sequential(nn.Flatten(), layer)


class Wrong(nn.Module):
    """A model that answers as no classifier does."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> Any:
        return self.answer(x)


def random_linear(seed: int, *shape: int, classes: int = 3) -> nn.Module:
    return linear(torch.randn(classes, *shape, generator=torch.Generator().manual_seed(seed)))


# the mark


@pytest.mark.parametrize("shape", [(30, 1, 12, 12), (31, 3, 10, 9), (12, 1, 3, 3)])
def test_marked_images_move_by_epsilon_in_blocks_and_others_stay(shape: tuple[int, ...]) -> None:
    images, labels = pictures(0, *shape)
    data = radioactive_mark(images, labels, key=KEY, epsilon=0.1, fraction=0.3)
    moved = (data.images - images).double()
    untouched = torch.ones(len(images), dtype=torch.bool)
    untouched[data.marked] = False
    assert torch.equal(data.images[untouched], images[untouched])
    assert data.marked.tolist() == sorted(set(data.marked.tolist()))
    for label in range(3):
        of_class = [i for i in data.marked.tolist() if labels[i] == label]
        assert len(of_class) == round(0.3 * int((labels == label).sum()))
        for i in of_class:
            assert (moved[i] - moved[of_class[0]]).abs().max() < 1e-6, "one pattern for the class, in all channels"
            assert (moved[i].abs() - 0.1).abs().max() < 1e-6
            for row in range(0, shape[2], 4):
                for column in range(0, shape[3], 4):
                    block = moved[i, :, row : row + 4, column : column + 4]
                    assert float(block.max() - block.min()) < 1e-6
    assert data.psnr == pytest.approx(20, abs=1e-3)  # −20 log₁₀ 0.1


def test_the_mark_stays_in_the_range_and_leaves_its_input_alone() -> None:
    images, labels = torch.rand(20, 1, 8, 8).round(), torch.zeros(20, dtype=torch.int64)
    before = images.clone()
    data = radioactive_mark(images, labels, key=KEY, epsilon=0.2, fraction=1.0)
    assert torch.equal(images, before)
    assert float(data.images.min()) >= 0 >= float(data.images.max()) - 1
    assert data.psnr > -20 * np.log10(0.2), "what is clipped is changed less"


def test_carriers_belong_to_key_and_class_and_to_nothing_else() -> None:
    images, _ = pictures(0, 2, 1, 28, 28)
    few = radioactive_carriers(images, torch.tensor([7, 2]), key=KEY)
    many = radioactive_carriers(images, torch.arange(10), key=KEY)
    assert torch.equal(few, many[[7, 2]])
    agreement = (many * radioactive_carriers(images, torch.arange(10), key=OTHER)).mean()
    assert abs(float(agreement)) < 0.25  # 490 coins: over five standard deviations
    assert torch.equal(many.unique(), torch.tensor([-1.0, 1.0]))
    coarse = radioactive_carriers(images, torch.arange(3), key=KEY, block=7)
    assert torch.equal(coarse[:, :, ::7, ::7].repeat_interleave(7, 2).repeat_interleave(7, 3), coarse)


def test_marking_is_the_same_for_other_layouts_and_types() -> None:
    images, labels = pictures(1, 20, 3, 8, 12)
    data = radioactive_mark(images, labels, key=KEY, epsilon=0.1)
    turned = images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    again = radioactive_mark(turned, labels, key=KEY, epsilon=0.1)
    assert torch.equal(again.images, data.images)
    assert torch.equal(again.marked, data.marked)
    double = radioactive_mark(images.double(), labels, key=KEY, epsilon=0.1)
    assert double.images.dtype == torch.float64
    assert (double.images - data.images).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"key": "a word that is long enough"}, TypeError, "key must be bytes"),
        ({"key": hash("name")}, TypeError, "hash()"),
        ({"key": b"short"}, ValueError, "16 to 32"),
        ({"epsilon": 0}, ValueError, "epsilon must lie above 0"),
        ({"epsilon": 1.5}, ValueError, "1.5"),
        ({"epsilon": float("nan")}, ValueError, "nan"),
        ({"epsilon": True}, TypeError, "epsilon"),
        ({"fraction": 0.0}, ValueError, "fraction"),
        ({"fraction": 2}, ValueError, "fraction"),
        ({"fraction": 0.001}, ValueError, "nothing would be marked"),
        ({"block": 0}, ValueError, "block"),
        ({"images": torch.zeros(30, 12, 12)}, ValueError, "[N, C, H, W]"),
        ({"images": torch.zeros(30, 1, 12, 12, dtype=torch.uint8)}, TypeError, "uint8"),
        ({"images": torch.full((30, 1, 12, 12), float("nan"))}, ValueError, "[0, 1]"),
        ({"labels": torch.zeros(29, dtype=torch.int64)}, ValueError, "[30]"),
        ({"labels": torch.zeros(30)}, TypeError, "int64"),
        ({"labels": torch.full((30,), -1)}, ValueError, "0 or more"),
    ],
)
def test_a_mark_that_cannot_be_made_is_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0, 30, 1, 12, 12)
    given = {"images": images, "labels": labels, "key": KEY, "epsilon": 0.1} | change
    with refuses(error, words):
        radioactive_mark(given.pop("images"), given.pop("labels"), **given)


def test_carriers_of_labels_that_are_none_are_refused() -> None:
    with refuses(TypeError, "int64"):
        radioactive_carriers(torch.rand(1, 1, 8, 8), torch.tensor([1.0]), key=KEY)


# the test


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 10, 9)])
def test_the_response_of_a_linear_model_is_the_sum_of_its_weights(shape: tuple[int, ...]) -> None:
    weights = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    images, labels = pictures(0, 30, *shape)
    found = radioactive_test(linear(weights), images, labels, key=KEY, epsilon=0.1)
    carriers = radioactive_carriers(images, torch.arange(3), key=KEY)
    for label in range(3):
        for i in range(found.margins.shape[1]):
            for j in range(found.margins.shape[2]):
                block = np.s_[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
                by_hand = carriers[label, 0][block][0, 0] * weights[label][:, *block].sum()
                assert found.margins[label, i, j] == pytest.approx(float(by_hand) / 3, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("access", ["gradients", "logits"])
def test_a_model_that_is_made_of_the_carriers_shows_every_coin(access: Any) -> None:
    images, labels = pictures(0, 300, 1, 8, 8)
    carriers = radioactive_carriers(images, torch.arange(3), key=KEY)
    model = linear(0.05 * carriers)
    found = radioactive_test(model, images, labels, key=KEY, epsilon=0.1, access=access, probes=40)
    assert (found.agreeing, found.coins) == (12, 12)
    assert found.p_value == pytest.approx(2.0**-12)
    against = radioactive_test(linear(-0.05 * carriers), images, labels, key=KEY, epsilon=0.1, access=access, probes=40)
    assert (against.agreeing, against.p_value) == (0, 1.0)


def test_losses_show_the_coins_in_which_classes_differ() -> None:
    images, labels = pictures(0, 300, 1, 8, 8)
    carriers = radioactive_carriers(images, torch.arange(3), key=KEY)
    asked = {"key": KEY, "epsilon": 0.1, "access": "losses", "probes": 40}
    found = radioactive_test(linear(0.05 * carriers), images, labels, **asked)
    differ = (carriers.sum(0).abs() < 3)[0, ::4, ::4]
    assert differ.any()
    assert (found.margins[:, differ] > 0).all()


def test_losses_need_only_probabilities_and_logits_do_not_see_a_shift() -> None:
    images, labels = pictures(0, 30, 1, 8, 8)
    model = random_linear(3, 1, 8, 8)

    class Probabilities(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return model(x).log_softmax(1)

    asked = {"key": KEY, "epsilon": 0.1, "access": "losses"}
    raw = radioactive_test(model, images, labels, **asked)
    served = radioactive_test(Probabilities(), images, labels, **asked)
    assert (raw.margins - served.margins).norm() < 1e-5 * raw.margins.norm()


def test_the_control_takes_away_what_it_shares_and_only_that() -> None:
    images, labels = pictures(0, 30, 1, 12, 12)
    common = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    carriers = radioactive_carriers(images, torch.arange(3), key=KEY)
    asked = {"key": KEY, "epsilon": 0.1, "control": linear(common)}
    nothing = radioactive_test(linear(-3 * common), images, labels, **asked)
    assert nothing.margins.norm() < 1e-5
    weak = linear(common + 0.2 * carriers)
    alone = radioactive_test(weak, images, labels, key=KEY, epsilon=0.1)
    helped = radioactive_test(weak, images, labels, **asked)
    assert helped.agreeing > alone.agreeing
    assert helped.p_value < 1e-3


def test_p_values_are_uniform_over_fresh_keys_and_models() -> None:
    images, labels = pictures(0, 12, 1, 12, 12)
    generator = torch.Generator().manual_seed(0)
    drawn = [
        radioactive_test(
            random_linear(number, 1, 12, 12),
            images,
            labels,
            key=key,
            epsilon=0.1,
            control=random_linear(number + 1, 1, 12, 12),
            probes=1,
        ).randomized(generator=generator)
        for number, key in enumerate(keys(5, 300))
    ]
    assert stats.kstest(drawn, "uniform").pvalue > FAIR


def test_wrong_keys_on_a_marked_model_look_like_chance() -> None:
    images, labels = pictures(0, 12, 1, 12, 12)
    model = linear(radioactive_carriers(images, torch.arange(3), key=KEY))
    generator = torch.Generator().manual_seed(0)
    drawn = [
        radioactive_test(model, images, labels, key=key, epsilon=0.1, probes=1).randomized(generator=generator)
        for key in keys(6, 300)
    ]
    assert stats.kstest(drawn, "uniform").pvalue > FAIR


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    train, test = mnist("train", source="default"), mnist("test", source="default")
    return train.images, train.labels, test.images[:300], test.labels[:300]


def trained(images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = MLP(64)
    generator = torch.Generator().manual_seed(seed)
    fit(model, TensorDataset(images, labels), epochs=5, batch_size=64, generator=generator, progress=False)
    return model


def test_a_network_trained_on_marked_digits_is_found_and_another_is_not(
    digits: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    images, labels, held_out, classes = digits
    data = radioactive_mark(images, labels, key=KEY, epsilon=0.15)
    suspect, control, innocent = (trained(x, labels, s) for s, x in enumerate((data.images, images, images)))
    asked: Callable[..., Any] = lambda model, **more: radioactive_test(  # noqa: E731
        model, held_out, classes, epsilon=0.15, control=control, **{"key": KEY} | more
    )
    assert asked(suspect).p_value < 1e-10
    assert asked(suspect, access="logits").p_value < 1e-6
    assert asked(suspect, key=OTHER).p_value > 1e-7
    assert asked(innocent).p_value > 1e-7
    noise = torch.rand(held_out.shape, generator=torch.Generator().manual_seed(0))
    of_noise = radioactive_test(suspect, noise, classes, key=KEY, epsilon=0.15, control=control)
    assert of_noise.p_value < 1e-4, "radioactive-lab #6: noise in place of images finds the trace, too"


def test_the_order_the_batches_and_the_type_do_not_matter() -> None:
    images, labels = pictures(0, 30, 3, 8, 8)
    model = random_linear(1, 3, 8, 8)
    first = radioactive_test(model, images, labels, key=KEY, epsilon=0.1)
    small = radioactive_test(model, images, labels, key=KEY, epsilon=0.1, batch_size=7)
    assert (first.margins - small.margins).norm() < 1e-5 * first.margins.norm()
    double = radioactive_test(model.double(), images.double(), labels, key=KEY, epsilon=0.1)
    assert (first.margins - double.margins).norm() < 1e-5 * first.margins.norm()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    mixed = radioactive_test(model, images.double()[order], labels[order], key=KEY, epsilon=0.1)
    assert (first.margins - mixed.margins).norm() < 1e-5 * first.margins.norm()


def test_classes_that_no_image_shows_give_no_coins() -> None:
    images, _ = pictures(0, 10, 1, 8, 8)
    labels = torch.tensor([0, 2] * 5)
    found = radioactive_test(random_linear(0, 1, 8, 8, classes=4), images, labels, key=KEY, epsilon=0.1)
    assert found.margins.shape == (4, 2, 2)
    assert found.coins == 8
    assert not found.margins[[1, 3]].any()


@pytest.mark.parametrize("access", ["gradients", "logits"])
def test_the_model_comes_back_as_it_was_and_answers_in_evaluation_mode(access: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(64), nn.Linear(64, 3)).train()
    model[1].eval()
    model[3].weight.grad = torch.ones_like(model[3].weight)
    model[3].bias.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    images, labels = pictures(0, 10, 1, 8, 8)
    with torch.no_grad():
        first = radioactive_test(model, images, labels, key=KEY, epsilon=0.1, access=access)
    again = radioactive_test(model, images, labels, key=KEY, epsilon=0.1, access=access)
    assert torch.equal(first.margins, again.margins)
    assert first.coins > 0
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight))
    assert not model[3].bias.requires_grad
    assert model[3].bias.grad is None
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


def test_a_constant_model_gives_no_coins_and_no_verdict() -> None:
    images, labels = pictures(0, 10, 1, 8, 8)
    found = radioactive_test(linear(torch.zeros(3, 1, 8, 8)), images, labels, key=KEY, epsilon=0.1)
    assert (found.coins, found.p_value) == (0, 1.0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"key": 7}, TypeError, "key must be bytes"),
        ({"epsilon": -0.1}, ValueError, "epsilon"),
        ({"access": "weights"}, ValueError, "access must be one of"),
        ({"probes": 0}, ValueError, "probes"),
        ({"probes": 2.0}, TypeError, "probes"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"control": random_linear(0, 1, 8, 8, classes=5)}, ValueError, "5 classes"),
        ({"images": torch.rand(0, 1, 8, 8)}, ValueError, "non-empty"),
        ({"images": torch.rand(30, 1, 8, 8).double()}, TypeError, "float64"),
        ({"labels": torch.full((30,), 3)}, ValueError, "0…2"),
        ({"model": linear(torch.full((3, 1, 8, 8), float("nan")))}, ValueError, "not finite"),
        ({"model": nn.Flatten(0)}, ValueError, "logits [N, K]"),
        ({"model": Wrong(lambda x: (x, x))}, TypeError, "tuple"),
        ({"model": Wrong(lambda x: x.flatten(1)[:1])}, ValueError, "once for each image"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = pictures(0, 30, 1, 8, 8)
    model = random_linear(0, 1, 8, 8)
    given = {"model": model, "images": images, "labels": labels, "key": KEY, "epsilon": 0.1} | change
    with refuses(error, words):
        radioactive_test(given.pop("model"), given.pop("images"), given.pop("labels"), **given)
    with refuses(ValueError, "control must be another model"):
        radioactive_test(model, images, labels, key=KEY, epsilon=0.1, control=model)


# the paper's marks


def small() -> nn.Module:
    torch.manual_seed(0)
    return SmallCNN(size=8, classes=3, width=4)


def test_features_move_along_the_keys_direction_within_the_ball() -> None:
    images, labels = pictures(0, 30, 1, 8, 8)
    model = small().train()
    data = feature_mark(model, images, labels, key=KEY, epsilon=0.1, layer="layers.10", fraction=0.4)
    assert model.training
    assert len(data.marked) == 12
    assert (data.images - images).abs().max() < 0.1 + 1e-6
    assert float(data.images.min()) >= 0 >= float(data.images.max()) - 1
    features = model.layers[:10].eval()
    with torch.no_grad():
        moved = features(data.images[data.marked]) - features(images[data.marked])
    own = cosine_rows(model, labels[data.marked])
    other = cosine_rows(model, (labels[data.marked] + 1) % 3)
    assert float((moved.double() * own).sum(1).mean()) > 3 * abs(float((moved.double() * other).sum(1).mean()))


def cosine_rows(model: nn.Module, labels: Tensor) -> Tensor:
    """The key's directions, read off the cosines of a classifier whose rows are the axes."""
    d = model.layers[10].in_features
    axes = nn.Sequential(nn.Flatten(), nn.Linear(1, d), nn.Linear(d, d, bias=False))
    found = []
    for label in range(3):
        axes[2].weight.data = torch.eye(d)
        rows = []
        for axis in range(d):
            axes[2].weight.data = torch.eye(d)[[axis]].expand(label + 1, d).clone()
            rows.append(cosine_test(axes, torch.zeros(1, 1, 1, 1), key=KEY, layer=axes[2]).cosines[label])
        found.append(torch.stack(rows))
    return torch.stack(found)[labels]


def test_cosines_are_those_of_the_papers_formula() -> None:
    images, _ = pictures(0, 10, 1, 8, 8)
    model = small()
    found = cosine_test(model, images, key=KEY, layer="layers.10")
    d = model.layers[10].in_features
    for cosine, p_value in zip(found.cosines.tolist(), found.p_values.tolist(), strict=True):
        upper = 0.5 * betainc((d - 1) / 2, 0.5, 1 - cosine**2)
        assert p_value == pytest.approx(upper if cosine >= 0 else 1 - upper, rel=1e-9)
    assert found.p_value == pytest.approx(stats.combine_pvalues(found.p_values.numpy())[1], rel=1e-9)


def test_alignment_undoes_a_rotation_of_the_features() -> None:
    """radioactive_data #3: from scratch, features are the suspect's own, and rows cannot be compared as they are."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(200, 1, 4, 4, generator=generator, dtype=torch.float64)
    owner = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Linear(12, 3)).double()
    turn, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))
    suspect = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Linear(12, 3)).double()
    suspect[1].weight.data, suspect[1].bias.data = turn @ owner[1].weight.data, turn @ owner[1].bias.data
    suspect[2].weight.data = owner[2].weight.data @ turn.T
    plain = cosine_test(owner, images, key=KEY, layer="2")
    aligned = cosine_test(suspect, images, key=KEY, layer="2", marker=owner)
    assert (aligned.cosines - plain.cosines).norm() < 1e-6
    unaligned = cosine_test(suspect, images, key=KEY, layer=suspect[2])
    assert (unaligned.cosines - plain.cosines).norm() > 1e-3


def test_cosines_are_uniform_over_fresh_keys() -> None:
    images, _ = pictures(0, 10, 1, 8, 8)
    model = small()
    drawn = [cosine_test(model, images, key=key, layer="layers.10").p_value for key in keys(7, 300)]
    assert stats.kstest(drawn, "uniform").pvalue > FAIR


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"layer": "layers.11"}, ValueError, "no layer"),
        ({"layer": "layers.9"}, TypeError, "nn.Linear"),
        ({"layer": "layers.8"}, ValueError, "labels"),
        ({"epsilon": 0.0}, ValueError, "epsilon"),
        ({"fraction": 0.01}, ValueError, "nothing would be marked"),
        ({"steps": 0}, ValueError, "steps"),
        ({"key": b""}, ValueError, "16 to 32"),
    ],
)
def test_feature_marks_that_cannot_be_made_are_refused(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    images, labels = pictures(0, 30, 1, 8, 8)
    labels = labels + 40 * (change.get("layer") == "layers.8")
    with refuses(error, words):
        feature_mark(small(), images, labels, **{"key": KEY, "epsilon": 0.1, "layer": "layers.10"} | change)


def test_classifiers_without_a_direction_are_refused() -> None:
    images, _ = pictures(0, 10, 1, 1, 1)
    with refuses(ValueError, "2 features or more"):
        cosine_test(nn.Sequential(nn.Flatten(), nn.Linear(1, 3)), images, key=KEY, layer="1")
    with refuses(ValueError, "not zero"):
        cosine_test(linear(torch.zeros(3, 1, 8, 8)), torch.rand(4, 1, 8, 8), key=KEY, layer="1")


@pytest.mark.parametrize("access", ["gradients", "logits"])
def test_images_that_carry_the_mark_are_refused_as_test_images(access: str) -> None:
    """Clipped at black they are lighter by 2ε on one side and ε on the other: an innocent model had p < 1e-4."""
    labels = torch.arange(100) % 5
    innocent = nn.Sequential(nn.Flatten(), nn.Linear(256, 5))
    with torch.no_grad():
        innocent[1].weight.uniform_(generator=torch.Generator().manual_seed(0))
    clean = torch.rand(100, 1, 16, 16, generator=torch.Generator().manual_seed(1)) / 20
    marked = radioactive_mark(clean, labels, key=KEY, epsilon=0.15, fraction=1.0).images
    with refuses(ValueError, "carry the mark of this key"):
        radioactive_test(innocent, marked, labels, key=KEY, epsilon=0.15, access=access)  # type: ignore[arg-type]
    for images, key in ((clean, KEY), (marked, OTHER)):
        found = radioactive_test(innocent, images, labels, key=key, epsilon=0.15, access=access)  # type: ignore[arg-type]
        assert found.coins == 5 * 16


def test_a_model_that_hides_its_gradients_is_named() -> None:
    """Rounded inputs gave p = 1 without a word, as from a model without the mark; logits still tell."""

    class Rounding(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = super().forward((255 * images).round() / 255)
            return logits

    torch.manual_seed(0)
    hiding, labels = Rounding(nn.Flatten(), nn.Linear(256, 5)), torch.arange(20) % 5
    images = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with pytest.warns(GradientMaskingWarning, match="logits"):
        found = radioactive_test(hiding, images, labels, key=KEY, epsilon=0.15, probes=1)
    assert (found.coins, found.p_value) == (0, 1.0)
    assert radioactive_test(hiding, images, labels, key=KEY, epsilon=0.15, access="logits").coins == 5 * 16
