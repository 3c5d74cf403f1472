//! One module a group of commands.

mod config;
mod kill_switch;
mod monitor;
mod senders;
mod signal;

use clap::CommandFactory as _;
use serde_json::Value;

use crate::args::{Accounts, Config, Manifest, Monitor, Program, Senders, Signal, Task};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::output::Done;
use crate::target::Target;

/// Does what the arguments ask for.
pub(crate) async fn run(program: Program) -> Result<Done, Failure> {
    let Program { global, task } = program;
    let gateway = || Gateway::new(Target::of(&global)?);
    match task {
        Task::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Program::command(), "hoox", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            Ok(Done::new(script.clone(), Value::String(script)))
        }
        Task::Monitor(Monitor::KillSwitch(switch)) => {
            kill_switch::run(&gateway()?, &global, &switch).await
        }
        Task::Monitor(task) => monitor::run(&gateway()?, &global, task).await,
        Task::Senders(Senders::Add(sender)) => senders::add(&gateway()?, &sender).await,
        Task::Senders(Senders::List) => senders::list_all(&gateway()?).await,
        Task::Senders(Senders::Rotate {
            id,
            overlap_seconds,
        }) => senders::rotate(&gateway()?, &id, overlap_seconds).await,
        Task::Senders(Senders::Revoke { id }) => senders::revoke(&gateway()?, &global, &id).await,
        Task::Accounts(Accounts::List) => senders::accounts(&gateway()?).await,
        Task::Config(Config::Manifest(Manifest::Get)) => config::get(&gateway()?).await,
        Task::Config(Config::Manifest(Manifest::Set { file })) => {
            let manifest = config::read(&file)?;
            config::set(&gateway()?, &global, &manifest).await
        }
        Task::Config(Config::Manifest(Manifest::Validate { file })) => {
            config::validate(&config::read(&file)?)
        }
        Task::Signal(Signal::Send(alert)) => signal::send(&gateway()?, &global, &alert).await,
    }
}

/// Asks before something is taken away. Without a terminal nobody can be asked.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    use std::io::{IsTerminal as _, stdin};
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(
            Failure::usage(format!("{question} Nobody can be asked here")).hint("give --yes"),
        );
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    if read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::new("CANCELLED", "nothing was changed"))
}

/// A field that is a list.
pub(crate) fn list<'a>(body: &'a Value, field: &str) -> &'a [Value] {
    body.get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
