//! Tools of this workspace. `cargo xtask simulate` runs the seeded simulation of faults (`docs/FAULT-SIMULATION.md`),
//! `cargo xtask fuzz` a fuzz target (`docs/FUZZING.md`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test's tool: what it does not expect must stop it"
)]

mod fuzz;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Tools of this workspace")]
struct Program {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs seeded simulations of faults and checks the laws of docs/FAULT-SIMULATION.md
    Simulate(simulate::Arguments),
    /// Fuzzes what reads bytes of strangers; see docs/FUZZING.md
    Fuzz(fuzz::Arguments),
}

fn main() -> ExitCode {
    match Program::parse().task {
        Task::Simulate(arguments) => simulate::simulate(&arguments),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
    }
}
