//! What is recorded, and how it is read back.

use std::collections::BTreeSet;

use hoox_e2e::{Desk, Part, Stack, eventually, now, run};
use hoox_model::{SignalId, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Every item of a listing, page by page; each page but the last is full.
async fn paged(desk: &Desk, listing: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = desk.page(listing, &format!("&limit={limit}{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert_eq!(
            page.fields(),
            ["items", "nextCursor", "requestId", "success"]
        );
        let found = page.json["items"].as_array().unwrap();
        items.extend(found.clone());
        let Some(next) = page.json["nextCursor"].as_str() else {
            return items;
        };
        assert_eq!(found.len(), limit);
        cursor = format!("&cursor={next}");
    }
}

fn ids(items: &[Value], field: &str) -> Vec<String> {
    items
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

fn number(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn paging_covers_everything_exactly_once() {
    run(async {
        let desk = Stack::shared().await.desk();
        let mut sent = Vec::new();
        for round in 1..=3 {
            for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
                let reply = desk
                    .trade(json!({ "action": "LONG", "symbol": symbol, "quantity": round }))
                    .await;
                assert_eq!(reply.str("status"), "filled", "{}", reply.text);
                sent.push(reply.str("signalId").to_owned());
            }
        }
        for id in &sent {
            desk.recorded(id, "filled").await;
        }
        sent.reverse();
        for limit in [1, 2, 4, 9, 10, 100] {
            assert_eq!(
                ids(&paged(&desk, "signals", limit).await, "id"),
                sent,
                "newest first, by {limit}"
            );
            let orders = paged(&desk, "orders", limit).await;
            assert_eq!(ids(&orders, "signalId"), sent, "by {limit}");
        }
        let positions = eventually("three recorded positions", async || {
            let positions = paged(&desk, "positions", 2).await;
            let whole = positions.len() == 3
                && positions
                    .iter()
                    .all(|position| number(&position["quantity"]) == Decimal::from(6));
            whole.then_some(positions)
        })
        .await;
        assert_eq!(ids(&positions, "symbol"), ["BTCUSDT", "ETHUSDT", "SOLUSDT"]);
    });
}

#[test]
fn records_agree_with_the_exchange() {
    run(async {
        let desk = Stack::shared().await.desk();
        for (action, symbol, quantity) in [
            ("LONG", "BTCUSDT", "0.02"),
            ("SHORT", "ETHUSDT", "1.5"),
            ("SHORT", "BTCUSDT", "0.01"),
            ("CLOSE_SHORT", "ETHUSDT", "0.5"),
        ] {
            let reply = desk
                .trade(json!({ "action": action, "symbol": symbol, "quantity": quantity }))
                .await;
            desk.recorded(reply.str("signalId"), "filled").await;
        }
        let at_exchange = desk.exchange.orders();
        let recorded = eventually("the fees of every order", async || {
            let orders = desk.listed("orders").await;
            orders
                .iter()
                .all(|order| order["fee"].is_string())
                .then_some(orders)
        })
        .await;
        assert_eq!(recorded.len(), at_exchange.len());
        for order in &at_exchange {
            let id = order.client_order_id.as_deref().unwrap();
            let record = recorded
                .iter()
                .find(|record| record["clientOrderId"] == id)
                .unwrap();
            assert_eq!(record["symbol"], order.symbol);
            assert_eq!(record["side"], order.side.to_lowercase());
            assert_eq!(record["reduceOnly"], order.reduce_only);
            assert_eq!(record["venueOrderId"], order.order_id);
            assert_eq!(record["state"], "filled");
            assert_eq!(number(&record["quantity"]), order.qty);
            assert_eq!(number(&record["filledQuantity"]), order.filled_qty);
            assert_eq!(number(&record["averagePrice"]), order.avg_price.unwrap());
            let fills = desk
                .exchange
                .fills()
                .into_iter()
                .filter(|fill| fill.client_order_id.as_deref() == Some(id));
            assert_eq!(
                number(&record["fee"]),
                fills.map(|fill| fill.fee).sum::<Decimal>()
            );
        }
        eventually("the positions as the exchange has them", async || {
            let positions = desk.listed("positions").await;
            let signed = |symbol: &str| {
                let position = positions
                    .iter()
                    .find(|position| position["symbol"] == symbol)?;
                let size = number(&position["quantity"]);
                Some(if position["side"] == "short" {
                    -size
                } else {
                    size
                })
            };
            let same = ["BTCUSDT", "ETHUSDT"]
                .iter()
                .all(|symbol| signed(symbol) == Some(desk.held(symbol)));
            same.then_some(())
        })
        .await;
    });
}

#[test]
fn records_older_than_180_days_are_pruned_by_the_cron() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    run(async {
        let mut stack = Stack::own("retention", 1).await;
        let desk = stack.desk();
        let mut ids = Vec::new();
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            let reply = desk
                .trade(json!({ "action": "LONG", "symbol": symbol, "quantity": "0.02" }))
                .await;
            ids.push(reply.str("signalId").to_owned());
            desk.recorded(reply.str("signalId"), "filled").await;
        }
        let records = async |stack: &Stack| {
            let health = stack.sandbox.operator("GET", "/v1/health", None).await;
            health.json["records"].clone()
        };
        let told = records(&stack).await;
        let bytes = told["bytes"].as_u64().unwrap();
        assert!(bytes > 10_000, "{told}");
        assert_eq!(
            told,
            json!({ "bytes": bytes, "maxBytes": 400_000_000, "keptDays": 180, "full": false })
        );
        eventually("both fills", async || {
            let health = stack.sandbox.operator("GET", "/v1/health", None).await;
            let accounts = health.json["accounts"].as_array().unwrap().clone();
            accounts
                .iter()
                .all(|account| account["undeliveredRecords"] == 0)
                .then_some(())
        })
        .await;

        // The first one came half a year ago.
        stack.sandbox.kill();
        let at = now().as_millis() - 181 * DAY;
        let old = SignalId::new(Timestamp::from_millis(at), [7; 10]).to_string();
        let database = stack.sandbox.database();
        for sql in [
            "UPDATE signals SET id = ?2, received_at = ?3 WHERE id = ?1",
            "UPDATE orders SET client_order_id = replace(client_order_id, ?1, ?2), signal_id = ?2, created_at = ?3 \
             WHERE signal_id = ?1",
            "UPDATE fills SET client_order_id = replace(client_order_id, ?1, ?2), filled_at = ?3 \
             WHERE client_order_id LIKE 'hx-' || ?1 || '-%'",
        ] {
            assert_eq!(
                database.execute(sql, (&ids[0], &old, at)).unwrap(),
                1,
                "{sql}"
            );
        }
        drop(database);
        let part = Part::records(&stack.sandbox).await;
        part.strike().await;
        part.stop();
        let database = stack.sandbox.database();
        for table in ["signals", "orders", "fills"] {
            let count = format!("SELECT count(*) FROM {table}");
            let left: i64 = database.query_row(&count, [], |row| row.get(0)).unwrap();
            assert_eq!(left, 1, "{table}");
        }
        drop(database);

        stack.sandbox.start_again().await;
        assert_eq!(
            self::ids(&paged(&desk, "signals", 10).await, "id"),
            ids[1..]
        );
        assert_eq!(
            self::ids(&paged(&desk, "orders", 10).await, "signalId"),
            ids[1..]
        );
        assert_eq!(paged(&desk, "positions", 10).await.len(), 2);
        let told = records(&stack).await;
        assert_eq!(told["prunedBy"], "age");
        let until = told["prunedUntil"].as_i64().unwrap();
        let age = told["prunedAt"].as_i64().unwrap() - until;
        assert_eq!(age, 180 * DAY);
        // The audit trail has a rule of its own.
        let audit = "/v1/audit/verify?chain=ledger/";
        let path = format!("{audit}{}-id", desk.account);
        let audit = stack.sandbox.operator("GET", &path, None).await;
        assert_eq!(audit.json["audit"]["checked"], 6, "{}", audit.text);
    });
}

