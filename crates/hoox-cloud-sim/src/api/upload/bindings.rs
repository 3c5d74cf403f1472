//! The bindings of an upload: checked against what the account has, secrets taken apart, inherited ones looked up.

use serde_json::{Map, Value};

use crate::envelope::Failure;
use crate::state::{Account, Script, Version};

/// A binding's name.
pub(super) fn name(binding: &Value) -> &str {
    binding
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether a version has a binding or a secret of this name.
pub(super) fn named(version: &Version, wanted: &str) -> bool {
    version.secrets.contains_key(wanted)
        || version
            .bindings
            .iter()
            .any(|binding| name(binding) == wanted)
}

fn field<'a>(binding: &'a Map<String, Value>, name: &str) -> &'a str {
    binding
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Puts the bindings into the version.
pub(super) fn resolve(
    given: Vec<Map<String, Value>>,
    account: &Account,
    script: &Script,
    version: &mut Version,
) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for binding in given {
        let name = field(&binding, "name").to_owned();
        match field(&binding, "type") {
            "secret_text" => {
                let text = field(&binding, "text").to_owned();
                version.secrets.insert(name, text);
            }
            "inherit" => {
                if !inherit(&binding, script, version) {
                    missing.push(format!(
                        "inherit binding '{name}' is invalid: previous version does not have binding named '{name}'"
                    ));
                }
            }
            _ => {
                check(&binding, account, script)?;
                version.bindings.push(Value::Object(binding));
            }
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure::many(10_057, missing))
    }
}

/// Takes a binding or secret over from the present version; whether it was there.
fn inherit(binding: &Map<String, Value>, script: &Script, version: &mut Version) -> bool {
    let new = field(binding, "name");
    let old = binding
        .get("old_name")
        .and_then(Value::as_str)
        .unwrap_or(new);
    if let Some(text) = script.secrets.get(old) {
        version.secrets.insert(new.to_owned(), text.clone());
        return true;
    }
    let Some(mut found) = script
        .bindings
        .iter()
        .find(|binding| name(binding) == old)
        .cloned()
    else {
        return false;
    };
    if let Some(fields) = found.as_object_mut() {
        fields.insert("name".to_owned(), Value::from(new));
    }
    version.bindings.push(found);
    true
}

/// Whether what the binding leads to exists.
fn check(binding: &Map<String, Value>, account: &Account, script: &Script) -> Result<(), Failure> {
    let name = field(binding, "name");
    match field(binding, "type") {
        "kv_namespace" => {
            let id = field(binding, "namespace_id");
            exists(
                account.namespaces.iter().any(|one| one.id == id),
                10_041,
                || format!("KV namespace '{id}' not found."),
            )
        }
        "d1" => {
            let id = field(binding, "id");
            exists(
                account.databases.iter().any(|one| one.uuid == id),
                10_181,
                || format!("D1 binding '{name}' references database '{id}' which was not found."),
            )
        }
        "service" => {
            let target = field(binding, "service");
            exists(account.scripts.contains_key(target), 10_143, || {
                format!(
                    "Service binding '{name}' references Worker '{target}' which was not found."
                )
            })
        }
        "durable_object_namespace" => {
            let class = field(binding, "class_name");
            let other = field(binding, "script_name");
            let owner = if other.is_empty() {
                Some(script)
            } else {
                account.scripts.get(other)
            };
            exists(
                owner.is_some_and(|owner| owner.classes.iter().any(|one| one == class)),
                10_061,
                || {
                    format!(
                        "Cannot create binding for class '{class}' because it is not currently configured to \
                         implement Durable Objects."
                    )
                },
            )
        }
        _ => Ok(()),
    }
}

fn exists(found: bool, code: i64, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if found {
        Ok(())
    } else {
        Err(Failure::bad_request(code, message()))
    }
}
