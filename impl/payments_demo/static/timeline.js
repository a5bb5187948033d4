// The timeline of a race: one lane a request, a thin line while it waited in the browser, a bar until its answer.

import { isUnknown } from "./client.js";

const element = (id) => document.getElementById(id);

// Lanes for the keys of a race that is about to begin, so that nothing moves when answers arrive.
export function prepare(keys, word) {
  const lanes = element("lanes");
  lanes.classList.toggle("many", keys.length > 12);
  lanes.replaceChildren(...keys.map((key) => lane(key, word)));
  element("axis").replaceChildren();
}

function lane(key, word) {
  const item = document.createElement("li");
  item.append(span("key", key), span("lane", ""), span("outcome", word));
  return item;
}

function span(name, text) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}

// Draw what was answered. Each of `requests` has `called`, `sent` and `ended` in ms, and its answer.
export function draw(requests) {
  const start = Math.min(...requests.map((each) => each.called));
  const total = Math.max(...requests.map((each) => each.ended)) - start;
  const percent = (time) => `${(100 * (time - start)) / total}%`;
  requests.forEach((request, number) => {
    const item = element("lanes").children[number];
    const kind = kindOf(request);
    item.className = kind;
    const waited = span("wait", "");
    waited.style.left = percent(request.called);
    waited.style.width = percent(request.sent - request.called + start);
    const bar = span("answered", "");
    bar.style.left = percent(request.sent);
    bar.style.width = percent(request.ended - request.sent + start);
    item.children[1].replaceChildren(waited, bar);
    item.children[2].replaceChildren(
      span("", inWords(request, kind)),
      span("ms", ` ${Math.round(request.ended - request.sent)} ms`),
    );
    item.title = request.document.detail ?? "captured";
  });
  element("axis").replaceChildren(span("", "0 ms"), span("", `${Math.round(total)} ms`));
}

function kindOf(request) {
  if (request.status === 0 || request.status >= 500) return "failed";
  if (request.replayed) return "replayed";
  return request.status === 201 ? "captured" : "refused";
}

function inWords(request, kind) {
  const isCaptured = request.status === 201;
  if (kind === "replayed") return isCaptured ? "again: captured" : "again: refused";
  return isCaptured ? "captured" : reason(request);
}

function reason(request) {
  if (request.status === 0) return "no answer";
  return (request.document.type ?? String(request.status)).split("/").pop().replace("capture_window", "window").replaceAll("_", " ");
}

export function verdict(requests) {
  const count = (kind) => requests.filter((each) => kindOf(each) === kind).length;
  const parts = [`${count("captured")} captured`];
  if (count("replayed")) parts.push(`${count("replayed")} answered again`);
  if (count("refused")) parts.push(`${count("refused")} refused`);
  const unknown = requests.filter(isUnknown).length;
  if (count("failed") > unknown) parts.push(`${count("failed") - unknown} not done`);
  if (unknown) parts.push(`${unknown} without an answer`);
  const told = unknown === requests.length ? parts.slice(1) : parts;
  if (count("failed") === 0) return told.join(", ");
  return `${told.join(", ")}; ${unknown ? "nobody knows yet; " : ""}ask again with the same keys`;
}
