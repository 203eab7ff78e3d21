"""The page that a student gets back: what a browser may do with it, and what it says of the points."""

import re
from typing import Any

import pytest

from tml_helpers.grading import feedback

POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)


def question(name: str, score: float | None, worth: float, message: str = "", comment: str = "") -> dict[str, Any]:
    return {"name": name, "score": score, "max_score": worth, "message": message, "comment": comment}


def verdicts(page: str) -> list[str]:
    """Each question's verdict: its class, and what it says."""
    return re.findall(r"<p class='(verdict.*?'>.*?)</p>", page)


def test_the_policy_stands_before_any_content() -> None:
    """A browser keeps a policy from where it stands: so nothing may come before it that could fetch or run."""
    page = feedback.page("<b>homework", [question("a", 1, 1)], [{"name": "a", "html": "<p>mine</p>"}], "remarks")
    begin = f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>{POLICY}"
    assert page.startswith(begin)
    assert page.count("Content-Security-Policy") == 1
    rest = page.removeprefix(begin)
    assert rest.index("<title>") < rest.index("<style>") < rest.index("</head>") < rest.index("<p>mine</p>")


def test_what_people_wrote_is_text() -> None:
    evil = "<script>'&"
    text = "&lt;script&gt;&#x27;&amp;"
    page = feedback.page(evil, [question(evil, 0, 1, evil, evil)], [{"name": evil, "html": "<p>fine</p>"}], evil)
    assert "<script" not in page
    assert page.count(text) == 2 + 1 + 1 + 2, "title and heading, remarks, the table, the message and the comment"
    assert "<p>fine</p>" in page


def test_points_of_each_question_and_of_all() -> None:
    questions = [
        question("whole", 2.0, 2.0),
        question("third", 1 / 3, 1.0, "look again"),
        question("seventh", 2 / 7, 2.5, comment="nearly"),
        question("none", 0.0, 1.0),
        question("essay", None, 3.0, comment="soon"),
    ]
    page = feedback.page("sums", questions, [{"name": q["name"], "html": ""} for q in questions], "")
    assert re.findall(r"<td class='points'>(.*?)</td>", page) == [
        "2 of 2",
        "0.333333 of 1",
        "0.285714 of 2.5",
        "0 of 1",
        "– of 3",
    ]
    assert verdicts(page) == [
        "verdict'>2 of 2 points",
        "verdict lost'>0.333333 of 1 points: look again",
        "verdict lost'>0.285714 of 2.5 points<br>nearly",
        "verdict lost'>0 of 1 points",
        "verdict waiting'>waits for a human: – of 3 points<br>soon",
    ]
    assert "<h1>sums (Score: 2.6 / 9.5)</h1>" in page  # 2 + 1/3 + 2/7 of 9.5, as nbgrader's page has it


def test_each_verdict_stands_below_its_cell() -> None:
    """And the table leads to it; a question without a cell is in the table alone."""
    fragments = [
        {"name": "", "html": "<i>0</i>"},
        {"name": "b c", "html": "<i>1</i>"},
        {"name": "", "html": "<i>2</i>"},
    ]
    page = feedback.page("sums", [question("a", 1, 1), question("b c", 0, 2)], fragments, "late <by> a day")
    body = page.partition("</table>")[2]
    assert body.startswith(
        "<section><i>0</i></section>"
        "<section id='question-b-c'><i>1</i><p class='verdict lost'>0 of 2 points</p></section>"
        "<section><i>2</i></section></main>"
    )
    assert re.findall(r"<a href='(.*?)'>(.*?)</a>", page) == [("#question-a", "a"), ("#question-b-c", "b c")]
    assert "<p>late &lt;by&gt; a day</p>" in page


def code(*outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": "", "outputs": list(outputs)}


@pytest.mark.parametrize(
    ("output", "html"),
    [
        ({"output_type": "stream", "text": "<b>"}, "<pre class='output'>&lt;b&gt;</pre>"),
        (
            {"output_type": "error", "traceback": ["a", "<b>"], "ename": "", "evalue": ""},
            "<pre class='output'>a\n&lt;b&gt;</pre>",
        ),
        (
            {"output_type": "error", "traceback": [], "ename": "E", "evalue": "<b>"},
            "<pre class='output'>E: &lt;b&gt;</pre>",
        ),
        ({"output_type": "display_data", "data": {"text/plain": "<b>"}}, "<pre class='output'>&lt;b&gt;</pre>"),
        (
            {"output_type": "display_data", "data": {"text/plain": "x", "image/jpeg": "A\nB", "image/png": "C\n"}},
            "<p><img alt='a picture that this cell shows' src='data:image/png;base64,C'></p>",
        ),
        (
            {"output_type": "display_data", "data": {"text/plain": "x", "image/jpeg": "A\nB'"}},
            "<p><img alt='a picture that this cell shows' src='data:image/jpeg;base64,AB&#x27;'></p>",
        ),
    ],
)
def test_an_output(output: dict[str, Any], html: str) -> None:
    """A failed test's message stands in its verdict instead."""
    assert feedback.fragment(code(output), "").endswith(f"</div>\n{html}")
    assert html not in feedback.fragment(code(output), "it failed")


def test_text_is_shown_as_it_was_typed() -> None:
    fragment = feedback.fragment({"cell_type": "markdown", "source": "*a* &lt;b> `x&lt;y` <i>"}, "")
    assert fragment == "<p><em>a</em> &lt;b&gt; <code>x&lt;y</code> &lt;i&gt;</p>\n"
