"""Task 1: exp of the logits as they are, which overflows.

loses: 1_soften
says: large logits overflow: subtract each row's largest logit
"""

from torch import Tensor


def soften(logits: Tensor, temperature: float) -> Tensor:
    exponentials = (logits / temperature).exp()
    return exponentials / exponentials.sum(dim=1, keepdim=True)
