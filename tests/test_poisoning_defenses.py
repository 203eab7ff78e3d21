"""Detectors of poison: closed forms, laws, and what users of other libraries reported."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score, silhouette_samples, silhouette_score
from torch import Tensor, nn

from tml_helpers.poisoning import (
    ClusterSuspects,
    FlatFeaturesWarning,
    Poison,
    Suspects,
    activation_clustering,
    detection_rates,
    exclusionary_reclassification,
    spectral_signatures,
)


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reader(features: int, classes: int = 3, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Its layer "0" returns the pixels themselves, flattened."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes)).to(dtype)


def cloud(seed: int, *, per_class: int = 60, features: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Images of features × 1 pixels around a half, float64, and their labels, in mixed order."""
    generator = generator_of(seed)
    labels = (torch.arange(per_class * classes) % classes)[torch.randperm(per_class * classes, generator=generator)]
    images = 0.5 + 0.03 * torch.randn(len(labels), 1, features, 1, generator=generator, dtype=torch.float64)
    return images.clamp(0, 1), labels


def planted(seed: int, *, share: float = 0.2, shift: float = 0.3, **more: Any) -> tuple[Tensor, Tensor, Tensor]:
    """A cloud in which some examples of class 1 have another value in pixel 2: images, labels, and which."""
    images, labels = cloud(seed, **more)
    own = (labels == 1).nonzero().squeeze(1)
    bad = own[: round(share * len(own))].sort().values
    images[bad, 0, 2, 0] += shift
    return images.clamp(0, 1), labels, bad


# spectral signatures


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31 - 1))
def test_scores_are_squares_of_the_first_principal_component(seed: int) -> None:
    images, labels = cloud(seed)
    found = spectral_signatures(reader(6, dtype=torch.float64), images, labels, layer="0", fraction=0.05)
    for label in range(3):
        features = images[labels == label].flatten(1).numpy()
        pca = PCA().fit(features)
        theirs = pca.transform(features)[:, 0] ** 2
        ours = found.scores[labels == label].numpy()
        assert np.linalg.norm(ours - theirs) < 1e-8 * np.linalg.norm(theirs)
        assert float(found.explained[label]) == pytest.approx(pca.explained_variance_ratio_[0], rel=1e-8)
    assert found.classes.tolist() == [0, 1, 2]


def test_on_a_line_the_score_is_the_squared_distance_from_the_mean() -> None:
    places = torch.tensor([0.1, 0.2, 0.2, 0.9], dtype=torch.float64)
    images = torch.zeros(4, 1, 2, 1, dtype=torch.float64)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = 0.6 * places, 0.8 * places
    found = spectral_signatures(reader(2, dtype=torch.float64), images, torch.zeros(4).long(), layer="0", fraction=0.25)
    assert found.scores.tolist() == pytest.approx([0.0625, 0.0225, 0.0225, 0.3025])
    assert found.explained.tolist() == pytest.approx([1.0])
    assert found.indices.tolist() == [0, 3]  # 1.5 · 0.25 · 4, rounded


@given(seed=st.integers(0, 2**31 - 1), fraction=st.floats(0.01, 0.15), margin=st.floats(0.5, 2.0))
def test_of_each_class_the_same_number_is_suspected_and_it_has_the_largest_scores(
    seed: int, fraction: float, margin: float
) -> None:
    images, labels = cloud(seed)
    model = reader(6, dtype=torch.float64)
    found = spectral_signatures(model, images, labels, layer="0", fraction=fraction, margin=margin)
    count = round(margin * fraction * len(images))
    assert found.indices.bincount(minlength=len(images)).max() == 1
    assert (found.indices.diff() > 0).all()
    for label in range(3):
        own, kept = labels == label, found.kept
        assert int((own & ~kept).sum()) == count
        assert found.scores[own & ~kept].min() >= found.scores[own & kept].max()


