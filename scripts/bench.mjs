// `npm run bench [-- --json] [--quick] [--rounds N]`: what Hoox's accept path, its orders and its refusals take, side by
// side with a bare worker and with the least JavaScript that keeps the same promise. docs/BENCHMARKS.md says what is
// measured and why.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT, Stop, main, options, remove, say, seconds } from "./lib/base.mjs";
import { endSteps } from "./lib/proc.mjs";
import { build } from "./build.mjs";
import { load, once, post } from "./bench/client.mjs";
import { Market, loadOrders } from "./bench/orders.mjs";
import { NO_VENUE, Server, coldStart, makeSender, makeSenders } from "./bench/workerd.mjs";
import { compareTimes } from "./bench/timing.mjs";
import { cost } from "./bench/cost.mjs";
import { judged, median, ratiosOf, summarise, table } from "./bench/figures.mjs";

const USAGE = "npm run bench -- [--json] [--quick] [--rounds N] [--only NAME,NAME] [--ahead] [--disk], or --cost [--json] [--check] [--bless] [--trace CASE]";
const CONNECTIONS = [1, 16, 64];
/** One for each symbol at most. A single one mostly rests, so it takes longer to see as much. */
const ORDER_CONNECTIONS = [1, 16];
const REST_TIMES = 3;
/** A round is about 35 s, so the default run ends within six minutes. */
const PACE = { keys: 3_000, rounds: 6, warmMs: 200, forMs: 800, coldStarts: 9, heatMs: 4_000 };
const QUICK = { keys: 500, rounds: 2, warmMs: 100, forMs: 300, coldStarts: 3, heatMs: 1_000 };
const MAX_ROUNDS = 50;
/** Linux's own. */
const MEMORY = "/dev/shm";
/** What `--only` knows beside the cases. */
const PARTS = ["cold", "refusals"];

const LOCAL = "cf-connecting-ip: 127.0.0.1\r\n";
const STRANGER = "cf-connecting-ip: 203.0.113.7\r\n";

/** What is asked of which stack, and the status of every answer. Where an `alert` is made, its order is waited for. */
function cases({ passkey }) {
  let count = 0;
  const alert = (more, key = passkey) => JSON.stringify({ apiKey: key, exchange: "bybit", symbol: "BTCUSDT", action: "LONG", quantity: 0.01, ...more });
  const fresh = (more) => post(alert({ timestamp: String(Date.now()), strategy: "bench", orderId: `n${(count += 1)}`, ...more }), LOCAL);
  const order = (symbol, quantity) => fresh({ symbol, quantity });
  const fixed = (text) => () => text;
  const plain = alert({ strategy: "bench", orderId: "n0" });
  const again = post(alert({ idempotencyKey: "bench-duplicate" }), LOCAL);
  return {
    bare: { stack: "bare", status: 200, request: fixed(post(plain, LOCAL)), says: "(a) bare JavaScript worker" },
    lean: { stack: "lean", status: 202, request: () => fresh(), says: "(e) lean anchor, alert accepted" },
    accept: { stack: "hoox", status: 202, request: () => fresh(), says: "(c) Hoox, alert accepted" },
    leanOrder: { stack: "lean orders", status: 202, alert: order, says: "(e) lean anchor, alert to order" },
    order: { stack: "hoox orders", status: 202, alert: order, says: "(c) Hoox, alert to order" },
    address: { stack: "hoox", status: 403, request: fixed(post(plain, STRANGER)), says: "(d) Hoox, refused by address" },
    key: { stack: "hoox", status: 403, request: fixed(post(alert({ strategy: "bench", orderId: "n0" }, passkey.replace(/.$/, "!")), LOCAL)), says: "(d) Hoox, refused by key" },
    duplicate: { stack: "hoox", status: 409, before: again, request: fixed(again), says: "(d) Hoox, duplicate" },
    leanDuplicate: { stack: "lean", status: 409, before: again, request: fixed(again), says: "(e) duplicate" },
  };
}

/** A stack that runs: its process, and how it is loaded. */
class Stack {
  #market;
  server;

