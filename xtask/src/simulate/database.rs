//! SQLite in memory, one database an object. Connections are used again by the thread's next runs, so
//! that a run does not pay for tables and prepared statements.

use core::cell::RefCell;

use hoox_ledger::StoreError;
use hoox_store::Value;
use rusqlite::config::DbConfig;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};

use crate::simulate::blank;

thread_local! {
    static POOL: RefCell<Vec<Vec<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// One database. Everything since the last commit can be taken back.
pub(crate) struct Database {
    kind: usize,
    /// Whether it began without tables: which ones it has when its run ends depends on that run, so no other run may get
    /// it.
    bare: bool,
    connection: Option<Connection>,
}

impl Database {
    /// An empty database; `kind` keeps those apart whose tables differ. Where `bare`, it has no tables
    /// at all; else the tables of an earlier run may be there, without rows.
    pub(crate) fn open(kind: usize, bare: bool) -> Self {
        let known = (!bare)
            .then(|| POOL.with_borrow_mut(|pool| pool.get_mut(kind).and_then(Vec::pop)))
            .flatten();
        let fresh = known.is_none();
        let connection = known.unwrap_or_else(|| {
            let connection = Connection::open_in_memory().unwrap();
            connection.set_prepared_statement_cache_capacity(256);
            // Statements stay prepared, whatever is bound to them.
            connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
                .unwrap();
            connection
        });
        let database = Self {
            kind,
            bare,
            connection: Some(connection),
        };
        database.batch("BEGIN");
        if fresh && !bare {
            // A run must not notice whether it is the first one of its thread.
            return blank::with_tables(database);
        }
        database
    }

    /// Which tables it has.
    pub(crate) const fn kind(&self) -> usize {
        self.kind
    }

    fn schema_version(&self) -> i64 {
        let read = self
            .connection()
            .prepare_cached("PRAGMA schema_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        read.unwrap()
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    fn batch(&self, sql: &str) {
        self.connection()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .unwrap();
    }

    /// Makes everything durable that was written.
    pub(crate) fn commit(&self) {
        self.batch("COMMIT");
        self.batch("BEGIN");
    }

    /// Takes everything back that was not committed.
    pub(crate) fn roll_back(&self) {
        self.batch("ROLLBACK");
        self.batch("BEGIN");
    }

    /// Begins an inner transaction.
    pub(crate) fn save(&self) {
        self.batch("SAVEPOINT work");
    }

    /// Ends an inner transaction: keeps it or takes it back.
    pub(crate) fn release(&self, keep: bool) {
        if !keep {
            self.batch("ROLLBACK TO work");
        }
        self.batch("RELEASE work");
    }

    /// Runs one statement; says too whether it wrote anything.
    pub(crate) fn run(
        &self,
        sql: &str,
        params: &[Value],
    ) -> Result<(Vec<Vec<Value>>, bool), StoreError> {
        let connection = self.connection();
        let failed = |error: rusqlite::Error| StoreError(format!("{error} in {sql}"));
        let before = connection.total_changes();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let defines = ["CREATE", "ALTER", "DROP"]
            .iter()
            .any(|word| sql.starts_with(word));
        let schema = if defines { self.schema_version() } else { 0 };
        let width = statement.column_count();
        let params = params.iter().map(|value| match value {
            Value::Null => Cell::Null,
            Value::Integer(number) => Cell::Integer(*number),
            Value::Text(text) => Cell::Text(text.clone()),
        });
        let mut found = statement.query(params_from_iter(params)).map_err(failed)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            let cells = (0..width).map(|index| {
                Ok(match row.get::<_, Cell>(index)? {
                    Cell::Null => Value::Null,
                    Cell::Integer(number) => Value::Integer(number),
                    Cell::Text(text) => Value::Text(text),
                    other => panic!("{other:?} is no value of ours"),
                })
            });
            rows.push(cells.collect::<Result<_, _>>().map_err(failed)?);
        }
        drop(found);
        drop(statement);
        let defined = defines && self.schema_version() != schema;
        Ok((rows, defined || connection.total_changes() != before))
    }

    fn tables(&self) -> Vec<String> {
        let sql =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let (rows, _) = self.run(sql, &[]).unwrap();
        let names = rows.into_iter().flatten().map(|cell| match cell {
            Value::Text(name) => name,
            other => panic!("{other:?} is no name"),
        });
        names.collect()
    }

    /// Another database with the same rows, for an instance that was replaced and does not know it.
    /// `None` where this one has no tables yet.
    pub(crate) fn copy(&self) -> Option<Self> {
        let mut copy = Self::open(self.kind, false);
        let tables = self.tables();
        if tables.is_empty() {
            return None;
        }
        if copy.tables() != tables {
            copy.bare = true;
            let (definitions, _) = self
                .run(
                    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
                    &[],
                )
                .unwrap();
            for table in copy.tables() {
                copy.run(&format!("DROP TABLE {table}"), &[]).unwrap();
            }
            for sql in definitions.into_iter().flatten() {
                if let Value::Text(sql) = sql {
                    copy.run(&sql, &[]).unwrap();
                }
            }
        }
        for table in tables {
            copy.run(&format!("DELETE FROM {table}"), &[]).unwrap();
            let (rows, _) = self.run(&format!("SELECT * FROM {table}"), &[]).unwrap();
            for row in rows {
                let marks = vec!["?"; row.len()].join(", ");
                let sql = format!("INSERT INTO {table} VALUES ({marks})");
                copy.run(&sql, &row).unwrap();
            }
        }
        copy.commit();
        Some(copy)
    }

    /// Empties every table but for the version of the schema.
    fn wipe(&self) {
        self.roll_back();
        for table in self.tables() {
            let sql = match table.as_str() {
                "meta" => "DELETE FROM meta WHERE key != 'schema'".to_owned(),
                _ => format!("DELETE FROM {table}"),
            };
            self.run(&sql, &[]).unwrap();
        }
        let counted = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'";
        if !self.run(counted, &[]).unwrap().0.is_empty() {
            self.run("DELETE FROM sqlite_sequence", &[]).unwrap();
        }
        self.batch("COMMIT");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.bare || std::thread::panicking() {
            return;
        }
        self.wipe();
        let connection = self.connection.take().unwrap();
        POOL.with_borrow_mut(|pool| {
            if pool.len() <= self.kind {
                pool.resize_with(self.kind + 1, Vec::new);
            }
            pool[self.kind].push(connection);
        });
    }
}
