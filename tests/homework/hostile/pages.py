"""Pages that would run code where they are read: scripts in texts, outputs, attachments, names and metadata."""

from collections.abc import Callable
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell

from hostile.attack import EVERYTHING, Attack, Handin, full

PAGES = "pages that run code"
SCRIPTS = [
    "<script>alert('tml')</script>",
    "<ScRiPt src=//tml.invalid/x.js></sCrIpT >",
    "<img src=x onerror=alert(1)>",
    "<img src='x' ONERROR\n=\n'alert(1)'/>",
    "<svg/onload=alert(1)><script>alert(1)</script><animate onbegin=alert(1)></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<iframe srcdoc='<script>alert(1)</script>' src=javascript:alert(1)></iframe>",
    "<a href='java\tscript:alert(1)'>x</a> <a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<object data='javascript:alert(1)'></object><embed src='javascript:alert(1)'>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'><base href='//tml.invalid/'>",
    "<form action='javascript:alert(1)'><button formaction='javascript:alert(1)'>x</button></form>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<style>@import '//tml.invalid/x.css'; body { display: none }</style>",
    "<link rel=stylesheet href=//tml.invalid/x.css>",
    "<!--><img src=x onerror=alert(1)>-->",
    "</body></html><script>alert(1)</script>",
    "<div style='position:fixed;inset:0;background:url(javascript:alert(1))' onmouseover='alert(1)'>x</div>",
    "<input autofocus onfocus=alert(1)><marquee onstart=alert(1)><video><source onerror=alert(1)></video>",
    "<template><script>alert(1)</script></template><textarea></textarea><img src=x onerror=alert(1)>",
]
LINKS = """\
[x](javascript:alert(1)) [x](JaVaScRiPt&colon;alert(1)) ![x](x"onerror="alert(1)) <javascript:alert(1)>
[y]: javascript:alert(1) "x"onclick="alert(1)"
$\\href{javascript:alert(1)}{x}$
$$\\require{html}\\style{x:url(javascript:alert(1))}{x}</script><script>alert(1)</script>$$
`</code></pre><script>alert(1)</script>`
"""
HTML = "".join(SCRIPTS)
OBJECTS = f"""\
from IPython.display import HTML, IFrame, Javascript, display
display(HTML({HTML!r}), Javascript("alert(1)"), IFrame("javascript:alert(1)", 1, 1))
"""
PRINTS = f"""\
import sys
for file in (sys.stdout, sys.stderr):
    print("\\x1b[31m" + {HTML!r} + "\\x1b]8;;javascript:alert(1)\\x07x", file=file)
"""
RAISES = f"""\
def fail(*a):
    raise type("<script>alert(1)</script>", (Exception,), {{}})({HTML!r})
"""


def page(name: str, summary: str, edit: Callable[[Handin], object], **more: Any) -> Attack:
    """All answers are right, and the page is not."""
    return Attack(name, PAGES, summary, edit=edit, **{"due": EVERYTHING, **more})


def after(*new: Any) -> Callable[[Handin], object]:
    """Cells of its own, after the last test."""

    def edit(made: Handin) -> None:
        for cell in new:
            made.add("grid_test", cell)

    return edit


def shows(*datas: dict[str, Any]) -> str:
    """Code that displays these in the notebook."""
    return "from IPython.display import display\n" + "\n".join(f"display({data!r}, raw=True)" for data in datas)


def _titles(made: Handin) -> None:
    for notebook in made.notebooks.values():
        attack = "</title></script><script>alert('title')</script>"
        notebook.metadata.update(
            title=attack,
            authors=[{"name": attack}],
            language_info={"name": "python", "pygments_lexer": attack, "mimetype": attack, "version": attack},
            kernelspec={"name": "python3", "display_name": attack, "language": attack},
            widgets={"application/vnd.jupyter.widget-state+json": {"state": {"x": {"model_name": attack}}}},
            nbgrader={"comment": attack},
        )


def _cell_metadata(made: Handin) -> None:
    attack = '"><script>alert(1)</script><i onclick="alert(1)'
    for notebook in made.notebooks.values():
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f'{number}"><script>alert(1)</script>'
            cell.metadata.update(tags=[attack], name=attack, slideshow={"slide_type": attack}, jupyter={attack: attack})


def _named_outputs(made: Handin) -> None:
    attack = "stdout'\"><script>alert(1)</script>"
    made.add(
        "grid_test",
        new_code_cell(
            "pass",
            outputs=[
                new_output("stream", name=attack, text=HTML),
                new_output("display_data", {attack: attack, "text/html": HTML}, metadata={attack: attack}),
            ],
        ),
    )


