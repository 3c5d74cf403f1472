// ccxt, an independent client of the venue, against the simulator: what it accepts is evidence.
//
//   cargo build -p hoox-sim && node --test tests/clients/bybit.mjs
//
// The program is taken from the first argument, else from HOOX_SIM_BIN, else from target/debug.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import ccxt from 'ccxt';

const BIN = process.argv[2]
    ?? process.env.HOOX_SIM_BIN
    ?? fileURLToPath(new URL('../../target/debug/hoox-sim', import.meta.url));
const KEY = 'ccxt-key';
const SECRET = 'ccxt-secret';
const BTC = 'BTC/USDT:USDT';

let simulator;
let url;
let exchange;

/** An ordinary ccxt client whose only peculiarity is the address it calls. */
function client(secret = SECRET) {
    const bybit = new ccxt.bybit({
        apiKey: KEY,
        secret,
        enableRateLimit: false,
        options: { defaultType: 'swap' },
    });
    bybit.urls.api = Object.fromEntries(Object.keys(bybit.urls.api).map((api) => [api, url]));
    return bybit;
}

async function control(method, path, body) {
    const response = await fetch(url + path, { method, body: body && JSON.stringify(body) });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.status === 204 ? undefined : response.json();
}

const setPrice = (price) => control('POST', '/sim/price', { venue: 'bybit', symbol: 'BTCUSDT', price });

async function byClientId(id) {
    const found = await exchange.fetchOpenOrders(BTC, undefined, undefined, { orderLinkId: id });
    assert.equal(found.length, 1, `orders with client id ${id}`);
    return found[0];
}

before(async () => {
    simulator = spawn(BIN, ['--port', '0', '--seed', '7', '--balance', '10000'], {
        env: { ...process.env, HOOX_SIM_API_KEY: KEY, HOOX_SIM_API_SECRET: SECRET },
        stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: simulator.stdout });
    const line = await Promise.race([
        once(lines, 'line').then(([first]) => first),
        once(simulator, 'exit').then(([code]) => assert.fail(`the simulator ended with ${code}`)),
    ]);
    [, url] = line.match(/^hoox-sim listening on (http:\/\/127\.0\.0\.1:\d+)$/) ?? assert.fail(line);
    await setPrice('65000');
    exchange = client();
});

after(async () => {
    if (simulator.exitCode !== null) return;
    const ended = once(simulator, 'exit');
    process.kill(simulator.pid, 'SIGTERM');
    const [code] = await ended;
    assert.equal(code, 0);
});

test('loadMarkets reads the filters of the three contracts', async () => {
    await exchange.loadMarkets();
    assert.deepEqual(Object.keys(exchange.markets).sort(), [BTC, 'ETH/USDT:USDT', 'SOL/USDT:USDT']);
    const market = exchange.market(BTC);
    assert.equal(market.id, 'BTCUSDT');
    assert.equal(market.linear, true);
    assert.equal(market.active, true);
    assert.equal(market.precision.price, 0.1);
    assert.equal(market.precision.amount, 0.001);
    assert.equal(market.limits.amount.min, 0.001);
    assert.equal(market.limits.amount.max, 1190);
    assert.equal(market.limits.leverage.max, 100);
});

test('fetchTime is this machine\'s time', async () => {
    assert.ok(Math.abs(await exchange.fetchTime() - Date.now()) < 5000);
});

test('fetchTicker shows the price that was set', async () => {
    const ticker = await exchange.fetchTicker(BTC);
    assert.equal(ticker.last, 65000);
    assert.equal(ticker.bid, 64999.9);
    assert.equal(ticker.ask, 65000.1);
});

test('fetchBalance reads the unified account', async () => {
    const balance = await exchange.fetchBalance();
    assert.equal(balance.USDT.total, 10000);
});

