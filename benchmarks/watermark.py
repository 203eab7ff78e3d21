"""Every detector of `tml_helpers.watermark`: without a mark, after removal attacks, beside a second owner; its time.

    python benchmarks/watermark.py [--only WORD]      writes results/watermark.json

- `null`: p-values of 1,000 fresh keys and more on things that carry no mark.
- `removal`: p-values and wrong bits of marks that were set, after attacks on what carries them.
- `second owner`: two marks in one thing, each with its own key.
- `seconds`: CPU time of one thread, beside what one would write by hand.

It goes on where it was stopped; what `--only` names is measured anew.
"""

import argparse
import copy
import functools
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from _measure import RESULTS, medians, speedups, wall_times, write
from scipy import fft as scipy_fft
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from tml_helpers import compression, data, distillation, kernels, training, watermark
from tml_helpers._console import on_any_console
from tml_helpers.models import SmallCNN
from tml_helpers.watermark import Evidence

NAME = "watermark"
KEYS = 1000
LEVELS = (0.05, 0.01, 0.001)
LAYER = "layers.4"  # the second convolution
EPSILON = 0.15  # of radioactive data
Row = dict[str, Any]


def generator_of(*seeds: int) -> torch.Generator:
    return torch.Generator().manual_seed(sum(seed * 1000**place for place, seed in enumerate(seeds)))


def fresh_key(generator: torch.Generator) -> bytes:
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


@functools.cache
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """4,000 images and labels to train on, 1,000 to test on."""
    train, test = (data.mnist(split, source="default") for split in ("train", "test"))
    train = train.select(slice(4000))
    return train.images, train.labels, test.images, test.labels


@functools.cache
def photographs() -> list[Tensor]:
    return list(data.photos().images)


# ------------------------------------------------------------------------------------------------ networks


def trained(
    seed: int,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int = 5,
    width: int = 16,
    loss: training.Loss = training.cross_entropy,
) -> nn.Module:
    generator = training.seed_everything(seed)
    model = SmallCNN(width=width)
    more = {"epochs": epochs, "batch_size": 64, "learning_rate": 2e-3}
    training.fit(model, TensorDataset(images, labels), loss=loss, generator=generator, progress=False, **more)
    return model.eval()


@functools.cache
def clean_networks(count: int = 10) -> list[nn.Module]:
    """Networks that nobody marked, each of its own seed and half of the digits."""
    images, labels, _, _ = digits()
    halves = [torch.randperm(len(images), generator=generator_of(seed, 7))[:2000] for seed in range(count)]
    return [trained(100 + n, images[half], labels[half], width=4) for n, half in enumerate(halves)]


@functools.cache
def control() -> nn.Module:
    images, labels, _, _ = digits()
    return trained(99, images, labels)


def share_right(model: nn.Module) -> float:
    _, _, images, labels = digits()
    return round(training.accuracy(model, TensorDataset(images, labels)), 4)


def tuned(
    model: nn.Module,
    seed: int,
    learning_rate: float,
    loss: training.Loss = training.cross_entropy,
    more: tuple[Tensor, Tensor] | None = None,
) -> nn.Module:
    """A copy, trained on the digits again, with a new optimiser, without the mark or with another one."""
    images, labels, _, _ = digits()
    if more is not None:
        images, labels = torch.cat([images, more[0]]), torch.cat([labels, more[1]])
    changed = copy.deepcopy(model).train()
    settings = {"epochs": 3, "batch_size": 64, "learning_rate": learning_rate, "generator": generator_of(seed, 3)}
    training.fit(changed, TensorDataset(images, labels), loss=loss, progress=False, **settings)
    return changed.eval()


def distilled(model: nn.Module, seed: int) -> nn.Module:
    """A student of the same build that sees the digits and the model's answers alone."""
    images, labels, _, _ = digits()
    training.seed_everything(500 + seed)
    student = SmallCNN()
    distillation.distill(
        student, model, TensorDataset(images, labels), alpha=1.0, epochs=5, learning_rate=2e-3, batch_size=64,
        generator=generator_of(seed, 5), progress=False,
    )  # fmt: skip
    return student.eval()


