"""The page that a student gets back: their notebook, the points, and what each failed test says."""

import functools
import html
from typing import Any

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
.verdict { border-left: 4px solid #1a7f37; padding: .3rem .8rem; background: #e9f6ec; color: #10401e; }
.verdict.lost { border-color: #b42318; background: #fdeceb; color: #6b140c; }
.verdict.waiting { border-color: #8a6100; background: #fff4d6; color: #533b00; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #14171b; } pre { background: #20252b; }
  .verdict { background: #12301b; color: #c9efd3; } .verdict.lost { background: #3b1512; color: #ffd9d5; }
  .verdict.waiting { background: #3a2c06; color: #ffe7ad; } }
"""


def fragment(cell: dict[str, Any], message: str) -> str:
    """One cell of a cleaned notebook as HTML, with what its test says."""
    import mistune
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    if cell["cell_type"] != "code":
        markdown = mistune.create_markdown(escape=True, plugins=["table", "strikethrough", "math"])
        return str(markdown(cell["source"].replace("&lt;", "<")))
    code: str = highlight(cell["source"], PythonLexer(), HtmlFormatter())
    # A failed test's message stands in its verdict.
    return code + "".join(map(_output, cell["outputs"] if not message else []))


def page(title: str, questions: list[dict[str, Any]], fragments: list[dict[str, str]], remarks: str) -> str:
    """The whole page. questions: name, score or None, max_score, message, comment; fragments: name, html."""
    by_name = {question["name"]: question for question in questions}
    score = sum(q["score"] or 0 for q in questions)
    worth = sum(q["max_score"] for q in questions)
    rows = "".join(
        f"<tr><td><a href='#{_id(q['name'])}'>{html.escape(q['name'])}</a></td>"
        f"<td class='points'>{_points(q)}</td></tr>"
        for q in questions
    )
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
        f"<p>{html.escape(remarks)}</p><table><thead><tr><th>question</th><th class='points'>points</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{body}</main></body></html>\n"
    )


@functools.cache
def _colours() -> str:
    """The colours of code, for pages in light and in dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    return f"{light} .highlight {{ background: none }} @media (prefers-color-scheme: dark) {{ {dark} }}"


def _verdict(question: dict[str, Any]) -> str:
    comment = f"<br>{html.escape(question['comment'])}" if question["comment"] else ""
    if question["score"] is None:
        return f"<p class='verdict waiting'>waits for a human: {_points(question)} points{comment}</p>"
    kind = "verdict" if question["score"] >= question["max_score"] else "verdict lost"
    message = f": {html.escape(question['message'])}" if question["message"] else ""
    return f"<p class='{kind}'>{_points(question)} points{message}{comment}</p>"


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
