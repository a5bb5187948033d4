// A service that is not ours: payments over HTTP, with Fastify and postgres.js.
//
// BUG leaves out one thing that makes it right: "no-lock", "key-before-lock", or "clock-before-lock".

import Fastify from "fastify";
import postgres from "postgres";

const { BUG, DATABASE_URL, HOST, PORT } = process.env;
const sql = postgres(DATABASE_URL, {
  max: 10,
  onnotice: () => {},
  types: { bigint: { ...postgres.BigInt, parse: Number } },
});

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    Object.assign(this, { status, code });
  }
}

async function migrate() {
  await sql`
    CREATE TABLE IF NOT EXISTS payments (
      id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      amount         bigint NOT NULL CHECK (amount > 0),
      status         text NOT NULL DEFAULT 'created',
      capture_before timestamptz
    )`;
  await sql`
    CREATE TABLE IF NOT EXISTS idempotency_keys (
      payment_id uuid NOT NULL REFERENCES payments,
      key        text NOT NULL,
      amount     bigint NOT NULL,
      status     int NOT NULL,
      body       text NOT NULL,
      PRIMARY KEY (payment_id, key)
    )`;
}

function amountOf(body) {
  const amount = body?.amount;
  if (!Number.isInteger(amount) || amount < 1 || amount > 99_999_999) throw new Refusal(400, "invalid_amount");
  return amount;
}

async function lockPayment(tx, id) {
  const [payment] = await tx`SELECT * FROM payments WHERE id = ${id} ${BUG === "no-lock" ? tx`` : tx`FOR UPDATE`}`;
  if (!payment) throw new Refusal(404, "not_found");
  return payment;
}

async function isExpired(tx, id) {
  const [row] = await tx`SELECT capture_before <= clock_timestamp() AS expired FROM payments WHERE id = ${id}`;
  return row?.expired;
}

const findKey = async (tx, id, key) =>
  (await tx`SELECT * FROM idempotency_keys WHERE payment_id = ${id} AND key = ${key}`)[0];

const show = ({ id, amount, status }) => ({ id, amount, status });

function refusalOf(payment, amount, expired) {
  if (payment.status !== "authorized") return payment.status;
  if (expired) return "expired";
  return amount === payment.amount ? null : "amount_mismatch";
}

async function capture(id, key, amount) {
  return sql.begin(async (tx) => {
    const seenEarly = BUG === "key-before-lock" && (await findKey(tx, id, key));
    const expiredEarly = BUG === "clock-before-lock" && (await isExpired(tx, id));
    const payment = await lockPayment(tx, id);
    const seen = BUG === "key-before-lock" ? seenEarly : await findKey(tx, id, key);
    if (seen && seen.amount !== amount) throw new Refusal(422, "key_reused");
    if (seen) return { status: seen.status, body: seen.body, replayed: true };
    const expired = BUG === "clock-before-lock" ? expiredEarly : await isExpired(tx, id);
    const refusal = refusalOf(payment, amount, expired);
    const status = refusal ? 409 : 200;
    const body = JSON.stringify(refusal ? { error: refusal } : show({ ...payment, status: "captured" }));
    if (!refusal) await tx`UPDATE payments SET status = 'captured' WHERE id = ${id}`;
    await tx`
      INSERT INTO idempotency_keys ${tx({ payment_id: id, key, amount, status, body })} ON CONFLICT DO NOTHING`;
    return { status, body };
  });
}

async function move(id, from, change) {
  return sql.begin(async (tx) => {
    const payment = await lockPayment(tx, id);
    if (payment.status !== from) throw new Refusal(409, payment.status);
    const [moved] = await tx`UPDATE payments SET ${change(tx)} WHERE id = ${id} RETURNING *`;
    return show(moved);
  });
}

const app = Fastify();
app.setErrorHandler((error, _request, reply) => {
  if (error instanceof Refusal) return reply.code(error.status).send({ error: error.code });
  if (error.statusCode < 500) return reply.code(error.statusCode).send({ error: "bad_request" });
  console.error(error);
  return reply.code(500).send({ error: "internal" });
});
app.get("/health", async () => ({ ok: true }));
app.post("/payments", async (request, reply) => {
  const [payment] = await sql`INSERT INTO payments ${sql({ amount: amountOf(request.body) })} RETURNING *`;
  return reply.code(201).send(show(payment));
});
app.get("/payments/:id", async ({ params }) => {
  const [payment] = await sql`SELECT * FROM payments WHERE id = ${params.id}`;
  if (!payment) throw new Refusal(404, "not_found");
  return show(payment);
});
app.post("/payments/:id/authorize", ({ params, body }) =>
  move(
    params.id,
    "created",
    (tx) => tx`status = 'authorized', capture_before = clock_timestamp() + ${body.window_ms} * interval '1 ms'`,
  ));
app.post("/payments/:id/void", ({ params }) => move(params.id, "authorized", (tx) => tx`status = 'voided'`));
app.post("/payments/:id/capture", async ({ params, headers, body }, reply) => {
  const answer = await capture(params.id, headers["idempotency-key"], amountOf(body));
  if (answer.replayed) reply.header("idempotent-replayed", "true");
  return reply.code(answer.status).type("application/json").send(answer.body);
});
app.post("/expire", async () => {
  await sql`UPDATE payments SET status = 'voided' WHERE status = 'authorized' AND capture_before <= clock_timestamp()`;
  return { ok: true };
});

if (process.argv[2] === "migrate") {
  await migrate();
  await sql.end();
} else {
  await app.listen({ host: HOST, port: Number(PORT) });
}
