"""A generator that signs: read on inputs never seen, tested over the key, and refused where it cannot be."""

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, stats
from torch import Tensor, nn

from tml_helpers import watermark
from tml_helpers.data import mnist
from tml_helpers.models import mnist_gan
from tml_helpers.training import predict
from tml_helpers.watermark import _channel
from tml_helpers.watermark.keys import stream

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
BITS = 24


class Blots(nn.Module):
    """Latents to pictures of smooth blots: what a decoder makes, without a training of its own."""

    def __init__(self, *, channels: int = 1, size: int = 28) -> None:
        super().__init__()
        self.paint = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, channels * size * size), nn.Sigmoid())
        self.shape = (channels, size, size)
        smooth = torch.randn(64, channels, 4, 4)
        smooth = nn.functional.interpolate(smooth, (size, size), mode="bicubic")
        with torch.no_grad():
            self.paint[2].weight.copy_(smooth.flatten(1).T * 0.5)

    def forward(self, latents: Tensor) -> Tensor:
        return self.paint(latents).unflatten(1, self.shape)


def fresh_keys(count: int, name: str) -> list[bytes]:
    return [stream(KEY, f"{name} {n}", 32) for n in range(count)]


@pytest.fixture(scope="module")
def blots() -> Blots:
    torch.manual_seed(0)
    return Blots()


def latents(count: int, seed: int) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def owner(blots: Blots) -> watermark.GeneratorWatermark:
    torch.manual_seed(0)
    made = watermark.GeneratorWatermark(bits=BITS)
    pictures = torch.cat([predict(blots, latents(800, 0)), mnist("train").images[:700]])
    with warnings.catch_warnings(action="error", category=watermark.IllegibleMessageWarning):
        made.fit(pictures, epochs=5, generator=torch.Generator().manual_seed(0), progress=False)
    return made


@pytest.fixture(scope="module")
def marked(owner: watermark.GeneratorWatermark, blots: Blots) -> watermark.MarkedGenerator:
    seeded = torch.Generator().manual_seed(1)
    with warnings.catch_warnings(action="error", category=watermark.IllegibleMessageWarning):
        return owner.mark(blots, latents(800, 1), key=KEY, epochs=7, generator=seeded, progress=False)


# --- what it is for ---


def test_over_95_of_100_bits_are_read_in_single_pictures_never_seen(
    owner: watermark.GeneratorWatermark, blots: Blots, marked: watermark.MarkedGenerator
) -> None:
    new = latents(500, 2)
    signed, plain = predict(marked.model, new), predict(blots, new)
    bits = owner.message(key=KEY)
    assert ((owner.read(signed) * bits) > 0).double().mean() >= 0.95
    assert 10 * math.log10(1 / (signed - plain).square().mean()) >= 22
    assert owner.test(signed[:1], key=KEY).p_value < 1e-4
    assert owner.test(plain, key=KEY).p_value > 1e-6  # 24 coins may go down to 6e-8
    assert owner.test(signed, key=OTHER).p_value > 1e-6


def test_a_generator_of_convolutions_and_batch_norms_learns_it_too(owner: watermark.GeneratorWatermark) -> None:
    """`mnist_gan()` comes frozen, and goes back frozen; its batch norms keep the statistics that they had."""
    gan, seeded = mnist_gan().generator, torch.Generator().manual_seed(0)
    before = copy.deepcopy(gan.state_dict())
    inputs = torch.randn(640, 64, generator=seeded)
    made = owner.mark(gan, inputs, key=KEY, weight=5, epochs=6, learning_rate=3e-3, generator=seeded, progress=False)
    new = torch.randn(200, 64, generator=seeded)
    assert owner.test(predict(made.model, new), key=KEY).agreement > 0.9
    after = made.model.state_dict()
    running = [name for name in before if "running" in name]
    assert running
    for name in running:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    assert all(not parameter.requires_grad for parameter in made.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in gan.state_dict().items())


