// The exchange simulator as a process, and a recorder that stands before it and tells when an order arrives.
import net from "node:net";
import { Stop } from "../lib/base.mjs";
import { LOOPBACK, call } from "../lib/net.mjs";
import { Service } from "../lib/proc.mjs";
import { buildSimulator } from "../lib/tools.mjs";

/** The exchange simulator, and what it is asked beside the venue's own API. */
export class Exchange {
  #service;
  url;

  /** `HOOX_SIM_BIN` names a program that is there already. Where time is measured it is built with optimisations. */
  async start(secrets, { release = false, balance = 10_000_000 } = {}) {
    const binary = process.env.HOOX_SIM_BIN ?? (await buildSimulator({ release }));
    let ready;
    const printed = new Promise((resolve) => (ready = resolve));
    this.#service = new Service("hoox-sim", binary, ["--port", "0", "--seed", "1", "--many-symbols", "--balance", String(balance)], {
      env: { PATH: process.env.PATH, HOOX_SIM_API_KEY: secrets.BYBIT_SIM_API_KEY, HOOX_SIM_API_SECRET: secrets.BYBIT_SIM_API_SECRET },
      onLine: (line) => {
        const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
        if (url !== undefined) ready(url);
      },
    });
    this.url = await Promise.race([printed, this.#service.exit.then(() => undefined)]);
    if (this.url === undefined) throw new Stop(`The simulator did not start:\n${this.#service.output.text()}`, 1);
  }

  async #ask(route, given) {
    const { status, json, text } = await call(`${this.url}${route}`, given);
    if (status !== 200) throw new Stop(`The simulator answered ${route} with ${status}: ${text}`, 1);
    return json;
  }

  /** What is held, by symbol: negative is short. */
  async holdings() {
    const held = {};
    for (const { symbol, side, size } of await this.#ask("/sim/positions")) held[symbol] = (held[symbol] ?? 0) + (side === "Buy" ? 1 : -1) * Number(size);
    return held;
  }

  async held(symbol) {
    return (await this.holdings())[symbol] ?? 0;
  }

  async resting(symbol) {
    return (await this.#ask("/sim/orders")).filter((order) => order.symbol === symbol && !/filled|cancel|reject/i.test(order.status ?? order.state)).length;
  }

  setAhead(millis) {
    return this.#ask("/sim/faults", { method: "POST", body: [{ kind: "clock_skew", millis }] });
  }

  stop() {
    return this.#service?.stop();
  }
}

const ORDER = Buffer.from("POST /v5/order/create ");
const HEAD_END = Buffer.from("\r\n\r\n");

/** The symbol of an order whose request is complete in the bytes; undefined while it is not. */
function orderIn(bytes) {
  const head = bytes.indexOf(HEAD_END);
  if (head < 0) return undefined;
  const length = Number(/content-length: *(\d+)/i.exec(bytes.latin1Slice(0, head))?.[1]);
  if (!(bytes.length >= head + 4 + length)) return undefined;
  return /"symbol":"(\w+)"/.exec(bytes.latin1Slice(head + 4))?.[1];
}

/**
 * Passes all bytes on between the workers and the simulator, and tells `onOrder` which symbol's order has arrived as soon
 * as its request is complete. It runs in the load generator's process, so both moments are read from one clock.
 */
export class Recorder {
  #server;
  #sockets = new Set();
  #target;
  port;
  /** Called with symbol and moment of each order. */
  onOrder = () => {};

  async start(url) {
    this.#target = Number(new URL(url).port);
    this.#server = net.createServer({ noDelay: true }, (worker) => this.#pass(worker));
    await new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, LOOPBACK, resolve);
    });
    this.port = this.#server.address().port;
  }

  get url() {
    return `http://${LOOPBACK}:${this.port}`;
  }

  #pass(worker) {
    const venue = net.connect({ port: this.#target, host: LOOPBACK, noDelay: true });
    let order;
    worker.on("data", (chunk) => {
      venue.write(chunk);
      // One request is on its way at a time, so each begins a chunk.
      if (order === undefined && !chunk.subarray(0, ORDER.length).equals(ORDER)) return;
      order = order === undefined ? chunk : Buffer.concat([order, chunk]);
      const symbol = orderIn(order);
      if (symbol === undefined) return;
      order = undefined;
      this.onOrder(symbol, performance.now());
    });
    venue.on("data", (chunk) => worker.write(chunk));
    for (const [one, other] of [[worker, venue], [venue, worker]]) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.end();
      });
    }
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => (this.#server?.listening ? this.#server.close(resolve) : resolve()));
  }
}
