"""Saliency, integrated gradients, occlusion, CAM, Grad-CAM, rollout: closed forms, laws, a model left as it was."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from bad_input import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers.common import GradientMaskingWarning
from tml_helpers.explain.attention_rollout import attention_rollout
from tml_helpers.explain.cam import cam
from tml_helpers.explain.grad_cam import grad_cam
from tml_helpers.explain.integrated_gradients import integrated_gradients
from tml_helpers.explain.occlusion import occlusion
from tml_helpers.explain.saliency import saliency
from tml_helpers.explain.smooth_grad import smooth_grad

Method = Callable[..., Tensor]


def small_smooth_grad(model: nn.Module, images: Tensor, targets: Tensor, **settings: Any) -> Tensor:
    return smooth_grad(model, images, targets, samples=3, generator=torch.Generator().manual_seed(0), **settings)


def small_occlusion(model: nn.Module, images: Tensor, targets: Tensor, **settings: Any) -> Tensor:
    return occlusion(model, images, targets, window=(4, 3), stride=2, **settings)


PIXELS: dict[str, Method] = {
    "saliency": saliency,
    "smooth_grad": small_smooth_grad,
    "integrated_gradients": integrated_gradients,
}
MAPS: dict[str, Method] = {"occlusion": small_occlusion, "cam": cam, "grad_cam": grad_cam}
every_method = pytest.mark.parametrize("method", [*PIXELS.values(), *MAPS.values()], ids=[*PIXELS, *MAPS])


def pooled_net(seed: int = 0, *, channels: int = 3, inplace: bool = True) -> nn.Sequential:
    """Convolutions, the mean over all positions, one linear layer; float64, with dropout and batch norm."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8, 4),
    )
    return net.double().eval()


