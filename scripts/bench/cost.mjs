// `npm run bench -- --cost`: what an order costs in what Cloudflare bills by. Counted, not timed: on workerd, with the
// WebAssembly that ships, against the exchange simulator. docs/BENCHMARKS.md says how.
import fs from "node:fs";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT, Stop, filesUnder, readJson, say, seconds, writeAtomic } from "../lib/base.mjs";
import { LOOPBACK, call, freePort } from "../lib/net.mjs";
import { once, post } from "./client.mjs";
import { Exchange } from "./exchange.mjs";
import { Server, makeKey } from "./workerd.mjs";

const PAGE = path.join(ROOT, "docs", "BENCHMARKS.md");
const GOLDEN = path.join(ROOT, "scripts", "bench", "cost.json");
const MIGRATIONS = path.join(ROOT, "crates", "hoox-store", "migrations");
/** Nothing has happened for so long, and nothing is due within `SOON_MS`: all that an alert brought about is over. */
const QUIET_MS = 300;
const SOON_MS = 20_000;
const PATIENCE_MS = 60_000;
/** Orders of the past eight days in the Ledgers that have a history. */
const HISTORY = 10_000;
const DAYS = 7.9;
/** What workerd says when an instance is ended to count the start of the next one. */
const ENDED = "ended for the next one to be counted";
const LOCAL = "cf-connecting-ip: 127.0.0.1\r\n";
const STRANGER = "cf-connecting-ip: 203.0.113.7\r\n";

/** Far above what is traded here: each is asked about and none is met. */
const LIMITS = { maxOpenPositions: 50, maxPositionNotional: "10000000", maxOrdersPerMinute: 1_000, maxDailyLoss: "1000000" };
/** Each account has a symbol of its own, because they all trade on one simulated account. */
const ACCOUNTS = {
  new: { symbol: "BTCUSDT", quantity: 0.01 },
  old: { symbol: "ETHUSDT", quantity: 0.1, history: true },
  limited: { symbol: "SOLUSDT", quantity: 1, limits: LIMITS },
  "limited-old": { symbol: "XRPUSDT", quantity: 100, limits: LIMITS, history: true },
  refused: { symbol: "DOGEUSDT", quantity: 100 },
  idle: { symbol: "ADAUSDT", quantity: 100 },
  resting: { symbol: "LTCUSDT", quantity: 1, price: 60, orders: 10 },
  "resting-many": { symbol: "DOTUSDT", quantity: 10, price: 3, orders: 100 },
  aged: { symbol: "LINKUSDT", quantity: 1 },
};
/** Orders of an account that are old enough to be removed. */
const AGED = 20;
const AGED_DAYS = [8.5, 9];
/** Rows that objects may write on a day of the Free plan. */
const FREE_ROWS = 100_000;
/** An order that has rested for longer than this is looked at by the slowest pace; the clock is moved past it. */
const OLD_MS = 610_000;
/** An alarm comes so late that everything is due by then which is due in one go. */
const LATE_MS = 2_000;
/** As far as the simulator's clock may be set. */
const MOST_AHEAD_MS = 599_000;

/** What an order shall cost at most; each is shown with what was counted. */
const TARGETS = [
  ["market order: rows written, alarms counted", "market", "rows", 24],
  ["market order: statements", "market", "ledger.statements", 55],
  ["market order: transactions", "market", "ledger.transactions", 8],
  ["market order: venue calls", "market", "venue.calls", 5],
  ["market order: of these before the order", "market", "venue.before", 1],
  ["market order: rows read", "market", "ledger.read", 150],
  ["market order: rows read, 10,000 orders before it", "market+history", "ledger.read", 150],
  ["flip: rows written, alarms counted", "flip", "rows", 40],
  ["market order: D1 rows written", "market", "d1.written", 15],
  ["ten resting orders: rows written a day, alarms counted", "resting", "rowsADay", 1_500],
  ["a hundred resting orders: rows written a day, alarms counted", "resting+90", "rowsADay", 1_500],
  ["idle account: rows written an hour", "idle", "rows", 0],
  ["idle account: requests of objects an hour", "idle", "requests", 24],
  ["Free plan: market orders a day, the removal of old ones counted", "market+removal", "ordersADay", 3_300, "least"],
];

