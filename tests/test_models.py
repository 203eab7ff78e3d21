"""The networks: counts and normalisation by hand, the photographs' published classes, and refusals."""

import copy
import email.message
import io
import itertools
import json
import urllib.error
from pathlib import Path

import pytest
import torch
from bad_input import refuses
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tml_helpers import data
from tml_helpers.models import (
    GAN,
    GAN_WEIGHTS,
    MLP,
    STATISTICS,
    Generator,
    ImageNetClassifier,
    Inverter,
    Normalize,
    SmallCNN,
    imagenet_classifier,
    mnist_gan,
    multiply_adds,
    parameter_count,
)
from tml_helpers.training import predict

widths = st.lists(st.integers(1, 9), max_size=3)


def test_small_cnn_on_mnist_has_the_published_parameters() -> None:
    convolutions = (1 * 9 + 1) * 16 + (16 * 9 + 1) * 32
    linear = (32 * 7 * 7 + 1) * 128 + (128 + 1) * 10
    assert parameter_count(SmallCNN()) == convolutions + linear == 206_922


@given(width=st.integers(1, 5))
def test_a_narrow_cnn_has_channels_and_units_in_proportion(width: int) -> None:
    convolutions = (9 + 1) * width + (9 * width + 1) * 2 * width
    linear = (2 * width * 7 * 7 + 1) * 8 * width + (8 * width + 1) * 10
    assert parameter_count(SmallCNN(width=width)) == convolutions + linear


def test_small_cnn_on_cifar() -> None:
    model = SmallCNN(in_channels=3, size=32, classes=7)
    assert parameter_count(model) == (3 * 9 + 1) * 16 + (16 * 9 + 1) * 32 + (32 * 8 * 8 + 1) * 128 + (128 + 1) * 7
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)


@given(hidden=widths, pixels=st.integers(1, 9), classes=st.integers(1, 9))
def test_mlp_has_a_weight_for_every_pair_and_a_bias_for_every_unit(
    hidden: list[int], pixels: int, classes: int
) -> None:
    model = MLP(*hidden, in_features=pixels, classes=classes)
    sizes = [pixels, *hidden, classes]
    pairs = sum(a * b for a, b in itertools.pairwise(sizes))
    assert parameter_count(model) == pairs + sum(sizes[1:])
    image = torch.rand(2, 1, 1, pixels)
    assert model(image).shape == (2, classes)
    assert multiply_adds(model, image[:1]) == pairs


def test_an_mlp_without_hidden_layers_is_linear_in_the_pixels() -> None:
    model = MLP()
    a, b = torch.rand(2, 5, 1, 28, 28)
    torch.testing.assert_close(model(0.25 * a + 0.75 * b), 0.25 * model(a) + 0.75 * model(b), rtol=0, atol=1e-5)
    hidden = MLP(64)
    assert not torch.allclose(hidden(0.25 * a + 0.75 * b), 0.25 * hidden(a) + 0.75 * hidden(b), rtol=0, atol=1e-5)


def test_multiply_adds_of_the_small_cnn_by_hand() -> None:
    convolutions = 1 * 9 * 16 * 28 * 28 + 16 * 9 * 32 * 14 * 14
    assert multiply_adds(SmallCNN(), torch.rand(1, 1, 28, 28)) == convolutions + 32 * 7 * 7 * 128 + 128 * 10


def test_multiply_adds_of_what_is_grouped_strided_or_transposed_by_hand() -> None:
    image = torch.rand(1, 4, 9, 9)
    assert multiply_adds(nn.Conv2d(4, 8, 3, groups=4), image) == 9 * 8 * 7 * 7  # one channel in for each out
    assert multiply_adds(nn.Conv2d(4, 8, 3, stride=2), image) == 4 * 9 * 8 * 4 * 4
    assert (
        multiply_adds(nn.ConvTranspose2d(4, 8, 2, stride=2), image) == 4 * 4 * 8 * 9 * 9
    )  # for each pixel that goes in
    assert multiply_adds(nn.Linear(9, 5), image) == 4 * 9 * 9 * 5  # a row at a time
    assert multiply_adds(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), image) == 0


def test_multiply_adds_leaves_the_network_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()
    model[2].eval()
    before = copy.deepcopy(model.state_dict())
    assert multiply_adds(model, torch.rand(1, 1, 8, 8)) == 9 * 2 * 6 * 6
    with pytest.raises(ValueError, match="cannot read its input"):
        multiply_adds(model, torch.rand(1, 3, 8, 8))  # fails in the middle
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} has moved: the network was not in evaluation mode"
    assert [layer.training for layer in model] == [True, True, False]
    assert not any(layer._forward_hooks for layer in model.modules())