class Additive(nn.Module):
    """logits = Σ over pixels and channels of W · x, plus b: a model whose explanation is W itself."""

    def __init__(self, seed: int, shape: tuple[int, ...], classes: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, *shape, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(classes, generator=generator, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", images, self.weight) + self.bias


def draw(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def batch() -> tuple[nn.Module, Tensor, Tensor]:
    return pooled_net(), draw(0, 3, 3, 14, 10), torch.tensor([0, 3, 1])


# --- what holds for all ---


@every_method
def test_shapes_and_a_batch_of_one(method, batch):
    model, images, targets = batch
    found = method(model, images, targets)
    assert found.shape == (images.shape if method in PIXELS.values() else (3, 14, 10))
    assert found.dtype == images.dtype
    assert not found.requires_grad
    if method is not small_smooth_grad:  # its noise depends on the batch
        torch.testing.assert_close(method(model, images[1:2], targets[1:2]), found[1:2])


@every_method
def test_grey_images_are_images(method):
    """A network that reads the mean of three equal channels explains their sum."""
    grey, colour = pooled_net(channels=1), pooled_net(channels=3)
    with torch.no_grad():
        colour[0].weight.copy_(grey[0].weight.expand(-1, 3, -1, -1) / 3)
        for ours, theirs in zip(colour[1:].parameters(), grey[1:].parameters(), strict=True):
            ours.copy_(theirs)
        colour[0].bias.copy_(grey[0].bias)
    images, targets = draw(3, 2, 1, 14, 10), torch.tensor([0, 3])
    found = method(grey, images, targets)
    if method is small_smooth_grad:  # whose noise is another one in each channel
        assert found.shape == images.shape
        return
    of_three = method(colour, images.expand(-1, 3, -1, -1), targets)
    torch.testing.assert_close(found, of_three if found.ndim == 3 else of_three.sum(dim=1, keepdim=True))


@every_method
def test_the_model_comes_back_as_it_was(method, batch):
    model, images, targets = batch
    model.train()
    model[1].eval()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy = images.clone()
    method(model, images, targets)
    assert [m.training for m in model] == [i != 1 for i in range(len(model))]
    assert all(bool((parameter.grad == 7).all()) for parameter in model.parameters())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(images, copy)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


@every_method
def test_frozen_parameters_and_no_grad_change_nothing(method, batch):
    model, images, targets = batch
    before = method(model, images, targets)
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(method(model, images, targets), before)
    assert torch.equal(method(model, images.requires_grad_(), targets), before)
    assert images.grad is None


@every_method
def test_strides_do_not_matter(method, batch):
    model, images, targets = batch
    turned = images.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    torch.testing.assert_close(method(model, turned, targets), method(model, images, targets))
    wide = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(method(model, wide, targets), method(model, wide.contiguous(), targets))


@every_method
def test_a_model_that_works_in_place_leaves_the_images_alone(method):
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = pooled_net(1)

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images.sub_(0.5).div_(0.25))

    images, targets = draw(1, 2, 3, 8, 8), torch.tensor([1, 2])
    copy = images.clone()
    plain = nn.Sequential(Shift(), pooled_net(1))
    torch.testing.assert_close(method(InPlace().eval(), images, targets), method(plain, copy, targets))
    assert torch.equal(images, copy)


class Shift(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5) / 0.25


@every_method
@pytest.mark.parametrize("seed", range(3))
def test_mixed_precision_rounds_and_no_more(method, seed):
    """A network without kinks, whose gradient a rounding of 2⁻⁸ moves as little as its logits."""
    model, images = pooled_net(seed).float(), draw(seed, 2, 3, 8, 8).float()
    model[2], model[3], model[5] = nn.Softplus(), nn.AvgPool2d(2), nn.Softplus()
    targets = torch.tensor([0, 1])
    exact = method(model, images, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = method(model, images, targets)
    assert rough.dtype == torch.float32
    if method is small_occlusion:  # a difference of two logits, both of which are rounded
        assert float((rough - exact).abs().max()) < 2**-6 * float(model(images).detach().abs().max())
    else:
        assert float((rough - exact).norm()) < 2**-5 * float(exact.norm())


@every_method
def test_hooks_are_gone_after_an_error(method, batch):
    model, images, _ = batch
    model.train()
    with refuses(ValueError, "targets", "0…3", "got 4"):
        method(model, images, torch.tensor([0, 4, 1]))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model.training


@every_method
def test_what_cannot_be_explained_is_refused(method, batch):
    model, images, targets = batch
    with refuses(TypeError, "int64"):
        method(model, images, targets.float())
    with refuses(ValueError, "[0, 1]", "division"):
        method(model, images * 255, targets)
    with refuses(ValueError, "[N, C, H, W]"):
        method(model, images[0], targets)
    with refuses(ValueError, "[N, C, H, W]"):
        method(model, images[:0], targets[:0])
    with refuses(ValueError, "[0, 1]"):
        method(model, torch.full_like(images, torch.nan), targets)
    with refuses(ValueError, "0 or more", "-1"):
        method(model, images, targets - 1)
    with refuses(ValueError, "logits [N, K]", ", 8, 7, 5]"):
        method(nn.Sequential(*model[:6], *(nn.Linear(5, 5).double(),)), images, targets)
    with refuses(ValueError, "not finite"):
        broken = pooled_net()
        nn.init.constant_(broken[-1].bias, torch.nan)
        method(broken, images, targets)


# --- saliency, SmoothGrad ---


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), c=st.integers(1, 4), h=st.integers(1, 6), w=st.integers(1, 6))
def test_the_gradient_of_an_additive_model_is_its_weight(seed, c, h, w):
    model, images, targets = Additive(seed, (c, h, w)), draw(seed, 2, c, h, w), torch.tensor([seed % 3, 1])
    torch.testing.assert_close(saliency(model, images, targets, absolute=False), model.weight[targets].detach())
    torch.testing.assert_close(saliency(model, images, targets), model.weight[targets].detach().abs())
    smooth = smooth_grad(model, images, targets, samples=3, absolute=False)
    torch.testing.assert_close(smooth, model.weight[targets].detach())


def test_a_logit_that_does_not_depend_on_the_image_has_no_gradient(batch):
    _, images, targets = batch

    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.ones(len(images), 4, dtype=images.dtype)

    for method in PIXELS.values():
        with pytest.warns(GradientMaskingWarning, match="zero for 3 of 3 images"):
            assert not method(Constant(), images, targets).any()


def test_a_gradient_that_is_no_number_is_refused():
    class Root(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (0 * images).sum(dim=(2, 3)).sqrt()

    with refuses(ValueError, "gradient is not a number"):
        saliency(Root(), draw(0, 2, 2, 3, 3), torch.tensor([0, 1]))


def test_smooth_grad_is_the_gradient_of_the_blurred_logit():
    class Square(nn.Module):
        """Σ x³: gradient 3x², whose mean under N(x, σ²) is 3 (x² + σ²)."""

        def forward(self, images: Tensor) -> Tensor:
            return images.pow(3).sum(dim=(1, 2, 3))[:, None].expand(-1, 2)

    images, targets = draw(0, 2, 1, 3, 3), torch.tensor([0, 1])
    generator = torch.Generator().manual_seed(0)
    found = smooth_grad(Square(), images, targets, samples=20_000, sigma=0.5, batch_size=4096, generator=generator)
    torch.testing.assert_close(found, 3 * (images.square() + 0.25), rtol=0.05, atol=0.03)


def test_smooth_grad_averages_with_signs_and_takes_the_absolute_value_last():
    class Bump(nn.Module):
        """−x²/2 around ½: gradients of both signs cancel where |x| would not."""

        def forward(self, images: Tensor) -> Tensor:
            return -(images - 0.5).square().sum(dim=(1, 2, 3))[:, None]

    images, targets = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64), torch.tensor([0])
    found = smooth_grad(Bump(), images, targets, samples=4000, sigma=0.3, generator=torch.Generator().manual_seed(1))
    assert float(found.max()) < 0.05  # the mean of |gradient| would be 0.48


def test_without_noise_smooth_grad_is_saliency(batch):
    model, images, targets = batch
    torch.testing.assert_close(
        smooth_grad(model, images, targets, sigma=0.0, samples=4), saliency(model, images, targets)
    )


def test_the_seed_decides_smooth_grad(batch):
    model, images, targets = batch
    one, same, other = (
        smooth_grad(model, images, targets, samples=5, batch_size=4, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    with refuses(ValueError, "sigma"):
        smooth_grad(model, images, targets, sigma=-0.1)
    with refuses(ValueError, "sigma"):
        smooth_grad(model, images, targets, sigma=float("nan"))
    with refuses(ValueError, "samples", "1 or more"):
        smooth_grad(model, images, targets, samples=0)


# --- integrated gradients ---


class Cubic(nn.Module):
    """Two logits: products of three pixels, and a square: polynomials of degree 3."""

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        return torch.stack([x[:, 0] * x[:, 1] * x[:, 2], x[:, 3].square() + 2 * x[:, 0]], dim=1)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), steps=st.integers(2, 20), batch_size=st.integers(1, 9))
def test_integrated_gradients_are_complete(seed, steps, batch_size):
    """Gauss and Legendre's two points are exact for the gradient of a cubic: degree 2."""
    images, start, targets = draw(seed, 3, 1, 2, 2), draw(seed + 1, 1, 2, 2), torch.tensor([0, 1, 0])
    model = Cubic()
    found = integrated_gradients(model, images, targets, baseline=start, steps=steps, batch_size=batch_size)
    gain = model(images) - model(start.expand_as(images))
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), gain.gather(1, targets[:, None]).squeeze(1))


