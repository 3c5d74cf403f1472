//! The wrangler files hold exactly what the registry says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a failed expectation is the assertion"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use hoox_mesh::registry::{CONFIG_KV, CONTROL, DB, LEDGER};
use hoox_mesh::{Edge, Worker};
use toml::{Table, Value};

fn file(worker: Worker) -> Table {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(worker.wrangler_file());
    std::fs::read_to_string(&path).unwrap().parse().unwrap()
}

/// The values of `key` in an array of tables.
fn names<'a>(table: &'a Table, path: &[&str], key: &str) -> BTreeSet<&'a str> {
    let mut value = table.get(path[0]);
    for step in &path[1..] {
        value = value.and_then(|value| value.get(step));
    }
    let entries = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    entries
        .iter()
        .map(|entry| entry[key].as_str().unwrap())
        .collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.into_iter().collect()
}

#[test]
fn every_worker_has_its_name() {
    for worker in Worker::ALL {
        assert_eq!(file(worker)["name"].as_str(), Some(worker.name()));
    }
}

#[test]
fn only_the_gateway_has_an_address() {
    for worker in Worker::ALL {
        let table = file(worker);
        assert_eq!(
            table["workers_dev"].as_bool(),
            Some(worker.is_public()),
            "{worker:?}"
        );
        assert_eq!(table["preview_urls"].as_bool(), Some(false), "{worker:?}");
        for key in ["route", "routes", "env"] {
            assert!(!table.contains_key(key), "{worker:?} has {key}");
        }
    }
}

#[test]
fn service_bindings_are_the_edges() {
    for worker in Worker::ALL {
        let table = file(worker);
        let edges: Vec<Edge> = Edge::ALL
            .into_iter()
            .filter(|edge| edge.caller() == worker)
            .collect();
        assert_eq!(
            names(&table, &["services"], "binding"),
            set(edges.iter().map(|edge| edge.binding()))
        );
        assert_eq!(
            names(&table, &["services"], "service"),
            set(edges.iter().map(|edge| edge.callee().name()))
        );
    }
}

#[test]
fn storage_is_bound_where_the_registry_says() {
    let expected = [
        (Worker::Hoox, vec![CONFIG_KV], vec![], vec![]),
        (
            Worker::Trade,
            vec![CONFIG_KV],
            vec![LEDGER, CONTROL],
            vec![],
        ),
        (Worker::D1, vec![], vec![], vec![DB]),
    ];
    for (worker, kv, objects, databases) in expected {
        let table = file(worker);
        assert_eq!(
            names(&table, &["kv_namespaces"], "binding"),
            set(kv),
            "{worker:?}"
        );
        assert_eq!(
            names(&table, &["durable_objects", "bindings"], "name"),
            set(objects),
            "{worker:?}"
        );
        assert_eq!(
            names(&table, &["d1_databases"], "binding"),
            set(databases),
            "{worker:?}"
        );
    }
    let trade = file(Worker::Trade);
    let kept: BTreeSet<&str> = trade["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|migration| migration["new_sqlite_classes"].as_array().unwrap())
        .map(|class| class.as_str().unwrap())
        .collect();
    assert_eq!(
        kept,
        names(&trade, &["durable_objects", "bindings"], "class_name")
    );
}

#[test]
fn every_binding_is_one_of_the_registrys() {
    let kinds: [(&[&str], &str); 5] = [
        (&["kv_namespaces"], "binding"),
        (&["services"], "binding"),
        (&["durable_objects", "bindings"], "name"),
        (&["d1_databases"], "binding"),
        (&["ratelimits"], "name"),
    ];
    for worker in Worker::ALL {
        let table = file(worker);
        let bound: BTreeSet<&str> = kinds
            .iter()
            .flat_map(|(path, key)| names(&table, path, key))
            .collect();
        assert_eq!(bound, set(worker.bindings().iter().copied()), "{worker:?}");
    }
}

#[test]
fn both_users_of_the_configuration_name_the_same_namespace() {
    let id = |worker| {
        file(worker)["kv_namespaces"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id(Worker::Hoox), id(Worker::Trade));
}

#[test]
fn required_secrets_are_the_registrys() {
    for worker in [Worker::Hoox, Worker::D1] {
        let table = file(worker);
        let listed = table["secrets"]["required"].as_array().unwrap();
        let listed = set(listed.iter().map(|name| name.as_str().unwrap()));
        assert_eq!(listed, set(worker.required_secrets()), "{worker:?}");
    }
    // A trader sets only the keys of the venues in use, so none is listed as required.
    assert!(!file(Worker::Trade).contains_key("secrets"));
}

#[test]
fn no_two_edges_share_a_key() {
    let secrets: BTreeSet<&str> = Edge::ALL.into_iter().map(Edge::secret).collect();
    assert_eq!(secrets.len(), Edge::ALL.len());
}
