"""LIME and attributions on the CPU, beside the package `lime` and Captum: EfficientNet-Lite0 and one photograph.

python benchmarks/explanations.py [--rounds 3] [--samples 1000]      writes results/explanations.json

LIME is timed twice: with the network, and with a stub that answers at once, which leaves what is not the network's.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _measure import medians, speedups, wall_times, write
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import _torchvision, explain
from tml_helpers._console import on_any_console
from tml_helpers.data import photos
from tml_helpers.models import imagenet_classifier
from tml_helpers.training import predict

_torchvision.load()  # which Captum imports

import lime.lime_image  # noqa: E402
from captum._utils.models.linear_model import SkLearnRidge  # noqa: E402
from captum.attr import IntegratedGradients, LayerGradCam, NoiseTunnel, Occlusion, Saliency  # noqa: E402
from captum.attr import Lime as CaptumLime  # noqa: E402
from captum.attr._core.lime import get_exp_kernel_similarity_function  # noqa: E402

lime.lime_image.tqdm = lambda rows, *_, **__: rows  # it would draw a bar

THREADS, BATCH = 2, 16
WIDTH = 0.25  # of the kernel, everywhere
Weights = Callable[[], Tensor]


class Stub(nn.Module):
    """Answers from one pixel: logits `[N, 1000]`, at next to no cost."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)))

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, 112, 112] @ self.weight


def plain(model: nn.Module, image: Tensor, target: int, segments: Tensor, hidden: Tensor, samples: int) -> Tensor:
    """LIME as one writes it by hand."""
    count = int(segments.max()) + 1
    masks = torch.randint(2, (samples, count)).bool()
    masks[0] = True
    answers = []
    with torch.no_grad():
        for batch in masks.split(BATCH):
            shown = torch.where(batch[:, segments][:, None], image, hidden)
            answers.append(model(shown).softmax(dim=1)[:, target])
    distance = 1 - masks.double().mean(dim=1).sqrt()
    proximity = torch.exp(-(distance**2) / (2 * WIDTH**2)).numpy()
    return torch.from_numpy(Ridge(alpha=1.0).fit(masks.numpy(), torch.cat(answers).numpy(), proximity).coef_)