def test_poison_that_moves_a_class_far_enough_is_found() -> None:
    images, labels, bad = planted(0)
    model = reader(6, dtype=torch.float64)
    found = spectral_signatures(model, images, labels, layer="0", fraction=len(bad) / len(images), margin=1.0)
    assert found.indices[torch.isin(found.indices, (labels == 1).nonzero())].tolist() == bad.tolist()


def test_scores_do_not_depend_on_where_the_features_are() -> None:
    """BackdoorBench #44: scores of features from which the mean was not taken rank by distance from the origin."""
    images, labels, _ = planted(1, shift=0.1)
    plain, moved = reader(6, dtype=torch.float64), nn.Sequential(nn.Flatten(), nn.Linear(6, 6), nn.Linear(6, 3))
    moved = moved.double()
    moved[1].weight.data, moved[1].bias.data = torch.eye(6, dtype=torch.float64), torch.full((6,), 9.0).double()
    first = spectral_signatures(plain, images, labels, layer="0", fraction=0.05)
    second = spectral_signatures(moved, images, labels, layer="1", fraction=0.05)
    assert (first.scores - second.scores).norm() < 1e-9 * first.scores.norm()
    assert first.indices.tolist() == second.indices.tolist()


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1])
def test_clean_examples_are_kept_and_more_of_them_when_less_poison_is_expected(fraction: float) -> None:
    """adversarial-robustness-toolbox #1188: whatever share was expected, every clean image was rejected."""
    images, labels = cloud(2)
    found = spectral_signatures(reader(6, dtype=torch.float64), images, labels, layer="0", fraction=fraction)
    assert int(found.kept.sum()) == 180 - 3 * round(1.5 * fraction * 180) > 0


def test_all_channels_and_pixels_of_a_convolution_are_features() -> None:
    """adversarial-robustness-toolbox #2313: of a convolution's output only the first channel was used."""
    images, labels, bad = planted(3)
    pictures = images.reshape(-1, 6, 1, 1).expand(-1, -1, 2, 2).contiguous()
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(24, 3)).double()
    found = spectral_signatures(model, pictures, labels, layer="0", fraction=len(bad) / 180, margin=1.0)
    assert found.kept[bad].sum() == 0
    clusters = activation_clustering(model, pictures, labels, layer="0", whiten=False, generator=generator_of(0))
    assert clusters.smaller[labels == 1].sum() == len(bad)
    assert clusters.smaller[bad].all()


def test_a_layer_is_named_or_given_and_the_last_hidden_one_can_be_had() -> None:
    """adversarial-robustness-toolbox #1810: the layer before the last could not be asked for."""
    images, labels = cloud(4)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    by_name = spectral_signatures(model, images, labels, layer="2", fraction=0.05)
    given_itself = spectral_signatures(model, images, labels, layer=model[2], fraction=0.05)
    assert torch.equal(by_name.scores, given_itself.scores)
    hidden = model[:3](images).detach()[labels == 0].numpy()
    theirs = PCA(1).fit_transform(hidden)[:, 0] ** 2
    assert np.linalg.norm(by_name.scores[labels == 0].numpy() - theirs) < 1e-8 * np.linalg.norm(theirs)


def test_a_class_whose_features_are_all_the_same_is_named() -> None:
    images, labels = cloud(5)
    images[labels == 2] = 0.25
    with pytest.warns(FlatFeaturesWarning, match="class 2"):
        found = spectral_signatures(reader(6, dtype=torch.float64), images, labels, layer="0", fraction=0.05)
    assert not found.scores[labels == 2].any()
    assert found.explained.isnan().tolist() == [False, False, True]