NETWORK_ATTACKS: dict[str, Callable[[nn.Module, int], nn.Module]] = {
    "nothing": lambda model, seed: model,
    "fine-tuned, rate 1e-3": lambda model, seed: tuned(model, seed, 1e-3),
    "fine-tuned, rate 1e-2": lambda model, seed: tuned(model, seed, 1e-2),
    "pruned to 50 %": lambda model, seed: compression.prune(copy.deepcopy(model), sparsity=0.5),
    "pruned to 20 %": lambda model, seed: compression.prune(copy.deepcopy(model), sparsity=0.8),
    "8 bits": lambda model, seed: compression.quantize(copy.deepcopy(model), bits=8),
    "3 bits": lambda model, seed: compression.quantize(copy.deepcopy(model), bits=3),
    "distilled": distilled,
}


# ------------------------------------------------------------------------------------------------ marked networks


def key_of(seed: int) -> bytes:
    return fresh_key(generator_of(seed, 11))


Test = Callable[[nn.Module], tuple[Evidence, int | None]]
"""A network's evidence and, where there are any, its wrong bits."""


def weight_mark(seed: int) -> tuple[nn.Module, Test]:
    images, labels, _, _ = digits()
    mark = watermark.WeightWatermark(SmallCNN(), layer=LAYER, key=key_of(seed))
    model = trained(seed, images, labels, loss=with_penalty(mark))

    def test(suspect: nn.Module) -> tuple[Evidence, int | None]:
        found = mark.test(suspect)
        return found, found.wrong_bits

    return model, test


def with_penalty(mark: watermark.WeightWatermark) -> training.Loss:
    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images), labels) + mark.penalty(model)

    return loss


def trigger_mark(seed: int) -> tuple[nn.Module, Test]:
    images, labels, _, _ = digits()
    triggers = triggers_of(key_of(seed))
    model = trained(seed, torch.cat([images, triggers.images]), torch.cat([labels, triggers.targets]), epochs=8)
    return model, lambda suspect: (watermark.trigger_test(suspect, triggers=triggers), None)


def triggers_of(key: bytes) -> watermark.TriggerSet:
    """Noise, which has no right class."""
    noise = torch.rand(400, 1, 28, 28, generator=generator_of(17))
    return watermark.trigger_set(noise, key=key, classes=10, count=100)


def radioactive_mark(seed: int) -> tuple[nn.Module, Test]:
    images, labels, _, _ = digits()
    marked = watermark.radioactive_mark(images, labels, key=key_of(seed), epsilon=EPSILON)
    model = trained(seed, marked.images, labels, epochs=8)
    return model, lambda suspect: (radioactive_evidence(suspect, key_of(seed)), None)


def radioactive_evidence(model: nn.Module, key: bytes, **more: Any) -> Evidence:
    _, _, images, labels = digits()
    settings = {"epsilon": EPSILON, "control": control(), "probes": 2, **more}
    return watermark.radioactive_test(model, images[:500], labels[:500], key=key, **settings)


def query_mark(seed: int) -> tuple[nn.Module, Test]:
    """A model with marked answers, and what a thief distilled from it: the thing that is attacked."""
    images, labels, _, _ = digits()
    owner = watermark.QueryWatermark(trained(seed, images, labels), key=key_of(seed), fraction=0.02)
    queries = images + 0
    training.seed_everything(700 + seed)
    thief = SmallCNN()
    answers = training.predict(owner, queries).argmax(dim=1)
    training.fit(
        thief, TensorDataset(queries, answers), epochs=15, batch_size=64, learning_rate=2e-3,
        generator=generator_of(seed, 8), progress=False,
    )  # fmt: skip
    return thief.eval(), lambda suspect: (owner.test(suspect, queries), None)


NETWORK_MARKS = {
    "weights": weight_mark,
    "triggers": trigger_mark,
    "radioactive data": radioactive_mark,
    "answers": query_mark,
}


