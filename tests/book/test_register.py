"""What is registered is read from the sources: nothing is listed by hand, and what a source lacks is said."""

import re
import sys
from pathlib import Path

import pytest
from built_site import ROOT
from catalogue import FACTS, Card, Catalogue
from tables import chapters, data_cards, modules

from tml_helpers import doctor
from tml_helpers.data import LOADERS

sys.path += [str(ROOT / "tools"), str(ROOT / "tests")]
import register
from test_public_api import offered, source

CATALOGUE = Catalogue(ROOT)


def public_names() -> list[tuple[str, str]]:
    """Every name that the library offers, after its module."""
    return [(module, name) for module in CATALOGUE.modules for name in offered(source(ROOT, f"tml_helpers.{module}"))]


def numbers() -> list[str]:
    """Of every lecture and homework; none where one has no number, of which the first test tells."""
    try:
        return [page.name for page in [*CATALOGUE.lectures, *CATALOGUE.homework]]
    except ValueError:
        return []


def words(file: Path) -> set[str]:
    return set(re.findall(r"\w+", file.read_text(encoding="utf-8")))


def test_all_that_is_made_from_the_sources_is_up_to_date() -> None:
    differing = [str(file.relative_to(ROOT)) for file in register.stale(ROOT)]
    assert differing == [], f"run `make register`, which writes {', '.join(differing)} from the sources"


def test_the_change_log_names_all_that_there_is() -> None:
    log = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "changes").rglob("*.md")))
    named = set(re.findall(r"\w+(?:\.\w+)*", log))
    missing = [name for name in [*numbers(), *map(".".join, public_names())] if name not in named]
    assert missing == [], f"write changes/unreleased/WHAT.md: no file of changes/ names {', '.join(missing)}"


def test_every_public_function_has_a_test() -> None:
    """What `common` offers is reached through the methods that share it."""
    tests = [words(file) for file in (ROOT / "tests").rglob("test_*.py")]
    shared = {name for module, name in public_names() if module == "common"}
    functions = [(module, name) for module, name in public_names() if name.islower() and name not in shared]
    missing = [f"{module}.{name}" for module, name in functions if not any({module, name} <= test for test in tests)]
    assert missing == [], f"no test names {', '.join(missing)}: write one in tests/"


def test_a_package_offers_the_function_that_a_module_is_named_after() -> None:
    for file in sorted((ROOT / "tml_helpers").glob("*/[!_]*.py")):
        if f"\ndef {file.stem}(" in file.read_text(encoding="utf-8"):
            package = file.parent.name
            names = offered(source(ROOT, f"tml_helpers.{package}"))
            assert file.stem in names, f"name {file.stem} in tml_helpers/{package}/__init__.py, and in its __all__"


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, sentence in CATALOGUE.modules.items() if not sentence]
    assert silent == [], f"write a docstring, whose first line goes into the book, for tml_helpers.{', '.join(silent)}"


def test_every_data_set_has_a_card_and_every_card_a_data_set() -> None:
    cards = {card.name for card in CATALOGUE.cards}
    missing = [f"book/data_cards/{name}.md" for name in sorted(LOADERS.keys() - cards)]
    assert missing == [], f"write {', '.join(missing)}: a data set has a card"
    lost = sorted(cards - LOADERS.keys())
    assert lost == [], f"import {', '.join(lost)} in tml_helpers/data/__init__.py, or remove the card: it has no loader"