# activation clustering


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31 - 1), share=st.floats(0.05, 0.3))
def test_a_cluster_of_its_own_is_found_with_its_size_and_silhouette(seed: int, share: float) -> None:
    images, labels, bad = planted(seed, share=share, shift=0.4)
    model = reader(6, dtype=torch.float64)
    found = activation_clustering(model, images, labels, layer="0", whiten=False, generator=generator_of(1))
    own = labels == 1
    assert found.smaller[own].nonzero().numel() == len(bad)
    assert found.smaller[bad].all()
    assert float(found.sizes[1]) == pytest.approx(len(bad) / 60)
    theirs = silhouette_samples(images[own].flatten(1).numpy(), found.smaller[own].numpy()).mean()
    assert float(found.silhouettes[1]) == pytest.approx(theirs, rel=1e-9)
    assert bool(found.suspicious[1])
    assert set(bad.tolist()) <= set(found.indices.tolist())


@pytest.mark.parametrize("whiten", [False, True])
def test_the_score_says_which_centre_is_nearer(whiten: bool) -> None:
    images, labels, _ = planted(6, features=20)
    found = activation_clustering(
        reader(20, dtype=torch.float64),
        images,
        labels,
        layer="0",
        components=4,
        whiten=whiten,
        generator=generator_of(0),
    )
    assert torch.equal(found.scores > 0, found.smaller)


def test_principal_components_of_full_rank_change_no_distance() -> None:
    images, labels, _ = planted(7, features=9)
    wide = torch.cat([images, images], dim=2) / math.sqrt(2)  # 18 features of rank 9: the same distances
    model = reader(9, dtype=torch.float64)
    plain = activation_clustering(model, images, labels, layer="0", whiten=False, generator=generator_of(0))
    model = reader(18, dtype=torch.float64)
    reduced = activation_clustering(
        model, wide, labels, layer="0", components=9, whiten=False, generator=generator_of(0)
    )
    assert torch.equal(plain.smaller[labels == 1], reduced.smaller[labels == 1])
    assert float(plain.silhouettes[1]) == pytest.approx(float(reduced.silhouettes[1]), rel=1e-9)


def test_whitened_components_find_a_direction_that_spreads_little() -> None:
    generator = generator_of(8)
    labels = torch.arange(300) % 2
    images = 0.5 + 0.1 * (torch.rand(300, 1, 12, 1, generator=generator, dtype=torch.float64) - 0.5)
    images[:, 0, 0, 0] = torch.rand(300, generator=generator, dtype=torch.float64)  # what digits differ in
    bad = (labels == 0).nonzero().squeeze(1)[:20]
    images[bad, 0, 5, 0] += 0.4
    model, own = reader(12, 2, torch.float64), labels == 0
    plain, white = (
        activation_clustering(
            model, images, labels, layer="0", components=4, whiten=whiten, generator=generator_of(0)
        ).smaller
        for whiten in (False, True)
    )
    assert white[bad].all()
    assert int(white[own].sum()) == 20
    assert int(plain[own].sum()) > 40


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31 - 1))
def test_independent_components_have_the_distances_of_whitened_ones(seed: int) -> None:
    """The paper reduces by ICA: for the same clusters, its silhouettes are ours."""
    images, labels, _ = planted(seed, features=15, shift=0.4, classes=2)
    own = labels == 1
    found = activation_clustering(
        reader(15, dtype=torch.float64), images, labels, layer="0", components=5, generator=generator_of(0)
    )
    features = images[own].flatten(1).numpy()
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        independent = FastICA(5, random_state=0, max_iter=20).fit_transform(features)
    theirs = silhouette_score(independent, found.smaller[own].numpy())
    assert float(found.silhouettes[1]) == pytest.approx(theirs, rel=1e-6)


def test_more_than_half_of_a_class_is_the_larger_cluster() -> None:
    images, labels, bad = planted(9, share=0.7, shift=0.4)
    found = activation_clustering(reader(6, dtype=torch.float64), images, labels, layer="0", generator=generator_of(0))
    assert not found.smaller[bad].any()


