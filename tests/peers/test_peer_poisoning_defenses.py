"""Spectral signatures and activation clustering beside the Adversarial Robustness Toolbox, on the same activations.

Where we differ, and why:

- Its spectral score is |⟨φ, v⟩|, with v of the centred features but φ itself not centred; the paper's is
  ⟨φ − φ̄, v⟩². On features whose mean is zero they rank alike, and otherwise by the distance from the origin.
- It removes a share of each class, the 1.5 β largest; the paper, and we, as many examples of each class as 1.5 β N.
- Where its analyser suspects the smaller cluster by silhouettes, it gives the larger one no verdict, but whatever is in
  memory (version 1.20.1; reported as #186). Its report says whom it suspects, and that is compared.
- Its 2-means starts once, without a seed, from NumPy's own numbers; ours ten times, by a generator.
- Its `ActivationDefence` reduces by PCA, its `cluster_activations` by ICA if it isn't told otherwise; by ICA is
  whitened, up to a rotation.
"""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from tml_helpers.data import digits
from tml_helpers.poisoning import (
    PatchTrigger,
    Poison,
    activation_clustering,
    add_trigger,
    detection_rates,
    spectral_signatures,
)
from tml_helpers.training import fit, seed_everything

spectral = pytest.importorskip(
    "art.defences.detector.poison.spectral_signature_defense", reason="the extra [peers] is not installed"
)
activation = pytest.importorskip(
    "art.defences.detector.poison.activation_defence", reason="the extra [peers] is not installed"
)
analyzer = pytest.importorskip(
    "art.defences.detector.poison.clustering_analyzer", reason="the extra [peers] is not installed"
)
SpectralSignatureDefense = spectral.SpectralSignatureDefense
ClusteringAnalyzer = analyzer.ClusteringAnalyzer

LAYER = "2"
WIDTH = 24


@pytest.fixture(scope="module")
def poisoned() -> tuple[nn.Module, Poison]:
    """A dense network on 8×8 digits, of which one in twenty has a white square and the label 3."""
    generator = seed_everything(0)
    data = digits("train")
    poison = add_trigger(
        data.images,
        data.labels,
        trigger=PatchTrigger.square(2),
        target_label=3,
        fraction=0.05,
        generator=generator,
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
    fit(model, poison.data, epochs=30, batch_size=32, learning_rate=5e-3, generator=generator, progress=False)
    return model.eval(), poison


def activations(model: nn.Module, poison: Poison, label: int) -> np.ndarray:  # type: ignore[type-arg]
    with torch.no_grad():
        features: Tensor = model[:3](poison.images[poison.labels == label])  # type: ignore[index]
    return features.double().numpy()


def test_spectral_scores_are_the_same_on_centred_activations(poisoned: tuple[nn.Module, Poison]) -> None:
    model, poison = poisoned
    ours = spectral_signatures(model, poison.images, poison.labels, layer=LAYER, fraction=0.05)
    for label in range(10):
        features = activations(model, poison, label)
        theirs = SpectralSignatureDefense.spectral_signature_scores(features - features.mean(axis=0))[:, 0]
        mine = ours.scores[poison.labels == label].numpy()
        assert np.linalg.norm(mine - theirs**2) < 1e-5 * np.linalg.norm(mine)


def test_of_the_attackers_class_the_same_examples_are_removed(poisoned: tuple[nn.Module, Poison]) -> None:
    """Its share of a class is a quantile: chosen so that it removes as many as we do, it removes the same."""
    model, poison = poisoned
    ours = spectral_signatures(model, poison.images, poison.labels, layer=LAYER, fraction=0.05)
    own = poison.labels == 3
    features = activations(model, poison, 3)
    theirs = SpectralSignatureDefense.spectral_signature_scores(features - features.mean(axis=0))[:, 0]
    removed = int((~ours.kept[own]).sum())
    cut = np.quantile(theirs, 1 - removed / len(theirs))
    kept = theirs < cut
    assert (kept == ours.kept[own].numpy()).mean() > 1 - 2 / len(theirs)  # a quantile lies between two examples


def test_uncentred_scores_change_with_a_bias_and_ours_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 5, generator=generator, dtype=torch.float64).numpy()
    moved = features + 10.0
    first, second = (SpectralSignatureDefense.spectral_signature_scores(one)[:, 0] for one in (features, moved))
    assert (first.argsort() != second.argsort()).any()


def test_the_same_clusters_where_they_stand_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(200) % 2
    images = 0.5 + 0.02 * torch.randn(200, 1, 15, 1, generator=generator, dtype=torch.float64)
    bad = (labels == 1).nonzero().squeeze(1)[:25]
    images[bad, 0, 4, 0] += 0.4
    images = images.clamp(0, 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(15, 2)).double()
    features = images[labels == 1].flatten(1).numpy()
    for reduce, whiten in (("PCA", False), ("FastICA", True)):
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            (theirs,), _ = activation.cluster_activations([features], nb_dims=1, reduce=reduce)
        ours = activation_clustering(
            model,
            images,
            labels,
            layer="0",
            components=1,
            whiten=whiten,
            generator=torch.Generator().manual_seed(0),
        )
        small = np.bincount(theirs).argmin()
        assert ((theirs == small) == ours.smaller[labels == 1].numpy()).all()


def test_sizes_and_silhouettes_lead_to_the_same_verdicts(poisoned: tuple[nn.Module, Poison]) -> None:
    """Its analyser is given our clusters and the same reduced activations."""
    model, poison = poisoned
    ours = activation_clustering(
        model,
        poison.images,
        poison.labels,
        layer=LAYER,
        components=WIDTH,
        whiten=False,
        generator=torch.Generator().manual_seed(0),
    )
    clusters = [ours.smaller[poison.labels == label].long().numpy() for label in range(10)]
    reduced = [activations(model, poison, label) for label in range(10)]
    clean, _, report = ClusteringAnalyzer().analyze_by_silhouette_score(clusters, reduced)
    clear = [  # it rounds shares to two digits
        label for label in range(10) if abs(float(ours.sizes[label]) - 0.35) > 0.006
    ]
    assert len(clear) >= 7
    for label in clear:
        verdict = report[f"class_{label}"]
        assert verdict["suspicious"] == bool(ours.suspicious[label])
        assert float(verdict["avg_silhouette_score"]) == pytest.approx(float(ours.silhouettes[label]), abs=1e-4)
        small = clusters[label] == 1
        assert (clean[label][small] == (not verdict["suspicious"])).all()


def test_on_these_digits_clusters_find_the_square(poisoned: tuple[nn.Module, Poison]) -> None:
    model, poison = poisoned
    found = activation_clustering(
        model, poison.images, poison.labels, layer=LAYER, components=5, generator=torch.Generator().manual_seed(0)
    )
    assert detection_rates(found, poison).auc > 0.9
