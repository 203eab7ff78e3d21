"""Who is in the class: the tables that are read as they are, and who of them it is that handed something in."""

from pathlib import Path

import pytest

from tml_helpers.grading.roster import Person, Roster, _read

CANVAS = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,sums (7)
    Points Possible,,,,,5
"Doe, Jr., Jane",12345,s1,jane,A,3
"Student, Test",99,,,A,
Prince,678,s2,prince,A,
"""
WORKSHEET = """Identifier,Full name,Email address,Status,Grade
Participant 11,Jane Doe,jane@example.org,"No submission",
Participant 12,Jürgen O'Neil,j@example.org,,
"""
PARTICIPANTS = """"First name";Surname;"ID number";"Email address"
Jane;Doe;;jane@example.org
"""
NBGRADER = """id,first_name,last_name,email,lms_user_id
ada, Ada ,Lovelace,ada@example.org,12
bob,,,,
,,,,
"""


def read(place: Path, text: str) -> list[Person]:
    file = place / "students.csv"
    file.write_text(text, encoding="utf-8", newline="\r\n")
    return _read(file)


def test_nbgrader_s(tmp_path: Path) -> None:
    assert read(tmp_path, NBGRADER) == [Person("ada", "Ada", "Lovelace", "ada@example.org", "12"), Person("bob")]
    assert read(tmp_path, "ID\nada\n") == [Person("ada")]


def test_canvas_s(tmp_path: Path) -> None:
    """Neither the points possible nor the test student is in the class."""
    assert read(tmp_path, CANVAS) == [
        Person("12345", "Jr., Jane", "Doe", number="12345", login="jane"),
        Person("678", "", "Prince", number="678", login="prince"),
    ]


def test_moodle_s(tmp_path: Path) -> None:
    assert read(tmp_path, WORKSHEET) == [
        Person("Jane_Doe_11", "Jane Doe", "", "jane@example.org"),
        Person("Jürgen_O'Neil_12", "Jürgen O'Neil", "", "j@example.org"),
    ]
    assert read(tmp_path, PARTICIPANTS) == [Person("Jane_Doe", "Jane", "Doe", "jane@example.org")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,mail\nada,a\n", "is no class list: its first line is id,first_name"),
        ("", "is no class list"),
        ("id\nada\nada\n", "has ada twice: give each student one line"),
        ("First name,Last name,Email address\nJo,A,x@y\nJo,A,z@y\n", "grading worksheet tells two of one name apart"),
    ],
)
def test_what_is_no_class_list(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)


def test_a_table_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "students.csv").write_bytes("id\nzoë\n".encode("latin-1"))
    with pytest.raises(ValueError, match="save it as CSV UTF-8"):
        _read(tmp_path / "students.csv")


@pytest.mark.parametrize(
    ("student", "who"),
    [
        ("ada", "ada"), ("12", "ada"), ("lady", "ada"), ("a@example.org", "ada"), ("bob", "bob"),
        ("Ada_Lovelace_7", "ada"), ("ada_lovelace_8", "ada"), ("Ada_Lovelace", None),
        ("Jo_A_1", "Jo_A_1"), ("Jo_A_2", "Jo_A_2"), ("Jo_A_3", None),
        ("Jürgen_ONeil_4", "Jürgen_O'Neil_12"), ("Nobody_1", None), ("", None),
    ],
)  # fmt: skip
def test_whose_an_id_is(student: str, who: str | None) -> None:
    """Moodle's number is another in each assignment, and a file's name lacks an apostrophe; two of one name are not
    guessed."""
    class_list = [
        Person("ada", "Ada", "Lovelace", "a@example.org", "12", "lady"),
        Person("bob"),
        Person("eve", login="bob"),
        Person("Jo_A_1", "Jo A"),
        Person("Jo_A_2", "Jo A"),
        Person("Jürgen_O'Neil_12", "Jürgen O'Neil"),
    ]
    found = Roster(class_list, {}).entry(student)
    assert (found.id if found else None) == who


def test_who_is_missing() -> None:
    roster = Roster([Person("ada", number="1"), Person("bob"), Person("Jo_A", "Jo", "A")], {"zoe": Person("zoe")})
    assert [person.id for person in roster.missing(["1", "zoe", "Jo_A_9"])] == ["bob"]
    assert roster.missing(["anon_aB3xY"]) == [], "in an anonymous assignment nobody knows"
    assert Roster([], {"zoe": Person("zoe")}).missing([]) == [], "without a list, nobody is missing"


def test_the_gradebook_says_what_the_list_does_not() -> None:
    known = {"ada": Person("ada", "A", "L", "old@example.org", "5"), "eve": Person("eve", "Eve", "E", "e@example.org")}
    roster = Roster([Person("ada", "Ada", "Lovelace", login="lady")], known)
    assert roster.person("ada") == Person("ada", "Ada", "Lovelace", "old@example.org", "5", "lady")
    assert roster.person("eve") == known["eve"]
    assert roster.person("x") == Person("x")
    assert (roster.person("ada").name, roster.person("ada").sorted_name) == ("Ada Lovelace", "Lovelace, Ada")
