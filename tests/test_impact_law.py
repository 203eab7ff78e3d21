"""Lecture 8.4: no rule without article, date and source; systems are sorted strictly where an answer is open."""

import itertools
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from bad_input import refuses
from page_code import page_code

SOURCE = Path(__file__).parents[1] / "lectures/80_impact/law.py"


@pytest.fixture(scope="module")
def page() -> Any:
    return page_code("80_impact/law", "SOURCES", "TABLE", "RULES", "FIELDS", "CHECKED")


def test_each_rule_has_an_article_a_day_or_an_age_and_an_official_source(page: Any) -> None:
    assert len(page.RULES) >= 16
    for rule in page.RULES:
        assert rule.article.isdigit()
        assert rule.asks
        assert re.fullmatch(r"(reg|dir)/\d{4}/\d+/oj", rule.source)
        assert f"https://eur-lex.europa.eu/eli/{rule.source}" in SOURCE.read_text(encoding="utf-8")
        assert rule.since is None or date(2024, 8, 1) < rule.since < date(2029, 1, 1)
    acts = {rule.article: rule.since for rule in page.RULES if rule.law == "AI Act"}
    assert acts["5"] == date(2025, 2, 2)
    assert acts["53"] == date(2025, 8, 2)
    assert acts["50"] == date(2026, 8, 2)
    assert {acts[str(n)] for n in range(9, 16)} == {date(2027, 12, 2)}, "as amended in 2026"


def test_every_article_of_the_prose_about_the_act_is_one_that_was_looked_up(page: Any) -> None:
    text = SOURCE.read_text(encoding="utf-8")
    named = {int(n) for n in re.findall(r"\(?article[s]? (\d+)", text)}
    looked_up = {int(rule.article) for rule in page.RULES} | {3, 4, 6, 19, 26}
    assert named <= looked_up


QUESTIONS = ("forbidden", "safety_part", "field", "only_prepares", "profiles", "talks_or_generates")
THREE = (True, False, None)
ANSWERS = [*itertools.product(THREE, THREE, ("", "education"), THREE, THREE, (True, False))]
ORDER = ["no duties of this kind", "transparency", "high risk", "forbidden"]


@pytest.mark.parametrize("answers", ANSWERS, ids=str)
def test_an_open_answer_is_never_milder_than_a_given_one(page: Any, answers: tuple[Any, ...]) -> None:
    given = dict(zip(QUESTIONS, answers, strict=True))
    found, still_open = page.classify(**given)
    for question in ("only_prepares", "profiles"):
        if given[question] is None:
            closed = [page.classify(**given | {question: answer})[0] for answer in (True, False)]
            assert ORDER.index(found) >= max(map(ORDER.index, closed))
            assert question.replace("_", " ") in still_open
    if given["forbidden"]:
        assert found == "forbidden"
    elif given["field"] and given["profiles"]:
        assert found == "high risk", "who profiles people in one of the eight fields has no way out"


def test_a_field_that_is_not_one_of_the_eight_is_refused(page: Any) -> None:
    assert len(page.FIELDS) == 8
    with refuses(ValueError, "biometrics", "'credit'"):
        page.classify(**dict.fromkeys(QUESTIONS, False) | {"field": "credit"})


def test_a_page_without_a_source_or_older_than_half_a_year_is_stale(page: Any) -> None:
    assert not page.stale(page.RULES, page.CHECKED, page.CHECKED)
    assert page.stale(page.RULES, page.CHECKED, date(2027, 6, 15))
    bare = [page.Rule("AI Act", "5", "x", None, "")]
    assert page.stale(bare, page.CHECKED, page.CHECKED)
