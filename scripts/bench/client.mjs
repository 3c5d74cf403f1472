// The load: keep-alive connections, each with one request on its way at any time. One file of raw sockets, because
// Node's own HTTP client costs more per request than the workers it would measure.
import net from "node:net";
import { LOOPBACK } from "../lib/net.mjs";

const HEAD_END = Buffer.from("\r\n\r\n");
const CHUNKS_END = Buffer.from("0\r\n\r\n");
const EMPTY = Buffer.alloc(0);

/** A request as text; the body must be ASCII. */
export const post = (body, headers = "") =>
  `POST /webhook HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;

/** Where the first answer in the bytes ends and what its status is; undefined while it is not complete. */
function answerIn(bytes) {
  const head = bytes.indexOf(HEAD_END);
  if (head < 0) return undefined;
  const fields = bytes.latin1Slice(0, head);
  const status = Number(fields.slice(9, 12));
  const length = /content-length: *(\d+)/i.exec(fields);
  if (length !== null) {
    const end = head + 4 + Number(length[1]);
    return bytes.length >= end ? { status, end, from: head + 4 } : undefined;
  }
  const end = bytes.indexOf(CHUNKS_END, head + 2);
  return end < 0 ? undefined : { status, end: end + CHUNKS_END.length, from: head + 4 };
}

/** One connection. `next` makes requests, or promises them, until it gives none; `done` hears of every answer. */
export class Connection {
  #socket;
  #next;
  #done;
  #sent = 0;
  #rest = EMPTY;
  #fail;
  ended;

  constructor(port, next, done) {
    this.#next = next;
    this.#done = done;
    this.#socket = net.connect({ port, host: LOOPBACK, noDelay: true });
    this.ended = new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#socket.once("error", reject);
      this.#socket.once("close", () => (this.#next === undefined ? resolve() : reject(new Error("the connection was closed in the middle of the load"))));
    });
    this.ended.catch(() => {});
    this.#socket.once("connect", () => this.#go());
    this.#socket.on("data", (chunk) => this.#take(chunk));
  }

  #go() {
    const request = this.#next();
    if (!(request instanceof Promise)) return this.#send(request);
    request.then(
      (made) => this.#send(made),
      (error) => {
        this.#fail(error);
        this.#socket.destroy();
      },
    );
  }

  #send(request) {
    if (request === undefined) {
      this.#next = undefined;
      this.#socket.destroy();
      return;
    }
    this.#sent = performance.now();
    this.#socket.write(request, "latin1");
  }

  #take(chunk) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const found = answerIn(bytes);
    if (found === undefined) {
      this.#rest = bytes;
      return;
    }
    this.#rest = EMPTY;
    this.#done(found.status, performance.now() - this.#sent, bytes, found);
    this.#go();
  }
}

/**
 * Loads a port from `connections` connections for `warmMs` that do not count and `forMs` that do. Answers requests in
 * all, requests per second, latencies in milliseconds, and what was not answered with `status`. `nexts` are the
 * connections' own makers of requests, where they are not all alike.
 */
export async function load(port, { connections, request, nexts, status, warmMs, forMs }) {
  const begun = performance.now();
  const [from, until] = [begun + warmMs, begun + warmMs + forMs];
  const latencies = [];
  let [requests, wrong, lastCounted] = [0, 0, from];
  let sample;
  const next = () => (performance.now() < until ? request() : undefined);
  const done = (got, took, bytes, { from: body, end }) => {
    const at = performance.now();
    requests += 1;
    if (got !== status) {
      wrong += 1;
      sample ??= `${got} ${bytes.latin1Slice(body, end)}`;
    }
    if (at >= from && at <= until) {
      latencies.push(took);
      lastCounted = at;
    }
  };
  const usage = process.cpuUsage();
  const open = Array.from({ length: connections }, (_, place) => new Connection(port, nexts?.[place] ?? next, done));
  await Promise.all(open.map(({ ended }) => ended));
  const { user, system } = process.cpuUsage(usage);
  const client = (user + system) / 1000 / (performance.now() - begun);
  latencies.sort((one, other) => one - other);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? NaN;
  return { requests, wrong, sample, perSecond: (latencies.length / Math.max(lastCounted - from, 1)) * 1000, p50: at(0.5), p99: at(0.99), client };
}

/** One request on a connection of its own: status, body, and when the answer was complete. */
export async function once(port, request) {
  let answer;
  let asked = false;
  const connection = new Connection(
    port,
    () => (asked ? undefined : ((asked = true), request)),
    (status, took, bytes, { from, end }) => (answer = { status, body: bytes.latin1Slice(from, end), at: performance.now() }),
  );
  await connection.ended;
  return answer;
}
