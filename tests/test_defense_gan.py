"""Defense-GAN: least squares on a linear generator, what it buys on MNIST, and how it is broken."""

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import attacks, data
from tml_helpers.attacks import GradientMaskingWarning
from tml_helpers.data import ImageSet
from tml_helpers.defenses import DefenseGAN
from tml_helpers.models import MLP, SmallCNN, mnist_gan
from tml_helpers.training import predict

LATENT = 5


class LinearGenerator(nn.Module):
    """z ↦ ½ + A z, images of 4×4."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(0.1 * torch.randn(16, LATENT, generator=torch.Generator().manual_seed(0)))

    def forward(self, latents: Tensor) -> Tensor:
        return 0.5 + (latents @ self.matrix.T).view(-1, 1, 4, 4)


def linear_defense(**arguments: int) -> DefenseGAN:
    generator = torch.Generator().manual_seed(0)
    settings = {"latent": LATENT, "steps": 400, "restarts": 2} | arguments
    return DefenseGAN(MLP(in_features=16), decoder=LinearGenerator(), generator=generator, **settings)


def test_with_a_linear_generator_the_projection_is_least_squares() -> None:
    defense, images = linear_defense(), torch.rand(6, 1, 4, 4)
    matrix = defense.decoder.matrix.detach()
    latents = torch.linalg.lstsq(matrix, (images.flatten(1) - 0.5).T).solution
    by_hand = 0.5 + (matrix @ latents).T.view(-1, 1, 4, 4)
    torch.testing.assert_close(defense.reconstruct(images), by_hand, rtol=0, atol=1e-5)
    torch.testing.assert_close(defense(images), defense.model(by_hand), rtol=0, atol=1e-4)


def test_what_the_generator_can_make_passes_untouched() -> None:
    defense = linear_defense()
    images = defense.decoder(torch.randn(6, LATENT)).detach()
    torch.testing.assert_close(defense.reconstruct(images), images, rtol=0, atol=1e-5)


def test_an_images_answer_does_not_depend_on_its_batch_or_the_call() -> None:
    defense, images = linear_defense(steps=20), torch.rand(6, 1, 4, 4)
    whole = defense(images)
    torch.testing.assert_close(defense(images), whole, rtol=0, atol=0)
    torch.testing.assert_close(torch.cat([defense(image[None]) for image in images]), whole)
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(defense(turned), whole)


def test_the_starts_are_drawn_from_the_generator_given() -> None:
    first, again = (linear_defense().starts for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, DefenseGAN(MLP(), decoder=LinearGenerator(), latent=LATENT, restarts=2).starts)


def test_the_best_of_the_restarts_is_taken() -> None:
    images = torch.rand(6, 1, 4, 4)
    several = linear_defense(steps=3, restarts=5)
    errors = []
    for start in several.starts:
        one = linear_defense(steps=3, restarts=1)
        one.starts = start[None]
        errors.append((one.reconstruct(images) - images).square().flatten(1).sum(dim=1))
    ours = (several.reconstruct(images) - images).square().flatten(1).sum(dim=1)
    torch.testing.assert_close(ours, torch.stack(errors).amin(dim=0))
    assert not torch.allclose(ours, errors[0]), "one start is as good as five: the test shows nothing"


def test_a_gradient_attack_on_the_defence_itself_warns_and_changes_nothing() -> None:
    defense, images = linear_defense(steps=5), torch.rand(3, 1, 4, 4)
    labels = defense(images).argmax(dim=1)
    with pytest.warns(GradientMaskingWarning, match="zero for 3 of 3"):
        adversarial = attacks.fgsm(defense, images, labels, epsilon=0.1)
    torch.testing.assert_close(adversarial, images)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(defense(leaf).sum(), leaf)  # other libraries' attacks ask for it like this
    assert (gradient == 0).all()


def test_straight_through_gives_the_same_answers_and_the_gradient_at_the_reconstruction() -> None:
    defense, images, labels = linear_defense(steps=20), torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 2])
    through, leaf = defense.straight_through(), images.clone().requires_grad_()
    torch.testing.assert_close(through(images), defense(images), rtol=0, atol=0)
    (ours,) = torch.autograd.grad(F.cross_entropy(through(leaf), labels), leaf)
    there = defense.reconstruct(images).requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(defense.model(there), labels), there)
    torch.testing.assert_close(ours, expected)
    assert expected.abs().sum() > 0


def test_training_mode_does_not_reach_the_generator_and_its_statistics() -> None:
    gan = mnist_gan()
    defense = DefenseGAN(SmallCNN(), decoder=gan.generator, steps=2, restarts=1).train()
    before = {name: value.clone() for name, value in gan.generator.state_dict().items()}
    image = torch.rand(2, 1, 28, 28)
    training = defense.reconstruct(image)
    assert defense.decoder.training, "it comes back in the mode that it had"
    torch.testing.assert_close(training, defense.eval().reconstruct(image), rtol=0, atol=0)
    for name, value in gan.generator.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0}, ("steps", "1 or more", "0")),
        ({"restarts": 0}, ("restarts", "1 or more", "0")),
        ({"latent": 0}, ("latent", "1 or more", "0")),
        ({"step_size": 0.0}, ("step_size", "positive", "got 0")),
        ({"step_size": float("nan")}, ("step_size", "positive", "nan")),
    ],
)
def test_it_refuses(arguments: dict[str, float], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        DefenseGAN(MLP(), decoder=LinearGenerator(), **arguments)


def test_it_refuses_images_that_the_generator_cannot_make() -> None:
    with refuses(ValueError, "[1, 4, 4]", "[3, 4, 4]", "trained on such images"):
        linear_defense().reconstruct(torch.rand(2, 3, 4, 4))


# --- on MNIST ---


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return data.mnist("test", source="default").select(slice(40))


def right(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return (predict(model, images).argmax(dim=1) == labels).float().mean().item()


def defended(classifier: nn.Module, steps: int = 60) -> DefenseGAN:
    generator = torch.Generator().manual_seed(0)
    return DefenseGAN(classifier, decoder=mnist_gan().generator, steps=steps, restarts=2, generator=generator)


def test_it_helps_against_attacks_that_do_not_know_of_it(small_cnn: SmallCNN, digits: ImageSet) -> None:
    images, labels = digits.images, digits.labels
    adversarial = attacks.pgd(small_cnn, images, labels, epsilon=0.2, steps=10, generator=torch.Generator())
    defense = defended(small_cnn)
    assert right(small_cnn, adversarial, labels) < 0.4
    assert right(defense, adversarial, labels) > right(small_cnn, adversarial, labels) + 0.3
    assert right(defense, images, labels) > 0.5


def test_it_is_broken_by_those_who_know_of_it(small_cnn: SmallCNN, digits: ImageSet) -> None:
    images, labels = digits.images, digits.labels
    defense = defended(small_cnn, steps=25)
    through = defense.straight_through()
    blind, adaptive = (  # tau=0: each image rests at its first success
        attacks.pgd(model, images, labels, epsilon=0.3, steps=15, tau=0, generator=torch.Generator())
        for model in (small_cnn, through)
    )
    assert right(defense, adaptive, labels) < right(defense, images, labels) - 0.3
    assert right(defense, adaptive, labels) < right(defense, blind, labels)


def test_what_the_generator_makes_goes_through(small_cnn: SmallCNN, digits: ImageSet) -> None:
    images, labels = digits.images[:15], digits.labels[:15]
    natural = attacks.latent_search(
        small_cnn, images, labels, gan=mnist_gan(), samples=64, step=0.5, generator=torch.Generator()
    )
    defense = defended(small_cnn)
    assert right(defense, natural, labels) < right(defense, images, labels) - 0.3