test('a market order fills and is found by its client id', async () => {
    const order = await exchange.createOrder(BTC, 'market', 'buy', 0.01, undefined, { clientOrderId: 'ccxt-market' });
    const found = await byClientId('ccxt-market');
    assert.equal(found.id, order.id);
    assert.equal(found.clientOrderId, 'ccxt-market');
    assert.equal(found.status, 'closed');
    assert.equal(found.side, 'buy');
    assert.equal(found.type, 'market');
    assert.equal(found.amount, 0.01);
    assert.equal(found.filled, 0.01);
    assert.equal(found.remaining, 0);
    assert.equal(found.average, 65000);
    assert.equal(found.cost, 650);
    assert.deepEqual(found.fees.map(({ cost, currency }) => [cost, currency]), [[0.3575, 'USDT']]);
});

test('fetchOrder by the venue\'s id agrees', async () => {
    const { id } = await byClientId('ccxt-market');
    const order = await exchange.fetchOrder(id, BTC, { acknowledged: true });
    assert.equal(order.clientOrderId, 'ccxt-market');
    assert.equal(order.status, 'closed');
});

test('fetchPositions shows the position', async () => {
    const [position, ...others] = await exchange.fetchPositions([BTC]);
    assert.equal(others.length, 0);
    assert.equal(position.side, 'long');
    assert.equal(position.contracts, 0.01);
    assert.equal(position.entryPrice, 65000);
    assert.equal(position.leverage, 10);
    assert.equal(position.initialMargin, 65);
    assert.equal(position.hedged, false);
});

test('fetchMyTrades shows the fill and its fee', async () => {
    const [trade, ...others] = await exchange.fetchMyTrades(BTC);
    assert.equal(others.length, 0);
    assert.equal(trade.amount, 0.01);
    assert.equal(trade.price, 65000);
    assert.equal(trade.takerOrMaker, 'taker');
    assert.equal(trade.fee.cost, 0.3575);
});

test('a limit order rests, is listed, and is cancelled', async () => {
    const { id } = await exchange.createOrder(BTC, 'limit', 'buy', 0.02, 60000, { clientOrderId: 'ccxt-limit' });
    const open = await exchange.fetchOpenOrders(BTC);
    assert.deepEqual(open.map((order) => [order.id, order.status, order.price, order.amount, order.filled]), [
        [id, 'open', 60000, 0.02, 0],
    ]);
    assert.equal((await exchange.cancelOrder(id, BTC)).id, id);
    assert.deepEqual(await exchange.fetchOpenOrders(BTC), []);
    const cancelled = await byClientId('ccxt-limit');
    assert.equal(cancelled.status, 'canceled');
});

test('a cancelled order can be found in the history and not cancelled again', async () => {
    const { id } = await byClientId('ccxt-limit');
    const [order] = await exchange.fetchCanceledOrders(BTC);
    assert.equal(order.id, id);
    await assert.rejects(exchange.cancelOrder(id, BTC), ccxt.OrderNotFound);
});

test('all open orders of what is settled in one coin are listed page by page', async () => {
    const ids = Array.from({ length: 5 }, (_, number) => `ccxt-page-${number}`);
    for (const clientOrderId of ids) await exchange.createOrder(BTC, 'limit', 'buy', 0.001, 40000, { clientOrderId });
    const shown = [];
    for (let cursor; cursor !== '';) {
        const { result } = await exchange.privateGetV5OrderRealtime({ category: 'linear', settleCoin: 'USDT', limit: 2, ...cursor && { cursor } });
        shown.push(result.list.map((order) => order.orderLinkId));
        cursor = result.nextPageCursor;
    }
    // Newest first; a page that has rows has a cursor, even the last one.
    assert.deepEqual(shown, [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]], []]);
    const listed = await exchange.fetchOpenOrders(undefined, undefined, undefined, { settleCoin: 'USDT' });
    assert.deepEqual(listed.map((order) => order.clientOrderId).sort(), ids);
    assert.deepEqual(await exchange.fetchOpenOrders(undefined, undefined, undefined, { settleCoin: 'USDC' }), []);
    await exchange.cancelAllOrders(BTC);
});