#[test]
fn an_account_is_named_by_name_or_id_and_sees_its_own_only() {
    run(async {
        let stack = Stack::shared().await;
        let (desk, other) = (stack.desk(), stack.desk());
        for desk in [&desk, &other] {
            let reply = desk
                .trade(json!({ "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01" }))
                .await;
            desk.recorded(reply.str("signalId"), "filled").await;
        }
        for name in [desk.account.clone(), format!("{}-id", desk.account)] {
            for listing in ["signals", "orders"] {
                let reply = stack
                    .sandbox
                    .operator("GET", &format!("/v1/{listing}?account={name}"), None)
                    .await;
                let accounts: BTreeSet<_> =
                    ids(reply.json["items"].as_array().unwrap(), "accountId")
                        .into_iter()
                        .collect();
                assert_eq!(
                    accounts,
                    BTreeSet::from([format!("{}-id", desk.account)]),
                    "{}",
                    reply.text
                );
            }
        }
        let all = stack
            .sandbox
            .operator("GET", "/v1/signals?limit=100", None)
            .await;
        assert_eq!(all.status, 200, "{}", all.text);
        let accounts = ids(all.json["items"].as_array().unwrap(), "account");
        for desk in [&desk, &other] {
            assert!(accounts.contains(&desk.account));
        }
    });
}

#[test]
fn wrong_parameters_are_named() {
    run(async {
        let stack = Stack::shared().await;
        let desk = stack.desk();
        for action in ["LONG", "CLOSE_LONG"] {
            let reply = desk
                .trade(json!({ "action": action, "symbol": "BTCUSDT", "quantity": "0.01" }))
                .await;
            desk.recorded(reply.str("signalId"), "filled").await;
        }
        let page = desk.page("signals", "&limit=1").await;
        let cursor = page.str("nextCursor");
        for listing in ["signals", "orders", "positions"] {
            for (query, field) in [
                ("limit=0", "limit"),
                ("limit=101", "limit"),
                ("limit=-1", "limit"),
                ("limit=ten", "limit"),
                ("limit=1.5", "limit"),
                ("cursor=bm90aGluZw", "cursor"),
                ("cursor=%20", "cursor"),
                ("account=nobody", "account"),
                ("accounts=demo", "accounts"),
                ("Limit=1", "Limit"),
            ] {
                let reply = stack
                    .sandbox
                    .operator("GET", &format!("/v1/{listing}?{query}"), None)
                    .await;
                assert_eq!(
                    reply.verdict(),
                    (400, "BAD_FIELD"),
                    "{listing}?{query}: {}",
                    reply.text
                );
                assert_eq!(reply.str("field"), field);
            }
        }
        // A cursor belongs to one listing.
        let reply = desk.page("orders", &format!("&cursor={cursor}")).await;
        assert_eq!(reply.verdict(), (400, "BAD_FIELD"), "{}", reply.text);
        assert_eq!(reply.str("field"), "cursor");
        let reply = desk.page("signals", &format!("&cursor={cursor}")).await;
        assert_eq!(
            (reply.status, reply.json["items"].as_array().unwrap().len()),
            (200, 1),
            "{}",
            reply.text
        );
    });
}
