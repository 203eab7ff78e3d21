"""LIME: planted linear models come back exactly, closed forms, laws of symmetry, and a model left as it was."""

import dataclasses
import math
import re
from itertools import combinations

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import truncnorm
from sklearn.linear_model import LinearRegression, Ridge
from torch import Tensor, nn

from tml_helpers.data import photos
from tml_helpers.explain import (
    ImageExplanation,
    _local,
    lime_fidelity,
    lime_image,
    lime_tabular,
    lime_text,
    quickshift_segments,
)
from tml_helpers.explain._designs import DESIGNS
from tml_helpers.explain._local import Samples, cosine_distance, fit_line

SIZE, SIDE = 12, 3  # images of 12×12 pixels in 3×3 superpixels
EXACT = {"alpha": 0.0}  # no shrinking


def chessboard() -> Tensor:
    """Nine square superpixels, `[12, 12]`."""
    row = torch.arange(SIZE) // (SIZE // SIDE)
    return SIDE * row[:, None] + row


class Planted(nn.Module):
    """p(class 0) = bias + Σ weight of the superpixels that are white; logits are logarithms of probabilities."""

    def __init__(self, weights: Tensor, bias: float, segments: Tensor) -> None:
        super().__init__()
        self.weights, self.bias = nn.Parameter(weights), bias
        self.segments = segments
        self.asked: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(images.detach().clone())
        grey = images.mean(dim=1).flatten(1)  # (n, h * w)
        regions = nn.functional.one_hot(self.segments.flatten(), len(self.weights)).to(grey.dtype)
        shown = grey @ regions / regions.sum(dim=0)  # (n, superpixels)
        probability = self.bias + shown @ self.weights
        return torch.stack([probability, 1 - probability], dim=1).log()


def planted(seed: int = 0, *, dummy: int | None = None) -> tuple[Planted, Tensor]:
    """A model that is linear in which superpixels are white, and the white image."""
    generator = torch.Generator().manual_seed(seed)
    weights = (torch.rand(SIDE**2, generator=generator, dtype=torch.float64) - 0.4) / SIDE**2
    if dummy is not None:
        weights[dummy] = 0
    return Planted(weights, 0.4, chessboard()), torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)


