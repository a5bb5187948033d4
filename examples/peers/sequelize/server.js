// A service that is not ours: payments over HTTP, with Express and Sequelize.
//
// BUG leaves out one thing that makes it right: "no-lock", "key-before-lock", or "clock-before-lock".

import express from "express";
import { DataTypes, Op, Sequelize } from "sequelize";

const { BUG, DATABASE_URL, HOST, PORT } = process.env;
const sequelize = new Sequelize(DATABASE_URL, { logging: false, pool: { min: 2, max: 10 } });
const NOW = sequelize.literal("clock_timestamp()");

const Payment = sequelize.define(
  "Payment",
  {
    id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 },
    amount: { type: DataTypes.INTEGER, allowNull: false },
    status: { type: DataTypes.TEXT, allowNull: false, defaultValue: "created" },
    captureBefore: { type: DataTypes.DATE, field: "capture_before" },
  },
  { tableName: "payments", timestamps: false },
);
const IdempotencyKey = sequelize.define(
  "IdempotencyKey",
  {
    paymentId: { type: DataTypes.UUID, primaryKey: true, field: "payment_id", references: { model: Payment } },
    key: { type: DataTypes.TEXT, primaryKey: true },
    amount: { type: DataTypes.INTEGER, allowNull: false },
    status: { type: DataTypes.INTEGER, allowNull: false },
    body: { type: DataTypes.TEXT, allowNull: false },
  },
  { tableName: "idempotency_keys", timestamps: false },
);

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

async function lockPayment(transaction, id) {
  const lock = BUG === "no-lock" ? undefined : transaction.LOCK.UPDATE;
  const payment = await Payment.findByPk(id, { transaction, lock });
  if (!payment) throw new Refusal(404, "not_found");
  return payment;
}

const isExpired = async (transaction, id) =>
  (await Payment.count({ where: { id, captureBefore: { [Op.lte]: NOW } }, transaction })) > 0;

const findKey = (transaction, paymentId, key) => IdempotencyKey.findOne({ where: { paymentId, key }, transaction });

const show = ({ id, amount, status }) => ({ id, amount, status });

function refusalOf(payment, amount, expired) {
  if (payment.status !== "authorized") return payment.status;
  if (expired) return "expired";
  return amount === payment.amount ? null : "amount_mismatch";
}

const capture = (id, key, amount) =>
  sequelize.transaction(async (transaction) => {
    const seenEarly = BUG === "key-before-lock" ? await findKey(transaction, id, key) : undefined;
    const expiredEarly = BUG === "clock-before-lock" && (await isExpired(transaction, id));
    const payment = await lockPayment(transaction, id);
    const seen = BUG === "key-before-lock" ? seenEarly : await findKey(transaction, id, key);
    if (seen && seen.amount !== amount) throw new Refusal(422, "key_reused");
    if (seen) return { status: seen.status, body: seen.body, replayed: true };
    const expired = BUG === "clock-before-lock" ? expiredEarly : await isExpired(transaction, id);
    const refusal = refusalOf(payment, amount, expired);
    if (!refusal) await payment.update({ status: "captured" }, { transaction });
    const status = refusal ? 409 : 200;
    const body = JSON.stringify(refusal ? { error: refusal } : show(payment));
    const row = { paymentId: id, key, amount, status, body };
    await IdempotencyKey.bulkCreate([row], { ignoreDuplicates: true, transaction });
    return { status, body };
  });

const move = (id, from, change) =>
  sequelize.transaction(async (transaction) => {
    const payment = await lockPayment(transaction, id);
    if (payment.status !== from) throw new Refusal(409, payment.status);
    await payment.update(change, { transaction });
    return show(payment);
  });

const app = express();
app.use(express.json());
app.get("/health", (_request, response) => response.json({ ok: true }));
app.post("/payments", async (request, response) => {
  const payment = await Payment.create({ amount: amountOf(request.body) });
  response.status(201).json(show(payment));
});
app.get("/payments/:id", async (request, response) => {
  const payment = await Payment.findByPk(request.params.id);
  if (!payment) throw new Refusal(404, "not_found");
  response.json(show(payment));
});
app.post("/payments/:id/authorize", async (request, response) => {
  const captureBefore = sequelize.literal(`clock_timestamp() + ${Number(request.body.window_ms)} * interval '1 ms'`);
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
  await Payment.update({ status: "voided" }, { where: { status: "authorized", captureBefore: { [Op.lte]: NOW } } });
  response.json({ ok: true });
});
app.use((error, _request, response, _next) => {
  if (error instanceof Refusal) return response.status(error.status).json({ error: error.code });
  if (error.status < 500) return response.status(error.status).json({ error: "bad_request" });
  console.error(error);
  response.status(500).json({ error: "internal" });
});

await sequelize.sync();
app.listen(Number(PORT), HOST);
