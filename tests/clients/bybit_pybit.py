"""pybit, the venue's own client, against the simulator: what it accepts is evidence.

    pip install -r tests/clients/requirements.txt
    cargo build -p hoox-sim && python3 tests/clients/bybit_pybit.py

The program is taken from the first argument, else from HOOX_SIM_BIN, else from target/debug.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
import urllib.request
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

BIN = (
    (sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None)
    or os.environ.get("HOOX_SIM_BIN")
    or str(Path(__file__).resolve().parents[2] / "target" / "debug" / "hoox-sim")
)
KEY = "pybit-key"
SECRET = "pybit-secret"
BTC = {"category": "linear", "symbol": "BTCUSDT"}


class Bybit(unittest.TestCase):
    """The tests run in the order of their names and trade on one account."""

    @classmethod
    def setUpClass(cls):
        cls.simulator = subprocess.Popen(
            [BIN, "--port", "0", "--seed", "7", "--balance", "10000"],
            env={**os.environ, "HOOX_SIM_API_KEY": KEY, "HOOX_SIM_API_SECRET": SECRET},
            stdout=subprocess.PIPE,
            text=True,
        )
        line = cls.simulator.stdout.readline().strip()
        match = re.fullmatch(r"hoox-sim listening on (http://127\.0\.0\.1:\d+)", line)
        assert match, line
        cls.url = match[1]
        cls.set_price("65000")
        cls.session = cls.client()

    @classmethod
    def tearDownClass(cls):
        cls.simulator.send_signal(signal.SIGTERM)
        code = cls.simulator.wait(timeout=10)
        cls.simulator.stdout.close()
        assert code == 0, code

    @classmethod
    def client(cls, secret=SECRET):
        """An ordinary pybit session whose only peculiarity is the address it calls."""
        session = HTTP(api_key=KEY, api_secret=secret, max_retries=1, retry_delay=0, logging_level=100)
        session.endpoint = cls.url
        return session

    @classmethod
    def control(cls, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(cls.url + path, data=data, method=method)
        with urllib.request.urlopen(request) as response:
            text = response.read()
        return json.loads(text) if text else None

    @classmethod
    def set_price(cls, price):
        cls.control("POST", "/sim/price", {"venue": "bybit", "symbol": "BTCUSDT", "price": price})

    def by_client_id(self, client_id):
        found = self.session.get_open_orders(**BTC, orderLinkId=client_id)["result"]["list"]
        self.assertEqual(len(found), 1, client_id)
        return found[0]

    def assert_refused(self, code, call, *args, **kwargs):
        with self.assertRaises(InvalidRequestError) as raised:
            call(*args, **kwargs)
        self.assertEqual(raised.exception.status_code, code)

    def test_01_instruments(self):
        answer = self.session.get_instruments_info(category="linear")["result"]
        self.assertEqual([row["symbol"] for row in answer["list"]], ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
        self.assertEqual(answer["nextPageCursor"], "")
        lot = answer["list"][0]["lotSizeFilter"]
        self.assertEqual(lot["qtyStep"], "0.001")
        self.assertEqual(lot["minNotionalValue"], "5")
        self.assertEqual(answer["list"][0]["priceFilter"]["tickSize"], "0.10")

    def test_02_instruments_by_page(self):
        symbols, cursor = [], None
        while cursor != "":
            answer = self.session.get_instruments_info(category="linear", limit=2, cursor=cursor)["result"]
            symbols += [row["symbol"] for row in answer["list"]]
            cursor = answer["nextPageCursor"]
        self.assertEqual(symbols, ["BTCUSDT", "ETHUSDT", "SOLUSDT"])

    def test_03_time_and_ticker(self):
        server = int(self.session.get_server_time()["result"]["timeSecond"])
        self.assertLess(abs(server - time.time()), 5)
        ticker = self.session.get_tickers(**BTC)["result"]["list"][0]
        self.assertEqual(ticker["lastPrice"], "65000.00")

    def test_04_wallet(self):
        wallet = self.session.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
        self.assertEqual(wallet["totalAvailableBalance"], "10000")
        self.assertEqual(wallet["coin"][0]["coin"], "USDT")

    def test_05_a_flat_position_has_a_row(self):
        row = self.session.get_positions(**BTC)["result"]["list"][0]
        self.assertEqual((row["size"], row["side"], row["unrealisedPnl"]), ("0", "", ""))
        self.assertEqual(self.session.get_positions(category="linear", settleCoin="USDT")["result"]["list"], [])

    def test_06_market_order(self):
        answer = self.session.place_order(
            **BTC, side="Buy", orderType="Market", qty="0.01", orderLinkId="pybit-market"
        )
        order = self.by_client_id("pybit-market")
        self.assertEqual(order["orderId"], answer["result"]["orderId"])
        self.assertEqual(order["orderStatus"], "Filled")
        self.assertEqual(order["cumExecQty"], "0.010")
        self.assertEqual(order["avgPrice"], "65000")
        self.assertEqual(order["cumFeeDetail"], {"USDT": "0.3575"})

    def test_07_position(self):
        row = self.session.get_positions(category="linear", settleCoin="USDT")["result"]["list"][0]
        self.assertEqual((row["symbol"], row["side"], row["size"]), ("BTCUSDT", "Buy", "0.010"))
        self.assertEqual((row["avgPrice"], row["leverage"], row["positionIM"]), ("65000", "10", "65"))

    def test_08_executions(self):
        fills = self.session.get_executions(**BTC)["result"]["list"]
        self.assertEqual([(fill["execQty"], fill["execPrice"], fill["isMaker"]) for fill in fills],
                         [("0.010", "65000.00", False)])
        self.assertEqual(fills[0]["orderLinkId"], "pybit-market")

    def test_09_limit_order_rests_and_is_cancelled(self):
        order = {**BTC, "side": "Buy", "orderType": "Limit", "qty": "0.02", "price": "60000"}
        self.session.place_order(**order, orderLinkId="pybit-limit")
        opened = self.session.get_open_orders(**BTC)["result"]["list"]
        self.assertEqual([(row["orderLinkId"], row["orderStatus"]) for row in opened], [("pybit-limit", "New")])
        self.session.cancel_order(**BTC, orderLinkId="pybit-limit")
        self.assertEqual(self.by_client_id("pybit-limit")["orderStatus"], "Cancelled")
        self.assertEqual(self.session.get_open_orders(**BTC)["result"]["list"], [])
        history = self.session.get_order_history(**BTC, orderLinkId="pybit-limit")["result"]["list"]
        self.assertEqual(history[0]["cancelType"], "CancelByUser")
        self.assert_refused(110001, self.session.cancel_order, **BTC, orderLinkId="pybit-limit")

    def test_09_open_orders_by_page(self):
        order = {**BTC, "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": "40000"}
        ids = [f"pybit-page-{number}" for number in range(5)]
        for client_id in ids:
            self.session.place_order(**order, orderLinkId=client_id)
        shown, cursor = [], None
        while cursor != "":
            answer = self.session.get_open_orders(category="linear", settleCoin="USDT", limit=2, cursor=cursor)["result"]
            shown.append([row["orderLinkId"] for row in answer["list"]])
            cursor = answer["nextPageCursor"]
        # Newest first; a page that has rows has a cursor, even the last one.
        self.assertEqual(shown, [ids[:2:-1], ids[2:0:-1], ids[:1], []])
        self.assertEqual(self.session.get_open_orders(category="linear", settleCoin="USDC")["result"]["list"], [])
        self.assert_refused(10001, self.session.get_open_orders, category="linear")
        for client_id in ids:
            self.session.cancel_order(**BTC, orderLinkId=client_id)

    def test_10_cancel_all(self):
        for number in range(3):
            self.session.place_order(**BTC, side="Sell", orderType="Limit", qty="0.001", price="70000",
                                     orderLinkId=f"pybit-all-{number}")
        answer = self.session.cancel_all_orders(category="linear", settleCoin="USDT")["result"]
        self.assertEqual([row["orderLinkId"] for row in answer["list"]],
                         ["pybit-all-0", "pybit-all-1", "pybit-all-2"])

    def test_11_maker(self):
        self.session.place_order(**BTC, side="Sell", orderType="Limit", qty="0.005", price="65100",
                                 orderLinkId="pybit-maker")
        self.set_price(65100.5)
        fill = self.session.get_executions(**BTC, orderLinkId="pybit-maker")["result"]["list"][0]
        self.assertEqual((fill["execPrice"], fill["isMaker"], fill["feeRate"]), ("65100.00", True, "0.0002"))

    def test_12_refusals(self):
        market = {**BTC, "side": "Buy", "orderType": "Market"}
        limit = {**BTC, "side": "Buy", "orderType": "Limit"}
        place = self.session.place_order
        self.assert_refused(110072, place, **market, qty="0.01", orderLinkId="pybit-market")
        self.assert_refused(110094, place, **limit, qty="0.001", price="4000")
        self.assert_refused(110007, place, **market, qty="10")
        self.assert_refused(110017, place, **market, qty="0.01", reduceOnly=True)
        self.assert_refused(10001, place, **market, qty="0.0001")
        self.assert_refused(10001, place, **market, qty="0.0015")
        self.assert_refused(10001, place, **limit, qty="0.01", price="60000.05")
        self.assert_refused(10001, place, **market, qty="0.01", positionIdx=1)
        self.assert_refused(10001, place, **market, qty="0.01", orderLinkId="no spaces")
        self.assert_refused(10001, place, **{**market, "symbol": "NOSUCHUSDT"}, qty="1")

    def test_13_leverage(self):
        self.session.set_leverage(**BTC, buyLeverage="20", sellLeverage="20")
        self.assertEqual(self.session.get_positions(**BTC)["result"]["list"][0]["leverage"], "20")
        self.assert_refused(110043, self.session.set_leverage, **BTC, buyLeverage="20", sellLeverage="20")

    def test_14_stop_loss_of_the_position(self):
        self.session.set_trading_stop(**BTC, tpslMode="Full", stopLoss="64000", positionIdx=0)
        self.assertEqual(self.session.get_positions(**BTC)["result"]["list"][0]["stopLoss"], "64000.00")
        self.set_price("63990")
        self.assertEqual(self.session.get_positions(**BTC)["result"]["list"][0]["size"], "0")
        newest = self.session.get_order_history(**BTC)["result"]["list"][0]
        self.assertEqual((newest["stopOrderType"], newest["avgPrice"]), ("StopLoss", "63990"))

    def test_15_money_is_conserved(self):
        fills = self.control("GET", "/sim/fills")
        left = 10000 + sum(Decimal(fill["realised"]) - Decimal(fill["fee"]) for fill in fills)
        wallet = self.session.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
        self.assertEqual(Decimal(wallet["totalEquity"]), left)

    def test_16_closes_all_without_a_quantity(self):
        self.session.place_order(**BTC, side="Sell", orderType="Market", qty="0.123")
        self.session.place_order(**BTC, side="Buy", orderType="Market", qty="0", reduceOnly=True,
                                 closeOnTrigger=True, orderLinkId="pybit-close")
        self.assertEqual(self.by_client_id("pybit-close")["cumExecQty"], "0.123")
        self.assertEqual(self.control("GET", "/sim/positions"), [])

    def test_17_wrong_secret(self):
        self.assert_refused(10004, self.client("wrong").get_wallet_balance, accountType="UNIFIED")

    def test_18_fee_rate_and_key(self):
        rates = self.session.get_fee_rates(**BTC)["result"]["list"]
        self.assertEqual(rates, [{"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}])
        key = self.session.get_api_key_information()["result"]
        self.assertEqual((key["apiKey"], key["secret"], key["readOnly"], key["ips"]), (KEY, "", 0, ["*"]))
        self.assertEqual((key["permissions"]["ContractTrade"], key["permissions"]["Wallet"]),
                         (["Order", "Position"], []))
        created, end = (datetime.fromisoformat(key[name]) for name in ("createdAt", "expiredAt"))
        self.assertEqual(((end - created).days, key["deadlineDay"]), (90, 89))

    def test_19_lost_answer(self):
        self.control("POST", "/sim/faults",
                     [{"kind": "disconnect", "effect": True, "path": "/v5/order/create"}])
        with self.assertRaises(requests.exceptions.ConnectionError):
            self.session.place_order(**BTC, side="Buy", orderType="Market", qty="0.01", orderLinkId="pybit-lost")
        self.assertEqual(self.by_client_id("pybit-lost")["orderStatus"], "Filled")

    def test_20_server_error(self):
        self.control("POST", "/sim/faults", [{"kind": "error_5xx", "status": 503}])
        with self.assertRaises(FailedRequestError) as raised:
            self.session.get_positions(**BTC)
        self.assertEqual(raised.exception.status_code, 503)

    def test_21_key_that_only_reads(self):
        terms = self.control("GET", "/sim/key")
        bound = {**terms, "readOnly": True, "ips": ["127.0.0.1"], "expiresAt": None}
        self.control("POST", "/sim/key", bound)
        key = self.session.get_api_key_information()["result"]
        self.assertEqual((key["readOnly"], key["ips"]), (1, ["127.0.0.1"]))
        self.assertEqual((key["deadlineDay"], key["expiredAt"]), (-2, "1970-01-01T00:00:00Z"))
        self.assert_refused(10005, self.session.place_order, **BTC, side="Buy", orderType="Market", qty="0.01")
        self.control("POST", "/sim/key", {**terms, "ips": ["203.0.113.7"]})
        self.assert_refused(10010, self.session.get_wallet_balance, accountType="UNIFIED")
        self.control("POST", "/sim/key", {**terms, "expiresAt": terms["createdAt"]})
        self.assert_refused(33004, self.session.get_api_key_information)
        self.control("POST", "/sim/key", terms)
        self.session.get_positions(**BTC)


if __name__ == "__main__":
    unittest.main(verbosity=2)
