"""From an entry of the bibliography back to the pages that cite it."""

from docutils import nodes
from links import page_name
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode


def lead_back(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """End each entry with a link to the first citation on each page, in the order of the book."""
    domain = app.env.get_domain("cite")
    keys = {citation.citation_id: citation.key for citation in domain.citations}  # type: ignore[attr-defined]
    order = {name: place for place, name in enumerate(pages_in_order(app))}
    places: dict[str, dict[str, str]] = {}
    for reference in sorted(domain.citation_refs, key=lambda one: order[one.docname]):  # type: ignore[attr-defined]
        for target in reference.targets:
            places.setdefault(target.key, {}).setdefault(reference.docname, reference.citation_ref_id)
    for entry in doctree.findall(nodes.citation):
        if cited := places.get(keys.get(entry["ids"][0], "")):
            line = nodes.inline("", " Cited in ", classes=["cited"])
            for count, (page, anchor) in enumerate(cited.items()):
                line += [nodes.Text(", ")] * (count > 0)
                line += make_refnode(app.builder, docname, page, anchor, nodes.Text(page_name(app.env, page)))
            line += nodes.Text(".")
            entry.children[-1].append(line)


def pages_in_order(app: Sphinx) -> list[str]:
    """All pages, those of the table of contents first and in its order."""
    order: list[str] = []
    below = [app.env.config.root_doc]
    while below:
        page = below.pop(0)
        order.append(page)
        below = [name for name in app.env.toctree_includes.get(page, []) if name not in order] + below
    return order + sorted(app.env.found_docs - {*order})


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", lead_back)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
