//! Hoox as its users meet it: HTTP in, orders out.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a failed expectation is the assertion"
)]

mod alerts;
mod answers;
mod audit;
mod cli;
mod crashes;
mod deploy;
mod exits;
mod generations;
mod inbox;
mod keys;
mod operator;
mod operators;
mod records;
mod safeguards;
mod secrets;
mod senders;
mod signed;
mod templates;
mod trading;
mod transcripts;
mod unconfirmed;
mod written;
