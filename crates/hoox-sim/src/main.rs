//! `hoox-sim`: the exchange simulator as a program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hoox_model::Secret;
use hoox_sim::{Config, Simulator, signal};
use rust_decimal::Decimal;

/// Exit code for a wrong call: a missing key, a taken port, an unusable state file.
const USAGE: u8 = 2;

/// Simulates exchanges on this machine, for development and tests.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Seed of ids and prices: the same seed gives the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// API key of the simulated account
    #[arg(long, env = "HOOX_SIM_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// API secret of the simulated account; by the environment it stays out of the process list
    #[arg(long, env = "HOOX_SIM_API_SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// Initial balance in USDT
    #[arg(long, default_value = "100000")]
    balance: Decimal,
    /// File that keeps orders, positions, fills, balance and prices between runs
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Moves prices by one step this often (ms), not only when a ticker is read
    #[arg(long, value_name = "MS")]
    tick: Option<u64>,
    /// Lists thirteen common symbols beside BTCUSDT, ETHUSDT and SOLUSDT
    #[arg(long)]
    many_symbols: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if stderr is gone.
            writeln!(std::io::stderr(), "hoox-sim: {}", failure.sentence).ok();
            ExitCode::from(failure.code)
        }
    }
}

/// Why the program ends, in a sentence, and its exit code.
struct Failure {
    sentence: String,
    code: u8,
}

impl Failure {
    fn usage(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: USAGE,
        }
    }

    fn other(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: 1,
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    let api_key = given(arguments.api_key)
        .ok_or_else(|| Failure::usage("no API key: pass --api-key or set HOOX_SIM_API_KEY"))?;
    let api_secret = given(arguments.api_secret).ok_or_else(|| {
        Failure::usage("no API secret: pass --api-secret or set HOOX_SIM_API_SECRET")
    })?;
    let stop = signal::stop()
        .map_err(|error| Failure::other(format!("cannot wait for signals: {error}")))?;
    let handle = Simulator::start(Config {
        port: arguments.port,
        seed: arguments.seed,
        api_key,
        api_secret: Secret::new(api_secret),
        balance: arguments.balance,
        state: arguments.state,
        tick: arguments
            .tick
            .map(|millis| Duration::from_millis(millis.max(1))),
        many_symbols: arguments.many_symbols,
    })
    .await
    .map_err(|error| Failure::usage(error.to_string()))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "hoox-sim listening on {}", handle.url())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::other(format!("cannot write to stdout: {error}")))?;
    stop.await;
    handle
        .stop()
        .await
        .map_err(|error| Failure::other(format!("cannot write the state file: {error}")))
}
