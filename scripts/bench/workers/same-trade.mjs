// (b), the private worker and its Durable Object: the statements, transactions and alarms of Hoox's Ledger, one for
// one, as plain JavaScript. `npm run bench` traces both and says whether the lists are equal; where Hoox's change,
// these change with them. Statements keep the names of the Rust functions they come from.
import { DurableObject } from "cloudflare:workers";
import { hex, id } from "./same-shared.mjs";

const RECOVERY_MS = 1_000;
const LEASE_MS = 20_000;
const MAX_OPEN = 1_000;
const MAX_LANES = 4;
const MAX_STEPS = 256;
const MAX_DELIVERIES = 20;
const MAX_INGEST = 50;
const DELIVERY_MS = 12_000;
const PRUNE_ROWS = 100;
const KEEP_MS = 8 * 86_400_000;

const SIGNAL_COLUMNS = `seq, id, request_id, sender, product, symbol, entry, status, open, blocking, due_at, attempts, received_at, deadline, revision, data, dead`;
const META = `SELECT value FROM meta WHERE key = ?1`;
const PUT_META = `INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value`;
const ENQUEUE = `INSERT INTO outbox (key, revision, record) VALUES (?1, ?2, ?3)
  ON CONFLICT DO UPDATE SET revision = excluded.revision, record = excluded.record, held = 0`;
const CLAIM = `SELECT ${SIGNAL_COLUMNS} FROM signal WHERE open = 1 AND due_at <= ?1
  AND (blocking = 0 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 AND first.blocking = 1
  AND first.product = signal.product AND first.symbol = signal.symbol AND first.seq < signal.seq))
  AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.product = signal.product AND lane.symbol = signal.symbol
  AND lane.lease_until > ?1) AND (SELECT COUNT(*) FROM lane WHERE lease_until > ?1) < ?2 ORDER BY due_at, seq LIMIT 1`;
const NEXT_ALARM = `SELECT MIN(MAX(due_at, ?1, COALESCE((SELECT lease_until FROM lane WHERE lane.product = signal.product
  AND lane.symbol = signal.symbol AND lane.lease_until > ?1), 0),
  COALESCE((SELECT MIN(lease_until) FROM lane WHERE lane.lease_until > ?1 HAVING COUNT(*) >= ?2), 0))) AS due
  FROM signal WHERE open = 1
  AND (blocking = 0 OR NOT EXISTS (SELECT 1 FROM signal AS first WHERE first.open = 1 AND first.blocking = 1
  AND first.product = signal.product AND first.symbol = signal.symbol AND first.seq < signal.seq))`;

class Problem extends Error {
  constructor(status, code, message, signal) {
    super(message);
    Object.assign(this, { status, code, signal });
  }
}

export class Ledger extends DurableObject {
  #sql;
  #storage;
  #known = new Map();