def of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def net(classes: int = 4, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(channels, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(100, classes))
    return nn.Sequential(*layers).double().eval()


def noise(count: int, channels: int = 3, seed: int = 1) -> Tensor:
    return torch.rand(count, channels, SIZE, SIZE, generator=of(seed), dtype=torch.float64)


ZERO = torch.tensor([0])
every_design = pytest.mark.parametrize("design", DESIGNS)


# --- photographs: what must come back ---


@every_design
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_a_linear_model_comes_back_exactly(design, seed):
    model, image = planted(seed)
    (found,) = lime_image(
        model, image, ZERO, segments=chessboard(), hidden=0.0, samples=40, design=design, generator=of(seed), **EXACT
    )
    torch.testing.assert_close(found.weights, model.weights.detach(), rtol=0, atol=1e-9)
    assert found.intercept == pytest.approx(model.bias, abs=1e-9)
    assert found.r2 == pytest.approx(1, abs=1e-9)
    assert found.prediction == pytest.approx(found.answer, abs=1e-9)
    assert found.answer == pytest.approx(model.bias + model.weights.sum().item(), abs=1e-9)


@pytest.mark.parametrize("dummy", [0, 4, 8])
def test_a_superpixel_that_the_model_does_not_look_at_has_weight_zero(dummy):
    model, image = planted(dummy=dummy)
    how = {"segments": chessboard(), "hidden": 0.0, "samples": 60, "generator": of(0)}
    (found,) = lime_image(model, image, ZERO, **how, **EXACT)
    assert abs(found.weights[dummy]) < 1e-12
    assert int((found.weights.abs() > 1e-4).sum()) == SIDE**2 - 1


@given(order=st.permutations(range(SIDE**2)))
@settings(max_examples=10)
def test_other_labels_for_the_superpixels_permute_the_weights(order):
    order = torch.tensor(order)
    masks = torch.randint(2, (50, SIDE**2), generator=of(0)).bool()
    model, image = net(), noise(1)
    (before,) = lime_image(model, image, ZERO, segments=chessboard(), masks=masks)
    (after,) = lime_image(model, image, ZERO, segments=order[chessboard()], masks=masks[:, order.argsort()])
    torch.testing.assert_close(after.weights[order], before.weights)
    torch.testing.assert_close(after.map(), before.map())


def test_labels_may_have_gaps():
    model, image = net(), noise(1)
    how = {"samples": 50, "generator": of(0)}
    (plain,) = lime_image(model, image, ZERO, segments=chessboard(), **how)
    (gaps,) = lime_image(model, image, ZERO, segments=10 * chessboard() - 7, samples=50, generator=of(0))
    assert torch.equal(gaps.weights, plain.weights)
    assert torch.equal(gaps.segments, chessboard())


def test_an_image_of_one_colour_is_one_superpixel_that_explains_nothing():
    image = torch.full((1, 3, SIZE, SIZE), 0.3, dtype=torch.float64)
    assert torch.equal(quickshift_segments(image), torch.zeros(1, SIZE, SIZE, dtype=torch.int64))
    (found,) = lime_image(net(), image, ZERO, samples=20, generator=of(0))
    assert found.weights.shape == (1,)
    assert abs(found.weights[0]) < 1e-12
    assert found.r2 == 1
    assert found.prediction == pytest.approx(found.answer)


def test_the_photographs_superpixels_are_those_of_lime_and_the_same_each_time():
    image = photos(size=48).images[:1]
    first = quickshift_segments(image)
    assert first.shape == (1, 48, 48)
    assert torch.equal(first.unique(), torch.arange(int(first.max()) + 1))
    assert torch.equal(first, quickshift_segments(image))
    grey = image.mean(dim=1, keepdim=True)
    assert torch.equal(quickshift_segments(grey), quickshift_segments(grey.expand(-1, 3, -1, -1)))


# --- photographs: which images the model is asked about ---


@pytest.mark.parametrize("hidden", [None, 0.25, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64), "image"])
def test_a_hidden_superpixel_shows_its_mean_or_what_is_given(hidden):
    model, _ = planted()
    image = noise(1)
    other = noise(1, seed=5)[0]
    masks = torch.randint(2, (7, SIDE**2), generator=of(0)).bool()
    lime_image(model, image, ZERO, segments=chessboard(), masks=masks, hidden=other if hidden == "image" else hidden)
    asked = torch.cat(model.asked)
    for row, mask in zip(asked, masks, strict=True):
        for label in range(SIDE**2):
            place = chessboard() == label
            pixels = image[0][:, place]  # (channels, pixels)
            if mask[label]:
                expected = pixels
            elif hidden is None:
                expected = pixels.mean(dim=1, keepdim=True).expand_as(pixels)
            elif isinstance(hidden, str):
                expected = other[:, place]
            else:
                expected = torch.as_tensor(hidden, dtype=torch.float64).reshape(-1, 1).expand_as(pixels)
            torch.testing.assert_close(row[:, place], expected)


def test_the_model_never_sees_more_than_a_batch_and_answers_do_not_depend_on_it():
    found = []
    for batch_size in (1, 7, 100):
        model, image = planted()
        how = {"segments": chessboard(), "hidden": 0.0, "samples": 30, "generator": of(0)}
        found += lime_image(model, image, ZERO, **how, batch_size=batch_size)
        assert max(map(len, model.asked)) == min(batch_size, 30)
        assert sum(map(len, model.asked)) == 30
    torch.testing.assert_close(found[0].weights, found[1].weights)
    torch.testing.assert_close(found[0].weights, found[2].weights)


@pytest.mark.parametrize("columns", [4096, 50])
def test_more_superpixels_than_samples_gives_the_ridge_solution(columns, monkeypatch):
    monkeypatch.setattr(_local, "COLUMNS", columns)  # 144 features, looked at block by block
    model, image = net(), noise(1)
    segments = torch.arange(SIZE**2).view(SIZE, SIZE)  # every pixel by itself
    (found,) = lime_image(model, image, ZERO, segments=segments, samples=30, generator=of(0))
    theirs = Ridge(alpha=1).fit(
        found.samples.masks.double(), found.samples.answers[:, 0], found.samples.proximity().numpy()
    )
    torch.testing.assert_close(found.weights, torch.from_numpy(theirs.coef_))
    assert found.intercept == pytest.approx(theirs.intercept_)


