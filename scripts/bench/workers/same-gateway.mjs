// (b), the gateway: what Hoox's gateway does for an alert, as plain JavaScript. Same checks in the same order, the
// configuration cached as long, the same hop over a service binding with a key and a deadline, the same log line.
import { answer, id, sha256Hex, sha256, unhex } from "./same-shared.mjs";

const MAX_BODY = 64 * 1024;
const FORWARD_MS = 2_200;
const FRESH_MS = 30_000;
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

let cached;

async function manifest(env, now) {
  if (cached !== undefined && now - cached.readAt < FRESH_MS) return cached.manifest;
  const text = await env.CONFIG_KV.get("hoox:manifest", { cacheTtl: 30 });
  const read = JSON.parse(text);
  for (const sender of read.senders) {
    sender.ranges = sender.ranges.map(range);
    for (const key of sender.keys) Object.assign(key, { salt: unhex(key.salt), hash: unhex(key.hash) });
  }
  cached = { readAt: now, manifest: read };
  return read;
}

function range(text) {
  const [address, bits] = text.split("/");
  return { base: number(address), mask: bits === "0" ? 0 : -1 << (32 - Number(bits)) };
}

const number = (address) => address.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0);
const contains = ({ base, mask }, address) => (address & mask) === (base & mask);

class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

const forbidden = () => new Refusal(403, "FORBIDDEN", "forbidden");

async function authenticate(senders, passkey) {
  if (typeof passkey !== "string") return undefined;
  let found;
  for (const sender of senders) {
    for (const { salt, hash } of sender.keys) {
      const bytes = new TextEncoder().encode(passkey);
      const salted = new Uint8Array(salt.length + bytes.length);
      salted.set(salt);
      salted.set(bytes, salt.length);
      if (crypto.subtle.timingSafeEqual(await sha256(salted), hash)) found ??= sender;
    }
  }
  return found;
}

/** The checks of `hoox_gateway::decide`, and the message to the account's Ledger. */
async function decide(known, { requestId, now, address, body, idempotencyKey, prefer }) {
  const from = address === null ? undefined : number(address);
  if (from === undefined || !known.senders.some(({ ranges }) => ranges.some((each) => contains(each, from)))) throw forbidden();
  let alert;
  try {
    alert = JSON.parse(body);
  } catch {
    throw new Refusal(400, "BAD_JSON", "the body is no JSON");
  }
  const { apiKey, ...fields } = alert;
  const sender = await authenticate(known.senders, apiKey);
  if (sender === undefined) throw forbidden();
  if (!sender.ranges.some((each) => contains(each, from)) || sender.permission !== "trade") throw new Refusal(403, "NOT_PERMITTED", "not permitted");
  const account = known.accounts.find(({ name, venue }) => sender.accounts.includes(name) && (fields.exchange === undefined || fields.exchange === venue));
  if (account === undefined) throw new Refusal(403, "NOT_PERMITTED", "no such account");
  const signal = read(fields, idempotencyKey, now);
  const journal = JSON.stringify(fields);
  const contentHash = await sha256Hex(journal);
  const lasting = signal.idempotencyKey !== undefined || signal.timestamp !== undefined;
  return {
    requestId, sender: sender.id, entryRate: sender.entryRate, manifestVersion: known.version, account, past: [], signal,
    identity: { key: signal.idempotencyKey === undefined ? `h:${contentHash}` : `k:${signal.idempotencyKey}`, contentHash, windowMs: lasting ? WEEK_MS : 45_000 },
    body: journal, receivedAt: now, waitMs: prefer?.startsWith("wait=") ? Number(prefer.slice(5)) * 1000 : 0,
  };
}

function read(fields, header, now) {
  const symbol = /^(?:(\w+):)?([A-Z0-9]{2,20})(?:\.P)?$/.exec(String(fields.symbol).trim().toUpperCase())?.[2];
  if (symbol === undefined) throw new Refusal(400, "UNKNOWN_SYMBOL", "not a symbol");
  if (!["LONG", "SHORT", "CLOSE_LONG", "CLOSE_SHORT", "BUY", "SELL"].includes(String(fields.action).toUpperCase())) throw new Refusal(400, "BAD_FIELD", "not an action");
  const quantity = String(fields.quantity);
  if (!/^\d+(\.\d+)?$/.test(quantity) || !/[1-9]/.test(quantity)) throw new Refusal(400, "BAD_FIELD", "not a quantity");
  for (const [name, value] of Object.entries(fields)) if (typeof value === "string" && value.includes("{{")) throw new Refusal(400, "PLACEHOLDER", name);
  const timestamp = fields.timestamp === undefined ? undefined : Number(fields.timestamp);
  if (timestamp !== undefined && (Number.isNaN(timestamp) || now - timestamp > 60_000 || timestamp - now > 60_000)) throw new Refusal(400, "STALE", "stale");
  return {
    action: String(fields.action).toUpperCase(), exchange: fields.exchange, symbol: { symbol }, quantity: { base: quantity }, onOpposite: "reverse",
    order: { type: "market" }, test: fields.test === true, dryRun: fields.dryRun === true, timestamp, maxLagMs: 60_000, orderId: fields.orderId,
    strategy: fields.strategy, idempotencyKey: header ?? fields.idempotencyKey,
  };
}

async function forward(env, message) {
  const call = env.TRADE_WORKER.fetch("https://hoox.internal/accept", {
    method: "POST",
    headers: {
      "content-type": "application/json", "x-hoox-edge-key": env.HOOX_TRADE_KEY, "x-request-id": message.requestId,
      "x-hoox-ledger": `${message.account.id}/${message.account.environment}/${message.account.generation ?? 1}`, "x-hoox-location": "",
    },
    body: JSON.stringify(message),
  }).then((response) => response.json());
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, FORWARD_MS)));
  const reply = await Promise.race([call, late]);
  clearTimeout(timer);
  if (reply === undefined) throw new Refusal(503, "NOT_CONFIRMED", "no internal answer came in time");
  if (reply.Err !== undefined) throw Object.assign(new Refusal(reply.Err.status, reply.Err.code, reply.Err.message), { signal: reply.Err.signal });
  return reply.Ok.signal;
}

async function serve(request, env, requestId, now) {
  const headers = request.headers;
  if (Number(headers.get("content-length") ?? 0) > MAX_BODY) throw new Refusal(413, "TOO_LARGE", "too large");
  const body = await request.text();
  const known = await manifest(env, now);
  const message = await decide(known, {
    requestId, now, body, address: headers.get("cf-connecting-ip"), idempotencyKey: headers.get("idempotency-key") ?? undefined, prefer: headers.get("prefer"),
  });
  return forward(env, message);
}

export default {
  async fetch(request, env) {
    const [now, { pathname }] = [Date.now(), new URL(request.url)];
    const requestId = id(now);
    let [status, body, code] = [202, undefined, undefined];
    try {
      if (pathname !== "/" && pathname !== "/webhook") throw new Refusal(404, "NOT_FOUND", "there is nothing at this path");
      body = { success: true, requestId, ...(await serve(request, env, requestId, now)) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      ({ status, code } = error);
      body = { success: false, error: error.message, code, requestId, ...error.signal };
    }
    const response = answer(status, requestId, body);
    console.log(JSON.stringify({ time: new Date(now), worker: "same", requestId, method: request.method, endpoint: "Webhook", status, millis: Date.now() - now, code }));
    return response;
  },
};
