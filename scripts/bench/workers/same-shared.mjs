// What both workers of (b) use.
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

/** A public answer with the security headers. */
export function answer(status, requestId, body) {
  const response = new Response(JSON.stringify(body), { status, headers: HEADERS });
  response.headers.set("x-request-id", requestId);
  return response;
}

/** An id of 26 characters: time and 80 random bits, as Hoox makes them. */
export function id(now) {
  let text = "";
  for (let left = now, place = 0; place < 10; place += 1, left = Math.floor(left / 32)) text = ALPHABET[left % 32] + text;
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) text += ALPHABET[byte & 31];
  return text;
}

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

export const hex = (bytes) => bytes.toHex();

export const unhex = (text) => Uint8Array.fromHex(text);

export const sha256Hex = async (text) => hex(await sha256(new TextEncoder().encode(text)));