def test_the_message_survives_what_it_was_trained_for(
    owner: watermark.GeneratorWatermark, marked: watermark.MarkedGenerator
) -> None:
    images, seeded = predict(marked.model, latents(200, 15)), torch.Generator().manual_seed(0)
    for changed in (
        watermark.add_noise(images, sigma=0.05, generator=seeded),
        watermark.jpeg(images, quality=75),
        _channel.with_hole(images, seeded),
    ):
        found = owner.test(changed, key=KEY)
        assert found.agreement > 0.8
        assert found.p_value < 1e-4


def test_only_what_comes_through_the_tampering_is_learnt(
    owner: watermark.GeneratorWatermark, blots: Blots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every picture is lost on the way, the generator stays as it is, and the encoder's message is not read."""
    monkeypatch.setattr("tml_helpers.watermark.generator.tampered", lambda images, _: 0 * images)
    with pytest.warns(watermark.IllegibleMessageWarning):
        made = owner.mark(blots, latents(64, 1), key=KEY, epochs=1, progress=False)
    assert made.psnr > 60
    with pytest.warns(watermark.IllegibleMessageWarning):
        losses = watermark.GeneratorWatermark(bits=8).fit(torch.rand(64, 1, 28, 28), epochs=2, progress=False)
    assert losses[-1] > 0.6


def test_what_the_record_says_of_itself_is_so(
    owner: watermark.GeneratorWatermark, blots: Blots, marked: watermark.MarkedGenerator
) -> None:
    inputs = latents(800, 1)
    signed, plain = predict(marked.model, inputs).numpy(), predict(blots, inputs).numpy()
    assert marked.psnr == pytest.approx(-10 * np.log10(np.mean((signed - plain) ** 2)), abs=1e-3)
    assert len(marked.losses) == 7
    assert marked.losses[-1] < marked.losses[0]
    answers = predict(owner, torch.from_numpy(signed)).numpy()
    right = np.sign(answers) == owner.message(key=KEY).numpy()
    assert marked.agreement == pytest.approx(right.mean(), abs=1e-9)


def test_a_heavier_weight_changes_the_pictures_less(owner: watermark.GeneratorWatermark, blots: Blots) -> None:
    settings = {"key": KEY, "epochs": 2, "progress": False}
    light, heavy = (
        owner.mark(blots, latents(500, 1), weight=weight, generator=torch.Generator().manual_seed(0), **settings)
        for weight in (10.0, 1000.0)
    )
    assert heavy.psnr > light.psnr + 1


# --- the p-value ---


def test_fresh_keys_give_uniform_p_values_whatever_the_pictures(
    owner: watermark.GeneratorWatermark, blots: Blots, marked: watermark.MarkedGenerator
) -> None:
    """Unmarked pictures, another key's, written digits, and one black picture, of which nothing differs but the key."""
    sets = {
        "unmarked": predict(blots, latents(8, 3)),
        "another key's": predict(marked.model, latents(8, 3)),
        "written": mnist("test").images[:8],
        "black": torch.zeros(1, 1, 28, 28),
    }
    seeded = torch.Generator().manual_seed(0)
    for name, images in sets.items():
        found = [owner.test(images, key=key) for key in fresh_keys(200, name)]
        p_values = [one.randomized(generator=seeded) for one in found]
        assert stats.kstest(p_values, "uniform").pvalue > 1e-6, name


def test_fresh_extractors_give_uniform_p_values_for_one_key(blots: Blots) -> None:
    """The extractor may be anything, as one of random weights, with opinions of its own on every picture."""
    images, p_values, seeded = predict(blots, latents(10, 4)), [], torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    for key in fresh_keys(200, "extractors"):
        stranger = watermark.GeneratorWatermark(bits=BITS)
        stranger.fitted.fill_(True)
        p_values.append(stranger.test(images, key=key).randomized(generator=seeded))
    assert stats.kstest(p_values, "uniform").pvalue > 1e-6


def test_bits_of_many_pictures_are_no_independent_coins(owner: watermark.GeneratorWatermark, blots: Blots) -> None:
    """The binomial count over all bits of all pictures accuses an unmarked generator; the mean first does not."""
    images = predict(blots, latents(300, 5))
    opinions = owner.read(images).sign()
    assert opinions.mean(dim=0).abs().mean() > 0.2  # the extractor has opinions on unmarked pictures
    keys = fresh_keys(200, "counted")
    hits = [int((opinions == owner.message(key=key)).sum()) for key in keys]
    wrong = stats.binom.sf(np.array(hits) - 1, opinions.numel(), 0.5)
    assert (wrong < 1e-6).mean() > 0.2
    exact = np.array([owner.test(images[:100], key=key).p_value for key in keys[:60]])
    assert (exact < 1e-3).sum() <= stats.binom.isf(1e-9, 60, 1e-3)


def test_the_evidence_is_scipys_wilcoxon_of_the_mean_answers(
    owner: watermark.GeneratorWatermark, blots: Blots, marked: watermark.MarkedGenerator
) -> None:
    for images in (predict(blots, latents(30, 6)), mnist("test").images[:7]):
        logits = predict(owner, images).double().numpy()
        soft = 2 / (1 + np.exp(-logits)) - 1
        bits = owner.message(key=KEY).numpy()
        margins = bits * soft.mean(axis=0)
        expected = stats.wilcoxon(margins, alternative="greater", method="exact")
        found = owner.test(images, key=KEY)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.statistic == expected.statistic
        assert found.wrong_bits == (margins <= 0).sum()
        assert found.agreement == pytest.approx((bits * logits > 0).mean(), abs=1e-9)
        assert found.bits == BITS
    assert 0 <= found.p_beyond < found.p_value


def test_a_thousand_pictures_say_no_more_than_the_message_is_long(
    owner: watermark.GeneratorWatermark, marked: watermark.MarkedGenerator
) -> None:
    found = owner.test(predict(marked.model, latents(1000, 7)), key=KEY)
    assert found.wrong_bits == 0
    assert found.p_value == 0.5**BITS


def test_messages_are_fair_coins_of_the_key(owner: watermark.GeneratorWatermark) -> None:
    rows = torch.stack([owner.message(key=key) for key in fresh_keys(500, "messages")])
    assert rows.dtype == torch.int64
    assert set(rows.unique().tolist()) == {-1, 1}
    ones = (rows > 0).sum(dim=0).numpy()
    assert (stats.binom.cdf(ones, 500, 0.5).clip(max=0.5) > 1e-9).all()
    assert (stats.binom.sf(ones - 1, 500, 0.5) > 1e-9).all()
    assert torch.equal(owner.message(key=KEY), owner.message(key=KEY))
    longer = watermark.GeneratorWatermark(bits=BITS + 8)
    assert torch.equal(longer.message(key=KEY)[:BITS], owner.message(key=KEY))


# --- the encoder, and what happens on the way ---


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    strength=st.sampled_from([0.02, 0.1, 1.0]),
    channels=st.sampled_from([1, 3]),
    sides=st.tuples(st.integers(8, 33), st.integers(8, 33)),
)
def test_no_pixel_moves_by_more_than_the_strength(
    seed: int, strength: float, channels: int, sides: tuple[int, int]
) -> None:
    torch.manual_seed(seed)
    made = watermark.GeneratorWatermark(bits=8, channels=channels, strength=strength)
    made.fitted.fill_(True)
    images = torch.rand(3, channels, *sides)
    stamped = made.embed(images, key=KEY, batch_size=2)
    assert stamped.shape == images.shape
    assert stamped.min() >= 0
    assert stamped.max() <= 1
    assert 0 < (stamped - images).abs().max() <= strength * (1 + 1e-6)
    assert made.read(stamped).shape == (3, 8)
    assert made.read(stamped).abs().max() <= 1


