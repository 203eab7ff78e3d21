"""On a lecture's page the first mention of a glossary's term leads to its entry, which leads to the lecture.

What counts as a mention is the term as the glossary writes it: also in the plural, with a capital where it begins a
sentence, and with hyphens or dashes between its words. An entry whose term has other forms, or means something else on
other pages, says so in comments:

    ball
      All images within a given distance of one image, in a given norm.

      % forms: ball, norm ball
      % pages: 2, 9.2

`forms` lists all that counts, or says `none`; `pages` lists the chapters and lectures where it does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from docutils import nodes
from links import is_lecture, is_running_text, join_texts, page_name
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode


@dataclass(frozen=True)
class Term:
    """An entry of the glossary: its place, the forms that count as a mention, and on which pages; empty: on all."""

    name: str
    page: str
    anchor: str
    forms: tuple[str, ...]
    pages: tuple[str, ...]

    def counts_in(self, lecture: str) -> bool:
        """Whether a lecture such as `2.2` means this by the word."""
        return not self.pages or lecture in self.pages or lecture.partition(".")[0] in self.pages


def plural(word: str) -> str:
    """A pattern for a word or its plural."""
    if re.search("[^aeiou]y$", word):
        return f"{re.escape(word[:-1])}(?:y|ies)"
    return re.escape(word) + ("(?:es)?" if re.search("(?:s|x|ch|sh)$", word) else "s?")


def mention(form: str) -> str:
    """A pattern for a form, as it may stand in a text."""
    *words, last = re.split("[ -]", form)
    pattern = r"[\s–-]+".join([*map(re.escape, words), plural(last)])
    if form[0].islower():
        pattern = f"[{form[0]}{form[0].upper()}]{pattern[1:]}"
    return rf"(?<![\w-]){pattern}(?!-?\w)"


class Mentions:
    """Finds the first mention of each term on a page; of two terms that begin together the longer is meant."""

    def __init__(self, terms: list[Term]) -> None:
        forms = sorted(((form, term) for term in terms for form in term.forms), key=lambda one: -len(one[0]))
        self.terms = [term for _, term in forms]
        self.pattern = re.compile("|".join(f"({mention(form)})" for form, _ in forms) or "(?!)")
        self.seen: set[Term] = set()

    def first(self, text: str) -> Iterator[tuple[re.Match[str], Term]]:
        """The mentions in the next text of the page of terms that were not seen before."""
        for found in self.pattern.finditer(text):
            term = self.terms[int(found.lastindex or 0) - 1]
            if term not in self.seen:
                self.seen.add(term)
                yield found, term


def remarks(definition: nodes.Element) -> dict[str, tuple[str, ...]]:
    """What the comments of an entry list, by name."""
    found = {}
    for comment in definition.findall(nodes.comment):
        for line in comment.astext().splitlines():
            name, _, listed = line.partition(":")
            items = tuple(item.strip() for item in listed.split(","))
            found[name.strip()] = () if items == ("none",) else items
    return found


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Note the terms of a page that has a glossary."""
    for glossary in doctree.findall(addnodes.glossary):
        items = glossary.findall(nodes.definition_list_item)
        app.env.tml_terms = [term_of(app.env.docname, item) for item in items]


def term_of(page: str, entry: nodes.Element) -> Term:
    """The term that an entry of the page explains."""
    term, said = entry.next_node(nodes.term), remarks(entry.next_node(nodes.definition))
    return Term(term.astext(), page, term["ids"][0], said.get("forms", (term.astext(),)), said.get("pages", ()))


def link_mentions(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead from the first mention of each term to its entry."""
    if not is_lecture(app.env, docname):
        return
    lecture = page_name(app.env, docname)
    mentions = Mentions([term for term in getattr(app.env, "tml_terms", []) if term.counts_in(lecture)])
    join_texts(doctree)
    for text in filter(is_running_text, list(doctree.findall(nodes.Text))):
        pieces: list[nodes.Node] = []
        end = 0
        for found, term in mentions.first(text.astext()):
            pieces += [nodes.Text(text[end : found.start()]), link_to(app, docname, term, found[0])]
            end = found.end()
        text.parent.replace(text, [*pieces, nodes.Text(text[end:])])


def link_to(app: Sphinx, docname: str, term: Term, words: str) -> nodes.reference:
    """A link from a page to the term's entry."""
    link = make_refnode(app.builder, docname, term.page, term.anchor, nodes.Text(words), f"Glossary: {term.name}")
    link["classes"].append("term")
    return link


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", link_mentions)
    app.add_css_file("links.css")
    return {"parallel_read_safe": False, "parallel_write_safe": True}
