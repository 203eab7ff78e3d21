"""A threat model's card: its lines, and what it refuses to leave unsaid."""

import pytest
from bad_input import refuses
from bs4 import BeautifulSoup

from tml_helpers.threat_models import ThreatModel

CARD = {"goal": "any wrong class", "knowledge": "black box", "capability": "8/255 in L∞"}


def test_the_card_says_what_it_was_told_in_its_order() -> None:
    card = ThreatModel(**CARD, queries=12_000, out_of_scope="patches")
    lines = {**CARD, "queries": "12,000", "out of scope": "patches"}
    assert list(card.rows().items()) == list(lines.items())
    for name, answer in lines.items():
        assert f"| **{name}** | {answer} |\n" in card._repr_markdown_()
        assert any(line.split() == [*name.split(), *answer.split()] for line in str(card).splitlines())


def test_the_card_in_html_is_a_table_with_row_headers_and_a_caption() -> None:
    card = ThreatModel(**CARD | {"goal": "any class <b> & not 'a'"}, queries=12_000)
    table = BeautifulSoup(card._repr_html_(), "html.parser").table
    assert table is not None
    assert table.caption is not None
    assert table.caption.get_text() == "Threat model"
    assert {th.get_text(): th.find_next("td").get_text() for th in table.select('tr > th[scope="row"]')} == card.rows()


def test_what_is_not_said_is_left_out_and_no_limit_is_said() -> None:
    assert ThreatModel(**CARD).rows() == {**CARD, "queries": "as many as the attacker likes"}
    assert ThreatModel(**CARD, queries=0).rows()["queries"] == "0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"knowledge": "omniscient"}, ["white box", "'omniscient'"]),
        ({"goal": " "}, ["goal and capability"]),
        ({"capability": ""}, ["goal and capability"]),
        *(({"queries": bad}, ["queries", repr(bad)]) for bad in (-1, 2.5, float("nan"), True, "many")),
    ],
)
def test_it_refuses(change: dict[str, object], words: list[str]) -> None:
    with refuses(ValueError, *words):
        ThreatModel(**CARD | change)
