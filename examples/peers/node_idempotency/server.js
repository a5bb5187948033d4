// A service that is not ours: payments over HTTP, with Express and Knex, and @node-idempotency/core for its captures.
//
// The library is called as its README says: onRequest before the capture, and onResponse with its result, or its error.
// ERRORS=forgotten tells it only of what was decided: then nothing is stored of a request that failed with a 5xx.

import { Idempotency, IdempotencyErrorCodes } from "@node-idempotency/core";
import { MemoryStorageAdapter } from "@node-idempotency/storage-adapter-memory";
import express from "express";
import createKnex from "knex";

const { DATABASE_URL, ERRORS, HOST, PORT } = process.env;
const knex = createKnex({ client: "pg", connection: DATABASE_URL, pool: { min: 2, max: 10 } });

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    Object.assign(this, { status, code });
  }
}

async function migrate() {
  if (await knex.schema.hasTable("payments")) return;
  await knex.schema.createTable("payments", (table) => {
    table.uuid("id").primary().defaultTo(knex.raw("gen_random_uuid()"));
    table.integer("amount").notNullable();
    table.text("status").notNullable().defaultTo("created");
    table.timestamp("capture_before");
  });
}

function amountOf(body) {
  const amount = body?.amount;
  if (!Number.isInteger(amount) || amount < 1 || amount > 99_999_999) throw new Refusal(400, "invalid_amount");
  return amount;
}

async function lockPayment(trx, id) {
  const payment = await trx("payments").where({ id }).forUpdate().first();
  if (!payment) throw new Refusal(404, "not_found");
  return payment;
}

async function isExpired(trx, id) {
  const row = await trx("payments").where({ id }).first(knex.raw("capture_before <= clock_timestamp() AS expired"));
  return row.expired;
}

const show = ({ id, amount, status }) => ({ id, amount, status });

function refusalOf(payment, amount, expired) {
  if (payment.status !== "authorized") return payment.status;
  if (expired) return "expired";
  return amount === payment.amount ? null : "amount_mismatch";
}

const capture = (id, amount) =>
  knex.transaction(async (trx) => {
    const payment = await lockPayment(trx, id);
    const refusal = refusalOf(payment, amount, await isExpired(trx, id));
    if (refusal) throw new Refusal(409, refusal);
    await trx("payments").where({ id }).update({ status: "captured" });
    return show({ ...payment, status: "captured" });
  });

const move = (id, from, change) =>
  knex.transaction(async (trx) => {
    const payment = await lockPayment(trx, id);
    if (payment.status !== from) throw new Refusal(409, payment.status);
    const [moved] = await trx("payments").where({ id }).update(change).returning("*");
    return show(moved);
  });

const idempotency = new Idempotency(new MemoryStorageAdapter());

const REFUSALS = {
  [IdempotencyErrorCodes.REQUEST_IN_PROGRESS]: new Refusal(409, "in_progress"),
  [IdempotencyErrorCodes.IDEMPOTENCY_FINGERPRINT_MISSMATCH]: new Refusal(422, "key_reused"),
};

async function once(request, work) {
  const asked = { method: request.method, headers: request.headers, body: request.body, path: request.path };
  const known = await idempotency.onRequest(asked).catch((error) => {
    throw REFUSALS[error.code] ?? error;
  });
  if (known) return { ...known.additional, body: known.body ?? known.error, replayed: true };
  const answer = await work().then(
    (body) => ({ status: 200, body }),
    (error) => ({ status: error.status ?? 500, body: { error: error.code ?? "internal" } }),
  );
  if (ERRORS !== "forgotten" || answer.status < 500) {
    await idempotency.onResponse(asked, { body: answer.body, additional: { status: answer.status } });
  }
  return answer;
}

const app = express();
app.use(express.json());
app.get("/health", (_request, response) => response.json({ ok: true }));
app.post("/payments", async (request, response) => {
  const [payment] = await knex("payments").insert({ amount: amountOf(request.body) }).returning("*");
  response.status(201).json(show(payment));
});
app.get("/payments/:id", async (request, response) => {
  const payment = await knex("payments").where({ id: request.params.id }).first();
  if (!payment) throw new Refusal(404, "not_found");
  response.json(show(payment));
});
app.post("/payments/:id/authorize", async (request, response) => {
  const before = knex.raw("clock_timestamp() + ? * interval '1 ms'", [request.body.window_ms]);
  response.json(await move(request.params.id, "created", { status: "authorized", capture_before: before }));
});
app.post("/payments/:id/void", async (request, response) => {
  response.json(await move(request.params.id, "authorized", { status: "voided" }));
});
app.post("/payments/:id/capture", async (request, response) => {
  const amount = amountOf(request.body);
  const { status, body, replayed } = await once(request, () => capture(request.params.id, amount));
  if (replayed) response.set("idempotent-replayed", "true");
  response.status(status).json(body);
});
app.post("/expire", async (_request, response) => {
  await knex("payments")
    .where({ status: "authorized" })
    .where("capture_before", "<=", knex.raw("clock_timestamp()"))
    .update({ status: "voided" });
  response.json({ ok: true });
});
app.use((error, _request, response, _next) => {
  if (error instanceof Refusal) return response.status(error.status).json({ error: error.code });
  if (error.status < 500) return response.status(error.status).json({ error: "bad_request" });
  console.error(error);
  response.status(500).json({ error: "internal" });
});

await migrate();
app.listen(Number(PORT), HOST);
