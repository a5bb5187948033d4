// A service that is not ours: payments over HTTP, with Express and Knex, and express-idempotency for its captures.
//
// The middleware is wired as its README says: it keeps what it knows in memory, as it does by default, and refusals
// are kept, too, which is an option. STORE=postgres keeps it in PostgreSQL, by the adapter's interface of the README.

import express from "express";
import { getSharedIdempotencyService, idempotency } from "express-idempotency";
import createKnex from "knex";

const { DATABASE_URL, HOST, PORT, STORE } = process.env;
const knex = createKnex({ client: "pg", connection: DATABASE_URL, pool: { min: 2, max: 10 } });

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    Object.assign(this, { status, code });
  }
}

async function migrate() {
  if (await knex.schema.hasTable("payments")) return;
  await knex.schema.createTable("idempotency", (table) => {
    table.text("key").primary();
    table.jsonb("resource").notNullable();
  });
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

const responseValidator = { isValidForPersistence: ({ statusCode }) => [200, 409].includes(statusCode) };

const inPostgres = {
  async findByIdempotencyKey(key) {
    const row = await knex("idempotency").where({ key }).first();
    return row?.resource;
  },
  async create(resource) {
    await knex("idempotency").insert({ key: resource.idempotencyKey, resource });
  },
  async update(resource) {
    await knex("idempotency").where({ key: resource.idempotencyKey }).update({ resource });
  },
  async delete(key) {
    await knex("idempotency").where({ key }).delete();
  },
};

const app = express();
app.use(express.json());
app.post(
  "/payments/:id/capture",
  idempotency({ responseValidator, dataAdapter: STORE === "postgres" ? inPostgres : undefined }),
);
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
  if (getSharedIdempotencyService().isHit(request)) return;
  response.send(await capture(request.params.id, amountOf(request.body)));
});
app.post("/expire", async (_request, response) => {
  await knex("payments")
    .where({ status: "authorized" })
    .where("capture_before", "<=", knex.raw("clock_timestamp()"))
    .update({ status: "voided" });
  response.json({ ok: true });
});
app.use((error, _request, response, _next) => {
  if (error instanceof Refusal) return response.status(error.status).send({ error: error.code });
  if (response.statusCode === 409) return response.json({ error: "in_progress" });
  if (response.statusCode === 417) return response.json({ error: "key_reused" });
  if (error.status < 500) return response.status(error.status).json({ error: "bad_request" });
  console.error(error);
  response.status(500).json({ error: "internal" });
});

await migrate();
app.listen(Number(PORT), HOST);
