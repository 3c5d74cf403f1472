// Cloudflare's own clients, its SDK and wrangler, against the double of its API: what they can do with it is evidence.
//
//   cargo build -p hoox-cloud-sim && node --test tests/clients/cloudflare.mjs
//
// The program is taken from HOOX_CLOUD_SIM_BIN, else from target/debug.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import Cloudflare from 'cloudflare';

import { wrangler as command } from '../../scripts/lib/wrangler.mjs';

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
let home;

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

/** Runs wrangler to its end; its exit code, its output, and the calls it made. */
async function wrangler(args, { token = TOKEN, input = '' } = {}) {
    await control('DELETE', '/calls');
    const { command: node, args: all, env, cwd } = command(args, path.join(home, 'state'));
    const child = spawn(node, all, {
        cwd,
        env: {
            ...env,
            HOME: home,
            XDG_CONFIG_HOME: home,
            CI: 'true',
            CLOUDFLARE_API_BASE_URL: `${url}/client/v4`,
            CLOUDFLARE_API_TOKEN: token,
            CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
        },
    });
    child.stdin.end(input);
    const [[code], stdout, stderr] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]);
    return { code, stdout, stderr, calls: await control('GET', '/calls') };
}

/** The output of a wrangler that succeeds, and none of whose calls is refused except those for an `absent` worker. */
async function wrangled(args, { absent, ...options } = {}) {
    const { code, stdout, stderr, calls } = await wrangler(args, options);
    assert.equal(code, 0, `${args.join(' ')}:\n${stdout}\n${stderr}`);
    const refused = calls.filter(({ status, path: called }) => status !== 200 && !(status === 404 && called.split('/').includes(absent)));
    assert.deepEqual(refused, [], args.join(' '));
    return { stdout, calls: calls.map(({ method, path: called }) => `${method} ${called}`) };
}

const file = (name, content) => {
    const place = path.join(home, name);
    fs.writeFileSync(place, content);
    return place;
};

before(async () => {
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'hoox-cloud-'));
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
    fs.rmSync(home, { recursive: true, force: true });
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
    const created = await client.kv.namespaces.create({ account_id: ACCOUNT, title: 'MORE' });
    const namespaces = await collect(client.kv.namespaces.list({ account_id: ACCOUNT, per_page: 1 }));
    assert.deepEqual(namespaces.map(({ id, title }) => [id, title]), [[NAMESPACE, 'CONFIG_KV'], [created.id, 'MORE']]);
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

