"""Saliency, integrated gradients, occlusion and Grad-CAM equal Captum's and pytorch-grad-cam's to 1e-4."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tml_helpers import _torchvision
from tml_helpers.data import photos
from tml_helpers.explain.grad_cam import grad_cam
from tml_helpers.explain.integrated_gradients import integrated_gradients
from tml_helpers.explain.occlusion import occlusion
from tml_helpers.explain.saliency import saliency
from tml_helpers.explain.smooth_grad import smooth_grad
from tml_helpers.models import imagenet_classifier
from tml_helpers.training import predict

_torchvision.load()  # which pytorch-grad-cam imports
captum = pytest.importorskip("captum.attr", reason="the extra [peers] is not installed")
pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam", reason="the extra [peers] is not installed")

Case = tuple[nn.Module, Tensor, Tensor]


def small_net(seed: int, *, channels: int, size: tuple[int, int], inplace: bool = False) -> Case:
    """A random network with batch norm, and five images of any shape."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3),
        nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 6),
    ).eval()
    return model, torch.rand(5, channels, *size), torch.randint(6, (5,))


CASES = {
    "grey": lambda: small_net(0, channels=1, size=(16, 16)),
    "wide": lambda: small_net(1, channels=3, size=(13, 22)),
    "tall, five channels, in place": lambda: small_net(2, channels=5, size=(27, 12), inplace=True),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


@pytest.fixture(scope="module")
def photograph() -> Case:
    """The motorcycle, and two classes of which the network thinks."""
    model, image = imagenet_classifier(), photos().images[4:5]
    targets = predict(model, image).topk(2).indices[0]
    return model, image.expand(2, -1, -1, -1).contiguous(), targets


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    """Equal to 1e-4 of the largest value."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) < 1e-4 * float(theirs.abs().max())


def captum_map(model: nn.Module, layer: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    small = captum.LayerGradCam(model, layer).attribute(images, targets, relu_attributions=True)
    enlarged: Tensor = captum.LayerAttribution.interpolate(small, images.shape[2:], "bilinear").squeeze(1).detach()
    return enlarged


def scaled_grad_cam(model: nn.Module, layer: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """pytorch-grad-cam's maps, which it scales to [0, 1]."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with pytorch_grad_cam.GradCAM(model, [layer]) as explainer:
        return torch.from_numpy(explainer(images.clone(), [ClassifierOutputTarget(int(t)) for t in targets]))


def scaled(maps: Tensor) -> Tensor:
    """Each map from 0 to 1, or 0 everywhere: pytorch-grad-cam's last step."""
    maps = maps - maps.amin(dim=(1, 2), keepdim=True)
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30)


# --- small networks, images of any shape ---


def test_saliency_equals_captum(case):
    model, images, targets = case
    for absolute in (True, False):
        theirs = captum.Saliency(model).attribute(images.clone().requires_grad_(), targets, abs=absolute).detach()
        assert_same(saliency(model, images, targets, absolute=absolute), theirs)


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("baseline", [0.0, 0.5, "images"])
def test_integrated_gradients_equal_captum(case, steps, baseline):
    model, images, targets = case
    start: Any = torch.rand(images.shape) if baseline == "images" else baseline
    theirs = captum.IntegratedGradients(model).attribute(images, start, targets, n_steps=steps).detach()
    assert_same(integrated_gradients(model, images, targets, baseline=start, steps=steps, batch_size=33), theirs)


@pytest.mark.parametrize(
    ("window", "stride"), [((4, 4), (4, 4)), ((5, 3), (2, 3)), ((6, 7), (5, 2)), ((3, 12), (1, 9))]
)
def test_occlusion_equals_captum(case, window, stride):
    model, images, targets = case
    start = torch.rand(1, *images.shape[1:])
    theirs = captum.Occlusion(model).attribute(
        images, (images.shape[1], *window), (images.shape[1], *stride), baselines=start, target=targets
    )
    ours = occlusion(model, images, targets, window=window, stride=stride, baseline=start)
    assert_same(ours[:, None].expand_as(images), theirs)


def test_grad_cam_equals_captum(case):
    model, images, targets = case
    assert_same(grad_cam(model, images, targets), captum_map(model, model[4], images, targets))
    for layer in (model[0], model[1], model[2], model[3], model[5]):
        assert_same(grad_cam(model, images, targets, layer=layer), captum_map(model, layer, images, targets))


def test_grad_cam_equals_pytorch_grad_cam(case):
    """After layers that nothing changes in place: pytorch-grad-cam reads what the next ReLU has left of the others."""
    model, images, targets = case
    for layer in (model[2], model[3], model[5]):
        ours = scaled(grad_cam(model, images, targets, layer=layer))
        assert float((ours - scaled_grad_cam(model, layer, images, targets)).abs().max()) < 1e-4


def test_smooth_grad_agrees_with_captum_as_two_runs_of_captum_agree(case):
    model, images, targets = case

    def theirs(seed: int) -> Tensor:
        torch.manual_seed(seed)
        noisy = captum.NoiseTunnel(captum.Saliency(model))
        mean: Tensor = noisy.attribute(images, "smoothgrad", 400, stdevs=0.15, target=targets, abs=False)
        return mean.detach()

    one, two = theirs(0), theirs(1)
    ours = smooth_grad(
        model, images, targets, samples=400, sigma=0.15, absolute=False, generator=torch.Generator().manual_seed(0)
    )
    assert float((ours - one).norm()) < 1.3 * float((two - one).norm())


# --- a photograph ---


def test_the_gradients_of_a_photograph_equal_captum(photograph):
    model, images, targets = photograph
    theirs = captum.Saliency(model).attribute(images.clone().requires_grad_(), targets).detach()
    assert_same(saliency(model, images, targets), theirs)
    theirs = captum.IntegratedGradients(model).attribute(images, target=targets, n_steps=6).detach()
    assert_same(integrated_gradients(model, images, targets, steps=6), theirs)


def test_the_occlusion_of_a_photograph_equals_captum(photograph):
    model, images, targets = photograph
    theirs = captum.Occlusion(model).attribute(
        images[:1], (3, 80, 64), (3, 56, 48), target=targets[:1], perturbations_per_eval=12
    )
    assert_same(occlusion(model, images[:1], targets[:1], window=(80, 64), stride=(56, 48)), theirs[:, 0])


def test_the_grad_cam_of_a_photograph_equals_both(photograph):
    model, images, targets = photograph
    head = model.network._conv_head
    assert_same(grad_cam(model, images, targets), captum_map(model, head, images, targets))
    last = model.network._blocks[-1]
    ours = grad_cam(model, images, targets, layer=last)
    assert_same(ours, captum_map(model, last, images, targets))
    for layer in (head, last):
        theirs = scaled_grad_cam(model, layer, images, targets)
        assert float((scaled(grad_cam(model, images, targets, layer=layer)) - theirs).abs().max()) < 1e-4