def test_integrated_gradients_in_closed_form():
    images = torch.tensor([0.5, 0.25, 1.0, 0.8], dtype=torch.float64).view(1, 1, 2, 2)
    product = integrated_gradients(Cubic(), images, torch.tensor([0]))  # from 0, x₀x₁x₂ is shared in thirds
    torch.testing.assert_close(product.flatten(), torch.tensor([1, 1, 1, 0], dtype=torch.float64) * 0.125 / 3)
    square = integrated_gradients(Cubic(), images, torch.tensor([1]))
    torch.testing.assert_close(square.flatten(), torch.tensor([1.0, 0, 0, 0.64], dtype=torch.float64))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_a_linear_model_shares_out_its_logit(seed):
    model, images, targets = Additive(seed, (2, 3, 4)), draw(seed, 2, 2, 3, 4), torch.tensor([2, 0])
    found = integrated_gradients(model, images, targets, baseline=0.3, steps=1)
    torch.testing.assert_close(found, (images - 0.3) * model.weight[targets].detach())


def test_a_relu_network_is_complete_to_a_percent(batch):
    model, images, targets = batch
    found = integrated_gradients(model, images, targets, steps=200).sum(dim=(1, 2, 3))
    gain = (model(images) - model(torch.zeros_like(images))).gather(1, targets[:, None]).squeeze(1).detach()
    assert float((found - gain).abs().max()) < 0.01 * float(gain.abs().max())


