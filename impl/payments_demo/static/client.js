// The service's interface, as any client sees it. Times are milliseconds of the browser's monotonic timer.

const memory = { token: "" };

export function useToken(token) {
  memory.token = token.trim();
}

// One request: what was answered, and when. `status` is 0 if there was no answer.
export async function send(method, path, body, headers = {}) {
  const given = { ...headers };
  if (memory.token) given.Authorization = `Bearer ${memory.token}`;
  if (body !== undefined) given["Content-Type"] = "application/json";
  const called = performance.now();
  try {
    const response = await fetch(path, {
      method,
      headers: given,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
    const text = await response.text();
    return {
      status: response.status,
      document: parsed(text),
      replayed: response.headers.get("Idempotent-Replayed") === "true",
      called,
      ended: performance.now(),
    };
  } catch {
    return { status: 0, document: { detail: "there was no answer" }, replayed: false, called, ended: performance.now() };
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { detail: "the answer is not JSON" };
  }
}

export async function createAuthorized(cents, seconds, shown) {
  const created = await expect(201, send("POST", "/payments", { amount_cents: cents }));
  shown(created);
  const path = `/payments/${created.document.id}`;
  const authorized = await expect(200, send("POST", `${path}/authorize`, { capture_window_seconds: seconds }));
  shown(authorized);
  return authorized;
}

// Move the clock of a demonstration on; by how many seconds it is ahead then.
export async function advanceClock(seconds) {
  const answer = await expect(200, send("POST", "/demo/clock", { advance_seconds: seconds }));
  return answer.document.ahead_seconds;
}

export function read(id) {
  return expect(200, send("GET", `/payments/${id}`));
}

export function capture(id, cents, key) {
  return send("POST", `/payments/${id}/captures`, { amount_cents: cents }, { "Idempotency-Key": key });
}

export class Refused extends Error {
  constructor(answer) {
    super(answer.document.detail ?? "the service refused this");
    this.status = answer.status;
  }
}

export class NoAnswer extends Error {}

// These say of themselves that nothing was done.
const NOTHING_DONE = new Set(["/problems/overloaded", "/problems/payment_busy"]);

// Whether nobody knows what became of a request.
export function isUnknown({ status, document }) {
  return status === 0 || (status >= 500 && !NOTHING_DONE.has(document.type));
}

async function expect(status, request) {
  const answer = await request;
  if (isUnknown(answer)) throw new NoAnswer();
  if (answer.status !== status) throw new Refused(answer);
  return answer;
}
