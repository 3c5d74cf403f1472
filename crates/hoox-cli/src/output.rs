//! What a command answers: text for people, one JSON envelope for programs.

use std::io::Write as _;

use hoox_model::Timestamp;
use serde_json::{Value, json};

use crate::status::Status;

/// What was done.
#[derive(Debug)]
pub(crate) struct Done {
    text: String,
    data: Value,
    status: Status,
}

impl Done {
    /// Text for people, data for programs.
    pub(crate) fn new(text: impl Into<String>, data: Value) -> Self {
        Self {
            text: text.into(),
            data,
            status: Status::Good,
        }
    }

    /// How it ended, where that is not well: done in part, found bad, or not to be judged.
    pub(crate) const fn ended(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn printed(&self, json: bool) -> String {
        if json {
            return format!(
                "{}\n",
                json!({ "ok": self.status == Status::Good, "data": self.data })
            );
        }
        if self.text.is_empty() || self.text.ends_with('\n') {
            return self.text.clone();
        }
        format!("{}\n", self.text)
    }

    pub(crate) const fn status(&self) -> Status {
        self.status
    }
}

/// Writes to stdout. A reader that has gone away, such as `head`, ends the program: nobody is left to answer.
pub(crate) fn emit(text: &str) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// A table: columns as wide as their widest cell, two blanks between them.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let all = || core::iter::once(&titles).chain(rows);
    let widths: Vec<usize> = (0..titles.len())
        .map(|column| {
            let cells = all().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(|row| line(row) + "\n").collect()
}

/// A field as a cell: texts as they are, moments as RFC 3339, nothing as a dash.
pub(crate) fn cell(item: &Value, field: &str) -> String {
    match item.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Number(number)) if field.ends_with("At") || field.ends_with("Until") => {
            let at = number.as_i64().map(Timestamp::from_millis);
            at.map_or_else(|| number.to_string(), |at| at.to_string())
        }
        Some(other) => other.to_string(),
    }
}

/// A stranger's text without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// The cells of an item, by its fields.
pub(crate) fn cells(item: &Value, fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| cell(item, field)).collect()
}

/// Rows of the items of a list, by their fields.
pub(crate) fn rows(items: &[Value], fields: &[&str]) -> Vec<Vec<String>> {
    items.iter().map(|item| cells(item, fields)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_ends_without_blanks() {
        let items = [
            json!({ "id": "bot", "on": true }),
            json!({ "id": "x", "on": null }),
        ];
        let text = table(&["ID", "ON"], &rows(&items, &["id", "on"]));
        assert_eq!(text, "ID   ON\nbot  true\nx    -\n");
        assert_eq!(table(&["ID"], &[]), "ID\n");
    }
}
