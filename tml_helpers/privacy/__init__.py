"""Privacy: what a model gives away about the people in its data, what bounds it, and how to attack every bound."""

from tml_helpers.privacy._teaching import TeachingCryptographyWarning
from tml_helpers.privacy.accounting import RenyiOrderWarning, noise_multiplier_for, rdp_epsilon
from tml_helpers.privacy.attribute_inference import InferredAttribute, NothingInferredWarning, attribute_inference
from tml_helpers.privacy.audit import DegenerateScoresWarning, EpsilonAudit, audit_epsilon, audit_epsilon_by_two_models
from tml_helpers.privacy.composition import PrivacyBudget, advanced_composition, basic_composition
from tml_helpers.privacy.dp_trainer import DPTrainer
from tml_helpers.privacy.exposure import (
    ExposureExtrapolationWarning,
    ExtrapolatedExposure,
    SampledExposure,
    exposure,
    extrapolated_exposure,
    sampled_exposure,
)
from tml_helpers.privacy.federated import FederatedHistory, federated_averaging
from tml_helpers.privacy.ghost_clipping import clipped_gradient_sum, gradient_norms
from tml_helpers.privacy.gradient_leakage import (
    GradientLeak,
    LinearLeak,
    UncertainLabelWarning,
    gradient_leakage,
    linear_gradient_leakage,
)
from tml_helpers.privacy.likelihood_ratio import likelihood_ratio_attack, likelihood_ratios
from tml_helpers.privacy.limited_api import LimitedAPI, QueryLimitError
from tml_helpers.privacy.mechanisms import (
    exponential_mechanism,
    gaussian_mechanism,
    gaussian_noise_multiplier,
    laplace_mechanism,
)
from tml_helpers.privacy.membership import compare_two_models, membership_inference, scaled_confidence
from tml_helpers.privacy.membership_roc import MembershipRoc, RocPoint, membership_roc
from tml_helpers.privacy.model_inversion import Inversion, InversionWarning, model_inversion
from tml_helpers.privacy.paillier import (
    PaillierCiphertext,
    PaillierKeypair,
    PaillierPrivateKey,
    PaillierPublicKey,
    generate_keypair,
)
from tml_helpers.privacy.per_sample_gradients import per_sample_gradients
from tml_helpers.privacy.poisson import poisson_batch
from tml_helpers.privacy.randomized_response import (
    ProportionInterval,
    estimate_proportion,
    proportion_interval,
    randomized_response,
    response_epsilon,
)
from tml_helpers.privacy.secret_sharing import (
    BeaverTriple,
    Share,
    beaver_triple,
    multiply,
    reconstruct,
    shamir_reconstruct,
    shamir_share,
    share,
)
from tml_helpers.privacy.secure_aggregation import AggregationClient, secure_aggregation
from tml_helpers.privacy.shadow_models import ShadowModels, shadow_attack, train_shadow_models
from tml_helpers.privacy.steal_hyperparameter import stationarity, steal_hyperparameter
from tml_helpers.privacy.stealing import StealingWarning, StolenLinearModel, steal_linear_model
from tml_helpers.privacy.unlearning import SisaEnsemble

__all__ = [
    "AggregationClient",
    "BeaverTriple",
    "DPTrainer",
    "DegenerateScoresWarning",
    "EpsilonAudit",
    "ExposureExtrapolationWarning",
    "ExtrapolatedExposure",
    "FederatedHistory",
    "GradientLeak",
    "InferredAttribute",
    "Inversion",
    "InversionWarning",
    "LimitedAPI",
    "LinearLeak",
    "MembershipRoc",
    "NothingInferredWarning",
    "PaillierCiphertext",
    "PaillierKeypair",
    "PaillierPrivateKey",
    "PaillierPublicKey",
    "PrivacyBudget",
    "ProportionInterval",
    "QueryLimitError",
    "RenyiOrderWarning",
    "RocPoint",
    "SampledExposure",
    "ShadowModels",
    "Share",
    "SisaEnsemble",
    "StealingWarning",
    "StolenLinearModel",
    "TeachingCryptographyWarning",
    "UncertainLabelWarning",
    "advanced_composition",
    "attribute_inference",
    "audit_epsilon",
    "audit_epsilon_by_two_models",
    "basic_composition",
    "beaver_triple",
    "clipped_gradient_sum",
    "compare_two_models",
    "estimate_proportion",
    "exponential_mechanism",
    "exposure",
    "extrapolated_exposure",
    "federated_averaging",
    "gaussian_mechanism",
    "gaussian_noise_multiplier",
    "generate_keypair",
    "gradient_leakage",
    "gradient_norms",
    "laplace_mechanism",
    "likelihood_ratio_attack",
    "likelihood_ratios",
    "linear_gradient_leakage",
    "membership_inference",
    "membership_roc",
    "model_inversion",
    "multiply",
    "noise_multiplier_for",
    "per_sample_gradients",
    "poisson_batch",
    "proportion_interval",
    "randomized_response",
    "rdp_epsilon",
    "reconstruct",
    "response_epsilon",
    "sampled_exposure",
    "scaled_confidence",
    "secure_aggregation",
    "shadow_attack",
    "shamir_reconstruct",
    "shamir_share",
    "share",
    "stationarity",
    "steal_hyperparameter",
    "steal_linear_model",
    "train_shadow_models",
]
