// Loopback ports and small HTTP calls.
import http from "node:http";
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

/** Without proxies, which Node's own `fetch` and its usual agents take up where NODE_USE_ENV_PROXY is set. */
const direct = new http.Agent({ keepAlive: false });

/** Calls an address on this machine: status and JSON body (undefined when it is not JSON). */
export async function call(url, { method = "GET", bearer, body, timeoutMs = 10_000 } = {}) {
  const headers = {};
  if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const { status, text } = await new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: direct, signal: AbortSignal.timeout(timeoutMs) }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk)).on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, text: Buffer.concat(chunks).toString("utf8") }));
    });
    request.on("error", reject);
    request.end(body && JSON.stringify(body));
  });
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // Not JSON: the status speaks.
  }
  return { status, json, text };
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
