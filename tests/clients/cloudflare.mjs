// Cloudflare's own clients, its SDK and wrangler, against the double of its API: what they can do with it is evidence.
//
//   cargo build -p hoox-cloud-sim && node --test tests/clients/cloudflare.mjs
//
// The program is taken from HOOX_CLOUD_SIM_BIN, else from target/debug.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import Cloudflare from 'cloudflare';

const BIN = process.env.HOOX_CLOUD_SIM_BIN
    ?? fileURLToPath(new URL('../../target/debug/hoox-cloud-sim', import.meta.url));
const TOKEN = 'test-token-0000000000000000000000000000';
const EXPIRED = 'test-token-1111111111111111111111111111';
const ACCOUNT = 'a'.repeat(32);
const ZONE = 'b'.repeat(32);
const NAMESPACE = 'c'.repeat(32);
const DATABASE = 'dddddddd-dddd-4ddd-8ddd-dddddddddddd';
const PHASE = 'http_request_firewall_custom';

const SEED = {
    tokens: [
        { token: TOKEN, id: '1'.repeat(32) },
        { token: EXPIRED, id: '2'.repeat(32), status: 'expired', expires_on: '2026-01-01T00:00:00Z' },
    ],
    accounts: [{
        id: ACCOUNT,
        name: 'Test',
        subdomain: 'test',
        scripts: { 'trade-worker': { secrets: { PRESENT: 'old' } } },
        namespaces: [{ id: NAMESPACE, title: 'CONFIG_KV' }],
        databases: [{ uuid: DATABASE, name: 'hoox' }],
    }],
    zones: [
        { id: ZONE, name: 'zone-00.example', account: ACCOUNT },
        ...Array.from({ length: 11 }, (_, index) => ({
            id: String(index + 1).padStart(32, '0'),
            name: `zone-${String(index + 1).padStart(2, '0')}.example`,
            account: ACCOUNT,
        })),
    ],
};

let cloud;
let url;
let client;

async function control(method, path, body) {
    const response = await fetch(`${url}/__control${path}`, { method, body: body && JSON.stringify(body) });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.status === 204 ? undefined : response.json();
}

const account = async () => (await control('GET', '/state')).accounts[0];
const sdk = (apiToken = TOKEN, options = {}) => new Cloudflare({ apiToken, baseURL: `${url}/client/v4`, ...options });

/** What the API answered instead of a result. */
async function refusal(promise) {
    const error = await promise.then(() => assert.fail('it was not refused'), (reason) => reason);
    assert.ok(error instanceof Cloudflare.APIError, String(error));
    return error;
}

async function collect(list) {
    const all = [];
    for await (const item of list) all.push(item);
    return all;
}

