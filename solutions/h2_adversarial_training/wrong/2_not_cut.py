"""Task 2: the projection forgets that pixels lie in [0, 1].

loses: 2a_projection 2b_walk
says: cut to [0, 1] as well
"""

from torch import Tensor


def project(candidates: Tensor, images: Tensor, epsilon: float) -> Tensor:
    return images + (candidates - images).clamp(-epsilon, epsilon)
