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
