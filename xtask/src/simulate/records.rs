//! The place of records: of each, the one with the highest revision.

use std::collections::BTreeMap;

use hoox_store::{Record, SealedRow};

/// D1, as far as the Ledgers know it.
#[derive(Debug, Default)]
pub(crate) struct RecordStore {
    kept: BTreeMap<String, (u64, Record)>,
}

impl RecordStore {
    /// Stores rows, unless the same or a higher revision is there.
    pub(crate) fn ingest(&mut self, rows: &[SealedRow]) {
        for row in rows {
            let row = row.open().unwrap();
            let (key, revision) = (row.record.key(), row.revision.get());
            if self
                .kept
                .get(&key)
                .is_none_or(|(known, _)| revision > *known)
            {
                self.kept.insert(key, (revision, row.record));
            }
        }
    }

    /// Everything, by key.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.kept.values().map(|(_, record)| record)
    }

    /// One record.
    pub(crate) fn get(&self, key: &str) -> Option<&Record> {
        self.kept.get(key).map(|(_, record)| record)
    }
}
