"""The mark in images: wrong bits and p-values under attacks, on many pictures, and without any mark.

    python benchmarks/watermark_images.py

Five minutes of one core; goes on where it was stopped.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from _measure import RESULTS, write
from scipy import stats
from skimage import io
from torch import Tensor, nn

from tml_helpers import data, watermark
from tml_helpers._console import on_any_console
from tml_helpers.data._folders import package_folder
from tml_helpers.watermark import ImageEvidence

NAME = "watermark_images"
BITS, PSNR = 32, 38.0
KEYS, KEYS_FOR_PICTURES, FRESH_KEYS = 20, 8, 1000
FILES = {  # of scikit-image, whole
    "cat": "chelsea.png",
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "page of a book": "page.png",
    "handwriting": "text.png",
    "photographer": "camera.png",
    "coins": "coins.png",
    "moon": "moon.png",
    "bricks": "brick.png",
    "grass": "grass.png",
    "clock": "clock_motion.png",
    "silhouette": "horse.png",
}
Attack = Callable[[Tensor, torch.Generator], Tensor]


def all_three(images: Tensor, generator: torch.Generator) -> Tensor:
    """A crop at an unknown place, noise, and a JPEG file of what is left."""
    images = watermark.crop(images, share=0.1, generator=generator)
    return watermark.jpeg(watermark.add_noise(images, sigma=0.05, generator=generator), quality=50)


ATTACKS: dict[str, Attack] = {
    "nothing": lambda x, g: x,
    "JPEG 50": lambda x, g: watermark.jpeg(x, quality=50),
    "crop 10 %": lambda x, g: watermark.crop(x, share=0.1, generator=g),
    "noise 0.05": lambda x, g: watermark.add_noise(x, sigma=0.05, generator=g),
    "all three": all_three,
    "JPEG 20": lambda x, g: watermark.jpeg(x, quality=20),
    "crop 40 %": lambda x, g: watermark.crop(x, share=0.4, generator=g),
    "noise 0.1": lambda x, g: watermark.add_noise(x, sigma=0.1, generator=g),
    "blur 1": lambda x, g: watermark.blur(x, sigma=1.0),
    "half size and back": lambda x, g: watermark.resize_and_back(x, factor=0.5),
    "resize to 90 %": lambda x, g: watermark.resize(x, factor=0.9),
    "rotate by 0.5°": lambda x, g: watermark.rotate(x, degrees=0.5),
    "rotate by 2°": lambda x, g: watermark.rotate(x, degrees=2.0),
    "mirror": lambda x, g: x.flip(-1),
}
MAIN = ("nothing", "JPEG 50", "crop 10 %", "noise 0.05", "all three")


def picture(file: str) -> Tensor:
    pixels = torch.from_numpy(io.imread(package_folder("skimage") / "data" / file).copy()) / 255
    return pixels[None].float() if pixels.ndim == 2 else pixels[..., :3].permute(2, 0, 1).float()


def drawn_key(generator: torch.Generator) -> bytes:
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


def drawn_message(generator: torch.Generator) -> Tensor:
    return torch.rand(BITS, generator=generator) < 0.5


def detected(image: Tensor, key: bytes, message: Tensor | None = None) -> ImageEvidence:
    found = watermark.detect_image(image, key=key, message=message)
    assert isinstance(found, ImageEvidence)
    return found


def summary(found: list[ImageEvidence]) -> dict[str, Any]:
    return {
        "wrong_bits": sum(evidence.wrong_bits or 0 for evidence in found),
        "bits": BITS * len(found),
        "images": len(found),
        "images_with_wrong_bits": sum(bool(evidence.wrong_bits) for evidence in found),
        "median_p": statistics.median(evidence.p_value for evidence in found),
        "largest_p": max(evidence.p_value for evidence in found),
    }


def regenerator(images: Tensor, generator: torch.Generator) -> nn.Module:
    """An autoencoder of 4×4 pixels in 16 numbers, trained on patches of other pictures."""
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
    model = nn.Sequential(
        *(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 16, 1)),
        *(nn.Conv2d(16, 64, 3, 1, 1), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(16, 12, 3, 1, 1), nn.PixelShuffle(2)),
    )
    patches = images.unfold(2, 56, 56).unfold(3, 56, 56).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 56, 56)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(400):
        batch = patches[torch.randint(len(patches), (12,), generator=generator)]
        optimizer.zero_grad()
        (model(batch) - batch).abs().mean().backward()
        optimizer.step()
    return model.requires_grad_(False)


def attacks() -> dict[str, Any]:
    """The default photographs: each attack, and an autoencoder that was trained on the four others."""
    generator = torch.Generator().manual_seed(7)
    images, larger = data.photos().images, data.photos(size=448).images
    rest = [torch.arange(len(images)) != index for index in range(len(images))]
    networks = [regenerator(larger[others], generator) for others in rest]
    found: dict[str, list[ImageEvidence]] = {name: [] for name in (*ATTACKS, "regeneration")}
    quality, similar = [], []
    for _ in range(KEYS):
        for image, network in zip(images, networks, strict=True):
            key, message = drawn_key(generator), drawn_message(generator)
            marked = watermark.embed_image(image, message, key=key, psnr=PSNR)
            quality.append(psnr(marked, image))
            for name, attack in ATTACKS.items():
                found[name].append(detected(attack(marked, generator), key, message))
            again = network(marked[None])[0].clamp(0, 1)
            similar.append(psnr(again, image))
            found["regeneration"].append(detected(again, key, message))
    lowest = {"lowest_psnr": min(quality), "highest_psnr": max(quality), "regenerated_psnr": statistics.mean(similar)}
    return {"attacks": {name: summary(list_of) for name, list_of in found.items()}, **lowest}


def psnr(image: Tensor, other: Tensor) -> float:
    return float(-10 * (image.double() - other.double()).square().mean().log10())


def pictures() -> dict[str, Any]:
    """Other pictures, whole, grey and in colour, as floats and as bytes: wrong bits under each attack."""
    generator = torch.Generator().manual_seed(8)
    chosen = {name: picture(file) for name, file in FILES.items()}
    chosen["cat, grey"] = chosen["cat"].mean(dim=0, keepdim=True)
    chosen["coffee, bytes"] = (chosen["coffee"] * 255).round().to(torch.uint8)
    result = {}
    for name, image in chosen.items():
        found: dict[str, list[ImageEvidence]] = {attack: [] for attack in MAIN}
        for _ in range(KEYS_FOR_PICTURES):
            key, message = drawn_key(generator), drawn_message(generator)
            marked = watermark.embed_image(image, message, key=key, psnr=PSNR)
            marked = marked / 255 if marked.dtype == torch.uint8 else marked
            for attack in MAIN:
                found[attack].append(detected(ATTACKS[attack](marked, generator), key, message))
        parts = {attack: summary(list_of) for attack, list_of in found.items()}
        result[name] = {"shape": list(image.shape), **parts}
        print(name, {attack: part["wrong_bits"] for attack, part in parts.items()}, flush=True)
    return result


def nulls() -> dict[str, Any]:
    """Fresh keys on what carries no mark of theirs: p-values, of presence and of a message; and two wrong ones."""
    generator = torch.Generator().manual_seed(9)
    photos, digits = data.photos().images, data.mnist("test", source="default").images
    pages = [picture(FILES["page of a book"]), picture(FILES["handwriting"])]
    other, said = drawn_key(generator), drawn_message(generator)
    marked = watermark.embed_image(photos, said, key=other)
    kinds = {
        "photographs": list(photos),
        "text pages": pages,
        "digits": list(digits),
        "marked by another": list(marked),
    }
    result: dict[str, Any] = {}
    for name, images in kinds.items():
        columns: dict[str, list[float]] = {
            "presence": [],
            "message": [],
            "search as normal": [],
            "message read first": [],
        }
        for step in range(FRESH_KEYS):
            key, message = drawn_key(generator), drawn_message(generator)
            evidence = detected(images[step % len(images)], key, message)
            assert evidence.of_message is not None
            columns["presence"].append(evidence.randomized(generator=generator))
            columns["message"].append(evidence.of_message.randomized(generator=generator))
            columns["search as normal"].append(float(stats.norm.sf(evidence.search_score)))
            columns["message read first"].append(watermark.signed_rank_evidence(evidence.margins.abs()).p_value)
        result[name] = {column: uniformity(values) for column, values in columns.items()}
    accused = [  # the key is in the picture, the message is another's
        detected(marked[step % len(marked)], other, drawn_message(generator)).of_message for step in range(FRESH_KEYS)
    ]
    result["another's message"] = {
        "message": uniformity([one.randomized(generator=generator) for one in accused if one is not None])
    }
    return result


def uniformity(p_values: list[float]) -> dict[str, Any]:
    test = stats.kstest(p_values, "uniform")
    below = {str(level): sum(p <= level for p in p_values) / len(p_values) for level in (0.05, 0.01, 0.001)}
    return {"draws": len(p_values), "ks": float(test.statistic), "ks_p": float(test.pvalue), "below": below}


def qualities() -> dict[str, Any]:
    """How invisible the mark can be: wrong bits under all three attacks over the PSNR."""
    generator = torch.Generator().manual_seed(10)
    result = {}
    for wanted in (36, 38, 40, 42, 44, 46, 48):
        found = []
        for _ in range(KEYS_FOR_PICTURES):
            for image in data.photos().images:
                key, message = drawn_key(generator), drawn_message(generator)
                marked = watermark.embed_image(image, message, key=key, psnr=float(wanted))
                found.append(detected(all_three(marked, generator), key, message))
        result[str(wanted)] = summary(found)
    return result


def jobs() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    yield "photographs", attacks
    yield "pictures", pictures
    yield "nulls", nulls
    yield "qualities", qualities


def main() -> None:
    path = RESULTS / f"{NAME}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content.pop("machine", None)
    for name, job in jobs():
        if name not in content:
            content[name] = job()
            print(name, json.dumps(content[name], indent=1), flush=True)
            write(NAME, {"bits": BITS, "psnr": PSNR, **content})


if __name__ == "__main__":
    on_any_console()
    main()
