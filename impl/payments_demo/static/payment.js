// The payment's card: its state machine with the current state lit, and its window, in the database's time.

const PASSED = {
  pending: [],
  authorized: ["pending"],
  captured: ["pending", "authorized"],
  failed: ["pending", "authorized"],
};

const element = (id) => document.getElementById(id);
let clock = null;

// Show what a read or a command answered. `answer.ended` is when it arrived: from then on the time since `as_of` is
// counted. It took a while to arrive, so the database is at least as far.
export function showPayment(answer) {
  const payment = answer.document;
  element("id").textContent = payment.id;
  lightUp(payment.state);
  for (const fact of document.querySelectorAll("[data-fact]")) {
    const instant = payment[fact.dataset.fact];
    fact.textContent = instant ? instant.slice(11, 26) : "–";
  }
  clock = payment.capture_expires_at && {
    state: payment.state,
    total: microseconds(payment.capture_expires_at) - microseconds(payment.authorized_at),
    left: microseconds(payment.capture_expires_at) - microseconds(payment.as_of),
    arrived: answer.ended,
  };
  showWindow();
}

// Milliseconds until the database is certainly past the window's end.
export function untilEnd() {
  return clock ? Math.max(0, remaining() / 1000) : 0;
}

export function isOpen() {
  return clock?.state === "authorized" && remaining() > 0;
}

// Nothing is known of the payment any more: its window is not counted down.
export function forget() {
  clock = null;
  element("clock-label").textContent = "Capture window";
  element("remaining").textContent = "not known";
  element("left").style.transform = "scaleX(0)";
}

export function showWindow() {
  if (!clock) return;
  const output = element("remaining");
  if (clock.state === "authorized") {
    const left = remaining();
    element("clock-label").textContent = left > 0 ? "Capture window ends in" : "Capture window";
    output.textContent = left > 0 ? duration(left) : "ended";
    element("left").style.transform = `scaleX(${Math.min(1, Math.max(0, left / clock.total))})`;
  } else {
    element("clock-label").textContent = "Capture window";
    output.textContent = "closed";
    element("left").style.transform = "scaleX(0)";
  }
}

function remaining() {
  return clock.left - (performance.now() - clock.arrived) * 1000;
}

// An instant of the service as µs since the epoch: arithmetic on its digits, no clock involved.
function microseconds(instant) {
  return Date.parse(`${instant.slice(0, 19)}Z`) * 1000 + Number(instant.slice(20, 26));
}

export function duration(us) {
  const tenths = Math.ceil(us / 100_000);
  const seconds = tenths / 10;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

function lightUp(state) {
  const machine = element("machine");
  const path = [...PASSED[state], state];
  for (const node of machine.querySelectorAll("[data-state]")) {
    const name = node.dataset.state;
    node.classList.toggle("lit", name === state);
    node.classList.toggle("passed", PASSED[state].includes(name));
  }
  for (const move of machine.querySelectorAll("[data-move]")) {
    const [from, to] = move.dataset.move.split(" ");
    move.classList.toggle("taken", path.indexOf(to) > 0 && path[path.indexOf(to) - 1] === from);
  }
  machine.setAttribute("aria-label", `States: pending, authorized, captured or failed. The payment is ${state}.`);
}
