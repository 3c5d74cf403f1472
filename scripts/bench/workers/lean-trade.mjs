// (e), the private worker and its Durable Object: the least that keeps the promise. What is accepted is one row, which is
// the identity, the journal and the job, and an alarm, written in one turn and so in one transaction; the row says after
// any crash what is left to do. docs/BENCHMARKS.md says what the promise is.
import { DurableObject } from "cloudflare:workers";
import { Refusal, bytesOf, compare, decimal, floorTo, id, lesser, same, written } from "./lean-shared.mjs";

/** When the alarm looks after what is open. */
const RECOVERY_MS = 1_000;
const CALL_MS = 8_000;
const DELIVERY_MS = 10_000;
/** An order that is not found ends as unknown after so long. */
const DOUBT_MS = 600_000;
const MAX_OPEN = 1_000;
const MAX_OPEN_EXITS = 1_200;
/** Calls in flight; the last one is kept for exits. */
const MAX_CALLS = 4;
const MAX_RECORDS = 50;
const RULES_MS = 3_600_000;
const KEEP_MS = 8 * 86_400_000;
const PRUNE_ROWS = 100;
const EXIT_LAG_MS = 600_000;
/** Orders of one signal. */
const MAX_ORDERS = 10;
/** The most entries that a sender's rate may count. */
const MAX_RATE = 10_000;
/** No entry that fired earlier than this is taken any more, so no older one has to be known to compare with. */
const RECENT_MS = 60_000;
/** Rows are numbered by the microsecond in which they came, or the next one that is free. */
const NUMBERS_A_MS = 1_000;

/** Answers of the venue to an order that prove nothing: time-outs and failures inside. */
const UNCLEAR = new Set([10_000, 10_014, 10_016, 110_079, 110_114]);
const TOO_OFTEN = 10_006;
const TAKEN = 110_072;
const FINAL = new Set(["Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated"]);

/** Whatever failed, it proves nothing: the row stays as it is, and the alarm goes on with it. */
class Later extends Error {}

export class Ledger extends DurableObject {
  #sql;
  /** The account, its senders and their manifest's version; the kill switch. */
  #config;
  #kill;
  /** Rows that are not over, by number; those of this instance's lanes are carried by them. */
  #open = new Map();
  #lanes = new Map();
  /** Symbols whose entries wait for the alarm. */
  #held = new Set();
  /** When the alarm comes, for what is open. */
  #due = Infinity;
  /** By sender, when its entries of late came; by sender, symbol and strategy, when the newest alert fired. */
  #entries = new Map();
  #newest;
  #last;
  #rules = new Map();
  #calls = 0;
  #exitsWait = [];
  #entriesWait = [];
  #ended = [];
  #delivering = false;
  #signer;

