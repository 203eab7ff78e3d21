"""Feature collision beside ART's, on the same network: ours comes at least as near to the target in the features."""

import numpy as np
import pytest
import torch
from torch import nn

from tml_helpers.poisoning import feature_collision

art_attacks = pytest.importorskip("art.attacks.poisoning")
art_classifiers = pytest.importorskip("art.estimators.classification")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_least_as_near_as_art(seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.Tanh(), nn.Linear(12, 3))
    images, target = torch.rand(20, 1, 6, 6), torch.rand(1, 6, 6)
    classifier = art_classifiers.PyTorchClassifier(
        network,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 6, 6),
        nb_classes=3,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    extractor = nn.Sequential(*network[:3]).requires_grad_(False)
    made = feature_collision(
        extractor,
        images,
        torch.arange(20) % 2,
        target_image=target,
        target_label=1,
        fraction=0.2,
        epsilon=1.0,
        beta=0.0,
        steps=200,
    )
    attack = art_attacks.FeatureCollisionAttack(
        classifier,
        target[None].numpy(),
        classifier.layer_names[2],
        learning_rate=0.5,
        max_iter=200,
        similarity_coeff=0.0,
        verbose=False,
    )
    theirs, _ = attack.poison(made.clean_images.numpy())
    goal = extractor(target[None])
    apart = (extractor(torch.from_numpy(np.asarray(theirs, dtype=np.float32))) - goal).square().sum(dim=1)
    assert float(apart.mean()) < 0.99 * float(made.clean_distances.mean()), "the peer works on this problem"
    assert float(made.distances.mean()) < float(apart.mean()) + 1e-6
