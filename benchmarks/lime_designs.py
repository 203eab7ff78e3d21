"""How well LIME's weights agree from seed to seed, for each design and number of samples: the whole curve.

python benchmarks/lime_designs.py [--photos cat coffee motorcycle] [--seeds 8] [--reference 10000] [--size 224]

writes results/lime_designs.json. Each design is also held against a reference of many more coins, so that agreement
is not only a bias that all seeds share.
"""

import argparse
import time
from typing import Any

import torch
from _measure import write
from torch import Tensor
from torch.nn import functional as F

from tml_helpers._console import on_any_console
from tml_helpers.data import photos
from tml_helpers.explain import lime_image, quickshift_segments
from tml_helpers.models import imagenet_classifier
from tml_helpers.training import predict

SAMPLES = (64, 128, 256, 384, 500, 1000)
DESIGNS = ("coins", "hadamard")


def agreement(weights: Tensor) -> float:
    """Mean correlation of the rows of `[seeds, superpixels]` with each other."""
    among = torch.corrcoef(weights)
    count = len(weights)
    return float((among.sum() - count) / (count * (count - 1)))


def with_reference(weights: Tensor, reference: Tensor) -> float:
    """Mean correlation of each row with the reference."""
    return float(torch.corrcoef(torch.cat([reference[None], weights]))[0, 1:].mean())


def curves(image: Tensor, *, size: int, seeds: int, reference: int) -> dict[str, Any]:
    """The agreement of each design at each number of samples, on one photograph `[1, C, H, W]`.

    Its superpixels are found as it is, and shrunk with it to `size` pixels a side.
    """
    model = imagenet_classifier()
    segments = F.interpolate(quickshift_segments(image)[None].double(), size, mode="nearest")[0].long()
    image = F.interpolate(image, size, mode="area")
    target = predict(model, image).argmax(dim=1)

    def explained(seed: int, samples: int, design: str) -> Any:
        how = {"segments": segments, "samples": samples, "design": design}
        return lime_image(model, image, target, **how, generator=torch.Generator().manual_seed(seed))[0]

    best = explained(10_000, reference, "coins")
    result: dict[str, Any] = {
        "class": model.classes[int(target)],
        "superpixels": len(best.weights),
        "r2": round(best.r2, 3),
    }
    for design in DESIGNS:
        for samples in SAMPLES:
            start = time.perf_counter()
            weights = torch.stack([explained(seed, samples, design).weights for seed in range(seeds)])
            row = {
                "between_seeds": round(agreement(weights), 4),
                "with_reference": round(with_reference(weights, best.weights), 4),
            }
            result.setdefault(design, {})[str(samples)] = row
            print(f"{design:<10}{samples:6}  {row}  {time.perf_counter() - start:.0f} s", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", nargs="+", default=["cat", "coffee", "motorcycle"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--reference", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224, help="the side to which photographs are shrunk, in pixels")
    asked = parser.parse_args()
    torch.set_num_threads(2)
    pictures = photos()
    table = {}
    for name in asked.photos:
        print(name, flush=True)
        place = pictures.names.index(name)
        image = pictures.images[place : place + 1]
        table[name] = curves(image, size=asked.size, seeds=asked.seeds, reference=asked.reference)
        settings = {"model": "EfficientNet-Lite0", **vars(asked)}
        print(write("lime_designs", {**settings, "samples": SAMPLES, "curves": table}))


if __name__ == "__main__":
    on_any_console()
    main()
