"""The mark in generated text: how clearly it is read, its cost, what wipes it out, how often it is seen where none is.

    python benchmarks/watermark_generated.py

Five minutes of one core; goes on where it was stopped. A small language model is trained on `docstrings()`.
"""

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from _measure import RESULTS, write
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from tml_helpers import watermark
from tml_helpers._console import on_any_console
from tml_helpers.data import docstrings

NAME = "watermark_generated"
VOCABULARY, WIDTH, STEPS = 1000, 64, 400
LENGTH, BEGINNING, TEXTS = 100, 8, 300
SETTINGS = [(0.25, 1.0), (0.25, 1.5), (0.25, 2.0), (0.25, 3.0)]
SETTINGS += [(0.5, 1.0), (0.5, 2.0), (0.5, 3.0)]
TEMPERATURES = [1.0, 0.7, 0.5, 0.3, 0.1]
SHARES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0]
WRITERS = 10  # keys under which the texts are written
KEYS, NULL_WORDS = 500, 200
LONG = [100, 1000, 5000]  # words; 100 keys each
GAMMA = 0.5  # where it is not varied


class Writer(nn.Module):
    """Words `[N, T]` to logits of each next word `[N, T, V]`."""

    def __init__(self) -> None:
        super().__init__()
        self.word = nn.Embedding(VOCABULARY, WIDTH)
        self.memory = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(self.memory(self.word(words))[0])  # type: ignore[no-any-return]


def streams() -> list[Tensor]:
    """The known words of training and test texts, one after the other."""
    rows = [[re.findall("[a-z]+", text.lower()) for text in docstrings(split).texts] for split in ("train", "test")]
    counts = Counter(word for row in rows[0] for word in row)
    code = {word: place for place, (word, _) in enumerate(counts.most_common(VOCABULARY))}
    return [torch.tensor([code[word] for row in part for word in row if word in code]) for part in rows]


def pieces(stream: Tensor, count: int, length: int, generator: torch.Generator) -> Tensor:
    """So many runs of words, from anywhere `[count, length]`."""
    starts = torch.randint(len(stream) - length, (count, 1), generator=generator)
    return stream[starts + torch.arange(length)]


def trained(stream: Tensor, generator: torch.Generator) -> Writer:
    model = Writer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.05, STEPS)
    for _ in range(STEPS):
        text = pieces(stream, 32, 25, generator)
        optimizer.zero_grad()
        F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        slower.step()
    return model.eval()


@torch.no_grad()
def surprises(model: nn.Module, beginnings: Tensor, texts: Tensor) -> Tensor:
    """−log p of each text's words under the model without a mark, in nats a word `[N]`."""
    whole = torch.cat([beginnings, texts], dim=1)
    logits = model(whole[:, :-1])[:, beginnings.shape[1] - 1 :]
    return F.cross_entropy(logits.transpose(1, 2), texts, reduction="none").mean(dim=1)


def key_of(generator: torch.Generator) -> bytes:
    return bytes(torch.randint(256, (32,), generator=generator).tolist())


def found(texts: Tensor, keys: list[bytes], gamma: float) -> dict[str, Any]:
    """What the detector says of texts, each with its key."""
    read = [
        watermark.detect_text(text, key=key, vocabulary=VOCABULARY, gamma=gamma)
        for text, key in zip(texts, keys, strict=True)
    ]
    z = torch.tensor([one.z for one in read])
    return {
        "z_mean": float(z.mean()),
        "z_min": float(z.min()),
        "z_deviation": float(z.std()),
        "above_4": float((z > 4).double().mean()),
        "below_1e_3": sum(one.p_value < 1e-3 for one in read) / len(read),
        "bigrams": sum(one.bigrams for one in read) / len(read),
    }


def written(model: nn.Module, beginnings: Tensor, keys: list[bytes], **numbers: Any) -> Tensor:
    """Texts under several keys, each key writing its share of them."""
    parts = zip(beginnings.chunk(len(keys)), keys, strict=True)
    return torch.cat([watermark.text_watermark(model, part, key=key, **numbers) for part, key in parts])


def with_repeats(text: Tensor, key: bytes, gamma: float) -> float:
    """The paper's Z with every pair counted as often as it occurs, as if all were independent."""
    neighbours = list(itertools.pairwise(text.tolist()))
    lists = {
        word: watermark.green_list(word, key=key, vocabulary=VOCABULARY, gamma=gamma).tolist()
        for word in set(text.tolist())
    }
    greens, pairs = sum(lists[a][b] for a, b in neighbours), len(neighbours)
    return (greens - gamma * pairs) / math.sqrt(pairs * gamma * (1 - gamma))


