// The page to race captures on: what its three buttons do.

import { advanceClock, capture, createAuthorized, NoAnswer, read, Refused, useToken } from "./client.js";
import { duration, forget, isOpen, showPayment, showWindow, untilEnd } from "./payment.js";
import { draw, prepare, verdict } from "./timeline.js";

const LATE_WINDOW_S = 3;
const LATE_REQUESTS = 3;
const element = (id) => document.getElementById(id);
let payment = null;
let raced = null;
let pressed = null;

element("token").addEventListener("input", (event) => useToken(event.target.value));

on("authorize", async () => {
  await authorize(Number(element("window").value));
  say("Authorized. Now race for it.");
});

on("race", async () => {
  await race(Number(element("count").value), element("keys").value);
});

on("again", () => send(raced));

on("late", async () => {
  await authorize(LATE_WINDOW_S);
  prepare([]);
  show();
  while (untilEnd() > 0) {
    say("Waiting for the window's end…");
    await new Promise((resolve) => setTimeout(resolve, Math.min(untilEnd() + 20, 500)));
  }
  await race(LATE_REQUESTS, "late");
});

// Only the page of a demonstration has this form.
if (element("advance")) {
  moveClock(0).catch(() => {}); // without a token it is not known yet
  on("advance", async () => {
    if (!isOpen()) await authorize(Number(element("window").value));
    prepare([]);
    await moveClock(Math.ceil(untilEnd() / 1000));
    await look();
    await race(LATE_REQUESTS, "late");
  });
}

async function moveClock(seconds) {
  element("ahead").textContent = duration((await advanceClock(seconds)) * 1_000_000);
}

async function authorize(seconds) {
  const authorized = await createAuthorized(Number(element("amount").value), seconds, showPayment);
  payment = authorized.document;
  element("ask-again").hidden = true; // the keys are those of another payment
}

async function race(count, mode) {
  // The page's keys are new in each race: a payment may be raced for again.
  const salt = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  raced = namesOf(count, mode).map((name) => ({ name, key: `${name}-${salt}` }));
  await send(raced);
}

async function send(requests) {
  prepare(requests.map(({ name }) => name), "sent");
  say(`Racing ${requests.length} captures…`);
  show();
  performance.clearResourceTimings();
  performance.setResourceTimingBufferSize(500);
  const answers = await Promise.all(requests.map(({ key }) => capture(payment.id, payment.amount_cents, key)));
  draw(withSendTimes(answers));
  say(verdict(answers));
  element("ask-again").hidden = !answers.some(({ status }) => status === 0 || status >= 500);
  await look();
}

async function look() {
  try {
    showPayment(await read(payment.id));
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    forget();
  }
}

function namesOf(count, mode) {
  return Array.from({ length: count }, (_, number) => nameOf(number, mode));
}

function nameOf(number, mode) {
  if (mode === "same") return "key";
  return `key ${mode === "pairs" ? Math.floor(number / 2) + 1 : number + 1}`;
}

// When the browser put each request on the wire. Fetches begin in the order in which they were called; where its
// record does not fit that, or says nothing, what the page itself measured is drawn.
function withSendTimes(answers) {
  const path = new URL(`/payments/${payment.id}/captures`, location.href).href;
  const timings = performance.getEntriesByName(path).sort((a, b) => a.startTime - b.startTime);
  const fits = (timing, { called, ended }) =>
    timing.requestStart >= called - 1 && timing.requestStart <= timing.responseEnd && timing.responseEnd <= ended + 1;
  const known = timings.length === answers.length && timings.every((timing, number) => fits(timing, answers[number]));
  return answers.map((answer, number) => ({
    ...answer,
    sent: known ? timings[number].requestStart : answer.called,
    ended: known ? timings[number].responseEnd : answer.ended,
  }));
}

// Run `action` when a form is sent, one at a time, and say what went wrong.
function on(id, action) {
  element(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = [...document.querySelectorAll("button")];
    let next = document.activeElement;
    buttons.forEach((button) => (button.disabled = true));
    pressed = event.submitter?.closest(".card") ?? null;
    try {
      await action();
    } catch (error) {
      say(inWords(error));
      if (error instanceof NoAnswer) forget();
      if (error.status === 401 || error.status === 403) next = tokenField();
    } finally {
      buttons.forEach((button) => (button.disabled = false));
      element("race").querySelector("button").disabled = payment === null;
      next.focus(); // a button that is disabled loses it
    }
  });
}

function inWords(error) {
  if (error instanceof NoAnswer) return "There was no answer; nobody knows yet whether it was done.";
  return error instanceof Refused ? `Refused: ${error.message}` : `Something went wrong: ${error.message}`;
}

function tokenField() {
  element("access").open = true;
  return element("token");
}

function show() {
  element("timeline").scrollIntoView({ block: "nearest" });
}

// Say it with the race, and beside the button that was pressed.
function say(text) {
  element("verdict").textContent = text;
  for (const each of document.querySelectorAll(".said")) {
    each.textContent = pressed?.contains(each) ? text : "";
  }
}

setInterval(showWindow, 100);
