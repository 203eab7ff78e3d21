"""hint_loss and FactorTransfer against torchdistill's modules, with the same weights."""

import pytest
import torch
from torch import Tensor, nn

from tml_helpers import _torchvision
from tml_helpers.distillation import FactorTransfer, hint_loss

pytest.importorskip("torchdistill", reason="the extra [peers] is not installed")


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def torchdistill_factor_loss(student_factors: Tensor, teacher_factors: Tensor) -> Tensor:
    from torchdistill.losses.mid_level import FTLoss

    said, to_say = {"translator": {"output": student_factors}}, {"paraphraser": {"output": teacher_factors}}
    loss: Tensor = FTLoss()(said, to_say)
    return loss


def torchdistill_halves(net: FactorTransfer, rate: float) -> tuple[nn.Module, nn.Module]:
    """torchdistill's paraphraser and translator, with our weights: their layers have the same order."""
    _torchvision.load()  # which torchdistill imports
    from torchdistill.models.wrapper import Paraphraser4FactorTransfer, Translator4FactorTransfer

    paraphraser = Paraphraser4FactorTransfer(rate, net.teacher_channels, uses_bn=False).double()
    paraphraser.encoder.load_state_dict(net.paraphraser.state_dict())
    paraphraser.decoder.load_state_dict(net.decoder.state_dict())
    translator = Translator4FactorTransfer(net.student_channels, net.factor_channels, uses_bn=False).double()
    translator.load_state_dict(net.translator.state_dict())
    return paraphraser, translator


@pytest.mark.parametrize("shape", [(4, 7), (3, 5, 6, 2), (1, 2, 3)])
def test_a_hint_and_its_gradient_equal_torchdistills(shape: tuple[int, ...]) -> None:
    _torchvision.load()
    from torchdistill.losses.mid_level import SimpleLossWrapper

    said = {"is_from_teacher": False, "module_path": "regressor", "io": "output"}
    to_say = {"is_from_teacher": True, "module_path": "layer2", "io": "output"}
    criterion = SimpleLossWrapper(nn.MSELoss(), input=said, target=to_say)
    student, teacher = features(*shape).requires_grad_(), features(*shape, seed=1)
    theirs = criterion({"regressor": {"output": student}}, {"layer2": {"output": teacher}}, None)
    ours = hint_loss(student, teacher)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    slopes = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 4, 3), (2, 7, 7)])
def test_factors_loss_and_gradient_equal_torchdistills(rate: float, shape: tuple[int, int, int]) -> None:
    """torchdistill takes the mean over a factor's D numbers, where the paper, and ours, take the 1-norm."""
    net = FactorTransfer(6, 3, rate=rate).double()
    paraphraser, translator = torchdistill_halves(net, rate)
    images, *sides = shape
    student, teacher = features(images, 3, *sides).requires_grad_(), features(images, 6, *sides, seed=1)
    torch.testing.assert_close(net.reconstruction_loss(teacher), nn.MSELoss()(paraphraser(teacher), teacher))
    paraphraser.uses_decoder = False
    to_say, said = paraphraser(teacher), translator(student)
    theirs = torchdistill_factor_loss(said, to_say.detach()) * said[0].numel()
    ours = net(student, teacher)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    slopes = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-14)


def test_where_a_factor_is_0_torchdistill_has_nan_and_we_have_a_number() -> None:
    net = FactorTransfer(4, 3).double()
    for parameter in net.translator[4].parameters():  # the last convolution
        nn.init.zeros_(parameter)
    student, teacher = features(2, 3, 5, 5), features(2, 4, 5, 5, seed=1)
    assert torchdistill_factor_loss(net.translator(student), net.paraphraser(teacher)).isnan()
    assert net(student, teacher).isfinite()
