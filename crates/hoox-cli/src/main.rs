//! `hoox`: what an operator does with Hoox, from a terminal.
//!
//! In scope: arguments, calls of the gateway's operator API, and words for people or JSON for programs. Out of scope:
//! anything that decides about a trade.
#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line speaks to its user, and has its clock and its environment"
)]

mod addresses;
mod args;
mod audit_box;
mod bindings;
mod checkout;
mod clock;
mod cloudflare;
mod commands;
mod context;
mod deployment;
mod doctor;
mod edges;
mod editor;
mod exposure;
mod failure;
mod files;
mod gateway;
mod http;
mod identity;
mod keep;
mod keyring;
mod lease;
mod local;
mod network;
mod output;
mod profile;
mod sandbox;
mod status;
mod target;
mod vault;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Program;
use crate::failure::Failure;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => return told(&error),
    };
    let json = program.global.json;
    match Box::pin(commands::run(program)).await {
        Ok(done) => {
            output::emit(&done.printed(json));
            ExitCode::from(done.status().number())
        }
        Err(failure) => refused(&failure, json),
    }
}

fn refused(failure: &Failure, json: bool) -> ExitCode {
    if json {
        output::emit(&format!("{}\n", failure.json()));
    } else {
        eprintln!("{failure}");
    }
    ExitCode::from(failure.status.number())
}

/// Arguments that make no sense, or that ask for help.
fn told(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let sentence = text.lines().next().unwrap_or_default();
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    refused(&Failure::usage(sentence).hint("see --help"), true)
}
