//! Commands that ask a gateway, against a double of it.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::indexing_slicing,
    reason = "a test: what it does not expect must stop it"
)]

mod alert;
#[path = "../common/mod.rs"]
mod common;
mod dead_letters;
#[path = "../common/double.rs"]
mod double;
mod operators;
mod sandboxes;
mod senders;
mod verdicts;