  constructor(ctx, env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS signal (seq INTEGER PRIMARY KEY, id TEXT, request_id TEXT, sender TEXT, key TEXT, hash TEXT, expires_at INTEGER,
      line TEXT, fired_at INTEGER, entry INTEGER, open INTEGER, state TEXT, alert TEXT, work TEXT);
      CREATE INDEX IF NOT EXISTS identity ON signal (sender, key);
      CREATE INDEX IF NOT EXISTS unfinished ON signal (open) WHERE open = 1;
      CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID`);
    const known = Object.fromEntries(this.#sql.exec(`SELECT key, value FROM meta`).raw().toArray());
    this.#config = JSON.parse(known.config ?? "null");
    this.#kill = known.kill ?? "off";
    this.#last = this.#sql.exec(`SELECT MAX(seq) AS last FROM signal`).one().last ?? 0;
    this.#newest = new Map(this.#sql.exec(`SELECT line, MAX(fired_at) FROM signal WHERE seq > ?1 AND fired_at IS NOT NULL GROUP BY line`, numberOf(Date.now() - RECENT_MS)).raw());
    for (const row of this.#sql.exec(`SELECT seq, id, sender, state, alert, work FROM signal WHERE open = 1 ORDER BY seq`)) {
      this.#open.set(row.seq, { ...row, alert: JSON.parse(row.alert), work: JSON.parse(row.work) });
    }
    // Whatever an instance before this one left goes on now; the order of a symbol is the order of arrival.
    if (this.#open.size > 0) this.#recover();
  }

  async fetch(request) {
    const message = await request.json();
    if (new URL(request.url).pathname === "/kill-switch") return this.#setKill(message);
    try {
      return Response.json({ Ok: { signal: this.#accept(message) } });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, code, message: text, signal } = error;
      return Response.json({ Err: { status, code, message: text, signal } }, { status });
    }
  }

  /** Never an error: one that fails too often is not called again. */
  async alarm() {
    this.#due = Infinity;
    try {
      this.#sql.exec(`DELETE FROM signal WHERE seq IN (SELECT seq FROM signal WHERE seq < ?1 AND open = 0 ORDER BY seq LIMIT ?2)`, numberOf(Date.now() - KEEP_MS), PRUNE_ROWS);
      await this.#recover();
    } catch (error) {
      console.error(`recovery failed: ${error}`);
    }
    if (this.#open.size > 0) this.#wake();
  }

  /** Arms the alarm for what is open: not later than it is armed for that. */
  #wake() {
    this.#due = Math.min(this.#open.size === 0 ? Infinity : this.#due, Date.now() + RECOVERY_MS);
    this.ctx.storage.setAlarm(this.#due);
  }

  #setKill({ mode }) {
    this.#sql.exec(`INSERT INTO meta VALUES ('kill', ?1) ON CONFLICT DO UPDATE SET value = excluded.value`, mode);
    this.#kill = mode;
    return Response.json({ Ok: { mode } });
  }

  // Accepting: one turn without an await, whose writes are one transaction, and which the answer waits for.

  #accept(message) {
    const { requestId, sender, identity, signal, account, body, receivedAt } = message;
    const now = Date.now();
    this.#configure(message);
    const repeated = this.#compare(message, now);
    if (repeated !== undefined) return repeated;
    this.#judge(message, now);
    const seq = Math.max(this.#last + 1, numberOf(now));
    const line = lineOf(sender, signal);
    const row = { seq, id: id(now), sender, state: "received", alert: { signal, account: account.name, requestId, receivedAt, body }, work: { orders: [] } };
    this.#sql.exec(
      `INSERT INTO signal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1, 'received', ?11, '{"orders":[]}')`,
      seq, row.id, requestId, sender, identity.key, identity.contentHash, now + identity.windowMs, line, signal.timestamp ?? null, signal.entry ? 1 : 0, JSON.stringify(row.alert),
    );
    this.#wake();
    this.#last = seq;
    this.#note(sender, line, signal, now);
    this.#open.set(seq, row);
    this.#queue(row);
    return view(row);
  }

  /** The newest manifest counts; what was decided by an older one is decided anew. */
  #configure({ manifestVersion, account, senders }) {
    if (this.#config?.version === manifestVersion) return;
    if (this.#config?.version > manifestVersion) throw new Refusal(409, "CONFLICT", "decided by an older manifest");
    const config = { version: manifestVersion, account, senders };
    this.#sql.exec(`INSERT INTO meta VALUES ('config', ?1) ON CONFLICT DO UPDATE SET value = excluded.value`, JSON.stringify(config));
    this.#config = config;
  }

  /** Refuses a signal that came before; the same request is answered as it was. */
  #compare({ requestId, sender, identity }, now) {
    const [first] = this.#sql.exec(`SELECT id, request_id, hash, state, alert FROM signal WHERE sender = ?1 AND key = ?2 AND expires_at > ?3`, sender, identity.key, now).toArray();
    if (first === undefined) return undefined;
    const known = view({ ...first, alert: JSON.parse(first.alert) });
    if (first.request_id === requestId) return known;
    if (first.hash !== identity.contentHash) throw new Refusal(422, "KEY_REUSED", `the idempotency key was used by ${first.id} with other content`, known);
    throw new Refusal(409, "DUPLICATE", `this signal came before as ${first.id}; nothing was done again`, known);
  }

  #judge({ sender, signal, entryRate }, now) {
    if (!this.#config.senders.includes(sender)) throw new Refusal(403, "NOT_PERMITTED", "this sender may not trade here any more");
    if (now > signal.deadline) throw new Refusal(400, "STALE", "the alert is older than its maxLag");
    if (this.#open.size >= (signal.entry ? MAX_OPEN : MAX_OPEN_EXITS)) throw new Refusal(429, "RATE_LIMITED", "too many signals wait to be carried out");
    // A flip may close: the fence keeps it from opening.
    if (this.#kill === "all" || (this.#kill === "entries" && signal.entry && !isFlip(signal))) throw new Refusal(423, "KILL_SWITCH", "the kill switch is engaged");
    if (!signal.entry) return;
    const [times, from] = [this.#entriesOf(sender, entryRate, now), now - entryRate.seconds * 1000];
    if (times[times.length - entryRate.count] > from) throw new Refusal(429, "RATE_LIMITED", "this sender made too many entries");
    // Within one second nobody knows which came first.
    if (Math.floor(this.#newest.get(lineOf(sender, signal)) / 1000) > Math.floor(signal.timestamp / 1000)) throw new Refusal(409, "OUT_OF_ORDER", "a newer alert of the strategy was taken before");
  }

  /** When a sender's entries came, as far as its rate asks back. */
  #entriesOf(sender, { seconds }, now) {
    const known = this.#entries.get(sender);
    if (known !== undefined) return known;
    const rows = this.#sql.exec(`SELECT seq FROM signal WHERE seq > ?1 AND sender = ?2 AND entry = 1 ORDER BY seq`, numberOf(now - seconds * 1000), sender).raw();
    const times = Array.from(rows, ([seq]) => Math.floor(seq / NUMBERS_A_MS));
    this.#entries.set(sender, times);
    return times;
  }

  /** Remembers of an accepted alert what the next ones are judged by. */
  #note(sender, line, { timestamp, entry }, now) {
    if (timestamp !== undefined && !(this.#newest.get(line) > timestamp)) {
      // The line that was silent the longest goes first.
      this.#newest.delete(line);
      this.#newest.set(line, timestamp);
      if (this.#newest.size > MAX_OPEN) this.#newest.delete(this.#newest.keys().next().value);
    }
    if (!entry) return;
    const times = this.#entries.get(sender);
    times.push(now);
    if (times.length > 2 * MAX_RATE) times.splice(0, MAX_RATE);
  }

  // Carrying out: one signal at a time per symbol.

  #queue(row) {
    const { symbol, entry } = row.alert.signal;
    if (entry && this.#held.has(symbol)) return;
    const lane = this.#lanes.get(symbol);
    if (lane !== undefined) return void lane.push(row);
    const rows = [row];
    this.#lanes.set(symbol, rows);
    this.ctx.waitUntil(this.#run(symbol, rows));
  }

  async #run(symbol, rows) {
    // Without a call to the venue the outcome would be part of the turn that accepted the signal.
    if (this.#keyless) await scheduler.wait(0);
    while (rows.length > 0) {
      const [row] = rows;
      try {
        await this.#carry(row);
        rows.shift();
      } catch (error) {
        if (!(error instanceof Later)) console.error(`${row.id}: ${error}`);
        this.#postpone(symbol, rows);
      }
    }
    this.#lanes.delete(symbol);
  }

  /** What has sent nothing keeps the entries after it waiting, for the alarm; an order in doubt keeps nobody. */
  #postpone(symbol, rows) {
    const { state } = rows.shift();
    if (state !== "received") return;
    this.#held.add(symbol);
    rows.splice(0, rows.length, ...rows.filter((row) => !row.alert.signal.entry));
  }

  /** Goes on with what was open before, or was left open because something failed. */
  #recover() {
    this.#held.clear();
    const carried = new Set([...this.#lanes.values()].flat());
    for (const row of this.#open.values()) {
      if (row.state === "ended") {
        if (!this.#ended.includes(row)) this.#ended.push(row);
      } else if (!carried.has(row)) {
        this.#queue(row);
      }
    }
    return this.#deliver();
  }

  async #carry(row) {
    const { signal } = row.alert;
    if (this.#keyless) return this.#end(row, "refused", "NOT_CONFIGURED", "the secret BYBIT_SIM_API_KEY is not set");
    if (row.state === "sending") await this.#settle(row);
    else if (signal.entry && this.#inDoubt(signal.symbol)) return this.#end(row, "refused", "UNKNOWN_OUTCOME", "an older order of the symbol has no outcome yet");
    const rules = await this.#rulesOf(signal);
    // A flip closes, waits for the fill, then opens.
    while (row.state !== "ended") {
      const order = plan(row, await this.#position(signal), rules);
      if (order === undefined && row.work.orders.length > 0) return this.#end(row, "done");
      if (order === undefined) return signal.entry ? this.#end(row, "refused", "TOO_SMALL", "the quantity is below the venue's smallest") : this.#end(row, "nothing to do");
      await this.#send(row, order);
      await this.#settle(row);
    }
  }

  get #keyless() {
    return this.env.BYBIT_SIM_API_KEY === undefined;
  }

  /** Whether an order of a symbol has been sent whose outcome is not known. */
  #inDoubt(symbol) {
    for (const { state, alert } of this.#open.values()) if (state === "sending" && alert.signal.symbol === symbol) return true;
    return false;
  }

  async #rulesOf({ symbol, entry }) {
    const known = this.#rules.get(symbol);
    if (known?.until > Date.now()) return known;
    const [found] = await this.#list("/v5/market/instruments-info", `category=linear&symbol=${symbol}`, entry);
    const { qtyStep, minOrderQty, maxMktOrderQty } = found.lotSizeFilter;
    const rules = { step: decimal(qtyStep), least: decimal(minOrderQty), most: decimal(maxMktOrderQty), until: Date.now() + RULES_MS };
    this.#rules.set(symbol, rules);
    return rules;
  }

  async #position({ symbol, entry }) {
    const [found] = await this.#list("/v5/position/list", `category=linear&symbol=${symbol}`, entry);
    return { side: found?.side || undefined, size: decimal(found?.size || "0") };
  }

  /**
   * The fence: what is sent is written down before, in the same turn as the call, which the platform holds back until
   * the write is durable. An instance that was replaced cannot write, so it cannot send.
   */
  async #send(row, order) {
    const { alert, work } = row;
    const { signal, receivedAt } = alert;
    const { follows, ...wire } = order;
    const body = JSON.stringify({ category: "linear", symbol: signal.symbol, orderType: "Market", positionIdx: 0, ...wire });
    const until = order.reduceOnly ? Math.max(signal.deadline, receivedAt + EXIT_LAG_MS) : signal.deadline;
    await this.#slot(!order.reduceOnly);
    try {
      const headers = await this.#sign(body);
      const now = Date.now();
      if (this.#kill === "all" || (this.#kill === "entries" && !order.reduceOnly)) return this.#end(row, "refused", "KILL_SWITCH", "the kill switch is engaged");
      if (now > until) return this.#end(row, "refused", "STALE", "the signal is older than its maxLag");
      const sending = { ...work, orders: [...work.orders, { ...order, sentAt: now }] };
      const { rowsWritten } = this.#sql.exec(`UPDATE signal SET state = 'sending', work = ?2 WHERE seq = ?1 AND open = 1 AND state = 'received'`, row.seq, JSON.stringify(sending));
      if (rowsWritten === 0) throw new Later("another instance has taken it over");
      const called = this.#fetch("POST", "/v5/order/create", "", body, headers);
      Object.assign(row, { state: "sending", work: sending });
      const { retCode, retMsg } = await called;
      // Positive evidence only: anything else is looked up.
      if (retCode !== 0 && retCode !== TOO_OFTEN && retCode !== TAKEN && !UNCLEAR.has(retCode)) this.#end(row, "rejected", String(retCode), retMsg);
    } catch (error) {
      if (row.state !== "sending") throw error;
    } finally {
      this.#release();
    }
  }

  /** Looks up the last order of a signal and commits its outcome, or leaves it to the alarm. */
  async #settle(row) {
    if (row.state !== "sending") return;
    const { signal } = row.alert;
    const order = row.work.orders.at(-1);
    const [found] = await this.#list("/v5/order/realtime", `category=linear&symbol=${signal.symbol}&orderLinkId=${order.orderLinkId}`, !order.reduceOnly);
    if (found === undefined) {
      // Not found is no proof that there is none.
      if (Date.now() - order.sentAt > DOUBT_MS) return this.#end(row, "unknown", "UNKNOWN_OUTCOME", "the order was not found; look at the venue");
      throw new Later("not found yet");
    }
    if (found.side !== order.side || compare(decimal(found.qty), decimal(order.qty)) > 0) throw new Error(`${order.orderLinkId} is another order`);
    if (!FINAL.has(found.orderStatus)) throw new Later("not final yet");
    const filled = found.cumExecQty !== "0";
    const fills = filled ? await this.#list("/v5/execution/list", `category=linear&symbol=${signal.symbol}&orderId=${found.orderId}&limit=100`, !order.reduceOnly) : [];
    Object.assign(order, { orderId: found.orderId, status: found.orderStatus, filled: found.cumExecQty, price: found.avgPrice });
    order.fills = fills.map(({ execId, execQty, execPrice, execFee, execTime }) => ({ execId, execQty, execPrice, execFee, execTime }));
    const whole = found.orderStatus === "Filled";
    if (!(order.follows === "always" || (order.follows === "rest" && !whole))) return this.#end(row, whole ? "done" : filled ? "filled in part" : "not filled");
    // The closing leg of a flip, or a close that is not complete: what follows is planned from what is held then.
    row.state = "received";
    this.#sql.exec(`UPDATE signal SET state = 'received', work = ?2 WHERE seq = ?1`, row.seq, JSON.stringify(row.work));
  }

  /** The outcome is committed; the row stays open until its records are delivered. */
  #end(row, outcome, code, message) {
    row.state = "ended";
    Object.assign(row.work, { outcome, code, message, endedAt: Date.now() });
    this.#sql.exec(`UPDATE signal SET state = 'ended', work = ?2 WHERE seq = ?1`, row.seq, JSON.stringify(row.work));
    this.#ended.push(row);
    this.ctx.waitUntil(this.#deliver());
  }

  // Records: one delivery at a time, of what has ended by then. A delivery that is not confirmed comes again.

  async #deliver() {
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#ended.length > 0) {
        const rows = this.#ended.slice(0, MAX_RECORDS);
        const { Ok: refused } = await within(DELIVERY_MS, async (signal) => {
          const response = await this.env.D1_WORKER.fetch("https://hoox.internal/ingest", {
            method: "POST",
            headers: { "content-type": "application/json", "x-hoox-edge-key": this.env.TRADE_D1_KEY, "x-request-id": rows[0].alert.requestId },
            body: JSON.stringify(rows.flatMap((row) => recordsOf(row, this.#config.account))),
            signal,
          });
          return response.json();
        });
        if (refused.length > 0) throw new Error(`records were refused: ${refused.join()}`);
        if (rows.length === 1) this.#sql.exec(`UPDATE signal SET open = 0 WHERE seq = ?1`, rows[0].seq);
        else this.#sql.exec(`UPDATE signal SET open = 0 WHERE seq IN (SELECT value FROM json_each(?1))`, JSON.stringify(rows.map((row) => row.seq)));
        this.#ended.splice(0, rows.length);
        for (const row of rows) this.#open.delete(row.seq);
      }
    } catch (error) {
      console.error(`a delivery failed: ${error}`);
      this.#wake();
    } finally {
      this.#delivering = false;
    }
  }

  // Calls to the venue.

  /** Waits for its turn: at most four calls in flight, of entries three. */
  async #slot(entry) {
    const waiting = entry ? this.#entriesWait : this.#exitsWait;
    if (waiting.length === 0 && this.#calls < (entry ? MAX_CALLS - 1 : MAX_CALLS)) this.#calls += 1;
    else await new Promise((resolve) => waiting.push(resolve));
  }

  /** Hands its turn to whoever waits the longest, exits first. */
  #release() {
    const next = this.#exitsWait.shift() ?? (this.#calls < MAX_CALLS ? this.#entriesWait.shift() : undefined);
    if (next === undefined) this.#calls -= 1;
    else next();
  }

  /** The rows of a list at the venue. */
  async #list(path, query, entry) {
    await this.#slot(entry);
    try {
      const { retCode, retMsg, result } = await this.#fetch("GET", path, `?${query}`, undefined, await this.#sign(query));
      if (retCode !== 0) throw new Later(`${path}: ${retCode} ${retMsg}`);
      return result.list;
    } finally {
      this.#release();
    }
  }

  async #sign(payload) {
    const { BYBIT_SIM_API_KEY: key, BYBIT_SIM_API_SECRET: secret } = this.env;
    this.#signer ??= await crypto.subtle.importKey("raw", bytesOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const timestamp = String(Date.now());
    const signature = await crypto.subtle.sign("HMAC", this.#signer, bytesOf(`${timestamp}${key}5000${payload}`));
    return { "x-bapi-api-key": key, "x-bapi-timestamp": timestamp, "x-bapi-recv-window": "5000", "x-bapi-sign": new Uint8Array(signature).toHex() };
  }

  #fetch(method, path, query, body, headers) {
    if (body !== undefined) headers["content-type"] = "application/json";
    return within(CALL_MS, async (signal) => {
      const response = await fetch(`${this.#config.account.baseUrl}${path}${query}`, { method, headers, body, redirect: "manual", signal });
      if (response.status !== 200) throw new Later(`${path}: status ${response.status}`);
      return response.json();
    });
  }
}