def test_the_model_comes_back_in_its_mode_and_with_its_gradients():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * SIZE**2, 3)).double()
    model.train()
    model[0].eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lime_image(model, noise(2), torch.tensor([0, 2]), segments=chessboard(), samples=10, generator=of(0))
    assert [module.training for module in model] == [False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(bool((parameter.grad == 1).all()) for parameter in model.parameters())


def test_what_comes_back_can_be_computed_with():
    (found,) = lime_image(net(), noise(1), ZERO, segments=chessboard(), samples=10, generator=of(0))
    leaf = torch.ones(SIDE**2, dtype=torch.float64, requires_grad=True)
    (leaf * found.weights).sum().backward()  # fails on what `inference_mode` made
    (leaf[0] * found.samples.answers.double().sum()).backward()


@every_design
def test_the_same_seed_gives_the_same_explanation_and_another_does_not(design):
    model, image = net(), noise(1)
    how = {"segments": chessboard(), "samples": 30, "design": design}
    first, again, other = (lime_image(model, image, ZERO, **how, generator=of(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first.weights, again.weights)
    assert not torch.equal(first.samples.masks, other.samples.masks)


def test_images_are_explained_one_by_one_whatever_their_strides():
    model = net()
    images = noise(3).permute(0, 1, 3, 2)
    targets = torch.tensor([0, 3, 1])
    masks = torch.randint(2, (20, SIDE**2), generator=of(0)).bool()
    together = lime_image(model, images, targets, segments=chessboard(), masks=masks)
    assert [one.target for one in together] == [0, 3, 1]
    for i, one in enumerate(together):
        how = {"segments": chessboard()[None], "masks": masks}
        (alone,) = lime_image(model, images[i : i + 1].contiguous(), targets[i : i + 1], **how)
        torch.testing.assert_close(alone.weights, one.weights)


def test_grey_images_work():
    (found,) = lime_image(net(channels=1), noise(1, 1), ZERO, samples=20, generator=of(0))
    assert found.map().shape == (SIZE, SIZE)


def test_a_map_shows_each_superpixels_weight_in_its_place():
    model, image = planted()
    (found,) = lime_image(model, image, ZERO, segments=chessboard(), hidden=0.0, samples=40, generator=of(0), **EXACT)
    assert isinstance(found, ImageExplanation)
    for label, weight in enumerate(model.weights.detach()):
        torch.testing.assert_close(found.map()[chessboard() == label], torch.full((16,), float(weight)))
    assert found.top(2) == model.weights.detach().abs().argsort(descending=True)[:2].tolist()


def test_another_class_from_the_same_answers():
    model, image = net(), noise(1)
    how = {"segments": chessboard(), "samples": 30}
    (first,) = lime_image(model, image, ZERO, **how, generator=of(0))
    (second,) = lime_image(model, image, torch.tensor([2]), **how, generator=of(0))
    switched = first.about(2)
    assert isinstance(switched, ImageExplanation)
    torch.testing.assert_close(switched.weights, second.weights)
    assert (switched.target, switched.r2, switched.answer) == (2, pytest.approx(second.r2), second.answer)
    everything = sum(first.about(k).weights for k in range(4))
    torch.testing.assert_close(everything, torch.zeros(SIDE**2, dtype=torch.float64))  # probabilities add up to 1
    with refuses(ValueError, "targets", "0…3", "4"):
        first.about(4)


# --- the local model ---


def random_samples(seed: int, *, count: int = 60, features: int = 8, **settings: object) -> Samples:
    generator = of(seed)
    masks = torch.cat([torch.ones(1, features).bool(), torch.randint(2, (count, features), generator=generator).bool()])
    answers = torch.rand(count + 1, 2, generator=generator, dtype=torch.float64)
    how = {"kernel_width": 0.25, "alpha": 1.0, "features": None, **settings}
    return Samples(masks, answers, cosine_distance(masks), **how)


def test_distance_and_proximity_are_the_published_formulas():
    masks = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()
    distances = cosine_distance(masks)
    torch.testing.assert_close(distances, torch.tensor([0, 0.5, 1 - math.sqrt(0.5), 1], dtype=torch.float64))
    asked = Samples(masks, torch.zeros(4, 1), distances, 0.25, 1.0, None)
    # lime's kernel: the root of exp(−d² / width²)
    torch.testing.assert_close(asked.proximity(), (-((distances / 0.25) ** 2)).exp().sqrt())


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 10.0])
def test_the_fit_is_weighted_ridge_regression(alpha):
    asked = random_samples(0, alpha=alpha)
    masks, answers, proximity = asked.masks.double().numpy(), asked.answers[:, 1].numpy(), asked.proximity().numpy()
    theirs = Ridge(alpha=alpha).fit(masks, answers, proximity)
    line = fit_line(asked, 1)
    torch.testing.assert_close(line.weights, torch.from_numpy(theirs.coef_))
    assert line.intercept == pytest.approx(theirs.intercept_)
    assert line.r2 == pytest.approx(theirs.score(masks, answers, proximity))
    assert line.prediction == pytest.approx(theirs.predict(masks[:1])[0])


def test_few_features_are_those_of_greedy_search():
    asked = random_samples(1)
    masks, answers, proximity = asked.masks.double().numpy(), asked.answers[:, 0].numpy(), asked.proximity().numpy()
    chosen: list[int] = []
    for _ in range(3):
        rest = [j for j in range(8) if j not in chosen]
        scores = []
        for j in rest:
            inputs = masks[:, [*chosen, j]]
            scores.append(LinearRegression().fit(inputs, answers, proximity).score(inputs, answers, proximity))
        chosen.append(rest[int(np.argmax(scores))])
    line = fit_line(Samples(**{**vars(asked), "features": 3}), 0)
    assert set(line.weights.nonzero().flatten().tolist()) == set(chosen)
    theirs = Ridge(alpha=1).fit(masks[:, chosen], answers, proximity)
    torch.testing.assert_close(line.weights[chosen], torch.from_numpy(theirs.coef_))


def test_many_features_are_those_of_the_largest_weights():
    asked = random_samples(2, features=12, count=100)
    all_of_them = Ridge(alpha=0.01).fit(
        asked.masks.double().numpy(), asked.answers[:, 0].numpy(), asked.proximity().numpy()
    )
    line = fit_line(Samples(**{**vars(asked), "features": 7}), 0)
    assert set(line.weights.nonzero().flatten().tolist()) == set(np.abs(all_of_them.coef_).argsort()[-7:])


# --- fidelity ---


def test_fidelity_never_falls_with_more_features_and_ends_at_least_squares():
    model, image = net(), noise(1)
    (found,) = lime_image(model, image, ZERO, segments=chessboard(), samples=40, generator=of(0), **EXACT)
    curve = lime_fidelity(found)
    assert len(curve.r2) == SIDE**2 + 1
    assert curve.r2[0] == 0
    assert bool((curve.r2.diff() >= 0).all())
    assert float(curve.r2[-1]) == pytest.approx(found.r2)
    inputs, answers = found.samples.masks.double().numpy(), found.samples.answers[:, 0].numpy()
    proximity = found.samples.proximity().numpy()
    errors = answers - LinearRegression().fit(inputs, answers, proximity).predict(inputs)
    assert float(curve.loss[-1]) == pytest.approx((proximity * errors**2).sum())
    torch.testing.assert_close(curve.r2, 1 - curve.loss / curve.loss[0])
    some = lime_fidelity(found, [3, 1])
    torch.testing.assert_close(some.r2, curve.r2[[3, 1]])


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_model_of_few_superpixels_is_explained_in_full_by_so_many(count):
    model, image = planted()
    with torch.no_grad():
        model.weights[count:] = 0
    (found,) = lime_image(model, image, ZERO, segments=chessboard(), hidden=0.0, samples=80, generator=of(0))
    r2 = lime_fidelity(found).r2
    assert r2[count] == pytest.approx(1)
    assert r2[count - 1] < 0.999


def test_fidelity_of_a_constant_is_one_and_other_widths_are_other_weights():
    samples = random_samples(3)
    model, image = net(), noise(1)
    with torch.no_grad():
        model[-1].weight *= 30  # far from linear
    (found,) = lime_image(model, image, ZERO, segments=chessboard(), samples=200, generator=of(0))
    wide, usual = lime_fidelity(found, [SIDE**2], kernel_width=100.0), lime_fidelity(found, [SIDE**2])
    inputs, answers = found.samples.masks.double().numpy(), found.samples.answers[:, 0].numpy()
    assert float(wide.r2) == pytest.approx(LinearRegression().fit(inputs, answers).score(inputs, answers), abs=1e-4)
    assert abs(float(wide.r2 - usual.r2)) > 1e-4
    constant = Samples(**{**vars(samples), "answers": torch.full_like(samples.answers, 0.3)})
    assert fit_line(constant, 0).r2 == 1
    flat = Samples(**{**vars(found.samples), "answers": torch.full_like(found.samples.answers, 0.3)})
    assert (lime_fidelity(dataclasses.replace(found, samples=flat)).r2 == 1).all()


# --- designs ---


@given(features=st.integers(1, 60), count=st.integers(1, 300), seed=st.integers(0, 1000))
def test_a_hadamard_design_has_its_size_and_complements(features, count, seed):
    masks = DESIGNS["hadamard"](count, features, of(seed))
    assert masks.shape == (count, features)
    assert masks.dtype == torch.bool
    even = count // 2 * 2
    assert torch.equal(masks[0:even:2], ~masks[1:even:2])


@pytest.mark.parametrize(("features", "order"), [(3, 4), (7, 8), (11, 12), (19, 20), (30, 32), (43, 44), (59, 60)])
def test_effects_in_a_full_hadamard_design_do_not_mix(features, order):
    signs = 2 * DESIGNS["hadamard"](2 * order, features, of(0)).double() - 1
    assert torch.equal(signs.sum(dim=0), torch.zeros(features, dtype=torch.float64))
    assert torch.equal(signs.T @ signs, 2 * order * torch.eye(features, dtype=torch.float64))
    for i, j in list(combinations(range(features), 2))[:50]:
        assert torch.equal((signs[:, i] * signs[:, j]) @ signs, torch.zeros(features, dtype=torch.float64))


@every_design
def test_each_sample_of_a_design_is_fair_by_itself(design):
    draws = torch.stack([DESIGNS[design](4, 5, of(seed)) for seed in range(2000)]).double()
    assert float((draws.mean(dim=0) - 0.5).abs().max()) < 0.06  # five standard errors
    both = torch.einsum("nsi,nsj->sij", draws, draws) / len(draws)
    pairs = both[:, ~torch.eye(5, dtype=torch.bool)]
    assert float((pairs - 0.25).abs().max()) < 0.05


# --- text ---

WORTH = {"good": 0.2, "bad": -0.15, "not": -0.1, "film": 0.0}


def by_words(texts: list[str]) -> np.ndarray:
    """p(class 1) = 0.5 + Σ worth of the words that occur."""
    probability = np.array([0.5 + sum(w for word, w in WORTH.items() if word in text.split()) for text in texts])
    return np.stack([1 - probability, probability], axis=1)


def test_words_have_their_worth():
    (found,) = lime_text(by_words, ["a good film not a bad film"], [1], samples=200, generator=of(0), **EXACT)
    assert found.names == ("a", "good", "film", "not", "bad")
    expected = torch.tensor([0.0, 0.2, 0.0, -0.1, -0.15], dtype=torch.float64)
    torch.testing.assert_close(found.weights, expected, rtol=0, atol=1e-9)
    assert found.intercept == pytest.approx(0.5)
    assert found.r2 == pytest.approx(1)
    assert found.about(0).weights[1] == pytest.approx(-0.2)
    assert repr(found).startswith("TextExplanation(target=1, r2=1.00, good: +0.200, bad: -0.150, not: -0.100, ")


def test_a_hidden_word_goes_everywhere_and_the_rest_stays():
    asked: list[str] = []

    def predict(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return by_words(texts)

    text = "Good, good — film;\n don't: good!"
    masks = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 1], [0, 1, 0, 0, 1]]).bool()
    (found,) = lime_text(predict, [text], [0], masks=masks)
    assert found.names == ("Good", "good", "film", "don", "t")
    assert asked == [text, "Good,  — film;\n don't: !", ", good — ;\n 't: good!"]


