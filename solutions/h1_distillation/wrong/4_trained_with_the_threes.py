"""Task 4: nothing was taken out of the training images.

loses: 4_never_seen
says: there were 3s among its training images
"""

from torch import Tensor, nn
from torch.utils.data import TensorDataset

from h1_distillation import distillation
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

    def loss(
        model: nn.Module, images: Tensor, labels: Tensor, answers: Tensor
    ) -> Tensor:
        return distillation.distillation_loss(
            model(images), answers, labels, temperature=4.0, alpha=alpha
        )

    settings = {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "progress": False,
    }
    data = TensorDataset(images, labels, teacher_logits)
    fit(student, data, loss=loss, generator=generator, **settings)
    return dict(student.state_dict())