/** What is counted in each case. All of it is in the golden file. */
const COUNTERS = {
  rows: "rows written, Ledger and Control, each alarm that was set counted as one",
  "ledger.written": "rows written by the Ledger's statements",
  "ledger.read": "rows read",
  "ledger.statements": "statements",
  "ledger.transactions": "transactionSync",
  "ledger.setAlarms": "alarms set",
  "control.written": "the same of Control",
  "control.read": "",
  "control.statements": "",
  "control.transactions": "",
  "control.setAlarms": "",
  requests: "events of objects: requests and alarms",
  alarms: "of these alarms",
  "venue.calls": "calls to the venue",
  "venue.before": "of these before the first that creates an order",
  "d1.written": "D1's rows written",
  "d1.read": "D1's rows read",
  "d1.statements": "statements of D1, of which each is a query",
  "d1.batches": "batches of D1",
};

/** What the workers told, and whether anything is still to come. */
class Events {
  #all = [];
  #last = performance.now();
  /** By object, when its alarm is due by the workers' clock. */
  alarms = new Map();

  take(line) {
    if (!line.startsWith("cost ")) {
      // Beside the gateway's line for each request this is about something that failed, or that was ended here.
      if (!line.startsWith("{") && !line.includes(ENDED)) say(`  ${line}`);
      return;
    }
    const event = JSON.parse(line.slice(5));
    this.#last = performance.now();
    this.#all.push(event);
    if (event.is === "setAlarm") this.alarms.set(event.of, event.at);
    if (event.is === "alarm" || event.is === "deleteAlarm") this.alarms.delete(event.of);
  }

  /** Resolves when nothing happens any more and no alarm is due soon; then what was told since the last time. */
  async quiet(now, soon = SOON_MS) {
    const until = performance.now() + PATIENCE_MS;
    const busy = () => performance.now() - this.#last < QUIET_MS || [...this.alarms.values()].some((at) => at - now() < soon);
    while (busy()) {
      if (performance.now() > until) throw new Stop(`The workers were not quiet within ${PATIENCE_MS / 1000} s. The last events:\n${this.#all.slice(-20).map((event) => JSON.stringify(event)).join("\n")}`, 1);
      await pause(20);
    }
    return this.#all.splice(0);
  }
}

/** Which table a statement is about, and what it does there; what stands in brackets is another one's. */
function kindOf(text) {
  let plain = text;
  for (let before; before !== plain; ) [before, plain] = [plain, plain.replaceAll(/\([^()]*\)/g, " ")];
  const kind = /^(INSERT)(?: OR \w+)? INTO (\w+)|^(UPDATE) (\w+)|^(DELETE) FROM (\w+)|^(SELECT|WITH)\b.*?\bFROM (\w+)|^(\w+)/;
  const [verb, table] = kind.exec(plain).slice(1).filter((part) => part !== undefined);
  return table === undefined ? verb : `${verb} ${table.replace(/_\d{6}$/, "_MONTH")}`;
}

const isOrder = (text) => text === "POST /v5/order/create";

function counted(events) {
  const found = Object.fromEntries(Object.keys(COUNTERS).map((name) => [name, 0]));
  const [statements, d1, calls] = [{}, {}, {}];
  const add = (into, text, { read, written }) => {
    const of = (into[kindOf(text)] ??= { statements: 0, written: 0, read: 0 });
    of.statements += 1;
    of.written += written;
    of.read += read;
  };
  let ordered = false;
  for (const event of events) {
    const object = event.of?.split(" ")[0].toLowerCase();
    if (event.is === "statement") {
      found[`${object}.statements`] += 1;
      found[`${object}.written`] += event.written;
      found[`${object}.read`] += event.read;
      add(statements, event.text, event);
    } else if (event.is === "begin") {
      found[`${object}.transactions`] += 1;
    } else if (event.is === "setAlarm") {
      found[`${object}.setAlarms`] += 1;
    } else if (event.is === "request" || event.is === "alarm") {
      found.requests += 1;
      if (event.is === "alarm") found.alarms += 1;
    } else if (event.is === "call") {
      found["venue.calls"] += 1;
      calls[event.text] = (calls[event.text] ?? 0) + 1;
      ordered ||= isOrder(event.text);
      if (!ordered) found["venue.before"] += 1;
    } else if (event.is === "batch") {
      if (event.failed !== undefined) throw new Stop(`D1 refused a batch: ${event.failed}`, 1);
      found["d1.batches"] += 1;
      for (const statement of event.statements) {
        found["d1.statements"] += 1;
        found["d1.written"] += statement.written;
        found["d1.read"] += statement.read;
        add(d1, statement.text, statement);
      }
    }
  }
  if (!ordered) found["venue.before"] = 0;
  found.rows = found["ledger.written"] + found["control.written"] + found["ledger.setAlarms"] + found["control.setAlarms"];
  return { counters: found, statements, d1, calls };
}

