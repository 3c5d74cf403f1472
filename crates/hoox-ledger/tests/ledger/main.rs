//! The Ledger on real SQLite, against an exchange, records and a platform that fail.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow is a failure"
)]

#[cfg(test)]
mod accept;
#[cfg(test)]
mod carry;
#[cfg(test)]
mod control;
#[cfg(test)]
mod control_service;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod exits;
#[cfg(test)]
mod flips;
mod found;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod inbox;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod overtaking;
#[cfg(test)]
mod pause;
#[cfg(test)]
mod poll;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod service;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod world;
