// A service that is not ours: payments over HTTP, with Express and Prisma over its driver adapter for pg.
//
// BUG leaves out one thing that makes it right: "no-lock", "key-before-lock", or "clock-before-lock".

import { PrismaPg } from "@prisma/adapter-pg";
import { Prisma, PrismaClient } from "@prisma/client";
import express from "express";

const { BUG, DATABASE_URL, HOST, PORT } = process.env;
const prisma = new PrismaClient({
  adapter: new PrismaPg({ connectionString: DATABASE_URL, max: 10 }),
  transactionOptions: { maxWait: 60_000, timeout: 60_000 }, // Prisma's own would end one that waits for 5 s
});

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    Object.assign(this, { status, code });
  }
}

// What `prisma migrate diff` makes of the schema.
const MIGRATION = [
  `CREATE TABLE IF NOT EXISTS "payments" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(), "amount" INTEGER NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'created', "capture_before" TIMESTAMPTZ(6),
    CONSTRAINT "payments_pkey" PRIMARY KEY ("id"))`,
  `CREATE TABLE IF NOT EXISTS "idempotency_keys" (
    "payment_id" UUID NOT NULL, "key" TEXT NOT NULL, "amount" INTEGER NOT NULL, "status" INTEGER NOT NULL,
    "body" TEXT NOT NULL, CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("payment_id", "key"),
    CONSTRAINT "idempotency_keys_payment_id_fkey" FOREIGN KEY ("payment_id") REFERENCES "payments"("id")
      ON DELETE RESTRICT ON UPDATE CASCADE)`,
];

function amountOf(body) {
  const amount = body?.amount;
  if (!Number.isInteger(amount) || amount < 1 || amount > 99_999_999) throw new Refusal(400, "invalid_amount");
  return amount;
}

async function lockPayment(tx, id) {
  const lock = BUG === "no-lock" ? Prisma.empty : Prisma.sql`FOR UPDATE`;
  const [payment] = await tx.$queryRaw`SELECT id, amount, status FROM payments WHERE id = ${id}::uuid ${lock}`;
  if (!payment) throw new Refusal(404, "not_found");
  return payment;
}

async function isExpired(tx, id) {
  const [row] = await tx.$queryRaw`
    SELECT capture_before <= clock_timestamp() AS expired FROM payments WHERE id = ${id}::uuid`;
  return row?.expired;
}

const findKey = (tx, paymentId, key) => tx.idempotencyKey.findUnique({ where: { paymentId_key: { paymentId, key } } });

const show = ({ id, amount, status }) => ({ id, amount, status });

function refusalOf(payment, amount, expired) {
  if (payment.status !== "authorized") return payment.status;
  if (expired) return "expired";
  return amount === payment.amount ? null : "amount_mismatch";
}

const capture = (id, key, amount) =>
  prisma.$transaction(async (tx) => {
    const seenEarly = BUG === "key-before-lock" ? await findKey(tx, id, key) : undefined;
    const expiredEarly = BUG === "clock-before-lock" && (await isExpired(tx, id));
    const payment = await lockPayment(tx, id);
    const seen = BUG === "key-before-lock" ? seenEarly : await findKey(tx, id, key);
    if (seen && seen.amount !== amount) throw new Refusal(422, "key_reused");
    if (seen) return { status: seen.status, body: seen.body, replayed: true };
    const expired = BUG === "clock-before-lock" ? expiredEarly : await isExpired(tx, id);
    const refusal = refusalOf(payment, amount, expired);
    if (!refusal) await tx.payment.update({ where: { id }, data: { status: "captured" } });
    const status = refusal ? 409 : 200;
    const body = JSON.stringify(refusal ? { error: refusal } : show({ ...payment, status: "captured" }));
    const row = { paymentId: id, key, amount, status, body };
    await tx.idempotencyKey.createMany({ data: [row], skipDuplicates: true });
    return { status, body };
  });

const move = (id, from, change) =>
  prisma.$transaction(async (tx) => {
    const payment = await lockPayment(tx, id);
    if (payment.status !== from) throw new Refusal(409, payment.status);
    await tx.$executeRaw`UPDATE payments SET ${change} WHERE id = ${id}::uuid`;
    return show(await tx.payment.findUnique({ where: { id } }));
  });

const app = express();
app.use(express.json());
app.get("/health", (_request, response) => response.json({ ok: true }));
app.post("/payments", async (request, response) => {
  const payment = await prisma.payment.create({ data: { amount: amountOf(request.body) } });
  response.status(201).json(show(payment));
});
app.get("/payments/:id", async (request, response) => {
  const payment = await prisma.payment.findUnique({ where: { id: request.params.id } });
  if (!payment) throw new Refusal(404, "not_found");
  response.json(show(payment));
});
app.post("/payments/:id/authorize", async (request, response) => {
  const change = Prisma.sql`
    status = 'authorized', capture_before = clock_timestamp() + ${request.body.window_ms} * interval '1 ms'`;
  response.json(await move(request.params.id, "created", change));
});
app.post("/payments/:id/void", async (request, response) => {
  response.json(await move(request.params.id, "authorized", Prisma.sql`status = 'voided'`));
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
  await prisma.$executeRaw`
    UPDATE payments SET status = 'voided' WHERE status = 'authorized' AND capture_before <= clock_timestamp()`;
  response.json({ ok: true });
});
app.use((error, _request, response, _next) => {
  if (error instanceof Refusal) return response.status(error.status).json({ error: error.code });
  if (error.status < 500) return response.status(error.status).json({ error: "bad_request" });
  console.error(error);
  response.status(500).json({ error: "internal" });
});

for (const statement of MIGRATION) await prisma.$executeRawUnsafe(statement);
app.listen(Number(PORT), HOST);