def test_every_example_is_either_suspected_or_kept() -> None:
    """adversarial-robustness-toolbox #186: where no cluster was small enough, examples had uninitialised verdicts."""
    images, labels, _ = planted(10)
    model = reader(6, dtype=torch.float64)
    nobody = activation_clustering(model, images, labels, layer="0", size_threshold=1e-6, generator=generator_of(0))
    assert len(nobody.indices) == 0
    assert nobody.kept.all()
    everywhere = activation_clustering(
        model,
        images,
        labels,
        layer="0",
        size_threshold=1.0,
        silhouette_threshold=-1.0,
        generator=generator_of(0),
    )
    assert torch.equal(~everywhere.kept, everywhere.smaller)
    assert everywhere.suspicious.all()


def test_only_what_passes_both_thresholds_is_suspected() -> None:
    images, labels, _ = planted(11)
    model = reader(6, dtype=torch.float64)
    found = activation_clustering(model, images, labels, layer="0", generator=generator_of(0))
    expected = (found.sizes < 0.35) & (found.silhouettes > 0.1)
    assert torch.equal(found.suspicious, expected)
    strict = activation_clustering(
        model, images, labels, layer="0", silhouette_threshold=float(found.silhouettes[1]), generator=generator_of(0)
    )
    assert not bool(strict.suspicious[1])
    assert not torch.isin(strict.indices, (labels == 1).nonzero()).any()


def test_the_same_generator_gives_the_same_clusters_and_leaves_pytorchs_own_alone() -> None:
    images, labels = cloud(13, features=20)
    model = reader(20, dtype=torch.float64)
    state = torch.get_rng_state()
    runs = [activation_clustering(model, images, labels, layer="0", generator=generator_of(3)) for _ in range(2)]
    assert torch.equal(runs[0].scores, runs[1].scores)
    assert torch.equal(state, torch.get_rng_state())


# reading again


