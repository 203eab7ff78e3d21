"""Hints and factor transfer: formulas on random features, laws, gradients, and what two networks must not notice."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers.common import recorded
from tml_helpers.distillation import FactorTransfer, hint_loss
from tml_helpers.models import SmallCNN
from tml_helpers.training import fit, seed_everything


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def transfer(teacher: int = 4, student: int = 3, seed: int = 0, **rate: float) -> FactorTransfer:
    seed_everything(seed)
    return FactorTransfer(teacher, student, **rate).double()


def last_convolution(half: nn.Sequential) -> nn.Conv2d:
    """The third and last of a paraphraser or a translator."""
    found = half[4]
    assert isinstance(found, nn.Conv2d)
    return found


# ------------------------------------------------------------------------------------------------------------- hints


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (2, 3, 4, 5), (3, 4, 2), (1, 2, 1, 1)])
def test_a_hint_is_the_mean_of_squares(shape: tuple[int, ...]) -> None:
    student, teacher = features(*shape), features(*shape, seed=1)
    numbers = zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True)
    by_hand = sum((s - t) ** 2 for s, t in numbers) / student.numel()
    assert hint_loss(student, teacher).item() == pytest.approx(by_hand, rel=1e-13)


def test_a_closed_form() -> None:
    """(1 + 4 + 9 + 16) / 4."""
    assert hint_loss(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2, 2)).item() == 7.5


def test_half_of_the_sum_of_an_image_is_fitnets_loss() -> None:
    """The docstring says what weight makes this the paper's loss: ½‖·‖² for each image, averaged over the batch."""
    student, teacher = features(6, 3, 2, 2), features(6, 3, 2, 2, seed=1)
    paper = torch.stack([0.5 * (s - t).norm() ** 2 for s, t in zip(student, teacher, strict=True)]).mean()
    torch.testing.assert_close(hint_loss(student, teacher) * 0.5 * (3 * 2 * 2), paper)


def test_the_regressor_works_on_the_student() -> None:
    """gan-compression #57: on the teacher, a regressor that maps everything to 0 would be perfect."""
    regressor = nn.Conv2d(2, 5, 1).double()
    student, teacher = features(3, 2, 4, 4), features(3, 5, 4, 4, seed=1)
    loss = hint_loss(student, teacher, regressor=regressor)
    torch.testing.assert_close(loss, (regressor(student) - teacher).pow(2).mean())
    with torch.no_grad():
        for parameter in regressor.parameters():
            parameter.zero_()
    torch.testing.assert_close(hint_loss(student, teacher, regressor=regressor), teacher.pow(2).mean())


def test_a_regressor_may_change_the_size_and_need_not_be_a_module() -> None:
    student, teacher = features(3, 2, 6, 6), features(3, 2, 3, 3, seed=1)
    pooled = hint_loss(student, teacher, regressor=nn.AvgPool2d(2))
    torch.testing.assert_close(pooled, (nn.AvgPool2d(2)(student) - teacher).pow(2).mean())
    wider = nn.Linear(4, 9).double()
    assert hint_loss(features(3, 4), features(3, 9), regressor=lambda h: wider(h)) > 0


def test_the_gradient_reaches_student_and_regressor_but_not_the_teacher() -> None:
    regressor = nn.Conv2d(2, 5, 1).double()
    student, teacher = features(3, 2, 4, 4).requires_grad_(), features(3, 5, 4, 4, seed=1).requires_grad_()
    hint_loss(student, teacher, regressor=regressor).backward()
    assert student.grad is not None
    assert student.grad.abs().min() > 0
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in regressor.parameters())
    assert teacher.grad is None


def test_the_hints_gradient_is_right() -> None:
    regressor = nn.Conv2d(2, 3, 1).double()
    student, teacher = features(2, 2, 3, 3).requires_grad_(), features(2, 3, 3, 3, seed=1)
    assert torch.autograd.gradcheck(lambda s: hint_loss(s, teacher, regressor=regressor), student)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**20), scale=st.floats(0.1, 10), shape=st.sampled_from([(1, 3), (4, 2, 3, 3), (2, 5, 2)]))
def test_laws_of_the_hint(seed: int, scale: float, shape: tuple[int, ...]) -> None:
    """Symmetric, 0 only where both say the same, quadratic in the difference, blind to the order of the images."""
    a, b = features(*shape, seed=seed), features(*shape, seed=seed + 1)
    loss = hint_loss(a, b)
    assert loss > 0
    assert hint_loss(a, a) == 0
    torch.testing.assert_close(hint_loss(b, a), loss)
    torch.testing.assert_close(hint_loss(scale * a, scale * b), scale**2 * loss)
    torch.testing.assert_close(hint_loss(a.flip(0), b.flip(0)), loss)


