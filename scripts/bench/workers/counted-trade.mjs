// Stands before trade-worker and tells what Cloudflare bills its objects by: every statement with the rows it read and
// wrote, transactions, alarms, events of objects, calls to the venue. Never measured for time. `/cost/…` is not served
// by anything that ships: old orders for a Ledger, the cron, another time.
import { WorkerEntrypoint } from "cloudflare:workers";
import { realTime, setAhead } from "./clock.mjs";
import * as real from "counted";

const tell = (event) => console.log(`cost ${JSON.stringify(event)}`);

/** Statements whose rows have not been read to the end yet, and what came after the first of them. */
let waiting = [];
/** Old orders are made without being counted. */
let silent = false;

/** Tells in order, after the present turn: only then has a cursor counted all of its rows. */
function later(event) {
  if (silent || waiting.push(event) > 1) return;
  queueMicrotask(() => {
    const told = waiting;
    waiting = [];
    for (const { cursor, ...each } of told) tell(cursor === undefined ? each : { ...each, read: cursor.rowsRead, written: cursor.rowsWritten });
  });
}

const outside = globalThis.fetch;
globalThis.fetch = (request, ...more) => {
  const { method, url } = typeof request === "string" ? { method: "GET", url: request } : request;
  later({ is: "call", text: `${method} ${new URL(url).pathname}` });
  return outside(request, ...more);
};

/**
 * While a run waits for the venue it looks at what is due, after 50 ms at the earliest. The simulator answers much sooner
 * but on a busy machine, which is not to be counted: such waits take a second here. Nothing but those looks waits for them.
 */
const timeout = globalThis.setTimeout;
globalThis.setTimeout = (work, millis, ...more) => timeout(work, millis >= 50 && millis < 1_000 ? 1_000 : millis, ...more);

/** Counts what one object does with its storage. */
function count(of, { storage }) {
  const { sql } = storage;
  const [exec, transactionSync, setAlarm, deleteAlarm] = [sql.exec, storage.transactionSync, storage.setAlarm, storage.deleteAlarm];
  sql.exec = (text, ...parameters) => {
    const cursor = exec.call(sql, text, ...parameters);
    later({ is: "statement", of, text: text.replaceAll(/\s+/g, " ").trim(), cursor });
    return cursor;
  };
  storage.transactionSync = (work) => {
    later({ is: "begin", of });
    let how = "rollback";
    try {
      const done = transactionSync.call(storage, work);
      how = "commit";
      return done;
    } finally {
      later({ is: how, of });
    }
  };
  storage.setAlarm = (at, ...more) => {
    later({ is: "setAlarm", of, at: Number(at), in: Number(at) - Date.now() });
    return setAlarm.call(storage, realTime(at), ...more);
  };
  storage.deleteAlarm = (...more) => {
    later({ is: "deleteAlarm", of });
    return deleteAlarm.call(storage, ...more);
  };
  // The Ledger's binding asks for it anew, and has to get the same object.
  if (storage.sql !== sql) throw new Error("the platform makes a new object for every look at storage.sql: nothing would be counted");
}

/**
 * Rows of the past `days` that look like those of one order: what a table holds of it, again and again with other ids and
 * times. The newest ones are a quarter of an hour old, or `since` days.
 */