before(async () => {
    cloud = spawn(BIN, ['--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: cloud.stdout });
    const line = await Promise.race([
        once(lines, 'line').then(([first]) => first),
        once(cloud, 'exit').then(([code]) => assert.fail(`the double ended with ${code}`)),
    ]);
    [, url] = line.match(/^hoox-cloud-sim listening on (http:\/\/127\.0\.0\.1:\d+)$/) ?? assert.fail(line);
    client = sdk();
});

beforeEach(() => control('PUT', '/state', SEED));

after(async () => {
    if (cloud.exitCode !== null) return;
    const ended = once(cloud, 'exit');
    process.kill(cloud.pid, 'SIGTERM');
    const [code] = await ended;
    assert.equal(code, 0);
});

test('SDK: a token is verified, and an expired one says so', async () => {
    const active = await client.user.tokens.verify();
    assert.deepEqual([active.id, active.status], ['1'.repeat(32), 'active']);
    assert.equal((await sdk(EXPIRED).user.tokens.verify()).status, 'expired');
    const error = await refusal(sdk('unknown-token').user.tokens.verify());
    assert.deepEqual([error.status, error.errors[0].code], [401, 1000]);
});

test('SDK: an expired token does nothing', async () => {
    const put = sdk(EXPIRED).workers.scripts.secrets.update('trade-worker', {
        account_id: ACCOUNT, name: 'NEW', text: 'value', type: 'secret_text',
    });
    const error = await refusal(put);
    assert.deepEqual([error.status, error.errors[0].code], [401, 10000]);
    assert.deepEqual((await account()).scripts['trade-worker'].secrets, { PRESENT: 'old' });
});

test('SDK: zones come over several pages, or by name', async () => {
    const all = await collect(client.zones.list({ per_page: 5 }));
    assert.deepEqual(all.map(({ name }) => name), SEED.zones.map(({ name }) => name));
    const calls = await control('GET', '/calls');
    assert.equal(calls.length, 4, 'three pages and the empty one after them');
    const [one, ...others] = await collect(client.zones.list({ name: 'zone-07.example' }));
    assert.deepEqual([one.name, one.account.id, others.length], ['zone-07.example', ACCOUNT, 0]);
});

test('SDK: secrets are put, listed and deleted, and their values stay in', async () => {
    const secrets = client.workers.scripts.secrets;
    const put = await secrets.update('trade-worker', { account_id: ACCOUNT, name: 'NEW', text: 'value', type: 'secret_text' });
    assert.deepEqual(put, { name: 'NEW', type: 'secret_text' });
    const listed = await collect(secrets.list('trade-worker', { account_id: ACCOUNT }));
    assert.deepEqual(listed, [{ name: 'NEW', type: 'secret_text' }, { name: 'PRESENT', type: 'secret_text' }]);
    await secrets.delete('PRESENT', { account_id: ACCOUNT, script_name: 'trade-worker' });
    assert.deepEqual((await account()).scripts['trade-worker'].secrets, { NEW: 'value' });
    const error = await refusal(secrets.list('no-such-worker', { account_id: ACCOUNT }));
    assert.deepEqual([error.status, error.errors[0].code], [404, 10007]);
});

test('SDK: KV values with metadata, lists with a cursor', async () => {
    const { values, keys, metadata } = client.kv.namespaces;
    const place = { account_id: ACCOUNT, namespace_id: NAMESPACE };
    for (let index = 0; index < 23; index += 1) {
        const key = `hoox:key/${String(index).padStart(2, '0')}`;
        await values.update(key, { ...place, value: `value ${index}`, metadata: JSON.stringify({ index }) });
    }
    await values.update('other', { ...place, value: 'x' });
    assert.equal(await (await values.get('hoox:key/07', place)).text(), 'value 7');
    assert.deepEqual(await metadata.get('hoox:key/07', place), { index: 7 });
    await control('DELETE', '/calls');
    const listed = await collect(keys.list(NAMESPACE, { account_id: ACCOUNT, prefix: 'hoox:', limit: 10 }));
    assert.deepEqual(listed.map(({ metadata: { index } }) => index), Array.from({ length: 23 }, (_, index) => index));
    assert.equal((await control('GET', '/calls')).length, 3);
    await values.delete('hoox:key/07', place);
    const error = await refusal(values.get('hoox:key/07', place));
    assert.deepEqual([error.status, error.errors[0].code], [404, 10009]);
});

test('SDK: the entry point ruleset is written whole, and rule by rule', async () => {
    const missing = await refusal(client.rulesets.phases.get(PHASE, { zone_id: ZONE }));
    assert.deepEqual([missing.status, missing.errors[0].code], [404, 10003]);
    const lock = { action: 'block', description: 'lock', expression: '(http.host eq "a.example")' };
    const first = await client.rulesets.phases.update(PHASE, { zone_id: ZONE, rules: [lock] });
    assert.deepEqual([first.version, first.phase, first.rules[0].expression], ['1', PHASE, lock.expression]);

    const [kept] = first.rules;
    const second = await client.rulesets.phases.update(PHASE, { zone_id: ZONE, rules: [kept, { ...lock, description: 'more' }] });
    assert.deepEqual([second.id, second.version, second.rules[0].id], [first.id, '2', kept.id]);
    assert.notEqual(second.rules[1].id, kept.id);

    const third = await client.rulesets.rules.create(first.id, { zone_id: ZONE, ...lock, description: 'top', position: { before: kept.id } });
    assert.deepEqual(third.rules.map(({ description }) => description), ['top', 'lock', 'more']);
    const fourth = await client.rulesets.rules.edit(kept.id, { zone_id: ZONE, ruleset_id: first.id, ...lock, enabled: false });
    assert.deepEqual(fourth.rules.map(({ enabled }) => enabled), [true, false, true]);
    const fifth = await client.rulesets.rules.delete(kept.id, { zone_id: ZONE, ruleset_id: first.id });
    assert.deepEqual(fifth.rules.map(({ description }) => description), ['top', 'more']);
    assert.deepEqual(await client.rulesets.phases.get(PHASE, { zone_id: ZONE }), fifth);

    const broken = await refusal(client.rulesets.rules.create(first.id, { zone_id: ZONE, ...lock, expression: '(http.host eq "a' }));
    assert.deepEqual([broken.status, broken.errors[0].code], [400, 20127]);
    const six = Array.from({ length: 6 }, () => lock);
    const full = await refusal(client.rulesets.phases.update(PHASE, { zone_id: ZONE, rules: six }));
    assert.match(full.errors[0].message, /maximum number of rules in the phase http_request_firewall_custom: 6 out of 5/);
});

test('SDK: a 429 is retried after the time it asks for', async () => {
    await control('POST', '/faults', { method: 'GET', path: '/zones', answer: { kind: 'rate_limit', retry_after: 1 } });
    const began = performance.now();
    const [zone] = await collect(client.zones.list({ name: 'zone-00.example' }));
    assert.equal(zone.id, ZONE);
    assert.ok(performance.now() - began >= 1000);
    assert.deepEqual((await control('GET', '/calls')).slice(0, 2).map(({ status }) => status), [429, 200]);
});

test('SDK: a 5xx is retried, be it JSON or a page, and so is a connection that drops', async () => {
    await control('POST', '/faults', [
        { path: '/zones', answer: { kind: 'html', status: 502 } },
        { path: '/zones', answer: { kind: 'disconnect' } },
    ]);
    assert.equal((await client.zones.get({ zone_id: ZONE })).name, 'zone-00.example');
    await control('POST', '/faults', { path: '/zones', answer: { kind: 'error', status: 503, code: 10000, message: 'Service unavailable' } });
    const error = await refusal(sdk(TOKEN, { maxRetries: 0 }).zones.get({ zone_id: ZONE }));
    assert.deepEqual([error.status, error.errors[0].message], [503, 'Service unavailable']);
});
