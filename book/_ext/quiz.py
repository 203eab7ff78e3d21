"""`{quiz}`: questions whose options carry their reasons; read with or without JavaScript, a login or a network.

    ```{quiz}
    ? What does the temperature divide?
    + the logits :: A larger temperature brings them closer together.
    - the probabilities :: Then they would no longer add up to one.
    ```

`+` is the right option, `-` a wrong one; indented lines continue what stands above them. Text is Markdown.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Option:
    """One possible answer: whether it is right, its text, and the reason why (not)."""

    right: bool
    text: str
    reason: str


@dataclass(frozen=True)
class Question:
    """What is asked, and what may be answered. ValueError where a reader would be left without an answer."""

    text: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2:
            raise ValueError(f"expected at least two options for {self.text!r}, got {len(self.options)}")
        if (right := sum(option.right for option in self.options)) != 1:
            raise ValueError(f"expected one right option `+` for {self.text!r}, got {right}")

    @property
    def name(self) -> str:
        """The same as long as the words are: under it a browser remembers the choice."""
        return "quiz-" + hashlib.sha256(repr(self).encode()).hexdigest()[:10]


def entries(lines: list[str]) -> list[tuple[str, str]]:
    """Each entry's mark and text, its continuation lines joined."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[:2] in ("? ", "- ", "+ "):
            found.append((line[0], line[2:].strip()))
        elif found and line[:1].isspace():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        elif line.strip():
            raise ValueError(f"expected `? question`, `- wrong :: reason` or `+ right :: reason`, got {line!r}")
    if not found or found[0][0] != "?":
        raise ValueError("the question is missing: write it as `? …` above its options")
    return found


def parse_option(mark: str, text: str) -> Option:
    answer, separator, reason = text.partition(" :: ")
    if not separator or not reason.strip():
        raise ValueError(f"the option {text!r} has no reason: write `{mark} option :: reason`")
    return Option(mark == "+", answer.strip(), reason.strip())


def parse(lines: list[str]) -> list[Question]:
    """The questions of a fence. Raises ValueError with a sentence on what is wrong with it."""
    asked: list[tuple[str, list[Option]]] = []
    for mark, text in entries(lines):
        if mark == "?":
            asked.append((text, []))
        else:
            asked[-1][1].append(parse_option(mark, text))
    return [Question(text, tuple(options)) for text, options in asked]


class quiz(nodes.General, nodes.Element):
    """The form of one question."""


class quiz_question(nodes.TextElement):
    """The sentence that is asked: the legend of the form's fieldset."""


class quiz_option(nodes.General, nodes.Element):
    """An answer and its reason."""


class quiz_answer(nodes.TextElement):
    """What stands beside the radio button."""


class quiz_reason(nodes.General, nodes.Element):
    """What opens once the answer is chosen, or by hand."""


class Quiz(SphinxDirective):
    """Turn the fence into one form for each question, or into one warning that says what is wrong."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        try:
            questions = parse(list(self.content))
            names = [question.name for question in questions]
            if len({*names} - {*self.state.document.ids}) < len(names):
                raise ValueError("the same question occurs twice on this page")
            return [self.form(question) for question in questions]
        except ValueError as error:
            logger.warning(f"quiz: {error}", location=self.get_location())
            return []

    def form(self, question: Question) -> quiz:
        name = question.name
        form = quiz("", quiz_question("", "", *self.sentence(question.text)), ids=[name], names=[name])
        for value, option in enumerate(question.options):
            answer = quiz_answer("", "", *self.sentence(option.text), name=name, value=value)
            reason = quiz_reason("", nodes.paragraph("", "", *self.sentence(option.reason)), right=option.right)
            form += quiz_option("", answer, reason, right=option.right)
        self.state.document.note_explicit_target(form)
        return form

    def sentence(self, text: str) -> list[nodes.Node]:
        """A line of Markdown."""
        holder = nodes.Element()
        self.state.nested_parse(StringList([text], source=""), self.content_offset, holder)
        if len(holder.children) != 1 or not isinstance(holder.children[0], nodes.paragraph):
            raise ValueError(f"expected a sentence, got {text!r}")
        return holder.children[0].children


def tags(before: str, after: str) -> tuple[Any, Any]:
    """The two visitors of a node that is written as `before`, filled from its attributes, … `after`."""

    def visit(self: HTML5Translator, node: nodes.Element) -> None:
        verdict = "Right." if node.get("right") else "Not this one."
        state = "right" if node.get("right") else "wrong"
        self.body.append(before.format(**{"verdict": verdict, "state": state} | node.attributes))

    def depart(self: HTML5Translator, node: nodes.Element) -> None:
        self.body.append(after)

    return visit, depart


HTML = {
    quiz: (
        '<form class="quiz" id="{ids[0]}"><fieldset>',
        '<p class="quiz-verdict" role="status" aria-live="polite"></p>'
        '<button class="quiz-reset" type="reset" hidden>Ask me again</button></fieldset></form>',
    ),
    quiz_question: ("<legend>", "</legend>"),
    quiz_option: ('<div class="quiz-option" data-verdict="{state}">', "</div>"),
    quiz_answer: ('<label><input type="radio" name="{name}" value="{value}"><span>', "</span></label>"),
    quiz_reason: (
        '<details class="quiz-reason"><summary>Reason</summary><p class="quiz-mark">{verdict}</p>',
        "</details>",
    ),
}


def setup(app: Sphinx) -> dict[str, bool]:
    for node, (before, after) in HTML.items():
        app.add_node(node, html=tags(before, after))
    app.add_directive("quiz", Quiz)
    app.add_js_file("quiz.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