def test_the_encoder_alone_puts_a_message_where_nothing_was_generated(owner: watermark.GeneratorWatermark) -> None:
    digits = mnist("test").images[:20]
    assert owner.test(owner.embed(digits, key=KEY), key=KEY).p_value < 1e-3
    assert owner.test(owner.embed(digits, key=KEY), key=OTHER).p_value > 1e-6


def test_rounding_is_that_of_the_cosine_transform_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(2, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(_channel, "draw", lambda *_, **__: torch.tensor(0.5))  # a quality of 70
    found = _channel.rounded(images, None)
    steps = np.array(_channel.LUMINANCE) * 0.6
    for picture, rounded in zip(images.flatten(0, 1).numpy(), found.flatten(0, 1).numpy(), strict=True):
        for row in range(0, 16, 8):
            for column in range(0, 24, 8):
                at = np.s_[row : row + 8, column : column + 8]
                waves = np.round(fft.dctn(255 * picture[at], norm="ortho") / steps) * steps
                expected = np.clip(fft.idctn(waves, norm="ortho") / 255, 0, 1)
                np.testing.assert_allclose(rounded[at], expected, atol=1e-9)


def test_rounding_has_the_slope_of_no_rounding() -> None:
    images = (0.4 + 0.2 * torch.rand(1, 1, 12, 9, dtype=torch.float64)).requires_grad_()
    (slope,) = torch.autograd.grad(_channel.rounded(images, None)[..., :8, :8].sum(), images)
    torch.testing.assert_close(slope[..., :8, :8], torch.ones(1, 1, 8, 8, dtype=torch.float64))


def test_a_hole_has_half_the_height_and_width_and_lies_anywhere() -> None:
    white = torch.ones(2000, 2, 9, 12)
    holes = _channel.with_hole(white, torch.Generator().manual_seed(0)) == 0
    assert (holes[:, 0] == holes[:, 1]).all()
    assert (holes[:, 0].any(dim=2).sum(dim=1) == 4).all()
    assert (holes[:, 0].any(dim=1).sum(dim=1) == 6).all()
    assert (holes[:, 0].sum(dim=(1, 2)) == 24).all()
    assert holes[:, 0].any(dim=0).all()  # each pixel is hit in some of 2,000 pictures


def test_a_quarter_of_the_pictures_stays_and_none_changes_its_place() -> None:
    images = torch.arange(1, 22).view(-1, 1, 1, 1).expand(-1, 1, 8, 8) / 22
    changed = _channel.tampered(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape
    assert torch.equal(changed[::4], images[::4])
    assert not torch.equal(changed[1], images[1])
    assert torch.equal(changed[2].amax(dim=(1, 2)), images[2].amax(dim=(1, 2)))
    assert (changed - images).flatten(1).median(dim=1).values.abs().max() < 0.3
    assert _channel.tampered(images[:1], None).shape == (1, 1, 8, 8)


def test_noise_has_its_own_size_for_each_picture_up_to_a_tenth() -> None:
    grey = torch.full((500, 1, 20, 20), 0.5)
    sizes = (_channel.noisy(grey, torch.Generator().manual_seed(0)) - grey).flatten(1).std(dim=1)
    assert sizes.max() < 0.12
    assert stats.kstest(sizes.numpy() / 0.1, "uniform").statistic < 0.15


# --- nothing else is touched ---


def test_the_generator_that_is_marked_stays_as_it_is(owner: watermark.GeneratorWatermark) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(Blots(), nn.Dropout(0.5))
    model.train()
    model[0].eval()
    for module in (model, owner):
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
    model[0].paint[0].bias.requires_grad_(False)
    before, read = copy.deepcopy(model.state_dict()), copy.deepcopy(owner.state_dict())
    with torch.no_grad(), warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
        made = owner.mark(model, latents(64, 8), key=KEY, epochs=1, weight=0, progress=False)
    for module, state in ((model, before), (owner, read)):
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        assert all((parameter.grad == 1).all() for parameter in module.parameters())
    for found in (model, made.model):
        assert [module.training for module in (found, found[0], found[1])] == [True, False, True]
        assert not found[0].paint[0].bias.requires_grad
        assert found[0].paint[2].bias.requires_grad
    assert not torch.equal(made.model[0].paint[2].bias, model[0].paint[2].bias)
    for parameter in owner.parameters():
        parameter.grad = None


def test_the_same_seed_gives_the_same_mark_and_another_one_does_not(
    owner: watermark.GeneratorWatermark, blots: Blots
) -> None:
    def made(seed: int) -> Tensor:
        settings = {"key": KEY, "epochs": 1, "progress": False}
        seeded = torch.Generator().manual_seed(seed)
        with warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
            return predict(owner.mark(blots, latents(64, 9), generator=seeded, **settings).model, latents(2, 9))

    assert torch.equal(made(0), made(0))
    assert not torch.equal(made(0), made(1))


def test_what_was_trained_is_read_again_from_its_state(owner: watermark.GeneratorWatermark, tmp_path: Any) -> None:
    torch.save(owner.state_dict(), tmp_path / "owner.pt")
    again = watermark.GeneratorWatermark(bits=BITS)
    again.load_state_dict(torch.load(tmp_path / "owner.pt", weights_only=True))
    digits = mnist("test").images[:5]
    assert torch.equal(again.read(digits), owner.read(digits))


def test_batches_order_and_memory_layout_change_nothing(
    owner: watermark.GeneratorWatermark, marked: watermark.MarkedGenerator
) -> None:
    images = predict(marked.model, latents(9, 10))
    whole = owner.read(images)
    torch.testing.assert_close(owner.read(images, batch_size=2), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(owner.read(images.flip(0)), whole.flip(0), rtol=0, atol=1e-5)
    strided = images.transpose(2, 3).contiguous().transpose(2, 3)
    torch.testing.assert_close(owner.read(strided), whole, rtol=0, atol=1e-5)
    doubled = copy.deepcopy(owner).double()
    torch.testing.assert_close(doubled.read(images.double()).float(), whole, rtol=0, atol=1e-4)


def test_so_many_at_a_time_as_were_asked_for(owner: watermark.GeneratorWatermark, blots: Blots) -> None:
    sizes: list[int] = []
    images, model = predict(blots, latents(5, 16)), copy.deepcopy(blots)
    seen = [part.register_forward_hook(lambda *call: sizes.append(len(call[2]))) for part in (owner.encoder, owner)]
    model.register_forward_hook(lambda *call: sizes.append(len(call[2])))
    calls: tuple[Callable[[], Any], ...] = (
        lambda: owner.read(images, batch_size=2),
        lambda: owner.test(images, key=KEY, batch_size=2),
        lambda: owner.embed(images, key=KEY, batch_size=2),
    )
    for call in calls:
        sizes.clear()
        call()
        assert sizes == [2, 2, 1]
    sizes.clear()
    with warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
        owner.mark(model, latents(5, 16), key=KEY, epochs=1, batch_size=2, progress=False)
    for hook in seen:
        hook.remove()
    assert sizes == [2, 2, 1] * 4  # the pictures before, an epoch, the pictures after, and what is read of them


def test_the_bar_is_shown_where_it_is_asked_for(
    owner: watermark.GeneratorWatermark, blots: Blots, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
        for shown in (False, True):
            owner.mark(blots, latents(8, 0), key=KEY, epochs=1, progress=shown)
            assert ("epochs" in capsys.readouterr().err) == shown
            watermark.GeneratorWatermark(bits=8).fit(torch.rand(8, 1, 28, 28), epochs=1, progress=shown)
            assert ("epochs" in capsys.readouterr().err) == shown


def test_the_loss_of_an_epoch_is_the_mean_over_its_inputs(owner: watermark.GeneratorWatermark, blots: Blots) -> None:
    """With a learning rate of 0 nothing changes, and without tampering the cross-entropy can be had by hand."""
    inputs = latents(5, 17)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tml_helpers.watermark.generator.tampered", lambda images, _: images)
        with pytest.warns(watermark.IllegibleMessageWarning):
            made = owner.mark(blots, inputs, key=KEY, epochs=2, learning_rate=0, batch_size=3, progress=False)
    logits = predict(owner, predict(blots, inputs)).double().numpy()
    expected = np.log1p(np.exp(-owner.message(key=KEY).numpy() * logits)).mean()
    assert made.losses == pytest.approx([expected, expected], rel=1e-4)
    assert made.psnr == math.inf


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 64), (3, 8)])
def test_colour_and_other_sizes(channels: int, size: int) -> None:
    torch.manual_seed(2)
    made = watermark.GeneratorWatermark(bits=8, channels=channels)
    model = Blots(channels=channels, size=size)
    with warnings.catch_warnings(action="ignore", category=watermark.IllegibleMessageWarning):
        made.fit(predict(model, latents(32, 11)), epochs=1, progress=False)
        found = made.mark(model, latents(32, 12), key=KEY, epochs=1, progress=False)
    assert made.test(predict(found.model, latents(3, 13)), key=KEY).bits == 8


# --- what others have met ---


def test_a_decoder_has_learnt_one_message(
    owner: watermark.GeneratorWatermark, marked: watermark.MarkedGenerator
) -> None:
    """stable_signature #13: another message was asked of a decoder that was trained for one."""
    images = predict(marked.model, latents(50, 14))
    assert owner.test(images, key=KEY).wrong_bits == 0
    again = owner.mark(marked.model, latents(800, 1), key=OTHER, epochs=5, progress=False)
    images = predict(again.model, latents(50, 14))
    assert owner.test(images, key=OTHER).p_value < 1e-3
    assert owner.test(images, key=KEY).wrong_bits > 3  # one extractor reads one message: the later one


def test_a_training_that_goes_to_nan_is_stopped(owner: watermark.GeneratorWatermark) -> None:
    """stable_signature #35: the loss was NaN from the first steps on, and a decoder was saved all the same."""

    class Root(nn.Module):
        """√0 has an infinite slope."""

        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.zeros(()))

        def forward(self, inputs: Tensor) -> Tensor:
            return torch.zeros(len(inputs), 1, 28, 28) + self.level.sqrt()

    with refuses(ValueError, "the loss is nan", "lower the learning rate"):
        owner.mark(Root(), latents(8, 0), key=KEY, epochs=2, progress=False)