def test_dtypes_of_two_networks_may_differ() -> None:
    """float16 squares of more than 255 overflow; a student in bfloat16 learns from a teacher in float32."""
    student, teacher = features(4, 3, dtype=torch.float32), features(4, 3, seed=1, dtype=torch.float32)
    narrow = student.bfloat16().requires_grad_()
    loss = hint_loss(narrow, teacher)
    torch.testing.assert_close(loss, (narrow.float() - teacher).pow(2).mean())
    loss.backward()
    assert loss.dtype == torch.float32
    assert narrow.grad is not None
    assert narrow.grad.dtype == torch.bfloat16
    assert hint_loss(torch.full((2, 2), 400.0).half(), torch.zeros(2, 2).half()).item() == 160_000
    assert hint_loss(student, teacher.double()).dtype == torch.float64


def test_features_that_do_not_lie_in_order_in_memory() -> None:
    student = features(3, 4, 5, 6)
    teacher = features(3, 4, 5, 6, seed=1)
    last = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (student, teacher))
    torch.testing.assert_close(hint_loss(*last), hint_loss(student, teacher))
    torch.testing.assert_close(hint_loss(student.mT, teacher.mT), hint_loss(student, teacher))


# ---------------------------------------------------------------------------------------------------- factor transfer


def factor_loss_by_hand(net: FactorTransfer, student: Tensor, teacher: Tensor) -> float:
    """Image by image, number by number."""
    total = 0.0
    for s, t in zip(net.translator(student), net.paraphraser(teacher), strict=True):
        said, to_say = s.flatten().tolist(), t.flatten().tolist()
        lengths = [sum(x * x for x in factor) ** 0.5 for factor in (said, to_say)]
        total += sum(abs(x / lengths[0] - y / lengths[1]) for x, y in zip(said, to_say, strict=True))
    return total / len(student)


@pytest.mark.parametrize(("images", "height", "width"), [(1, 1, 1), (5, 3, 4), (2, 7, 7)])
def test_the_loss_is_the_papers_norm_of_directions(images: int, height: int, width: int) -> None:
    net = transfer()
    student, teacher = features(images, 3, height, width), features(images, 4, height, width, seed=1)
    assert net(student, teacher).item() == pytest.approx(factor_loss_by_hand(net, student, teacher), rel=1e-12)


def test_reconstruction_is_the_mean_of_squares_of_both_halves() -> None:
    net, teacher = transfer(), features(5, 4, 3, 6).abs()
    again = net.decoder(net.paraphraser(teacher))
    assert again.shape == teacher.shape
    torch.testing.assert_close(net.reconstruction_loss(teacher), (again - teacher).pow(2).mean())


@pytest.mark.parametrize(
    ("channels", "rate", "factors"), [(32, 0.5, 16), (10, 0.75, 8), (6, 0.75, 4), (4, 2, 8), (1, 1, 1)]
)
def test_rate_is_the_factors_channels_for_each_of_the_teachers(channels: int, rate: float, factors: int) -> None:
    """6·0.75 = 4.5 is rounded to the even 4, as Python and the authors' program round."""
    net = FactorTransfer(channels, 3, rate=rate)
    assert net.factor_channels == factors
    assert net.paraphraser(torch.rand(2, channels, 5, 5)).shape == (2, factors, 5, 5)
    assert net.translator(torch.rand(2, 3, 5, 5)).shape == (2, factors, 5, 5)


def test_only_student_and_translator_learn_from_the_loss() -> None:
    net = transfer()
    student, teacher = features(3, 3, 4, 4).requires_grad_(), features(3, 4, 4, 4, seed=1).requires_grad_()
    net(student, teacher).backward()
    assert student.grad is not None
    assert student.grad.abs().max() > 0
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.translator.parameters())
    assert teacher.grad is None
    assert all(p.grad is None for half in (net.paraphraser, net.decoder) for p in half.parameters())


def test_only_paraphraser_and_decoder_learn_from_the_reconstruction() -> None:
    net, teacher = transfer(), features(3, 4, 4, 4).requires_grad_()
    net.reconstruction_loss(teacher).backward()
    assert teacher.grad is None
    assert all(p.grad is None for p in net.translator.parameters())
    for half in (net.paraphraser, net.decoder):
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in half.parameters())