def test_an_image_equal_to_its_baseline_has_nothing_to_explain(batch):
    model, images, targets = batch
    assert not integrated_gradients(model, images, targets, baseline=images).any()
    with refuses(ValueError, "baseline", "broadcast"):
        integrated_gradients(model, images, targets, baseline=images[:, :, :4])
    with refuses(ValueError, "baseline", "finite"):
        integrated_gradients(model, images, targets, baseline=float("nan"))
    with refuses(ValueError, "steps", "1 or more"):
        integrated_gradients(model, images, targets, steps=0)


# --- occlusion ---


def occlusion_by_hand(
    model: nn.Module, image: Tensor, target: int, window: tuple[int, int], stride: tuple[int, int], baseline: Tensor
) -> Tensor:
    """The definition, a window at a time."""
    height, width = image.shape[1:]
    total, times = torch.zeros(height, width).double(), torch.zeros(height, width).double()
    whole = model(image[None])[0, target]
    tops = range(0, height - window[0] + stride[0], stride[0])
    lefts = range(0, width - window[1] + stride[1], stride[1])
    for top in tops:
        for left in lefts:
            place = (slice(top, top + window[0]), slice(left, left + window[1]))
            covered = image.clone()
            covered[:, place[0], place[1]] = baseline[:, place[0], place[1]]
            total[place] += (whole - model(covered[None])[0, target]).detach()
            times[place] += 1
    return total / times


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 10**6), batch_size=st.integers(1, 20))
def test_occlusion_is_its_definition(data, seed, batch_size):
    height, width = data.draw(st.integers(2, 9)), data.draw(st.integers(2, 9))
    window = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    stride = data.draw(st.integers(1, window[0])), data.draw(st.integers(1, window[1]))
    model = nn.Sequential(nn.Conv2d(2, 3, 2, padding=1), nn.Tanh(), nn.AdaptiveMaxPool2d(1), nn.Flatten()).double()
    images, start, targets = draw(seed, 2, 2, height, width), draw(seed + 1, 2, height, width), torch.tensor([0, 2])
    how = {"window": window, "stride": stride, "baseline": start, "batch_size": batch_size}
    found = occlusion(model, images, targets, **how)
    for image, target, ours in zip(images, targets, found, strict=True):
        torch.testing.assert_close(ours, occlusion_by_hand(model, image, int(target), window, stride, start))


def test_occlusion_of_an_additive_model_is_the_mean_of_its_windows():
    model, images, targets = Additive(3, (2, 5, 7)), draw(3, 2, 2, 5, 7), torch.tensor([1, 2])
    parts = (model.weight[targets] * (images - 0.4)).sum(dim=1).detach()  # what each pixel adds over the baseline
    pixel = occlusion(model, images, targets, window=1, baseline=0.4)
    torch.testing.assert_close(pixel, parts)
    sums = F.avg_pool2d(parts[:, None], (2, 3), stride=1, divisor_override=1)
    spread = F.conv_transpose2d(sums, torch.ones(1, 1, 2, 3).double())
    times = F.conv_transpose2d(torch.ones_like(sums), torch.ones(1, 1, 2, 3).double())
    overlapping = occlusion(model, images, targets, window=(2, 3), stride=1, baseline=0.4)
    torch.testing.assert_close(overlapping, (spread / times).squeeze(1))


def test_pixels_that_the_model_does_not_read_are_worth_nothing():
    model, images, targets = Additive(4, (3, 6, 6)), draw(4, 2, 3, 6, 6), torch.tensor([0, 1])
    with torch.no_grad():
        model.weight[:, :, :, 3:] = 0
    assert not saliency(model, images, targets)[..., 3:].any()
    assert not integrated_gradients(model, images, targets)[..., 3:].any()
    assert float(occlusion(model, images, targets, window=3)[..., 3:].abs().max()) < 1e-12
    assert occlusion(model, images, targets, window=3)[..., :3].all()