test('a limit order fills as maker when the price reaches it', async () => {
    const { id } = await exchange.createOrder(BTC, 'limit', 'buy', 0.01, 64000, { clientOrderId: 'ccxt-maker' });
    await setPrice(63999.9);
    const filled = await exchange.fetchOrder(id, BTC, { acknowledged: true });
    assert.equal(filled.status, 'closed');
    assert.equal(filled.average, 64000);
    const [trade] = await exchange.fetchMyTrades(BTC, undefined, undefined, { orderId: id });
    assert.equal(trade.takerOrMaker, 'maker');
    assert.equal(trade.fee.cost, 0.128);
});

test('a post-only order that would take is cancelled', async () => {
    const params = { clientOrderId: 'ccxt-post-only', postOnly: true };
    await exchange.createOrder(BTC, 'limit', 'buy', 0.01, 64500, params);
    const order = await byClientId('ccxt-post-only');
    assert.equal(order.status, 'canceled');
    assert.equal(order.filled, 0);
});

test('a used client id is refused for ever', async () => {
    const again = exchange.createOrder(BTC, 'market', 'buy', 0.01, undefined, { clientOrderId: 'ccxt-market' });
    await assert.rejects(again, (error) => error.constructor === ccxt.InvalidOrder && /"retCode":110072/.test(error.message));
    const orders = await control('GET', '/sim/orders');
    assert.equal(orders.filter((order) => order.clientOrderId === 'ccxt-market').length, 1);
});

test('a notional below the minimum is refused', async () => {
    const order = exchange.createOrder(BTC, 'limit', 'buy', 0.001, 4000);
    await assert.rejects(order, (error) => error.constructor === ccxt.InvalidOrder && /"retCode":110094/.test(error.message));
});

test('more than the margin allows is refused', async () => {
    await assert.rejects(exchange.createOrder(BTC, 'market', 'buy', 10), ccxt.InsufficientFunds);
});

test('a reduce-only order in the direction of the position is refused', async () => {
    const order = exchange.createOrder(BTC, 'market', 'buy', 0.01, undefined, { reduceOnly: true });
    await assert.rejects(order, (error) => error.constructor === ccxt.InvalidOrder && /"retCode":110017/.test(error.message));
});

test('setLeverage works once and then says that nothing changed', async () => {
    await exchange.setLeverage(20, BTC);
    const [position] = await exchange.fetchPositions([BTC]);
    assert.equal(position.leverage, 20);
    await assert.rejects(exchange.setLeverage(20, BTC), /"retCode":110043/);
});

test('a reduce-only order closes the position and no more', async () => {
    await exchange.createOrder(BTC, 'market', 'sell', 1, undefined, { reduceOnly: true, clientOrderId: 'ccxt-close' });
    const order = await byClientId('ccxt-close');
    assert.equal(order.filled, 0.02);
    assert.deepEqual(await control('GET', '/sim/positions'), []);
    const fills = await control('GET', '/sim/fills');
    assert.deepEqual(fills.map(({ side, qty, price }) => [side, qty, price]), [
        ['Buy', '0.01', '65000'],
        ['Buy', '0.01', '64000'],
        ['Sell', '0.02', '63999.9'],
    ]);
});

test('the balance is what the fills left', async () => {
    // 10000 - 0.3575 - 0.128 in fees, - 10.002 realised, - 0.7039989 for the exit
    const balance = await exchange.fetchBalance();
    assert.equal(balance.USDT.total, 9988.8085011);
});

test('a wrong secret is an authentication error', async () => {
    await assert.rejects(client('wrong').fetchOpenOrders(BTC), ccxt.AuthenticationError);
});

