//! One module a group of commands.

pub(crate) mod accounts;
pub(crate) mod alert;
pub(crate) mod config;
pub(crate) mod dead_letters;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod exits;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod kill_switch;
pub(crate) mod login;
pub(crate) mod monitor;
pub(crate) mod operators;
pub(crate) mod secrets;
pub(crate) mod senders;
pub(crate) mod signal;
pub(crate) mod vars;
pub(crate) mod waf;

use clap::{CommandFactory as _, ValueEnum};
use serde_json::Value;

use crate::args::{Program, Task};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Done;

/// Does what the arguments ask for.
pub(crate) async fn run(program: Program) -> Result<Done, Failure> {
    let Program { global, task } = program;
    let context = Context::new(global);
    let judges = task.judges();
    let done = Box::pin(perform(&context, task)).await;
    if judges {
        done.map_err(Failure::unjudged)
    } else {
        done
    }
}

async fn perform(context: &Context, task: Task) -> Result<Done, Failure> {
    match task {
        Task::Login(asked) => login::login(&context.global, &asked),
        Task::Logout(asked) => login::logout(&context.global, &asked),
        Task::Init => init::run(context).await,
        Task::Deploy(asked) => deploy::run(context, &asked).await,
        Task::Monitor(task) => monitor::run(context, task).await,
        Task::DeadLetters(task) => dead_letters::run(context, &task).await,
        Task::Senders(task) => senders::run(context, task).await,
        Task::Operators(task) => operators::run(context, task).await,
        Task::Accounts(task) => accounts::run(context, &task).await,
        Task::Config(task) => config::run(context, task).await,
        Task::Secrets(task) => secrets::run(context, task).await,
        Task::Waf(task) => waf::run(context, &task).await,
        Task::Vars(task) => vars::run(context, task).await,
        Task::Doctor(task) => Box::pin(doctor::run(context, &task)).await,
        Task::Keys(task) => keys::run(context, &task).await,
        Task::Alert(task) => alert::run(context, &task).await,
        Task::Signal(task) => signal::run(context, &task).await,
        Task::Completions { shell } => Ok(completions(shell)),
    }
}

fn completions(shell: clap_complete::Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "hoox", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Done::new(script.clone(), Value::String(script))
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

/// The word that stands for a value in arguments, which is the word of the API too.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}
