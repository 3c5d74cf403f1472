//! The fields of an alert's object, in order, with their raw values.

use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Names and raw values in order.
#[derive(Clone)]
pub(crate) struct Fields(pub(crate) Vec<(String, Box<RawValue>)>);

impl Fields {
    /// Reads an object that `Alert::parse` has taken.
    pub(crate) fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The object without a field.
    pub(crate) fn without(&self, name: &str) -> Self {
        let rest = self.0.iter().filter(|(known, _)| known != name);
        Self(rest.cloned().collect())
    }

    /// The object with one more field, a text.
    pub(crate) fn plus(&self, name: &str, text: &str) -> Self {
        let json = serde_json::Value::from(text).to_string();
        let mut fields = self.0.clone();
        fields.extend(
            RawValue::from_string(json)
                .ok()
                .map(|raw| (name.to_owned(), raw)),
        );
        Self(fields)
    }

    /// The object as JSON text.
    pub(crate) fn json(&self) -> String {
        let fields = self.0.iter().map(|(name, raw)| {
            let name = serde_json::Value::from(name.as_str());
            format!("{name}:{}", raw.get())
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
