//! What ordinary clients do not show: permissions, refused headers, limits and faults.

#[cfg(test)]
mod api {
    use hoox_cloud_sim::{Cloud, Fault, FaultAnswer, Handle, State};
    use reqwest::{Client, Method, Response};
    use serde_json::{Value, json};

    const ACCOUNT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OTHER: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    const ZONE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const NAMESPACE: &str = "cccccccccccccccccccccccccccccccc";

    /// A client that goes by no proxy, whatever the environment says.
    fn direct() -> Client {
        Client::builder().no_proxy().build().unwrap()
    }

    fn seed() -> State {
        let zones: Vec<Value> = (0..60)
        .map(|index| json!({ "id": format!("{index:032x}"), "name": format!("z{index}.example"), "account": OTHER }))
        .chain([json!({ "id": ZONE, "name": "own.example", "account": ACCOUNT })])
        .collect();
        serde_json::from_value(json!({
        "tokens": [
            { "token": "all", "id": "1" },
            { "token": "reader", "id": "2", "permissions": ["Workers Scripts Read", "Zone WAF Read"] },
            { "token": "writer", "id": "3", "permissions": ["Workers Scripts Write"], "accounts": [ACCOUNT] },
            { "token": "off", "id": "4", "status": "disabled" },
        ],
        "accounts": [
            {
                "id": ACCOUNT, "name": "Own",
                "scripts": { "hoox": { "secrets": { "KEY": "value" }, "bindings": [{ "name": "DB", "type": "d1", "id": "x" }] } },
                "namespaces": [{ "id": NAMESPACE, "title": "CONFIG_KV", "entries": { "old": { "value": "x", "expiration": 1 } } }],
            },
            { "id": OTHER, "name": "Other", "scripts": { "theirs": {} } },
        ],
        "zones": zones,
    }))
    .unwrap()
    }

    struct Api {
        cloud: Handle,
        client: Client,
    }

    impl Api {
        async fn start() -> Self {
            Self {
                cloud: Cloud::start(0, seed()).await.unwrap(),
                client: direct(),
            }
        }

        async fn send(
            &self,
            token: &str,
            method: Method,
            path: &str,
            body: Option<Value>,
        ) -> reqwest::Result<Response> {
            let request = self
                .client
                .request(method, format!("{}{path}", self.cloud.base_url()))
                .bearer_auth(token);
            match body {
                Some(body) => request.json(&body),
                None => request,
            }
            .send()
            .await
        }

        /// Status, code of the first error (0 without one) and the whole answer.
        async fn call(
            &self,
            token: &str,
            method: Method,
            path: &str,
            body: Option<Value>,
        ) -> (u16, i64, Value) {
            let response = self.send(token, method, path, body).await.unwrap();
            let status = response.status().as_u16();
            let answer: Value = response.json().await.unwrap();
            assert_eq!(answer["success"], status == 200);
            (
                status,
                answer["errors"][0]["code"].as_i64().unwrap_or(0),
                answer,
            )
        }

        async fn get(&self, token: &str, path: &str) -> (u16, i64, Value) {
            self.call(token, Method::GET, path, None).await
        }

        fn secret(&self, name: &str) -> Option<String> {
            let state = self.cloud.state();
            state.account(ACCOUNT).unwrap().scripts["hoox"]
                .secrets
                .get(name)
                .cloned()
        }
    }

    fn secrets() -> String {
        format!("/accounts/{ACCOUNT}/workers/scripts/hoox/secrets")
    }

    fn new_secret() -> Value {
        json!({ "name": "NEW", "text": "fresh", "type": "secret_text" })
    }

    fn entrypoint() -> String {
        format!("/zones/{ZONE}/rulesets/phases/http_request_firewall_custom/entrypoint")
    }

    fn rules(count: usize) -> Value {
        let rule = json!({ "action": "block", "expression": "(ip.src eq 192.0.2.1)" });
        json!({ "rules": vec![rule; count] })
    }

