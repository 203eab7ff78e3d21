"""Defences of classifiers against adversarial examples, each with what is known to break it."""

from tml_helpers.defenses.adversarial_training import adversarial_training
from tml_helpers.defenses.defense_gan import DefenseGAN
from tml_helpers.defenses.defensive_distillation import defensive_distillation
from tml_helpers.defenses.exact_radius import ExactRadius, exact_radius
from tml_helpers.defenses.feature_squeezing import FeatureSqueezing, median_filter, reduce_bit_depth
from tml_helpers.defenses.friendly import friendly_pgd, tau_schedule
from tml_helpers.defenses.interval_bounds import Bounds, interval_bounds
from tml_helpers.defenses.interval_training import interval_loss
from tml_helpers.defenses.linear_bounds import linear_bounds
from tml_helpers.defenses.null_label import null_label_training, null_probability
from tml_helpers.defenses.patch_cleanser import PatchCleanser
from tml_helpers.defenses.randomized_smoothing import (
    Certificate,
    RandomizedSmoothing,
    clopper_pearson_bound,
    noisy_cross_entropy,
)
from tml_helpers.defenses.trades import trades_loss

__all__ = [
    "Bounds",
    "Certificate",
    "DefenseGAN",
    "ExactRadius",
    "FeatureSqueezing",
    "PatchCleanser",
    "RandomizedSmoothing",
    "adversarial_training",
    "clopper_pearson_bound",
    "defensive_distillation",
    "exact_radius",
    "friendly_pgd",
    "interval_bounds",
    "interval_loss",
    "linear_bounds",
    "median_filter",
    "noisy_cross_entropy",
    "null_label_training",
    "null_probability",
    "reduce_bit_depth",
    "tau_schedule",
    "trades_loss",
]
