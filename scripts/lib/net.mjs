// Loopback ports and small HTTP calls.
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";

export const LOOPBACK = "127.0.0.1";

/** Resolves to the port if it can be listened on now (0: any free one), else to undefined. */
export function freePort(port = 0) {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once("error", (error) => (error.code === "EADDRINUSE" || error.code === "EACCES" ? resolve(undefined) : reject(error)));
    probe.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      const taken = probe.address().port;
      probe.close(() => resolve(taken));
    });
  });
}

/** Status and JSON body (undefined when it is not JSON). */
export async function call(url, { method = "GET", bearer, body, timeoutMs = 10_000 } = {}) {
  const headers = { connection: "close" };
  if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(timeoutMs) });
  const text = await answer.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // Not JSON: the status speaks.
  }
  return { status: answer.status, json, text };
}

/** Asks until `good` says yes; undefined when the time is over or `stopped` says so. A refused connection is a "not yet". */
export async function poll(url, { good, stopped, timeoutMs }) {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline && !stopped()) {
    const answer = await call(url, { timeoutMs: 5_000 }).catch(() => undefined);
    if (answer !== undefined && good(answer)) return answer;
    await pause(50);
  }
  return undefined;
}
