/* A page that is read from a file may not fetch the found pages for an excerpt: show the list of results without. */
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/* What scrolls sideways can be reached by keyboard: formulas and tables that are wider than the screen. */
document.addEventListener("DOMContentLoaded", () => {
  const stops = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0; else target.removeAttribute("tabindex");
    }
  });
  const wide = "div.math mjx-container, .pst-scrollable-table-container";
  const observe = () => document.querySelectorAll(wide).forEach((one) => stops.observe(one));
  if (window.MathJax) MathJax.startup.promise.then(observe); else observe();
});

/* A figure opens large, by click, tap or key. Esc, the cross, or a click closes it. */
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog");
  dialog.className = "large";
  dialog.setAttribute("aria-label", "A figure, large");
  dialog.innerHTML = '<button type="button" aria-label="Close">×</button>';
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);

  const show = (image) => {
    const large = image.cloneNode();
    const fits = Math.min(0.96 * innerWidth, 0.94 * innerHeight * image.naturalWidth / image.naturalHeight, image.naturalWidth);
    const drawn = parseFloat(image.style.width) || image.naturalWidth;
    const scrolls = innerWidth < 700 ? 1.7 * innerWidth : 0;  // on a phone larger than the screen
    large.style.width = `${Math.max(fits, drawn, scrolls)}px`;
    large.style.height = "auto";
    dialog.querySelector("img")?.remove();
    dialog.append(large);
    dialog.showModal();
  };
  // Sphinx links a picture that is shown smaller than it is to its file: that is what opens without this script.
  for (const link of document.querySelectorAll("figure.numbered a.image-reference")) {
    link.title = "Show this figure large";
    link.addEventListener("click", (event) => { event.preventDefault(); show(link.querySelector("img")); });
  }
});

/* Paper is white and shows all: solutions, hints, and the reasons of a quiz. Afterwards the page is as it was. */
(() => {
  let closed = [], theme;
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("article details:not([open])")];
    closed.forEach((one) => { one.open = true; });
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    closed.forEach((one) => { one.open = false; });
    document.documentElement.dataset.theme = theme;
  });
})();