test('wrangler: a worker with every kind of binding is deployed, its secrets from a file', async () => {
    const directory = path.join(home, 'worker');
    fs.mkdirSync(directory);
    file('worker/index.js', `
        import { DurableObject } from 'cloudflare:workers';
        export class Ledger extends DurableObject {}
        export default { fetch() { return new Response('ok'); }, scheduled() {} };
    `);
    const config = file('worker/wrangler.toml', `
        name = "small"
        main = "index.js"
        compatibility_date = "2026-01-01"
        workers_dev = true
        preview_urls = false
        routes = [{ pattern = "hooks.zone-00.example", custom_domain = true }]
        kv_namespaces = [{ binding = "CONFIG_KV", id = "${NAMESPACE}" }]
        d1_databases = [{ binding = "DB", database_name = "hoox", database_id = "${DATABASE}" }]
        services = [{ binding = "TRADE", service = "trade-worker" }]
        ratelimits = [{ name = "ATTEMPTS", namespace_id = "1001", simple = { limit = 20, period = 60 } }]
        durable_objects.bindings = [{ name = "LEDGER", class_name = "Ledger" }]
        migrations = [{ tag = "v1", new_sqlite_classes = ["Ledger"] }]
        triggers.crons = ["*/5 * * * *"]
        secrets.required = ["OPERATOR_KEY"]
        vars = { MODE = "paper" }
    `);
    const secrets = file('worker/secrets.json', JSON.stringify({ OPERATOR_KEY: 'from the file' }));
    const refused = await wrangler(['deploy', '-c', config]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /OPERATOR_KEY/);
    assert.deepEqual(refused.calls.filter(({ method }) => method !== 'GET'), []);

    await wrangled(['deploy', '-c', config, '--secrets-file', secrets], { absent: 'small' });
    const { scripts: { small }, domains } = await account();
    assert.deepEqual(small.secrets, { OPERATOR_KEY: 'from the file' });
    assert.deepEqual(
        small.bindings.map(({ name, type }) => `${name} ${type}`).sort(),
        ['ATTEMPTS ratelimit', 'CONFIG_KV kv_namespace', 'DB d1', 'LEDGER durable_object_namespace', 'MODE plain_text', 'TRADE service'],
    );
    assert.deepEqual(
        [small.migration_tag, small.classes, small.schedules, small.workers_dev, small.previews],
        ['v1', ['Ledger'], ['*/5 * * * *'], true, false],
    );
    assert.deepEqual(domains.map(({ hostname, service }) => [hostname, service]), [['hooks.zone-00.example', 'small']]);

    // The second time by a version and its deployment: the secret and the migration are there already.
    await wrangled(['deploy', '-c', config]);
    const later = (await account()).scripts.small;
    assert.deepEqual([later.secrets, later.migration_tag], [{ OPERATOR_KEY: 'from the file' }, 'v1']);
    assert.deepEqual(later.deployments.map(({ versions: [{ version_id: id }] }) => id), later.versions.map(({ id }) => id));
    assert.equal(later.versions.length, 2);

    const listed = await collect(client.workers.scripts.list({ account_id: ACCOUNT }));
    assert.deepEqual(listed.map(({ id }) => id), ['small', 'trade-worker']);
    const { bindings } = await client.workers.scripts.scriptAndVersionSettings.get('small', { account_id: ACCOUNT });
    assert.deepEqual(bindings.find(({ name }) => name === 'OPERATOR_KEY'), { name: 'OPERATOR_KEY', type: 'secret_text' });
    assert.deepEqual((await collect(client.workers.domains.list({ account_id: ACCOUNT }))).map(({ hostname }) => hostname), ['hooks.zone-00.example']);
});

test('wrangler: a binding to what does not exist is refused, and nothing is kept', async () => {
    fs.mkdirSync(path.join(home, 'astray'));
    file('astray/index.js', 'export default { fetch() { return new Response(); } };');
    const config = file('astray/wrangler.toml', `
        name = "astray"
        main = "index.js"
        compatibility_date = "2026-01-01"
        services = [{ binding = "TRADE", service = "no-such-worker" }]
    `);
    const { code, stderr } = await wrangler(['deploy', '-c', config]);
    assert.equal(code, 1);
    assert.match(stderr, /no-such-worker.*\[code: 10143\]/);
    assert.deepEqual(Object.keys((await account()).scripts), ['trade-worker']);
});

test("wrangler: the project's migrations are applied to D1, once", async () => {
    const migrations = fileURLToPath(new URL('../../crates/hoox-store/migrations', import.meta.url));
    const config = file('d1.toml', `
        name = "d1-worker"
        compatibility_date = "2026-01-01"
        d1_databases = [{ binding = "DB", database_name = "hoox", database_id = "${DATABASE}", migrations_dir = "${migrations}" }]
    `);
    const apply = ['d1', 'migrations', 'apply', 'DB', '--remote', '-c', config];
    await wrangled(apply);
    const [{ results }] = await collect(client.d1.database.query(DATABASE, {
        account_id: ACCOUNT, sql: 'SELECT name FROM d1_migrations ORDER BY id',
    }));
    assert.deepEqual(results.map(({ name }) => name), fs.readdirSync(migrations).sort());
    assert.match((await wrangled(apply)).stdout, /No migrations to apply/);
});

