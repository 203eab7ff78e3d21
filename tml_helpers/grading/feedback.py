"""The page that a student gets back: their notebook, the points, and what each failed test says."""

import functools
import html
import re
import urllib.parse
from typing import Any

from tml_helpers.grading import formulas, sanitize

# No script, no request: whatever the page's content is, a browser runs and fetches nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
pre { overflow-x: auto; padding: .7rem .9rem; border-radius: 6px; background: #f3f4f6; font-size: .875rem; }
pre.output { background: none; border-left: 3px solid #c9ced6; border-radius: 0; }
img { max-width: 100%; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .25rem .9rem .25rem 0; text-align: left; }
td.points, th.points { text-align: right; font-variant-numeric: tabular-nums; }
section { margin: 1.4rem 0; }
section > code { display: block; white-space: pre-wrap; }
math { font-size: 1.1em; } [mathvariant^=bold] { font-weight: bold; }
math[display=block] { margin: .8rem 0; overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem; } dd { margin: 0; }
.comment { border-left: 4px solid #57606a; padding: .1rem .8rem; }
.verdict { border-left: 4px solid #1a7f37; padding: .3rem .8rem; background: #e9f6ec; color: #10401e; }
.verdict.lost { border-color: #b42318; background: #fdeceb; color: #6b140c; }
.verdict.waiting { border-color: #8a6100; background: #fff4d6; color: #533b00; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #14171b; } pre { background: #20252b; }
  .verdict { background: #12301b; color: #c9efd3; } .verdict.lost { background: #3b1512; color: #ffd9d5; }
  .verdict.waiting { background: #3a2c06; color: #ffe7ad; } }
"""


def fragment(cell: dict[str, Any], message: str, room: sanitize.Room | None = None) -> str:
    """One cell of a cleaned notebook as HTML, with what its test says; formulas are typeset while there is room."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    if cell["cell_type"] != "code":
        text = markdown(cell["source"].replace("&lt;", "<"), room or sanitize.Room())
        return _with_pictures(text, cell.get("attachments", {}))
    code: str = highlight(cell["source"], PythonLexer(), HtmlFormatter())
    # A failed test's message stands in its verdict.
    return code + "".join(map(_output, cell["outputs"] if not message else []))


def markdown(source: str, room: sanitize.Room) -> str:
    """A text as HTML: what is HTML in it is shown as it was typed, and its formulas are typeset."""
    import mistune
    from mistune.plugins.math import math_in_list, math_in_quote

    def formula(_: Any, tex: str, display: str = "inline") -> str:
        return formulas.mathml(tex, display) if room.has("formulas", tex) else formulas.typed(tex)

    renderer = mistune.HTMLRenderer(escape=True, allow_harmful_protocols=["attachment:"])
    plugins: list[Any] = ["table", "strikethrough", "math", math_in_list, math_in_quote, _environments]
    made = mistune.create_markdown(renderer=renderer, plugins=plugins)
    renderer.register("inline_math", formula)
    renderer.register("block_math", functools.partial(formula, display="block"))
    return str(made(source))


def _environments(made: Any) -> None:
    """For mistune: a formula between `\\begin` and `\\end`, without dollar signs."""

    def formula(_: Any, found: re.Match[str], state: Any) -> int:
        state.append_token({"type": "block_math", "raw": found["tex"]})
        return found.end()

    made.block.register("environment", formulas.ENVIRONMENT, formula, before="list")


def _with_pictures(text: str, attachments: dict[str, dict[str, str]]) -> str:
    """The HTML of a cell of text, with the pictures that the cell brings."""

    def data(found: re.Match[str]) -> str:
        file = attachments.get(urllib.parse.unquote(html.unescape(found[1])), {})
        return next(
            (f'src="data:{kind};base64,{"".join(content.split())}"' for kind, content in file.items()), found[0]
        )

    return re.sub('src="attachment:([^"]*)"', data, text)


def page(
    title: str,
    questions: list[dict[str, Any]],
    fragments: list[dict[str, str]],
    remarks: str,
    *,
    facts: dict[str, str] | None = None,
    penalty: float = 0,
) -> str:
    """The whole page. questions: name, score or None, max_score, message, comment; fragments: name, html.

    facts: what stands below the title, by its name, as the student or the due date. penalty: the points that are taken
    off for being late.
    """
    by_name = {question["name"]: question for question in questions}
    score = sum(q["score"] or 0 for q in questions) - penalty
    worth = sum(q["max_score"] for q in questions)
    about = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in (facts or {}).items())
    rows = "".join(
        f"<tr><td><a href='#{_id(q['name'])}'>{html.escape(q['name'])}</a></td>"
        f"<td class='points'>{_points(q)}</td></tr>"
        for q in questions
    )
    if penalty:
        rows += f"<tr><td>handed in late</td><td class='points'>&minus;{penalty:g}</td></tr>"
    body = "".join(
        f"<section id='{_id(f['name'])}'>{f['html']}{_verdict(by_name[f['name']])}</section>"
        if f["name"] in by_name
        else f"<section>{f['html']}</section>"
        for f in fragments
    )
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}{_colours()}</style></head><body><main>"
        f"<h1>{html.escape(title)} (Score: {score:.1f} / {worth:.1f})</h1>"
        f"<dl>{about}</dl><p>{html.escape(remarks)}</p>"
        "<table><thead><tr><th>question</th><th class='points'>points</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{body}</main></body></html>\n"
    )


@functools.cache
def _colours() -> str:
    """The colours of code, for pages in light and in dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    return f"{light} .highlight {{ background: none }} @media (prefers-color-scheme: dark) {{ {dark} }}"


def _verdict(question: dict[str, Any]) -> str:
    return f"{_judgement(question)}{_comment(question['comment'])}"


def _judgement(question: dict[str, Any]) -> str:
    if question["score"] is None:
        return f"<p class='verdict waiting'>waits for a human: {_points(question)} points</p>"
    kind = "verdict" if question["score"] >= question["max_score"] else "verdict lost"
    message = f": {html.escape(question['message'])}" if question["message"] else ""
    return f"<p class='{kind}'>{_points(question)} points{message}</p>"


def _comment(text: str) -> str:
    """What the one who graded wrote, which may be Markdown."""
    if not text.strip():
        return ""
    return f"<div class='comment'>{sanitize.html(markdown(text, sanitize.Room()))}</div>"


def _points(question: dict[str, Any]) -> str:
    got = "–" if question["score"] is None else f"{question['score']:g}"
    return f"{got} of {question['max_score']:g}"


def _id(name: str) -> str:
    return "question-" + "".join(c if c.isalnum() else "-" for c in name)


def _output(output: dict[str, Any]) -> str:
    """An output of a cleaned cell: text escaped, pictures inline."""
    if output["output_type"] == "stream":
        return f"<pre class='output'>{html.escape(output['text'])}</pre>"
    if output["output_type"] == "error":
        lines = output["traceback"] or [f"{output['ename']}: {output['evalue']}"]
        return f"<pre class='output'>{html.escape(chr(10).join(lines))}</pre>"
    for kind in ("image/png", "image/jpeg"):
        if kind in output["data"]:
            picture = html.escape("".join(output["data"][kind].split()))
            return f"<p><img alt='a picture that this cell shows' src='data:{kind};base64,{picture}'></p>"
    return f"<pre class='output'>{html.escape(output['data']['text/plain'])}</pre>"
