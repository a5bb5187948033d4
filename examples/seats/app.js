// Seats that are held for a while, and then booked: Node's own HTTP server, and pg.
//
// A hold ends by the database's time, which seats_now() tells. Each request is one transaction, which locks the
// seat, asks for the time in a later statement, and decides.

import { createServer } from "node:http";
import pg from "pg";

const BUG = process.env.BUG ?? "";
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS seats (seat text PRIMARY KEY, holder text, held_until timestamptz, booked_by text);
  CREATE OR REPLACE FUNCTION seats_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';
`;

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
pool.on("error", () => {});

async function transaction(work) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const answer = await work(client);
    await client.query("COMMIT");
    return answer;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

async function look(client, seat) {
  const lock = BUG === "no-lock" ? "" : " FOR NO KEY UPDATE";
  const found = await client.query(`SELECT * FROM seats WHERE seat = $1${lock}`, [seat]);
  return existing(found.rows[0]);
}

function existing(row) {
  if (row === undefined) throw Object.assign(new Error("there is no such seat"), { status: 404 });
  return row;
}

async function now(client) {
  const clock = BUG === "time-of-the-transaction" ? "now()" : "seats_now()";
  return (await client.query(`SELECT ${clock} AS now`)).rows[0].now;
}

// Who has a seat now: who has booked it, or who holds it and whose hold has not ended.
const owner = (row, at) => row.booked_by ?? (row.held_until > at ? row.holder : null);

async function hold(seat, { who, seconds }) {
  return transaction(async (client) => {
    const row = await look(client, seat);
    const by = owner(row, await now(client));
    if (by !== null && by !== who) return [409, { taken: true }];
    const until = "seats_now() + make_interval(secs => $3)";
    await client.query(`UPDATE seats SET holder = $2, held_until = ${until} WHERE seat = $1`, [seat, who, seconds]);
    return [201, { held: true }];
  });
}

async function book(seat, { who }) {
  return transaction(async (client) => {
    const row = await look(client, seat);
    const by = BUG === "holds-do-not-end" ? row.booked_by ?? row.holder : owner(row, await now(client));
    if (by !== who) return [409, { held: false }];
    await client.query("UPDATE seats SET booked_by = $2 WHERE seat = $1", [seat, who]);
    return [201, { booked: true }];
  });
}

// Locks as well: who has asked for the time and not yet committed has decided by a time that is over.
async function show(seat) {
  if (BUG === "looks-without-a-lock") {
    const { rows } = await pool.query("SELECT *, seats_now() AS now FROM seats WHERE seat = $1", [seat]);
    return [200, { owner: owner(existing(rows[0]), rows[0].now) }];
  }
  return transaction(async (client) => [200, { owner: owner(await look(client, seat), await now(client)) }]);
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts)) : {};
}

const routes = { "POST hold": hold, "POST book": book, "GET seat": show };

const server = createServer(async (request, response) => {
  const [, seat, action = "seat"] = request.url.split("/");
  const route = routes[`${request.method} ${action}`];
  let answer;
  try {
    answer = route ? await route(seat, await body(request)) : [404, {}];
  } catch (error) {
    answer = [error.status ?? 500, { error: error.message }];
  }
  response.writeHead(answer[0], { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(answer[1]));
});

await pool.query(SCHEMA);
server.listen(Number(process.env.PORT), process.env.HOST);