def test_windows_that_do_not_fit_are_refused(batch):
    model, images, targets = batch
    assert occlusion(model, images, targets, window=(14, 10)).shape == (3, 14, 10)
    assert occlusion(model, images, targets, window=(14, 5), stride=(99, 5)).shape == (3, 14, 10)
    with refuses(ValueError, "window", "fit", "11"):
        occlusion(model, images, targets, window=(4, 11))
    with refuses(ValueError, "stride", "left out"):
        occlusion(model, images, targets, window=3, stride=4)
    with refuses(ValueError, "window", "1 or more"):
        occlusion(model, images, targets, window=0)
    with refuses(ValueError, "stride", "1 or more"):
        occlusion(model, images, targets, window=2, stride=0)
    with refuses(ValueError, "vertical, horizontal"):
        occlusion(model, images, targets, window=(3, 2, 2))


# --- CAM and Grad-CAM ---


@pytest.mark.parametrize("inplace", [True, False])
def test_the_mean_of_cam_and_the_bias_are_the_logit(inplace):
    model, targets = pooled_net(inplace=inplace), torch.tensor([0, 3, 1])
    images = draw(0, 3, 3, 16, 12)
    small = F.interpolate(cam(model, images, targets)[:, None], scale_factor=0.5, mode="area").mean(dim=(1, 2, 3))
    features = model[:6](images)
    exact = torch.einsum("nk,nkhw->nhw", model[-1].weight[targets], features).detach()
    logits = (model(images).gather(1, targets[:, None]).squeeze(1) - model[-1].bias[targets]).detach()
    torch.testing.assert_close(exact.mean(dim=(1, 2)), logits)
    enlarged = F.interpolate(exact[:, None], (16, 12), mode="bilinear", align_corners=False).squeeze(1)
    torch.testing.assert_close(cam(model, images, targets), enlarged)
    assert float((small - logits).abs().max()) < 0.1 * float(logits.abs().max())  # enlarging moves the mean a little


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), channels=st.integers(1, 5), h=st.integers(4, 12), w=st.integers(4, 12))
def test_grad_cam_is_cam_where_both_are_defined(seed, channels, h, w):
    """∂z/∂A = w / (positions): Grad-CAM on the last features is the positive part of CAM, divided by that number."""
    model, images = pooled_net(seed, channels=channels, inplace=False), draw(seed, 2, channels, h, w)
    targets = torch.tensor([seed % 4, 2])
    positions = (h // 2) * (w // 2)
    classic = torch.einsum("nk,nkhw->nhw", model[-1].weight[targets], model[:6](images)).relu() / positions
    enlarged = F.interpolate(classic[:, None], (h, w), mode="bilinear", align_corners=False).squeeze(1)
    torch.testing.assert_close(grad_cam(model, images, targets, layer=model[5]), enlarged.detach())


def test_grad_cam_takes_the_last_convolution(batch):
    _, images, targets = batch
    for inplace in (True, False):  # a ReLU in place must not reach into the features
        model = pooled_net(inplace=inplace)
        features = model[:5](images).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model[5:](features.clone()).gather(1, targets[:, None]).sum(), features)
        by_hand = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).relu()
        by_hand = F.interpolate(by_hand, (14, 10), mode="bilinear", align_corners=False).squeeze(1).detach()
        torch.testing.assert_close(grad_cam(model, images, targets), by_hand)
        torch.testing.assert_close(grad_cam(model, images, targets, layer=model[4]), by_hand)
        torch.testing.assert_close(grad_cam(model, images, targets, layer="4"), by_hand)


def test_grad_cam_says_what_it_needs(batch):
    model, images, targets = batch
    flat = nn.Sequential(nn.Flatten(), nn.Linear(420, 4)).double()
    with refuses(ValueError, "no convolution", "saliency"):
        grad_cam(flat, images, targets)
    with refuses(ValueError, "no layer", "Conv2d", "0, 1, 2"):
        grad_cam(model, images, targets, layer=pooled_net()[4])
    with refuses(ValueError, "no layer 'head'"):
        grad_cam(model, images, targets, layer="head")
    with refuses(ValueError, "[N, K, h, w]"):
        grad_cam(model, images, targets, layer=model[-1])
    assert not model[-1]._forward_hooks

    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.unused = pooled_net(), nn.Conv2d(3, 3, 1).double()

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images)

    with refuses(ValueError, "no part"):
        grad_cam(Aside(), images, targets)


