//! The Ledger on real SQLite, against an exchange, records and a platform that fail.

mod accept;
mod carry;
mod crash;
mod doubt;
mod exchange;
mod world;
