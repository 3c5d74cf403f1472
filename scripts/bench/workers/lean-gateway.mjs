// (e), the gateway: the checks of Hoox's gateway in their order, the manifest kept as long, one call over a service
// binding with a key and a deadline, the same headers, request id and log line. What it does not carry out it refuses
// by name.
import { Refusal, answer, bytesOf, id, sha256 } from "./lean-shared.mjs";

const MAX_BODY = 64 * 1024;
const FORWARD_MS = 2_200;
const FRESH_MS = 30_000;
const SHORT_MS = 45_000;
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;
const FUTURE_MS = 60_000;
const ENTRY_LAG_MS = 60_000;
const EXIT_LAG_MS = 600_000;
const ACTIONS = { LONG: true, SHORT: true, BUY: true, SELL: true, CLOSE_LONG: false, CLOSE_SHORT: false, CLOSE: false };
const KNOWN = new Set(["exchange", "account", "symbol", "action", "quantity", "timestamp", "maxLag", "idempotencyKey", "strategy", "orderId", "comment"]);
/** Fields of the contract that change an order and that this worker does not carry out. */
const REFUSED = new Set([
  "reduceOnly", "quantityType", "onOpposite", "market", "marketPosition", "marketPositionSize", "prevMarketPosition", "prevMarketPositionSize",
  "orderType", "price", "timeInForce", "postOnly", "stopLoss", "stopLossPrice", "stopLossPercent", "takeProfit", "takeProfitPrice", "takeProfitPercent",
  "trailingStop", "leverage", "marginMode", "test", "dryRun", "notify",
]);

let cached;

/** A manifest that is broken at read is not used: the last good one stays. */
async function manifest(env, now) {
  if (cached !== undefined && now - cached.readAt < FRESH_MS) return cached.manifest;
  try {
    const read = JSON.parse(await env.CONFIG_KV.get("hoox:manifest", { cacheTtl: 30 }));
    for (const sender of read.senders) {
      sender.ranges = sender.ranges.map(range);
      for (const key of sender.keys) {
        Object.assign(key, { salt: Uint8Array.fromHex(key.salt), hash: Uint8Array.fromHex(key.hash), from: Date.parse(key.notBefore ?? 0), until: Date.parse(key.expires ?? "9999-01-01") });
      }
    }
    read.ids = read.senders.map((sender) => sender.id);
    cached = { readAt: now, manifest: read };
  } catch (error) {
    console.error(`the manifest is not readable: ${error}`);
    if (cached === undefined) throw new Refusal(503, "NOT_CONFIGURED", "there is no manifest yet");
  }
  return cached.manifest;
}

function range(text) {
  const [address, bits] = text.split("/");
  return { base: number(address), mask: bits === "0" ? 0 : -1 << (32 - Number(bits)) };
}

const number = (address) => address.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0);
const contains = ({ base, mask }, address) => (address & mask) === (base & mask);
const allows = (sender, address) => sender.ranges.some((each) => contains(each, address));
const forbidden = () => new Refusal(403, "FORBIDDEN", "forbidden");

/** What is refused before the body is read. */
function admit(known, headers) {
  if (Number(headers.get("content-length") ?? 0) > MAX_BODY) throw new Refusal(413, "TOO_LARGE", "the body is larger than 64 KiB; send less");
  const text = headers.get("cf-connecting-ip");
  const address = text === null ? undefined : number(text);
  if (address === undefined || !known.senders.some((sender) => allows(sender, address))) throw forbidden();
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") throw new Refusal(400, "BAD_JSON", "the body is compressed; send it as it is");
  return address;
}

/** Every key is compared, whichever fits. */
async function authenticate(senders, passkey, now) {
  if (typeof passkey !== "string") return undefined;
  let found;
  const bytes = bytesOf(passkey);
  for (const sender of senders) {
    for (const { salt, hash, from, until } of sender.keys) {
      const salted = new Uint8Array(salt.length + bytes.length);
      salted.set(salt);
      salted.set(bytes, salt.length);
      if (crypto.subtle.timingSafeEqual(await sha256(salted), hash) && from <= now && now < until) found ??= sender;
    }
  }
  return found;
}

/** Numbers stay the text that they are in the alert. */
const exact = (name, value, { source }) => (typeof value === "number" ? source : value);

async function decide(known, { requestId, now, address, body, idempotencyKey }) {
  let alert;
  try {
    alert = JSON.parse(body, exact);
  } catch {
    throw new Refusal(400, "BAD_JSON", "the body is no JSON");
  }
  const { apiKey, ...fields } = alert;
  const sender = await authenticate(known.senders, apiKey, now);
  if (sender === undefined) throw forbidden();
  if (!allows(sender, address) || sender.permission !== "trade") throw new Refusal(403, "NOT_PERMITTED", "this sender may not do that from this address");
  const wanted = fields.account ?? sender.defaultAccount;
  const account = known.accounts.find(({ name, venue }) => name === wanted && sender.accounts.includes(name) && (fields.exchange === undefined || String(fields.exchange).toLowerCase() === venue));
  if (account === undefined) throw new Refusal(403, "NOT_PERMITTED", "this sender has no such account");
  const signal = read(fields, idempotencyKey, now);
  const journal = JSON.stringify(fields);
  const contentHash = (await sha256(bytesOf(journal))).toHex();
  const lasting = signal.idempotencyKey !== undefined || signal.timestamp !== undefined;
  return {
    requestId, sender: sender.id, senders: known.ids, entryRate: sender.entryRate, manifestVersion: known.version, account, signal,
    identity: { key: signal.idempotencyKey === undefined ? `h:${contentHash}` : `k:${signal.idempotencyKey}`, contentHash, windowMs: lasting ? WEEK_MS : SHORT_MS },
    body: journal, receivedAt: now,
  };
}

