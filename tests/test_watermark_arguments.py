"""What all functions of the chapter share: keys, images, models that are only asked, evidence that is a p-value."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from torch import Tensor, nn

from tml_helpers import watermark
from tml_helpers.watermark import Evidence

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
MESSAGE = [0, 1, 1, 0, 1, 0, 0, 1]
CLASSES, SIDE = 5, 16
OF_TILES = 64  # pixels that a mark in a picture needs


def images(count: int = 10, side: int = SIDE) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(1))


def labels(count: int = 10) -> Tensor:
    return torch.arange(count) % CLASSES


class Network(nn.Module):
    """What makes trouble in a network from outside: batch norm, dropout, frozen weights, a layer in its own mode."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 5, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(4 * 3 * 3, CLASSES)
        self.body[0].bias.requires_grad_(False)
        self.train()
        self.body[1].eval()  # a frozen batch norm, as in fine-tuning

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(images).flatten(1))
        return logits


class Language(nn.Module):
    """Words to logits of the next word."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table, self.drop = nn.Embedding(20, 20), nn.Dropout(0.5)

    def forward(self, words: Tensor) -> Tensor:
        logits: Tensor = self.drop(self.table(words))
        return logits


class Painter(nn.Module):
    """Latents to images in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layer = nn.Linear(3, SIDE * SIDE)

    def forward(self, latents: Tensor) -> Tensor:
        drawn: Tensor = self.layer(latents).sigmoid().unflatten(1, (1, SIDE, SIDE))
        return drawn


def fitted() -> watermark.GeneratorWatermark:
    torch.manual_seed(5)
    mark = watermark.GeneratorWatermark(bits=8)
    with warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
        mark.fit(images(16), epochs=1, generator=torch.Generator().manual_seed(6), progress=False)
    return mark


def twins_of(key: bytes) -> watermark.Twins:
    return watermark.twins(images(), key=key, epsilon=0.1)


def painted(model: nn.Module, key: bytes) -> watermark.MarkedGenerator:
    with warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
        return FITTED.mark(
            model, torch.rand(8, 3, generator=torch.Generator().manual_seed(7)), key=key, epochs=1,
            generator=torch.Generator().manual_seed(7), progress=False,
        )  # fmt: skip


FITTED = fitted()
Call = Callable[[nn.Module, bytes], Any]
DETECTORS: dict[str, Call] = {  # they look for a mark: of a model, and by a key
    "detect_image": lambda model, key: watermark.detect_image(images(), key=key, bits=8)[0],
    "detect_image, message": lambda model, key: watermark.detect_image(images(), key=key, message=MESSAGE)[1],
    "radioactive_test": lambda model, key: watermark.radioactive_test(
        model, images(), labels(), key=key, epsilon=0.1, control=Network(1)
    ),
    "radioactive_test, logits": lambda model, key: watermark.radioactive_test(
        model, images(), labels(), key=key, epsilon=0.1, access="logits"
    ),
    "cosine_test": lambda model, key: watermark.cosine_test(model, images(), key=key, layer="head"),
    "twin_test": lambda model, key: watermark.twin_test(
        model, twins_of(key).published, labels(), withheld=twins_of(key).withheld
    ),
    "WeightWatermark.test": lambda model, key: watermark.WeightWatermark(
        Network(), layer="head", key=key, bits=16
    ).test(model),
    "trigger_test": lambda model, key: watermark.trigger_test(
        model, triggers=watermark.trigger_set(images(), key=key, classes=CLASSES, count=8)
    ),
    "QueryWatermark.test": lambda model, key: watermark.QueryWatermark(Network(1), key=key, fraction=0.9).test(
        model, images()
    ),
    "detect_text": lambda model, key: watermark.detect_text(torch.arange(40) % 20, key=key, vocabulary=20),
    "GeneratorWatermark.test": lambda model, key: FITTED.test(images(), key=key),
}
OTHERS: dict[str, Call] = {  # they set a mark, or are parts of one
    "embed_image": lambda model, key: watermark.embed_image(0.4 + images(2, OF_TILES) / 20, MESSAGE, key=key),
    "radioactive_mark": lambda model, key: watermark.radioactive_mark(
        images(), labels(), key=key, epsilon=0.1, fraction=0.5
    ),
    "radioactive_carriers": lambda model, key: watermark.radioactive_carriers(images(), labels(), key=key),
    "feature_mark": lambda model, key: watermark.feature_mark(
        model, images(), labels(), key=key, epsilon=0.1, layer="head", fraction=0.5, steps=2
    ),
    "twins": lambda model, key: twins_of(key),
    "trigger_set": lambda model, key: watermark.trigger_set(images(), labels(), key=key, classes=CLASSES, count=4),
    "WeightWatermark": lambda model, key: watermark.WeightWatermark(model, layer="head", key=key, bits=16).message,
    "WeightWatermark.read": lambda model, key: watermark.WeightWatermark(model, layer="head", key=key, bits=16).read(
        model
    ),
    "QueryWatermark.forward": lambda model, key: watermark.QueryWatermark(model, key=key, fraction=0.5)(images()),
    "green_list": lambda model, key: watermark.green_list(3, key=key, vocabulary=20),
    "text_watermark": lambda model, key: watermark.text_watermark(
        Language(), torch.tensor([1]), key=key, length=5, generator=torch.Generator().manual_seed(0)
    ),
    "GeneratorWatermark.message": lambda model, key: FITTED.message(key=key),
    "GeneratorWatermark.embed": lambda model, key: FITTED.embed(images(), key=key),
    "GeneratorWatermark.mark": lambda model, key: painted(Painter(), key).losses,
}
CALLS = DETECTORS | OTHERS
every_call = pytest.mark.parametrize("name", CALLS)


