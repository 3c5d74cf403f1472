// Calls of a sandbox stay on this machine, also where Node is told to take proxies from the environment.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import http from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { LOOPBACK, call } from "./net.mjs";
import { nodeForWrangler } from "./tools.mjs";

/** A server that answers each request by `answer`, and notes them all. */
async function server(answer) {
  const asked = [];
  const running = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      asked.push({ method: request.method, url: request.url, authorization: request.headers.authorization, body: Buffer.concat(chunks).toString() });
      answer(response);
    });
  });
  await new Promise((resolve) => running.listen(0, LOOPBACK, resolve));
  // A test that fails stops nothing, and ends all the same.
  running.unref();
  return { asked, url: `http://${LOOPBACK}:${running.address().port}`, stop: () => new Promise((resolve) => running.close(resolve)) };
}

test("a call has the key, the body and the answer", async () => {
  const gateway = await server((response) => response.writeHead(409).end('{"code":"DUPLICATE"}'));
  const answer = await call(`${gateway.url}/v1/manifest`, { method: "PUT", bearer: "key", body: { version: 1 } });
  assert.deepEqual(answer, { status: 409, json: { code: "DUPLICATE" }, text: '{"code":"DUPLICATE"}' });
  assert.deepEqual(gateway.asked, [{ method: "PUT", url: "/v1/manifest", authorization: "Bearer key", body: '{"version":1}' }]);
  await gateway.stop();
  await assert.rejects(call(gateway.url), { code: "ECONNREFUSED" });
});

test("no proxy of the environment gets it", async () => {
  const gateway = await server((response) => response.end("here"));
  const proxy = await server((response) => response.writeHead(502).end("the proxy"));
  const script = `import(${JSON.stringify(fileURLToPath(new URL("net.mjs", import.meta.url)))}).then(({ call }) => call("${gateway.url}", { bearer: "key" })).then(({ text }) => console.log(text))`;
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
  const env = { ...process.env, NODE_USE_ENV_PROXY: "1", NO_PROXY: "example.com", no_proxy: "example.com" };
  for (const name of names) env[name] = proxy.url;
  const { stdout } = await promisify(execFile)(nodeForWrangler(), ["-e", script], { env });
  assert.equal(stdout, "here\n");
  assert.equal(gateway.asked.length, 1);
  assert.deepEqual(proxy.asked, []);
  await Promise.all([gateway, proxy].map((each) => each.stop()));
});
