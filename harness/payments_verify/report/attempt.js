// Walks along the order of an attempt: the arrow keys, the buttons and the pointer choose an operation.
"use strict";
for (const figure of document.querySelectorAll("figure.attempt")) {
  const { standard, linearizable, order, blocked, calls, moments } = JSON.parse(
    figure.querySelector("script[type='application/json']").textContent,
  );
  const bars = new Map(Array.from(figure.querySelectorAll("g.call"), (bar) => [Number(bar.dataset.call), bar]));
  const place = new Map(order.map((call, index) => [call, index]));
  const stops = [...order, ...blocked];
  const walk = figure.querySelector(".walk");
  const panel = walk.querySelector(".panel");
  const [first, previous, next, last] = walk.querySelectorAll("button");
  const position = walk.querySelector("output");
  const scroll = figure.querySelector(".scroll");
  let current = null;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className !== undefined) made.className = className;
    return made;
  };
  const line = (list, name, text, className) => {
    if (text === null || text === undefined || text === "") return;
    list.append(element("dt", name), element("dd", text, className));
  };
  const offered = (moment, chosen) => {
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const name of ["", "could come next", standard, ""]) head.append(element("th", name));
    const body = table.createTBody();
    for (const { call, expected, fits } of moment.next) {
      const row = body.insertRow();
      if (call === chosen) row.className = "chosen";
      row.append(
        element("th", calls[call].name),
        element("td", `process ${calls[call].process}: ${calls[call].text}`),
        element("td", expected || "not answered"),
        element("td", fits ? "fits" : "does not fit", fits ? "fits" : "misfit"),
      );
    }
    return table;
  };

  const show = (call, { scrolls = true } = {}) => {
    current = call;
    const at = call === null ? order.length : (place.get(call) ?? order.length);
    for (const [number, bar] of bars) {
      bar.classList.toggle("current", number === call);
      bar.classList.toggle("later", call !== null && number !== call && (place.get(number) ?? order.length) > at);
    }
    const stop = stops.indexOf(call);
    first.disabled = previous.disabled = stop === 0;
    next.disabled = last.disabled = stop === stops.length - 1;
    position.textContent = call === null ? `${stops.length} to walk along` : `${stop < 0 ? "not in the order" : `${stop + 1} of ${stops.length}`}`;
    panel.replaceChildren();
    if (call === null) return;
    const one = calls[call];
    const list = element("dl");
    line(list, `process ${one.process}`, one.text, "called");
    line(list, "asked", one.asked);
    line(list, "answered", one.answered ?? "never");
    line(list, "took", one.took);
    line(list, "state before", moments[at].state);
    if (place.has(call)) {
      line(list, "state after", moments[at + 1].state);
    } else if (blocked.includes(call)) {
      const { expected } = moments[at].next.find((each) => each.call === call);
      line(list, standard, expected, "model");
    } else {
      line(list, "in the order", "not: it was called later, or never answered");
    }
    panel.append(list);
    if (moments[at].next.length > 0) panel.append(offered(moments[at], call));
    if (scrolls) bars.get(call).querySelector("rect").scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const go = (by) => {
    if (stops.length === 0) return;
    const stop = stops.indexOf(current);
    show(stops[stop < 0 ? (by > 0 ? 0 : stops.length - 1) : Math.max(0, Math.min(stops.length - 1, stop + by))]);
  };
  const end = () => go(stops.length);

  first.addEventListener("click", () => go(-stops.length));
  previous.addEventListener("click", () => go(-1));
  next.addEventListener("click", () => go(1));
  last.addEventListener("click", end);
  const pointed = (event) => event.target.closest("[data-call]");
  scroll.addEventListener("click", (event) => {
    if (pointed(event)) show(Number(pointed(event).dataset.call), { scrolls: false });
  });
  scroll.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && pointed(event)) show(Number(pointed(event).dataset.call), { scrolls: false });
  });
  figure.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const action = {
      ArrowLeft: () => go(-1), ArrowRight: () => go(1), Home: () => go(-stops.length), End: end,
      Escape: () => show(null),
    }[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });

  // Each of these attributes changes places with what it stands for on the other scale.
  const swap = () => {
    for (const bar of figure.querySelectorAll("g.call[data-t]")) {
      const rect = bar.querySelector("rect");
      const [x, width] = bar.dataset.t.split(" ");
      bar.dataset.t = `${rect.getAttribute("x")} ${rect.getAttribute("width")}`;
      rect.setAttribute("x", x);
      rect.setAttribute("width", width);
      bar.querySelector("text").setAttribute("x", Number(x) + 5);
    }
    for (const [selector, name] of [["circle[data-t]", "cx"], ["path.order[data-t]", "d"]]) {
      for (const mark of figure.querySelectorAll(selector)) {
        const other = mark.dataset.t;
        mark.dataset.t = mark.getAttribute(name);
        mark.setAttribute(name, other);
      }
    }
  };
  const scaled = walk.querySelector(".to-scale");
  scaled?.addEventListener("change", () => {
    figure.classList.toggle("scaled", scaled.checked);
    swap();
    const horizon = figure.querySelector("g.horizon[data-t]");
    horizon?.setAttribute("transform", scaled.checked ? `translate(${horizon.dataset.t} 0)` : "");
  });

  walk.hidden = false;
  show(null);
  if (!linearizable && blocked.length > 0) {
    const bar = bars.get(blocked[0]).querySelector("rect");
    const answered = Number(bar.getAttribute("x")) + Number(bar.getAttribute("width"));
    scroll.scrollLeft = answered - 0.8 * scroll.clientWidth;
    show(blocked[0], { scrolls: false });
  }
}
