//! What a deployment opens and closes, and where the profile's host goes.

use std::fs;

use serde_json::{Value, json};

use crate::{ACCOUNT, Desk, state};

const ZONE: &str = "0000000000000000000000000000d001";
const OWN: &str = "hoox.example.com";
const DEV: &str = "hoox.desk.workers.dev";

/// A deployment that answers at workers.dev, or not, and at these domains.
fn desk(name: &str, workers_dev: bool, domains: &[&str]) -> Desk {
    let mut state = state(&["hoox", "trade-worker", "d1-worker"]);
    state["accounts"][0]["scripts"]["hoox"]["workers_dev"] = json!(workers_dev);
    state["accounts"][0]["domains"] = domains.iter().map(|host| domain(host)).collect();
    state["zones"] = json!([{ "id": ZONE, "name": "example.com", "account": ACCOUNT }]);
    Desk::new(name, state)
}

fn domain(hostname: &str) -> Value {
    json!({ "id": "0000000000000000000000000000e001", "hostname": hostname, "service": "hoox", "zone_id": ZONE, "zone_name": "example.com" })
}

impl Desk {
    /// The profile's host.
    fn host(&self) -> Option<String> {
        let file = self.folder.join(".config/hoox/config.toml");
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("host = "))?;
        Some(line.trim_matches('"').to_owned())
    }
}

#[test]
fn an_address_that_was_closed_is_opened_only_when_asked_for() {
    let desk = desk("addresses-open", false, &[OWN]);
    let mut said = desk.says(&["deploy", "--dry-run"]);
    said += &desk.says(&["deploy"]);
    assert_eq!(desk.begun(), [""; 0]);
    // With its switches as they are at Cloudflare nothing is asked.
    desk.edit("wrangler.toml", "workers_dev = true", "workers_dev = false");
    said += &desk.says(&["deploy", "--dry-run"]);
    // A private worker that gets one is named, whoever has changed the file.
    desk.edit(
        "workers/d1-worker/wrangler.toml",
        "workers_dev = false",
        "workers_dev = true",
    );
    said += &desk.says(&["deploy"]);
    desk.edit(
        "workers/d1-worker/wrangler.toml",
        "workers_dev = true",
        "workers_dev = false",
    );
    // A domain that only the file has, and a route.
    let routes = "workers_dev = false\nroutes = [\"alerts.example.com/*\", { pattern = \"second.example.com\", custom_domain = true }]";
    desk.edit("wrangler.toml", "workers_dev = false", routes);
    said += &desk.says(&["deploy"]);
    assert_eq!(desk.begun(), [""; 0]);
    said += &desk.says(&["deploy", "--yes"]);
    assert_eq!(desk.begun().len(), 5);
    insta::assert_snapshot!(said);
}

#[test]
fn the_profile_follows_to_the_host_that_is_open() {
    let desk = desk("addresses-follow", true, &[]);
    let mut said = desk.says(&["init", "--yes"]);
    assert_eq!(desk.host().as_deref(), Some(DEV));
    // Closed without a domain of its own: nothing would reach it.
    desk.edit("wrangler.toml", "workers_dev = true", "workers_dev = false");
    said += &desk.says(&["deploy"]);
    assert_eq!(desk.begun(), [""; 0]);
    desk.change(|state| state["accounts"][0]["domains"] = json!([domain(OWN)]));
    said += &desk.says(&["deploy"]);
    assert_eq!(desk.host().as_deref(), Some(OWN));
    // It stays there, also while there is another one.
    desk.change(|state| {
        state["accounts"][0]["scripts"]["hoox"]["workers_dev"] = json!(false);
        state["accounts"][0]["domains"] = json!([domain("another.example.com"), domain(OWN)]);
    });
    said += &desk.says(&["deploy"]);
    assert_eq!(desk.host().as_deref(), Some(OWN));
    // A second machine finds the one that is open.
    fs::remove_dir_all(desk.folder.join(".config")).unwrap();
    desk.change(|state| state["accounts"][0]["domains"] = json!([domain(OWN)]));
    said += &desk.says(&["init", "--yes"]);
    assert_eq!(desk.host().as_deref(), Some(OWN));
    // And any that it is told, with a word where it leads nowhere.
    said += &desk.says(&["init", "--yes", "--host", "new.example.com"]);
    assert_eq!(desk.host().as_deref(), Some("new.example.com"));
    // However it is written.
    for (host, leads) in [
        ("HTTPS://HOOX.example.com:443/", true),
        ("NEW.example.com", false),
    ] {
        let ran = desk.hoox(&["init", "--yes", "--host", host]);
        let told = format!(
            "gateway        {host}{}\n",
            if leads {
                ""
            } else {
                ", which does not lead to the gateway yet: Workers, Settings, Domains & Routes"
            }
        );
        assert!(ran.status == 0 && ran.err.contains(&told), "{ran:?}");
    }
    let wrong = ["init", "--yes", "--host", "hoox.example.com/webhook"];
    assert_eq!(desk.hoox(&wrong).status, 2);
    assert_eq!(desk.host().as_deref(), Some("NEW.example.com"));
    insta::assert_snapshot!(said);
}

#[test]
fn a_profile_that_cannot_follow_makes_no_good_deploy_fail() {
    let desk = desk("addresses-unfollowed", true, &[]);
    let folder = desk.folder.join("a-folder");
    fs::create_dir(&folder).unwrap();
    let place = folder.display().to_string();
    let ran = desk.hoox_with(&[("HOOX_CONFIG", &place)], &["deploy"]);
    let expected = format!(
        "Deployed.\nThe gateway: https://{DEV}/\n\
         The profile does not mean {DEV} yet ({place}: Is a directory (os error 21)). See to that, then: hoox init --host {DEV}\n\
         Next: hoox doctor\n"
    );
    assert_eq!((ran.status, ran.out), (0, expected), "{}", ran.err);
}

#[test]
fn where_everything_is_closed_it_is_said_what_comes_next() {
    let desk = desk("addresses-none", true, &[]);
    desk.edit("wrangler.toml", "workers_dev = true", "workers_dev = false");
    let mut said = desk.says(&["deploy", "--yes"]);
    desk.change(|state| {
        state["accounts"][0]["scripts"]["hoox"]["workers_dev"] = json!(false);
        // A token that sees no routes does not know that there is none.
        state["tokens"][0]["permissions"] = json!([
            "Account Settings Read",
            "Workers Scripts Write",
            "Workers KV Storage Write",
            "D1 Write"
        ]);
    });
    said += &desk.says(&["deploy", "--dry-run"]);
    insta::assert_snapshot!(said);
}
