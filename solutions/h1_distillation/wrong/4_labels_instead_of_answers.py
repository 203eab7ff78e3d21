"""Task 4: the student learns from labels alone, whatever alpha says.

loses: 4_never_seen
says: does it learn from the teacher's soft answers
"""

from torch import Tensor
from torch.utils.data import TensorDataset

from tml_helpers.models import MLP
from tml_helpers.training import fit, seed_everything


def distil_without(
    digit: int,
    images: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    alpha: float,
    seed: int = 0,
) -> dict[str, Tensor]:
    generator = seed_everything(seed)
    student = MLP(32)
    settings = {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "progress": False,
    }
    keep = labels != digit
    data = TensorDataset(images[keep], labels[keep])
    fit(student, data, generator=generator, **settings)
    return dict(student.state_dict())
