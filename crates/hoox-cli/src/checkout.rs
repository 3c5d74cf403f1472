//! The checkout that a command runs in, and its wrangler files.

use std::path::{Path, PathBuf};
use std::{env, fs};

use hoox_mesh::Worker;
use hoox_mesh::registry::{CONFIG_KV, DB};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value, value};

use crate::failure::Failure;

/// Whether an id is the zeros that stand in the files before a deployment has its own.
pub(crate) fn is_placeholder(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0' || byte == b'-')
}

/// The root of a checkout.
pub(crate) struct Checkout(PathBuf);

/// A binding in a wrangler file that holds an id of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    ConfigKv,
    Database,
}

impl Slot {
    /// Every worker that has it.
    const fn workers(self) -> &'static [Worker] {
        match self {
            Self::ConfigKv => &[Worker::Hoox, Worker::Trade],
            Self::Database => &[Worker::D1],
        }
    }

    /// Its table, its binding's name and the field of the id.
    const fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ConfigKv => ("kv_namespaces", CONFIG_KV, "id"),
            Self::Database => ("d1_databases", DB, "database_id"),
        }
    }
}

/// What a wrangler file says of its worker's addresses.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Whether it answers at workers.dev.
    pub(crate) workers_dev: bool,
    /// Whether its versions do.
    pub(crate) previews: bool,
    /// Domains of its own.
    pub(crate) domains: Vec<String>,
    /// Patterns of routes.
    pub(crate) routes: Vec<String>,
}

impl Said {
    /// A route: a pattern, or a table with one.
    fn take(&mut self, route: &Value) {
        let table = route.as_inline_table();
        let pattern = table.and_then(|table| table.get("pattern")?.as_str());
        let custom = table.and_then(|table| table.get("custom_domain")?.as_bool());
        if let Some(pattern) = pattern.or_else(|| route.as_str()) {
            let list = match custom {
                Some(true) => &mut self.domains,
                _ => &mut self.routes,
            };
            list.push(pattern.to_owned());
        }
    }
}