def test_the_factors_gradient_is_right() -> None:
    net, teacher = transfer(), features(2, 4, 3, 3, seed=1)
    assert torch.autograd.gradcheck(lambda s: net(s, teacher), features(2, 3, 3, 3).requires_grad_())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), scale=st.floats(0.01, 100), images=st.integers(1, 4))
def test_laws_of_the_factors(seed: int, scale: float, images: int) -> None:
    """Between 0 and 2√D, the mean over images, and only directions count: a factor's length does not matter."""
    net = transfer(seed=seed)
    student, teacher = features(images, 3, 3, 3, seed=seed), features(images, 4, 3, 3, seed=seed + 1)
    loss = net(student, teacher)
    assert 0 < loss <= 2 * (net.factor_channels * 9) ** 0.5
    parts = [net(student[[k]], teacher[[k]]) for k in range(images)]
    torch.testing.assert_close(torch.stack(parts).mean(), loss)
    with torch.no_grad():
        for half in (net.translator, net.paraphraser):
            for parameter in last_convolution(half).parameters():
                parameter.mul_(scale)
    torch.testing.assert_close(net(student, teacher), loss)


def test_a_student_that_says_the_teachers_factor_has_nothing_to_learn() -> None:
    net = transfer(4, 4)
    net.translator.load_state_dict(net.paraphraser.state_dict())
    teacher = features(3, 4, 5, 5)
    assert net(teacher, teacher).item() == pytest.approx(0, abs=1e-12)


def test_a_factor_that_is_0_everywhere_gives_no_nan() -> None:
    """trailmet #113: the loss became NaN. A dead student's factor has no direction; it is led to the teacher's."""
    net = transfer()
    with torch.no_grad():
        for parameter in net.translator.parameters():
            parameter.zero_()
    teacher = features(2, 4, 3, 3, seed=1)
    loss = net(features(2, 3, 3, 3), teacher)
    to_say = net.paraphraser(teacher).flatten(1)
    torch.testing.assert_close(loss, (to_say / to_say.norm(dim=1, keepdim=True)).abs().sum(dim=1).mean())
    loss.backward()
    bias = last_convolution(net.translator).bias
    assert bias is not None
    assert bias.grad is not None
    assert torch.isfinite(bias.grad).all()
    assert bias.grad.abs().max() > 0


def test_factors_do_not_depend_on_the_mode() -> None:
    """A paraphraser that was left in training mode would change with the student's batches, had it a batch norm."""
    net, student, teacher = transfer(), features(3, 3, 4, 4), features(3, 4, 4, 4, seed=1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert net.train()(student, teacher) == net.eval()(student, teacher)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_come_in_any_dtype(dtype: torch.dtype) -> None:
    net = transfer().float()
    student, teacher = features(3, 3, 4, 4).to(dtype).requires_grad_(), features(3, 4, 4, 4, seed=1).float()
    loss = net(student, teacher)
    torch.testing.assert_close(loss, net(student.float(), teacher))
    loss.backward()
    assert student.grad is not None
    assert student.grad.dtype == dtype
    assert net.reconstruction_loss(teacher.to(dtype)).dtype == torch.float32


def test_the_paraphraser_learns_by_fit_as_the_docstring_says() -> None:
    """Features that are plain, and whose second half repeats the first, so that half of the channels can say them."""
    seed_everything(0)
    half = torch.rand(64, 2, 1, 1).expand(64, 2, 4, 4)
    teacher = torch.cat([half, 2 * half], dim=1)
    net = FactorTransfer(4, 3)
    translator = [p.clone() for p in net.translator.parameters()]
    how: dict[str, Any] = {"epochs": 100, "learning_rate": 0.01, "batch_size": 16}
    losses = fit(net, TensorDataset(teacher), loss=FactorTransfer.reconstruction_loss, **how)
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(p, q) for p, q in zip(translator, net.translator.parameters(), strict=True))


# ------------------------------------------------------------------------------------------- networks from elsewhere