def test_ratios_are_counted_by_hand() -> None:
    """A reader of the first pixel: below a third it is class 0, above two thirds class 2."""

    class First(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return -((images[:, 0, 0, 0, None] - torch.tensor([1 / 6, 1 / 2, 5 / 6])) ** 2)

    values = torch.tensor([0.1, 0.1, 0.5, 0.9, 0.9, 0.9, 0.5, 0.5, 0.9, 0.9])
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
    smaller = torch.tensor([1, 1, 1, 1, 1, 0, 1, 0, 0, 0]).bool()
    half = torch.full((3,), 0.5, dtype=torch.float64)
    suspects = ClusterSuspects(
        torch.zeros(10),
        torch.zeros(0).long(),
        classes=torch.arange(3),
        smaller=smaller,
        sizes=half,
        silhouettes=half,
        suspicious=half > 1,
    )
    found = exclusionary_reclassification(First(), values.view(-1, 1, 1, 1), labels, suspects=suspects, batch_size=3)
    assert found.ratios.tolist() == [1.0, math.inf, math.inf]  # two as class 0, two as class 2
    assert found.others.tolist() == [2, -1, -1]
    with refuses(ValueError, "10 examples were clustered, got 9"):
        exclusionary_reclassification(First(), values[:9].view(-1, 1, 1, 1), labels[:9], suspects=suspects)
    with refuses(ValueError, "0…2"):
        exclusionary_reclassification(First(), values.view(-1, 1, 1, 1), labels + 1, suspects=suspects)


# how right a detector was


def poison_of(labels: Tensor, bad: Tensor) -> Poison:
    images = torch.zeros(len(labels), 1, 1, 1)
    return Poison(images, labels, bad, images[bad], labels[bad])


@given(seed=st.integers(0, 2**31 - 1))
def test_rates_and_the_area_are_counted_over_pairs_of_one_class(seed: int) -> None:
    generator = generator_of(seed)
    labels = torch.randint(3, (40,), generator=generator)
    scores = torch.randint(5, (40,), generator=generator).double()  # with ties
    bad = torch.randperm(40, generator=generator)[:8].sort().values
    suspected = torch.randperm(40, generator=generator)[:12].sort().values
    found = detection_rates(Suspects(scores, suspected), poison_of(labels, bad))
    hit = set(bad.tolist()) & set(suspected.tolist())
    assert found.found == pytest.approx(len(hit) / 8)
    assert found.false_alarms == pytest.approx((12 - len(hit)) / 32)
    assert found.left == 8 - len(hit)
    wins = [
        1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
        for i in bad.tolist()
        for j in set(range(40)) - set(bad.tolist())
        if labels[i] == labels[j]
    ]
    assert found.auc == pytest.approx(sum(wins) / len(wins)) if wins else math.isnan(found.auc)


def test_within_one_class_the_area_is_scikit_learns() -> None:
    scores, bad = torch.randn(50, generator=generator_of(0), dtype=torch.float64), torch.arange(10)
    found = detection_rates(Suspects(scores, bad), poison_of(torch.zeros(50).long(), bad))
    assert found.auc == pytest.approx(roc_auc_score(np.arange(50) < 10, scores.numpy()))
    assert (found.found, found.false_alarms, found.left) == (1.0, 0.0, 0)


def test_where_nothing_is_poisoned_there_are_only_false_alarms() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    found = detection_rates(Suspects(torch.zeros(4), torch.tensor([1])), poison_of(torch.tensor([0, 0, 1, 1]), none))
    assert (math.isnan(found.found), found.false_alarms, found.left, math.isnan(found.auc)) == (True, 0.25, 0, True)
    with refuses(ValueError, "4 examples", "2"):
        detection_rates(Suspects(torch.zeros(4), none), poison_of(torch.tensor([0, 1]), none))


def test_the_training_set_without_the_suspects() -> None:
    images, labels = torch.arange(4.0).view(4, 1, 1, 1), torch.tensor([3, 2, 1, 0])
    suspects = Suspects(torch.zeros(4), torch.tensor([1, 3]))
    left = suspects.without(images, labels).tensors
    assert left[0].flatten().tolist() == [0.0, 2.0]
    assert left[1].tolist() == [3, 1]
    with refuses(ValueError, "4 examples", "3 images"):
        suspects.without(images[:3], labels)


# what both ask of their arguments


DETECTORS: dict[str, Any] = {"spectral": spectral_signatures, "clusters": activation_clustering}
OWN: dict[str, dict[str, Any]] = {"spectral": {"fraction": 0.05}, "clusters": {"generator": None}}


@pytest.mark.parametrize("name", DETECTORS)
def test_the_model_comes_back_as_it_was_and_answers_in_evaluation_mode(name: str) -> None:
    images, labels = cloud(14)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(6), nn.Linear(6, 3)).double().train()
    model[1].eval()
    model[3].weight.grad = torch.ones_like(model[3].weight)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    own = OWN[name] | ({"generator": generator_of(0)} if name == "clusters" else {})
    first = DETECTORS[name](model, images, labels, layer="2", **own)
    own = OWN[name] | ({"generator": generator_of(0)} if name == "clusters" else {})
    again = DETECTORS[name](model, images, labels, layer="2", batch_size=7, **own)
    assert (first.scores - again.scores).norm() < 1e-6 * first.scores.norm()
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())
    assert not first.scores.requires_grad


