"""Task 4: backward leaves gradients in the network.

loses: 4b_network
says: gradients were left
"""

from torch import Tensor, nn
from torch.nn import functional as F


def grad_cam(
    features: nn.Module, head: nn.Module, image: Tensor, target: int
) -> Tensor:
    activations = features(image[None])
    activations.retain_grad()
    head(activations)[0, target].backward()
    slope = activations.grad
    alpha = slope.mean(dim=(2, 3), keepdim=True)
    small = (alpha * activations).sum(dim=1, keepdim=True).relu()
    size = image.shape[1:]
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False)[0, 0]
