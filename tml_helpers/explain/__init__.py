"""Explanations: which parts of an input, or which training examples, an answer rests on.

Attributions are called `method(model, images, targets, *, …)` and return `[N, C, H, W]` or, for maps, `[N, H, W]`.
The model maps images to logits and comes back as it went in; what is explained is the target's logit.
"""

from tml_helpers.explain._local import Samples
from tml_helpers.explain.attention_rollout import attention_rollout
from tml_helpers.explain.cam import cam
from tml_helpers.explain.counterfactual_patches import PatchSwaps, counterfactual_patches
from tml_helpers.explain.deep_knn import DeepKNN, Support
from tml_helpers.explain.deletion_insertion import Curves, deletion_insertion
from tml_helpers.explain.explanation import Explanation, ImageExplanation, TextExplanation
from tml_helpers.explain.feature_effects import Columns, FeatureEffects, feature_effects
from tml_helpers.explain.fool_explanation import fool_explanation
from tml_helpers.explain.grad_cam import grad_cam
from tml_helpers.explain.influence import influence
from tml_helpers.explain.integrated_gradients import integrated_gradients
from tml_helpers.explain.lime_fidelity import Fidelity, lime_fidelity
from tml_helpers.explain.lime_image import lime_image
from tml_helpers.explain.lime_tabular import lime_tabular
from tml_helpers.explain.lime_text import lime_text
from tml_helpers.explain.occlusion import occlusion
from tml_helpers.explain.prototypes import (
    Evidence,
    ProtoPNet,
    PrototypePatches,
    Representatives,
    mmd_critic,
    prototype_loss,
)
from tml_helpers.explain.quickshift_segments import quickshift_segments
from tml_helpers.explain.randomization_test import Resemblance, randomization_test
from tml_helpers.explain.saliency import saliency
from tml_helpers.explain.shapley import Shapley, shapley, shapley_of_game
from tml_helpers.explain.smooth_grad import smooth_grad
from tml_helpers.explain.submodular_pick import ExplanationMatrix, explanation_matrix, submodular_pick
from tml_helpers.explain.tree_rules import Condition, Rule, tree_rules

__all__ = [
    "Columns",
    "Condition",
    "Curves",
    "DeepKNN",
    "Evidence",
    "Explanation",
    "ExplanationMatrix",
    "FeatureEffects",
    "Fidelity",
    "ImageExplanation",
    "PatchSwaps",
    "ProtoPNet",
    "PrototypePatches",
    "Representatives",
    "Resemblance",
    "Rule",
    "Samples",
    "Shapley",
    "Support",
    "TextExplanation",
    "attention_rollout",
    "cam",
    "counterfactual_patches",
    "deletion_insertion",
    "explanation_matrix",
    "feature_effects",
    "fool_explanation",
    "grad_cam",
    "influence",
    "integrated_gradients",
    "lime_fidelity",
    "lime_image",
    "lime_tabular",
    "lime_text",
    "mmd_critic",
    "occlusion",
    "prototype_loss",
    "quickshift_segments",
    "randomization_test",
    "saliency",
    "shapley",
    "shapley_of_game",
    "smooth_grad",
    "submodular_pick",
    "tree_rules",
]