def limes(model: nn.Module, image: Tensor, target: int, segments: Tensor, samples: int) -> dict[str, Weights]:
    """Everyone's LIME of one photograph `[1, C, H, W]`, with the same superpixels, each with coins of its own."""
    count = int(segments.max()) + 1
    means = torch.stack([image[0][:, segments == label].mean(dim=1) for label in range(count)])
    hidden = means[segments].permute(2, 0, 1)
    pixels = image[0].permute(1, 2, 0).numpy()

    def by_lime() -> Tensor:
        def classify(batch: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return model(torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()).softmax(dim=1).numpy()

        found = lime.lime_image.LimeImageExplainer(kernel_width=WIDTH).explain_instance(
            pixels,
            classify,
            labels=(target,),
            top_labels=None,
            num_samples=samples,
            batch_size=BATCH,
            segmentation_fn=lambda _: segments.numpy(),
        )
        weights = torch.zeros(count, dtype=torch.float64)
        for label, weight in found.local_exp[target]:
            weights[label] = float(weight)
        return weights

    def by_captum() -> Tensor:
        def probability(batch: Tensor) -> Tensor:
            with torch.no_grad():
                return model(batch).softmax(dim=1)

        explainer = CaptumLime(
            probability, SkLearnRidge(alpha=1.0), get_exp_kernel_similarity_function("cosine", kernel_width=WIDTH)
        )
        found = explainer.attribute(
            image,
            baselines=hidden[None],
            target=target,
            feature_mask=segments[None, None],
            n_samples=samples,
            perturbations_per_eval=BATCH,
            return_input_shape=False,
        )
        return found[0].double()

    def ours() -> Tensor:
        how = {"segments": segments, "samples": samples}
        return explain.lime_image(model, image, torch.tensor([target]), **how)[0].weights

    return {
        "lime": by_lime,
        "Captum": by_captum,
        "plain PyTorch": lambda: plain(model, image, target, segments, hidden, samples),
        "ours": ours,
    }


def attributions(model: nn.Module, image: Tensor, target: int) -> dict[str, dict[str, Callable[[], Tensor]]]:
    """Each attribution of the target's logit, ours and Captum's, with the same settings."""
    targets = torch.tensor([target])
    last = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)][-1]
    noisy = NoiseTunnel(Saliency(model))

    def captum_cam() -> Tensor:
        maps = LayerGradCam(model, last).attribute(image, target=target, relu_attributions=True)
        return F.interpolate(maps, image.shape[2:], mode="bilinear")[:, 0]

    def captum_smooth() -> Tensor:
        how = {"nt_samples": 50, "nt_samples_batch_size": BATCH, "stdevs": 0.15, "abs": False}
        return noisy.attribute(image, target=target, **how).abs()

    def captum_occlusion() -> Tensor:
        how = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 16, 16), "perturbations_per_eval": BATCH}
        with torch.no_grad():
            return Occlusion(model).attribute(image, target=target, **how)

    return {
        "saliency": {
            "Captum": lambda: Saliency(model).attribute(image, target=target),
            "ours": lambda: explain.saliency(model, image, targets),
        },
        "integrated gradients, 50 steps": {
            "Captum": lambda: IntegratedGradients(model).attribute(
                image, target=target, n_steps=50, internal_batch_size=BATCH
            ),
            "ours": lambda: explain.integrated_gradients(model, image, targets, steps=50),
        },
        "SmoothGrad, 50 samples": {
            "Captum": captum_smooth,
            "ours": lambda: explain.smooth_grad(model, image, targets, samples=50, sigma=0.15),
        },
        "Grad-CAM": {"Captum": captum_cam, "ours": lambda: explain.grad_cam(model, image, targets, layer=last)},
        "occlusion, 32×32 every 16": {
            "Captum": captum_occlusion,
            "ours": lambda: explain.occlusion(model, image, targets, window=32, stride=16),
        },
    }


def measure(runs: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, Any]:
    """Each run once to warm up, then `rounds` side by side."""
    found = {name: run().detach().flatten() for name, run in runs.items()}
    times = wall_times(runs, rounds=rounds, warm_up=0)
    alike = {
        name: round(float(torch.corrcoef(torch.stack([values.double(), found["ours"].double()]))[0, 1]), 4)
        for name, values in found.items()
        if name != "ours" and len(values) == len(found["ours"])
    }
    return {
        "seconds": {name: round(seconds, 4) for name, seconds in medians(times).items()},
        "times_as_fast": speedups(times, "ours"),
        "correlation_with_ours": alike,
    }


def show(name: str, row: dict[str, Any]) -> None:
    print(name)
    for library, seconds in row["seconds"].items():
        ratio = row["times_as_fast"].get(library)
        print(f"  {library:<14}{seconds:9.3f} s" + (f"{ratio:8.2f} ×" if ratio else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1000)
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    np.random.seed(0)
    model, stub = imagenet_classifier().requires_grad_(False), Stub().eval()
    image = photos().images[:1]  # the cat
    target = int(predict(model, image).argmax())
    segments = explain.quickshift_segments(image)[0]
    table = {
        "overhead, with a stub": measure(limes(stub, image, target, segments, asked.samples), asked.rounds),
        **{name: measure(runs, 2 * asked.rounds + 1) for name, runs in attributions(model, image, target).items()},
        "LIME": measure(limes(model, image, target, segments, asked.samples), asked.rounds),
    }
    for name, row in table.items():
        show(name, row)
    settings = {"threads": THREADS, "model": "EfficientNet-Lite0", "photo": "cat", **vars(asked)}
    print(write("explanations", {**settings, "superpixels": int(segments.max()) + 1, "explanations": table}))


if __name__ == "__main__":
    on_any_console()
    main()
