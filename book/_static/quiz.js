/* Shows the reason of the option that a reader chooses, and remembers the choice in this browser alone. */
(() => {
  "use strict";
  const quizzes = [...document.querySelectorAll("form.quiz")];

  // A browser may forbid storage (private windows, some file:// pages): then nothing is remembered.
  const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (key, value) => {
    try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* see above */ }
  };

  const solved = (quiz) => quiz.querySelector(".quiz-option[data-verdict=right] input").checked;

  const show = (quiz) => {
    const chosen = quiz.querySelector("input:checked");
    for (const option of quiz.querySelectorAll(".quiz-option")) {
      const here = chosen && option.contains(chosen);
      option.toggleAttribute("data-chosen", Boolean(here));
      // Whoever has found the answer may read why the others are wrong.
      option.querySelector("details").open = Boolean(here || (chosen && solved(quiz)));
    }
    quiz.querySelector(".quiz-reset").hidden = !chosen;
    quiz.querySelector(".quiz-verdict").textContent = !chosen ? ""
      : !solved(quiz) ? "Not this one: the reason stands below it. Try another."
      : `Right. ${quizzes.filter(solved).length} of ${quizzes.length} on this page.`;
  };

  for (const quiz of quizzes) {
    const saved = recall(quiz.id);
    const input = saved === null ? null : quiz.querySelector(`input[value="${CSS.escape(saved)}"]`);
    if (input) input.checked = true;
    quiz.addEventListener("submit", (event) => event.preventDefault());
    quiz.addEventListener("change", (event) => { remember(quiz.id, event.target.value); show(quiz); });
    quiz.addEventListener("reset", () => { remember(quiz.id, null); setTimeout(() => show(quiz)); });
  }
  quizzes.forEach(show);
})();