def test_as_many_words_are_hidden_as_is_drawn_each_number_as_likely():
    (found,) = lime_text(by_words, ["one two three four"], [1], samples=4001, generator=of(0))
    masks = found.samples.masks
    assert bool(masks[0].all())
    hidden = (~masks[1:]).sum(dim=1).bincount(minlength=5)
    assert hidden[0] == 0
    assert float((hidden[1:] / 4000 - 0.25).abs().max()) < 0.035  # five standard errors
    single = masks[1:][(~masks[1:]).sum(dim=1) == 1]
    assert float(((~single).double().mean(dim=0) - 0.25).abs().max()) < 0.07


def test_a_text_of_one_word_works():
    (found,) = lime_text(by_words, ["good"], [1], samples=50, generator=of(0), **EXACT)
    assert found.weights[0] == pytest.approx(0.2)


@pytest.mark.parametrize("text", ["", "  \n", "… — !"])
def test_a_text_without_a_word_is_refused(text):
    with refuses(ValueError, "at least one word"):
        lime_text(by_words, ["good film", text], [1, 1], samples=10)


def test_a_text_shows_itself_with_coloured_words():
    text = "good & <b>bad</b>"
    spaced = lambda texts: by_words([re.sub(r"\W", " ", text) for text in texts])  # noqa: E731
    (found,) = lime_text(spaced, [text], [1], samples=200, generator=of(0))
    shown = found._repr_html_()
    assert "&amp; &lt;" in shown
    assert "<b>" not in shown
    blue, orange = "0,114,178", "213,94,0"
    assert shown.index(blue) < shown.index(">good<") < shown.index(orange) < shown.index(">bad<")
    assert "color:#000" in shown  # readable on a dark page