@pytest.mark.parametrize("card", CATALOGUE.cards, ids=lambda card: card.name)
def test_a_card_has_all_its_parts(card: Card) -> None:
    file = f"book/data_cards/{card.name}.md"
    missing = [fact for fact in FACTS if not getattr(card, fact)]
    assert missing == [], f"write between two lines `---` at the head of {file}: {', '.join(missing)}"
    for part in ("Origin", "icence", "How it is loaded", "not good for", "Harms"):
        assert re.search(rf"^## .*{part}", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (
            f"no section {part}"
        )


# --- on a book of our own ---

TITLE = "# %% [markdown]\n# # {}\n"
CARD = "---\nshows: cats\nsize: 5\npeople: none\n---\n\n# Cats\n"
LISTS = ("lectures", "homework", "data cards", "modules")
CHAPTERS = """\
- {number: 1, title: Distillation, question: How small}
- {number: 2, title: Attacks, question: How near, complete: true}
- {number: 3, title: Fairness, question: For whom}
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of three lectures, a homework, a data set and a module, all of it registered."""
    files = {
        "book/chapters.yml": CHAPTERS,
        "book/_toc.yml": "".join(f"# register: {name}\n# register: end\n" for name in LISTS),
        "book/data_cards/cats.md": CARD,
        "lectures/10_one/z.py": TITLE.format("1.1 First"),
        "lectures/10_one/y.py": TITLE.format("1.10 Tenth"),
        "lectures/10_one/x.py": TITLE.format("1.2 Second"),
        "solutions/h2_two/h2_two.py": "# ---\n# ---\n\n" + TITLE.format("H2 · Two"),
        "tml_helpers/__init__.py": "",
        "tml_helpers/_private.py": "",
        "tml_helpers/pets.py": '"""What purrs.\n\nMore."""',
        "changes/0.1.0/a.md": "One\nchange.\n",
        "changes/0.10.0/a.md": "Later.\n",
        "changes/unreleased/a.md": "New.\n\nAnd more.\n",
        "README.md": "".join(f"<!-- register: {name} -->\n<!-- register: end -->\n" for name in ("needs", "chapters")),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    write(tmp_path)
    assert register.stale(tmp_path) == {}
    return tmp_path


def write(root: Path) -> None:
    for file, text in register.stale(root).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(text), encoding="utf-8")


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_lists_are_in_the_order_of_the_numbers(book: Path) -> None:
    contents = (book / "book/_toc.yml").read_text(encoding="utf-8")
    assert re.findall(r"lectures/10_one/(\w)", contents) == ["z", "x", "y"]
    assert re.findall(r"caption: (.*)", contents) == ["1 Distillation"]
    assert re.findall(r"exercises/(\S+)", contents) == ["h2_two/h2_two"]
    assert re.findall(r"book/(data_cards|api)/(\w+)", contents) == [("data_cards", "cats"), ("api", "pets")]
    readme = (book / "README.md").read_text(encoding="utf-8").splitlines()
    assert readme[1 : readme.index("<!-- register: end -->")] == doctor.table()
    assert readme[-4:-1] == [
        "| 1 Distillation | lectures 1.1–1.2, 1.10, the rest in preparation |",
        "| 2 Attacks | homework H2 |",
        "| 3 Fairness | in preparation |",
    ]
    assert "automodule:: tml_helpers.pets\n" in (book / "book/api/pets.md").read_text(encoding="utf-8")


def test_the_change_log_is_made_of_the_files_the_newest_version_first(book: Path) -> None:
    lists = (book / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n## ")[2]
    assert lists == "Unreleased\n\n- New.\n\n  And more.\n\n## 0.10.0\n\n- Later.\n\n## 0.1.0\n\n- One\n  change.\n"


def test_tables_of_the_book_link_to_what_there_is(book: Path) -> None:
    first, second, third = chapters(Catalogue(book))[2:]
    assert "[1.2 Second](/lectures/10_one/x)<br>[1.10 Tenth](/lectures/10_one/y)" in first
    assert first.endswith("<br>the rest in preparation |")
    assert second == "| 2 | Attacks | How near | [Homework H2](/exercises/h2_two/h2_two) |"
    assert third.endswith("| in preparation |")
    assert data_cards(Catalogue(book))[2:] == ["| [Cats](/book/data_cards/cats) | cats | 5 | none |"]
    assert modules(Catalogue(book))[2:] == ["| [`pets`](/book/api/pets) | What purrs. |"]


@pytest.mark.parametrize(
    ("file", "old", "new", "made"),
    [
        ("lectures/10_one/x.py", "1.2", "1.3", "README.md"),
        ("lectures/10_one/x.py", "1.2", "1.20", "book/_toc.yml"),
        ("solutions/h2_two/h2_two.py", "H2", "H3", "README.md"),
        ("book/chapters.yml", "Attacks", "Attack", "README.md"),
        ("changes/unreleased/a.md", "New", "Newer", "CHANGELOG.md"),
    ],
)
def test_a_change_of_a_source_makes_its_lists_stale(book: Path, file: str, old: str, new: str, made: str) -> None:
    change(book / file, old, new)
    assert book / made in register.stale(book)


def test_a_module_that_comes_gets_a_page_and_one_that_goes_loses_it(book: Path) -> None:
    (book / "tml_helpers/pets.py").rename(book / "tml_helpers/beasts.py")
    stale = register.stale(book)
    assert "tml_helpers.beasts" in str(stale[book / "book/api/beasts.md"])
    assert stale[book / "book/api/pets.md"] is None


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("lectures/10_one/x.py", "1.2 ", "", "lectures/10_one/x.py begins with no title such as `# # 4.6 Title`"),
        (
            "lectures/10_one/x.py",
            "1.2",
            "7.2",
            "book/chapters.yml has no chapter 7, to which lectures/10_one/x belongs",
        ),
        ("lectures/10_one/x.py", "1.2", "1.1", "lectures/10_one/x and lectures/10_one/z have one number, 1.1"),
        (
            "solutions/h2_two/h2_two.py",
            "·",
            "-",
            "solutions/h2_two/h2_two.py begins with no title such as `# # H4 · Title`",
        ),
        ("README.md", "chapters", "chapter", "expected one list between `register: chapters` and `register: end`"),
    ],
)
def test_what_a_source_lacks_is_one_sentence(book: Path, file: str, old: str, new: str, complaint: str) -> None:
    change(book / file, old, new)
    with pytest.raises(ValueError, match=re.escape(complaint)):
        register.stale(book)


def test_what_a_card_or_a_docstring_does_not_say_is_empty(book: Path) -> None:
    change(book / "book/data_cards/cats.md", "people: none\n", "")
    (book / "book/data_cards/dogs.md").write_text("# Dogs\n", encoding="utf-8")
    (book / "tml_helpers/pets.py").write_text("x = 1", encoding="utf-8")
    cats, dogs = Catalogue(book).cards
    assert (cats.shows, cats.people, dogs.shows, dogs.people) == ("cats", "", "", "")
    assert Catalogue(book).modules == {"pets": ""}


def test_a_folder_without_its_source_is_named(book: Path) -> None:
    (book / "solutions/h3_three").mkdir()
    with pytest.raises(ValueError, match=r"solutions/h3_three/h3_three\.py is missing"):
        register.stale(book)