def test_parameters_count_frozen_or_not_and_statistics_do_not() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[0].requires_grad_(False)
    assert parameter_count(model) == 3 * 4 + 4 + 2 * 4


MNIST = ((0.1307,), (0.3081,))  # of the 60,000 training images, as in PyTorch's example for MNIST
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))  # as the papers on CIFAR-10 print them


@pytest.mark.parametrize(
    ("model", "shape", "statistics"),
    [
        (SmallCNN(), (1, 28, 28), MNIST),
        (MLP(5), (1, 28, 28), MNIST),
        (SmallCNN(in_channels=3, size=32), (3, 32, 32), CIFAR10),
    ],
)
def test_a_network_normalises_by_itself(
    model: nn.Module, shape: tuple[int, ...], statistics: tuple[tuple[float, ...], tuple[float, ...]]
) -> None:
    images = torch.rand(4, *shape)
    by_hand = torch.stack([(images[:, c] - m) / s for c, (m, s) in enumerate(zip(*statistics, strict=True))], dim=1)
    plain = copy.deepcopy(model)  # the same network without a normalisation
    for layer in plain.modules():
        if isinstance(layer, Normalize):
            layer.mean.zero_()
            layer.std.fill_(1)
    torch.testing.assert_close(model(images), plain(by_hand))


def test_normalisation_travels_with_the_weights_and_is_not_trained() -> None:
    model = SmallCNN()
    assert {"mean", "std"} <= {name.rpartition(".")[2] for name in model.state_dict()}
    assert not {"mean", "std"} & {name.rpartition(".")[2] for name, _ in model.named_parameters()}


def test_mnists_statistics_are_those_of_the_images() -> None:
    images = data.mnist("train", source="default").images  # 4,000 of 60,000: the third digit may differ
    (mean,), (std,) = STATISTICS["mnist"]
    assert images.mean().item() == pytest.approx(mean, abs=2e-3)
    assert images.std().item() == pytest.approx(std, abs=2e-3)


def test_imagenets_statistics_are_torchvisions() -> None:
    from tml_helpers import _torchvision

    preset = _torchvision.load().models.ResNet18_Weights.DEFAULT.transforms()
    assert STATISTICS["imagenet"] == (tuple(preset.mean), tuple(preset.std))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"in_channels": 2}, ("in_channels", "1", "3", "got 2")),
        ({"size": 30}, ("size", "multiple of 4", "got 30")),
        ({"size": 0}, ("size", "multiple of 4", "got 0")),
        ({"width": 0}, ("width", "1 or more", "got 0")),
    ],
)
def test_small_cnn_refuses(arguments: dict[str, int], words: tuple[str, ...]) -> None:
    with refuses(ValueError, *words):
        SmallCNN(**arguments)


@pytest.mark.parametrize("arguments", [{"classes": 0}, {"in_features": 0}])
def test_mlp_refuses_an_empty_layer(arguments: dict[str, int]) -> None:
    with refuses(ValueError, "at least one unit", "0"):
        MLP(3, **arguments)


# --- the real ImageNet network ---


@pytest.fixture(scope="module")
def classifier() -> ImageNetClassifier:
    return imagenet_classifier()


def test_it_names_the_photographs_as_published(classifier: ImageNetClassifier) -> None:
    photos = data.photos()
    with torch.no_grad():
        confidence, named = classifier(photos.images).softmax(dim=1).max(dim=1)
    found = dict(zip(photos.names, (classifier.classes[k] for k in named), strict=True))
    assert found == {
        "cat": "Egyptian cat",
        "astronaut": "bobsled",  # ImageNet has no person
        "coffee": "espresso",
        "rocket": "missile",
        "motorcycle": "moped",
    }
    assert confidence[photos.names.index("coffee")] > 0.9


def test_it_is_in_evaluation_mode(classifier: ImageNetClassifier) -> None:
    assert not any(layer.training for layer in classifier.modules())


def test_its_normalisation_is_that_of_its_training(classifier: ImageNetClassifier) -> None:
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(classifier.normalize(images), (255 * images - 127) / 128)


def test_its_size_is_the_published_one(classifier: ImageNetClassifier) -> None:
    assert round(parameter_count(classifier) / 1e6, 1) == 4.7
    assert round(multiply_adds(classifier, torch.rand(1, 3, 224, 224)) / 1e6) == pytest.approx(400, rel=0.05)


def test_normalize_works_channel_by_channel() -> None:
    images = torch.rand(2, 3, 4, 4)
    normalized = Normalize([0.1, 0.2, 0.3], [1.0, 2.0, 4.0])(images)
    torch.testing.assert_close(normalized[1, 2], (images[1, 2] - 0.3) / 4)


