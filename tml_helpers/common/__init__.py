"""What methods of several topics share: checked inputs, draws, gradients of inputs, balls, and layers by name.

It knows none of the topics. Every method is called

    method(model, inputs, labels or targets, *, its own numbers, batch_size=…, generator=None, progress=None)

and these words mean the same everywhere: see CONTRIBUTING.
"""

from tml_helpers.common.balls import (
    check_ball,
    cross_entropies,
    fooled,
    margin,
    norms,
    per_image,
    project,
    uniform_in_ball,
)
from tml_helpers.common.draws import check_generator, draw, offspring, own_generator, seeded, uniform
from tml_helpers.common.gradients import (
    GradientMaskingWarning,
    answer_and_gradient,
    check_gradient,
    differentiable,
    evaluating,
    input_gradient,
    warn_of_masking,
)
from tml_helpers.common.inputs import (
    check_absent,
    check_counts,
    check_images,
    check_labels,
    check_logits,
    check_network,
    check_numbers,
    home,
)
from tml_helpers.common.layers import Layer, layer_names, recorded, representations

__all__ = [
    "GradientMaskingWarning",
    "Layer",
    "answer_and_gradient",
    "check_absent",
    "check_ball",
    "check_counts",
    "check_generator",
    "check_gradient",
    "check_images",
    "check_labels",
    "check_logits",
    "check_network",
    "check_numbers",
    "cross_entropies",
    "differentiable",
    "draw",
    "evaluating",
    "fooled",
    "home",
    "input_gradient",
    "layer_names",
    "margin",
    "norms",
    "offspring",
    "own_generator",
    "per_image",
    "project",
    "recorded",
    "representations",
    "seeded",
    "uniform",
    "uniform_in_ball",
    "warn_of_masking",
]