def network_removal(kind: str, seeds: Iterable[int] = range(2)) -> Row:
    """Of each attack: p-values, wrong bits and accuracy, one for each seed."""
    rows: Row = {name: {"p_value": [], "wrong_bits": [], "accuracy": []} for name in NETWORK_ATTACKS}
    for seed in seeds:
        model, test = NETWORK_MARKS[kind](seed)
        for name, attack in NETWORK_ATTACKS.items():
            suspect = attack(model, seed)
            evidence, wrong = test(suspect)
            rows[name]["p_value"].append(evidence.p_value)
            rows[name]["wrong_bits"].append(wrong)
            rows[name]["accuracy"].append(share_right(suspect))
    return rows


# ------------------------------------------------------------------------------------------------ images and texts


def message_of(key: bytes) -> Tensor:
    return watermark.signs(key, "benchmark: message", 32) > 0


def all_three(images: Tensor, generator: torch.Generator) -> Tensor:
    smaller = watermark.crop(images, share=0.1, generator=generator)
    return watermark.jpeg(watermark.add_noise(smaller, sigma=0.05, generator=generator), quality=50)


IMAGE_ATTACKS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "nothing": lambda images, generator: images,
    "JPEG, quality 50": lambda images, generator: watermark.jpeg(images, quality=50),
    "a tenth cut off": lambda images, generator: watermark.crop(images, share=0.1, generator=generator),
    "noise, σ = 0.05": lambda images, generator: watermark.add_noise(images, sigma=0.05, generator=generator),
    "all three": all_three,
    "blur, σ = 1": lambda images, generator: watermark.blur(images, sigma=1.0),
    "blur, σ = 3": lambda images, generator: watermark.blur(images, sigma=3.0),
    "half size and back": lambda images, generator: watermark.resize_and_back(images, factor=0.5),
    "90 % of the size": lambda images, generator: watermark.resize(images, factor=0.9),
    "turned by 2°": lambda images, generator: watermark.rotate(images, degrees=2.0),
}


def image_removal(seeds: Iterable[int] = range(4)) -> Row:
    """Of each attack, over five photographs and four keys."""
    rows: Row = {name: {"p_value": [], "wrong_bits": []} for name in IMAGE_ATTACKS}
    pictures = torch.stack(photographs())
    for seed in seeds:
        generator, key = generator_of(seed, 13), key_of(seed)
        marked = watermark.embed_image(pictures, message_of(key), key=key)
        for name, attack in IMAGE_ATTACKS.items():
            for found in watermark.detect_image(attack(marked, generator), key=key, message=message_of(key)):
                rows[name]["p_value"].append(found.p_value)
                rows[name]["wrong_bits"].append(found.wrong_bits)
    return rows


class Bigrams(nn.Module):
    """A language model of counted pairs: log of (count + weight · share of the word) for each next word."""

    def __init__(self, tokens: Tensor, vocabulary: int, weight: float = 5.0) -> None:
        super().__init__()
        pairs = torch.zeros(vocabulary, vocabulary)
        pairs.index_put_((tokens[:-1], tokens[1:]), torch.ones(len(tokens) - 1), accumulate=True)
        share = (torch.bincount(tokens, minlength=vocabulary) + 0.1) / (len(tokens) + 0.1 * vocabulary)
        self.register_buffer("logits", (pairs + weight * share).log())

    def forward(self, words: Tensor) -> Tensor:
        return self.logits[words]


VOCABULARY, LENGTH = 1000, 100


@functools.cache
def corpus() -> tuple[list[Tensor], Bigrams]:
    """Docstrings as numbers of their words, the thousand most frequent; and a model of them."""
    texts = [text.lower().split() for text in data.docstrings().texts]
    counts: dict[str, int] = {}
    for word in (word for text in texts for word in text):
        counts[word] = counts.get(word, 0) + 1
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY]
    number = {word: place for place, word in enumerate(frequent)}
    rows = [torch.tensor([number[word] for word in text if word in number]) for text in texts]
    rows = [row for row in rows if len(row) > 1]
    return rows, Bigrams(torch.cat(rows), VOCABULARY)


def text_evidence(tokens: Tensor, key: bytes) -> Evidence:
    return watermark.detect_text(tokens, key=key, vocabulary=VOCABULARY)