class Tiny(nn.Module):
    """A network that somebody else wrote: batch norm, dropout, in-place ReLU, five classes, images of 20×20."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(True))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Flatten(), nn.Linear(width * 100, 5))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.stem(images))
        return out


@pytest.mark.parametrize("kind", ["hint", "factors"])
def test_networks_from_elsewhere_learn_by_fit(kind: str) -> None:
    seed_everything(0)
    images = torch.rand(48, 3, 20, 20)
    teacher, student = Tiny(8).eval(), Tiny(2)
    with torch.no_grad():
        hints = teacher.stem(images)
    helper: nn.Module = nn.Conv2d(2, 8, 1) if kind == "hint" else FactorTransfer(8, 2)

    def loss(model: nn.Module, batch: Tensor, hint: Tensor) -> Tensor:
        with recorded(model, ["stem"]) as said:
            model(batch)
        return hint_loss(said["stem"], hint, regressor=helper) if kind == "hint" else helper(said["stem"], hint)

    optimizer = torch.optim.Adam([*student.parameters(), *helper.parameters()], lr=0.01)
    losses = fit(student, TensorDataset(images, hints), epochs=25, loss=loss, optimizer=optimizer, batch_size=16)
    assert losses[-1] < 0.8 * losses[0]


def test_the_books_student_and_teacher_fit_at_every_convolution() -> None:
    teacher, student, images = SmallCNN(), SmallCNN(width=4), torch.rand(2, 1, 28, 28)
    for layer, channels in (("layers.1", (16, 4)), ("layers.4", (32, 8))):
        with recorded(teacher, [layer]) as to_say, recorded(student, [layer]) as said:
            teacher(images), student(images)
        regressor = nn.Conv2d(channels[1], channels[0], 1)
        assert hint_loss(said[layer], to_say[layer], regressor=regressor) > 0
        assert FactorTransfer(*channels)(said[layer], to_say[layer]) > 0


# --------------------------------------------------------------------------------------------------------- bad input

LOSSES: dict[str, Callable[[Any, Any], Tensor]] = {"hint": hint_loss, "factors": FactorTransfer(4, 4)}
GOOD = torch.rand(3, 4, 5, 5)
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "a list": ([[1.0]], TypeError, "list"),
    "whole numbers": (torch.ones(3, 4, 5, 5, dtype=torch.int64), TypeError, "torch.int64"),
    "bool": (torch.ones(3, 4, 5, 5, dtype=torch.bool), TypeError, "torch.bool"),
    "nothing": (torch.rand(0, 4, 5, 5), ValueError, "[0, 4, 5, 5]"),
    "no pixel": (torch.rand(3, 4, 0, 5), ValueError, "[3, 4, 0, 5]"),
    "one number": (torch.tensor(1.0), ValueError, "[]"),
    "NaN": (GOOD.index_fill(3, torch.tensor(1), torch.nan), ValueError, "finite"),
    "infinite": (GOOD.index_fill(3, torch.tensor(1), torch.inf), ValueError, "finite"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_are_no_features(loss: str, kind: str) -> None:
    wrong, error, words = BAD[kind]
    with refuses(error, "student_features", words):
        LOSSES[loss](wrong, GOOD)
    with refuses(error, "teacher_features", words):
        LOSSES[loss](GOOD, wrong)
    if loss == "factors":
        with refuses(error, "teacher_features", words):
            FactorTransfer(4, 4).reconstruction_loss(wrong)


@pytest.mark.parametrize("loss", LOSSES)
def test_other_images(loss: str) -> None:
    with refuses(ValueError, "same images", "3 and 2"):
        LOSSES[loss](GOOD, GOOD[:2])
    with refuses(ValueError, "same images", "1 and 3"):  # which would broadcast
        LOSSES[loss](GOOD[:1], GOOD)


@pytest.mark.parametrize("loss", LOSSES)
def test_sizes_that_differ(loss: str) -> None:
    """structure_knowledge_distillation #48: a teacher's 65×65 and a student's 64×64."""
    with refuses(ValueError, "64×64", "65×65"):
        LOSSES[loss](torch.rand(1, 4, 64, 64), torch.rand(1, 4, 65, 65))


def test_another_device() -> None:
    elsewhere = GOOD.to("meta")
    with refuses(ValueError, "teacher_features must be on cpu", "meta"):
        hint_loss(GOOD, elsewhere)
    with refuses(ValueError, "teacher_features must be on cpu", "meta"):
        LOSSES["factors"](GOOD, elsewhere)
    with refuses(ValueError, "teacher_features must be on cpu, as the module is, got meta"):
        FactorTransfer(4, 4).reconstruction_loss(elsewhere)
    with refuses(ValueError, "student_features must be on meta, as the module is, got cpu"):
        FactorTransfer(4, 4).to("meta")(GOOD, GOOD)