def test_a_word_is_as_strong_in_colour_as_in_weight_and_a_weak_one_stays_plain():
    (found,) = lime_text(by_words, ["good bad film <"], [1], samples=50, generator=of(0))
    weights = torch.tensor([2.0, -1.0, 2 / 7 - 0.01], dtype=torch.float64)
    style = "border-radius:3px;padding:0 2px"
    good = f'<span style="background:rgba(0,114,178,0.60);{style}">good</span>'
    bad = f'<span style="background:rgba(213,94,0,0.30);{style}">bad</span>'
    assert f">{good} {bad} film &lt;</div>" in dataclasses.replace(found, weights=weights)._repr_html_()
    weights[2] = -2 / 7 - 0.01
    assert "rgba(213,94,0,0.09)" in dataclasses.replace(found, weights=weights)._repr_html_()
    assert ">good bad film &lt;</div>" in dataclasses.replace(found, weights=0 * weights)._repr_html_()


def test_where_the_input_itself_is_not_asked_about_there_is_no_answer_to_compare():
    masks = torch.tensor([[1, 0], [0, 1], [0, 0], [1, 0]]).bool()
    (found,) = lime_text(by_words, ["good bad"], [1], masks=masks, **EXACT)
    assert found.answer is None
    assert found.prediction == pytest.approx(0.5 + 0.2 - 0.15)


