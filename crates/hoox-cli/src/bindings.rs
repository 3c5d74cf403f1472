//! What a deployment changes of a worker's bindings: its wrangler file beside what Cloudflare has.
//!
//! In scope: what a worker may call and read, and its variables by their names. Out of scope: secrets, which an upload
//! keeps, and the values of variables, which are not shown.

use core::fmt::{self, Write as _};

use hoox_mesh::Worker;
use serde_json::{Map, Value, json};

use crate::output::plain;

/// What a binding leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Namespace,
    Database,
    Service,
    DurableObject,
    RateLimit,
    Variable,
    /// Anything else, of which only the name is compared.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "KV namespace",
            Self::Database => "database",
            Self::Service => "service",
            Self::DurableObject => "Durable Object",
            Self::RateLimit => "rate limit",
            Self::Variable => "variable",
            Self::Other => "binding",
        })
    }
}

/// A binding as the wrangler file or Cloudflare has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// What it leads to, as it is compared.
    target: String,
}

impl Bound {
    /// With what it leads to, unless that is a value.
    fn shown(&self) -> String {
        let name = plain(&self.name);
        match self.kind {
            Kind::Variable | Kind::Other => format!("{name} ({})", self.kind),
            kind => format!("{name} ({kind} {})", plain(&self.target)),
        }
    }

    /// What it was before, where it changes.
    fn changed(&self, before: &Self) -> String {
        let after = self.shown();
        if self.kind == Kind::Variable && before.kind == Kind::Variable {
            return after;
        }
        let before = before.shown();
        let was = before.split_once('(').map_or("", |(_, was)| was);
        format!("{}, was {was}", after.trim_end_matches(')'))
    }
}

/// A text of a table; empty where there is none.
fn text<'a>(table: &'a Value, field: &str) -> &'a str {
    table.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A worker, and its entrypoint if it is not the usual one.
fn service(table: &Value) -> String {
    let service = text(table, "service");
    match text(table, "entrypoint") {
        "" => service.to_owned(),
        entrypoint => format!("{service}#{entrypoint}"),
    }
}

/// A class, and its worker if it is another one's.
fn class(table: &Value, own: Worker) -> String {
    let class = text(table, "class_name");
    match text(table, "script_name") {
        "" => class.to_owned(),
        script if script == own.name() => class.to_owned(),
        script => format!("{class} of {script}"),
    }
}

fn rate(table: &Value) -> String {
    let simple = table.get("simple").unwrap_or(&Value::Null);
    let number = |field: &str| simple.get(field).unwrap_or(&Value::Null).to_string();
    format!(
        "{}: {} in {} s",
        text(table, "namespace_id"),
        number("limit"),
        number("period")
    )
}

/// The bindings that a wrangler file gives its worker.
pub(crate) fn of_file(file: &Value, own: Worker) -> Vec<Bound> {
    let mut found = Vec::new();
    let mut take =
        |list: Option<&Value>, name: &str, kind: Kind, target: &dyn Fn(&Value) -> String| {
            for table in list.and_then(Value::as_array).into_iter().flatten() {
                found.push(Bound {
                    name: text(table, name).to_owned(),
                    kind,
                    target: target(table),
                });
            }
        };
    let id = |field: &'static str| move |table: &Value| text(table, field).to_owned();
    let objects = file.pointer("/durable_objects/bindings");
    take(
        file.get("kv_namespaces"),
        "binding",
        Kind::Namespace,
        &id("id"),
    );
    take(
        file.get("d1_databases"),
        "binding",
        Kind::Database,
        &id("database_id"),
    );
    take(file.get("services"), "binding", Kind::Service, &service);
    take(objects, "name", Kind::DurableObject, &|table| {
        class(table, own)
    });
    take(file.get("ratelimits"), "name", Kind::RateLimit, &rate);
    let variables = file.get("vars").and_then(Value::as_object);
    for (name, value) in variables.into_iter().flatten() {
        found.push(Bound {
            name: name.clone(),
            kind: Kind::Variable,
            target: value.to_string(),
        });
    }
    others(file, &mut found);
    found
}

