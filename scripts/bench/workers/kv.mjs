// KV for the benchmark: the one key that gateways read, over the protocol a KV binding speaks. Writes are taken and
// forgotten; nothing measured writes.
export default {
  fetch(request, env) {
    if (request.method !== "GET") return new Response(null, { status: 204 });
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    return key === "hoox:manifest" ? new Response(env.MANIFEST) : new Response(null, { status: 404 });
  },
};