# --- tables ---


def table(seed: int = 0, count: int = 400) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.column_stack(
        [random.normal(size=count), random.exponential(size=count), random.integers(3, size=count), np.full(count, 7.0)]
    )


EFFECTS = np.array([[0.0, 0.05, 0.1, 0.2], [0.1, 0.0, 0.05, 0.0]])  # of each numeric column's quarters
OF_CODES = np.array([0.0, 0.2, 0.1])


def by_quarters(training: np.ndarray):
    """p(class 1): a sum of effects of the quarters and codes, none of the constant column."""
    cuts = np.percentile(training[:, :2], [25, 50, 75], axis=0)

    def predict(rows: np.ndarray) -> np.ndarray:
        quarters = [(rows[:, [i]] > cuts[:, i]).sum(axis=1) for i in range(2)]
        p = 0.2 + EFFECTS[0][quarters[0]] + EFFECTS[1][quarters[1]] + OF_CODES[rows[:, 2].astype(int)]
        return np.stack([1 - p, p], axis=1)

    return predict


def contrast(effects: np.ndarray, here: int) -> float:
    """What it is worth to be here rather than in one of the others, which are as likely as each other."""
    return float(effects[here] - np.delete(effects, here).mean())


def test_a_sum_of_effects_of_quarters_and_codes_comes_back():
    training = table()
    training[:, 2] = np.arange(len(training)) % 3  # codes as often as each other
    row = np.array([[2.5, 0.01, 1.0, 7.0]])  # the last quarter, the first, code 1
    how = {"training": training, "categorical": [2], "samples": 40_000, "generator": of(0)}
    (found,) = lime_tabular(by_quarters(training), row, [1], kernel_width=100.0, **how, **EXACT)
    expected = [contrast(EFFECTS[0], 3), contrast(EFFECTS[1], 0), contrast(OF_CODES, 1), 0.0]
    assert found.weights.tolist() == pytest.approx(expected, abs=4e-3)
    assert abs(found.weights[3]) < 1e-12
    assert found.names[0].startswith("column 0 > ")
    assert found.names[1].startswith("column 1 ≤ ")
    assert found.names[2:] == ("column 2 = 1", "column 3 ≤ 7.00")