function multiply(sql, { signalId, requestId, key, times, days, since }) {
  const DAY = 86_400_000;
  const youngest = since === undefined ? 900_000 : since * DAY;
  const named = (name) => `"${name.replaceAll('"', '""')}"`;
  const isTime = (value) => typeof value === "number" && value > 1.6e12 && value < 4e12;
  const tables = sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT LIKE '~_cf%' ESCAPE '~' AND name NOT IN ('meta', 'outbox')").toArray();
  const copied = {};
  for (const { name } of tables) {
    const columns = sql.exec(`SELECT name, type, pk FROM pragma_table_info('${name.replaceAll("'", "''")}')`).toArray();
    const counts = columns.filter(({ pk, type }) => pk > 0 && type === "INTEGER").map((column) => column.name);
    const rows = sql.exec(`SELECT * FROM ${named(name)}`).toArray().filter((row) => Object.values(row).some((value) => typeof value === "string" && (value.includes(signalId) || value.includes(requestId))));
    if (rows.length === 0) continue;
    // A row id that counts by itself goes on counting.
    const kept = columns.map((column) => column.name).filter((column) => !(counts.length === 1 && counts[0] === column));
    const insert = `INSERT INTO ${named(name)} (${kept.map(named).join(", ")}) VALUES (${kept.map(() => "?").join(", ")})`;
    copied[name] = 0;
    for (let time = 0; time < times; time += 1) {
      const age = Math.floor(youngest + ((times - 1 - time) / times) * (days * DAY - youngest));
      const mark = written(time, 4);
      const other = (text) => [signalId, requestId].reduce((all, id) => all.replaceAll(id, aged(id, age, mark)), text).replaceAll(key, `${key}-${mark}`);
      for (const row of rows) {
        // What has expired would have been removed, unless all of it is to be.
        if (since === undefined && isTime(row.expires_at) && row.expires_at - age < Date.now() + DAY / 24) continue;
        sql.exec(insert, ...kept.map((column) => (typeof row[column] === "string" ? other(row[column]) : isTime(row[column]) ? row[column] - age : row[column])));
        copied[name] += 1;
      }
    }
  }
  return copied;
}

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A number in Crockford's base 32. */
function written(number, length) {
  let text = "";
  for (let rest = number; text.length < length; rest = Math.floor(rest / 32)) text = DIGITS[rest % 32] + text;
  return text;
}

/** An id of another time, which its first ten characters tell; the last ones are its number. */
function aged(id, age, mark) {
  const time = [...id.slice(0, 10)].reduce((sum, digit) => sum * 32 + DIGITS.indexOf(digit), 0);
  return written(time - age, 10) + id.slice(10, -mark.length) + mark;
}

/** The object as it ships, counted. */
const counted = (Real, name) =>
  class {
    #of;
    #state;
    #real;

    constructor(state, env) {
      this.#of = `${name} ${state.id.name}`;
      this.#state = state;
      tell({ is: "start", of: this.#of });
      count(this.#of, state);
      this.#real = new Real(state, env);
    }

    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/cost/history") {
        const asked = await request.json();
        const { storage } = this.#state;
        silent = true;
        try {
          return Response.json(storage.transactionSync(() => multiply(storage.sql, asked)));
        } finally {
          silent = false;
        }
      }
      // By now the instance has begun.
      if (pathname === "/cost/wake") return new Response("awake");
      if (pathname === "/cost/end") {
        tell({ is: "end", of: this.#of });
        this.#state.abort("ended for the next one to be counted");
      }
      if (pathname === "/cost/alarm") {
        // The time has moved: the alarm comes at the same moment of the new one.
        const at = Number(await request.text());
        silent = true;
        this.#state.storage.setAlarm(at);
        silent = false;
        return new Response("set");
      }
      later({ is: "request", of: this.#of, text: pathname });
      return this.#real.fetch(request);
    }

    alarm(...given) {
      later({ is: "alarm", of: this.#of });
      return this.#real.alarm(...given);
    }
  };

export const Ledger = counted(real.Ledger, "Ledger");
export const Control = counted(real.Control, "Control");

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/cost/wake") await this.env.CONTROL.getByName("control").fetch("http://object/cost/wake");
    if (["/cost/history", "/cost/alarm", "/cost/wake", "/cost/end"].includes(pathname)) return this.env.LEDGER.getByName(searchParams.get("ledger")).fetch(request);
    if (pathname === "/cost/cron") {
      await new real.default(this.ctx, this.env).scheduled({ scheduledTime: Date.now(), cron: "*/5 * * * *" });
      return new Response("swept");
    }
    if (pathname === "/cost/clock") {
      setAhead(Number(searchParams.get("ahead")));
      return new Response("moved");
    }
    return new real.default(this.ctx, this.env).fetch(request);
  }
}