def test_a_mark_that_cannot_be_read_says_so(owner: watermark.GeneratorWatermark, blots: Blots) -> None:
    """stable_signature #26: under half of the bits were right after a training with too low a learning rate."""
    with pytest.warns(watermark.IllegibleMessageWarning, match=r"only \d+% of the bits .* more epochs"):
        made = owner.mark(blots, latents(64, 1), key=KEY, epochs=1, learning_rate=1e-7, progress=False)
    assert made.agreement < 0.9
    with pytest.warns(watermark.IllegibleMessageWarning, match="images from the encoder"):
        watermark.GeneratorWatermark(bits=BITS).fit(torch.rand(64, 1, 28, 28), epochs=1, progress=False)


# --- what is refused ---

BAD_IMAGES: dict[str, tuple[Any, type[Exception], str]] = {
    "bytes": (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError, "uint8"),
    "an array": (np.zeros((2, 1, 28, 28), dtype=np.float32), TypeError, "ndarray"),
    "another type": (torch.zeros(2, 1, 28, 28, dtype=torch.float64), TypeError, "float64"),
    "one without a batch": (torch.zeros(1, 28, 28), ValueError, "[1, 28, 28]"),
    "none": (torch.zeros(0, 1, 28, 28), ValueError, "non-empty"),
    "colour": (torch.zeros(2, 3, 28, 28), ValueError, "1 channels"),
    "tiny": (torch.zeros(2, 1, 28, 7), ValueError, "at least 8 pixels"),
    "255": (torch.full((2, 1, 28, 28), 255.0), ValueError, "[0, 1]"),
    "NaN": (torch.full((2, 1, 28, 28), math.nan), ValueError, "[0, 1]"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_pictures_that_cannot_be_read(owner: watermark.GeneratorWatermark, kind: str) -> None:
    images, error, words = BAD_IMAGES[kind]
    calls: tuple[Callable[[], Any], ...] = (
        lambda: owner.test(images, key=KEY),
        lambda: owner.read(images),
        lambda: owner.embed(images, key=KEY),
        lambda: owner.fit(images, epochs=1),
    )
    for call in calls:
        with refuses(error, "images", words):
            call()


BAD_KEYS = [("owner", TypeError, "str"), (hash((1, 2)), TypeError, "hash()"), (b"short", ValueError, "16 to 32")]


@pytest.mark.parametrize(("key", "error", "words"), BAD_KEYS)
def test_keys_that_are_none(
    owner: watermark.GeneratorWatermark, blots: Blots, key: Any, error: type[Exception], words: str
) -> None:
    images = torch.zeros(1, 1, 28, 28)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: owner.test(images, key=key),
        lambda: owner.embed(images, key=key),
        lambda: owner.message(key=key),
        lambda: owner.mark(blots, latents(4, 0), key=key),
    )
    for call in calls:
        with refuses(error, "key", words):
            call()


def test_networks_that_were_not_trained(blots: Blots) -> None:
    made, images = watermark.GeneratorWatermark(bits=BITS), torch.zeros(1, 1, 28, 28)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: made.test(images, key=KEY),
        lambda: made.read(images),
        lambda: made.embed(images, key=KEY),
        lambda: made.mark(blots, latents(4, 0), key=KEY),
    )
    for call in calls:
        with refuses(ValueError, "call fit"):
            call()


