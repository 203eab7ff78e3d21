"""Knowledge distillation: a small network learns from a large one's answers, features and relations."""

from tml_helpers.distillation.cross_modal import cross_modal
from tml_helpers.distillation.data_free import DataFree, GeneratorCollapseWarning, ImageGenerator, distill_data_free
from tml_helpers.distillation.features import FactorTransfer, hint_loss
from tml_helpers.distillation.graphs import GraphConvolution, GraphNetwork, local_structure_loss, normalized_adjacency
from tml_helpers.distillation.offline import distill
from tml_helpers.distillation.online import distill_online
from tml_helpers.distillation.relations import CollapsedEmbeddingsWarning, rkd_angle_loss, rkd_distance_loss
from tml_helpers.distillation.self_distillation import SelfDistillation
from tml_helpers.distillation.several_teachers import min_logit, multi_teacher_loss
from tml_helpers.kernels import distillation_loss

__all__ = [
    "CollapsedEmbeddingsWarning",
    "DataFree",
    "FactorTransfer",
    "GeneratorCollapseWarning",
    "GraphConvolution",
    "GraphNetwork",
    "ImageGenerator",
    "SelfDistillation",
    "cross_modal",
    "distill",
    "distill_data_free",
    "distill_online",
    "distillation_loss",
    "hint_loss",
    "local_structure_loss",
    "min_logit",
    "multi_teacher_loss",
    "normalized_adjacency",
    "rkd_angle_loss",
    "rkd_distance_loss",
]
