"""Deep k-nearest neighbours: against a loop in NumPy, scikit-learn's neighbours, and the formula of the p-values."""

import numpy as np
import pytest
import torch
from bad_input import refuses
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from tml_helpers import data
from tml_helpers.explain import DeepKNN, deep_knn
from tml_helpers.models import SmallCNN
from tml_helpers.training import predict

CLASSES, NEIGHBOURS = 4, 5
LAYERS = ["0", "2", "4"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def world() -> tuple[nn.Sequential, dict[str, Tensor]]:
    """An untrained network, and images whose labels are drawn: neighbours disagree, which tests more."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, CLASSES)
    )
    sizes = {"train": 60, "calibration": 23, "test": 17}
    tensors = {}
    for name, size in sizes.items():
        tensors[name] = torch.rand(size, 2, 6, 6, generator=seeded(size))
        tensors[f"{name}_labels"] = torch.randint(CLASSES, (size,), generator=seeded(size))
    return model, tensors


def built(world: tuple[nn.Sequential, dict[str, Tensor]], **changes: object) -> DeepKNN:
    model, t = world
    calibration = {"calibration_images": t["calibration"], "calibration_labels": t["calibration_labels"]}
    arguments = calibration | {"layers": LAYERS, "neighbours": NEIGHBOURS, "batch_size": 7} | changes
    return DeepKNN(model, t["train"], t["train_labels"], **arguments)


def codes(model: nn.Sequential, images: Tensor) -> list[np.ndarray]:
    """What the layers 0, 2 and 4 return, computed without hooks and without dropout."""
    with torch.no_grad():
        first = model[0](images)
        third = first.relu().flatten(1)
        fifth = model[4](third)
    return [part.flatten(1).double().numpy() for part in (first, third, fifth)]


def by_hand(model: nn.Sequential, t: dict[str, Tensor], images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Cosine distances of the k nearest, and the nonconformity of each class, with loops."""
    nonconformity = np.zeros((len(images), CLASSES), dtype=int)
    distances = []
    for queries, references in zip(codes(model, images), codes(model, t["train"]), strict=True):
        rows = []
        for i, query in enumerate(queries):
            far = [1 - q @ query / np.linalg.norm(q) / np.linalg.norm(query) for q in references]
            nearest = np.argsort(far)[:NEIGHBOURS]
            rows.append(np.array(far)[nearest])
            for label in t["train_labels"].numpy()[nearest]:
                nonconformity[i] += np.arange(CLASSES) != label
        distances.append(rows)
    return np.array(distances), nonconformity


def test_neighbours_and_nonconformity_are_those_of_a_loop(world: tuple[nn.Sequential, dict[str, Tensor]]) -> None:
    model, t = world
    support = built(world)(t["test"])
    distances, nonconformity = by_hand(model, t, t["test"])
    np.testing.assert_allclose(support.distances, distances, atol=1e-6)
    assert np.array_equal(support.nonconformity, nonconformity)
    assert support.neighbours.shape == (3, 17, NEIGHBOURS)


def test_neighbours_are_those_of_scikit_learn(world: tuple[nn.Sequential, dict[str, Tensor]]) -> None:
    model, t = world
    support = built(world)(t["test"])
    for layer, (queries, references) in enumerate(zip(codes(model, t["test"]), codes(model, t["train"]), strict=True)):
        peer = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine", algorithm="brute").fit(references)
        distances, indices = peer.kneighbors(queries)
        assert np.array_equal(support.neighbours[layer], indices)
        np.testing.assert_allclose(support.distances[layer], distances, atol=1e-6)


def test_p_values_credibility_and_confidence_are_their_formulas(
    world: tuple[nn.Sequential, dict[str, Tensor]],
) -> None:
    model, t = world
    support = built(world)(t["test"])
    _, of_calibration = by_hand(model, t, t["calibration"])
    scores = [of_calibration[i, label] for i, label in enumerate(t["calibration_labels"])]
    _, of_test = by_hand(model, t, t["test"])
    expected = np.array([[sum(s >= alpha for s in scores) / len(scores) for alpha in row] for row in of_test])
    np.testing.assert_allclose(support.p_values, expected, atol=1e-6)
    ranked = np.sort(expected, axis=1)
    np.testing.assert_allclose(support.credibility, ranked[:, -1], atol=1e-6)
    np.testing.assert_allclose(support.confidence, 1 - ranked[:, -2], atol=1e-6)
    chosen = support.predictions.numpy()
    assert (expected[np.arange(17), chosen] == ranked[:, -1]).all()
    assert (of_test[np.arange(17), chosen] == of_test.min(axis=1)).all(), "among equal p-values, the fewest opponents"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_p_values_are_uniform_on_both_sides(level: float, seed: int) -> None:
    """At each p-value that occurs: a share p of exchangeable images has one of p or less, neither more nor fewer."""
    generator = seeded(seed)
    images = torch.rand(4000, 1, 2, 2, generator=generator)
    odds = images.flatten(1)[:, :3].softmax(dim=1)  # neighbours say little of the label, so that all counts occur
    labels = odds.multinomial(1, generator=generator).squeeze(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    calibration = {"calibration_images": images[500:2000], "calibration_labels": labels[500:2000]}
    knn = DeepKNN(model, images[:500], labels[:500], **calibration, layers=["0"], neighbours=100)
    own = knn(images[2000:]).p_values.gather(1, labels[2000:, None]).squeeze(1)
    reached = own[own >= level].min()  # the least that occurs, not below the level
    assert reached < level + 0.15
    error = (reached * (1 - reached) * (1 / 1500 + 1 / 2000)).sqrt()
    assert abs((own <= reached).float().mean() - reached) < 4.5 * error


def test_p_values_of_digits_are_small_no_more_often_than_they_say() -> None:
    """Conformal prediction's promise: a true class's p-value is below t on at most a share t of exchangeable images."""
    train = data.mnist("train", source="default")
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    order = torch.randperm(len(train), generator=seeded())
    images, labels = train.images[order], train.labels[order]
    knn = DeepKNN(
        model,
        images[:1000],
        labels[:1000],
        calibration_images=images[1000:2000],
        calibration_labels=labels[1000:2000],
        layers=["0"],
        neighbours=9,
    )
    own = knn(images[2000:]).p_values.gather(1, labels[2000:, None]).squeeze(1)
    for level in (0.05, 0.1, 0.2):
        assert level / 3 < (own <= level).float().mean() < level + 0.03  # fewer, for many images count alike


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_neither_batches_nor_chunks_matter(
    world: tuple[nn.Sequential, dict[str, Tensor]], batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, t = world
    usual = built(world)(t["test"])
    monkeypatch.setattr(deep_knn, "DISTANCES_AT_ONCE", 61)  # one row at a time
    other = built(world, batch_size=batch_size)(t["test"])
    assert torch.equal(usual.neighbours, other.neighbours)
    assert torch.equal(usual.p_values, other.p_values)


def test_a_training_image_is_its_own_nearest_neighbour(world: tuple[nn.Sequential, dict[str, Tensor]]) -> None:
    _, t = world
    support = built(world)(t["train"][:6])
    assert torch.equal(support.neighbours[..., 0], torch.arange(6).expand(3, -1))
    assert support.distances[..., 0].abs().max() < 1e-6


def test_one_image_and_strides_give_the_same(world: tuple[nn.Sequential, dict[str, Tensor]]) -> None:
    _, t = world
    knn = built(world)
    strided = t["test"].permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not strided.is_contiguous()
    assert torch.equal(knn(strided[3:4]).p_values[0], knn(t["test"]).p_values[3])


def test_a_representation_of_zeros_is_equally_far_from_all_and_no_nan() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images, labels = torch.rand(6, 1, 2, 2, generator=seeded()), torch.tensor([0, 1] * 3)
    knn = DeepKNN(
        model, images, labels, calibration_images=images, calibration_labels=labels, layers=["0"], neighbours=3
    )
    support = knn(torch.zeros(1, 1, 2, 2))
    assert torch.equal(support.distances, torch.ones(1, 1, 3))
    assert torch.isfinite(support.p_values).all()


def test_the_model_comes_back_as_it_was(world: tuple[nn.Sequential, dict[str, Tensor]]) -> None:
    model, t = world
    model.train()
    model[3].eval()
    built(world)(t["test"])
    assert model.training
    assert not model[3].training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_noise_has_less_credibility_than_digits(small_cnn: SmallCNN) -> None:
    """Half of the test digits calibrate: the network has seen none of them, and of the train digits each."""
    train, test = data.mnist("train", source="default").select(slice(0, None, 2)), data.mnist("test", source="default")
    calibration, rest = test.select(slice(0, None, 2)), test.select(slice(1, None, 2))
    layers = ["layers.3", "layers.6", "layers.9"]
    calibrated = {"calibration_images": calibration.images, "calibration_labels": calibration.labels}
    knn = DeepKNN(small_cnn, *train.tensors, **calibrated, layers=layers, neighbours=25)
    support = knn(rest.images)
    assert (support.predictions == rest.labels).float().mean() > 0.88
    agrees = support.predictions == predict(small_cnn, rest.images).argmax(dim=1)
    assert agrees.float().mean() > 0.88
    noise = torch.rand(50, 1, 28, 28, generator=seeded())
    assert knn(noise).credibility.mean() < 0.2 < 0.4 < support.credibility.mean()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"layers": []}, ValueError, ["layers"]),
        ({"layers": "0"}, ValueError, ["list", "'0'"]),
        ({"layers": ["0", "0"]}, ValueError, ["twice"]),
        ({"layers": ["conv"]}, ValueError, ["conv", "0, 1, 2"]),
        ({"neighbours": 0}, ValueError, ["neighbours", "1…60", "0"]),
        ({"neighbours": 61}, ValueError, ["1…60", "61"]),
        ({"batch_size": 0}, ValueError, ["batch_size"]),
        ({"neighbours": 2.5}, TypeError, ["neighbours", "2.5"]),
        ({"layers": [nn.Linear(48, 8)]}, ValueError, ["no layer", "Linear", "0, 1, 2"]),
    ],
)
def test_bad_settings(
    world: tuple[nn.Sequential, dict[str, Tensor]],
    change: dict[str, object],
    kind: type[Exception],
    words: list[str],
) -> None:
    with refuses(kind, *words):
        built(world, **change)


