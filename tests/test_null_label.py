"""NULL labels: the probability in closed form, and what a trained network does with what it was never shown."""

from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers import attacks, data
from tml_helpers.common import GradientMaskingWarning
from tml_helpers.data import ImageSet
from tml_helpers.defenses import null_label_training, null_probability
from tml_helpers.models import MLP, SmallCNN
from tml_helpers.training import accuracy, predict, seed_everything

NULL = 10


class Brightness(nn.Module):
    """Is the image bright or dark? Logits of two classes and NULL, from a weighted sum of the pixels above half."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        sums = (images - 0.5).flatten(1) @ self.weights
        return torch.stack([-sums, sums, torch.full_like(sums, -100.0)], dim=1)


PIXELS, MAGNITUDE = 56, 0.1
EQUAL = torch.ones(PIXELS)
UNEQUAL = torch.arange(1.0, PIXELS + 1)[torch.randperm(PIXELS, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("weights", [EQUAL, UNEQUAL])
def test_the_probability_in_closed_form(weights: Tensor) -> None:
    """n pixels take `magnitude` times the n largest weights off a margin: whose margin is smaller is lost."""
    margins = (weights.sum() * MAGNITUDE) * (torch.arange(20) + 0.55) / 21
    images = (0.5 - margins / weights.sum()).view(-1, 1, 1, 1).expand(-1, 1, 7, 8).contiguous()
    labels = torch.zeros(20, dtype=torch.int64)  # dark
    found = null_probability(Brightness(weights), images, labels, magnitude=MAGNITUDE)
    taken = MAGNITUDE * weights.sort(descending=True).values.cumsum(dim=0)
    lost = torch.stack([torch.tensor(0.0), *(margins[None] < taken[:, None]).float().mean(dim=1)])
    by_hand = (lost / (1 - 1 / 2)).clamp_max(1)[::2]  # measured at 0, 2, 4, … pixels, and linear between
    torch.testing.assert_close(found[::2], by_hand, rtol=0, atol=1e-6)
    torch.testing.assert_close(found[1::2], (by_hand[:-1] + by_hand[1:]) / 2, rtol=0, atol=1e-6)
    assert found[0] == 0
    assert found[-1] == 1


@given(seed=st.integers(0, 2**31), magnitude=st.floats(0.01, 1), side=st.integers(2, 8), classes=st.integers(2, 5))
def test_the_probability_starts_at_zero_and_never_falls(seed: int, magnitude: float, side: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = MLP(in_features=side**2, classes=classes + 1)
    images = torch.rand(30, 1, side, side, generator=generator)
    labels = model(images)[:, :classes].argmax(dim=1)  # the model is right, so that it can be led astray
    found = null_probability(model, images, labels, magnitude=magnitude, generator=generator)
    assert found.shape == (side**2 + 1,)
    assert found[0] == 0
    assert (found.diff() >= -1e-6).all()
    assert found.max() <= 1


def test_a_larger_magnitude_is_no_less_null() -> None:
    images = torch.full((20, 1, 7, 8), 0.5) - 0.02 * torch.rand(20, 1, 1, 1)
    labels = torch.zeros(20, dtype=torch.int64)
    little, much = (null_probability(Brightness(EQUAL), images, labels, magnitude=m) for m in (0.02, 0.1))
    assert (much >= little).all()
    assert (much > little).any()


# --- on MNIST ---


@pytest.fixture(scope="module")
def train() -> ImageSet:
    return data.mnist("train", source="default")


@pytest.fixture(scope="module")
def test_set() -> ImageSet:
    return data.mnist("test", source="default")


@pytest.fixture(scope="module")
def guarded(train: ImageSet) -> SmallCNN:
    generator = seed_everything(1)  # not the seed of the network from which attacks are transferred
    model = SmallCNN(classes=11)
    half = train.select(slice(0, None, 2))
    how: dict[str, Any] = {"learning_rate": 2e-3, "batch_size": 64, "generator": generator}
    losses = null_label_training(model, half, epochs=3, initial_epochs=2, **how)
    assert len(losses) == 5
    return model


def share(model: nn.Module, images: Tensor, answer: int) -> float:
    return (predict(model, images).argmax(dim=1) == answer).float().mean().item()


def test_clean_images_keep_their_labels(guarded: SmallCNN, small_cnn: SmallCNN, test_set: ImageSet) -> None:
    assert accuracy(guarded, test_set) > accuracy(small_cnn, test_set) - 0.05
    assert share(guarded, test_set.images, NULL) < 0.03


def test_the_stronger_a_transferred_attack_the_more_is_null(
    guarded: SmallCNN, small_cnn: SmallCNN, test_set: ImageSet
) -> None:
    images, labels = test_set.images[::5], test_set.labels[::5]
    transferred = [attacks.fgsm(small_cnn, images, labels, epsilon=epsilon) for epsilon in (0.0, 0.1, 0.2, 0.3)]
    rejected = [share(guarded, adversarial, NULL) for adversarial in transferred]
    assert rejected == sorted(rejected)
    assert rejected[-1] > 0.7
    answers = predict(guarded, transferred[-1]).argmax(dim=1)
    assert ((answers != labels) & (answers != NULL)).float().mean() < 0.15


def test_a_white_box_attack_that_avoids_null_gets_through(guarded: SmallCNN, test_set: ImageSet) -> None:
    """The defence is against transfer: this is what its docstring says that it does not stop."""

    def avoiding_null(logits: Tensor, labels: Tensor) -> Tensor:
        digits = logits[:, :NULL].scatter(1, labels[:, None], -torch.inf)
        return digits.amax(dim=1) - torch.maximum(logits.gather(1, labels[:, None]).squeeze(1), logits[:, NULL])

    images, labels = test_set.images[::25], test_set.labels[::25]
    adversarial = attacks.pgd(
        guarded, images, labels, epsilon=0.3, steps=20, loss=avoiding_null, generator=torch.Generator()
    )
    answers = predict(guarded, adversarial).argmax(dim=1)
    assert ((answers != labels) & (answers != NULL)).float().mean() > 0.7


def test_the_same_seed_gives_the_same_network(train: ImageSet) -> None:
    def trained(seed: int) -> Tensor:
        generator = seed_everything(seed)
        model = MLP(classes=11)
        few = train.select(slice(256))
        null_label_training(model, few, epochs=1, initial_epochs=2, generator=generator)
        return torch.cat([weights.detach().flatten() for weights in model.parameters()])

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))


def digits_like(labels: int = 10) -> TensorDataset:
    return TensorDataset(torch.rand(20, 1, 28, 28), torch.arange(20) % labels)


def test_it_refuses_a_model_without_an_output_for_null() -> None:
    with refuses(ValueError, "10 outputs", "up to 9", "one output more"):
        null_label_training(MLP(classes=10), digits_like(), epochs=1)


@pytest.mark.parametrize("magnitude", [0.0, -0.1, 1.5, float("nan")])
def test_it_refuses_a_magnitude(magnitude: float) -> None:
    with refuses(ValueError, "magnitude", "at most 1", str(magnitude)):
        null_label_training(MLP(classes=11), digits_like(), epochs=1, magnitude=magnitude)


def test_it_refuses_to_measure_a_model_that_guesses() -> None:
    model = MLP(classes=11)
    nn.init.zeros_(model.layers[-1].weight)
    nn.init.zeros_(model.layers[-1].bias)  # always answers 0, which is right for a tenth
    with pytest.warns(GradientMaskingWarning), refuses(ValueError, "only guesses", "10%", "train it for longer"):
        null_label_training(model, digits_like(), epochs=1, initial_epochs=0)


def test_it_refuses_images_beyond_one() -> None:
    images, labels = digits_like().tensors
    with refuses(ValueError, "[0, 1]", "is a division missing?"):
        null_label_training(MLP(classes=11), TensorDataset(255 * images, labels), epochs=1)
