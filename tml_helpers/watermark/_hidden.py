"""The two networks of a learned mark: one hides a message in an image, one reads it back."""

from torch import Tensor, nn
from torch.nn import functional as F

PLAN = 14  # a message's pattern has 14×14 fields, whatever the size of the image


class Encoder(nn.Module):
    """x ↦ x + strength · pattern(message) · gain(x), cut to [0, 1]; gains lie between 0 and 1.

    Args:
        bits: of a message.
        channels: of an image.
        strength: the most that a pixel changes.
    """

    def __init__(self, bits: int, channels: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        fields = nn.Linear(bits, channels * PLAN * PLAN, bias=False)
        nn.init.normal_(fields.weight, std=bits**-0.5)  # a pattern that is seen from the first step on
        self.pattern = nn.Sequential(fields, nn.Tanh(), nn.Unflatten(1, (channels, PLAN, PLAN)))
        self.gain = nn.Sequential(
            nn.Conv2d(channels, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, channels, 5, padding=2), nn.Sigmoid()
        )

    def forward(self, images: Tensor, message: Tensor) -> Tensor:
        pattern = F.interpolate(self.pattern(message), images.shape[-2:], mode="nearest")
        marked: Tensor = (images + self.strength * pattern * self.gain(images)).clamp(0, 1)
        return marked


class Extractor(nn.Sequential):
    """x ↦ a logit for each bit: two convolutions, 14×14 means of what they find, and one linear layer over these.

    A message is drawn in fields that stay at their place, so a linear layer finds them after few steps; with a mean
    over the whole image instead, as in the paper, training stands still for a long time before it begins.

    Args:
        bits: of a message.
        channels: of an image.
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, 16, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.AdaptiveAvgPool2d(PLAN),
            nn.Flatten(),
            nn.Linear(16 * PLAN * PLAN, bits),
        )