/** The whole of Hoox with its counters. */
class Stack {
  #events = new Events();
  #server = new Server("cost", (line) => this.#events.take(line));
  #exchange = new Exchange();
  #ports = {};
  #passkey;
  #ahead = 0;
  #sent = 0;
  /** What was counted, by case, and the events of each. */
  results = {};

  async start(folder) {
    const { passkey, key } = makeKey();
    this.#passkey = passkey;
    const names = ["OPERATOR_KEY", "SEALING_KEY", "HOOX_TRADE_KEY", "HOOX_D1_KEY", "TRADE_D1_KEY", "BYBIT_SIM_API_KEY", "BYBIT_SIM_API_SECRET"];
    const secrets = Object.fromEntries(names.map((name) => [name, randomBytes(32).toString("base64url")]));
    await this.#exchange.start(secrets);
    const accounts = Object.entries(ACCOUNTS).map(([name, { limits }]) => ({
      id: `cost-${name}`, name, venue: "bybit", environment: "sim", defaultProduct: "linear", baseUrl: this.#exchange.url, default: name === "new", limits,
    }));
    // The window of the rate holds all entries of a run and none of the history.
    const sender = { id: "cost", permission: "trade", accounts: Object.keys(ACCOUNTS), defaultAccount: "new", keys: [key], ranges: ["127.0.0.0/8"], entryRate: { count: 1_000, seconds: 600 } };
    this.#ports = { trade: await freePort(), d1: await freePort() };
    await this.#server.start(path.join(folder, "cost"), {
      manifest: JSON.stringify({ version: 1, senders: [sender], accounts }),
      secrets,
      further: { trade: ["trade", this.#ports.trade], d1: ["d1", this.#ports.d1] },
    });
    const queries = filesUnder([MIGRATIONS]).map((file) => ({ sql: fs.readFileSync(file, "utf8") }));
    const migrated = await call(`http://${LOOPBACK}:${this.#ports.d1}/query`, { method: "POST", body: queries });
    if (!Array.isArray(migrated.json)) throw new Stop(`The local D1 was not migrated: ${migrated.text}`, 1);
    await this.quiet();
  }

  async stop() {
    await this.#server.stop();
    await this.#exchange.stop();
  }

  now = () => Date.now() + this.#ahead;

  quiet(soon) {
    return this.#events.quiet(this.now, soon);
  }

