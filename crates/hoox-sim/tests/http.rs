//! The simulator over HTTP, with a signer of the test's own.

#[cfg(test)]
mod http {
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use data_encoding::HEXLOWER;
    use hmac::{Hmac, KeyInit, Mac};
    use hoox_sim::{Config, Fault, FaultKind, Handle, Simulator};
    use reqwest::{Client, Method, RequestBuilder, Response};
    use serde_json::{Value, json};
    use sha2::Sha256;

    const KEY: &str = "test-key";
    const SECRET: &str = "test-secret";
    const CREATE: &str = "/v5/order/create";
    const REALTIME: &str = "/v5/order/realtime";

    /// A client that goes by no proxy, whatever the environment says.
    fn direct() -> Client {
        Client::builder().no_proxy().build().unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the client's clock, as at a real venue"
    )]
    fn now_ms() -> i64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(elapsed.as_millis()).unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "measures how long an answer took"
    )]
    fn stopwatch() -> Instant {
        Instant::now()
    }

    fn sign(secret: &str, message: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    /// A simulator whose BTC price is 50 000, and a client of it.
    struct Venue {
        handle: Handle,
        client: Client,
    }

    impl Venue {
        async fn start() -> Self {
            let mut config = Config::new(KEY, SECRET);
            config.balance = "10000".parse().unwrap();
            let venue = Self {
                handle: Simulator::start(config).await.unwrap(),
                client: direct(),
            };
            venue.price("50000");
            venue
        }

        fn price(&self, price: &str) {
            self.handle
                .set_price("bybit", "BTCUSDT", price.parse().unwrap())
                .unwrap();
        }

        fn fault(&self, fault: Fault) {
            self.handle.faults(vec![fault]).unwrap();
        }

        fn request(
            &self,
            method: &Method,
            path: &str,
            payload: &str,
            timestamp: i64,
            key: &str,
            secret: &str,
        ) -> RequestBuilder {
            let get = *method == Method::GET;
            let query = if get && !payload.is_empty() {
                format!("?{payload}")
            } else {
                String::new()
            };
            let request = self
                .client
                .request(
                    method.clone(),
                    format!("{}{path}{query}", self.handle.url()),
                )
                .header("X-BAPI-API-KEY", key)
                .header("X-BAPI-TIMESTAMP", timestamp.to_string())
                .header("X-BAPI-RECV-WINDOW", "5000")
                .header(
                    "X-BAPI-SIGN",
                    sign(secret, &format!("{timestamp}{key}5000{payload}")),
                );
            if get {
                request
            } else {
                request
                    .header("Content-Type", "application/json")
                    .body(payload.to_owned())
            }
        }

        async fn try_send(
            &self,
            method: &Method,
            path: &str,
            payload: &str,
        ) -> reqwest::Result<Response> {
            self.request(method, path, payload, now_ms(), KEY, SECRET)
                .send()
                .await
        }

        async fn get(&self, path: &str, query: &str) -> Value {
            self.try_send(&Method::GET, path, query)
                .await
                .unwrap()
                .json()
                .await
                .unwrap()
        }

        async fn post(&self, path: &str, body: &Value) -> Value {
            self.try_send(&Method::POST, path, &body.to_string())
                .await
                .unwrap()
                .json()
                .await
                .unwrap()
        }

        async fn order(&self, changes: &Value) -> Value {
            self.post(CREATE, &order(changes)).await
        }

        async fn look_up(&self, link_id: &str) -> Option<Value> {
            let query = format!("category=linear&symbol=BTCUSDT&orderLinkId={link_id}");
            let answer = self.get(REALTIME, &query).await;
            assert_eq!(answer["retCode"], 0, "{answer}");
            answer["result"]["list"].get(0).cloned()
        }
    }

    /// A market order for 0.01 BTC with changes.
    fn order(changes: &Value) -> Value {
        let mut body = json!({
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Market",
            "qty": "0.01",
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    fn code(answer: &Value) -> i64 {
        answer["retCode"].as_i64().unwrap()
    }

    #[tokio::test]
    async fn an_order_is_acknowledged_and_found_filled() {
        let venue = Venue::start().await;
        let answer = venue.order(&json!({ "orderLinkId": "one" })).await;
        assert_eq!((code(&answer), answer["retMsg"].as_str()), (0, Some("OK")));
        assert_eq!(answer["result"]["orderLinkId"], "one");
        assert_eq!(answer["retExtInfo"], json!({}));
        assert!((now_ms() - answer["time"].as_i64().unwrap()).abs() < 5_000);

        let order = venue.look_up("one").await.unwrap();
        assert_eq!(order["orderId"], answer["result"]["orderId"]);
        assert_eq!(order["orderStatus"], "Filled");
        assert_eq!(order["cumExecQty"], "0.010");
        assert_eq!(order["avgPrice"], "50000");

        let [record] = venue.handle.orders().try_into().unwrap();
        assert_eq!(record.client_order_id.as_deref(), Some("one"));
        assert_eq!(
            (record.venue.as_str(), record.status.as_str()),
            ("bybit", "Filled")
        );
        venue.handle.stop().await.unwrap();
    }

    #[tokio::test]
    async fn the_control_routes_show_decimals_as_strings() {
        let venue = Venue::start().await;
        venue.order(&json!({ "orderLinkId": "one" })).await;
        let [order]: [Value; 1] = venue
            .get("/sim/orders", "")
            .await
            .as_array()
            .unwrap()
            .clone()
            .try_into()
            .unwrap();
        for (field, value) in [
            ("venue", json!("bybit")),
            ("symbol", json!("BTCUSDT")),
            ("side", json!("Buy")),
            ("orderType", json!("Market")),
            ("qty", json!("0.01")),
            ("price", Value::Null),
            ("reduceOnly", json!(false)),
            ("clientOrderId", json!("one")),
            ("status", json!("Filled")),
            ("filledQty", json!("0.01")),
            ("avgPrice", json!("50000")),
        ] {
            assert_eq!(order[field], value, "{field}");
        }
        let positions = venue.get("/sim/positions", "").await;
        assert_eq!(positions[0]["size"], "0.01");
        let fills = venue.get("/sim/fills", "").await;
        assert_eq!(fills[0]["fee"], "0.275");
        assert_eq!(venue.get("/health", "").await["status"], "ok");
    }

    /// Changes that make the market order wrong in form, with the code and message they are refused with.
    fn malformed() -> Vec<(Value, i64, &'static str)> {
        vec![
            (
                json!({ "category": null }),
                10001,
                "params error: category invalid",
            ),
            (
                json!({ "category": "futures" }),
                10001,
                "params error: category invalid",
            ),
            (
                json!({ "symbol": "DOGEUSDT" }),
                10001,
                "params error: symbol invalid",
            ),
            (
                json!({ "side": "buy" }),
                10001,
                "params error: side invalid",
            ),
            (
                json!({ "orderType": "Stop" }),
                10001,
                "params error: orderType invalid",
            ),
            (
                json!({ "timeInForce": "GTX" }),
                10001,
                "params error: timeInForce invalid",
            ),
            (json!({ "qty": 0.01 }), 10001, "params error: qty invalid"),
            (json!({ "qty": null }), 10001, "params error: qty invalid"),
            (
                json!({ "qty": "-0.01" }),
                10001,
                "params error: qty invalid",
            ),
            (json!({ "qty": "1e-2" }), 10001, "params error: qty invalid"),
            (
                json!({ "reduceOnly": "true" }),
                10001,
                "params error: reduceOnly invalid",
            ),
            (
                json!({ "positionIdx": 1 }),
                10001,
                "position idx not match position mode",
            ),
            (
                json!({ "orderLinkId": "a b" }),
                10001,
                "params error: orderLinkId invalid",
            ),
            (
                json!({ "orderLinkId": "x".repeat(37) }),
                10001,
                "params error: orderLinkId invalid",
            ),
        ]
    }

    /// Changes that break a rule of the instrument, the account or the order's id.
    fn against_the_rules() -> Vec<(Value, i64, &'static str)> {
        vec![
            (
                json!({ "qty": "0.0001" }),
                10001,
                "The number of contracts exceeds minimum limit allowed",
            ),
            (
                json!({ "qty": "0" }),
                10001,
                "The number of contracts exceeds minimum limit allowed",
            ),
            (json!({ "qty": "0.0015" }), 10001, "Qty invalid"),
            (
                json!({ "qty": "501" }),
                10001,
                "The number of contracts exceeds maximum limit allowed: too large",
            ),
            (json!({ "orderType": "Limit" }), 10001, "Price invalid"),
            (
                json!({ "orderType": "Limit", "price": "50000.05" }),
                10001,
                "Price invalid",
            ),
            (
                json!({ "orderType": "Limit", "price": 50000 }),
                10001,
                "params error: price invalid",
            ),
            (
                json!({ "orderType": "Limit", "price": "2000000" }),
                110_003,
                "Order price is out of permissible range",
            ),
            (
                json!({ "orderType": "Limit", "price": "4999.9", "qty": "0.001" }),
                110_094,
                "Order does not meet minimum order value 5USDT",
            ),
            (
                json!({ "qty": "10" }),
                110_007,
                "ab not enough for new order",
            ),
            (
                json!({ "reduceOnly": true }),
                110_017,
                "Reduce-only rule not satisfied",
            ),
            (
                json!({ "symbol": "ETHUSDT", "reduceOnly": true }),
                110_017,
                "current position is zero, cannot fix reduce-only order qty",
            ),
            (
                json!({ "orderLinkId": "taken" }),
                110_072,
                "OrderLinkedID is duplicate",
            ),
        ]
    }

    #[tokio::test]
    async fn each_refusal_has_its_code_and_changes_nothing() {
        let venue = Venue::start().await;
        venue.order(&json!({ "orderLinkId": "taken" })).await;
        let before = venue.handle.orders();
        for (changes, expected, message) in malformed().into_iter().chain(against_the_rules()) {
            let answer = venue.order(&changes).await;
            assert_eq!(
                (code(&answer), answer["retMsg"].as_str()),
                (expected, Some(message)),
                "{changes}"
            );
            assert_eq!(answer["result"], json!({}), "{changes}");
        }
        assert_eq!(venue.handle.orders(), before);
        venue.order(&json!({ "orderLinkId": "x".repeat(36) })).await;
        assert_eq!(venue.handle.orders().len(), 2);
    }

    #[tokio::test]
    async fn a_reduce_only_order_may_be_smaller_than_the_minimum_notional() {
        let venue = Venue::start().await;
        venue
            .order(&json!({ "symbol": "SOLUSDT", "qty": "0.1" }))
            .await;
        let exit = json!({ "symbol": "SOLUSDT", "side": "Sell", "qty": "0.1", "reduceOnly": true });
        venue
            .handle
            .set_price("bybit", "SOLUSDT", "1".parse().unwrap())
            .unwrap();
        assert_eq!(code(&venue.order(&exit).await), 0);
        assert_eq!(venue.handle.positions(), []);
    }

    #[tokio::test]
    async fn who_calls_is_checked_before_anything_else() {
        let venue = Venue::start().await;
        let body = order(&json!({})).to_string();
        let now = now_ms();
        let far = 60_000;
        for (timestamp, key, secret, expected) in [
            (now, "other", SECRET, 10003),
            (now, KEY, "other", 10004),
            (now - far, KEY, SECRET, 10002),
            (now + far, KEY, SECRET, 10002),
            (now, KEY, SECRET, 0),
        ] {
            let request = venue.request(&Method::POST, CREATE, &body, timestamp, key, secret);
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            assert_eq!(code(&answer), expected, "{answer}");
        }
        let bare = venue
            .client
            .post(format!("{}{CREATE}", venue.handle.url()))
            .body(body);
        let answer: Value = bare.send().await.unwrap().json().await.unwrap();
        assert_eq!(code(&answer), 10001);
        assert_eq!(venue.handle.orders().len(), 1);
    }

    #[tokio::test]
    async fn a_tampered_body_is_refused() {
        let venue = Venue::start().await;
        let signed = venue.request(
            &Method::POST,
            CREATE,
            &order(&json!({})).to_string(),
            now_ms(),
            KEY,
            SECRET,
        );
        let request = signed.body(order(&json!({ "qty": "0.02" })).to_string());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(code(&answer), 10004);
        assert_eq!(venue.handle.orders(), []);
    }

    #[tokio::test]
    async fn cancelling_what_is_not_open_is_refused() {
        let venue = Venue::start().await;
        venue.order(&json!({ "orderLinkId": "done" })).await;
        for link_id in ["done", "never"] {
            let body = json!({ "category": "linear", "symbol": "BTCUSDT", "orderLinkId": link_id });
            assert_eq!(
                code(&venue.post("/v5/order/cancel", &body).await),
                110_001,
                "{link_id}"
            );
        }
        let body = json!({ "category": "linear", "symbol": "BTCUSDT" });
        assert_eq!(code(&venue.post("/v5/order/cancel", &body).await), 10001);
    }

    #[tokio::test]
    async fn lists_are_bounded_and_paged() {
        let venue = Venue::start().await;
        for number in 0..5 {
            let link_id = format!("n-{number}");
            venue
                .order(&json!({ "orderType": "Limit", "price": "40000", "qty": "0.001", "orderLinkId": link_id }))
                .await;
        }
        for limit in ["0", "51", "-1", "x"] {
            let query = format!("category=linear&symbol=BTCUSDT&limit={limit}");
            assert_eq!(code(&venue.get(REALTIME, &query).await), 10001, "{limit}");
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("category=linear&symbol=BTCUSDT&limit=2&cursor={cursor}");
            let result = venue.get(REALTIME, &query).await["result"].clone();
            let list = result["list"].as_array().unwrap().clone();
            if list.is_empty() {
                assert_eq!(result["nextPageCursor"], "");
                break;
            }
            seen.extend(
                list.iter()
                    .map(|order| order["orderLinkId"].as_str().unwrap().to_owned()),
            );
            result["nextPageCursor"]
                .as_str()
                .unwrap()
                .clone_into(&mut cursor);
        }
        assert_eq!(seen, ["n-4", "n-3", "n-2", "n-1", "n-0"]);
        assert_eq!(code(&venue.get(REALTIME, "category=linear").await), 10001);
    }

    #[tokio::test]
    async fn unknown_paths_and_methods_are_not_found() {
        let venue = Venue::start().await;
        for (method, path) in [
            (Method::GET, "/v5/market/nothing"),
            (Method::GET, "/v5/nothing"),
            (Method::GET, CREATE),
            (Method::POST, "/v5/nothing"),
            (Method::GET, "/elsewhere"),
        ] {
            let response = venue.try_send(&method, path, "").await.unwrap();
            assert_eq!(response.status(), 404, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_body_above_64_kib_is_refused() {
        let venue = Venue::start().await;
        let body = "x".repeat(hoox_sim::MAX_BODY + 1);
        for path in [CREATE, "/sim/price", "/sim/faults"] {
            let response = venue.try_send(&Method::POST, path, &body).await.unwrap();
            assert_eq!(response.status(), 413, "{path}");
        }
    }

    #[tokio::test]
    async fn answers_carry_the_rate_limit_headers() {
        let venue = Venue::start().await;
        let response = venue
            .try_send(&Method::POST, CREATE, &order(&json!({})).to_string())
            .await
            .unwrap();
        assert_eq!(response.headers()["x-bapi-limit"], "10");
        assert_eq!(response.headers()["x-bapi-limit-status"], "9");
        assert!(
            response
                .headers()
                .contains_key("x-bapi-limit-reset-timestamp")
        );
    }

    #[tokio::test]
    async fn a_price_is_read_exactly_from_a_string_or_a_number() {
        let venue = Venue::start().await;
        let set = |price: &str| {
            let body = format!(r#"{{"venue":"bybit","symbol":"BTCUSDT","price":{price}}}"#);
            venue
                .client
                .post(format!("{}/sim/price", venue.handle.url()))
                .body(body)
                .send()
        };
        for (price, shown) in [
            ("65000.1", "65000.10"),
            ("\"0.3\"", "0.30"),
            ("1999999.80", "1999999.80"),
        ] {
            assert_eq!(set(price).await.unwrap().status(), 200, "{price}");
            let ticker = venue
                .get("/v5/market/tickers", "category=linear&symbol=BTCUSDT")
                .await;
            assert_eq!(ticker["result"]["list"][0]["lastPrice"], shown);
        }
        for wrong in ["null", "\"\"", "-1", "1e5", "65000.05", "0", "[1]"] {
            assert_eq!(set(wrong).await.unwrap().status(), 400, "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_walk_depends_on_the_seed_alone() {
        let mut runs = Vec::new();
        for seed in [7, 7, 8] {
            let config = Config {
                seed,
                ..Config::new(KEY, SECRET)
            };
            let venue = Venue {
                handle: Simulator::start(config).await.unwrap(),
                client: direct(),
            };
            let mut prices = Vec::new();
            for _ in 0..20 {
                let ticker = venue
                    .get("/v5/market/tickers", "category=linear&symbol=ETHUSDT")
                    .await;
                prices.push(
                    ticker["result"]["list"][0]["lastPrice"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                );
            }
            runs.push(prices);
        }
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }

    #[tokio::test]
    async fn latency_delays_the_answer_not_the_order() {
        let venue = Venue::start().await;
        venue.fault(Fault::new(FaultKind::Latency).millis(300).at(CREATE));
        let started = stopwatch();
        let slow = tokio::spawn({
            let request = venue.request(
                &Method::POST,
                CREATE,
                &order(&json!({})).to_string(),
                now_ms(),
                KEY,
                SECRET,
            );
            async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
        });
        while venue.handle.orders().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!slow.is_finished());
        assert_eq!(code(&slow.await.unwrap()), 0);
        assert!(started.elapsed() >= Duration::from_millis(300));
    }

    #[tokio::test]
    async fn a_held_answer_never_comes_but_the_order_is_there() {
        let venue = Venue::start().await;
        venue.fault(Fault::new(FaultKind::TimeoutAfterAccept).millis(50));
        let body = order(&json!({ "orderLinkId": "held" })).to_string();
        assert!(venue.try_send(&Method::POST, CREATE, &body).await.is_err());
        assert_eq!(
            venue.look_up("held").await.unwrap()["orderStatus"],
            "Filled"
        );
        // The same id again, as a client that does not know would send it.
        assert_eq!(
            code(&venue.order(&json!({ "orderLinkId": "held" })).await),
            110_072
        );
    }

    #[tokio::test]
    async fn a_drop_and_a_5xx_may_or_may_not_have_an_effect() {
        let venue = Venue::start().await;
        for (number, effect) in [false, true].into_iter().enumerate() {
            let fault = |kind| {
                if effect {
                    Fault::new(kind).with_effect()
                } else {
                    Fault::new(kind)
                }
            };
            venue.fault(fault(FaultKind::Disconnect));
            let link_id = format!("drop-{number}");
            let body = order(&json!({ "orderLinkId": link_id })).to_string();
            assert!(venue.try_send(&Method::POST, CREATE, &body).await.is_err());
            assert_eq!(venue.look_up(&link_id).await.is_some(), effect);

            venue.fault(fault(FaultKind::Error5xx).status(502));
            let link_id = format!("5xx-{number}");
            let body = order(&json!({ "orderLinkId": link_id })).to_string();
            let response = venue.try_send(&Method::POST, CREATE, &body).await.unwrap();
            assert_eq!(response.status(), 502);
            assert_eq!(venue.look_up(&link_id).await.is_some(), effect);

            venue.fault(fault(FaultKind::RetCode).code(10000, "Server Timeout"));
            let link_id = format!("code-{number}");
            assert_eq!(
                code(&venue.order(&json!({ "orderLinkId": link_id })).await),
                10000
            );
            assert_eq!(venue.look_up(&link_id).await.is_some(), effect);
        }
    }

    #[tokio::test]
    async fn a_rate_limit_says_when_it_ends_and_places_nothing() {
        let venue = Venue::start().await;
        for status in [200, 429] {
            venue.fault(
                Fault::new(FaultKind::RateLimit)
                    .status(status)
                    .millis(2_000),
            );
            let response = venue
                .try_send(&Method::POST, CREATE, &order(&json!({})).to_string())
                .await
                .unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["x-bapi-limit-status"], "0");
            let reset: i64 = response.headers()["x-bapi-limit-reset-timestamp"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!(reset > now_ms());
            assert_eq!(code(&response.json().await.unwrap()), 10006);
        }
        assert_eq!(venue.handle.orders(), []);
    }

    #[tokio::test]
    async fn a_skewed_clock_refuses_until_it_is_set_right() {
        let venue = Venue::start().await;
        venue.fault(Fault::new(FaultKind::ClockSkew).millis(-30_000));
        let time = venue.get("/v5/market/time", "").await;
        let seconds: i64 = time["result"]["timeSecond"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((now_ms() - 30_000 - seconds * 1_000).abs() < 5_000);
        assert_eq!(code(&venue.order(&json!({})).await), 10002);
        venue.handle.clear_faults();
        assert_eq!(code(&venue.order(&json!({})).await), 0);
    }

    #[tokio::test]
    async fn a_lagging_look_up_hides_the_order_but_not_its_fill() {
        let venue = Venue::start().await;
        venue.fault(Fault::new(FaultKind::LookupLag).millis(600_000));
        venue.order(&json!({ "orderLinkId": "late" })).await;
        assert_eq!(venue.look_up("late").await, None);
        let query = "category=linear&symbol=BTCUSDT&orderLinkId=late";
        let history = venue.get("/v5/order/history", query).await;
        assert_eq!(history["result"]["list"], json!([]));
        let fills = venue.get("/v5/execution/list", query).await;
        assert_eq!(fills["result"]["list"][0]["execQty"], "0.010");
        assert_eq!(venue.handle.positions().len(), 1);
    }

    #[tokio::test]
    async fn a_delayed_fill_leaves_the_order_new_until_then() {
        let venue = Venue::start().await;
        venue.fault(Fault::new(FaultKind::FillDelay).millis(400));
        venue.order(&json!({ "orderLinkId": "slow" })).await;
        assert_eq!(venue.look_up("slow").await.unwrap()["orderStatus"], "New");
        while venue.look_up("slow").await.unwrap()["orderStatus"] == "New" {
            tokio::task::yield_now().await;
        }
        let order = venue.look_up("slow").await.unwrap();
        assert_eq!(order["orderStatus"], "Filled");
        let at = |field: &str| order[field].as_str().unwrap().parse::<i64>().unwrap();
        assert!(at("updatedTime") >= at("createdTime") + 400);
    }

    #[tokio::test]
    async fn a_partial_fill_ends_a_market_order_and_rests_a_limit_order() {
        let venue = Venue::start().await;
        let part = || Fault::new(FaultKind::PartialFill).qty("0.004".parse().unwrap());
        venue.fault(part());
        venue.order(&json!({ "orderLinkId": "market" })).await;
        let order = venue.look_up("market").await.unwrap();
        assert_eq!(
            (&order["orderStatus"], &order["cumExecQty"]),
            (&json!("Cancelled"), &json!("0.004"))
        );
        venue.fault(part());
        venue
            .order(&json!({ "orderLinkId": "limit", "orderType": "Limit", "price": "50000" }))
            .await;
        let order = venue.look_up("limit").await.unwrap();
        assert_eq!(
            (&order["orderStatus"], &order["leavesQty"]),
            (&json!("PartiallyFilled"), &json!("0.006"))
        );
    }

    #[tokio::test]
    async fn closed_orders_that_are_forgotten_stay_in_the_history() {
        let venue = Venue::start().await;
        venue.order(&json!({ "orderLinkId": "old" })).await;
        venue.fault(Fault::new(FaultKind::ForgetClosed));
        assert_eq!(venue.look_up("old").await, None);
        let history = venue
            .get("/v5/order/history", "category=linear&orderLinkId=old")
            .await;
        assert_eq!(history["result"]["list"][0]["orderStatus"], "Filled");
        venue.order(&json!({ "orderLinkId": "new" })).await;
        assert!(venue.look_up("new").await.is_some());
    }

    #[tokio::test]
    async fn faults_are_set_and_cleared_over_http() {
        let venue = Venue::start().await;
        let faults = json!([{ "kind": "error_5xx", "count": 2, "path": CREATE, "effect": true }]);
        let waiting = venue.post("/sim/faults", &faults).await;
        assert_eq!(waiting, faults);
        let url = format!("{}/sim/faults", venue.handle.url());
        assert_eq!(
            venue.client.delete(&url).send().await.unwrap().status(),
            204
        );
        assert_eq!(venue.get("/sim/faults", "").await, json!([]));
        for wrong in [
            json!([{ "kind": "nothing" }]),
            json!([{ "kind": "latency" }]),
            json!([{ "kind": "disconnect", "typo": 1 }]),
        ] {
            let response = venue
                .try_send(&Method::POST, "/sim/faults", &wrong.to_string())
                .await
                .unwrap();
            assert_eq!(response.status(), 400, "{wrong}");
        }
        assert_eq!(code(&venue.order(&json!({})).await), 0);
    }

    async fn answer(venue: &Venue, path: &str) -> (u16, Option<String>, String, String) {
        let response = venue
            .try_send(&Method::POST, path, &order(&json!({})).to_string())
            .await
            .unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (wait, kind) = (header("retry-after"), header("content-type"));
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        (status, wait, kind.unwrap_or_default(), body)
    }

    #[tokio::test]
    async fn pages_bans_and_waits_come_as_they_would_from_the_edge() {
        let venue = Venue::start().await;
        let html = "text/html; charset=utf-8";
        venue.fault(Fault::new(FaultKind::Page).at(CREATE));
        let (status, wait, kind, body) = answer(&venue, CREATE).await;
        assert_eq!((status, wait, kind.as_str()), (403, None, html));
        assert!(body.starts_with("<html>") && body.contains("CloudFront"));
        assert_eq!(venue.handle.orders().len(), 0);

        let page = Fault::new(FaultKind::Page).status(401).message("<p>no</p>");
        venue.fault(page.with_effect());
        let (status, _, kind, body) = answer(&venue, CREATE).await;
        assert_eq!(
            (status, kind.as_str(), body.as_str()),
            (401, html, "<p>no</p>")
        );
        assert_eq!(venue.handle.orders().len(), 1);

        venue.fault(Fault::new(FaultKind::Ban).retry_after(600));
        let (status, wait, _, body) = answer(&venue, CREATE).await;
        assert_eq!((status, wait.as_deref()), (403, Some("600")));
        assert_eq!(body, "403, access too frequent");

        let until = "IP banned until 1780000000000";
        venue.fault(Fault::new(FaultKind::Ban).status(418).message(until));
        let (status, _, _, body) = answer(&venue, CREATE).await;
        assert_eq!((status, body.as_str()), (418, until));

        let limit = Fault::new(FaultKind::RateLimit).status(429);
        venue.fault(limit.retry_after(3600));
        let (status, wait, _, body) = answer(&venue, CREATE).await;
        assert_eq!((status, wait.as_deref()), (429, Some("3600")));
        assert!(body.contains("10006"), "{body}");
        assert_eq!(venue.handle.orders().len(), 1);
    }

    #[tokio::test]
    async fn faults_of_a_symbol_strike_it_alone() {
        let venue = Venue::start().await;
        let refused = Fault::new(FaultKind::RetCode).code(110_007, "no margin");
        venue.fault(refused.of("ETHUSDT").at(CREATE).times(2));
        let eth = json!({ "symbol": "ETHUSDT", "qty": "0.1" });
        assert_eq!(code(&venue.order(&json!({})).await), 0);
        for expected in [110_007, 110_007, 0] {
            assert_eq!(code(&venue.order(&eth).await), expected);
        }
        let read = "/v5/position/list";
        venue.fault(Fault::new(FaultKind::RateLimit).of("ETHUSDT").at(read));
        for (query, expected) in [
            ("category=linear&settleCoin=USDT", 0),
            ("category=linear&symbol=BTCUSDT", 0),
            ("category=linear&symbol=ETHUSDT", 10006),
            ("category=linear&symbol=ETHUSDT", 0),
        ] {
            assert_eq!(code(&venue.get(read, query).await), expected, "{query}");
        }
    }

    /// Index, side and size of what position/list shows.
    async fn held(venue: &Venue, query: &str) -> Vec<(i64, String, String)> {
        let query = format!("category=linear&{query}");
        let answer = venue.get("/v5/position/list", &query).await;
        let rows = answer["result"]["list"].as_array().unwrap();
        rows.iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                (
                    row["positionIdx"].as_i64().unwrap(),
                    text("side"),
                    text("size"),
                )
            })
            .collect()
    }

    fn row(index: i64, side: &str, size: &str) -> (i64, String, String) {
        (index, side.to_owned(), size.to_owned())
    }

    #[tokio::test]
    async fn hedge_mode_has_a_position_for_each_leg() {
        let venue = Venue::start().await;
        let short = json!({ "side": "Sell", "qty": "0.03" });
        venue.order(&short).await;
        let switch = |mode: i64| json!({ "category": "linear", "symbol": "BTCUSDT", "mode": mode });
        let path = "/v5/position/switch-mode";
        assert_eq!(code(&venue.post(path, &switch(3)).await), 110_024);
        assert_eq!(code(&venue.post(path, &switch(0)).await), 110_025);
        let change = json!({ "venue": "bybit", "symbol": "BTCUSDT", "hedge": true });
        let symbols = venue.post("/sim/symbols", &change).await;
        assert_eq!(symbols, venue.get("/sim/symbols", "").await);
        let btc = |symbols: &Value| {
            let rows = symbols.as_array().unwrap();
            rows.iter()
                .find(|row| row["symbol"] == "BTCUSDT")
                .unwrap()
                .clone()
        };
        assert_eq!(btc(&symbols)["hedge"], true);
        assert_eq!(
            held(&venue, "symbol=BTCUSDT").await,
            [row(1, "", "0"), row(2, "Sell", "0.030")]
        );

        let leg = |index: i64, side: &str, reduce_only: bool| json!({ "positionIdx": index, "side": side, "reduceOnly": reduce_only });
        let mismatch = venue.order(&json!({})).await;
        assert_eq!(code(&mismatch), 10001);
        assert_eq!(mismatch["retMsg"], "position idx not match position mode");
        assert_eq!(code(&venue.order(&leg(1, "Buy", false)).await), 0);
        assert_eq!(
            held(&venue, "settleCoin=USDT").await,
            [row(1, "Buy", "0.010"), row(2, "Sell", "0.030")]
        );
        // To close the long leg is to sell at its own index.
        assert_eq!(code(&venue.order(&leg(2, "Sell", true)).await), 110_017);
        let link =
            json!({ "positionIdx": 1, "side": "Sell", "reduceOnly": true, "orderLinkId": "exit" });
        assert_eq!(code(&venue.order(&link).await), 0);
        let order = venue.look_up("exit").await.unwrap();
        assert_eq!(order["positionIdx"], 1);
        assert_eq!(
            held(&venue, "settleCoin=USDT").await,
            [row(2, "Sell", "0.030")]
        );
        let zero = venue.order(&leg(1, "Sell", true)).await;
        assert_eq!(
            zero["retMsg"],
            "current position is zero, cannot fix reduce-only order qty"
        );
        let all =
            json!({ "positionIdx": 2, "qty": "0", "reduceOnly": true, "closeOnTrigger": true });
        assert_eq!(code(&venue.order(&all).await), 0);
        assert_eq!(held(&venue, "settleCoin=USDT").await, []);
        assert_eq!(code(&venue.post(path, &switch(0)).await), 0);
        assert_eq!(code(&venue.order(&json!({})).await), 0);
    }

    #[tokio::test]
    async fn trades_by_hand_change_the_position_past_the_api() {
        let venue = Venue::start().await;
        venue.order(&json!({ "orderLinkId": "ours" })).await;
        let trade = |qty: &str| json!({ "venue": "bybit", "symbol": "BTCUSDT", "side": "Sell", "qty": qty });
        let traded = venue.post("/sim/trade", &trade("0.08")).await;
        assert_eq!(traded["status"], "Filled");
        assert_eq!(traded["clientOrderId"], Value::Null);
        assert_eq!(
            held(&venue, "symbol=BTCUSDT").await,
            [row(0, "Sell", "0.070")]
        );
        let wrong = [
            trade("0"),
            trade("0.0001"),
            json!({ "venue": "bybit", "symbol": "BTCUSDT", "side": "Up", "qty": "1" }),
            json!({ "venue": "bybit", "symbol": "NOPE", "side": "Buy", "qty": "1" }),
            json!({ "venue": "other", "symbol": "BTCUSDT", "side": "Buy", "qty": "1" }),
            json!({ "venue": "bybit", "symbol": "BTCUSDT", "side": "Buy", "qty": "1", "positionIdx": 1 }),
        ];
        for trade in wrong {
            let response = venue
                .try_send(&Method::POST, "/sim/trade", &trade.to_string())
                .await
                .unwrap();
            assert_eq!(response.status(), 400, "{trade}");
        }
        assert_eq!(venue.handle.orders().len(), 2);
    }

    #[tokio::test]
    async fn positions_and_executions_lag_while_orders_do_not() {
        let venue = Venue::start().await;
        venue.fault(Fault::new(FaultKind::PositionLag).millis(60_000));
        venue.order(&json!({ "orderLinkId": "new" })).await;
        assert_eq!(venue.look_up("new").await.unwrap()["orderStatus"], "Filled");
        let executions = || venue.get("/v5/execution/list", "category=linear&orderLinkId=new");
        assert_eq!(held(&venue, "settleCoin=USDT").await, []);
        assert_eq!(held(&venue, "symbol=BTCUSDT").await, [row(0, "", "0")]);
        assert_eq!(executions().await["result"]["list"], json!([]));
        // What may be done is judged by what is there.
        let exit = json!({ "side": "Sell", "reduceOnly": true, "qty": "0.004" });
        assert_eq!(code(&venue.order(&exit).await), 0);
        assert_eq!(venue.handle.positions()[0].size, "0.006".parse().unwrap());
        venue.handle.clear_faults();
        assert_eq!(
            held(&venue, "symbol=BTCUSDT").await,
            [row(0, "Buy", "0.006")]
        );
        assert_eq!(executions().await["result"]["list"][0]["execQty"], "0.010");
    }

    #[tokio::test]
    async fn exits_are_held_to_the_largest_quantity_or_split() {
        let venue = Venue::start().await;
        venue.order(&json!({ "qty": "0.05" })).await;
        let limits = json!({
            "venue": "bybit", "symbol": "BTCUSDT", "minOrderQty": "0.002", "maxMktOrderQty": "0.02",
        });
        venue.post("/sim/symbols", &limits).await;
        let info = venue
            .get(
                "/v5/market/instruments-info",
                "category=linear&symbol=BTCUSDT",
            )
            .await;
        let lots = &info["result"]["list"][0]["lotSizeFilter"];
        assert_eq!(
            (&lots["maxMktOrderQty"], &lots["minOrderQty"]),
            (&json!("0.020"), &json!("0.002"))
        );
        let exit =
            json!({ "side": "Sell", "reduceOnly": true, "qty": "0.05", "orderLinkId": "exit" });
        let refused = venue.order(&exit).await;
        assert_eq!(code(&refused), 10001);
        assert_eq!(
            refused["retMsg"],
            "The number of contracts exceeds maximum limit allowed: too large"
        );
        assert_eq!(
            venue.get("/sim/rules", "").await,
            json!({ "splitExits": false })
        );
        let split = json!({ "splitExits": true });
        assert_eq!(venue.post("/sim/rules", &split).await, split);
        assert_eq!(code(&venue.order(&exit).await), 0);
        assert_eq!(held(&venue, "settleCoin=USDT").await, []);
        assert_eq!(venue.look_up("exit").await.unwrap()["qty"], "0.020");
        assert_eq!(venue.handle.orders().len(), 4);
        for wrong in [
            json!({ "venue": "bybit", "symbol": "BTCUSDT", "minOrderQty": "0.03" }),
            json!({ "venue": "bybit", "symbol": "BTCUSDT", "minOrderQty": "0" }),
            json!({ "venue": "bybit", "symbol": "BTCUSDT", "status": "Paused" }),
            json!({ "venue": "bybit", "symbol": "NOPE" }),
            json!({ "venue": "bybit", "symbol": "BTCUSDT", "typo": 1 }),
        ] {
            let response = venue
                .try_send(&Method::POST, "/sim/symbols", &wrong.to_string())
                .await
                .unwrap();
            assert_eq!(response.status(), 400, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_symbol_that_is_closed_is_shown_by_name_and_takes_no_order() {
        let venue = Venue::start().await;
        let path = "/v5/market/instruments-info";
        let status = |query: &'static str| async {
            let answer = venue.get(path, query).await;
            let rows = answer["result"]["list"].as_array().unwrap().clone();
            rows.into_iter()
                .find(|row| row["symbol"] == "BTCUSDT")
                .map(|row| row["status"].as_str().unwrap().to_owned())
        };
        let by_name = "category=linear&symbol=BTCUSDT";
        // In one answer only: orders are taken.
        venue.fault(
            Fault::new(FaultKind::SymbolStatus)
                .message("Closed")
                .of("BTCUSDT"),
        );
        assert_eq!(code(&venue.order(&json!({})).await), 0);
        assert_eq!(status(by_name).await.as_deref(), Some("Closed"));
        assert_eq!(status(by_name).await.as_deref(), Some("Trading"));
        // In truth.
        let change = json!({ "venue": "bybit", "symbol": "BTCUSDT", "status": "PreLaunch" });
        venue.post("/sim/symbols", &change).await;
        assert_eq!(status(by_name).await.as_deref(), Some("PreLaunch"));
        assert_eq!(status("category=linear").await, None);
        assert_eq!(
            status("category=linear&status=PreLaunch").await.as_deref(),
            Some("PreLaunch")
        );
        let exit = json!({ "side": "Sell", "reduceOnly": true });
        assert_eq!(code(&venue.order(&exit).await), 110_074);
    }

    #[tokio::test]
    async fn thirteen_more_symbols_trade_where_they_are_asked_for() {
        let venue = Venue {
            handle: Simulator::start(Config {
                many_symbols: true,
                ..Config::new(KEY, SECRET)
            })
            .await
            .unwrap(),
            client: direct(),
        };
        let answer = venue
            .get("/v5/market/instruments-info", "category=linear")
            .await;
        let rows = answer["result"]["list"].as_array().unwrap();
        assert_eq!(rows.len(), 16);
        for row in rows {
            let symbol = row["symbol"].as_str().unwrap();
            let most = &row["lotSizeFilter"]["maxMktOrderQty"];
            assert!(most.as_str().unwrap().parse::<f64>().unwrap() > 0.0);
            // A quantity worth about 100 USDT that fits the step of each.
            let step: f64 = row["lotSizeFilter"]["qtyStep"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let query = format!("category=linear&symbol={symbol}");
            let ticker = venue.get("/v5/market/tickers", &query).await;
            let price = ticker["result"]["list"][0]["lastPrice"].as_str().unwrap();
            let steps = (100.0 / price.parse::<f64>().unwrap() / step).ceil();
            let qty = format!("{:.3}", steps * step);
            let answer = venue.order(&json!({ "symbol": symbol, "qty": qty })).await;
            assert_eq!(code(&answer), 0, "{symbol} {qty}: {answer}");
        }
        assert_eq!(venue.handle.positions().len(), 16);
        let fewer = Venue::start().await;
        let doge = json!({ "symbol": "DOGEUSDT", "qty": "100" });
        assert_eq!(code(&fewer.order(&doge).await), 10001);
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let venue = Venue::start().await;
        let port = venue.handle.address().port();
        let error = Simulator::start(Config {
            port,
            ..Config::new(KEY, SECRET)
        })
        .await
        .err()
        .unwrap();
        assert!(
            error.to_string().contains(&format!("127.0.0.1:{port}")),
            "{error}"
        );
    }
}
