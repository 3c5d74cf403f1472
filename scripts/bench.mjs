// `npm run bench [-- --json] [--quick] [--rounds N]`: what Hoox's accept path and its refusals cost, side by side with
// a bare worker and with a JavaScript worker that does the same work. docs/BENCHMARKS.md says what is measured and why.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT, Stop, main, options, remove, say, seconds } from "./lib/base.mjs";
import { endSteps } from "./lib/proc.mjs";
import { build } from "./build.mjs";
import { load, once, post } from "./bench/client.mjs";
import { Server, coldStart, makeSender, makeSenders } from "./bench/workerd.mjs";
import { compareTimes } from "./bench/timing.mjs";
import { compareStatements } from "./bench/statements.mjs";
import { cost } from "./bench/cost.mjs";
import { median, ratioOf, summarise, table } from "./bench/figures.mjs";

const USAGE = "npm run bench -- [--json] [--quick] [--rounds N] [--only NAME,NAME] [--ahead] [--statements], or --cost [--json] [--check] [--bless] [--trace CASE]";
const CONNECTIONS = [1, 16, 64];
/** A round is about 24 s, so the default run ends within four minutes. */
const PACE = { keys: 3_000, rounds: 6, warmMs: 200, forMs: 800, coldStarts: 9, heatMs: 4_000 };
const QUICK = { keys: 500, rounds: 2, warmMs: 100, forMs: 300, coldStarts: 3, heatMs: 1_000 };
const MAX_ROUNDS = 50;
const STACKS = ["bare", "same", "hoox"];

const LOCAL = "cf-connecting-ip: 127.0.0.1\r\n";
const STRANGER = "cf-connecting-ip: 203.0.113.7\r\n";

/** What is asked of which stack, and the status of every answer. */
function cases({ passkey }) {
  let count = 0;
  const alert = (more, key = passkey) => JSON.stringify({ apiKey: key, exchange: "bybit", symbol: "BTCUSDT", action: "LONG", quantity: 0.01, ...more });
  const fresh = () => post(alert({ timestamp: String(Date.now()), strategy: "bench", orderId: `n${(count += 1)}` }), LOCAL);
  const fixed = (text) => () => text;
  const plain = alert({ strategy: "bench", orderId: "n0" });
  const again = post(alert({ idempotencyKey: "bench-duplicate" }), LOCAL);
  return {
    bare: { stack: "bare", status: 200, request: fixed(post(plain, LOCAL)), says: "(a) bare JavaScript worker" },
    same: { stack: "same", status: 202, request: fresh, says: "(b) JavaScript, the same hops and storage work" },
    accept: { stack: "hoox", status: 202, request: fresh, says: "(c) Hoox, alert accepted" },
    address: { stack: "hoox", status: 403, request: fixed(post(plain, STRANGER)), says: "(d) Hoox, refused by address" },
    key: { stack: "hoox", status: 403, request: fixed(post(alert({ strategy: "bench", orderId: "n0" }, passkey.replace(/.$/, "!")), LOCAL)), says: "(d) Hoox, refused by key" },
    duplicate: { stack: "hoox", status: 409, before: again, request: fixed(again), says: "(d) Hoox, duplicate" },
    sameDuplicate: { stack: "same", status: 409, before: again, request: fixed(again), says: "(b) duplicate" },
  };
}

