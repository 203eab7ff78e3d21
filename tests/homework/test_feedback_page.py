"""The page that a student gets back: what a browser may do with it, and what it says of the points."""

import re
from typing import Any

import pytest
from hostile.page import Page

from tml_helpers.grading import feedback, formulas, sanitize

POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)


def question(name: str, score: float | None, worth: float, message: str = "", comment: str = "") -> dict[str, Any]:
    return {"name": name, "score": score, "max_score": worth, "message": message, "comment": comment}


def comments(page: str) -> list[str]:
    return re.findall(r"<div class='comment'>(.*?)</div>", page, re.DOTALL)


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
    assert page.count(text) == 2 + 1 + 1 + 1, "title and heading, remarks, the table, and the message"
    assert comments(page) == ["<p>&lt;script&gt;'&amp;</p>\n"]
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
        "verdict lost'>0.285714 of 2.5 points",
        "verdict lost'>0 of 1 points",
        "verdict waiting'>waits for a human: – of 3 points",
    ]
    assert comments(page) == ["<p>nearly</p>\n", "<p>soon</p>\n"]
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


class TestWhatIsAbout:
    """Whose page it is, when it was due, and what was taken off."""

    def test_facts_stand_below_the_title(self) -> None:
        page = feedback.page("sums", [], [], "", facts={"student": "Ada <L> (ada)", "due": "tomorrow"})
        assert "<dl><dt>student</dt><dd>Ada &lt;L&gt; (ada)</dd><dt>due</dt><dd>tomorrow</dd></dl>" in page

    def test_what_is_taken_off_is_a_row_and_missing_from_the_score(self) -> None:
        page = feedback.page("sums", [question("a", 2, 3)], [], "", penalty=0.5)
        assert re.findall(r"<td class='points'>(.*?)</td>", page) == ["2 of 3", "&minus;0.5"]
        assert "<h1>sums (Score: 1.5 / 3.0)</h1>" in page

    def test_nothing_taken_off_is_no_row(self) -> None:
        assert "late" not in feedback.page("sums", [question("a", 2, 3)], [], "").partition("</style>")[2]


def text(source: str, room: sanitize.Room | None = None) -> str:
    """A text cell as it comes to the page."""
    return sanitize.html(feedback.fragment({"cell_type": "markdown", "source": source}, "", room))


MINUS = "\N{MINUS SIGN}"


