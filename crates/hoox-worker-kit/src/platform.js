// What every request asks of the platform, each in one crossing between WebAssembly and JavaScript. A crossing by
// itself is cheap; what costs is an object, a string or an awaited promise for each step of a call, and here a call is
// one step. Nothing is decided here. docs/BENCHMARKS.md has the figures.

/** Headers of every public answer. */
const PUBLIC = new Headers({
  "content-type": "application/json; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
});

/** Headers of a request or an answer by their names, one a line: `=` and the value, or an empty line for one that is missing. */
export function headers(message, names) {
  const lines = [];
  for (const name of names.split(" ")) {
    const value = message.headers.get(name);
    lines.push(value === null ? "" : `=${value}`);
  }
  return lines.join("\n");
}

/** Headers from names and values by turns, with NUL between them, which no header can hold. */
function pairs(text, set) {
  const parts = text.split("\0");
  for (let at = 0; at + 1 < parts.length; at += 2) set[parts[at]] = parts[at + 1];
  return set;
}

/** The bytes of a body, or undefined where they are more than `limit`. */
async function gather(body, limit) {
  const chunks = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * The body of a request or an answer, or undefined where it is larger than `limit`. The platform holds a body to its
 * declared length, which is the one before it is unpacked.
 */
async function bytes(message, limit) {
  const declared = Number.parseInt(message.headers.get("content-length"), 10);
  if (declared > limit) return undefined;
  if (!(declared <= limit) || message.headers.has("content-encoding")) return gather(message.body, limit);
  const all = new Uint8Array(await message.arrayBuffer());
  return all.length > limit ? undefined : all;
}

/** A request's body, or undefined where it is larger than `limit`. */
export const read = bytes;

/** A public answer. Headers that are copied whole cost less than those that are read from an object. */
export function respond(status, requestId, body) {
  const response = new Response(body, { status, headers: PUBLIC });
  response.headers.set("x-request-id", requestId);
  return response;
}

/** Posts a message to a service or an object and reads the answer as text; undefined where it takes longer. */
export async function call(callee, url, headers, body, withinMs) {
  const init = { method: "POST", headers: pairs(headers, { "content-type": "application/json" }), body };
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, withinMs);
  });
  const answer = callee.fetch(url, init).then((response) => response.text());
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Calls a venue: status, wanted headers, and the body's bytes or undefined where they are more than `limit`. A venue
 * does not redirect; keys do not follow one that does. What is thrown begins with the step that threw: what `make`
 * throws was never sent.
 */
export async function ask(url, method, sent, body, limit, withinMs, wanted) {
  let step = "make";
  const ending = new AbortController();
  // AbortSignal.timeout would stay until its time is over, and an object has a bounded number of timers.
  const timer = setTimeout(() => ending.abort(new Error(`no answer within ${withinMs} ms`)), withinMs);
  try {
    const request = new Request(url, { method, headers: pairs(sent, {}), body, redirect: "manual", signal: ending.signal });
    step = "send";
    const response = await fetch(request);
    step = "read";
    return [response.status, headers(response, wanted), await bytes(response, limit)];
  } catch (error) {
    throw `${step}: ${error}`;
  } finally {
    clearTimeout(timer);
  }
}

/** Counts one more under a key; whether it is over the limit. */
export async function spent(limiter, key) {
  return !(await limiter.limit({ key })).success;
}

/** A timer that can be stopped: a run that goes on early leaves none behind. */
export function start(ms) {
  const timer = {};
  timer.over = new Promise((resolve) => {
    timer.id = setTimeout(resolve, ms);
  });
  return timer;
}

export const over = (timer) => timer.over;

export const stop = (timer) => clearTimeout(timer.id);

/** The rows that this instance of an object has written. An isolate may hold several objects. */
const rowsOf = new WeakMap();

export const rowsWritten = (sql) => rowsOf.get(sql) ?? 0;

/** Runs a statement with parameters as a JSON list; the rows come back as a JSON list of lists, undefined without any. */
export function query(sql, statement, parameters) {
  const cursor = sql.exec(statement, ...JSON.parse(parameters));
  const rows = cursor.raw().toArray();
  if (cursor.rowsWritten > 0) rowsOf.set(sql, rowsWritten(sql) + cursor.rowsWritten);
  return rows.length === 0 ? undefined : JSON.stringify(rows);
}

/** Sets the alarm; the output gate waits for the write by itself. */
export function alarm(storage, at) {
  storage.setAlarm(at).catch((error) => console.error(`the alarm was not set: ${error}`));
}