def test_cam_says_what_it_needs(batch):
    _, images, targets = batch
    with refuses(ValueError, "mean", "grad_cam"):
        cam(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(192, 4)).double(), images, targets)
    with refuses(ValueError, "no linear layer", "grad_cam"):
        cam(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double(), images, targets)
    with refuses(ValueError, "mean", "grad_cam"):
        maximum = pooled_net()
        maximum[6] = nn.AdaptiveMaxPool2d(1)
        cam(maximum, images, targets)
    with refuses(ValueError, "last linear layer", "grad_cam"):
        cam(nn.Sequential(pooled_net(), nn.Tanh()), images, targets)
    with refuses(ValueError, "mean", "grad_cam"):
        cam(nn.Sequential(nn.Flatten(), nn.Linear(420, 4)).double(), images, targets)


def test_cam_finds_a_mean_that_is_written_as_a_function(batch):
    _, images, targets = batch

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = pooled_net()

        def forward(self, images: Tensor) -> Tensor:
            features = self.net[:6](images)
            return self.net[-1](features.mean(dim=(2, 3)))

    torch.testing.assert_close(cam(Functional().eval(), images, targets), cam(pooled_net(), images, targets))


def test_of_maps_with_one_mean_cam_takes_the_largest(batch):
    """A pool before the mean leaves the mean as it is; the map with more positions says more."""
    model, images, targets = batch
    pooled = nn.Sequential(*model[:6], nn.AvgPool2d((7, 1)), *model[6:])
    torch.testing.assert_close(cam(pooled, images, targets), cam(model, images, targets))


# --- attention rollout ---


def random_attention(seed: int, layers: int, tokens: int, heads: int = 3, images: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(
        torch.randn(layers, images, heads, tokens, tokens, generator=generator, dtype=torch.float64).softmax(dim=-1)
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), layers=st.integers(1, 5), tokens=st.integers(1, 8))
def test_rows_of_a_rollout_add_up_to_one(seed, layers, tokens):
    rollout = attention_rollout(random_attention(seed, layers, tokens))
    assert rollout.shape == (2, tokens, tokens)
    assert float(rollout.min()) >= 0
    torch.testing.assert_close(rollout.sum(dim=2), torch.ones(2, tokens, dtype=torch.float64))


def test_rows_that_half_precision_has_rounded_add_up_to_one_again():
    rough = [attention.bfloat16().double() for attention in random_attention(1, 6, 7)]
    assert float((rough[0].sum(dim=3) - 1).abs().max()) > 1e-4
    rollout = attention_rollout(rough)
    torch.testing.assert_close(rollout.sum(dim=2), torch.ones(2, 7, dtype=torch.float64))


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_the_rollout_of_uniform_attention(layers):
    """U·U = U, so (½U + ½I)ᴸ = (1 − 2⁻ᴸ) U + 2⁻ᴸ I."""
    uniform = torch.full((1, 2, 4, 4), 0.25, dtype=torch.float64)
    left = 0.5**layers
    expected = (1 - left) * uniform[:, 0] + left * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(attention_rollout([uniform] * layers), expected)


def test_the_last_layer_stands_on_the_left():
    first, last = random_attention(5, 2, 3)
    identity = torch.eye(3, dtype=torch.float64)
    mixed = [0.5 * a.mean(dim=1) + 0.5 * identity for a in (first, last)]
    torch.testing.assert_close(attention_rollout([first, last]), mixed[1] @ mixed[0])
    assert not torch.allclose(attention_rollout([last, first]), mixed[1] @ mixed[0])


def test_what_is_no_attention_is_refused():
    good = random_attention(0, 2, 3)
    with refuses(ValueError, "got none"):
        attention_rollout([])
    with refuses(ValueError, "softmax", "layer 1"):
        attention_rollout([good[0], good[1].log()])
    with refuses(ValueError, "softmax"):
        attention_rollout([good[0] * torch.nan])
    with refuses(ValueError, "[N, heads, T, T]"):
        attention_rollout([good[0][0]])
    with refuses(ValueError, "same images and tokens"):
        attention_rollout([good[0], random_attention(0, 1, 4)[0]])
    with refuses(TypeError, "floating-point"):
        attention_rollout([good[0].long()])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_method
def test_a_gpu_gives_the_same(method, batch):
    model, images, targets = batch
    if method is small_smooth_grad:
        pytest.skip("its generator lives on the CPU here")
    here = method(model, images, targets)
    there = method(model.cuda(), images.cuda(), targets.cuda())
    torch.testing.assert_close(there.cpu(), here)
