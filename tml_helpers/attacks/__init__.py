"""Attacks on classifiers: inputs that a person reads as before and a model does not.

Every attack is called `attack(model, images, labels, *, …)`, with `epsilon`, `norm`, `targets` and `generator` where it
has a use for them, and returns adversarial images of the same shape, in [0, 1]. The model maps images to logits and
comes back as it went in.
"""

from tml_helpers.attacks.black_box import BlackBox, QueryLimitReached
from tml_helpers.attacks.boundary import boundary
from tml_helpers.attacks.carlini_wagner import carlini_wagner
from tml_helpers.attacks.deepfool import deepfool
from tml_helpers.attacks.evaluate import (
    Evaluation,
    Interval,
    evaluate,
    robustness_curve,
    runner_up_pgd,
    standard_attacks,
)
from tml_helpers.attacks.expectation_over_transformation import expectation_over_transformation
from tml_helpers.attacks.fgsm import fgsm
from tml_helpers.attacks.finite_differences import estimate_gradient, estimate_hessian
from tml_helpers.attacks.goals import Goals, goals
from tml_helpers.attacks.latent_search import NaturalAdversaries, latent_search, natural_adversaries
from tml_helpers.attacks.patch import adversarial_patch, patch, place_patch
from tml_helpers.attacks.pgd import ascend, pgd
from tml_helpers.attacks.sanity import Check, obfuscated_gradients
from tml_helpers.attacks.sparse_l0 import sparse_l0
from tml_helpers.attacks.spatial import spatial
from tml_helpers.attacks.square import square
from tml_helpers.attacks.substitute import substitute, train_substitute
from tml_helpers.attacks.transforms import (
    infrared_spots,
    random_blur,
    random_light,
    random_noise,
    random_pose,
    rotate_and_shift,
    transformed,
)
from tml_helpers.attacks.universal import universal, universal_perturbation
from tml_helpers.attacks.wasserstein import project_wasserstein, wasserstein
from tml_helpers.attacks.zoo import zoo
from tml_helpers.common import GradientMaskingWarning, cross_entropies, margin

__all__ = [
    "BlackBox",
    "Check",
    "Evaluation",
    "Goals",
    "GradientMaskingWarning",
    "Interval",
    "NaturalAdversaries",
    "QueryLimitReached",
    "adversarial_patch",
    "ascend",
    "boundary",
    "carlini_wagner",
    "cross_entropies",
    "deepfool",
    "estimate_gradient",
    "estimate_hessian",
    "evaluate",
    "expectation_over_transformation",
    "fgsm",
    "goals",
    "infrared_spots",
    "latent_search",
    "margin",
    "natural_adversaries",
    "obfuscated_gradients",
    "patch",
    "pgd",
    "place_patch",
    "project_wasserstein",
    "random_blur",
    "random_light",
    "random_noise",
    "random_pose",
    "robustness_curve",
    "rotate_and_shift",
    "runner_up_pgd",
    "sparse_l0",
    "spatial",
    "square",
    "standard_attacks",
    "substitute",
    "train_substitute",
    "transformed",
    "universal",
    "universal_perturbation",
    "wasserstein",
    "zoo",
]
