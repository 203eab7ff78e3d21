"""Formulas as MathML, which a browser shows by itself: nothing runs, and nothing is fetched."""

import html
import re
from xml.etree import ElementTree

LONGEST = 2000
ENVIRONMENT = (
    r"^ {0,3}(?P<tex>\\begin\{(?P<kind>[a-z]+\*?)\}"
    rf"[\s\S]{{1,{LONGEST}}}?"
    r"\\end\{(?P=kind)\})[ \t]*(?:\n|$)"
)
"""A formula of its own without dollar signs, as notebooks have it."""
NO_FORMULA = re.compile(r"\\(def|newcommand|renewcommand|newenvironment|let|href|style|class)(?![A-Za-z])")
OTHER_SPELLINGS = {  # of what the reader does not know
    r"\\(begin|end)\{(?:align|aligned|equation|gather|gathered|split)\*?\}": r"\\\1{align*}",
    r"(?<!\\)\\(?:\||[lr]?Vert(?![A-Za-z]))": "\N{DOUBLE VERTICAL LINE}",
    r"\\arg(?![A-Za-z])": r"\\operatorname{arg}",
    r"\\operatorname\*?\{arg\\[,;!: ]\s*(max|min)\}": r"\\operatorname{arg\1}",
    r"\\operatorname\*": r"\\operatorname",
    r"\\math(?:bb|bbm|ds)\{1\}": "\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ONE}",
    r"\\label\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])": "",
}
LIMITS = re.compile(r"\\(inf|lim|max|min|sup)(?=\s*_)")
"""Their indices stand below, in a formula of its own."""
ELEMENTS: dict[str, set[str]] = {
    "math": {"display"},
    "menclose": {"notation"},
    "mfrac": {"linethickness"},
    "mi": {"mathvariant"},
    "mn": {"mathvariant"},
    "mo": {"fence", "form", "largeop", "mathvariant", "maxsize", "minsize", "movablelimits", "separator", "stretchy"},
    "mover": {"accent"},
    "mphantom": set(),
    "mroot": set(),
    "mrow": set(),
    "mspace": {"width"},
    "msqrt": set(),
    "mstyle": {"displaystyle", "scriptlevel"},
    "msub": set(),
    "msubsup": set(),
    "msup": set(),
    "mtable": {"columnalign", "displaystyle"},
    "mtd": {"columnalign"},
    "mtext": {"mathvariant"},
    "mtr": set(),
    "munder": {"accentunder"},
    "munderover": {"accent", "accentunder"},
}
PLAIN = re.compile(r"[a-z-]+( [a-z-]+)*|[+-]?[0-2]|0(\.\d+)?(em|pt|px)|[12](\.\d+)?em")
"""A value that moves nothing over what stands elsewhere on the page."""


def mathml(tex: str, display: str = "inline") -> str:
    """The formula as MathML; as it was typed where it cannot be read."""
    try:
        return _mathml(tex.strip(), display)
    except Exception:  # whatever its reader makes of a text that is no formula
        return typed(tex)


def typed(tex: str) -> str:
    """A formula as its author wrote it."""
    return f"<code>{html.escape(tex.strip())}</code>"


def _mathml(tex: str, display: str) -> str:
    from latex2mathml.converter import convert_to_element

    if len(tex) > LONGEST or NO_FORMULA.search(tex):
        raise ValueError
    for spelling, known in OTHER_SPELLINGS.items():
        tex = re.sub(spelling, known, tex)
    tex = LIMITS.sub(r"\\\1\\limits", tex) if display == "block" else tex
    made: ElementTree.Element = convert_to_element(tex, display=display)
    for element in made.iter():
        element.text = html.unescape(element.text or "")
        if element.tag not in ELEMENTS or element.text.startswith("\\") or element.text == "&":
            raise ValueError  # what the reader did not understand
        kept = {name: value for name, value in element.attrib.items() if is_plain(element.tag, name, value)}
        element.attrib = kept
    return ElementTree.tostring(made, encoding="unicode", short_empty_elements=False)


def is_plain(element: str, name: str, value: str) -> bool:
    """Whether an attribute of an element of MathML only says how a formula looks."""
    return name in ELEMENTS.get(element, ()) and PLAIN.fullmatch(value) is not None
