"""Rotations against Foolbox's, the Wasserstein projection and the universal perturbation against ART's."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from tml_helpers import _torchvision
from tml_helpers.attacks.spatial import spatial
from tml_helpers.attacks.universal import universal_perturbation
from tml_helpers.attacks.wasserstein import project_wasserstein
from tml_helpers.data import mnist
from tml_helpers.training import predict


def art_classifier(model: nn.Module):
    _torchvision.load()  # which ART imports
    estimators = pytest.importorskip("art.estimators.classification", reason="the extra [peers] is not installed")
    return estimators.PyTorchClassifier(
        model, loss=nn.CrossEntropyLoss(), input_shape=(1, 28, 28), nb_classes=10, clip_values=(0, 1)
    )


def test_rotations_fool_on_the_images_on_which_foolboxs_do(mlp):
    _torchvision.load()  # which foolbox imports
    foolbox = pytest.importorskip("foolbox", reason="the extra [peers] is not installed")
    some = mnist("test", source="default").select(slice(None, None, 10))
    attack = foolbox.attacks.SpatialAttack(
        max_translation=0, max_rotation=40, num_translations=1, num_rotations=9, grid_search=True
    )
    *_, theirs = attack(foolbox.PyTorchModel(mlp, bounds=(0, 1)), *some.tensors)
    found = spatial(mlp, *some.tensors, max_rotation=40, max_translation=0, rotations=9, translations=1)
    ours = predict(mlp, found).argmax(dim=1) != some.labels
    assert 0.2 < ours.float().mean() < 0.95
    assert (ours == theirs).float().mean() >= 0.99  # but for an image on the edge


@pytest.mark.parametrize("strength", [100.0, 300.0])
def test_the_projection_is_arts_at_the_same_entropy(strength):
    """Images of at most 0.5, so that no pixel is full: ART knows no box. Its own costs are not Euclidean."""
    classifier = art_classifier(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    art = pytest.importorskip("art.attacks.evasion")
    attack = art.Wasserstein(classifier, regularization=strength, projected_sinkhorn_max_iter=400, verbose=False)
    objectives = itertools.cycle([0.0, 1.0])
    attack._projected_sinkhorn_evaluation = lambda *_: next(objectives)  # it would stop at its tolerance of 1e-4
    points, images = 0.2 + 0.3 * torch.rand(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    distances = np.hypot(*np.meshgrid(range(-2, 3), range(-2, 3)))
    theirs = attack._projected_sinkhorn(points.numpy(), images.numpy(), distances, np.array([0.15]))
    ours = project_wasserstein(points, images, epsilon=0.15, regularization=strength / images.sum().item(), rounds=400)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_one_perturbation_for_all_fools_as_often_as_arts(mlp):
    classifier = art_classifier(mlp)
    art = pytest.importorskip("art.attacks.evasion")
    train, test = (mnist(split, source="default") for split in ("train", "test"))
    some = train.select(slice(None, None, 40))
    attack = art.UniversalPerturbation(
        classifier, attacker="fgsm", attacker_params={"eps": 0.1}, eps=0.1, max_iter=3, delta=0.1, verbose=False
    )
    attack.generate(some.images.numpy())
    delta = universal_perturbation(
        mlp, *some.tensors, epsilon=0.1, epochs=30, batch_size=32, generator=torch.Generator().manual_seed(0)
    )
    clean = predict(mlp, test.images).argmax(dim=1)
    ours, theirs = (
        (predict(mlp, (test.images + added).clamp(0, 1)).argmax(dim=1) != clean).double().mean().item()
        for added in (delta, torch.from_numpy(attack.noise).view(1, 28, 28))
    )
    assert ours >= theirs - 0.02
    assert ours > 0.1
