"""LIME and SP-LIME against the package `lime`: equal on the same perturbations, and as steady on others."""

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn

from tml_helpers.data import TextSet, photos
from tml_helpers.explain import (
    explanation_matrix,
    lime_image,
    lime_tabular,
    lime_text,
    quickshift_segments,
    submodular_pick,
)
from tml_helpers.models import imagenet_classifier
from tml_helpers.training import predict

pytest.importorskip("lime", reason="the extra [peers] is not installed")
import lime.lime_image
import lime.lime_tabular
import lime.lime_text
from lime import submodular_pick as theirs_pick

lime.lime_image.tqdm = lambda rows, *_, **__: rows  # it would draw a bar


def recorded(explainer: Any) -> tuple[Any, list[Any]]:
    """The explainer, and a list to which it will add the data of every regression that it does."""
    seen: list[Any] = []
    original = explainer.base.explain_instance_with_data

    def spy(data: Any, *args: Any, **settings: Any) -> Any:
        seen.append(np.asarray(data))
        return original(data, *args, **settings)

    explainer.base.explain_instance_with_data = spy
    return explainer, seen


def weights_of(explanation: Any, label: int, count: int) -> Tensor:
    found = torch.zeros(count, dtype=torch.float64)
    for feature, weight in explanation.local_exp[label]:
        found[feature] = float(weight)
    return found


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def assert_same(mine: Any, theirs: Any, label: int) -> None:
    """Coefficients correlate ≥ 0.999 and the same top five, as asked; they are in fact equal to many digits."""
    weights = weights_of(theirs, label, len(mine.weights))
    assert correlation(mine.weights, weights) >= 0.999
    assert mine.top(5) == weights.abs().argsort(descending=True, stable=True)[:5].tolist()
    torch.testing.assert_close(mine.weights, weights, rtol=0, atol=1e-6)
    assert mine.intercept == pytest.approx(theirs.intercept[label], abs=1e-6)


# --- photographs ---