def test_shapes_that_would_broadcast_are_refused() -> None:
    """pytorch #16045: [N, 1] beside [N, D], or [N] beside [N, 1], gave a mean over pairs, and a warning at most."""
    with refuses(ValueError, "[4, 3]", "[4, 1]"):
        hint_loss(torch.rand(4, 1), torch.rand(4, 3))
    with refuses(ValueError, "[4, 3]", "[4, 3, 1, 1]"):
        hint_loss(torch.rand(4, 3, 1, 1), torch.rand(4, 3))
    with refuses(ValueError, "[3, 1, 5, 5]"):
        hint_loss(torch.rand(3, 1, 5, 5), GOOD)


def test_the_sentence_names_the_regressor_that_is_missing() -> None:
    with refuses(ValueError, "student_features", "channels differ", "nn.Conv2d(2, 4, 1)"):
        hint_loss(torch.rand(3, 2, 5, 5), GOOD)
    with refuses(ValueError, "what the regressor makes", "[3, 3, 5, 5]"):
        hint_loss(torch.rand(3, 2, 5, 5), GOOD, regressor=nn.Conv2d(2, 3, 1))
    with refuses(ValueError, "what the regressor makes", "3×3", "5×5"):
        hint_loss(torch.rand(3, 2, 5, 5), GOOD, regressor=nn.Conv2d(2, 4, 3))


def test_channels_that_the_module_was_not_made_for() -> None:
    """yolo-distiller #3: the teacher's features went through a layer that was made for the student's channels."""
    net = FactorTransfer(4, 2)
    with refuses(ValueError, "student_features must be [N, 2, H, W]", "[3, 4, 5, 5]"):
        net(GOOD, GOOD)
    with refuses(ValueError, "teacher_features must be [N, 4, H, W]", "[3, 2, 5, 5]"):
        net(GOOD[:, :2], GOOD[:, :2])
    with refuses(ValueError, "teacher_features must be [N, 4, H, W]", "[3, 4]"):
        net.reconstruction_loss(torch.rand(3, 4))


RATES: dict[str, tuple[Any, type[Exception], str]] = {
    "bool": (True, TypeError, "True"),
    "a word": ("half", TypeError, "'half'"),
    "none": (None, TypeError, "None"),
    "zero": (0, ValueError, "positive"),
    "negative": (-0.5, ValueError, "-0.5"),
    "NaN": (float("nan"), ValueError, "nan"),
    "infinite": (float("inf"), ValueError, "inf"),
    "too small": (0.1, ValueError, "at least one channel"),
}


@pytest.mark.parametrize("kind", RATES)
def test_what_is_no_rate(kind: str) -> None:
    wrong, error, words = RATES[kind]
    with refuses(error, "rate", words):
        FactorTransfer(4, 4, rate=wrong)


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_what_are_no_channels(wrong: Any, error: type[Exception]) -> None:
    with refuses(error, "teacher_channels"):
        FactorTransfer(wrong, 4)
    with refuses(error, "student_channels"):
        FactorTransfer(4, wrong)


def test_what_a_regressor_makes_must_be_features() -> None:
    wrong: Any
    for wrong in (lambda h: (h, h), lambda h: None, lambda h: h.int()):
        with refuses(TypeError, "what the regressor makes of student_features", "floating-point"):
            hint_loss(GOOD, GOOD, regressor=wrong)


def test_values_beyond_the_modules_type() -> None:
    net, wide = FactorTransfer(4, 4), GOOD.double() * 1e200
    with refuses(ValueError, "student_features must be finite in torch.float32"):
        net(wide, GOOD)
    with refuses(ValueError, "teacher_features must be finite in torch.float32"):
        net(GOOD, wide)
    with refuses(ValueError, "teacher_features must be finite in torch.float32"):
        net.reconstruction_loss(wide)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_factors_of_any_size_have_a_direction(scale: float) -> None:
    """Their squares are 0, or infinite, in float32."""
    net, student, teacher = FactorTransfer(4, 4), GOOD.clone().requires_grad_(), GOOD.flip(3)
    with torch.no_grad():
        for half in (net.paraphraser, net.translator):
            for parameter in half.parameters():
                if parameter.ndim == 1:
                    parameter.zero_()  # without biases, directions don't depend on the scale
    expected = net(student, teacher)
    (slope,) = torch.autograd.grad(expected, student)
    large = (GOOD * scale).requires_grad_()
    found = net(large, teacher * scale)
    torch.testing.assert_close(found, expected)
    (found_slope,) = torch.autograd.grad(found, large)
    torch.testing.assert_close(found_slope * scale, slope)
