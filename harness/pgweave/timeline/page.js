// Walks through the schedule: the arrow keys and the buttons choose a step, Escape shows everything again.
"use strict";
for (const figure of document.querySelectorAll("figure.schedule")) {
  const marks = Array.from(figure.querySelectorAll("[data-step]"));
  const hints = Array.from(figure.querySelectorAll("g.step"), (step) => step.querySelector("title").textContent);
  const walk = figure.querySelector(".walk");
  const [previous, next, all] = walk.querySelectorAll("button");
  const position = walk.querySelector("output");
  const hint = walk.querySelector("pre");
  let current = null;

  const show = (step) => {
    current = step;
    for (const mark of marks) {
      const own = Number(mark.dataset.step);
      mark.classList.toggle("current", own === step);
      mark.classList.toggle("later", step !== null ? own > step : false);
    }
    previous.disabled = step === null || step === 0;
    next.disabled = step === hints.length - 1;
    all.disabled = step === null;
    position.textContent = step === null ? `${hints.length} steps` : `step ${step} (0 to ${hints.length - 1})`;
    hint.textContent = step === null ? "" : hints[step];
    hint.hidden = step === null;
    if (step !== null) {
      figure.querySelector("g.step.current").scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  };
  const go = (by) => show(current === null ? 0 : Math.max(0, Math.min(hints.length - 1, current + by)));

  previous.addEventListener("click", () => go(-1));
  next.addEventListener("click", () => go(1));
  all.addEventListener("click", () => show(null));
  figure.addEventListener("click", (event) => {
    const mark = event.target.closest("[data-step]");
    if (mark !== null) show(Number(mark.dataset.step));
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const alone = document.querySelectorAll("figure").length === 1 ? figure : null;
    const chosen = document.activeElement?.closest("figure") ?? alone;
    const action = { ArrowLeft: () => go(-1), ArrowRight: () => go(1), Escape: () => show(null) }[event.key];
    if (chosen !== figure || action === undefined) return;
    event.preventDefault();
    action();
  });
  if (hints.length > 0) {
    walk.hidden = false;
    show(null);
  }
}