@pytest.mark.parametrize(
    ("name", "value", "kind", "words"),
    [
        ("train", torch.zeros(60, 2, 6, 6, dtype=torch.uint8), TypeError, ["images", "uint8"]),
        ("train", torch.full((60, 2, 6, 6), 2.0), ValueError, ["[0, 1]"]),
        ("train_labels", torch.zeros(60), TypeError, ["labels", "int64"]),
        ("train_labels", torch.full((60,), 9), ValueError, ["0…3", "9"]),
        ("calibration_labels", torch.full((23,), 4), ValueError, ["0…3", "4"]),
        ("calibration", torch.zeros(0, 2, 6, 6), ValueError, ["non-empty"]),
        ("calibration_labels", torch.zeros(5, dtype=torch.int64), ValueError, ["calibration_labels", "[23]"]),
    ],
)
def test_bad_data(
    world: tuple[nn.Sequential, dict[str, Tensor]], name: str, value: Tensor, kind: type[Exception], words: list[str]
) -> None:
    model, tensors = world
    with refuses(kind, *words):
        built((model, tensors | {name: value}))


def test_a_layer_that_returns_no_tensor_is_refused() -> None:
    class Pair(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images, images

    class First(nn.Module):
        def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
            return pair[0].flatten(1)

    images, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    with refuses(ValueError, "'0'", "tuple"):
        DeepKNN(
            nn.Sequential(Pair(), First()),
            images,
            labels,
            calibration_images=images,
            calibration_labels=labels,
            layers=["0"],
            neighbours=1,
        )


def test_a_network_of_nans_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    nn.init.constant_(model[1].weight, torch.nan)
    images, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2])
    with refuses(ValueError, "'1'", "finite"):
        DeepKNN(model, images, labels, calibration_images=images, calibration_labels=labels, layers=["1"], neighbours=1)