/// Bindings of other kinds: whatever has a field `binding`.
fn others(part: &Value, found: &mut Vec<Bound>) {
    let name = text(part, "binding");
    if !name.is_empty() && !found.iter().any(|bound| bound.name == name) {
        found.push(Bound {
            name: name.to_owned(),
            kind: Kind::Other,
            target: String::new(),
        });
    }
    match part {
        Value::Array(parts) => parts.iter().for_each(|part| others(part, found)),
        Value::Object(parts) => parts.values().for_each(|part| others(part, found)),
        _ => {}
    }
}

/// A binding as Cloudflare shows it (the settings of a script); `None` for a secret.
pub(crate) fn of_cloudflare(name: &str, fields: &Map<String, Value>, own: Worker) -> Option<Bound> {
    let table = Value::Object(fields.clone());
    let first = |names: [&str; 2]| {
        let found = names.map(|name| text(&table, name));
        let found = found.into_iter().find(|text| !text.is_empty());
        found.unwrap_or_default().to_owned()
    };
    let value = |field: &str| table.get(field).unwrap_or(&Value::Null).to_string();
    let (kind, target) = match text(&table, "type") {
        "secret_text" | "secret_key" => return None,
        "kv_namespace" => (Kind::Namespace, first(["namespace_id", "id"])),
        "d1" => (Kind::Database, first(["id", "database_id"])),
        "service" => (Kind::Service, service(&table)),
        "durable_object_namespace" => (Kind::DurableObject, class(&table, own)),
        "ratelimit" => (Kind::RateLimit, rate(&table)),
        "plain_text" => (Kind::Variable, value("text")),
        "json" => (Kind::Variable, value("json")),
        _ => (Kind::Other, String::new()),
    };
    Some(Bound {
        name: name.to_owned(),
        kind,
        target,
    })
}

/// What changes of one worker's bindings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Changes {
    /// The file's bindings beside Cloudflare's. Where the file says so, variables that are not in it stay.
    pub(crate) fn of(file: &Value, has: &[Bound], own: Worker) -> Self {
        let said = of_file(file, own);
        let named =
            |list: &[Bound], name: &str| list.iter().find(|bound| bound.name == name).cloned();
        let mut changes = Self::default();
        for bound in &said {
            match named(has, &bound.name) {
                None => changes.added.push(bound.shown()),
                Some(before) if bound.kind == Kind::Other || before == *bound => {}
                Some(before) => changes.changed.push(bound.changed(&before)),
            }
        }
        let keeps = file.get("keep_vars") == Some(&Value::Bool(true));
        let gone = has.iter().filter(|bound| {
            named(&said, &bound.name).is_none() && !(keeps && bound.kind == Kind::Variable)
        });
        changes.removed.extend(gone.map(Bound::shown));
        changes
    }

    /// In one line; empty where nothing changes.
    fn words(&self) -> String {
        let mut text = String::new();
        for (what, names) in [
            ("adds", &self.added),
            ("changes", &self.changed),
            ("removes", &self.removed),
        ] {
            if !names.is_empty() {
                let gap = if text.is_empty() { "" } else { "; " };
                write!(text, "{gap}{what} {}", names.join(", ")).unwrap_or_default();
            }
        }
        text
    }
}

/// What changes of every worker's bindings, or why that is not known of one.
pub(crate) type Plan = Vec<(Worker, Result<Changes, String>)>;

/// A line for each worker of which something changes, or nothing is known.
pub(crate) fn words(plan: &Plan) -> Vec<String> {
    let line = |(worker, changes): &(Worker, Result<Changes, String>)| {
        let text = match changes {
            Ok(changes) => changes.words(),
            Err(why) => format!("not known: {why}"),
        };
        (!text.is_empty()).then(|| format!("{}: {text}", worker.name()))
    };
    plan.iter().filter_map(line).collect()
}