    #[tokio::test]
    async fn a_token_does_what_its_permissions_say() {
        let api = Api::start().await;
        assert_eq!(api.get("reader", &secrets()).await.0, 200);
        let (status, code, _) = api
            .call("reader", Method::PUT, &secrets(), Some(new_secret()))
            .await;
        assert_eq!((status, code), (403, 10_000));
        assert_eq!(api.secret("NEW"), None);
        assert_eq!(
            api.call("writer", Method::PUT, &secrets(), Some(new_secret()))
                .await
                .0,
            200
        );
        assert_eq!(api.secret("NEW").as_deref(), Some("fresh"));
        assert_eq!(
            api.get("writer", &secrets()).await.0,
            200,
            "write includes read"
        );

        let (status, code, _) = api
            .call("reader", Method::PUT, &entrypoint(), Some(rules(1)))
            .await;
        assert_eq!((status, code), (403, 10_000));
        let (status, code, answer) = api.get("reader", "/zones").await;
        assert_eq!((status, code), (403, 0));
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("com.cloudflare.api.account.zone.list"),
            "{message}"
        );
        let (status, code, _) = api.get("reader", "/user").await;
        assert_eq!((status, code), (403, 9_109));
    }

    #[tokio::test]
    async fn a_token_of_one_account_does_not_see_the_other() {
        let api = Api::start().await;
        let theirs = format!("/accounts/{OTHER}/workers/scripts");
        assert_eq!(api.get("all", &theirs).await.0, 200);
        let (status, code, _) = api.get("writer", &theirs).await;
        assert_eq!((status, code), (403, 10_000));
        let unknown = format!("/accounts/{}/workers/scripts", "f".repeat(32));
        assert_eq!(api.get("all", &unknown).await.1, 10_000);
        let (status, code, _) = api.get("all", "/accounts/hoox/workers/scripts").await;
        assert_eq!((status, code), (404, 7_003));
    }

    #[tokio::test]
    async fn a_token_that_is_off_or_none_at_all_is_refused() {
        let api = Api::start().await;
        let (status, _, answer) = api.get("off", "/user/tokens/verify").await;
        assert_eq!(
            (status, answer["result"]["status"].as_str()),
            (200, Some("disabled"))
        );
        let (status, code, _) = api.get("off", &secrets()).await;
        assert_eq!((status, code), (401, 10_000));
        let (status, code, _) = api.get("off", "/zones").await;
        assert_eq!((status, code), (403, 9_109));
        let (status, code, answer) = api.get("not a token", "/zones").await;
        assert_eq!((status, code), (400, 6_003));
        assert_eq!(answer["errors"][0]["error_chain"][0]["code"], 6_111);

        let url = format!("{}/zones", api.cloud.base_url());
        let answer: Value = api
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(answer["errors"][0]["code"], 9_106);
    }

    #[tokio::test]
    async fn the_name_of_a_binding_is_no_name_for_a_secret() {
        let api = Api::start().await;
        let body = json!({ "name": "DB", "text": "x", "type": "secret_text" });
        let (status, code, _) = api.call("all", Method::PUT, &secrets(), Some(body)).await;
        assert_eq!((status, code), (400, 10_053));
        let absent = format!("{}/ABSENT", secrets());
        let (status, code, _) = api.call("all", Method::DELETE, &absent, None).await;
        assert_eq!((status, code), (404, 10_056));
    }

    #[tokio::test]
    async fn pages_have_limits() {
        let api = Api::start().await;
        let (_, _, answer) = api.get("all", "/zones?per_page=1000").await;
        assert_eq!(answer["result"].as_array().unwrap().len(), 50);
        assert_eq!(answer["result_info"]["total_pages"], 2);
        let keys = format!("/accounts/{ACCOUNT}/storage/kv/namespaces/{NAMESPACE}/keys");
        assert_eq!(api.get("all", &format!("{keys}?limit=9")).await.0, 400);
        let (_, _, answer) = api.get("all", &format!("{keys}?limit=10")).await;
        assert_eq!(answer["result"], json!([]), "the only value has expired");
    }

    #[tokio::test]
    async fn rules_are_counted_and_checked_one_by_one() {
        let api = Api::start().await;
        let (_, _, full) = api
            .call("all", Method::PUT, &entrypoint(), Some(rules(5)))
            .await;
        let base = format!(
            "/zones/{ZONE}/rulesets/{}/rules",
            full["result"]["id"].as_str().unwrap()
        );
        let one = json!({ "action": "block", "expression": "true" });
        let (status, code, _) = api.call("all", Method::POST, &base, Some(one)).await;
        assert_eq!((status, code), (400, 20_217));

        let id = |answer: &Value, index: usize| answer["result"]["rules"][index]["id"].clone();
        let last = format!("{base}/{}", id(&full, 4).as_str().unwrap());
        let blank = json!({ "enabled": false });
        let (status, code, answer) = api.call("all", Method::PATCH, &last, Some(blank)).await;
        assert_eq!((status, code), (400, 20_125), "a change is the whole rule");
        assert_eq!(answer["errors"][0]["source"]["pointer"], "/expression");
        let first = json!({ "position": { "index": 1 } });
        let (_, _, moved) = api.call("all", Method::PATCH, &last, Some(first)).await;
        assert_eq!(id(&moved, 0), id(&full, 4));
        assert_eq!(moved["result"]["version"], "2");

        let (_, _, same) = api.get("all", &entrypoint()).await;
        assert_eq!(
            same["result"], moved["result"],
            "what was refused changed nothing"
        );
    }

    #[tokio::test]
    async fn a_rule_that_says_the_same_stays_as_it_was() {
        let api = Api::start().await;
        let put = async |body| {
            api.call("all", Method::PUT, &entrypoint(), Some(body))
                .await
                .2
        };
        let first = put(rules(1)).await["result"]["rules"][0].clone();
        assert_eq!(first["ref"], first["id"]);
        let mut given = first.clone();
        given.as_object_mut().unwrap().remove("ref");
        let again = put(json!({ "rules": [given] })).await;
        assert_eq!(again["result"]["rules"], json!([first]));
        given["ref"] = json!("hoox");
        let renamed = put(json!({ "rules": [given] })).await["result"]["rules"][0].clone();
        assert_eq!(
            (&renamed["id"], &renamed["ref"]),
            (&first["id"], &json!("hoox"))
        );
        assert_eq!(renamed["version"], "2");
    }

    #[tokio::test]
    async fn a_fault_strikes_where_and_as_often_as_it_should() {
        let api = Api::start().await;
        let limit = FaultAnswer::RateLimit { retry_after: 7 };
        api.cloud.faults(vec![
            Fault::new(limit.clone()).at("PUT", secrets()).times(2),
            Fault::new(limit),
        ]);
        for _ in 0..2 {
            let response = api
                .send("all", Method::PUT, &secrets(), Some(new_secret()))
                .await
                .unwrap();
            assert_eq!(response.headers()["retry-after"], "7");
            let answer: Value = response.json().await.unwrap();
            assert_eq!(answer["errors"][0]["code"], 10_429);
        }
        assert_eq!(api.get("all", "/accounts").await.1, 971);
        assert_eq!(api.secret("NEW"), None);
        assert_eq!(api.cloud.waiting_faults(), []);
        assert_eq!(
            api.call("all", Method::PUT, &secrets(), Some(new_secret()))
                .await
                .0,
            200
        );
        let statuses: Vec<u16> = api
            .cloud
            .calls()
            .iter()
            .filter(|call| call.writes())
            .map(|call| call.status)
            .collect();
        assert_eq!(statuses, [429, 429, 200]);
    }

    #[tokio::test]
    async fn an_answer_is_lost_after_the_effect() {
        let api = Api::start().await;
        api.cloud
            .faults(vec![Fault::new(FaultAnswer::Disconnect).with_effect()]);
        let lost = api
            .send("all", Method::PUT, &secrets(), Some(new_secret()))
            .await;
        assert!(lost.unwrap_err().is_request());
        assert_eq!(api.secret("NEW").as_deref(), Some("fresh"));
    }

    #[tokio::test]
    async fn the_document_that_is_read_is_one_that_can_be_set() {
        let api = Api::start().await;
        assert_eq!(
            api.call("all", Method::PUT, &entrypoint(), Some(rules(1)))
                .await
                .0,
            200
        );
        let control = format!("{}/__control/state", api.cloud.url());
        let read = || async {
            api.client
                .get(&control)
                .send()
                .await
                .unwrap()
                .json::<Value>()
                .await
                .unwrap()
        };
        let before = read().await;
        assert_eq!(
            before["accounts"][0]["scripts"]["hoox"]["secrets"]["KEY"],
            "value"
        );
        let set = api.client.put(&control).json(&before).send().await.unwrap();
        assert_eq!(set.status(), 204);
        assert_eq!(read().await, before);
        assert_eq!(api.cloud.calls(), []);
        let wrong = api
            .client
            .put(&control)
            .json(&json!({ "zone": [] }))
            .send()
            .await
            .unwrap();
        assert_eq!(wrong.status(), 400);
        assert_eq!(read().await, before);
    }

    #[tokio::test]
    async fn what_no_route_takes_is_refused_in_the_envelope() {
        let api = Api::start().await;
        assert_eq!(
            api.call("all", Method::DELETE, "/user", None).await.1,
            10_405
        );
        let (status, code, _) = api.get("all", "/zones?page=first").await;
        assert_eq!((status, code), (400, 6_003));
        let form = format!("/accounts/{ACCOUNT}/workers/scripts/hoox");
        let (status, code, _) = api.call("all", Method::PUT, &form, Some(json!({}))).await;
        assert_eq!((status, code), (400, 6_003));
        let (status, code, _) = api.get("all", "/radar").await;
        assert_eq!((status, code), (404, 7_003));
    }
}
