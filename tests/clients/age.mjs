// age-encryption, an independent implementation of the age format, against `hoox vars`: each reads what the other writes.
//
//   cargo build -p hoox-cli && node --test tests/clients/age.mjs
//
// The program is taken from HOOX_CLI_BIN, else from target/debug.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Decrypter, Encrypter, armor, generateX25519Identity, identityToRecipient } from 'age-encryption';

const BIN = process.env.HOOX_CLI_BIN ?? fileURLToPath(new URL('../../target/debug/hoox', import.meta.url));
const TEXT = '# mine\nOPERATOR_KEY=one\nBYBIT_TESTNET_API_KEY="two # three"\n';

let checkout;
let identity;
let recipient;

const at = (name) => path.join(checkout, name);

/** Runs `hoox vars` in a checkout of its own, without a keyring. */
function vars(args, { input, as = identity } = {}) {
    const env = { PATH: process.env.PATH, HOME: checkout, HOOX_KEYRING: 'off', HOOX_AGE_IDENTITY: as };
    const done = spawnSync(BIN, ['vars', ...args], { cwd: checkout, input, env, encoding: 'utf8' });
    assert.equal(done.error, undefined);
    return done;
}

async function decrypted(as) {
    const decrypter = new Decrypter();
    decrypter.addIdentity(as);
    return decrypter.decrypt(fs.readFileSync(at('.dev.vars.age')), 'text');
}

async function encrypted(...recipients) {
    const encrypter = new Encrypter();
    for (const each of recipients) encrypter.addRecipient(each);
    return encrypter.encrypt(TEXT);
}

before(async () => {
    checkout = fs.mkdtempSync(path.join(os.tmpdir(), 'hoox-age-'));
    fs.mkdirSync(at('workers'));
    fs.writeFileSync(at('wrangler.toml'), '');
    identity = await generateX25519Identity();
    recipient = await identityToRecipient(identity);
});

after(() => fs.rmSync(checkout, { recursive: true, force: true }));

test('both name the same recipient', () => {
    assert.equal(vars(['recipient']).stdout, `${recipient}\n`);
});

test('it reads what hoox writes', async () => {
    fs.writeFileSync(at('.dev.vars'), TEXT);
    const done = vars(['encrypt', '--yes']);
    assert.equal(done.status, 0, done.stderr);
    assert.equal(await decrypted(identity), TEXT);
});

test('every recipient reads what hoox writes, and nobody else', async () => {
    const [second, stranger] = [await generateX25519Identity(), await generateX25519Identity()];
    const done = vars(['encrypt', '-', '--yes', '--recipient', await identityToRecipient(second)], { input: TEXT });
    assert.equal(done.status, 0, done.stderr);
    const text = await decrypted(second);
    assert.ok(text.startsWith(TEXT));
    assert.equal(await decrypted(identity), text);
    await assert.rejects(decrypted(stranger), /no identity matched/);
});

test('hoox reads what it writes, binary or armoured, for one or for several', async () => {
    const stranger = await generateX25519Identity();
    const several = await encrypted(await identityToRecipient(stranger), recipient);
    for (const file of [await encrypted(recipient), several, armor.encode(several)]) {
        fs.writeFileSync(at('.dev.vars.age'), file);
        const done = vars(['decrypt', '--stdout']);
        assert.equal(done.status, 0, done.stderr);
        assert.equal(done.stdout, TEXT);
    }
    const other = vars(['decrypt', '--stdout'], { as: await generateX25519Identity() });
    assert.equal(other.status, 1);
    assert.match(other.stderr, /\(WRONG_IDENTITY\)/);
    assert.equal(other.stdout, '');
});