/** Loads one stack in one way. Processor time is counted until the stack has nothing left to do. */
async function cell(server, { request, status }, connections, { warmMs, forMs }) {
  const before = server.cpu();
  const done = await load(server.port, { connections, request, status, warmMs, forMs });
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

async function measure(servers, asked, pace) {
  const cells = [];
  for (const { stack, status, before, request, says } of Object.values(asked)) {
    if (before !== undefined) await once(servers[stack].port, before);
    const probe = await once(servers[stack].port, request());
    if (probe?.status !== status) throw new Stop(`${says}: the first answer was ${probe?.status}, not ${status}: ${probe?.body}`, 1);
  }
  // So long that V8 has compiled on both sides what is hot, WebAssembly as well as JavaScript.
  for (const { stack, status, request } of Object.values(asked)) await load(servers[stack].port, { connections: 16, request, status, warmMs: 0, forMs: pace.heatMs });
  for (let round = 0; round < pace.rounds; round += 1) {
    const started = performance.now();
    for (const connections of CONNECTIONS) {
      // Each round begins with another one, so that none always comes after the same neighbour.
      const names = Object.keys(asked);
      for (let step = 0; step < names.length; step += 1) {
        const name = names[(step + round) % names.length];
        const found = await cell(servers[asked[name].stack], asked[name], connections, pace);
        if (found.wrong > 0) say(`warning: ${asked[name].says}, ${connections} connections: ${found.wrong} of ${found.requests} answers were not ${asked[name].status}, such as ${found.sample}`);
        cells.push({ round, connections, name, ...found });
      }
    }
    say(`✓ round ${round + 1} of ${pace.rounds} (${seconds(started)})`);
  }
  return cells;
}

/**
 * From the start of a process to its first answer: for gateways alone, which is what a first alert waits for on an
 * edge where nothing runs yet, and for whole stacks up to the first alert that a new Ledger accepts.
 */
async function coldStarts(folder, sender, asked, times) {
  const wanted = { "bare alone": "bare", "same alone": "address", "hoox alone": "address", same: "same", hoox: "accept" };
  const took = Object.fromEntries(Object.keys(wanted).map((stack) => [stack, []]));
  for (let time = 0; time < times; time += 1) {
    for (const [stack, name] of Object.entries(wanted)) {
      const { request, status } = asked[name];
      const at = path.join(folder, `cold-${stack.replace(" ", "-")}`);
      const { answer, started } = await coldStart(stack, at, sender, async (port, started) => ({ answer: await once(port, request()), started }));
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
  const found = options(process.argv.slice(2), { json: "flag", quick: "flag", statements: "flag", ahead: "flag", rounds: "value", only: "value", cost: "flag", check: "flag", bless: "flag", trace: "value" }, USAGE);
  const pace = { ...(found.quick ? QUICK : PACE) };
  if (found.rounds !== undefined) pace.rounds = Number(found.rounds);
  if (!Number.isInteger(pace.rounds) || pace.rounds < 1 || pace.rounds > MAX_ROUNDS) throw new Stop(`--rounds takes a whole number from 1 to ${MAX_ROUNDS}. Usage: ${USAGE}`);
  if (!found.cost && (found.check || found.bless || found.trace !== undefined)) throw new Stop(`--check, --bless and --trace go with --cost. Usage: ${USAGE}`);
  await build(found.cost ? undefined : ["hoox", "trade-worker"], { lenient: true });

  if (found.ahead) goAhead();

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "hoox-bench-"));
  const servers = {};
  const end = async () => {
    endSteps();
    await Promise.all(Object.values(servers).map((server) => server.stop()));
    remove(folder);
  };
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]]) process.once(name, () => end().finally(() => process.exit(code)));
  try {
    if (found.cost) return await cost(folder, found);
    const sender = makeSender();
    const all = cases(sender);
    const wanted = found.only?.split(",") ?? Object.keys(all);
    const unknown = wanted.filter((name) => all[name] === undefined);
    if (unknown.length > 0) throw new Stop(`--only knows ${Object.keys(all).join(", ")}, not ${unknown.join(", ")}.`);
    const asked = Object.fromEntries(wanted.map((name) => [name, all[name]]));

    const { schema, ...statements } = await compareStatements(folder, sender, all.accept.request, found.statements);
    if (found.statements) return statements.equal ? 0 : 1;
    sender.schema = schema;
    const cold = await coldStarts(folder, sender, all, pace.coldStarts);
    say(`✓ cold starts`);
    const refusals = await refusalTimes(folder, pace.keys);
    say(`✓ times of refusals`);
    for (const stack of STACKS) {
      servers[stack] = new Server(stack);
      await servers[stack].start(path.join(folder, stack), sender);
    }
    const cells = await measure(servers, asked, pace);
    const result = {
      ratios: {
        accept_vs_same_hops_throughput_16: ratioOf(cells, "accept", "same", 16, "perSecond"),
        accept_vs_same_hops_p50_1: ratioOf(cells, "accept", "same", 1, "p50"),
        refusal_vs_bare_throughput_16: ratioOf(cells, "address", "bare", 16, "perSecond"),
        cold_start_vs_bare: cold.hoox_alone / cold.bare_alone,
      },
      cases: summarise(cells, asked),
      refusal_times: refusals,
      cold_start_ms: cold,
      memory_mib: Object.fromEntries(STACKS.map((stack) => [stack, servers[stack].memory()])),
      wasm: wasmSizes(),
      statements,
      rounds: pace.rounds,
      cores: os.availableParallelism(),
      load_before: os.loadavg()[0],
    };
    process.stdout.write(found.json ? `${JSON.stringify(result, (_, value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value))}\n` : table(result, asked));
  } finally {
    await end();
  }
});
