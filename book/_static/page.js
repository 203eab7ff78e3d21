/* A page that is read from a file may not fetch the found pages for an excerpt: show the list of results without. */
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/* What scrolls sideways can be reached by keyboard: formulas and tables that are wider than the screen. */
document.addEventListener("DOMContentLoaded", () => {
  const stop = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const box = target.closest("div.math, .pst-scrollable-table-container");
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
    }
  });
  const wide = "div.math, .pst-scrollable-table-container";
  const observe = () => document.querySelectorAll(`${wide}, div.math > mjx-container`).forEach((one) => stop.observe(one));
  observe();
  if (window.MathJax) MathJax.startup.promise.then(observe);
});
