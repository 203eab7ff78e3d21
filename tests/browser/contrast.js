// Asks axe-core about the colours of a page, one to three elements of each look that text has on it; a look that it
// approved of on an earlier page is `known`.
//
// Text of one colour, size and weight on the same backgrounds has the same contrast wherever it stands, and most of a
// lecture's thousands of words of code share a few dozen looks. The look of a link includes the colour of the text in
// which it stands. Where axe cannot judge those few elements, as under something that lies above them, it is asked about
// every element of that look. It judges no signs, and formulas have a text for screen readers that nobody sees.
async (known) => {
  const FLAT = "rgba(0, 0, 0, 0) none 1 none normal none static";
  const looks = new Map();
  const lookOf = new Map();

  const ownText = (element) =>
    [...element.childNodes].filter((one) => one.nodeType === Node.TEXT_NODE).map((one) => one.data).join("").trim();

  const ground = (style) =>
    [style.backgroundColor, style.backgroundImage, style.opacity, style.filter, style.mixBlendMode, style.transform, style.position].join(" ");

  // The colour of the text in which a link stands; none where it stands alone.
  const around = (link) => {
    let block = link.parentElement;
    while (getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
    return block.textContent.trim() === link.textContent.trim() ? "" : getComputedStyle(block).color;
  };

  const walk = (element, behind) => {
    if (element.localName === "mjx-assistive-mml") return;
    const style = getComputedStyle(element);
    const own = ground(style);
    if (own !== FLAT) behind += `/${own} ${style.position === "static" ? "" : element.getAttribute("class")}`;
    const text = element.matches("input:not([type=radio]), select, textarea") ? "a value" : ownText(element);
    if (/[\p{L}\p{N}]/u.test(text) && text.length > 1 && element.checkVisibility({ visibilityProperty: true })) {
      const { color, fontFamily, fontSize, fontWeight, textShadow } = style;
      const link = element.tagName === "A" ? [style.textDecorationLine, style.borderBottom, around(element)].join(" ") : "";
      const look = [color, fontFamily, fontSize, fontWeight, textShadow, link, behind].join("|");
      lookOf.set(element, look);
      looks.set(look, [...(looks.get(look) ?? []), element]);
    }
    for (const child of element.children) walk(child, behind);
  };

  const ask = async (elements) => {
    if (elements.length === 0) return { violations: [], passes: [] };
    document.querySelectorAll("[data-look]").forEach((one) => one.removeAttribute("data-look"));
    elements.forEach((one) => one.setAttribute("data-look", ""));
    const runOnly = ["color-contrast", "link-in-text-block"];
    return axe.run(document, { runOnly, resultTypes: ["violations", "passes"], preload: false, elementRef: true });
  };

  const looksIn = (results, rule = /color-contrast/) =>
    new Set(results.filter((one) => rule.test(one.id)).flatMap((one) => one.nodes).map((node) => lookOf.get(node.element)));

  axe.configure({ rules: [
    { id: "color-contrast", selector: "[data-look]" },
    { id: "link-in-text-block", selector: "a[href][data-look]" },
  ]});
  walk(document.documentElement, "");
  const asked = [...looks].filter(([look]) => !known.includes(look)).map(([, alike]) => alike);
  const some = await ask(asked.flatMap((alike) => [alike[0], alike[alike.length >> 1], alike.at(-1)]));
  const judged = looksIn([...some.violations, ...some.passes]);
  const rest = await ask(asked.filter((alike) => !judged.has(lookOf.get(alike[0])) && alike.length > 3).flat());
  const violations = [...some.violations, ...rest.violations];
  const bad = looksIn(violations, /./);
  return {
    looks: looks.size,
    approved: [...looksIn([...some.passes, ...rest.passes])].filter((look) => !bad.has(look)),
    violations: violations.map(({ id, impact, nodes }) =>
      ({ id, impact, nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })) })),
  };
}