const bad = (field, text) => new Refusal(400, "BAD_FIELD", `${field} ${text}`);

function read(fields, header, now) {
  const notes = [];
  for (const name in fields) {
    if (REFUSED.has(name)) throw bad(name, "is not carried out by this worker");
    if (!KNOWN.has(name)) notes.push(`${name} is not known and had no effect`);
    if (typeof fields[name] === "string" && fields[name].includes("{{")) throw new Refusal(400, "PLACEHOLDER", `${name} holds a placeholder that was not filled in`);
  }
  const symbol = /^(?:\w+:)?([A-Z0-9]{2,20})(?:\.P)?$/.exec(String(fields.symbol).trim().toUpperCase())?.[1];
  if (symbol === undefined) throw new Refusal(400, "UNKNOWN_SYMBOL", "symbol is not one");
  const action = String(fields.action).toUpperCase();
  const entry = ACTIONS[action];
  if (entry === undefined) throw bad("action", "is not one");
  const quantity = fields.quantity === undefined ? undefined : String(fields.quantity);
  if (quantity === undefined ? entry : !/^\d{1,20}(\.\d{1,18})?$/.test(quantity) || !/[1-9]/.test(quantity)) throw bad("quantity", "must be a number above zero");
  const timestamp = fields.timestamp === undefined ? undefined : moment(String(fields.timestamp));
  if (Number.isNaN(timestamp)) throw bad("timestamp", "is no time");
  if (timestamp - now > FUTURE_MS) throw bad("timestamp", "lies in the future");
  const maxLagMs = fields.maxLag === undefined ? (entry ? ENTRY_LAG_MS : EXIT_LAG_MS) : Number(fields.maxLag) * 1000;
  if (!(maxLagMs > 0 && maxLagMs <= (entry ? ENTRY_LAG_MS : EXIT_LAG_MS))) throw bad("maxLag", "must be seconds above zero, for an entry 60 at most");
  const deadline = Math.min(timestamp ?? now, now) + maxLagMs;
  if (now > deadline) throw new Refusal(400, "STALE", "the alert is older than its maxLag");
  return { action, entry, symbol, quantity, timestamp, deadline, strategy: fields.strategy, orderId: fields.orderId, idempotencyKey: header ?? fields.idempotencyKey, notes };
}

/** Epoch seconds or milliseconds, or a written time. */
function moment(text) {
  if (!/^\d+$/.test(text)) return Date.parse(text);
  return text.length <= 10 ? Number(text) * 1000 : Number(text);
}

async function forward(env, message) {
  const { account } = message;
  const call = env.TRADE_WORKER.fetch("https://hoox.internal/accept", {
    method: "POST",
    headers: {
      "content-type": "application/json", "x-hoox-edge-key": env.HOOX_TRADE_KEY, "x-request-id": message.requestId,
      "x-hoox-ledger": `${account.id}/${account.environment}/${account.generation ?? 1}`,
    },
    body: JSON.stringify(message),
  }).then((response) => response.json());
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, FORWARD_MS)));
  const reply = await Promise.race([call, late]).finally(() => clearTimeout(timer));
  if (reply === undefined) throw new Refusal(503, "NOT_CONFIRMED", "no internal answer came in time; send it again");
  if (reply.Err !== undefined) throw new Refusal(reply.Err.status, reply.Err.code, reply.Err.message, reply.Err.signal);
  return reply.Ok.signal;
}

async function serve(request, env, requestId, now) {
  const { headers } = request;
  const known = await manifest(env, now);
  const address = admit(known, headers);
  const body = await request.text();
  if (body.length > MAX_BODY) throw new Refusal(413, "TOO_LARGE", "the body is larger than 64 KiB; send less");
  const inbound = { requestId, now, address, body, idempotencyKey: headers.get("idempotency-key") ?? undefined };
  try {
    return await forward(env, await decide(known, inbound));
  } catch (error) {
    if (error.code !== "CONFLICT") throw error;
    // The object knows a newer manifest: read it, and decide once more.
    cached = undefined;
    const newer = await manifest(env, now);
    return forward(env, await decide(newer, { ...inbound, address: admit(newer, headers) }));
  }
}

export default {
  async fetch(request, env) {
    const [now, { pathname }] = [Date.now(), new URL(request.url)];
    const requestId = id(now);
    let [status, body, code] = [202, undefined, undefined];
    try {
      if (pathname !== "/" && pathname !== "/webhook") throw new Refusal(404, "NOT_FOUND", "there is nothing at this path");
      if (request.method !== "POST") throw new Refusal(405, "METHOD_NOT_ALLOWED", "this path takes POST only");
      body = { success: true, requestId, ...(await serve(request, env, requestId, now)) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      ({ status, code } = error);
      body = { success: false, error: error.message, code, requestId, ...error.signal };
    }
    const response = answer(status, requestId, body);
    console.log(JSON.stringify({ time: new Date(now), worker: "lean", requestId, method: request.method, endpoint: "Webhook", status, millis: Date.now() - now, code }));
    return response;
  },
};