impl Checkout {
    /// The working folder or the nearest folder above it. A worker's own folder has no workers.
    pub(crate) fn here() -> Result<Self, Failure> {
        let missing = || {
            Failure::new("NO_CHECKOUT", "this is no checkout of Hoox")
                .hint("run it in a folder of one, where wrangler.toml is")
        };
        let here = env::current_dir().map_err(|_| missing())?;
        let root = here.ancestors().find(|folder| {
            folder.join("wrangler.toml").is_file() && folder.join("workers").is_dir()
        });
        root.map(|root| Self(root.to_owned())).ok_or_else(missing)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// The id that the wrangler files give a binding; `None` while it is a placeholder.
    pub(crate) fn id(&self, slot: Slot) -> Result<Option<String>, Failure> {
        let (list, binding, field) = slot.place();
        let mut found: Option<String> = None;
        for worker in slot.workers() {
            let mut document = self.document(*worker)?;
            let table = bound(&mut document, list, binding);
            let id = table
                .and_then(|table| table.get(field)?.as_str())
                .unwrap_or_default()
                .to_owned();
            if found.as_ref().is_some_and(|other| *other != id) {
                let message = format!("the wrangler files name different ids for {binding}");
                return Err(
                    Failure::new("NOT_CONFIGURED", message).hint("they must name the same one")
                );
            }
            found = Some(id);
        }
        Ok(found.filter(|id| !is_placeholder(id)))
    }

    /// Writes an id into the wrangler files; everything else in them stays as it is.
    pub(crate) fn set_id(&self, slot: Slot, id: &str) -> Result<(), Failure> {
        let (list, binding, field) = slot.place();
        for worker in slot.workers() {
            let file = self.0.join(worker.wrangler_file());
            let mut document = self.document(*worker)?;
            let table = bound(&mut document, list, binding).ok_or_else(|| {
                let message = format!("{} has no binding {binding}", worker.wrangler_file());
                Failure::new("NOT_CONFIGURED", message)
            })?;
            if let Some(place) = table.get_mut(field).and_then(Item::as_value_mut) {
                let decor = place.decor().clone();
                *place = id.into();
                *place.decor_mut() = decor;
            } else {
                table.insert(field, value(id));
            }
            fs::write(&file, document.to_string()).map_err(|error| unreadable(&file, &error))?;
        }
        Ok(())
    }

    /// Names of the database's migrations, in their order.
    pub(crate) fn migrations(&self) -> Result<Vec<String>, Failure> {
        let folder = self.0.join("crates/hoox-store/migrations");
        let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        let files = entries.flatten().map(|entry| entry.path());
        let files = files.filter(|file| file.extension().is_some_and(|kind| kind == "sql"));
        let mut names: Vec<String> = files
            .filter_map(|file| Some(file.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Refuses wrangler files that give a worker another name: what calls it, and every command, knows it by this one.
    pub(crate) fn has_the_names(&self) -> Result<(), Failure> {
        for worker in Worker::ALL {
            let document = self.document(worker)?;
            let said = document.get("name").and_then(Item::as_str);
            let (name, file) = (worker.name(), worker.wrangler_file());
            if said != Some(name) {
                let said = said.unwrap_or_default();
                let message = format!(
                    "{file} names the worker '{said}', and everything else knows it as '{name}'"
                );
                return Err(Failure::new("RENAMED", message)
                    .hint(format!("put name = \"{name}\" back; nothing was uploaded")));
            }
        }
        Ok(())
    }

    /// What a worker's wrangler file says of its addresses. Where it says nothing of workers.dev, wrangler opens it unless
    /// there are routes; where it says nothing of previews, Cloudflare has them follow workers.dev, whatever they were.
    pub(crate) fn addresses(&self, worker: Worker) -> Result<Said, Failure> {
        let document = self.document(worker)?;
        let switch = |name: &str| document.get(name).and_then(Item::as_bool);
        let mut said = Said::default();
        let listed = document.get("routes").and_then(Item::as_array);
        let values = listed.into_iter().flat_map(toml_edit::Array::iter);
        let single = document.get("route").and_then(Item::as_value);
        for route in values.chain(single) {
            said.take(route);
        }
        let tables = document.get("routes").and_then(Item::as_array_of_tables);
        for table in tables.into_iter().flat_map(ArrayOfTables::iter) {
            said.take(&table.clone().into_inline_table().into());
        }
        let routed = !said.domains.is_empty() || !said.routes.is_empty();
        said.workers_dev = switch("workers_dev").unwrap_or(!routed);
        said.previews = switch("preview_urls").unwrap_or(said.workers_dev);
        Ok(said)
    }

    /// A worker's wrangler file as plain data.
    pub(crate) fn data(&self, worker: Worker) -> Result<serde_json::Value, Failure> {
        let (file, text) = self.text(worker)?;
        toml::from_str(&text).map_err(|error| unreadable(&file, &error))
    }

    fn document(&self, worker: Worker) -> Result<DocumentMut, Failure> {
        let (file, text) = self.text(worker)?;
        text.parse().map_err(|error| unreadable(&file, &error))
    }

    fn text(&self, worker: Worker) -> Result<(PathBuf, String), Failure> {
        let file = self.0.join(worker.wrangler_file());
        let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        Ok((file, text))
    }
}

/// The table of a binding in a list of tables.
fn bound<'a>(document: &'a mut DocumentMut, list: &str, binding: &str) -> Option<&'a mut Table> {
    let tables = document
        .get_mut(list)
        .and_then(Item::as_array_of_tables_mut)?;
    ArrayOfTables::iter_mut(tables)
        .find(|table| table.get("binding").and_then(Item::as_str) == Some(binding))
}

fn unreadable(file: &Path, error: &dyn core::fmt::Display) -> Failure {
    let message = format!("{}: {error}", file.display());
    Failure::new("FILE", message).hint("mend the file: `git diff` shows what was changed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Private;

    #[test]
    fn the_addresses_of_a_wrangler_file_in_every_way_to_write_them() {
        let folder = Private::new().unwrap();
        let of = |text: &str| {
            fs::write(folder.path().join("wrangler.toml"), text).unwrap();
            let checkout = Checkout(folder.path().to_owned());
            let said = checkout.addresses(Worker::Hoox).unwrap();
            (
                said.workers_dev,
                said.previews,
                said.domains.join(" "),
                said.routes.join(" "),
            )
        };
        let (none, text) = (String::new, |text: &str| text.to_owned());
        assert_eq!(of(""), (true, true, none(), none()));
        assert_eq!(
            of("workers_dev = true\npreview_urls = false\n"),
            (true, false, none(), none())
        );
        assert_eq!(of("workers_dev = false\n"), (false, false, none(), none()));
        assert_eq!(
            of("workers_dev = false\npreview_urls = false\n"),
            (false, false, none(), none())
        );
        assert_eq!(
            of("route = \"a.example.com/*\"\n"),
            (false, false, none(), text("a.example.com/*"))
        );
        assert_eq!(
            of(
                "workers_dev = true\nroutes = [\"a.example.com/*\", { pattern = \"b.example.com\", custom_domain = true }]\n"
            ),
            (true, true, text("b.example.com"), text("a.example.com/*"))
        );
        assert_eq!(
            of("[[routes]]\npattern = \"b.example.com\"\ncustom_domain = true\n"),
            (false, false, text("b.example.com"), none())
        );
    }
}
