// A service that is not ours: payments over HTTP, with Express and Knex.
//
// BUG leaves out one thing that makes it right: "no-lock", "key-before-lock", or "clock-before-lock".

import express from "express";
import createKnex from "knex";

const { BUG, DATABASE_URL, HOST, PORT } = process.env;
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
  await knex.schema.createTable("idempotency_keys", (table) => {
    table.uuid("payment_id").notNullable().references("payments.id");
    table.text("key").notNullable();
    table.integer("amount").notNullable();
    table.integer("status").notNullable();
    table.jsonb("body").notNullable();
    table.primary(["payment_id", "key"]);
  });
}

function amountOf(body) {
  const amount = body?.amount;
  if (!Number.isInteger(amount) || amount < 1 || amount > 99_999_999) throw new Refusal(400, "invalid_amount");
  return amount;
}

async function lockPayment(trx, id) {
  const query = trx("payments").where({ id }).first();
  const payment = await (BUG === "no-lock" ? query : query.forUpdate());
  if (!payment) throw new Refusal(404, "not_found");
  return payment;
}

async function isExpired(trx, id) {
  const row = await trx("payments").where({ id }).first(knex.raw("capture_before <= clock_timestamp() AS expired"));
  return row?.expired;
}

const findKey = (trx, id, key) => trx("idempotency_keys").where({ payment_id: id, key }).first();

const show = ({ id, amount, status }) => ({ id, amount, status });

function refusalOf(payment, amount, expired) {
  if (payment.status !== "authorized") return payment.status;
  if (expired) return "expired";
  return amount === payment.amount ? null : "amount_mismatch";
}

const capture = (id, key, amount) =>
  knex.transaction(async (trx) => {
    const seenEarly = BUG === "key-before-lock" ? await findKey(trx, id, key) : undefined;
    const expiredEarly = BUG === "clock-before-lock" && (await isExpired(trx, id));
    const payment = await lockPayment(trx, id);
    const seen = BUG === "key-before-lock" ? seenEarly : await findKey(trx, id, key);
    if (seen && seen.amount !== amount) throw new Refusal(422, "key_reused");
    if (seen) return { status: seen.status, body: seen.body, replayed: true };
    const expired = BUG === "clock-before-lock" ? expiredEarly : await isExpired(trx, id);
    const refusal = refusalOf(payment, amount, expired);
    const status = refusal ? 409 : 200;
    const body = refusal ? { error: refusal } : show({ ...payment, status: "captured" });
    if (!refusal) await trx("payments").where({ id }).update({ status: "captured" });
    await trx("idempotency_keys").insert({ payment_id: id, key, amount, status, body }).onConflict().ignore();
    return { status, body };
  });

const move = (id, from, change) =>
  knex.transaction(async (trx) => {
    const payment = await lockPayment(trx, id);
    if (payment.status !== from) throw new Refusal(409, payment.status);
    const [moved] = await trx("payments").where({ id }).update(change).returning("*");
    return show(moved);
  });

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
  const { status, body, replayed } = await capture(
    request.params.id,
    request.get("idempotency-key"),
    amountOf(request.body),
  );
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