test('SDK: D1 runs all of a call or nothing, with parameters, rows as objects or lists', async () => {
    const call = (sql, params) => ({ account_id: ACCOUNT, sql, ...params && { params } });
    const { query, raw } = { query: (...all) => collect(client.d1.database.query(DATABASE, call(...all))), raw: (...all) => collect(client.d1.database.raw(DATABASE, call(...all))) };
    await query('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)');
    const [inserted] = await query('INSERT INTO t (name) VALUES (?1)', ['one']);
    assert.deepEqual([inserted.meta.changes, inserted.meta.last_row_id], [1, 1]);
    const error = await refusal(query("INSERT INTO t (name) VALUES ('two'); INSERT INTO t (name) VALUES (NULL)"));
    assert.deepEqual([error.status, error.errors[0].code], [400, 7500]);
    assert.match(error.errors[0].message, /NOT NULL constraint failed: t.name/);
    assert.deepEqual((await query('SELECT * FROM t'))[0].results, [{ id: 1, name: 'one' }]);
    assert.deepEqual((await raw('SELECT * FROM t'))[0].results, { columns: ['id', 'name'], rows: [[1, 'one']] });
    assert.deepEqual((await collect(client.d1.database.list({ account_id: ACCOUNT, name: 'hoox' }))).map(({ uuid }) => uuid), [DATABASE]);
});

test('wrangler: secrets are put, removed in bulk, and listed', async () => {
    const at = ['--name', 'trade-worker'];
    await wrangled(['secret', 'put', 'NEW', ...at], { input: 'value' });
    await wrangled(['secret', 'bulk', ...at], { input: JSON.stringify({ MORE: 'third', PRESENT: null }) });
    assert.deepEqual((await account()).scripts['trade-worker'].secrets, { MORE: 'third', NEW: 'value' });
    const { stdout } = await wrangled(['secret', 'list', ...at]);
    assert.deepEqual(JSON.parse(stdout), [{ name: 'MORE', type: 'secret_text' }, { name: 'NEW', type: 'secret_text' }]);
});

test('wrangler: KV is written, read, listed and filled in bulk', async () => {
    const at = ['--namespace-id', NAMESPACE, '--remote'];
    await wrangled(['kv', 'key', 'put', 'hoox:manifest', '{"version":1}', '--metadata', '{"version":1}', ...at]);
    assert.equal((await wrangled(['kv', 'key', 'get', 'hoox:manifest', '--text', ...at])).stdout.trim(), '{"version":1}');
    await wrangled(['kv', 'bulk', 'put', file('bulk.json', JSON.stringify([{ key: 'a', value: '1' }, { key: 'b', value: '2' }])), ...at]);
    const { stdout } = await wrangled(['kv', 'key', 'list', ...at]);
    assert.deepEqual(JSON.parse(stdout), [{ name: 'a' }, { name: 'b' }, { name: 'hoox:manifest', metadata: { version: 1 } }]);
    await wrangled(['kv', 'bulk', 'delete', file('keys.json', JSON.stringify(['a', 'b'])), '--force', ...at]);
    assert.deepEqual(Object.keys((await account()).namespaces[0].entries), ['hoox:manifest']);
});

test('wrangler: an expired token is refused, and a gateway\'s page is no answer', async () => {
    const expired = await wrangler(['secret', 'list', '--name', 'trade-worker'], { token: EXPIRED });
    assert.equal(expired.code, 1);
    assert.match(expired.stderr, /\[code: 10000\]/);
    await control('POST', '/faults', { path: '/accounts', answer: { kind: 'html', status: 502 } });
    const broken = await wrangler(['secret', 'list', '--name', 'trade-worker']);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /malformed response/);
});

test('wrangler: whoami reads user, accounts and memberships', async () => {
    const { stdout, calls } = await wrangled(['whoami']);
    assert.match(stdout, /trader@example\.com/);
    assert.match(stdout, new RegExp(ACCOUNT));
    assert.ok(calls.includes('GET /user/tokens/verify'));
});
