"""Cards whose numbers stand in files, sheets whose numbers were counted: typed numbers and stale cards are found."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import refuses

from tml_helpers import measured
from tml_helpers.impact import Measured, data_sheet, model_card
from tml_helpers.models import SmallCNN

WORDS = {
    "name": "reader",
    "intended_use": "reading | digits",
    "out_of_scope": "cheques",
    "trained_on": "digits",
    "evaluated_on": "other digits",
    "caveats": "one hand",
}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results with one file."""
    monkeypatch.setattr(measured, "_FOLDER", tmp_path)
    content = {"rows": [{"right": 0.912345, "flag": True, "words": "many"}], "count": 12_345}
    (tmp_path / "made.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def card(model: SmallCNN, **changes: object):
    right = {"read rightly": Measured("made", ("rows", 0, "right"))}
    given = {**WORDS, "metrics": right, "by_group": {"7s|<b>": Measured("made", ("count",), " of them")}} | changes
    return model_card(model, torch.zeros(1, 1, 28, 28), **given)


def test_a_number_is_read_from_its_file_each_time(results: Path) -> None:
    number = Measured("made", ("rows", 0, "right"), " %")
    assert number.value == 0.912345
    assert str(number) == "0.9123 % (made.json: rows, 0, right)"
    (results / "made.json").write_text('{"rows": [{"right": 0.5}]}', encoding="utf-8")
    assert number.value == 0.5


@pytest.mark.parametrize("path", [("rows", 1), ("rows", "right"), ("none",), ("count", 0)])
def test_a_path_that_leads_nowhere_is_told(path: tuple[str | int, ...]) -> None:
    with refuses(ValueError, "nothing lies", "'made'"):
        Measured("made", path)


@pytest.mark.parametrize("path", [("rows", 0, "flag"), ("rows", 0, "words"), ("rows",), ()])
def test_what_is_no_number_is_told(path: tuple[str | int, ...]) -> None:
    with refuses(TypeError, "no number"):
        Measured("made", path)
    with refuses(ValueError, "no measurement"):
        Measured("other", ("count",))


def test_a_card_counts_and_quotes_and_keeps_its_tables_whole() -> None:
    """model-card tables break at a bar in a text: GitHub's Markdown ends the cell there."""
    page = card(SmallCNN(width=4)).markdown()
    for part in (
        "| parameters | 13,242 |",
        "0.9123 (made.json: rows, 0, right)",
        "12,345 of them",
        "reading \\| digits",
    ):
        assert part in page, part
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {3}
    assert card(SmallCNN(width=4))._repr_markdown_().startswith("**Model card: reader**")


def test_what_a_person_wrote_is_text_in_the_shown_card() -> None:
    """A name or a group with signs of HTML in it is neither a tag nor the end of a table."""
    shown = card(SmallCNN(width=4), name="<i>reader</i>")._repr_html_()
    for part in (
        "&lt;i&gt;reader&lt;/i&gt;",
        "7s|&lt;b&gt;",
        "reading | digits",
        "12,345 of them",
        "(made.json: rows, 0, right)",
    ):
        assert part in shown, part
    assert "<i>" not in shown
    assert "<b>" not in shown
    assert shown.count("<tbody>") == shown.count("</tbody>") == len(card(SmallCNN(width=4)).sections)


def test_multiplications_are_those_of_one_input() -> None:
    """Of SmallCNN(width=4) by hand: two convolutions with padding on 28² and 14², two linear layers."""
    by_hand = 28 * 28 * 9 * 4 + 14 * 14 * 9 * 4 * 8 + 8 * 49 * 32 + 32 * 10
    assert f"| {by_hand:,} |" in card(SmallCNN(width=4)).markdown()


def test_a_card_belongs_to_one_model_and_not_to_what_became_of_it() -> None:
    torch.manual_seed(0)
    model = SmallCNN(width=2)
    made = card(model)
    assert made.belongs_to(model)
    assert f"{made.digest[:16]}…" in made.markdown()
    with torch.no_grad():
        model.layers[1].bias[0] += 1e-3
    assert not made.belongs_to(model)


@pytest.mark.parametrize("numbers", [{"right": 0.98}, {"right": "98 %"}, {"right": np.float64(0.98)}])
@pytest.mark.parametrize("title", ["metrics", "by_group"])
def test_a_typed_number_is_refused(title: str, numbers: dict[str, object]) -> None:
    with refuses(TypeError, title, "typed by hand", "right"):
        card(SmallCNN(width=2), **{title: numbers})


@pytest.mark.parametrize("title", ["metrics", "by_group"])
def test_an_average_alone_and_no_number_at_all_are_refused(title: str) -> None:
    with refuses(ValueError, title, "empty"):
        card(SmallCNN(width=2), **{title: {}})


@pytest.mark.parametrize("title", WORDS)
@pytest.mark.parametrize("words", ["", "  \n", None, 3])
def test_words_are_words(title: str, words: object) -> None:
    with refuses(ValueError, title, "in words"):
        card(SmallCNN(width=2), **{title: words})


SHEET = {"name": "made", "origin": "drawn here", "people": "nobody", "not_for": "anything"}


def sheet(train, test, labels=(0, 1, 1), test_labels=(1, 0), **changes: object):
    data = {"test_images": test, "test_labels": torch.tensor(test_labels), **SHEET, "classes": 2} | changes
    return data_sheet(train, torch.tensor(labels), **data)


def test_a_sheet_counts_shapes_ranges_balance_and_doubles() -> None:
    a, b, c = torch.zeros(1, 2, 2), torch.ones(1, 2, 2), torch.full((1, 2, 2), 0.5)
    page = sheet(torch.stack([a, a, b]), torch.stack([b, c])).markdown()
    for part in (
        "| shape of an image | 1 × 2 × 2 |",
        "| train: images | 3 |",
        "| train: range | 0 to 1 |",
        "| train: smallest and largest class | 1 and 2 |",
        "| train: images that stand there more than once | 1 |",
        "| test: range | 0.5 to 1 |",
        "| test: images that stand there more than once | 0 |",
        "| test images that are in train, too | 1 |",
    ):
        assert part in page, part


def test_a_sheets_digest_is_of_images_and_labels_of_both_parts() -> None:
    train, test = torch.rand(3, 1, 2, 2), torch.rand(2, 1, 2, 2)
    digest = sheet(train, test).digest
    assert sheet(train.clone(), test).digest == digest
    changed = train.clone()
    changed[2, 0, 1, 1] += 1e-3
    others = [
        sheet(changed, test),
        sheet(train, test.flip(0)),
        sheet(train, test, (1, 1, 0)),
        sheet(train, test, test_labels=(0, 0)),
    ]
    assert len({digest, *(one.digest for one in others)}) == 5


def test_a_class_that_is_missing_is_a_class_of_none() -> None:
    page = sheet(torch.rand(3, 1, 2, 2), torch.rand(2, 1, 2, 2), classes=4).markdown()
    assert "| train: smallest and largest class | 0 and 2 |" in page


def test_parts_are_checked() -> None:
    good = torch.rand(2, 1, 2, 2)
    with refuses(ValueError, "train", "2 images and 3 labels"):
        sheet(good, good)
    with refuses(ValueError, "test", "0 images"):
        sheet(torch.rand(3, 1, 2, 2), good[:0], test_labels=())
    with refuses(ValueError, "one shape", "(1, 2, 2)", "(1, 3, 3)"):
        sheet(torch.rand(3, 1, 2, 2), torch.rand(2, 1, 3, 3))
    with refuses(ValueError, "classes"):
        sheet(torch.rand(3, 1, 2, 2), good, classes=0)
    with refuses(ValueError, "people", "in words"):
        sheet(torch.rand(3, 1, 2, 2), good, people="")
