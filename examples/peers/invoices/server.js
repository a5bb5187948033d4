// A service that is not ours: invoices that are reserved, and then paid once. Node's own HTTP server, and pg.
//
// One transaction decides a command: it locks the invoice's row, looks up the receipt of an earlier request in a
// later statement, asks the database for the time in another, and writes all or nothing before it answers.

import { createServer } from "node:http";
import pg from "pg";

const SCHEMA = `
  CREATE SCHEMA IF NOT EXISTS billing;
  CREATE TABLE IF NOT EXISTS billing.invoice (
    ref            uuid PRIMARY KEY,
    cents          bigint NOT NULL CHECK (cents > 0),
    phase          text NOT NULL DEFAULT 'draft' CHECK (phase IN ('draft', 'reserved', 'paid', 'dropped')),
    reserved_us    bigint,
    reserved_until bigint,
    paid_us        bigint,
    dropped_us     bigint,
    dropped_for    text
  );
  CREATE TABLE IF NOT EXISTS billing.receipt (
    ref        uuid NOT NULL REFERENCES billing.invoice,
    request_id uuid NOT NULL,
    cents      bigint NOT NULL,
    at_us      bigint NOT NULL,
    code       int NOT NULL,
    text       text NOT NULL,
    PRIMARY KEY (ref, request_id)
  );
  CREATE OR REPLACE FUNCTION billing.wall_us() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint';
`;
const MOST = 999_999_999_999;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, min: 8, max: 8, idleTimeoutMillis: 0 });
pool.on("error", () => {}); // a connection that was cut while idle is replaced
// One that is cut while it is used fails its query, and then says so itself: unheard, that would end the process.
pool.on("connect", (client) => client.on("error", () => {}));

class Refusal extends Error {
  constructor(code, why) {
    super(why);
    this.code = code;
  }
}

const isCents = (value) => Number.isInteger(value) && value > 0 && value <= MOST;

const view = (row, at) => ({
  ref: row.ref,
  cents: row.cents,
  phase: row.phase,
  times: { reserved: row.reserved_us, until: row.reserved_until, paid: row.paid_us, dropped: row.dropped_us },
  paid_cents: row.phase === "paid" ? row.cents : null,
  dropped_for: row.dropped_for,
  seen: at,
});

async function transaction(work) {
  const client = await pool.connect();
  let broken;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    const committed = await client.query("COMMIT");
    if (committed.command !== "COMMIT") throw new Error("the transaction was rolled back");
    return result;
  } catch (error) {
    try {
      await client.query("ROLLBACK");
    } catch (lost) {
      broken = lost;
    }
    throw error;
  } finally {
    client.release(broken);
  }
}

async function locked(client, ref) {
  const { rows } = await client.query("SELECT * FROM billing.invoice WHERE ref = $1 FOR NO KEY UPDATE", [ref]);
  if (rows.length === 0) throw new Refusal(404, "unknown");
  return rows[0];
}

async function wall(client) {
  const { rows } = await client.query("SELECT billing.wall_us() AS us");
  return rows[0].us;
}

async function draft(ref, body) {
  if (!isCents(body?.cents)) throw new Refusal(400, "cents");
  const client = await pool.connect();
  let broken;
  try {
    const made = await client.query(
      "INSERT INTO billing.invoice (ref, cents) VALUES ($1, $2) ON CONFLICT (ref) DO NOTHING RETURNING *",
      [ref, body.cents],
    );
    const { rows } = made.rows.length
      ? made
      : await client.query("SELECT * FROM billing.invoice WHERE ref = $1", [ref]);
    if (rows[0].cents !== body.cents) throw new Refusal(409, "taken");
    return [made.rows.length ? 201 : 200, view(rows[0], await wall(client))];
  } catch (error) {
    if (!(error instanceof Refusal)) broken = error;
    throw error;
  } finally {
    client.release(broken);
  }
}

const reserve = (ref, body) =>
  transaction(async (client) => {
    const invoice = await locked(client, ref);
    const now = await wall(client);
    if (invoice.phase !== "draft") throw new Refusal(409, invoice.phase);
    const { rows } = await client.query(
      "UPDATE billing.invoice SET phase = 'reserved', reserved_us = $2, reserved_until = $3 WHERE ref = $1 RETURNING *",
      [ref, now, now + body.hold_us],
    );
    return [200, view(rows[0], now)];
  });

