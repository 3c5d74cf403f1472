// Filled orders: alerts that become one order each, from the alert to the order's arrival at the exchange simulator.
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Stop } from "../lib/base.mjs";
import { load } from "./client.mjs";
import { Exchange, Recorder } from "./exchange.mjs";
import { median } from "./figures.mjs";
import { Server } from "./workerd.mjs";

/** One symbol for each connection, with a quantity worth a few ten USDT. */
const QUANTITIES = {
  BTCUSDT: 0.001, ETHUSDT: 0.01, SOLUSDT: 0.2, XRPUSDT: 10, BNBUSDT: 0.05, DOGEUSDT: 100, ADAUSDT: 50, LINKUSDT: 1,
  AVAXUSDT: 1, LTCUSDT: 0.2, DOTUSDT: 5, SUIUSDT: 10, TRXUSDT: 100, BCHUSDT: 0.05, "1000PEPEUSDT": 2_000, NEARUSDT: 10,
};
const SYMBOLS = Object.keys(QUANTITIES);
const BALANCE = 1_000_000_000;
const PATIENCE_MS = 20_000;
/** workerd closes a connection that is silent for 5 s. */
const ARRIVAL_MS = 4_500;
/** At one connection the next alert comes when all that followed the last one is over. */
const REST_MS = 25;

/** A stack with a simulator of its own and the recorder between them. */
export class Market {
  #exchange = new Exchange();
  #recorder = new Recorder();
  #waiting = new Map();
  server;
  /** Orders that have arrived. */
  #arrived = 0;

  constructor(stack) {
    this.server = new Server(stack);
  }

  async start(folder, senderOf) {
    const secrets = Object.fromEntries(["BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET"].map((name) => [name, randomBytes(24).toString("base64url")]));
    await this.#exchange.start(secrets, { release: true, balance: BALANCE });
    await this.#recorder.start(this.#exchange.url);
    this.#recorder.onOrder = (symbol, at) => {
      this.#arrived += 1;
      const heard = this.#waiting.get(symbol);
      this.#waiting.delete(symbol);
      heard?.(at);
    };
    await this.server.start(folder, { ...senderOf(this.#recorder.url), secrets });
  }

  /** Resolves to the moment at which the next order of a symbol arrives. */
  arrival(symbol) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(symbol);
        reject(new Stop(`No order of ${symbol} arrived at the simulator within ${ARRIVAL_MS / 1000} s of its alert.`, 1));
      }, ARRIVAL_MS);
      this.#waiting.set(symbol, (at) => {
        clearTimeout(timer);
        resolve(at);
      });
    });
  }

  /** Every order that arrived was filled, or what was measured is something else. */
  async check() {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const held = Object.entries(await this.#exchange.holdings());
      const filled = held.reduce((sum, [symbol, size]) => sum + size / QUANTITIES[symbol], 0);
      if (Math.abs(filled - this.#arrived) < 0.5) return;
      if (performance.now() > until) throw new Stop(`${this.#arrived} orders arrived at the simulator, and ${filled.toFixed(0)} were filled.`, 1);
      await pause(50);
    }
  }

  async stop() {
    await this.server.stop();
    await this.#recorder.stop();
    await this.#exchange.stop();
  }
}

/**
 * Loads a market as `load` does a port, from at most 16 connections: each has a symbol of its own, and sends the next
 * alert when the last one's order has arrived. Counted are orders; their time is that from the alert to the arrival.
 */
export async function loadOrders(market, { connections, alert, warmMs, forMs }) {
  const begun = performance.now();
  const [from, until] = [begun + warmMs, begun + warmMs + forMs];
  const latencies = [];
  let last = from;
  const maker = (symbol) => {
    let [sent, arrival] = [0, undefined];
    return async () => {
      if (arrival !== undefined) {
        const at = await arrival;
        if (at >= from && at <= until) {
          latencies.push(at - sent);
          last = Math.max(last, at);
        }
        if (connections === 1) await pause(REST_MS);
      }
      if (performance.now() >= until) return undefined;
      const request = alert(symbol, QUANTITIES[symbol]);
      arrival = market.arrival(symbol);
      arrival.catch(() => {});
      sent = performance.now();
      return request;
    };
  };
  const nexts = SYMBOLS.slice(0, connections).map(maker);
  const { requests, wrong, sample, client } = await load(market.server.port, { connections, nexts, status: 202, warmMs, forMs });
  latencies.sort((one, other) => one - other);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? NaN;
  return { requests, wrong, sample, client, perSecond: (latencies.length / Math.max(last - from, 1)) * 1000, p50: median(latencies), p99: at(0.99) };
}
