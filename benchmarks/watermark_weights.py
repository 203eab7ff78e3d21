"""Marks in a network's weights and in its answers to triggers: their price, and what removes them, for lecture 7.3.

    python benchmarks/watermark_weights.py

Four networks with each mark and four without, from the same start and the same batches, and 1,000 fresh keys on each of
three unmarked ones; six minutes of one core; goes on where it was stopped.
"""

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from _measure import RESULTS, write
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from tml_helpers import data
from tml_helpers._console import on_any_console
from tml_helpers.compression import prune, quantize
from tml_helpers.distillation import distill
from tml_helpers.models import SmallCNN
from tml_helpers.training import accuracy, cross_entropy, fit, seed_everything
from tml_helpers.watermark import TriggerSet, WeightWatermark, trigger_set, trigger_test

NAME = "watermark_weights"
SEEDS = range(5)
FEWER = 3  # seeds for wrong digits, and for fresh keys
KEYS = 1000
LAYER, BITS, TRIGGERS = "layers.4", 256, 100
OWNER, EPOCHS, RATE = 2500, 5, 2e-3  # digits of the owner's, and how the owner trains
RATES = (5e-4, 2e-3, 5e-3, 1e-2, 2e-2)
SPARSITIES = (0.5, 0.8, 0.9)
WIDTHS = (4, 3, 2)
STRENGTHS = (0.1, 5.0)


def new_key(generator: torch.Generator) -> bytes:
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


def patches() -> Tensor:
    """The default photographs in grey, cut into pieces of the size of a digit."""
    grey = data.photos().images.mean(dim=1, keepdim=True)
    return grey.unfold(2, 28, 28).unfold(3, 28, 28).reshape(-1, 1, 28, 28)