/// The same for programs.
pub(crate) fn data(plan: &Plan) -> Value {
    let worker = |(worker, changes): &(Worker, Result<Changes, String>)| match changes {
        Ok(changes) if *changes == Changes::default() => None,
        Ok(changes) => Some(json!({
            "worker": worker.name(),
            "added": changes.added,
            "changed": changes.changed,
            "removed": changes.removed,
        })),
        Err(why) => Some(json!({ "worker": worker.name(), "problem": why })),
    };
    plan.iter().filter_map(worker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        keep_vars = false
        kv_namespaces = [{ binding = "CONFIG_KV", id = "k1" }]
        ai = { binding = "AI" }
        [[d1_databases]]
        binding = "DB"
        database_id = "d1"
        [[services]]
        binding = "TRADE_WORKER"
        service = "trade-worker"
        [[durable_objects.bindings]]
        name = "LEDGER"
        class_name = "Ledger"
        [[ratelimits]]
        name = "ATTEMPTS"
        namespace_id = "1001"
        simple = { limit = 20, period = 60 }
        [vars]
        REGION = "apac"
        DEPTH = 5
    "#;

    fn file(text: &str) -> Value {
        toml::from_str(text).unwrap()
    }

    fn has(bindings: &Value) -> Vec<Bound> {
        let one = |binding: &Value| {
            let fields = binding.as_object().unwrap();
            of_cloudflare(fields["name"].as_str().unwrap(), fields, Worker::Trade)
        };
        bindings
            .as_array()
            .unwrap()
            .iter()
            .filter_map(one)
            .collect()
    }

    fn shown() -> Value {
        json!([
            { "type": "kv_namespace", "name": "CONFIG_KV", "namespace_id": "k1" },
            { "type": "ai", "name": "AI" },
            { "type": "d1", "name": "DB", "id": "d1" },
            { "type": "service", "name": "TRADE_WORKER", "service": "trade-worker", "environment": "production" },
            { "type": "durable_object_namespace", "name": "LEDGER", "class_name": "Ledger", "script_name": "trade-worker" },
            { "type": "ratelimit", "name": "ATTEMPTS", "namespace_id": "1001", "simple": { "limit": 20, "period": 60 } },
            { "type": "plain_text", "name": "REGION", "text": "apac" },
            { "type": "json", "name": "DEPTH", "json": 5 },
            { "type": "secret_text", "name": "OPERATOR_KEY" },
        ])
    }

    #[test]
    fn what_is_as_the_file_says_does_not_change() {
        let changes = Changes::of(&file(FILE), &has(&shown()), Worker::Trade);
        assert_eq!(changes, Changes::default());
        assert_eq!(words(&vec![(Worker::Trade, Ok(changes))]), [""; 0]);
    }

    #[test]
    fn what_is_added_removed_or_leads_elsewhere_is_named_without_values() {
        let mut other = shown();
        for (place, value) in [
            ("/0/namespace_id", "k2"),
            ("/2/id", "d2"),
            ("/3/service", "another"),
            ("/4/script_name", "another"),
            ("/6/text", "emea"),
            ("/7/name", "WIDTH"),
        ] {
            *other.pointer_mut(place).unwrap() = json!(value);
        }
        *other.pointer_mut("/5/simple/limit").unwrap() = json!(5);
        let of = |text: &str| {
            let changes = Changes::of(&file(text), &has(&other), Worker::Trade);
            words(&vec![(Worker::Trade, Ok(changes))]).concat()
        };
        let changed = "CONFIG_KV (KV namespace k1, was KV namespace k2), DB (database d1, was database d2), \
                       TRADE_WORKER (service trade-worker, was service another), \
                       LEDGER (Durable Object Ledger, was Durable Object Ledger of another), \
                       ATTEMPTS (rate limit 1001: 20 in 60 s, was rate limit 1001: 5 in 60 s), REGION (variable)";
        assert_eq!(
            of(FILE),
            format!(
                "trade-worker: adds DEPTH (variable); changes {changed}; removes WIDTH (variable)"
            )
        );
        assert_eq!(
            of(&FILE.replace("keep_vars = false", "keep_vars = true")),
            format!("trade-worker: adds DEPTH (variable); changes {changed}")
        );
        assert_eq!(
            words(&vec![(Worker::Hoox, Err("no answer".to_owned()))]),
            ["hoox: not known: no answer"]
        );
    }
}
