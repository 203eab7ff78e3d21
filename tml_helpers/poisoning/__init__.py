"""What somebody can do who touches the training data, how it is judged, and what a learner can do about it."""

from tml_helpers.poisoning.activation_clustering import (
    ClusterSuspects,
    Reclassified,
    activation_clustering,
    exclusionary_reclassification,
)
from tml_helpers.poisoning.backdoors import BackdoorPoison, UnseenTriggerWarning, add_trigger, trigger_success
from tml_helpers.poisoning.feature_collision import CollisionPoison, NoCollisionWarning, feature_collision
from tml_helpers.poisoning.gradient_matching import (
    GradientMatchingPoison,
    NoAlignmentWarning,
    gradient_alignment,
    gradient_matching,
)
from tml_helpers.poisoning.labels import AdversarialFlips, FlippedLabels, adversarial_label_flips, flip_labels
from tml_helpers.poisoning.meta_poison import MetaPoison, UnmovedTargetWarning, meta_poison, unrolled_margin
from tml_helpers.poisoning.noisy_labels import (
    CoTeaching,
    TransitionEstimate,
    co_teaching,
    confident_transition,
    estimate_transition,
    forward_correction,
    mixup,
)
from tml_helpers.poisoning.poison import Poison
from tml_helpers.poisoning.retraining import AttackSuccess, Interval, attack_success, mean_interval, retrain
from tml_helpers.poisoning.spectral_signatures import FlatFeaturesWarning, SpectralSuspects, spectral_signatures
from tml_helpers.poisoning.suspects import Detection, Suspects, detection_rates
from tml_helpers.poisoning.trigger_reconstruction import (
    ReconstructedTriggers,
    TriggerNotReachedWarning,
    reconstruct_trigger,
)
from tml_helpers.poisoning.triggers import BlendTrigger, PatchTrigger, SinusoidTrigger, Trigger, WarpTrigger
from tml_helpers.poisoning.unlearnable import UnlearnableNoise, separable_noise, unlearnable_noise

__all__ = [
    "AdversarialFlips",
    "AttackSuccess",
    "BackdoorPoison",
    "BlendTrigger",
    "ClusterSuspects",
    "CoTeaching",
    "CollisionPoison",
    "Detection",
    "FlatFeaturesWarning",
    "FlippedLabels",
    "GradientMatchingPoison",
    "Interval",
    "MetaPoison",
    "NoAlignmentWarning",
    "NoCollisionWarning",
    "PatchTrigger",
    "Poison",
    "Reclassified",
    "ReconstructedTriggers",
    "SinusoidTrigger",
    "SpectralSuspects",
    "Suspects",
    "TransitionEstimate",
    "Trigger",
    "TriggerNotReachedWarning",
    "UnlearnableNoise",
    "UnmovedTargetWarning",
    "UnseenTriggerWarning",
    "WarpTrigger",
    "activation_clustering",
    "add_trigger",
    "adversarial_label_flips",
    "attack_success",
    "co_teaching",
    "confident_transition",
    "detection_rates",
    "estimate_transition",
    "exclusionary_reclassification",
    "feature_collision",
    "flip_labels",
    "forward_correction",
    "gradient_alignment",
    "gradient_matching",
    "mean_interval",
    "meta_poison",
    "mixup",
    "reconstruct_trigger",
    "retrain",
    "separable_noise",
    "spectral_signatures",
    "trigger_success",
    "unlearnable_noise",
    "unrolled_margin",
]
