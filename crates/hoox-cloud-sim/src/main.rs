//! `hoox-cloud-sim`: the double of Cloudflare's REST API as a program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hoox_cloud_sim::{Cloud, State};
use hoox_sim::signal;

/// Exit code for a wrong call: a taken port, an unusable seed file.
const USAGE: u8 = 2;

/// Answers like Cloudflare's REST API on this machine, for tests.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// JSON file with the tokens, accounts and zones to begin with
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            // Nobody is left to tell if stderr is gone.
            writeln!(std::io::stderr(), "hoox-cloud-sim: {sentence}").ok();
            ExitCode::from(code)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), (u8, String)> {
    let stop = signal::stop().map_err(|error| (1, format!("cannot wait for signals: {error}")))?;
    let state = match &arguments.seed {
        Some(path) => seed(path).map_err(|sentence| (USAGE, sentence))?,
        None => State::default(),
    };
    let cloud = Cloud::start(arguments.port, state)
        .await
        .map_err(|error| (USAGE, error.to_string()))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "hoox-cloud-sim listening on {}", cloud.url())
        .and_then(|()| stdout.flush())
        .map_err(|error| (1, format!("cannot write to stdout: {error}")))?;
    stop.await;
    cloud.stop().await;
    Ok(())
}

fn seed(path: &PathBuf) -> Result<State, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {} ({error})", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("cannot use {} ({error}): repair it", path.display()))
}