def taking_a_key() -> set[str]:
    """Public names with a `key`, of functions and of public methods; a class itself stands for its `__init__`."""
    found = set()
    for name in watermark.__all__:
        made = getattr(watermark, name)
        if inspect.isclass(made) and issubclass(made, Warning):
            continue
        methods = {} if not inspect.isclass(made) else {f"{name}.{part}": value for part, value in vars(made).items()}
        for place, function in {name: made, **methods}.items():
            hidden = "._" in place or not callable(function) or not hasattr(function, "__name__")
            if not hidden and "key" in inspect.signature(function).parameters:
                found.add(place)
    return found


def test_every_public_function_with_a_key_is_called_here() -> None:
    of_the_key = {"check_key", "stream", "uniforms", "normals", "signs"}  # tests/test_watermark_keys.py
    named = {name.split(",")[0] for name in CALLS}
    assert taking_a_key() - of_the_key - {"QueryWatermark"} <= named


def flat(result: Any) -> list[Any]:
    """What a result holds, tensors and numbers."""
    if isinstance(result, Tensor):
        return [result]
    if hasattr(result, "__dict__") and not isinstance(result, nn.Module):
        return [part for value in vars(result).values() for part in flat(value)]
    if isinstance(result, (list, tuple)):
        return [part for value in result for part in flat(value)]
    return [result]