  constructor(name) {
    const [stack, orders] = name.split(" ");
    if (orders === undefined) this.server = new Server(stack);
    else this.server = (this.#market = new Market(stack)).server;
  }

  start(folder, { manifestAt }) {
    const given = (baseUrl) => ({ manifest: manifestAt(baseUrl) });
    return this.#market === undefined ? this.server.start(folder, given(NO_VENUE)) : this.#market.start(folder, given);
  }

  load({ request, alert, status }, connections, { warmMs, forMs }) {
    if (this.#market === undefined) return load(this.server.port, { connections, request, status, warmMs, forMs });
    return loadOrders(this.#market, { connections, alert, warmMs, forMs: connections === 1 ? forMs * REST_TIMES : forMs });
  }

  check() {
    return this.#market?.check();
  }

  stop() {
    return (this.#market ?? this.server).stop();
  }
}

/** Loads one stack in one way. Processor time is counted until the stack has nothing left to do. */
async function cell(stack, asked, connections, pace) {
  const { server } = stack;
  const before = server.cpu();
  const done = await stack.load(asked, connections, pace);
  let [last, since] = [server.cpu(), performance.now()];
  for (;;) {
    await pause(60);
    const now = server.cpu();
    if (now - last <= 10 || performance.now() - since > 3_000) break;
    last = now;
  }
  const cpu = server.cpu() - before;
  return { perSecond: done.perSecond, p50: done.p50, p99: done.p99, cpuMicros: (cpu * 1000) / done.requests, client: done.client, requests: done.requests, wrong: done.wrong, sample: done.sample, memory: server.memory() };
}

async function measure(stacks, asked, pace) {
  const cells = [];
  for (const { stack, status, before, request, says } of Object.values(asked)) {
    if (request === undefined) continue;
    const { port } = stacks[stack].server;
    if (before !== undefined) await once(port, before);
    const probe = await once(port, request());
    if (probe?.status !== status) throw new Stop(`${says}: the first answer was ${probe?.status}, not ${status}: ${probe?.body}`, 1);
  }
  // So long that V8 has compiled on both sides what is hot, WebAssembly as well as JavaScript.
  for (const each of Object.values(asked)) await stacks[each.stack].load(each, 16, { warmMs: 0, forMs: pace.heatMs });
  for (let round = 0; round < pace.rounds; round += 1) {
    const started = performance.now();
    for (const connections of CONNECTIONS) {
      // Each round begins with another one, so that none always comes after the same neighbour.
      const names = Object.keys(asked);
      for (let step = 0; step < names.length; step += 1) {
        const name = names[(step + round) % names.length];
        if (asked[name].alert !== undefined && !ORDER_CONNECTIONS.includes(connections)) continue;
        const found = await cell(stacks[asked[name].stack], asked[name], connections, pace);
        if (found.wrong > 0) say(`warning: ${asked[name].says}, ${connections} connections: ${found.wrong} of ${found.requests} answers were not ${asked[name].status}, such as ${found.sample}`);
        cells.push({ round, connections, name, ...found });
      }
    }
    say(`✓ round ${round + 1} of ${pace.rounds} (${seconds(started)})`);
  }
  for (const stack of Object.values(stacks)) await stack.check();
  return cells;
}

/**
 * From the start of a process to its first answer: for gateways alone, and for all workers of a stack up to the first
 * alert that a new Ledger accepts, which is what that alert waits for where nothing runs yet.
 */
async function coldStarts(folder, sender, asked, times) {
  const wanted = { "bare alone": "bare", "lean alone": "address", "hoox alone": "address", lean: "lean", hoox: "accept" };
  const took = Object.fromEntries(Object.keys(wanted).map((stack) => [stack, []]));
  for (let time = 0; time < times; time += 1) {
    for (const [stack, name] of Object.entries(wanted)) {
      const { request, status } = asked[name];
      const at = path.join(folder, `cold-${stack.replace(" ", "-")}`);
      const { answer, started } = await coldStart(stack, at, { manifest: sender.manifestAt(NO_VENUE) }, async (port, started) => ({ answer: await once(port, request()), started }));
      if (answer?.status !== status) throw new Stop(`The first answer of a new process (${stack}) was ${answer?.status}: ${answer?.body}`, 1);
      took[stack].push(answer.at - started);
    }
  }
  return Object.fromEntries(Object.entries(took).map(([stack, each]) => [stack.replace(" ", "_"), median(each)]));
}

/** The times of refusals for keys that are wrong in different ways, asked of a gateway that knows several senders. */
async function refusalTimes(folder, count) {
  const { passkeys, manifest } = makeSenders();
  const server = new Server("hoox");
  await server.start(path.join(folder, "timing"), { manifest });
  try {
    const ask = (key) => post(JSON.stringify({ apiKey: key, exchange: "bybit", symbol: "BTCUSDT", action: "LONG", quantity: 0.01 }), LOCAL);
    const unknown = `hoox_${"A".repeat(32)}`;
    const kinds = {
      wrong: ask(passkeys.good.replace(/.$/, (last) => (last === "A" ? "B" : "A"))),
      unknown: ask(unknown),
      "unknown again": ask(unknown),
      revoked: ask(passkeys.revoked),
      expired: ask(passkeys.expired),
      "not valid yet": ask(passkeys.early),
    };
    return await compareTimes(server.port, kinds, { status: 403, count, same: ["unknown", "unknown again"] });
  } finally {
    await server.stop();
  }
}

/**
 * Where the stacks' objects are kept: in memory where the system has such a folder, so that what is measured is not how
 * long a disk takes to flush, which is the same for all of them and hides what differs.
 */
function storage({ disk, cost }) {
  if (disk || cost) return os.tmpdir();
  try {
    fs.accessSync(MEMORY, fs.constants.W_OK);
    return MEMORY;
  } catch {
    return os.tmpdir();
  }
}

/** Before the other work of a busy machine, with every process started from here on. */
function goAhead() {
  try {
    os.setPriority(-15);
  } catch {
    throw new Stop("--ahead needs the right to raise priorities, which usually root alone has: run it without, or on an idle machine.");
  }
}

const wasmSizes = () =>
  Object.fromEntries(
    ["hoox", "trade-worker"].map((worker) => {
      const wasm = fs.readFileSync(path.join(ROOT, "workers", worker, "build", "index_bg.wasm"));
      return [worker, { bytes: wasm.length, gzip: gzipSync(wasm).length }];
    }),
  );

await main(async () => {
  const found = options(process.argv.slice(2), { json: "flag", quick: "flag", ahead: "flag", disk: "flag", rounds: "value", only: "value", cost: "flag", check: "flag", bless: "flag", trace: "value" }, USAGE);
  const pace = { ...(found.quick ? QUICK : PACE) };
  if (found.rounds !== undefined) pace.rounds = Number(found.rounds);
  if (!Number.isInteger(pace.rounds) || pace.rounds < 1 || pace.rounds > MAX_ROUNDS) throw new Stop(`--rounds takes a whole number from 1 to ${MAX_ROUNDS}. Usage: ${USAGE}`);
  if (!found.cost && (found.check || found.bless || found.trace !== undefined)) throw new Stop(`--check, --bless and --trace go with --cost. Usage: ${USAGE}`);
  await build(found.cost ? undefined : ["hoox", "trade-worker"], { lenient: true });

  if (found.ahead) goAhead();

  const place = storage(found);
  const folder = fs.mkdtempSync(path.join(place, "hoox-bench-"));
  const stacks = {};
  const end = async () => {
    endSteps();
    await Promise.all(Object.values(stacks).map((stack) => stack.stop()));
    remove(folder);
  };
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]]) process.once(name, () => end().finally(() => process.exit(code)));
  try {
    if (found.cost) return await cost(folder, found);
    const sender = makeSender();
    const all = cases(sender);
    const names = [...Object.keys(all), ...PARTS];
    const wanted = found.only?.split(",") ?? names;
    const unknown = wanted.filter((name) => !names.includes(name));
    if (unknown.length > 0) throw new Stop(`--only knows ${names.join(", ")}, not ${unknown.join(", ")}.`);
    const asked = Object.fromEntries(Object.entries(all).filter(([name]) => wanted.includes(name)));

    const cold = wanted.includes("cold") ? await coldStarts(folder, sender, all, pace.coldStarts) : undefined;
    if (cold !== undefined) say(`✓ cold starts`);
    const refusals = wanted.includes("refusals") ? await refusalTimes(folder, pace.keys) : undefined;
    if (refusals !== undefined) say(`✓ times of refusals`);
    for (const name of new Set(Object.values(asked).map(({ stack }) => stack))) {
      stacks[name] = new Stack(name);
      await stacks[name].start(path.join(folder, name.replace(" ", "-")), sender);
    }
    const cells = await measure(stacks, asked, pace);
    const ratios = ratiosOf(cells, cold);
    const result = {
      ratios,
      targets: judged(ratios),
      cases: summarise(cells, asked),
      refusal_times: refusals,
      cold_start_ms: cold,
      memory_mib: Object.fromEntries(Object.entries(stacks).map(([name, { server }]) => [name.replace(" ", "_"), server.memory()])),
      wasm: wasmSizes(),
      stored_in: place === MEMORY ? "memory" : "a temporary folder",
      rounds: pace.rounds,
      cores: os.availableParallelism(),
      load_before: os.loadavg()[0],
    };
    process.stdout.write(found.json ? `${JSON.stringify(result, (_, value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value))}\n` : table(result, asked));
  } finally {
    await end();
  }
});