test('the key says what it may do, and is held to it', async () => {
    const terms = await control('GET', '/sim/key');
    const { result: key } = await exchange.privateGetV5UserQueryApi();
    assert.equal(key.apiKey, KEY);
    assert.deepEqual([key.permissions.ContractTrade, key.permissions.Wallet, key.ips], [['Order', 'Position'], [], ['*']]);
    assert.equal(exchange.parse8601(key.expiredAt) - exchange.parse8601(key.createdAt), 90 * 86_400_000);
    const withdraws = { ...terms.permissions, Wallet: ['AccountTransfer', 'Withdraw'] };
    await control('POST', '/sim/key', { ...terms, permissions: withdraws, readOnly: true });
    const { result: other } = await exchange.privateGetV5UserQueryApi();
    assert.deepEqual([other.readOnly, other.permissions.Wallet], [1, ['AccountTransfer', 'Withdraw']]);
    await assert.rejects(exchange.createOrder(BTC, 'market', 'buy', 0.01), ccxt.PermissionDenied);
    await control('POST', '/sim/key', { ...terms, ips: ['203.0.113.7'] });
    await assert.rejects(exchange.privateGetV5UserQueryApi(), ccxt.PermissionDenied);
    await control('POST', '/sim/key', terms);
    assert.deepEqual(await exchange.fetchOpenOrders(BTC), []);
});

test('a clock that is off is an invalid nonce', async () => {
    await control('POST', '/sim/faults', [{ kind: 'clock_skew', millis: 60000 }]);
    await assert.rejects(exchange.fetchOpenOrders(BTC), ccxt.InvalidNonce);
    await control('DELETE', '/sim/faults');
    assert.deepEqual(await exchange.fetchOpenOrders(BTC), []);
});

test('a rate limit is a rate limit', async () => {
    await control('POST', '/sim/faults', [{ kind: 'rate_limit', path: '/v5/order/realtime' }]);
    await assert.rejects(exchange.fetchOpenOrders(BTC), ccxt.RateLimitExceeded);
    assert.deepEqual(await exchange.fetchOpenOrders(BTC), []);
});

test('an order whose answer was lost is there under its client id', async () => {
    await control('POST', '/sim/faults', [{ kind: 'disconnect', effect: true, path: '/v5/order/create' }]);
    const order = exchange.createOrder(BTC, 'market', 'buy', 0.01, undefined, { clientOrderId: 'ccxt-lost' });
    await assert.rejects(order, ccxt.NetworkError);
    assert.equal((await byClientId('ccxt-lost')).status, 'closed');
});

test('the legs of a symbol in hedge mode are two positions, each closed as what it is', async () => {
    const ETH = 'ETH/USDT:USDT';
    await control('POST', '/sim/symbols', { venue: 'bybit', symbol: 'ETHUSDT', hedge: true });
    const order = (side, params) => exchange.createOrder(ETH, 'market', side, 0.1, undefined, params);
    const held = async () => (await exchange.fetchPositions([ETH]))
        .filter(({ contracts }) => contracts > 0)
        .map(({ side, contracts, hedged }) => [side, contracts, hedged]);
    await assert.rejects(order('buy', {}), ccxt.BadRequest);
    await order('buy', { positionIdx: 1 });
    await order('sell', { positionIdx: 2 });
    assert.deepEqual(await held(), [['long', 0.1, true], ['short', 0.1, true]]);
    await order('sell', { positionIdx: 1, reduceOnly: true });
    assert.deepEqual(await held(), [['short', 0.1, true]]);
    await order('buy', { positionIdx: 2, reduceOnly: true });
    assert.deepEqual(await held(), []);
    await control('POST', '/sim/symbols', { venue: 'bybit', symbol: 'ETHUSDT', hedge: false });
});

test('a page of whoever stands before the venue is an error, and so is a ban', async () => {
    await control('POST', '/sim/faults', [{ kind: 'page', status: 403 }]);
    await assert.rejects(exchange.fetchTime(), ccxt.NetworkError);
    await control('POST', '/sim/faults', [{ kind: 'ban' }]);
    await assert.rejects(exchange.fetchTime(), ccxt.NetworkError);
    assert.ok(Math.abs(await exchange.fetchTime() - Date.now()) < 5000);
});