class Frozen(nn.Module):
    """A model whose pictures hang on nothing that can be trained."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.unused, self.picture = nn.Parameter(torch.zeros(1)), picture

    def forward(self, inputs: Tensor) -> Tensor:
        return self.picture.expand(len(inputs), *self.picture.shape)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Frozen(torch.zeros(1, 28, 28)), "cannot be trained"),
        (nn.Unflatten(1, (1, 2, 4)), "at least 8 pixels"),
        (Frozen(torch.full((1, 28, 28), -1.0)), "[0, 1]"),
        (Frozen(torch.zeros(28)), "[N, C, H, W]"),
        (nn.Sequential(nn.Sigmoid(), nn.Unflatten(1, (1, 2, 4)), nn.Upsample(scale_factor=8)), "no parameters"),
    ],
)
def test_generators_that_cannot_be_marked(owner: watermark.GeneratorWatermark, model: nn.Module, words: str) -> None:
    with refuses(ValueError, words):
        owner.mark(model, latents(4, 0).sigmoid(), key=KEY, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"weight": -1.0}, ValueError, "weight must be 0 or more"),
        ({"weight": math.nan}, ValueError, "weight must be 0 or more"),
        ({"weight": True}, TypeError, "weight must be a number"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"epochs": 1.5}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate"),
        ({"generator": 0}, TypeError, "generator"),
    ],
)
def test_numbers_that_cannot_be(
    owner: watermark.GeneratorWatermark, blots: Blots, wrong: dict[str, Any], error: type[Exception], words: str
) -> None:
    with refuses(error, words):
        owner.mark(blots, latents(4, 0), **{"key": KEY, "epochs": 1, "progress": False} | wrong)
    if "weight" not in wrong:
        with refuses(error, words):
            watermark.GeneratorWatermark(bits=8).fit(torch.zeros(4, 1, 28, 28), **{"progress": False} | wrong)


def test_inputs_that_are_none(owner: watermark.GeneratorWatermark, blots: Blots) -> None:
    with refuses(TypeError, "inputs must be a tensor", "ndarray"):
        owner.mark(blots, np.zeros((4, 8)), key=KEY)  # type: ignore[arg-type]
    with refuses(ValueError, "no images"):
        owner.mark(blots, latents(0, 0), key=KEY)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"bits": 7}, ValueError, "bits must be a whole number of 8 or more"),
        ({"bits": 16.0}, TypeError, "bits"),
        ({"channels": 0}, ValueError, "channels"),
        ({"strength": 0}, ValueError, "strength"),
        ({"strength": 1.5}, ValueError, "strength"),
        ({"strength": math.nan}, ValueError, "strength"),
        ({"strength": "much"}, TypeError, "strength"),
    ],
)
def test_watermarks_that_cannot_be(wrong: dict[str, Any], error: type[Exception], words: str) -> None:
    with refuses(error, words):
        watermark.GeneratorWatermark(**wrong)