@pytest.mark.parametrize("name", DETECTORS)
def test_the_type_and_the_memory_of_the_images_do_not_matter(name: str) -> None:
    images, labels, _ = planted(15, shift=0.4)
    turned = images.float().transpose(0, 1).contiguous().transpose(0, 1)
    own = [OWN[name] | ({"generator": generator_of(0)} if name == "clusters" else {}) for _ in range(2)]
    first = DETECTORS[name](reader(6, dtype=torch.float64), images, labels, layer="0", **own[0])
    single = DETECTORS[name](reader(6), turned, labels, layer="0", **own[1])
    assert single.scores.dtype == torch.float64
    assert (first.scores - single.scores)[labels == 1].norm() < 1e-4 * first.scores[labels == 1].norm()


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"images": torch.rand(0, 1, 6, 1)}, ValueError, "non-empty"),
        ({"images": torch.full((180, 1, 6, 1), float("nan"))}, ValueError, "[0, 1]"),
        ({"images": 255 * torch.rand(180, 1, 6, 1)}, ValueError, "[0, 1]"),
        ({"images": torch.rand(180, 6)}, ValueError, "[N, C, H, W]"),
        ({"images": torch.rand(180, 1, 6, 1).double()}, TypeError, "float64"),
        ({"images": [0.5]}, TypeError, "list"),
        ({"labels": torch.zeros(180)}, TypeError, "int64"),
        ({"labels": torch.zeros(179).long()}, ValueError, "[180]"),
        ({"labels": torch.full((180,), -1)}, ValueError, "0 or more"),
        ({"labels": torch.full((180,), 3)}, ValueError, "0…2"),
        ({"layer": "7"}, ValueError, "no layer"),
        ({"layer": nn.ReLU()}, ValueError, "no layer"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": True}, TypeError, "batch_size"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    name: str, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    images, labels = cloud(16)
    given_ = {"images": images.float(), "labels": labels, "layer": "0"} | OWN[name] | change
    with refuses(error, words):
        DETECTORS[name](reader(6), given_.pop("images"), given_.pop("labels"), **given_)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_network_that_is_not_finite_is_refused(name: str) -> None:
    images, labels = cloud(17)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Linear(4, 3)).double()
    model[1].weight.data[0, 0] = math.inf
    with refuses(ValueError, "not finite"):
        DETECTORS[name](model, images, labels, layer="1", **OWN[name])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"fraction": 0.0}, ValueError, "fraction"),
        ({"fraction": 1.1}, ValueError, "fraction"),
        ({"fraction": float("nan")}, ValueError, "fraction"),
        ({"fraction": True}, TypeError, "fraction"),
        ({"fraction": "all"}, TypeError, "fraction"),
        ({"fraction": 0.001}, ValueError, "less than one"),
        ({"fraction": 0.3}, ValueError, "nothing of it would be left"),
        ({"margin": 0.0}, ValueError, "margin"),
        ({"margin": math.inf}, ValueError, "margin"),
    ],
)
def test_budgets_that_are_none_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = cloud(18)
    with refuses(error, words):
        spectral_signatures(reader(6, dtype=torch.float64), images, labels, **{"layer": "0", "fraction": 0.05} | change)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"components": 0}, ValueError, "components"),
        ({"components": 2.0}, TypeError, "components"),
        ({"whiten": "ica"}, TypeError, "whiten"),
        ({"size_threshold": 0.0}, ValueError, "size_threshold"),
        ({"size_threshold": 1.5}, ValueError, "size_threshold"),
        ({"size_threshold": "0.3"}, TypeError, "size_threshold"),
        ({"silhouette_threshold": 1.5}, ValueError, "silhouette_threshold"),
        ({"silhouette_threshold": float("nan")}, ValueError, "silhouette_threshold"),
        ({"generator": 3}, TypeError, "generator"),
    ],
)
def test_clusters_that_cannot_be_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    images, labels = cloud(19)
    with refuses(error, words):
        activation_clustering(reader(6, dtype=torch.float64), images, labels, **{"layer": "0"} | change)


def test_classes_that_cannot_be_split_are_named() -> None:
    images, labels = cloud(20)
    model = reader(6, dtype=torch.float64)
    few = torch.cat([(labels == 0).nonzero()[:5], (labels != 0).nonzero()]).squeeze(1)
    with refuses(ValueError, "class 0 has 5 examples", "need 7"):
        activation_clustering(model, images[few], labels[few], layer="0")
    images[labels == 2] = 0.25
    with refuses(ValueError, "class 2", "all the same"):
        activation_clustering(model, images, labels, layer="0")
