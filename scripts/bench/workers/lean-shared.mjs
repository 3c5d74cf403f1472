// What both workers of (e) use. It shares no file with Hoox, its headers neither: what it is measured by stays as it is.
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const HEADERS = new Headers({
  "content-type": "application/json; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
});

/** A refusal with the contract's code; `signal` is what it shows of a known signal. */
export class Refusal extends Error {
  constructor(status, code, message, signal) {
    super(message);
    Object.assign(this, { status, code, signal });
  }
}

/** A public answer with the security headers. */
export function answer(status, requestId, body) {
  const response = new Response(JSON.stringify(body), { status, headers: HEADERS });
  response.headers.set("x-request-id", requestId);
  return response;
}

/** An id of 26 characters: time and 80 random bits. */
export function id(now) {
  let text = "";
  for (let left = now, place = 0; place < 10; place += 1, left = Math.floor(left / 32)) text = ALPHABET[left % 32] + text;
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) text += ALPHABET[byte & 31];
  return text;
}

const TEXT = new TextEncoder();

export const bytesOf = (text) => TEXT.encode(text);

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/** Compares in constant time. */
export function same(presented, known) {
  const [one, other] = [bytesOf(presented ?? ""), bytesOf(known)];
  return one.length === other.length && crypto.subtle.timingSafeEqual(one, other);
}

// Decimals: digits as an integer, and how many of them stand behind the point. No binary floating point.

export function decimal(text) {
  const [, sign, whole, part = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  return whole === undefined ? undefined : { digits: BigInt(`${sign}${whole}${part}`), scale: part.length };
}

const scaled = ({ digits, scale }, to) => digits * 10n ** BigInt(to - scale);

/** Both at one scale, and that scale. */
function aligned(one, other) {
  const scale = Math.max(one.scale, other.scale);
  return [scaled(one, scale), scaled(other, scale), scale];
}

/** Less than, equal to or greater than zero, as one is to the other. */
export function compare(one, other) {
  const [a, b] = aligned(one, other);
  return a < b ? -1 : a > b ? 1 : 0;
}

export const lesser = (one, other) => (compare(one, other) < 0 ? one : other);

/** The largest multiple of `step` that is not above a positive amount. */
export function floorTo(amount, step) {
  const [digits, by, scale] = aligned(amount, step);
  return { digits: digits - (digits % by), scale };
}

/** As a venue wants it: no exponent, no zeros at the end. */
export function written({ digits, scale }) {
  const text = digits.toString().padStart(scale + 1, "0");
  return scale === 0 ? text : `${text.slice(0, -scale)}.${text.slice(-scale)}`.replace(/\.?0+$/, "");
}