class TestFormulas:
    """Browsers show MathML by themselves, so no script is needed."""

    @pytest.mark.parametrize(
        ("source", "math"),
        [
            ("$x^2$", "<msup><mi>x</mi><mn>2</mn></msup>"),
            (r"$\frac{1}{n}$", "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>"),
            (r"$\sqrt[3]{x_i} - \alpha$", f"<mroot><mrow><msub><mi>x</mi><mi>i</mi></msub></mrow><mn>3</mn></mroot>"
                                           f"<mo>{MINUS}</mo><mi>α</mi>"),
            ("$a<b$ &lt;i>", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
            (r"$\operatorname*{arg\,max}_k$", "<msub><mo>argmax</mo><mi>k</mi></msub>"),
            (r"$\mathbb{1}_A \label{eq}$", "<msub><mn>𝟙</mn><mi>A</mi></msub>"),
            (r"$\arg\max_k$", "<mo>arg</mo><msub><mo>max</mo><mi>k</mi></msub>"),
            (r"$\big\|x\big\|$", '<mo minsize="1.2em" maxsize="1.2em">‖</mo><mi>x</mi>'
                                 '<mo minsize="1.2em" maxsize="1.2em">‖</mo>'),
            (r"$\text{a & <b>}$", "<mtext>a\N{NO-BREAK SPACE}&amp;\N{NO-BREAK SPACE}&lt;b&gt;</mtext>"),
        ],
    )  # fmt: skip
    def test_in_a_line(self, source: str, math: str) -> None:
        assert f'<p><math display="inline"><mrow>{math}</mrow></math>' in text(source).replace("&nbsp;", "\xa0")

    @pytest.mark.parametrize("source", ["$$\nx\n$$", "$$x$$", "a $$x$$", "- a\n\n  $$\n  x\n  $$", "> $$\n> x\n> $$"])
    def test_of_its_own(self, source: str) -> None:
        assert '<math display="block"><mrow><mi>x</mi></mrow></math>' in text(source)

    def test_what_is_sought_stands_below(self) -> None:
        assert "<munder><mo>max</mo><mi>k</mi></munder>" in text(r"$$\max_k$$")

    @pytest.mark.parametrize(("source", "items"), [("- a\n\n  $$\n  b\n  - c\n  $$", 1), ("> $$\n> b\n> - c\n> $$", 0)])
    def test_in_a_list_or_a_quote_a_dash_is_a_minus(self, source: str, items: int) -> None:
        assert text(source).count("<li>") == items

    @pytest.mark.parametrize("kind", ["align", "align*", "aligned"])
    def test_lines_that_are_aligned(self, kind: str) -> None:
        """Also without dollar signs, as notebooks have them; a line that begins with a dash is no list."""
        formula = rf"\begin{{{kind}}}" + "\na &= b \\\\\n- c\n" + rf"\end{{{kind}}}"
        for shown in (text(f"so\n\n{formula}\n\nis"), text(f"$$\n{formula}\n$$")):
            assert shown.count("<mtr>") == 2
            assert not {"<li>", "<code>", "(1)"} & set(re.findall(r"<li>|<code>|\(1\)", shown))

    @pytest.mark.parametrize(
        "tex",
        [
            r"\undefined{x}", r"x}{", r"\frac", "x & y", r"\href{javascript:alert(1)}{x}", r"\class{verdict}{x}",
            r"\style{position:fixed}{x}", r"\def\a{xx}\def\b{\a\a}\b", r"\newcommand{\a}{x}\a",
            "x" * (formulas.LONGEST + 1), "{" * 1900, r"\rlap{x}",
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_shown_as_it_was_typed(self, tex: str) -> None:
        assert text(f"a ${tex}$ b") == f"<p>a <code>{tex.replace('&', '&amp;')}</code> b</p>\n"

    def test_money_and_code_are_no_formulas(self) -> None:
        assert "<math" not in text(r"`$x$` is code, \$x\$ is no formula, and it costs $5, or $6")

    def test_nothing_is_moved_over_the_points(self) -> None:
        """A width may be small, and only to the right."""
        widths = {w: f'<mspace width="{w}">' in text(rf"$a\hspace{{{w}}}b$") for w in ("1em", "-1em", "99em", "1e9px")}
        assert widths == {"1em": True, "-1em": False, "99em": False, "1e9px": False}
        assert "<mspace>" in formulas.mathml(r"a\hspace{-1em}b"), "before anybody looks at it again"

    def test_there_is_room_for_so_many(self) -> None:
        """In the notebook as a whole: what comes later is shown as it was typed."""
        room = sanitize.Room(formulas=3)
        shown = text("$a$ $b$ $cd$ $e$", room) + text("$f$", room)
        assert re.findall(r"<(?:code|mi)>(\w+)<", shown) == ["a", "b", "cd", "e", "f"]
        assert re.findall(r"<code>(\w+)<", shown) == ["cd", "f"]

    def test_a_comment_has_them_too(self) -> None:
        comment = "**Nearly**: $x^2$, see [this](https://example.org) ![p](https://example.org/a.png) <b>"
        (shown,) = comments(feedback.page("sums", [question("a", 0, 1, "", comment)], [{"name": "a", "html": ""}], ""))
        assert shown == (
            '<p><strong>Nearly</strong>: <math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>, '
            'see <a href="https://example.org" rel="noopener noreferrer">this</a> <img alt="p"> &lt;b&gt;</p>\n'
        )


class TestHostileMathML:
    """What claims to come from the grading of a submission, and was made by it."""

    @pytest.mark.parametrize(
        "evil",
        [
            "<math><mtext><script>alert(1)</script></mtext></math>",
            "<math><mi><img src=//a.org/x onerror=alert(1)></mi></math>",
            "<math><annotation-xml encoding='text/html'><iframe srcdoc='<script>'></iframe></annotation-xml></math>",
            "<math><mglyph><style><img src=//a.org/x onerror=alert(1)></style></mglyph></math>",
            "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=//a.org/x onerror=a()&gt;'>",
            "<form><math><mtext></form><form><mglyph><style></math><img src=//a.org/x onerror=alert(1)>",
            "<math><maction actiontype='statusline' xlink:href='javascript:alert(1)'>x</maction></math>",
            "<math href='javascript:alert(1)'><mrow xlink:href='javascript:alert(1)' onclick='a()'>x</mrow></math>",
            "<svg><math><mtext><a href='javascript:alert(1)'>x</a></mtext></math></svg>",
            "<math><semantics><annotation encoding='application/x-tex'><style>*{display:none}</style></annotation>",
        ],
    )
    def test_nothing_runs_or_fetches(self, evil: str) -> None:
        cleaned = sanitize.html(f"<p>a {evil} b</p>")
        assert not Page(cleaned).found
        assert "src=" not in cleaned
        assert sanitize.html(cleaned) == cleaned, "a second look finds nothing more"

    @pytest.mark.parametrize("element", ["annotation-xml", "maction", "mglyph", "mpadded", "ms", "semantics"])
    def test_no_other_element_stays(self, element: str) -> None:
        assert f"<{element}" not in sanitize.html(f"<math><mtext>a<{element}>x</{element}></mtext><{element}>y</math>")

    @pytest.mark.parametrize(
        "attribute",
        [
            "style='position:fixed'", "class='verdict'", "href='https://example.org'", "width='-20em'", "width='99em'",
            "voffset='9em'", "mathsize='99em'", "mathbackground='white'", "minsize='99em'", "id='question-a'",
            "linethickness='99em'", "scriptlevel='-99'", "columnalign='url(x)'",
        ],
    )  # fmt: skip
    def test_no_attribute_covers_what_stands_elsewhere(self, attribute: str) -> None:
        for element in formulas.ELEMENTS:
            inner = f"<{element} {attribute}><mi>x</mi></{element}>"
            shown = sanitize.html(inner if element == "math" else f"<math>{inner}</math>")
            assert re.findall(r"<\w+( [^>]*)>", shown) == []