class Edges(nn.Module):
    """A small random network whose probabilities are far from linear in what is hidden."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=3), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3)
        )
        self.head = nn.Linear(24 * 9, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.layers(images).flatten(1)
        return 60 * self.head(features - features.mean(dim=1, keepdim=True))


def probabilities(model: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    def classify(images: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2).contiguous()
        return predict(model, batch).softmax(dim=1).numpy()

    return classify


def by_lime(model: nn.Module, image: Tensor, seed: int, samples: int, **settings: Any) -> tuple[Any, Tensor]:
    """lime's explanation of the two most probable classes, and its masks; its segments are quickshift's."""
    explainer, seen = recorded(lime.lime_image.LimeImageExplainer(random_state=seed))
    pixels = image.permute(1, 2, 0).double().numpy()
    found = explainer.explain_instance(pixels, probabilities(model), top_labels=2, num_samples=samples, **settings)
    return found, torch.from_numpy(seen[0]).bool()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return photos(size=96).images


@pytest.mark.parametrize("hidden", [None, 0.5])
@pytest.mark.parametrize("which", [0, 2, 4])
def test_on_the_same_perturbations_the_weights_are_limes(pictures, which, hidden):
    model, image = Edges().eval(), pictures[which]
    theirs, masks = by_lime(model, image, 0, 200, hide_color=hidden)
    segments = torch.from_numpy(theirs.segments).long()
    assert torch.equal(segments, quickshift_segments(image[None])[0])
    for label in reversed(theirs.top_labels):
        target = torch.tensor([label])
        (mine,) = lime_image(model, image[None], target, segments=segments, masks=masks, hidden=hidden)
        assert_same(mine, theirs, label)
    assert mine.r2 == pytest.approx(theirs.score, abs=1e-5)  # lime keeps those of the last label that it fits
    assert mine.prediction == pytest.approx(float(theirs.local_pred[0]), abs=1e-6)


@pytest.mark.parametrize("count", [3, 7])
def test_few_features_are_limes(pictures, count):
    model, image = Edges().eval(), pictures[0]
    theirs, masks = by_lime(model, image, 0, 200, num_features=count)
    for label in theirs.top_labels:
        (mine,) = lime_image(model, image[None], torch.tensor([label]), masks=masks, features=count)
        assert_same(mine, theirs, label)


def test_on_imagenets_classifier_the_weights_are_limes(pictures):
    model, image = imagenet_classifier(), pictures[0]
    theirs, masks = by_lime(model, image, 0, 150)
    for label in theirs.top_labels:
        (mine,) = lime_image(model, image[None], torch.tensor([label]), masks=masks)
        assert_same(mine, theirs, label)


@pytest.mark.parametrize("design", ["coins", "hadamard"])
@pytest.mark.parametrize("which", [0, 4])
def test_own_draws_agree_with_lime_as_well_as_lime_with_itself(pictures, which, design):
    model, image = Edges().eval(), pictures[which]
    label = int(predict(model, image[None]).argmax())
    segments = quickshift_segments(image[None])
    count = int(segments.max()) + 1
    runs = [weights_of(by_lime(model, image, seed, 200)[0], label, count) for seed in range(4)]
    how = {"segments": segments, "samples": 200, "design": design}
    mine = [
        lime_image(model, image[None], torch.tensor([label]), **how, generator=torch.Generator().manual_seed(seed))[0]
        for seed in range(4)
    ]
    among_themselves = np.mean([correlation(a, b) for a, b in combinations(runs, 2)])
    with_ours = np.mean([correlation(one.weights, b) for one, b in product(mine, runs)])
    assert among_themselves > 0.5
    assert with_ours >= among_themselves - 0.02


# --- text ---


@pytest.fixture(scope="module")
def documents(docstrings: dict[str, TextSet]) -> TextSet:
    return docstrings["test"]


@pytest.fixture(scope="module")
def text_classifier(documents: Any) -> Any:
    classifier = make_pipeline(TfidfVectorizer(max_features=1000), LogisticRegression())
    return classifier.fit(documents.texts[::4], documents.labels[::4].numpy())


@pytest.fixture(scope="module")
def texts(documents: Any) -> list[str]:
    return [text for text in documents.texts[1::4] if 150 < len(text) < 500][:3]


@pytest.mark.parametrize("count", [None, 4, 10])
@pytest.mark.parametrize("which", range(3))
def test_text_on_the_same_perturbations_is_limes(text_classifier, texts, which, count):
    text = texts[which]
    asked: dict[str, list[str]] = {"lime": [], "ours": []}

    def listening(who: str) -> Callable[[list[str]], np.ndarray]:
        def answer(queries: list[str]) -> np.ndarray:
            asked[who] += list(queries)
            return text_classifier.predict_proba(queries)

        return answer

    explainer, seen = recorded(lime.lime_text.LimeTextExplainer(random_state=0))
    theirs = explainer.explain_instance(
        text, listening("lime"), labels=(0, 3), num_features=count or 10_000, num_samples=300
    )
    masks = torch.from_numpy(seen[0]).bool()
    (mine,) = lime_text(listening("ours"), [text], [0], masks=masks, features=count)
    assert asked["ours"] == asked["lime"]
    assert list(mine.names) == theirs.domain_mapper.indexed_string.inverse_vocab
    for label in (0, 3):
        assert_same(mine.about(label), theirs, label)


def test_text_with_own_draws_agrees_with_lime_as_well_as_lime_with_itself(text_classifier, texts):
    text = texts[0]
    runs, mine = [], []
    for seed in range(4):
        explainer = lime.lime_text.LimeTextExplainer(random_state=seed)
        how = {"labels": (0,), "num_features": 10_000, "num_samples": 400}
        theirs = explainer.explain_instance(text, text_classifier.predict_proba, **how)
        generator = torch.Generator().manual_seed(seed)
        mine += lime_text(text_classifier.predict_proba, [text], [0], samples=400, generator=generator)
        runs.append(weights_of(theirs, 0, len(mine[0].weights)))
    among_themselves = np.mean([correlation(a, b) for a, b in combinations(runs, 2)])
    with_ours = np.mean([correlation(one.weights, b) for one, b in product(mine, runs)])
    assert with_ours >= among_themselves - 0.02


# --- tables ---

CATEGORICAL = [2, 5]


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    """Numbers, counts with few values, codes, and a column that is constant."""
    random = np.random.default_rng(0)
    n = 600
    columns = [random.normal(size=n), random.exponential(size=n), random.integers(0, 4, n)]
    columns += [random.poisson(2, n), np.full(n, 5.0), random.integers(0, 2, n)]
    inputs = np.column_stack(columns)
    signal = inputs[:, 0] + inputs[:, 1] * (inputs[:, 2] == 2) - inputs[:, 3] / 2 + inputs[:, 5]
    return inputs, signal


@pytest.fixture(scope="module")
def forest(table: tuple[np.ndarray, np.ndarray]) -> RandomForestClassifier:
    inputs, signal = table
    return RandomForestClassifier(30, random_state=0).fit(inputs, signal > 0)


def tabular(training: np.ndarray, seed: int, **settings: Any) -> Any:
    return lime.lime_tabular.LimeTabularExplainer(
        training, categorical_features=CATEGORICAL, random_state=seed, **settings
    )


@pytest.mark.parametrize("count", [3, 10])
@pytest.mark.parametrize("row", range(3))
def test_a_table_on_the_same_perturbations_is_limes(table, forest, row, count):
    training, _ = table
    asked: list[np.ndarray] = []

    def listening(rows: np.ndarray) -> np.ndarray:
        asked.append(rows.copy())
        return forest.predict_proba(rows)

    explainer, seen = recorded(tabular(training, 0))
    theirs = explainer.explain_instance(training[row], listening, num_features=count, num_samples=1000)
    how = {"training": training, "categorical": CATEGORICAL, "features": count}
    (mine,) = lime_tabular(forest.predict_proba, training[row : row + 1], [1], neighbours=asked[0], **how)
    assert np.array_equal(mine.samples.masks.numpy(), seen[0] == 1)
    assert_same(mine, theirs, 1)
    assert mine.r2 == pytest.approx(theirs.score)
    assert abs(mine.weights[4]) < 1e-12  # the constant column


def test_a_regression_on_the_same_perturbations_is_limes(table):
    training, signal = table
    model = RandomForestRegressor(10, random_state=0).fit(training, signal)
    asked: list[np.ndarray] = []

    def listening(rows: np.ndarray) -> np.ndarray:
        asked.append(rows.copy())
        return model.predict(rows)

    theirs = tabular(training, 0, mode="regression").explain_instance(training[0], listening, num_samples=1000)
    how = {"training": training, "categorical": CATEGORICAL}
    (mine,) = lime_tabular(model.predict, training[:1], [0], neighbours=asked[0], **how)
    assert_same(mine, theirs, 1)


@pytest.mark.parametrize("row", [0, 2])
def test_a_table_with_own_draws_agrees_with_lime_as_well_as_lime_with_itself(table, forest, row):
    training, _ = table
    runs, mine = [], []
    for seed in range(5):
        theirs = tabular(training, seed).explain_instance(training[row], forest.predict_proba, num_samples=1500)
        runs.append(weights_of(theirs, 1, 6))
        how = {"training": training, "categorical": CATEGORICAL, "samples": 1500}
        generator = torch.Generator().manual_seed(seed)
        mine += lime_tabular(forest.predict_proba, training[row : row + 1], [1], **how, generator=generator)
    among_themselves = np.mean([correlation(a, b) for a, b in combinations(runs, 2)])
    with_ours = np.mean([correlation(one.weights, b) for one, b in product(mine, runs)])
    assert with_ours >= among_themselves - 0.02


# --- submodular pick ---


def test_submodular_pick_is_limes(table, forest, monkeypatch):
    training, _ = table
    explainer = tabular(training, 0)
    kept: list[Any] = []
    original = explainer.explain_instance

    def keeping(*args: Any, **settings: Any) -> Any:
        kept.append(original(*args, **settings))
        return kept[-1]

    monkeypatch.setattr(explainer, "explain_instance", keeping)
    how = {"method": "full", "num_exps_desired": 6, "num_features": 3, "num_samples": 200}
    theirs = theirs_pick.SubmodularPick(explainer, training[:15], forest.predict_proba, **how)
    names = list(dict.fromkeys(name for one in kept for name, _ in one.as_list(one.available_labels()[0])))
    weights = torch.zeros(len(kept), len(names), dtype=torch.float64)
    for row, one in zip(weights, kept, strict=True):
        for name, weight in one.as_list(one.available_labels()[0]):
            row[names.index(name)] = weight
    assert submodular_pick(weights, 6).tolist() == theirs.V


def test_the_matrix_of_our_own_explanations_is_picked_from(table, forest):
    training, _ = table
    how = {"training": training, "categorical": CATEGORICAL, "samples": 200, "features": 3}
    found = lime_tabular(forest.predict_proba, training[:8], [1] * 8, **how, generator=torch.Generator().manual_seed(0))
    matrix = explanation_matrix(found)
    assert matrix.weights.shape == (8, len(matrix.names))
    assert bool(((matrix.weights != 0).sum(dim=1) <= 3).all())
    assert len(submodular_pick(matrix.weights, 3)) == 3


def test_superpixels_are_found_with_limes_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distance or ratio changes few pixels of a photograph, and the paper's pictures none."""

    class Asked(Exception):
        """What an algorithm was asked for."""

    def asked(image: Any, kernel_size: Any = 0, max_dist: Any = 0, ratio: Any = 0, rng: Any = 0) -> None:
        raise Asked((kernel_size, max_dist, ratio), rng)

    image = np.zeros((8, 8, 3))
    monkeypatch.setattr("lime.wrappers.scikit_image.quickshift", asked)
    with pytest.raises(Asked) as theirs:
        lime.lime_image.LimeImageExplainer(random_state=0).explain_instance(image, lambda batch: batch, random_seed=42)
    monkeypatch.setattr("skimage.segmentation.quickshift", asked)
    with pytest.raises(Asked) as ours:
        quickshift_segments(torch.zeros(1, 3, 8, 8))
    assert theirs.value.args[0] == ours.value.args[0]
    assert ours.value.args[1] == 42