@pytest.mark.parametrize("name", ["resnet19", "raft_large", "fcn_resnet50", ""])
def test_a_name_that_is_no_imagenet_classifier_is_refused(name: str) -> None:
    with refuses(ValueError, repr(name), "efficientnet_lite0", "resnet18"):
        imagenet_classifier(name)


class Answer(io.BytesIO):
    """What a server sends: five bytes, which are nobody's weights."""

    def info(self) -> email.message.Message:
        return email.message.Message()


def no_network(*_: object, **__: object) -> Answer:
    raise urllib.error.URLError("Name or service not known")


def wrong_bytes(*_: object, **__: object) -> Answer:
    return Answer(b"wrong")


@pytest.mark.parametrize("urlopen", [no_network, wrong_bytes])
def test_weights_that_cannot_be_had_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urlopen: object
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    with refuses(OSError, "weights of resnet18", "with a network", "efficientnet_lite0"):
        imagenet_classifier("resnet18")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# --- the generator of digits ---

MEASURED = Path(__file__).parents[1] / "benchmarks/results/gan.json"


@pytest.fixture(scope="module")
def gan() -> GAN:
    return mnist_gan()


@pytest.fixture(scope="module")
def digits() -> data.ImageSet:
    return data.mnist("test", source="default")


@pytest.mark.parametrize("latent", [1, 64])
def test_generator_and_inverter_fit_together(latent: int) -> None:
    generator, inverter = Generator(latent), Inverter(latent)
    images = generator(torch.randn(3, latent))
    assert images.shape == (3, 1, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1
    assert inverter(images).shape == (3, latent)


def test_their_parameters_by_hand() -> None:
    up = (64 + 1) * 80 * 16 + (80 * 9 + 1) * 48 + (48 * 16 + 1) * 24 + (24 * 16 + 1)
    norms = 2 * (80 + 48 + 24)
    down = (16 + 1) * 24 + (24 * 16 + 1) * 48 + (48 * 9 + 1) * 80
    assert parameter_count(Generator()) == up + norms == 136_953
    assert parameter_count(Inverter()) == down + (80 * 16 + 1) * 64 == 135_512


def test_a_generator_refuses_no_latents() -> None:
    with refuses(ValueError, "latent", "at least 1", "got 0"):
        Generator(latent=0)


def test_the_gan_is_ready_to_be_asked(gan: GAN) -> None:
    for network in (gan.generator, gan.inverter):
        assert not any(layer.training for layer in network.modules())
        assert not any(weights.requires_grad for weights in network.parameters())
        assert all(weights.dtype == torch.float32 for weights in network.parameters())
    assert mnist_gan().generator is not gan.generator, "who changes one must not change another's"


def test_its_file_is_small_and_the_one_that_was_measured(gan: GAN) -> None:
    measured = json.loads(MEASURED.read_text())
    assert GAN_WEIGHTS.stat().st_size == measured["bytes"] <= 600_000
    assert {name: parameter_count(net) for name, net in vars(gan).items()} == measured["parameters"]


def test_it_makes_all_ten_digits_and_a_classifier_of_real_ones_is_often_sure_of_them(
    gan: GAN, digits: data.ImageSet, small_cnn: SmallCNN
) -> None:
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(500, gan.generator.latent, generator=random)
    samples = gan.generator(latents)

    def sure(images: torch.Tensor) -> float:
        return (predict(small_cnn, images).softmax(dim=1).amax(dim=1) > 0.9).float().mean().item()

    measured = json.loads(MEASURED.read_text())  # of another judge, trained on all of MNIST
    kept = (
        measured["samples_called_with_confidence_above_0.9"] / measured["test_images_called_with_confidence_above_0.9"]
    )
    assert sure(samples) / sure(digits.images) == pytest.approx(kept, abs=0.2)
    assert sure(Generator().eval()(latents)) < 0.05, "the judge is sure of anything: the test shows nothing"
    counts = predict(small_cnn, samples).argmax(dim=1).bincount(minlength=10)
    assert counts.min() >= 5, "a digit is missing: the modes collapsed"
    assert counts.max() < 150


def test_the_inverter_leads_back(gan: GAN, digits: data.ImageSet) -> None:
    images = digits.images[:200]
    error = (gan.generator(gan.inverter(images)) - images).square().mean()
    assert error < 0.6 * images.var(dim=0).mean(), "no better than the mean of all images"
    latents = torch.randn(200, gan.generator.latent, generator=torch.Generator().manual_seed(0))
    back = gan.inverter(gan.generator(latents))
    alike = torch.nn.functional.cosine_similarity(back[:, None], latents[None], dim=2)
    assert (alike.argmax(dim=1) == torch.arange(200)).float().mean() > 0.25, "a guess is right once in 200"