def test_neighbours_are_drawn_as_the_training_data_lie():
    training = table()
    seen: list[np.ndarray] = []

    def predict(rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return by_quarters(training)(rows)

    how = {"training": training, "categorical": [2], "samples": 8000, "generator": of(0)}
    lime_tabular(predict, training[:1], [1], **how)
    rows = seen[0]
    assert np.array_equal(rows[0], training[0])
    assert (rows[:, 3] == 7).all()
    assert set(np.unique(rows[:, 2])) == {0, 1, 2}
    assert np.bincount(rows[:, 2].astype(int)) / 8000 == pytest.approx(
        np.bincount(training[:, 2].astype(int)) / 400, abs=0.03
    )
    for column in range(2):
        cuts = np.percentile(training[:, column], [25, 50, 75])
        assert training[:, column].min() <= rows[:, column].min() <= rows[:, column].max() <= training[:, column].max()
        theirs, mine = (np.searchsorted(cuts, values[:, column]) for values in (training, rows))
        assert np.bincount(mine) / 8000 == pytest.approx(np.bincount(theirs) / 400, abs=0.03)
        ends = [training[:, column].min(), *cuts, training[:, column].max()]
        for quarter in range(4):
            inside, drawn = training[theirs == quarter, column], rows[1:][mine[1:] == quarter, column]
            bounds = (np.array(ends[quarter : quarter + 2]) - inside.mean()) / inside.std()
            law = truncnorm(*bounds, loc=inside.mean(), scale=inside.std())  # a normal variable, cut to the bin
            assert abs(drawn.mean() - law.mean()) < 4.5 * law.std() / len(drawn) ** 0.5
            fourth = law.expect(lambda x, law=law: (x - law.mean()) ** 4)
            error = ((fourth - law.var() ** 2) / len(drawn)) ** 0.5
            assert abs(drawn.var() - law.var()) < 4.5 * error
    off_diagonal = np.corrcoef(rows[:, :3].T)[~np.eye(3, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.06  # each column by itself


def test_conditions_are_the_quartiles_in_words():
    training = np.column_stack([np.arange(101.0), np.arange(101) % 3])
    rows = [[25.0, 2.0], [25.5, 0.0], [50.5, 1.0], [75.5, 1.0]]
    how = {"training": training, "categorical": [1], "names": ["age", "kind"], "samples": 5, "generator": of(0)}
    found = lime_tabular(lambda rows: rows[:, 0], rows, [0] * 4, **how)
    ages, kinds = zip(*(one.names for one in found), strict=True)
    assert ages == ("age ≤ 25.00", "25.00 < age ≤ 50.00", "50.00 < age ≤ 75.00", "age > 75.00")
    assert kinds == ("kind = 2", "kind = 0", "kind = 1", "kind = 1")


def test_a_single_value_in_a_bin_is_drawn_as_it_is():
    training = np.column_stack([np.repeat([4.0, 4.0, 4.0, 9.0], 50), np.arange(200.0)])
    seen: list[np.ndarray] = []

    def predict(rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return rows[:, 0]

    lime_tabular(predict, training[:1], [0], training=training, samples=300, generator=of(0))
    assert set(seen[0][:, 0]) == {4.0, 9.0}


def test_table_weights_follow_the_distance_formula():
    training = table()
    (found,) = lime_tabular(
        by_quarters(training), training[:1], [1], training=training, categorical=[2], samples=50, generator=of(0)
    )
    differ = (~found.samples.masks).sum(dim=1).double()
    width = 0.75 * math.sqrt(4)
    torch.testing.assert_close(found.samples.proximity(), (-differ / (2 * width**2)).exp())


def test_a_regression_is_explained_as_target_zero():
    training = table()
    how = {"training": training, "categorical": [2], "samples": 500}
    (number,) = lime_tabular(lambda rows: by_quarters(training)(rows)[:, 1], training[:1], [0], **how, generator=of(0))
    (probability,) = lime_tabular(by_quarters(training), training[:1], [1], **how, generator=of(0))
    torch.testing.assert_close(number.weights, probability.weights, rtol=0, atol=1e-12)


def test_the_settings_are_those_of_the_package_lime_unless_others_are_given():
    """Its kernel widths are 0.25 for images, 25 for texts at 100-fold distances, and ¾√F for tables."""
    (of_image,) = lime_image(net(), noise(1), ZERO, segments=chessboard(), generator=of(0))
    (of_text,) = lime_text(by_words, ["good film"], [1], generator=of(0))
    (of_row,) = lime_tabular(by_quarters(table()), table()[:1], [1], training=table(), categorical=[2], generator=of(0))
    for found, samples, width in ((of_image, 1000, 0.25), (of_text, 5000, 0.25), (of_row, 5000, 0.75 * 2)):
        asked = found.samples
        assert (len(asked.masks), asked.kernel_width, asked.alpha, asked.features) == (samples, width, 1.0, None)


def test_two_neighbours_are_enough():
    training = table()
    (found,) = lime_tabular(
        by_quarters(training), training[:1], [1], training=training, categorical=[2], neighbours=training[:2]
    )
    assert len(found.samples.masks) == 2


# --- what is refused ---


def test_images_that_cannot_be_explained_are_refused():
    model, image = net(), noise(1)
    how = {"segments": chessboard(), "samples": 10}
    with refuses(ValueError, "targets", "0…3", "4"):
        lime_image(model, image, torch.tensor([4]), **how)
    with refuses(ValueError, "targets", "-1"):
        lime_image(model, image, torch.tensor([-1]), **how)
    with refuses(ValueError, "[0, 1]"):
        lime_image(model, 255 * image, ZERO, **how)
    with refuses(ValueError, "not finite"):
        broken = net()
        nn.init.constant_(broken[-1].bias, math.nan)
        lime_image(broken, image, ZERO, **how)
    with refuses(ValueError, "K ≥ 2", "always 1"):
        lime_image(net(classes=1), image, ZERO, **how)
    with refuses(ValueError, "samples", "1"):
        lime_image(model, image, ZERO, segments=chessboard(), samples=1)
    with refuses(ValueError, "design", "coins", "dice"):
        lime_image(model, image, ZERO, design="dice", **how)
    with refuses(ValueError, "segments", "[12, 12]", "[6, 6]"):
        lime_image(model, image, ZERO, segments=torch.zeros(6, 6, dtype=torch.int64))
    with refuses(TypeError, "segments", "int64"):
        lime_image(model, image, ZERO, segments=chessboard().float())
    with refuses(ValueError, "masks", "[M, 9]", "[5, 4]"):
        lime_image(model, image, ZERO, segments=chessboard(), masks=torch.ones(5, 4).bool())
    with refuses(TypeError, "masks", "bool"):
        lime_image(model, image, ZERO, segments=chessboard(), masks=torch.ones(5, 9))
    with refuses(ValueError, "fill"):
        lime_image(model, image, ZERO, hidden=torch.zeros(5), **how)
    with refuses(ValueError, "batch_size"):
        lime_image(model, image, ZERO, batch_size=0, **how)
    with refuses(ValueError, "1 or 3"):
        quickshift_segments(noise(1, channels=2))


@pytest.mark.parametrize(
    ("setting", "value"), [("kernel_width", 0.0), ("kernel_width", math.nan), ("alpha", -1.0), ("features", 0)]
)
def test_settings_out_of_range_are_refused(setting, value):
    with refuses(ValueError, setting):
        lime_image(net(), noise(1), ZERO, segments=chessboard(), samples=10, **{setting: value})
    with refuses(ValueError, setting):
        lime_text(by_words, ["good film"], [1], samples=10, **{setting: value})


def test_a_width_at_which_no_sample_counts_is_refused():
    (found,) = lime_image(net(), noise(1), ZERO, segments=chessboard(), samples=20, generator=of(0))
    with refuses(ValueError, "kernel_width", "no sample counts"):
        lime_fidelity(found, kernel_width=1e-4)
    with refuses(ValueError, "kernel_width"):
        lime_fidelity(found, kernel_width=0.0)
    with refuses(ValueError, "features", "0 to 9"):
        lime_fidelity(found, [10])


def test_texts_and_tables_that_cannot_be_explained_are_refused():
    with refuses(TypeError, "[text]"):
        lime_text(by_words, "good film", [1])
    with refuses(ValueError, "one target for each"):
        lime_text(by_words, ["good", "bad"], [1])
    with refuses(ValueError, "targets", "0…1", "2"):
        lime_text(by_words, ["good"], [2], samples=10)
    with refuses(ValueError, "probabilities", "[10, K]"):
        lime_text(lambda texts: by_words(texts)[:3], ["good"], [1], samples=10)
    training = table()
    predict = by_quarters(training)
    how = {"training": training, "samples": 10}
    with refuses(ValueError, "4 columns", "3"):
        lime_tabular(predict, training[:1, :3], [1], **how)
    with refuses(ValueError, "finite"):
        lime_tabular(predict, np.full((1, 4), np.nan), [1], **how)
    with refuses(TypeError, "codes"):
        lime_tabular(predict, [["a", "b", "c", "d"]], [1], **how)
    with refuses(ValueError, "categorical"):
        lime_tabular(predict, training[:1], [1], categorical=[4], **how)
    with refuses(ValueError, "finite", "NaN"):
        lime_tabular(lambda rows: np.full((len(rows), 2), np.nan), training[:1], [1], **how)
    with refuses(ValueError, "neighbours", "[M, 4]"):
        lime_tabular(predict, training[:1], [1], training=training, neighbours=training[:, :2])
