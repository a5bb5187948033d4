// Vendure with PostgreSQL. What makes an order and authorizes its payment is here, and calls Vendure's services;
// settlePayment and cancelPayment are its Admin API's.
//
// The payment gateway is a table, which is written outside of Vendure's transactions, as a provider's API would be. It
// adds up what it is told to settle; with GATEWAY=refuses it refuses to settle a payment again. The handler looks at
// the payment's state before it calls the gateway; with HANDLER=plain it does not.

import { Args, Mutation, Parent, Query, ResolveField, Resolver } from "@nestjs/graphql";
import {
  bootstrap,
  ChannelService,
  configureDefaultOrderProcess,
  Ctx,
  LanguageCode,
  OrderService,
  Payment,
  PaymentMethodHandler,
  PaymentMethodService,
  PluginCommonModule,
  RequestContextService,
  Transaction,
  TransactionalConnection,
  UuidIdStrategy,
  UserInputError,
  VendurePlugin,
  ZoneService,
} from "@vendure/core";
import { gql } from "graphql-tag";
import pg from "pg";

const { DATABASE_URL, GATEWAY, HANDLER, HOST, PORT } = process.env;
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 4 });

const gateway = new PaymentMethodHandler({
  code: "gateway",
  description: [{ languageCode: LanguageCode.en, value: "A gateway that counts" }],
  args: {},
  createPayment: (_ctx, _order, amount) => ({ amount, state: "Authorized" }),
  async settlePayment(_ctx, _order, payment) {
    if (HANDLER !== "plain" && payment.state === "Settled") return { success: true };
    if (HANDLER !== "plain" && payment.state === "Cancelled") return { success: false, state: payment.state };
    const settle = `INSERT INTO gateway VALUES ($1, $2) ON CONFLICT (payment)
      DO UPDATE SET settled = gateway.settled + excluded.settled WHERE $3 RETURNING settled`;
    const { rows } = await pool.query(settle, [payment.id, payment.amount, GATEWAY !== "refuses"]);
    return rows.length > 0 ? { success: true } : { success: false, errorMessage: "the gateway refuses" };
  },
  cancelPayment(_ctx, _order, { state }) {
    return HANDLER !== "plain" && state === "Settled" ? { success: false, state } : { success: true };
  },
});

class PaymentResolver {
  constructor(orders, connection) {
    Object.assign(this, { orders, connection });
  }
  async authorizedPayment(ctx, { amount }) {
    if (amount < 1) throw new UserInputError("the amount is not positive");
    const { id } = await this.orders.create(ctx);
    await this.orders.addSurchargeToOrder(ctx, id, {
      description: "goods",
      listPrice: amount,
      listPriceIncludesTax: true,
      sku: "",
    });
    await this.orders.transitionToState(ctx, id, "ArrangingPayment");
    await this.orders.addPaymentToOrder(ctx, id, { method: "gateway", metadata: {} });
    const [payment] = await this.orders.getOrderPayments(ctx, id);
    return payment;
  }
  payment(ctx, { id }) {
    return this.connection.getRepository(ctx, Payment).findOneBy({ id });
  }
}

class SettledResolver {
  async settled({ id }) {
    const { rows } = await pool.query("SELECT settled FROM gateway WHERE payment = $1", [id]);
    return rows[0]?.settled;
  }
}

// What TypeScript's decorators would say.
function declare({ prototype }, name, decorators, parameters) {
  parameters.forEach((decorate, number) => decorate(prototype, name, number));
  const method = Object.getOwnPropertyDescriptor(prototype, name);
  for (const decorate of decorators) decorate(prototype, name, method);
  Object.defineProperty(prototype, name, method);
}

declare(PaymentResolver, "authorizedPayment", [Mutation(), Transaction()], [Ctx(), Args()]);
declare(PaymentResolver, "payment", [Query()], [Ctx(), Args()]);
declare(SettledResolver, "settled", [ResolveField()], [Parent()]);
Resolver()(PaymentResolver);
Resolver("Payment")(SettledResolver);
Reflect.defineMetadata("design:paramtypes", [OrderService, TransactionalConnection], PaymentResolver);

class Shop {
  constructor(contexts, zones, channels, methods) {
    Object.assign(this, { contexts, zones, channels, methods });
  }
  async onApplicationBootstrap() {
    await pool.query("CREATE TABLE IF NOT EXISTS gateway (payment uuid PRIMARY KEY, settled int NOT NULL)");
    const ctx = await this.contexts.create({ apiType: "admin" });
    const { id: defaultTaxZoneId } = await this.zones.create(ctx, { name: "Europe" });
    await this.channels.update(ctx, { id: ctx.channelId, defaultTaxZoneId });
    await this.methods.create(ctx, {
      code: "gateway",
      enabled: true,
      handler: { code: "gateway", arguments: [] },
      translations: [{ languageCode: LanguageCode.en, name: "Gateway", description: "" }],
    });
  }
}
VendurePlugin({
  imports: [PluginCommonModule],
  compatibility: "^3.0.0",
  adminApiExtensions: {
    schema: gql`
      extend type Mutation {
        authorizedPayment(amount: Int!): Payment!
      }
      extend type Payment {
        settled: Int
      }
      extend type Query {
        payment(id: ID!): Payment
      }
    `,
    resolvers: [PaymentResolver, SettledResolver],
  },
})(Shop);
const services = [RequestContextService, ZoneService, ChannelService, PaymentMethodService];
Reflect.defineMetadata("design:paramtypes", services, Shop);

const { hostname, port, username, password, pathname } = new URL(DATABASE_URL);
await bootstrap({
  apiOptions: { hostname: HOST, port: Number(PORT), adminApiPath: "admin-api", shopApiPath: "shop-api" },
  authOptions: { disableAuth: true, cookieOptions: { secret: "not one" } },
  dbConnectionOptions: {
    type: "postgres",
    host: hostname,
    port: Number(port),
    username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    synchronize: true,
    installExtensions: false,
    uuidExtension: "pgcrypto",
  },
  entityOptions: { entityIdStrategy: new UuidIdStrategy() },
  orderOptions: {
    process: [
      configureDefaultOrderProcess({
        arrangingPaymentRequiresContents: false,
        arrangingPaymentRequiresCustomer: false,
        arrangingPaymentRequiresShipping: false,
        arrangingPaymentRequiresStock: false,
      }),
    ],
  },
  paymentOptions: { paymentMethodHandlers: [gateway] },
  plugins: [Shop],
});