  /** Sends an alert of an account and answers what came back; with another `status` the case would be another one. */
  async alert(account, more, status = 202, headers = LOCAL) {
    const { symbol } = ACCOUNTS[account];
    this.#sent += 1;
    const alert = { apiKey: this.#passkey, exchange: "bybit", account, symbol, timestamp: String(this.now()), strategy: "cost", orderId: `n${this.#sent}`, ...more };
    const answer = await once(this.#server.port, post(JSON.stringify(alert), headers));
    if (answer?.status !== status) throw new Stop(`An alert (${JSON.stringify(more)}) was answered with ${answer?.status}, not ${status}: ${answer?.body}`, 1);
    return JSON.parse(answer.body);
  }

  /**
   * One case: what `run` does, from a quiet stack until it is quiet again. The platform ends an instance that has had
   * nothing to do for some seconds; what the next one does at its start is a case of its own and counts in no other one.
   */
  async count(name, account, run, mine = () => true) {
    if (account !== undefined) await this.wake(account);
    await this.quiet();
    await run();
    const events = (await this.quiet()).filter(mine);
    this.results[name] = { ...counted(events), events };
  }

  async expect(account, units) {
    const { symbol, quantity } = ACCOUNTS[account];
    const held = await this.#exchange.held(symbol);
    if (Math.abs(held - units * quantity) > quantity / 1000) throw new Stop(`The simulator holds ${held} ${symbol}, not ${units * quantity}: what was counted is not the case that it should be.`, 1);
  }

  /** Orders that are not looked at: they learn the configuration and the instrument, and make the month's table in D1. */
  async warm(account) {
    const key = `template-${account}`;
    const { signalId, requestId } = await this.#roundTrip(account, { idempotencyKey: key });
    if (ACCOUNTS[account].history !== true) return;
    const made = await call(this.#cost("history", account), { method: "POST", body: { signalId, requestId, key, times: HISTORY, days: DAYS }, timeoutMs: PATIENCE_MS });
    const most = Math.max(0, ...Object.values(made.json ?? {}));
    if (most < HISTORY) throw new Stop(`The history of a Ledger was not made (${made.status}): ${made.text}`, 1);
    // The making took so long that the platform may have ended the instance, which has remembered nothing then.
    await this.#roundTrip(account, {});
  }

  /** Makes old orders of an account, which the next instance removes. */
  async age(account) {
    const key = `template-${account}-old`;
    const { signalId, requestId } = await this.#roundTrip(account, { idempotencyKey: key });
    const [since, days] = AGED_DAYS;
    const made = await call(this.#cost("history", account), { method: "POST", body: { signalId, requestId, key, times: AGED, days, since }, timeoutMs: PATIENCE_MS });
    if (Math.max(0, ...Object.values(made.json ?? {})) < AGED) throw new Stop(`Old orders were not made (${made.status}): ${made.text}`, 1);
    await this.end(account);
  }

  async #roundTrip(account, more) {
    const opened = await this.alert(account, { action: "LONG", quantity: ACCOUNTS[account].quantity, ...more });
    await this.quiet();
    await this.expect(account, 1);
    await this.alert(account, { action: "close" });
    await this.quiet();
    await this.expect(account, 0);
    return opened;
  }

  #cost(what, account) {
    return `http://${LOOPBACK}:${this.#ports.trade}/cost/${what}?ledger=${encodeURIComponent(ledgerOf(account))}`;
  }

  wake(account) {
    return call(this.#cost("wake", account));
  }

  /** Ends the instance of a Ledger; its last answer is an error. */
  end(account) {
    return call(this.#cost("end", account));
  }

  cron() {
    return call(this.#cost("cron", "new"));
  }

  /** Sets the clocks of the workers and of the simulator; an account's alarm is set to the same moment of the new time. */
  async setAhead(millis, account) {
    this.#ahead = millis;
    await this.#exchange.setAhead(millis);
    for (const port of [this.#server.port, this.#ports.trade]) await call(`http://${LOOPBACK}:${port}/cost/clock?ahead=${millis}`);
    const at = account === undefined ? undefined : this.dueAt(account);
    if (at !== undefined) await call(this.#cost("alarm", account), { method: "POST", body: at });
  }

  dueAt(account) {
    return this.#events.alarms.get(`Ledger ${ledgerOf(account)}`);
  }

  /** Lets the time come to a moment by jumping from alarm to alarm of one account. */
  async letPass(account, until) {
    for (let due = this.dueAt(account); due !== undefined && due <= until; due = this.dueAt(account)) {
      const early = due + LATE_MS - this.now();
      if (early > 0) await this.setAhead(this.#ahead + early, account);
      await this.#happens(account, due);
    }
    if (until > this.now()) await this.setAhead(this.#ahead + (until - this.now()), account);
  }

  /** Resolves when an account's alarm has come and what it brought about is over. */
  async #happens(account, due) {
    const until = performance.now() + PATIENCE_MS;
    while (this.dueAt(account) === due) {
      if (performance.now() > until) throw new Stop("An alarm did not come.", 1);
      await pause(10);
    }
    this.kept.push(...(await this.quiet(0)));
  }

  kept = [];

  async resting(symbol) {
    return this.#exchange.resting(symbol);
  }
}

const ledgerOf = (account) => `cost-${account}/sim/1`;

/** The order cases of one account, one after the other; `suffix` tells them from those of another account. */
async function orders(stack, account, suffix) {
  const { quantity } = ACCOUNTS[account];
  const step = async (name, alert, units, status) => {
    await stack.count(`${name}${suffix}`, account, () => stack.alert(account, alert, status));
    await stack.expect(account, units);
  };
  await step("market", { action: "LONG", quantity }, 1);
  await step("add", { action: "LONG", quantity }, 2);
  await step("close", { action: "close" }, 0);
  await stack.alert(account, { action: "LONG", quantity });
  await stack.quiet();
  await step("flip", { action: "SHORT", quantity }, -1);
  await stack.alert(account, { action: "close" });
  await stack.quiet();
  await duplicate(stack, account, suffix);
}

async function withLimits(stack, account, suffix) {
  const { quantity } = ACCOUNTS[account];
  await stack.count(`limits${suffix}`, account, () => stack.alert(account, { action: "LONG", quantity }));
  await stack.expect(account, 1);
  await stack.alert(account, { action: "close" });
  await stack.quiet();
}

/** Alerts that are refused; the first one by address makes the gateway ask Control for a newer manifest, once in 10 s. */
async function refusals(stack) {
  const { quantity } = ACCOUNTS.refused;
  const alert = { action: "LONG", quantity };
  await stack.alert("refused", { ...alert, action: "jump" }, 400);
  await stack.count("refused: address", "refused", () => stack.alert("refused", alert, 403, STRANGER));
  await stack.count("refused: key", "refused", () => stack.alert("refused", { ...alert, apiKey: `hoox_${"A".repeat(32)}` }, 403));
  await stack.count("refused: field", "refused", () => stack.alert("refused", { ...alert, action: "jump" }, 400));
  // Another alert of the strategy fired after it, and was taken.
  await stack.count("refused: by the Ledger", "refused", () => stack.alert("refused", { ...alert, timestamp: String(Date.now() - 30_000) }, 409));
}

async function duplicate(stack, account, suffix) {
  const { quantity } = ACCOUNTS[account];
  const again = { action: "LONG", quantity, idempotencyKey: `again-${account}`, timestamp: String(Date.now()), orderId: "again" };
  await stack.alert(account, again);
  await stack.quiet();
  // The first refusal of its kind may make rows that stay.
  await stack.alert(account, again, 409);
  await stack.count(`duplicate${suffix}`, account, () => stack.alert(account, again, 409));
  await stack.alert(account, { action: "close" });
  await stack.quiet();
}

/**
 * What a new instance of a Ledger does before its first request; and an hour of an account on which nothing is open:
 * what its own alarm does, and twelve times the cron.
 */
async function idle(stack) {
  await stack.end("idle");
  await stack.count("start", undefined, () => stack.wake("idle"));
  const due = stack.dueAt("idle");
  if (due !== undefined && due < stack.now() + 3_600_000) throw new Stop("An account on which nothing is open has an alarm within the hour, which this does not count yet.", 1);
  const mine = ({ of }) => of === `Ledger ${ledgerOf("idle")}` || of?.startsWith("Control") === true;
  const cron = async () => {
    for (let time = 0; time < 12; time += 1) await stack.cron();
  };
  // Whatever it remembers from before.
  await stack.end("idle");
  await stack.count("idle", "idle", cron, mine);
}

/** Orders that rest, at the pace of those that have rested for long: one minute, in which the time is moved. */
async function resting(stack, account, name) {
  const { quantity, price, symbol, orders } = ACCOUNTS[account];
  // The time of resting orders is another one, also for what comes before them.
  await stack.setAhead(-MOST_AHEAD_MS);
  await stack.warm(account);
  for (let count = 0; count < orders; count += 1) {
    await stack.alert(account, { action: "buy", quantity, orderType: "limit", price: Number((price * (1 - count / 1_000)).toFixed(4)) });
  }
  const until = performance.now() + PATIENCE_MS;
  while ((await stack.resting(symbol)) !== orders) {
    if (performance.now() > until) throw new Stop(`${await stack.resting(symbol)} orders rest at the simulator, not ${orders}.`, 1);
    await pause(100);
  }
  // At once: what is due meanwhile is due then.
  await stack.setAhead(-MOST_AHEAD_MS + OLD_MS, account);
  await stack.quiet(0);
  const since = stack.now() + 30_000;
  await stack.letPass(account, since);
  stack.kept = [];
  await stack.letPass(account, since + 60_000);
  const found = { ...counted(stack.kept), events: stack.kept };
  stack.results[name] = { ...found, rowsADay: found.counters.rows * 1_440 };
  // Of the few: they are no part of what is counted next.
  if (orders > 10) return;
  await stack.alert(account, { action: "cancel" });
  await stack.quiet();
}

/** A market order on an account whose old orders are removed by the run. */
async function removal(stack) {
  const { quantity } = ACCOUNTS.aged;
  await stack.age("aged");
  await stack.count("market+removal", "aged", () => stack.alert("aged", { action: "LONG", quantity }));
  await stack.expect("aged", 1);
  const [market, removing] = ["market", "market+removal"].map((name) => stack.results[name]?.counters.rows);
  // Where only this one is traced there is nothing to compare with.
  if (market !== undefined) stack.results["market+removal"].ordersADay = Math.floor(FREE_ROWS / (market + (removing - market) / AGED));
}

/** What is counted, part by part: the account, what is done with it, the cases that come of it, whether it is warmed then. */
const PARTS = [
  ["refused", refusals, ["refused: address", "refused: key", "refused: field", "refused: by the Ledger"]],
  ["new", (stack) => orders(stack, "new", ""), ["market", "add", "close", "flip", "duplicate"]],
  ["old", (stack) => orders(stack, "old", "+history"), ["market+history", "add+history", "close+history", "flip+history", "duplicate+history"]],
  ["limited", (stack) => withLimits(stack, "limited", ""), ["limits"]],
  ["limited-old", (stack) => withLimits(stack, "limited-old", "+history"), ["limits+history"]],
  ["aged", removal, ["market+removal"]],
  ["idle", idle, ["start", "idle"]],
  ["resting", (stack) => resting(stack, "resting", "resting"), ["resting"], true],
  ["resting-many", (stack) => resting(stack, "resting-many", "resting+90"), ["resting+90"], true],
];

/** Runs the parts in a new stack, or only those that some cases belong to. */
async function measure(folder, only) {
  const parts = PARTS.filter(([, , names]) => only === undefined || names.some((name) => only.includes(name)));
  if (parts.length === 0) throw new Stop(`--trace knows ${PARTS.flatMap(([, , names]) => names).join(", ")}, not ${only.join()}.`);
  const stack = new Stack();
  try {
    await stack.start(folder);
    for (const [account, run, , warmsItself] of parts) {
      if (!warmsItself) await stack.warm(account);
      await run(stack);
    }
    return stack.results;
  } finally {
    await stack.stop();
  }
}

const COLUMNS = [
  ["rows", 6, "rows"],
  ["Ledger", 7, "ledger.written"],
  ["Control", 8, "control.written"],
  ["alarms", 7, (of) => of["ledger.setAlarms"] + of["control.setAlarms"]],
  ["read", 6, (of) => of["ledger.read"] + of["control.read"]],
  ["statements", 11, (of) => of["ledger.statements"] + of["control.statements"]],
  ["transactions", 13, (of) => of["ledger.transactions"] + of["control.transactions"]],
  ["requests", 9, "requests"],
  ["calls", 6, "venue.calls"],
  ["before", 7, "venue.before"],
  ["D1 rows", 8, "d1.written"],
  ["read", 6, "d1.read"],
  ["queries", 8, "d1.statements"],
];

const figure = (counters, of) => (typeof of === "string" ? counters[of] : of(counters));

/** Everything for people. */
function table(results) {
  const lines = ["", `${"".padEnd(26)}${COLUMNS.map(([title, width]) => title.padStart(width + 1)).join("")}`];
  for (const [name, { counters }] of Object.entries(results)) {
    lines.push(`${name.padEnd(26)}${COLUMNS.map(([, width, of]) => String(figure(counters, of)).padStart(width + 1)).join("")}`);
  }
  const shown = (statements) => Object.entries(statements).sort(([, one], [, other]) => other.written - one.written || other.read - one.read);
  for (const name of ["market", "market+history", "flip", "resting"].filter((name) => results[name] !== undefined)) {
    const { statements, d1, calls } = results[name];
    lines.push("", `${name}: rows written, rows read and statements, by what the statement does`);
    for (const [where, kinds] of [["", statements], ["D1 ", d1]]) {
      for (const [kind, of] of shown(kinds)) if (of.written > 0 || of.read > 9) lines.push(`  ${`${where}${kind}`.padEnd(34)}${String(of.written).padStart(5)}${String(of.read).padStart(7)}${String(of.statements).padStart(5)}`);
    }
    lines.push(`  calls: ${Object.entries(calls).map(([text, count]) => `${text}${count > 1 ? ` ×${count}` : ""}`).join(", ")}`);
  }
  lines.push("");
  for (const { says, is, most, least, met } of targets(results)) lines.push(`${met ? "✓" : "✗"} ${says.padEnd(64)} ${String(is).padStart(7)}, at ${least === undefined ? `most ${most}` : `least ${least}`}`);
  return `${lines.join("\n")}\n`;
}

function targets(results) {
  return TARGETS.filter(([, name]) => results[name] !== undefined).map(([says, name, counter, bound, least]) => {
    const is = results[name][counter] ?? results[name].counters[counter];
    return least === undefined ? { says, is, most: bound, met: is <= bound } : { says, is, least: bound, met: is >= bound };
  });
}

/** One case, statement for statement. */
function traceOf(events) {
  const lines = [];
  const depth = {};
  const line = (of, text) => lines.push(`${of.padEnd(30)} ${"  ".repeat(depth[of] ?? 0)}${text}`);
  for (const { is, of = "", text, read, written, statements, in: wait } of events) {
    if (is === "statement") line(of, `[${written} written, ${read} read] ${text}`);
    else if (is === "begin") {
      line(of, "BEGIN");
      depth[of] = (depth[of] ?? 0) + 1;
    } else if (is === "commit" || is === "rollback") {
      depth[of] = Math.max(0, (depth[of] ?? 0) - 1);
      line(of, is.toUpperCase());
    } else if (is === "setAlarm") line(of, `[1 written] ALARM in ${wait} ms`);
    else if (is === "request") line(of, `── request ${text}`);
    else if (is === "alarm") line(of, "── alarm");
    else if (is === "call") line("venue", text);
    else if (is === "batch") {
      line("D1", "batch");
      for (const statement of statements) line("D1", `  [${statement.written} written, ${statement.read} read] ${statement.text}`);
    } else line(of, is);
  }
  return `${lines.join("\n")}\n`;
}

/** Where counts differ from the golden file: case, counter, what it was and what it is. */
function differences(golden, results) {
  return Object.entries(results).flatMap(([name, { counters }]) =>
    Object.entries(counters)
      .map(([counter, is]) => ({ name, counter, was: golden[name]?.[counter], is }))
      .filter(({ was, is }) => was !== is),
  );
}

const isHigher = ({ was, is }) => was === undefined || is > was;

/**
 * Compares with the golden file. What is higher is counted once more, in a new stack, and has to be higher there too: on
 * a machine that is busy beyond measure something may be asked twice.
 */
async function compared(folder, results) {
  const golden = readJson(GOLDEN);
  if (golden === undefined) throw new Stop("scripts/bench/cost.json is missing: write it with `npm run bench -- --cost --bless`.", 1);
  const doubtful = new Set(differences(golden, results).filter(isHigher).map(({ name }) => name));
  if (doubtful.size > 0) {
    say(`… counting once more because of ${[...doubtful].join(", ")}`);
    least(results, await measure(path.join(folder, "again")), doubtful);
  }
  const found = differences(golden, results);
  for (const { name, counter, was, is } of found) process.stdout.write(`${name} ${counter}: was ${was ?? "unknown"}, is ${is}\n`);
  const gone = Object.keys(golden).filter((name) => results[name] === undefined);
  for (const name of gone) process.stdout.write(`${name}: is no case any more\n`);
  const higher = found.filter(isHigher).length + gone.length;
  if (higher > 0) throw new Stop(`${higher} counts are higher than in scripts/bench/cost.json. If that is meant, say why in the commit and write the file anew: npm run bench -- --cost --bless`, 1);
  if (found.length > 0) say(`${found.length} counts are lower than in scripts/bench/cost.json: keep that with \`npm run bench -- --cost --bless\`.`);
  else say("✓ everything costs what scripts/bench/cost.json says");
}

/** Of some cases that were counted twice the lower count. */
function least(results, others, names) {
  for (const name of names) {
    const [one, other] = [results[name].counters, others[name].counters];
    for (const counter of Object.keys(one)) one[counter] = Math.min(one[counter], other[counter]);
  }
}

/** Writes what was counted as one line for each case, and the tables of the page. */
function bless(results) {
  const lines = Object.entries(results).map(([name, { counters }]) => `  ${JSON.stringify(name)}: ${JSON.stringify(counters)}`);
  writeAtomic(GOLDEN, `{\n${lines.join(",\n")}\n}\n`);
  const page = fs.readFileSync(PAGE, "utf8");
  const tables = { cases: casesOf(results), targets: targetsOf(results), statements: statementsOf(results) };
  writeAtomic(PAGE, Object.entries(tables).reduce(placed, page));
  say(`✓ written to ${path.relative(ROOT, GOLDEN)} and ${path.relative(ROOT, PAGE)}`);
}

/** A page with a table in the place that names it. */
function placed(page, [name, rows]) {
  const [begin, end] = [`<!-- cost: ${name}, written by --bless -->\n`, "<!-- end -->"];
  const from = page.indexOf(begin);
  if (from < 0) throw new Stop(`docs/BENCHMARKS.md has no place for the table of ${name}.`, 1);
  const at = from + begin.length;
  return `${page.slice(0, at)}${rows.map((cells) => `| ${cells.join(" | ")} |\n`).join("")}${page.slice(page.indexOf(end, at))}`;
}

const many = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

function casesOf(results) {
  const head = ["case", "rows", "of these alarms", "rows read", "statements", "transactions", "object requests", "venue calls (before the order)", "D1: written, read, statements, batches"];
  const rows = Object.entries(results).map(([name, { counters: of }]) => {
    const both = (counter) => of[`ledger.${counter}`] + of[`control.${counter}`];
    const d1 = ["written", "read", "statements", "batches"].map((counter) => of[`d1.${counter}`]);
    return [`\`${name}\``, of.rows, both("setAlarms"), both("read"), both("statements"), both("transactions"), of.requests, `${of["venue.calls"]} (${of["venue.before"]})`, d1.join(", ")];
  });
  return [head, head.map(() => "---"), ...rows];
}

function targetsOf(results) {
  const rows = targets(results).map(({ says, is, most, least, met }) => [says, many(is), least === undefined ? `≤ ${many(most)}` : `≥ ${many(least)}`, met ? "met" : "**missed**"]);
  return [["", "is", "target", ""], ["---", "---", "---", "---"], ...rows];
}

function statementsOf({ market, flip }) {
  const kinds = (of) => [...Object.entries(of.statements), ...Object.entries(of.d1).map(([kind, counts]) => [`D1 ${kind}`, counts])];
  const [ordered, turned] = [market, flip].map((of) => new Map(kinds(of)));
  const rows = [...new Set([...ordered.keys(), ...turned.keys()])]
    .map((kind) => [kind, ...[ordered, turned].flatMap((counts) => [counts.get(kind)?.written ?? 0, counts.get(kind)?.statements ?? 0])])
    .filter(([, one, , other]) => one + other > 0)
    .sort(([, one, , its], [, two, , theirs]) => two - one || theirs - its)
    .map(([kind, ...counts]) => [`\`${kind}\``, ...counts]);
  return [["", "`market` written", "statements", "`flip` written", "statements"], ["---", "---", "---", "---", "---"], ...rows];
}

/** The month of the audit trail, and the day of an account's loss, begin at midnight UTC: no case may lie across it. */
async function awayFromMidnight() {
  const left = 86_400_000 - (Date.now() % 86_400_000);
  if (left > 240_000) return;
  say(`… waiting ${Math.ceil(left / 1000)} s for midnight UTC, which would be counted`);
  await pause(left + 2_000);
}

/** Counts, and shows or compares. */
export async function cost(folder, { json, check, bless: write, trace }) {
  await awayFromMidnight();
  const started = performance.now();
  const results = await measure(folder, trace === undefined ? undefined : [trace]);
  say(`✓ ${Object.keys(results).length} cases counted (${seconds(started)})`);
  if (trace !== undefined) {
    process.stdout.write(traceOf(results[trace].events));
  } else if (check) {
    await compared(folder, results);
  } else if (write) {
    bless(results);
  } else if (json) {
    const shown = Object.fromEntries(Object.entries(results).map(([name, { events, ...rest }]) => [name, rest]));
    process.stdout.write(`${JSON.stringify({ cases: shown, targets: targets(results) })}\n`);
  } else {
    process.stdout.write(table(results));
  }
  return 0;
}