def same(first: Any, second: Any) -> bool:
    pairs = zip(flat(first), flat(second), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


@every_call
def test_the_key_is_bytes_of_16_to_32(name: str) -> None:
    for wrong in (hash("secret"), "s" * 32, None, bytearray(32)):
        with refuses(TypeError, "key must be bytes"):
            CALLS[name](Network(), wrong)  # type: ignore[arg-type]
    for wrong in (b"", b"k" * 15, b"k" * 33):
        with refuses(ValueError, "16 to 32 bytes", f"got {len(wrong)}"):
            CALLS[name](Network(), wrong)


@every_call
def test_the_same_call_again_gives_the_same_and_another_key_another(name: str) -> None:
    first = CALLS[name](Network(), KEY)
    assert same(first, CALLS[name](Network(), KEY))
    if name not in ("GeneratorWatermark.test", "trigger_test"):  # of 8 coins, as many may agree by chance
        assert not same(first, CALLS[name](Network(), OTHER))


@every_call
def test_a_model_comes_back_as_it_was(name: str) -> None:
    """Its mode layer by layer, its weights and statistics, its gradients, what is frozen, its hooks."""
    model = Network()
    model(images()).square().sum().backward()
    modes = [part.training for part in model.modules()]
    trained = [parameter.requires_grad for parameter in model.parameters()]
    slopes = [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()]
    state = [value.clone() for value in model.state_dict().values()]
    CALLS[name](model, KEY)
    assert [part.training for part in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == trained
    for parameter, former in zip(model.parameters(), slopes, strict=True):
        assert parameter.grad is former is None or torch.equal(parameter.grad, former)
    assert same(list(model.state_dict().values()), state)
    for part in model.modules():
        assert len(part._forward_hooks) == len(part._forward_pre_hooks) == len(part._backward_hooks) == 0


@every_call
def test_a_mark_does_not_depend_on_what_was_drawn_before_nor_moves_what_is_drawn_after(name: str) -> None:
    model = Network()
    torch.manual_seed(11)
    first = CALLS[name](model, KEY)
    torch.manual_seed(12)
    assert same(first, CALLS[name](model, KEY))


@pytest.mark.parametrize("name", DETECTORS)
def test_evidence_is_a_statistic_and_two_tails(name: str) -> None:
    found = DETECTORS[name](Network(), KEY)
    assert isinstance(found, Evidence)
    assert 0 < found.p_value <= 1
    assert 0 <= found.p_beyond <= found.p_value
    assert type(found.statistic) is type(found.p_value) is type(found.p_beyond) is float
    share = found.randomized(generator=torch.Generator().manual_seed(0))
    assert found.p_beyond <= share <= found.p_value


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_is_asked_without_a_gradient_and_gives_none(name: str) -> None:
    with torch.enable_grad():
        found = DETECTORS[name](Network(), KEY)
    assert not any(part.requires_grad for part in flat(found) if isinstance(part, Tensor))
    if name == "radioactive_test":  # the one that needs a gradient says that there is none
        with torch.inference_mode(), refuses(ValueError, "inference_mode", "logits"):
            DETECTORS[name](Network(), KEY)
    else:
        with torch.inference_mode():
            assert same(found, DETECTORS[name](Network(), KEY))


Pictures = Callable[[Tensor], Any]
OF_IMAGES: dict[str, Pictures] = {
    "embed_image": lambda x: watermark.embed_image(x, MESSAGE, key=KEY),
    "detect_image": lambda x: watermark.detect_image(x, key=KEY),
    "add_noise": lambda x: watermark.add_noise(x, sigma=0.1),
    "blur": lambda x: watermark.blur(x, sigma=1.0),
    "crop": lambda x: watermark.crop(x, share=0.1),
    "jpeg": lambda x: watermark.jpeg(x, quality=50),
    "resize": lambda x: watermark.resize(x, factor=0.5),
    "resize_and_back": lambda x: watermark.resize_and_back(x, factor=0.5),
    "rotate": lambda x: watermark.rotate(x, degrees=3.0),
    "radioactive_mark": lambda x: watermark.radioactive_mark(x, labels(len(x)), key=KEY, epsilon=0.1, fraction=0.5),
    "radioactive_test": lambda x: watermark.radioactive_test(Network(), x, labels(len(x)), key=KEY, epsilon=0.1),
    "feature_mark": lambda x: watermark.feature_mark(
        Network(), x, labels(len(x)), key=KEY, epsilon=0.1, layer="head", fraction=0.5
    ),
    "cosine_test": lambda x: watermark.cosine_test(Network(), x, key=KEY, layer="head"),
    "twins": lambda x: watermark.twins(x, key=KEY, epsilon=0.1),
    "twin_test": lambda x: watermark.twin_test(Network(), x, labels(len(x)), withheld=images(len(x))),
    "twin_test, withheld": lambda x: watermark.twin_test(Network(), images(len(x)), labels(len(x)), withheld=x),
    "trigger_set": lambda x: watermark.trigger_set(x, key=KEY, classes=CLASSES, count=1),
    "generator.fit": lambda x: watermark.GeneratorWatermark(bits=8).fit(x, epochs=1, progress=False),
    "generator.test": lambda x: FITTED.test(x, key=KEY),
    "generator.embed": lambda x: FITTED.embed(x, key=KEY),
    "generator.read": lambda x: FITTED.read(x),
}


def with_value(value: float) -> Tensor:
    wrong = images(4)
    wrong[3, 0, -1, -1] = value  # the last pixel of the last image
    return wrong


NO_IMAGES = {
    "NaN": (with_value(torch.nan), ValueError, "[0, 1]"),
    "infinite": (with_value(torch.inf), ValueError, "[0, 1]"),
    "grey values to 255": (with_value(255.0), ValueError, "[0, 1]"),
    "around 0": (with_value(-0.1), ValueError, "[0, 1]"),
    "int64": (torch.ones(4, 1, SIDE, SIDE, dtype=torch.int64), TypeError, "int64"),
    "bool": (torch.ones(4, 1, SIDE, SIDE, dtype=torch.bool), TypeError, "bool"),
    "complex": (images(4) + 0j, TypeError, "complex"),
    "none": (images(4)[:0], ValueError, "[0, 1, 16, 16]"),
    "no pixel": (images(4)[..., :0], ValueError, "[4, 1, 16, 0]"),
    "a matrix": (images(4)[0, 0], ValueError, "[16, 16]"),
    "a film": (images(4)[None], ValueError, "[1, 4, 1, 16, 16]"),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
@pytest.mark.parametrize("name", OF_IMAGES)
def test_what_are_no_images(name: str, kind: str) -> None:
    wrong, error, word = NO_IMAGES[kind]
    with refuses(error, word):
        OF_IMAGES[name](wrong)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_arrays_and_lists_are_no_images(name: str) -> None:
    for wrong in (images(4).numpy(), images(4).tolist()):
        with refuses(TypeError, "images must be", type(wrong).__name__):
            OF_IMAGES[name](wrong)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_are_not_changed_and_may_be_views(name: str) -> None:
    whole = images(20, OF_TILES if "_image" in name else SIDE)[: 4 if "_image" in name else 20]
    for given in (whole.transpose(2, 3), whole[::2], whole.to(memory_format=torch.channels_last)):
        before, results = given.clone(), []
        for copied in (given, given.contiguous().clone()):
            torch.manual_seed(0)
            with warnings.catch_warnings(action="ignore"):
                results.append(OF_IMAGES[name](copied))
        assert torch.equal(given, before)
        for a, b in zip(*map(flat, results), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5) if isinstance(a, Tensor) else None