const pay = (ref, body, headers) =>
  transaction(async (client) => {
    if (!isCents(body?.cents)) throw new Refusal(400, "cents");
    const id = headers["request-id"];
    if (!UUID.test(id ?? "")) throw new Refusal(400, "request-id");
    const invoice = await locked(client, ref);
    const earlier = await client.query("SELECT * FROM billing.receipt WHERE ref = $1 AND request_id = $2", [ref, id]);
    if (earlier.rows.length && earlier.rows[0].cents !== body.cents) throw new Refusal(422, "request-id reused");
    if (earlier.rows.length) return [earlier.rows[0].code, earlier.rows[0].text, { "x-repeated": "1" }];
    const now = await wall(client);
    let [code, result] = [409, invoice.phase];
    if (invoice.phase === "reserved" && now >= invoice.reserved_until) result = "late";
    else if (invoice.phase === "reserved" && body.cents !== invoice.cents) result = "partial";
    else if (invoice.phase === "reserved") {
      [code, result] = [200, "paid now"];
      await client.query("UPDATE billing.invoice SET phase = 'paid', paid_us = $2 WHERE ref = $1", [ref, now]);
    }
    const text = JSON.stringify({ result, at: now });
    await client.query("INSERT INTO billing.receipt VALUES ($1, $2, $3, $4, $5, $6)", [
      ref, id, body.cents, now, code, text,
    ]);
    return [code, text];
  });

const drop = (ref, body) =>
  transaction(async (client) => {
    const invoice = await locked(client, ref);
    const now = await wall(client);
    if (invoice.phase !== "reserved") throw new Refusal(409, invoice.phase);
    const { rows } = await client.query(
      "UPDATE billing.invoice SET phase = 'dropped', dropped_us = $2, dropped_for = $3 WHERE ref = $1 RETURNING *",
      [ref, now, body.why],
    );
    return [200, view(rows[0], now)];
  });

async function show(ref) {
  const { rows } = await pool.query("SELECT *, billing.wall_us() AS now FROM billing.invoice WHERE ref = $1", [ref]);
  if (rows.length === 0) throw new Refusal(404, "unknown");
  return [200, view(rows[0], rows[0].now)];
}

const receipts = (ref) =>
  transaction(async (client) => {
    const found = await client.query("SELECT FROM billing.invoice WHERE ref = $1", [ref]);
    if (found.rows.length === 0) throw new Refusal(404, "unknown");
    const { rows } = await client.query(
      "SELECT request_id, cents, at_us, text FROM billing.receipt WHERE ref = $1 ORDER BY at_us, request_id",
      [ref],
    );
    const list = rows.map((row) => ({
      id: row.request_id, cents: row.cents, at: row.at_us, result: JSON.parse(row.text).result,
    }));
    return [200, { receipts: list }];
  });

async function lapse() {
  await transaction(async (client) => {
    const { rows } = await client.query(
      "SELECT ref FROM billing.invoice WHERE phase = 'reserved' AND reserved_until <= billing.wall_us()" +
        " ORDER BY ref FOR NO KEY UPDATE SKIP LOCKED",
    );
    const now = await wall(client);
    for (const { ref } of rows) {
      await client.query(
        "UPDATE billing.invoice SET phase = 'dropped', dropped_us = $2, dropped_for = 'lapsed' WHERE ref = $1",
        [ref, now],
      );
    }
  });
  return [200, {}];
}

const ROUTES = {
  "PUT ": draft,
  "GET ": show,
  "POST /reserve": reserve,
  "POST /pay": pay,
  "POST /drop": drop,
  "GET /receipts": receipts,
};

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  try {
    return parts.length ? JSON.parse(Buffer.concat(parts)) : null;
  } catch {
    throw new Refusal(400, "json");
  }
}

async function answer(request) {
  const body = await bodyOf(request);
  if (request.method === "POST" && request.url === "/lapse") return lapse();
  const [, ref, rest] = /^\/invoices\/([^/]+)(\/\w+)?$/.exec(request.url) ?? [];
  const handle = ROUTES[`${request.method} ${rest ?? ""}`];
  if (!handle || !UUID.test(ref)) throw new Refusal(404, "route");
  return handle(ref, body, request.headers);
}

const server = createServer(async (request, response) => {
  let code, content, headers;
  try {
    [code, content, headers] = await answer(request);
  } catch (error) {
    [code, content] = error instanceof Refusal ? [error.code, { refused: error.message }] : [500, { fault: "ours" }];
  }
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(typeof content === "string" ? content : JSON.stringify(content));
});

await pool.query(SCHEMA);
server.listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
