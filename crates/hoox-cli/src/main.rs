//! `hoox`: what an operator does with Hoox, from a terminal.
//!
//! In scope: arguments, calls of the gateway's operator API, and words for people or JSON for programs. Out of scope:
//! anything that decides about a trade.
#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line speaks to its user, and has its clock and its environment"
)]

mod args;
mod audit_box;
mod checkout;
mod clock;
mod cloudflare;
mod commands;
mod context;
mod deployment;
mod doctor;
mod editor;
mod failure;
mod files;
mod gateway;
mod identity;
mod keep;
mod keyring;
mod local;
mod output;
mod profile;
mod target;
mod vault;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Program;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let program = Program::parse();
    let json = program.global.json;
    let outcome = commands::run(program).await;
    match outcome {
        Ok(done) => {
            output::emit(&done.printed(json));
            ExitCode::from(done.exit())
        }
        Err(failure) => {
            if json {
                output::emit(&format!("{}\n", failure.json()));
            } else {
                eprintln!("{failure}");
            }
            ExitCode::from(failure.exit)
        }
    }
}