ATTACKS: list[Attack] = [
    page("markdown", "scripts in Markdown cells", after(*map(new_markdown_cell, SCRIPTS))),
    page("markdown_links", "scripts in links, mathematics and code of Markdown", after(new_markdown_cell(LINKS))),
    page(
        "essay", "scripts in the text that a human grades", lambda made: made.cell("essay").update(source=HTML + LINKS)
    ),
    page(
        "locked_markdown",
        "scripts in the course's own Markdown",
        lambda made: made.notebooks["mixing"].cells[0].update(source=HTML),
    ),
    page(
        "raw",
        "raw cells of HTML and of other kinds",
        after(
            *[
                new_raw_cell(HTML, metadata={"raw_mimetype": kind, "format": kind})
                for kind in ("text/html", "", "text/latex", "text/markdown", "application/javascript")
            ]
        ),
    ),
    page(
        "outputs",
        "displays of HTML, scripts and pictures with scripts, while the notebook runs",
        after(
            new_code_cell(
                shows(
                    {"text/html": HTML},
                    {"text/html": [HTML]},
                    {"application/javascript": "alert('tml')"},
                    {"text/javascript": "alert('tml')"},
                    {"image/svg+xml": "<svg onload='alert(1)'><script>alert(1)</script></svg>"},
                    {"image/png": "\"><script>alert('png')</script>"},
                    {"image/jpeg": "x' onerror='alert(1)"},
                    {"text/latex": "$\\href{javascript:alert(1)}{x}$</script><script>alert(1)</script>"},
                    {"text/markdown": HTML + LINKS},
                    {"text/plain": HTML},
                    {"application/pdf": HTML},
                    {"application/json": {"a": HTML}},
                    {"application/vnd.jupyter.widget-view+json": {"model_id": "</script><script>alert(1)</script>"}},
                    {"application/vnd.vega.v5+json": {"a": HTML}, "application/x-tml": HTML},
                )
            )
        ),
    ),
    page(
        "output_size",
        "a script in a picture's size",
        after(
            new_code_cell(
                "from IPython.display import display\n"
                "attack = '\"onload=\"alert(1)'\n"
                "sizes = {'width': attack, 'height': '1', 'unconfined': attack, 'alt': attack}\n"
                "display({'image/png': 'AAAA'}, raw=True, metadata={'image/png': sizes})\n"
            )
        ),
    ),
    page("html_objects", "objects whose HTML is a script", after(new_code_cell(OBJECTS))),
    page("printed", "scripts and colours that are printed", after(new_code_cell(PRINTS))),
    page("raised", "scripts in an error's name, text and traceback", after(new_code_cell(RAISES + "fail()"))),
    page(
        "raised_in_a_test",
        "scripts in the error that a test meets",
        lambda made: made.cell("blend").update(source=RAISES + "blend = fail"),
        due=full("grid", "account", "sieve"),
    ),
    page("source", "scripts in the source of a cell", after(new_code_cell(f'x = """</pre></div>{HTML}"""'))),
    page(
        "attachments",
        "scripts in attachments, and in their names",
        after(
            new_markdown_cell(
                "![x](attachment:x.svg) ![y](attachment:y.html) ![z](attachment:z)",
                attachments={
                    "x.svg": {"image/svg+xml": "PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+"},
                    "y.html": {"text/html": "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="},
                    "z": {"\" onerror='alert(1)' x=\"": "AAAA"},
                    '"><script>alert(1)</script>': {"image/png": '"><script>alert(1)</script>'},
                },
            )
        ),
    ),
    page("stale_pages", "scripts in outputs that were handed in", _named_outputs, unclear=(), due=EVERYTHING),
    page("titles", "scripts in the notebook's title, authors, language and widgets", _titles),
    page("cell_metadata", "scripts in ids, tags and names of cells", _cell_metadata, due={}, unclear=tuple(EVERYTHING)),
    page(
        "highlighting",
        "sources with which highlighters of Markdown's code go back and forth",
        after(
            new_markdown_cell(
                "```python\n"
                + "x = '"
                + "\\" * 20_000
                + "\n"
                + "'''" * 5_000
                + "\n```\n```<script>alert(1)</script>\nx\n```"
            )
        ),
    ),
    page(
        "markdown_slow",
        "Markdown on which its readers go back and forth",
        after(
            *[
                new_markdown_cell(sign * 5_000)
                for sign in ("[", "*a **b ", "`", "<", "![a](", "$", "_a", "&", "|a\n|-\n", "<!--")
            ]
        ),
    ),
    page(
        "markdown_deep",
        "quotes, lists and divisions, thousands in one another",
        after(
            new_markdown_cell(">" * 5_000 + "x"),
            new_markdown_cell("- " * 5_000 + "x"),
            new_markdown_cell("<div>" * 20_000 + "x"),
            new_markdown_cell("".join(" " * n + "- x\n" for n in range(300))),
        ),
    ),
]