/** Ends a call that takes longer. Its timer goes with it, as an object may have so many and no more. */
async function within(millis, call) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), millis);
  try {
    return await call(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

const view = ({ id, state, alert }) => ({ signalId: id, status: state, account: alert.account, notes: alert.signal.notes });

const numberOf = (millis) => millis * NUMBERS_A_MS;

const lineOf = (sender, { symbol, strategy }) => `${sender} ${symbol} ${strategy ?? ""}`;

const OPPOSITE = { Buy: "Sell", Sell: "Buy" };
/** The side of the order that an action asks for. */
const SIDES = { LONG: "Buy", BUY: "Buy", CLOSE_SHORT: "Buy", SHORT: "Sell", SELL: "Sell", CLOSE_LONG: "Sell" };

const isFlip = ({ action }) => action === "LONG" || action === "SHORT";

/** The next order of a signal by what is held, or none. Quantities are rounded down; an exit never takes more than is held. */
function plan({ id, alert, work }, { side: held, size }, { step, least }) {
  const { action, entry, quantity } = alert.signal;
  const number = work.orders.length;
  const order = (side, amount, reduceOnly, follows) => {
    const fits = floorTo(amount, step);
    return compare(fits, least) < 0 ? undefined : { side, qty: written(fits), reduceOnly, orderLinkId: `hx-${id}-${number}`, follows };
  };
  if (number === MAX_ORDERS) return undefined;
  const wanted = quantity === undefined ? undefined : decimal(quantity);
  if (entry) {
    const side = SIDES[action];
    return isFlip(alert.signal) && held === OPPOSITE[side] ? order(side, size, true, "always") : order(side, wanted, false);
  }
  const side = SIDES[action] ?? OPPOSITE[held];
  if (held === undefined || side === held) return undefined;
  return wanted === undefined ? order(side, size, true, "rest") : order(side, lesser(wanted, size), true);
}

/** What is kept of a signal: itself, its orders, their fills. */
function recordsOf({ id, sender, alert, work }, account) {
  const { signal, requestId, receivedAt, body } = alert;
  const { outcome, code, message, endedAt, orders } = work;
  const of = { signalId: id, accountId: account.id, symbol: signal.symbol };
  return [
    { revision: endedAt, record: { kind: "signal", id, requestId, accountId: account.id, account: alert.account, sender, action: signal.action, symbol: signal.symbol, state: outcome, code, message, receivedAt, updatedAt: endedAt, strategy: signal.strategy, orderId: signal.orderId, body } },
    ...orders.map(({ fills, ...order }) => ({ revision: endedAt, record: { kind: "order", ...of, ...order } })),
    ...orders.flatMap(({ fills = [], orderId }) => fills.map((fill) => ({ revision: endedAt, record: { kind: "fill", ...of, orderId, ...fill } }))),
  ];
}

export default {
  async fetch(request, env) {
    const { headers } = request;
    if (!same(headers.get("x-hoox-edge-key"), env.HOOX_TRADE_KEY)) return new Response(null, { status: 401 });
    return env.LEDGER.getByName(headers.get("x-hoox-ledger")).fetch(request);
  },
};
