//! The seeded simulation of faults: the whole path from an alert's bytes to the venue's fills, with a
//! virtual clock, and the laws that must hold whatever goes wrong.
//!
//! In scope: the webhook's loop, Control's object and two Ledgers' objects on SQLite, all of it the code
//! that ships; records; a venue that lies. Out of scope: the venue's wire format and the platform itself,
//! whose promises (output gate, alarms, one instance at a time, more or less) are modelled.
//!
//! The same seed gives the same run, event by event, on every machine and with any number of jobs.

mod alerts;
mod blank;
mod calls;
mod clients;
mod control_object;
mod database;
mod exchange;
mod exec;
mod farm;
mod gateway;
mod history;
mod journal;
mod laws;
mod ledger_object;
mod manifest;
mod meets;
mod object;
mod operator;
mod ports;
mod records;
mod rng;
mod run;
mod skew;
mod stats;
mod surprises;
mod venue;
mod watch;
mod weather;
mod world;

pub(crate) use farm::{Arguments, simulate};

/// When every run begins.
pub(crate) const START: i64 = 1_780_000_000_000;
/// A minute in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;
/// How long after faults stop everything has ended, or an operator can see that it has not.
pub(crate) const BOUND_MS: i64 = 30 * MINUTE;