def null(texts: Tensor, generator: torch.Generator) -> dict[str, Any]:
    """P-values of texts under keys that had no part in them."""
    read = [
        (watermark.detect_text(text, key=key, vocabulary=VOCABULARY), with_repeats(text, key, GAMMA))
        for text in texts
        for key in [key_of(generator)]
    ]
    p = torch.tensor([one.randomized(generator=generator) for one, _ in read], dtype=torch.float64)
    naive = torch.tensor([z for _, z in read])
    return {
        "keys": len(texts),
        "ks": float(stats.kstest(p.numpy(), "uniform").pvalue),
        "below": {str(level): sum(one.p_value < level for one, _ in read) / len(read) for level in (0.05, 0.01, 0.001)},
        "z_deviation": float(torch.tensor([one.z for one, _ in read]).std()),
        "above_4": sum(one.z > 4 for one, _ in read) / len(read),
        "with_repeats_deviation": float(naive.std()),
        "with_repeats_above_4": float((naive > 4).double().mean()),
        "bigrams": sum(one.bigrams for one, _ in read) / len(read),
    }


@torch.no_grad()
def rewritten(model: nn.Module, beginnings: Tensor, texts: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each word is drawn anew with this probability, from the unmarked model after the words before it."""
    whole = torch.cat([beginnings, texts], dim=1)
    fresh = torch.distributions.Categorical(logits=model(whole[:, :-1])[:, beginnings.shape[1] - 1 :])
    drawn = torch.multinomial(fresh.probs.flatten(0, 1), 1, generator=generator).view(texts.shape)
    return torch.where(torch.rand(texts.shape, generator=generator) < share, drawn, texts)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    train, test = streams()
    model = trained(train, generator)
    file = RESULTS / f"{NAME}.json"
    done: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def measured(name: str, measure: Callable[[], Any]) -> Any:
        if name not in done:
            done[name] = measure()
            write(NAME, done)
            print(name, json.dumps(done[name])[:300], flush=True)
        return done[name]

    draws = torch.Generator().manual_seed(1)
    beginnings = pieces(test, TEXTS, BEGINNING, draws)
    keys = [key_of(draws) for _ in range(WRITERS)]
    each = [key for key, part in zip(keys, beginnings.chunk(WRITERS), strict=True) for _ in part]
    null_pieces = pieces(test, KEYS, NULL_WORDS, draws)
    unseen = pieces(test, 400, 50, draws)
    measured("perplexity_unseen", lambda: float(surprises(model, unseen[:, :1], unseen[:, 1:]).mean().exp()))
    plain = written(model, beginnings, keys, delta=0.0, length=LENGTH, generator=torch.Generator().manual_seed(2))
    base = surprises(model, beginnings, plain)

    def setting(gamma: float, delta: float) -> dict[str, Any]:
        lots = torch.Generator().manual_seed(3)
        texts = written(model, beginnings, keys, gamma=gamma, delta=delta, length=LENGTH, generator=lots)
        cost = surprises(model, beginnings, texts)
        error = float((cost.var() / len(cost) + base.var() / len(base)).sqrt())
        ratio = float(cost.mean() - base.mean())
        interval = [math.exp(ratio - 1.96 * error), math.exp(ratio + 1.96 * error)]
        return {
            "gamma": gamma,
            "delta": delta,
            "perplexity_ratio": math.exp(ratio),
            "interval": interval,
            **found(texts, each, gamma),
        }

    for gamma, delta in SETTINGS:
        measured(f"setting {gamma} {delta}", lambda g=gamma, d=delta: setting(g, d))  # type: ignore[misc]
    measured("null documentation", lambda: null(null_pieces, draws))

    lots = torch.Generator().manual_seed(4)
    marked = written(model, beginnings, keys, length=LENGTH, generator=lots)
    measured("null wrong key", lambda: null(marked, draws))
    measured("null unmarked", lambda: null(plain, draws))
    for temperature in (0.3, 0.1):

        def looping(temperature: float = temperature) -> dict[str, Any]:
            some = torch.Generator().manual_seed(5)
            numbers = {"delta": 0.0, "length": LENGTH, "temperature": temperature}
            texts = written(model, beginnings, keys, **numbers, generator=some)
            return {"temperature": temperature, **null(texts, some)}

        measured(f"null at temperature {temperature}", looping)
    for words in LONG:
        long = pieces(test, 100, words, draws)
        measured(f"long {words}", lambda text=long, count=words: {"words": count, **null(text, draws)})  # type: ignore[misc]
    for temperature in TEMPERATURES:

        def cooler(temperature: float = temperature) -> dict[str, Any]:
            some, own = beginnings[::3], each[::3]
            texts = written(model, some, keys, length=LENGTH, temperature=temperature, generator=lots)
            return {"temperature": temperature, **found(texts, own, GAMMA)}

        measured(f"temperature {temperature}", cooler)
    for share in SHARES:

        def changed(share: float = share) -> dict[str, Any]:
            texts = rewritten(model, beginnings, marked, share, lots)
            return {"share": share, **found(texts, each, GAMMA)}

        measured(f"rewritten {share}", changed)
    for length in (10, 15, 20, 30, 50, 100):
        measured(f"length {length}", lambda k=length: {"length": k, **found(marked[:, :k], each, GAMMA)})  # type: ignore[misc]


if __name__ == "__main__":
    on_any_console()
    main()