def replaced(tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Words at random places become others, drawn as often as the model of single words has them."""
    rows, _ = corpus()
    drawn = torch.cat(rows)[torch.randint(200_000, tokens.shape, generator=generator) % sum(map(len, rows))]
    return torch.where(torch.rand(tokens.shape, generator=generator) < share, drawn, tokens)


TEXT_ATTACKS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "nothing": lambda tokens, generator: tokens,
    "10 % of words replaced": lambda tokens, generator: replaced(tokens, 0.1, generator),
    "30 % of words replaced": lambda tokens, generator: replaced(tokens, 0.3, generator),
    "50 % of words replaced": lambda tokens, generator: replaced(tokens, 0.5, generator),
    "a quarter of it": lambda tokens, generator: tokens[: len(tokens) // 4],
    "shuffled": lambda tokens, generator: tokens[torch.randperm(len(tokens), generator=generator)],
}


def text_removal(seeds: Iterable[int] = range(50)) -> Row:
    rows: Row = {name: {"p_value": []} for name in TEXT_ATTACKS}
    _, model = corpus()
    for seed in seeds:
        generator, key = generator_of(seed, 19), key_of(seed)
        written = watermark.text_watermark(model, torch.tensor([0]), key=key, length=LENGTH, generator=generator)
        for name, attack in TEXT_ATTACKS.items():
            rows[name]["p_value"].append(text_evidence(attack(written, generator), key).p_value)
    return rows


# ------------------------------------------------------------------------------------------------ without a mark


def judged(found: Iterable[Evidence], things: str) -> Row:
    """How the p-values of fresh keys lie: Kolmogorov and Smirnov's distance to uniform, and the shares below levels."""
    every, generator = list(found), generator_of(23)
    ks = stats.kstest([one.randomized(generator=generator) for one in every], "uniform")
    return {
        "things": things,
        "keys": len(every),
        "ks": float(ks.statistic),
        "ks_p_value": float(ks.pvalue),
        "below": {str(level): sum(one.p_value <= level for one in every) for level in LEVELS},
        "smallest": min(one.p_value for one in every),
    }


def with_keys(test: Callable[[Any, bytes], Evidence], things: list[Any], seed: int) -> Iterator[Evidence]:
    """One thing after the other, each time with a new key, until there are `KEYS`."""
    generator = generator_of(seed, 29)
    for n in range(KEYS):
        yield test(things[n % len(things)], fresh_key(generator))


def null_images() -> Row:
    return judged(
        with_keys(lambda image, key: watermark.detect_image(image, key=key), photographs(), 1), "5 photographs"
    )


def null_messages() -> Row:
    def test(image: Tensor, key: bytes) -> Evidence:
        return watermark.detect_image(image, key=key, message=message_of(key)).of_message

    return judged(with_keys(test, photographs(), 2), "5 photographs, a message that was known before")


def null_digits() -> Row:
    images = list(digits()[2][:500])
    return judged(with_keys(lambda image, key: watermark.detect_image(image, key=key), images, 3), "500 digits")


def null_weights() -> Row:
    def test(model: nn.Module, key: bytes) -> Evidence:
        return watermark.WeightWatermark(model, layer=LAYER, key=key, bits=64).test(model)

    return judged(with_keys(test, clean_networks(), 4), "10 networks")


def null_triggers() -> Row:
    def test(model: nn.Module, key: bytes) -> Evidence:
        return watermark.trigger_test(model, triggers=triggers_of(key))

    return judged(with_keys(test, clean_networks(), 5), "10 networks, 100 triggers of noise")


def null_answers() -> Row:
    _, _, images, _ = digits()
    owner = control()

    def test(model: nn.Module, key: bytes) -> Evidence:
        return watermark.QueryWatermark(owner, key=key, fraction=0.5).test(model, images)

    return judged(with_keys(test, clean_networks(), 6), "10 networks, 1,000 queries")


def null_radioactive(**more: Any) -> Row:
    _, _, images, labels = digits()

    def test(model: nn.Module, key: bytes) -> Evidence:
        settings = {"epsilon": EPSILON, "control": control(), "probes": 1, **more}
        return watermark.radioactive_test(model, images[:100], labels[:100], key=key, **settings)

    return judged(with_keys(test, clean_networks(), 7), "10 networks, with a clean one as control")


def null_twins() -> Row:
    _, _, images, labels = digits()

    def test(model: nn.Module, key: bytes) -> Evidence:
        pair = watermark.twins(images[:200], key=key, epsilon=EPSILON)
        return watermark.twin_test(model, pair.published, labels[:200], withheld=pair.withheld)

    return judged(with_keys(test, clean_networks(), 8), "10 networks, 200 pairs")


def null_texts() -> Row:
    rows, _ = corpus()
    whole = torch.cat(rows)
    pieces = list(whole[: 500 * 200].view(500, 200))
    return judged(with_keys(text_evidence, pieces, 9), "500 pieces of docstrings, 200 words each")


@functools.cache
def reader() -> watermark.GeneratorWatermark:
    """Encoder and extractor, trained on the digits."""
    generator = training.seed_everything(31)
    mark = watermark.GeneratorWatermark(bits=32)
    mark.fit(digits()[0], generator=generator, progress=False)
    return mark


def null_generated() -> Row:
    """Twenty digits at a time are judged together, as of one generator."""
    groups = list(digits()[2].split(20))
    return judged(
        with_keys(lambda images, key: reader().test(images, key=key), groups, 10), "50 times 20 digits, 32 bits"
    )


NULLS: dict[str, Callable[[], Row]] = {
    "a mark in an image": null_images,
    "a message in an image": null_messages,
    "a mark in a small image": null_digits,
    "weights": null_weights,
    "triggers": null_triggers,
    "answers": null_answers,
    "radioactive data, by gradients": functools.partial(null_radioactive),
    "radioactive data, by logits": functools.partial(null_radioactive, access="logits"),
    "twins": null_twins,
    "text": null_texts,
    "generated images": null_generated,
}


# ------------------------------------------------------------------------------------------------ a second owner


def two_weights() -> Row:
    """The second owner trains on with his own penalty, on the same layer; who was first is not in the weights."""
    rows: Row = {"first": [], "second": [], "wrong_bits": []}
    for seed in range(2):
        model, test = weight_mark(seed)
        other = watermark.WeightWatermark(SmallCNN(), layer=LAYER, key=key_of(900 + seed))
        both = tuned(model, seed, 2e-3, loss=with_penalty(other))
        evidence, wrong = test(both)
        rows["first"].append(evidence.p_value)
        rows["wrong_bits"].append(wrong)
        rows["second"].append(other.test(both).p_value)
    return rows


def two_triggers() -> Row:
    rows: Row = {"first": [], "second": []}
    for seed in range(2):
        model, test = trigger_mark(seed)
        other = triggers_of(key_of(900 + seed))
        both = tuned(model, seed, 2e-3, more=(other.images, other.targets))
        rows["first"].append(test(both)[0].p_value)
        rows["second"].append(watermark.trigger_test(both, triggers=other).p_value)
    return rows


def two_images() -> Row:
    rows: Row = {"first": [], "second": [], "wrong_bits": []}
    for seed in range(2):
        keys = key_of(seed), key_of(900 + seed)
        marked = torch.stack(photographs())
        for key in keys:
            marked = watermark.embed_image(marked, message_of(key), key=key)
        for name, key in zip(("first", "second"), keys, strict=True):
            found = watermark.detect_image(marked, key=key, message=message_of(key))
            rows[name] += [one.p_value for one in found]
            rows["wrong_bits"] += [one.wrong_bits for one in found if name == "first"]
    return rows


SECOND_OWNERS = {"weights": two_weights, "triggers": two_triggers, "images": two_images}


# ------------------------------------------------------------------------------------------------ seconds


def timed(runs: dict[str, Callable[[], object]], rounds: int = 7) -> Row:
    times = wall_times(runs, rounds=rounds, warm_up=1, clock=time.process_time)
    return {"seconds": medians(times), "times_as_fast": speedups(times, "ours")}


def blocks_by_hand(picture: np.ndarray, sign: float, key: bytes) -> tuple[np.ndarray, float]:
    """Spread spectrum in the cosine transform of 8×8 blocks: a sign for each wave; no search, no evening out."""
    height, width = (side - side % 8 for side in picture.shape)
    blocks = picture[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3)
    waves = scipy_fft.dctn(blocks, axes=(2, 3), norm="ortho")
    pattern = watermark.signs(key, "benchmark: by hand", *waves.shape).numpy()
    found = float((waves[..., 1:4, 1:4] * pattern[..., 1:4, 1:4]).sum())
    waves[..., 1:4, 1:4] += sign * 0.01 * pattern[..., 1:4, 1:4]
    marked = scipy_fft.idctn(waves, axes=(2, 3), norm="ortho")
    return marked.transpose(0, 2, 1, 3).reshape(height, width), found


def seconds_of_images() -> Row:
    picture, key = photographs()[0], key_of(1)
    message, grey = message_of(key), picture.mean(dim=0).double().numpy()
    marked = watermark.embed_image(picture, message, key=key)
    return {
        "embed": timed(
            {
                "by hand, no search": lambda: blocks_by_hand(grey, 1.0, key),
                "ours": lambda: watermark.embed_image(picture, message, key=key),
            }
        ),
        "detect": timed(
            {
                "by hand, no search": lambda: blocks_by_hand(grey, 0.0, key),
                "ours": lambda: watermark.detect_image(marked, key=key),
            }
        ),
    }


def seconds_of_selection() -> Row:
    """A thousand digits; hashlib in a loop, with the hash that is fastest on a processor of 64 bits."""
    images, key = digits()[2], key_of(1)
    rows = images.numpy()

    def by_hand() -> list[bool]:
        words = [hashlib.blake2b(row.tobytes(), key=key, digest_size=4).digest() for row in rows]
        return [int.from_bytes(word, "little") < 2**31 for word in words]

    return timed({"by hand": by_hand, "ours": lambda: kernels.keyed_select(images, key=key, fraction=0.5)})


def seconds_of_text() -> Row:
    """200 words; by hand, each pair makes its list anew, as the paper's program does."""
    tokens, key = torch.cat(corpus()[0])[:200], key_of(1)

    def by_hand() -> int:
        hits = 0
        for before, word in set(itertools.pairwise(tokens.tolist())):
            seed = int.from_bytes(hashlib.sha256(key + before.to_bytes(4, "little")).digest()[:8], "little") % 2**63
            order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(seed))
            hits += int(word in order[: VOCABULARY // 4])
        return hits

    return timed({"by hand": by_hand, "ours": lambda: text_evidence(tokens, key)})


def seconds_of_ranks() -> Row:
    margins = torch.randn(50, generator=generator_of(1), dtype=torch.float64)
    row = margins.numpy()
    return timed(
        {
            "scipy": lambda: stats.wilcoxon(row, alternative="greater", method="exact"),
            "ours": lambda: watermark.signed_rank_evidence(margins),
        },
        rounds=50,
    )


SECONDS = {
    "image": seconds_of_images,
    "keyed selection": seconds_of_selection,
    "text": seconds_of_text,
    "signed ranks": seconds_of_ranks,
}


def jobs() -> Iterator[tuple[str, str, Callable[[], Row]]]:
    """Part and name in the result file, and what measures it."""
    for name, null in NULLS.items():
        yield "null", name, null
    yield "removal", "images", image_removal
    yield "removal", "text", text_removal
    for kind in NETWORK_MARKS:
        yield "removal", kind, functools.partial(network_removal, kind)
    for name, two in SECOND_OWNERS.items():
        yield "second owner", name, two
    for name, measure in SECONDS.items():
        yield "seconds", name, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="measure anew what has this word in its name")
    only = parser.parse_args().only
    path = RESULTS / f"{NAME}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content.pop("machine", None)
    for part, name, job in jobs():
        known = content.setdefault(part, {})
        if only not in f"{part}, {name}" if only else name in known:
            continue
        start = time.process_time()
        known[name] = job()
        print(f"{time.process_time() - start:6.1f} s  {part}, {name}: {known[name]}", flush=True)
        write(NAME, content)


if __name__ == "__main__":
    on_any_console()
    torch.set_num_threads(1)
    main()
