// A service that is not ours: payments over HTTP, with Express and TypeORM.
//
// BUG leaves out one thing that makes it right: "no-lock", "key-before-lock", or "clock-before-lock".

import "reflect-metadata";
import express from "express";
import { DataSource, EntitySchema, Raw } from "typeorm";

const { BUG, DATABASE_URL, HOST, PORT } = process.env;

const Payment = new EntitySchema({
  name: "Payment",
  tableName: "payments",
  columns: {
    id: { type: "uuid", primary: true, generated: "uuid" },
    amount: { type: "int" },
    status: { type: "text", default: "created" },
    captureBefore: { type: "timestamptz", name: "capture_before", nullable: true },
  },
});
const IdempotencyKey = new EntitySchema({
  name: "IdempotencyKey",
  tableName: "idempotency_keys",
  columns: {
    paymentId: { type: "uuid", primary: true, name: "payment_id" },
    key: { type: "text", primary: true },
    amount: { type: "int" },
    status: { type: "int" },
    body: { type: "text" },
  },
  relations: {
    payment: { type: "many-to-one", target: "Payment", joinColumn: { name: "payment_id" } },
  },
});
const db = new DataSource({
  type: "postgres",
  url: DATABASE_URL,
  entities: [Payment, IdempotencyKey],
  synchronize: true,
  uuidExtension: "pgcrypto",
  installExtensions: false,
});

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    Object.assign(this, { status, code });
  }
}

function amountOf(body) {
  const amount = body?.amount;
  if (!Number.isInteger(amount) || amount < 1 || amount > 99_999_999) throw new Refusal(400, "invalid_amount");
  return amount;
}

const isDue = () => Raw((column) => `${column} <= clock_timestamp()`);

async function lockPayment(manager, id) {
  const lock = BUG === "no-lock" ? undefined : { mode: "pessimistic_write" };
  const payment = await manager.findOne(Payment, { where: { id }, lock });
  if (!payment) throw new Refusal(404, "not_found");
  return payment;
}

const isExpired = (manager, id) => manager.existsBy(Payment, { id, captureBefore: isDue() });

const findKey = (manager, paymentId, key) => manager.findOneBy(IdempotencyKey, { paymentId, key });

const show = ({ id, amount, status }) => ({ id, amount, status });

function refusalOf(payment, amount, expired) {
  if (payment.status !== "authorized") return payment.status;
  if (expired) return "expired";
  return amount === payment.amount ? null : "amount_mismatch";
}

const capture = (id, key, amount) =>
  db.transaction(async (manager) => {
    const seenEarly = BUG === "key-before-lock" ? await findKey(manager, id, key) : undefined;
    const expiredEarly = BUG === "clock-before-lock" && (await isExpired(manager, id));
    const payment = await lockPayment(manager, id);
    const seen = BUG === "key-before-lock" ? seenEarly : await findKey(manager, id, key);
    if (seen && seen.amount !== amount) throw new Refusal(422, "key_reused");
    if (seen) return { status: seen.status, body: seen.body, replayed: true };
    const expired = BUG === "clock-before-lock" ? expiredEarly : await isExpired(manager, id);
    const refusal = refusalOf(payment, amount, expired);
    if (!refusal) await manager.save(Payment, Object.assign(payment, { status: "captured" }));
    const status = refusal ? 409 : 200;
    const body = JSON.stringify(refusal ? { error: refusal } : show(payment));
    const row = { paymentId: id, key, amount, status, body };
    await manager.createQueryBuilder().insert().into(IdempotencyKey).values(row).orIgnore().execute();
    return { status, body };
  });

const move = (id, from, change) =>
  db.transaction(async (manager) => {
    const payment = await lockPayment(manager, id);
    if (payment.status !== from) throw new Refusal(409, payment.status);
    await manager.update(Payment, { id }, change);
    return show({ ...payment, ...change });
  });

const app = express();
app.use(express.json());
app.get("/health", (_request, response) => response.json({ ok: true }));
app.post("/payments", async (request, response) => {
  const payment = await db.manager.save(Payment, { amount: amountOf(request.body) });
  response.status(201).json(show(payment));
});
app.get("/payments/:id", async (request, response) => {
  const payment = await db.manager.findOneBy(Payment, { id: request.params.id });
  if (!payment) throw new Refusal(404, "not_found");
  response.json(show(payment));
});
app.post("/payments/:id/authorize", async (request, response) => {
  const captureBefore = () => `clock_timestamp() + ${Number(request.body.window_ms)} * interval '1 ms'`;
  response.json(await move(request.params.id, "created", { status: "authorized", captureBefore }));
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
  response.status(status).type("json").send(body);
});
app.post("/expire", async (_request, response) => {
  await db.manager.update(Payment, { status: "authorized", captureBefore: isDue() }, { status: "voided" });
  response.json({ ok: true });
});
app.use((error, _request, response, _next) => {
  if (error instanceof Refusal) return response.status(error.status).json({ error: error.code });
  if (error.status < 500) return response.status(error.status).json({ error: "bad_request" });
  console.error(error);
  response.status(500).json({ error: "internal" });
});

await db.initialize();
app.listen(Number(PORT), HOST);