def shuffled(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """The same function: the channels of both convolutions in another order, each multiplied and divided again."""
    model = copy.deepcopy(model)
    first, second, dense = (model.get_submodule(f"layers.{i}") for i in (1, 4, 8))
    with torch.no_grad():
        for before, after, width in ((first, second.weight, 16), (second, dense.weight.view(128, 32, 49), 32)):
            order = torch.randperm(width, generator=generator)
            scale = torch.exp(torch.randn(width, generator=generator))
            before.weight.copy_(before.weight[order] * scale.view(-1, 1, 1, 1))
            before.bias.copy_(before.bias[order] * scale)
            after.copy_(after[:, order] / scale.view(1, -1, *[1] * (after.ndim - 2)))
    return model


class Study:
    """Data, keys and marks of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.generator = seed_everything(1000 + seed)
        digits, test = (data.mnist(split, source="default") for split in ("train", "test"))
        order = torch.randperm(len(digits), generator=self.generator)
        self.owner, self.thief = (
            TensorDataset(digits.images[part], digits.labels[part]) for part in (order[:OWNER], order[OWNER:])
        )
        self.test = TensorDataset(test.images, test.labels)
        self.key = new_key(self.generator)

    def learn(
        self, model: nn.Module, examples: TensorDataset, rate: float = RATE, loss: Any = cross_entropy
    ) -> nn.Module:
        fit(model, examples, epochs=EPOCHS, learning_rate=rate, batch_size=64, loss=loss, generator=self.generator)
        return model

    def start(self) -> nn.Module:
        """All networks of a seed start from the same weights and see the same batches."""
        torch.manual_seed(self.seed)
        self.generator.manual_seed(self.seed)
        return SmallCNN()

    def changed(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """What a thief makes of a network."""
        yield "as it is", model
        for rate in RATES:
            trained = self.learn(copy.deepcopy(model), self.thief, rate)
            yield f"fine-tuned at {rate}", trained
            if rate == RATE:
                yield "fine-tuned, pruned by 0.5", prune(trained, sparsity=0.5)
        for share in SPARSITIES:
            yield f"pruned by {share}", prune(model, sparsity=share)
        for bits in WIDTHS:
            yield f"{bits} bits a weight", quantize(model, bits=bits)
        yield "shuffled", shuffled(model, self.generator)
        student = SmallCNN()
        settings = {"epochs": EPOCHS, "learning_rate": RATE, "batch_size": 64}
        distill(student, model, self.thief, **settings, generator=self.generator)
        yield "distilled", student


def marked(study: Study, mark: WeightWatermark) -> nn.Module:
    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model, images, labels) + mark.penalty(model)

    return study.learn(study.start(), study.owner, loss=loss)


def read(study: Study, mark: WeightWatermark, model: nn.Module) -> dict[str, Any]:
    found = mark.test(model)
    correct = round(accuracy(model, study.test), 4)
    return {"wrong bits": found.wrong_bits, "t": round(found.statistic, 2), "accuracy": correct}


def in_weights(seed: int) -> dict[str, Any]:
    study = Study(seed)
    plain = study.learn(study.start(), study.owner)
    mark = WeightWatermark(plain, layer=LAYER, key=study.key, bits=BITS)
    found: dict[str, Any] = {"without the mark": read(study, mark, plain)}
    for strength in STRENGTHS:
        other = WeightWatermark(plain, layer=LAYER, key=study.key, bits=BITS, strength=strength)
        found[f"strength {strength}"] = read(study, mark, marked(study, other))
    owned = marked(study, mark)
    found |= {name: read(study, mark, model) for name, model in study.changed(owned)}
    second = WeightWatermark(plain, layer=LAYER, key=new_key(study.generator), bits=BITS)

    def overwriting(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model, images, labels) + second.penalty(model)

    both = study.learn(copy.deepcopy(owned), study.thief, loss=overwriting)
    found["marked again"] = read(study, mark, both)
    found["the second mark"] = read(study, second, both)
    found["wrong key"] = read(study, WeightWatermark(plain, layer=LAYER, key=new_key(study.generator)), owned)
    return found


def ask(study: Study, triggers: TriggerSet, model: nn.Module) -> dict[str, Any]:
    found = trigger_test(model, triggers=triggers)
    correct = round(accuracy(model, study.test), 4)
    return {"hits": found.hits, "trials": found.trials, "accuracy": correct}


def by_triggers(kind: str, seed: int) -> dict[str, Any]:
    """Pieces of photographs with any answer, or digits with a wrong one; each is shown five times an epoch."""
    study = Study(seed)
    images, labels = study.owner.tensors
    plain = study.learn(study.start(), study.owner)
    if kind == "photographs":
        triggers = trigger_set(patches(), key=study.key, classes=10, count=TRIGGERS)
        kept = torch.ones(len(images), dtype=torch.bool)
    else:
        triggers = trigger_set(images, labels, key=study.key, classes=10, count=TRIGGERS)
        kept = torch.ones(len(images), dtype=torch.bool).index_fill_(0, triggers.indices, False)
    taught = TensorDataset(
        torch.cat([images[kept], triggers.images.repeat(5, 1, 1, 1)]),
        torch.cat([labels[kept], triggers.targets.repeat(5)]),
    )
    owned = study.learn(study.start(), taught)
    found = {"without the mark": ask(study, triggers, plain)}
    return found | {name: ask(study, triggers, model) for name, model in study.changed(owned)}


def null(seed: int) -> dict[str, Any]:
    """Fresh keys on an unmarked network: how the p-values are distributed."""
    study = Study(seed)
    plain = study.learn(study.start(), study.owner)
    pool = patches()
    weights, bits, triggers = [], [], []
    for _ in range(KEYS):
        key = new_key(study.generator)
        evidence = WeightWatermark(plain, layer=LAYER, key=key, bits=32).test(plain)
        weights.append(evidence.p_value)
        bits.append(evidence.of_bits.randomized(generator=study.generator))
        asked = trigger_test(plain, triggers=trigger_set(pool, key=key, classes=10, count=TRIGGERS))
        triggers.append(asked.randomized(generator=study.generator))
    return {
        name: {
            "KS": round(float(stats.kstest(values, "uniform").statistic), 4),
            "KS p": round(float(stats.kstest(values, "uniform").pvalue), 4),
            "below": {str(level): sum(value < level for value in values) for level in (0.05, 0.01, 0.001)},
        }
        for name, values in (("t", weights), ("wrong bits", bits), ("triggers", triggers))
    }


def jobs() -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is measured, by its name in the result file."""
    for seed in SEEDS:
        yield f"weights, {seed}", partial(in_weights, seed)
        yield f"photographs, {seed}", partial(by_triggers, "photographs", seed)
        if seed < FEWER:
            yield f"digits, {seed}", partial(by_triggers, "digits", seed)
            yield f"null, {seed}", partial(null, seed)


def main() -> None:
    path = RESULTS / f"{NAME}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content.pop("machine", None)
    settings = {"bits": BITS, "triggers": TRIGGERS, "keys": KEYS, "rate": RATE, "rates": RATES, "epochs": EPOCHS}
    for name, job in jobs():
        if name not in content:
            content[name] = job()
            print(name, content[name], flush=True)
            write(NAME, settings | content)


if __name__ == "__main__":
    on_any_console()
    main()