  constructor(ctx, env) {
    super(ctx, env);
    this.#storage = ctx.storage;
    this.#sql = ctx.storage.sql;
    // Hoox's own tables and indexes, as they were traced.
    this.#storage.transactionSync(() => {
      const tables = this.#one(`SELECT COUNT(*) AS tables FROM sqlite_master WHERE name = 'meta'`).tables;
      if (tables === 0) for (const statement of JSON.parse(env.SCHEMA)) this.#sql.exec(statement);
    });
  }

  async fetch(request) {
    const message = await request.json();
    try {
      if (this.#kill() === undefined) this.#configure(message);
      const signal = this.#atomic(() => this.#accept(message));
      this.ctx.waitUntil(this.#drive());
      return Response.json({ Ok: { signal } });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { status, code, message: text, signal } = error;
      return Response.json({ Err: { status, code, message: text, signal } }, { status });
    }
  }

  async alarm() {
    await this.#drive();
  }

  #one(sql, ...params) {
    return this.#sql.exec(sql, ...params).toArray()[0];
  }

  /** A single value, remembered until it is written, as Hoox's store does. */
  #get(key) {
    if (!this.#known.has(key)) this.#known.set(key, this.#one(META, key)?.value);
    return this.#known.get(key);
  }

  #put(key, value) {
    this.#sql.exec(PUT_META, key, value);
    this.#known.delete(key);
  }

  #atomic(work) {
    try {
      return this.#storage.transactionSync(work);
    } catch (error) {
      this.#known.clear();
      throw error;
    }
  }

  #kill() {
    const mode = this.#get("kill_mode");
    return mode === undefined ? undefined : { mode, revision: Number(this.#get("kill_revision") ?? 0) };
  }

  /** Hoox asks Control, once; here the first message is believed. */
  #configure({ manifestVersion, account, sender }) {
    this.#atomic(() => {
      this.#put("config", JSON.stringify({ manifestVersion, account, senders: [sender], sendersVersion: manifestVersion }));
      this.#put("kill_mode", "off");
      this.#put("kill_revision", "1");
    });
  }

  /** `accept::decide` */
  #accept(message) {
    const { requestId, sender, identity, signal, account, entryRate } = message;
    const now = Date.now();
    const repeated = this.#one(`SELECT ${SIGNAL_COLUMNS} FROM signal WHERE request_id = ?1 LIMIT 1`, requestId);
    if (repeated !== undefined) return view(repeated, JSON.parse(repeated.data));
    const config = JSON.parse(this.#get("config"));
    if (config.account.id !== account.id || config.manifestVersion > message.manifestVersion) throw new Problem(409, "CONFLICT", "decided by another manifest");
    this.#duplicate(sender, identity, now);
    if (!config.senders.includes(sender)) throw new Problem(403, "NOT_PERMITTED", "struck off");
    const deadline = (signal.timestamp ?? message.receivedAt) + signal.maxLagMs;
    if (now > deadline) throw new Problem(400, "STALE", "stale");
    if (this.#one(`SELECT COUNT(*) AS open FROM signal WHERE open = 1`).open >= MAX_OPEN) throw new Problem(429, "RATE_LIMITED", "too many open");
    const oldest = this.#one(
      `SELECT received_at FROM signal WHERE entry = 1 AND sender = ?1 AND received_at > ?2 ORDER BY received_at DESC LIMIT 1 OFFSET ?3`,
      sender, now - entryRate.seconds * 1000, Math.max(entryRate.count - 1, 0),
    );
    if (oldest !== undefined) throw new Problem(429, "RATE_LIMITED", "too many entries");
    const kill = this.#kill();
    const [product, symbol] = ["linear", signal.symbol.symbol];
    const held = this.#one(`SELECT quantity, filled_at FROM holding WHERE product = ?1 AND symbol = ?2`, product, symbol);
    if (kill.mode === "all" || (kill.mode === "entries" && held === undefined)) throw new Problem(423, "KILL_SWITCH", "engaged");
    const row = {
      id: id(now), request_id: requestId, sender, product, symbol, entry: 1, status: "received", open: 1, blocking: 1, due_at: now, attempts: 0,
      received_at: message.receivedAt, deadline, revision: now, dead: 0,
    };
    const data = { account: account.name, signal, body: message.body, notes: [], code: null, message: null, dryRun: [] };
    const due = Math.min(this.#nextAlarm(now) ?? Infinity, now + RECOVERY_MS);
    this.#sql.exec(
      `INSERT INTO signal (id, request_id, sender, product, symbol, entry, status, open, blocking, due_at, attempts, received_at, deadline, revision, data, dead)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)`,
      row.id, row.request_id, row.sender, row.product, row.symbol, row.entry, row.status, row.open, row.blocking, row.due_at, row.attempts,
      row.received_at, row.deadline, row.revision, JSON.stringify(data), row.dead,
    );
    this.#enqueue(account, row, data, now);
    this.#storage.setAlarm(due);
    this.#sql.exec(
      `INSERT INTO identity (sender, key, content_hash, signal_id, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
       ON CONFLICT DO UPDATE SET content_hash = excluded.content_hash, signal_id = excluded.signal_id, expires_at = excluded.expires_at`,
      sender, identity.key, identity.contentHash, row.id, now + identity.windowMs,
    );
    return view(row, data);
  }

  /** `accept::duplicate` */
  #duplicate(sender, { key, contentHash }, now) {
    const found = this.#one(`SELECT signal_id, content_hash FROM identity WHERE sender = ?1 AND key = ?2 AND expires_at > ?3`, sender, key, now);
    if (found === undefined) return;
    const first = this.#one(`SELECT ${SIGNAL_COLUMNS} FROM signal WHERE id = ?1 LIMIT 1`, found.signal_id);
    this.#orders(found.signal_id);
    const known = view(first, JSON.parse(first.data));
    if (found.content_hash !== contentHash) throw new Problem(422, "KEY_REUSED", "the key was used with other content", known);
    throw new Problem(409, "DUPLICATE", "this signal came before", known);
  }

  #orders(signalId) {
    return this.#sql.exec(`SELECT signal_id, leg, state, fence, sent_at, revision, data FROM orders WHERE signal_id = ?1 ORDER BY leg`, signalId).toArray();
  }

  /** `journal::enqueue` of `journal::signal_record` */
  #enqueue(account, row, data, now) {
    const { signal } = data;
    const record = {
      kind: "signal", id: row.id, requestId: row.request_id, accountId: account.id, account: data.account, sender: row.sender, action: signal.action,
      symbol: row.symbol, state: row.status, code: data.code ?? undefined, message: data.message ?? undefined, receivedAt: row.received_at,
      updatedAt: now, dryRun: signal.dryRun, strategy: signal.strategy, orderId: signal.orderId, body: data.body,
    };
    this.#sql.exec(ENQUEUE, `signal:${row.id}`, row.revision, JSON.stringify(record));
  }

  /** `journal::next_alarm` */
  #nextAlarm(now) {
    const signal = this.#one(NEXT_ALARM, now, MAX_LANES)?.due ?? Infinity;
    const waiting = this.#one(`SELECT COUNT(*) AS rows FROM outbox WHERE held = 0`).rows;
    const outbox = waiting > 0 ? Number(this.#get("outbox_due") ?? 0) : Infinity;
    const flatten = this.#get("flatten") === undefined ? Infinity : now;
    const due = Math.min(signal, outbox, flatten, Number(this.#get("day_due") ?? Infinity));
    return due === Infinity ? undefined : Math.max(due, now);
  }

  /** `Ledger::drive` */
  async #drive() {
    if (this.#get("flatten") !== undefined) throw new Error("nothing in the benchmark flattens");
    const { account } = JSON.parse(this.#get("config"));
    if (JSON.parse(this.#get("config")).account.id !== account.id || this.#get("day_due") !== undefined) throw new Error("nothing in the benchmark has limits");
    for (let steps = 0; steps < MAX_STEPS; ) {
      const claims = [];
      for (let claim = this.#claim(); claim !== undefined && steps < MAX_STEPS; claim = this.#claim()) {
        claims.push(claim);
        steps += 1;
      }
      if (claims.length === 0) break;
      for (const claim of claims) this.#carry(claim);
    }
    const now = Date.now();
    this.#atomic(() => {
      this.#sql.exec(
        `DELETE FROM identity WHERE (sender, key) IN (SELECT sender, key FROM identity WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)`, now, PRUNE_ROWS,
      );
      const old = this.#sql.exec(`SELECT id FROM signal WHERE open = 0 AND dead = 0 AND received_at < ?1 ORDER BY received_at LIMIT ?2`, now - KEEP_MS, PRUNE_ROWS);
      if (old.toArray().length > 0) throw new Error("nothing in the benchmark is that old");
    });
    await this.#deliver();
    const next = this.#nextAlarm(Date.now());
    if (next !== undefined) this.#storage.setAlarm(next);
  }

  /** `journal::claim` */
  #claim() {
    const now = Date.now();
    return this.#atomic(() => {
      const row = this.#one(CLAIM, now, MAX_LANES);
      if (row === undefined) return undefined;
      const token = hex(crypto.getRandomValues(new Uint8Array(32)));
      const taken = this.#one(
        `INSERT INTO lane (product, symbol, token, lease_until) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until WHERE lane.lease_until <= ?5 RETURNING token`,
        row.product, row.symbol, token, now + LEASE_MS, now,
      );
      return taken === undefined ? undefined : { row, token };
    });
  }

  /** `Ledger::carry` for an account that cannot trade: the signal ends, with its record. */
  #carry({ row, token }) {
    const config = JSON.parse(this.#get("config"));
    const data = JSON.parse(row.data);
    this.#orders(row.id);
    if (this.#kill().mode === "all" || this.#get("venue_pause") !== undefined || this.#get("clock_offset") !== undefined) throw new Error("nothing in the benchmark holds a signal up");
    const now = Date.now();
    Object.assign(row, { status: "refused", blocking: 0, open: 0, attempts: 0, due_at: now, revision: Math.max(row.revision + 1, now) });
    Object.assign(data, { code: "NOT_CONFIGURED", message: "the secret BYBIT_SIM_API_KEY is not set; set it with `hoox secrets set BYBIT_SIM_API_KEY`" });
    this.#atomic(() => {
      const held = this.#one(
        `UPDATE lane SET lease_until = ?4 WHERE product = ?1 AND symbol = ?2 AND token = ?3 RETURNING token`, row.product, row.symbol, token, now + LEASE_MS,
      );
      if (held === undefined) throw new Error("the lease on the lane is lost");
      this.#sql.exec(
        `UPDATE signal SET status = ?2, open = ?3, blocking = ?4, due_at = ?5, attempts = ?6, revision = ?7, data = ?8, dead = ?9 WHERE id = ?1`,
        row.id, row.status, row.open, row.blocking, row.due_at, row.attempts, row.revision, JSON.stringify(data), row.dead,
      );
      this.#enqueue(config.account, row, data, now);
    });
    this.#sql.exec(`DELETE FROM lane WHERE product = ?1 AND symbol = ?2 AND token = ?3`, row.product, row.symbol, token);
  }

  /** `Ledger::deliver` */
  async #deliver() {
    for (let delivery = 0; delivery < MAX_DELIVERIES; delivery += 1) {
      if (Number(this.#get("outbox_due") ?? 0) > Date.now()) return;
      const rows = this.#sql.exec(`SELECT key, revision, record FROM outbox WHERE held = 0 LIMIT ?1`, MAX_INGEST).toArray();
      if (rows.length === 0) return;
      this.#put("outbox_due", String(Date.now() + DELIVERY_MS));
      const body = JSON.stringify(rows.map(({ revision, record }) => ({ revision, record: JSON.parse(record) })));
      const now = Date.now();
      const response = await this.env.D1_WORKER.fetch("https://hoox.internal/ingest", {
        method: "POST",
        headers: { "content-type": "application/json", "x-hoox-edge-key": this.env.TRADE_D1_KEY, "x-request-id": id(now), "x-hoox-ledger": "", "x-hoox-location": "" },
        body,
      });
      const { Ok: refused } = await response.json();
      this.#atomic(() => {
        for (const [place, { key, revision }] of rows.entries()) {
          if (refused.includes(place)) this.#sql.exec(`UPDATE outbox SET held = 1 WHERE key = ?1`, key);
          else this.#sql.exec(`DELETE FROM outbox WHERE key = ?1 AND revision = ?2`, key, revision);
        }
        this.#sql.exec(`DELETE FROM meta WHERE key = ?1`, "outbox_due");
        this.#known.delete("outbox_due");
        if (this.#get("outbox_failures") !== undefined) throw new Error("no delivery fails in the benchmark");
      });
    }
  }
}

const view = (row, data) => ({ signalId: row.id, status: row.status, account: data.account });

const same = (presented, known) => {
  const [one, other] = [presented ?? "", known].map((text) => new TextEncoder().encode(text));
  return one.length === other.length && crypto.subtle.timingSafeEqual(one, other);
};

export default {
  async fetch(request, env) {
    const { headers } = request;
    if (!same(headers.get("x-hoox-edge-key"), env.HOOX_TRADE_KEY)) return new Response(null, { status: 401 });
    return env.LEDGER.getByName(headers.get("x-hoox-ledger")).fetch(request);
  },
};
