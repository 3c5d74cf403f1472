//! The arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER: &str = "\
Exit status:
  0  done
  1  refused, or done in part
  2  the command makes no sense as it stands; nothing was sent
  3  no answer came: look whether it was done, then repeat it

The operator key comes from HOOX_OPERATOR_KEY or --operator-key-file, profiles from
~/.config/hoox/config.toml or the file that HOOX_CONFIG names.";

/// Operates Hoox: kill switch, records, senders, configuration
#[derive(Debug, Parser)]
#[command(name = "hoox", version, after_help = AFTER, propagate_version = true)]
pub(crate) struct Program {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Act on the sandbox of `npm run dev`
    #[arg(long, global = true, conflicts_with_all = ["host", "profile"])]
    pub(crate) local: bool,
    /// The gateway's host, such as hoox.example.com
    #[arg(long, global = true)]
    pub(crate) host: Option<String>,
    /// A deployment of the configuration; `default` unless given
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
    /// File with the operator key
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) operator_key_file: Option<PathBuf>,
    /// Answer with one JSON object: {"ok", "data"} or {"ok", "error"}
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do not ask before something is taken away
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Kill switch, health and records
    #[command(subcommand)]
    Monitor(Monitor),
    /// Who may send, and their keys
    #[command(subcommand)]
    Senders(Senders),
    /// Where is traded
    #[command(subcommand)]
    Accounts(Accounts),
    /// The manifest: senders, accounts, ranges, limits
    #[command(subcommand)]
    Config(Config),
    /// Alerts by hand
    #[command(subcommand)]
    Signal(Signal),
    /// Completions for a shell, on stdout
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Monitor {
    /// Stop entries, or everything, on every account; returns once the accounts have confirmed
    KillSwitch(KillSwitch),
    /// How the gateway and every account are
    Health,
    /// Signals, newest first
    Signals(Listing),
    /// Orders, newest first
    Trades(Listing),
    /// What is held
    Positions(Listing),
    /// The audit trail as lines, from its beginning or a cursor
    Logs(Logs),
}

#[derive(Debug, Args)]
pub(crate) struct KillSwitch {
    /// What to do
    #[arg(value_enum)]
    pub(crate) verb: Verb,
    /// What `on` stops: entries lets orders through that make a position smaller
    #[arg(long, value_enum, default_value = "entries")]
    pub(crate) mode: Mode,
    /// Close every position as well, whoever opened it
    #[arg(long)]
    pub(crate) flatten: bool,
    /// Why; it stands in the audit trail
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verb {
    On,
    Off,
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Entries,
    All,
}

#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// One account only, by name or id
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Go on after a page, by its nextCursor
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// Print what is new every second, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on after a line, by the cursor that the last call printed
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// Wait for more, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Senders {
    /// Make a sender; prints its key, once
    Add(AddSender),
    /// All of them, and when their keys are valid
    List,
    /// Replace a key; prints the new one, once
    Rotate {
        /// The sender
        id: String,
        /// How long the key before stays valid, in seconds; 0 ends it at once
        #[arg(long, default_value_t = 86_400)]
        overlap_seconds: u32,
    },
    /// End a sender, at once
    Revoke {
        /// The sender
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddSender {
    /// Its name: letters, digits, '-' and '_'
    pub(crate) id: String,
    /// An account it may use, by name, or * for all; may be repeated
    #[arg(long = "account", required = true)]
    pub(crate) accounts: Vec<String>,
    /// Whether it may trade
    #[arg(long, value_enum, default_value = "trade")]
    pub(crate) permission: Permission,
    /// How it proves who it is
    #[arg(long, value_enum, default_value = "passkey")]
    pub(crate) scheme: Scheme,
    /// Addresses it may send from beside the shared ones, such as 203.0.113.0/24; may be repeated
    #[arg(long = "range")]
    pub(crate) ranges: Vec<String>,
    /// A namespace it may use; may be repeated
    #[arg(long = "namespace")]
    pub(crate) namespaces: Vec<String>,
    /// The account of alerts that name none
    #[arg(long)]
    pub(crate) default_account: Option<String>,
    /// Entries in a minute
    #[arg(long)]
    pub(crate) rate_per_minute: Option<u32>,
    /// Its key is valid from then on, such as 2026-01-31T00:00:00Z
    #[arg(long)]
    pub(crate) not_before: Option<String>,
    /// Its key is valid until then
    #[arg(long)]
    pub(crate) expires: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Permission {
    Read,
    Trade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheme {
    Passkey,
    Standard,
    Stripe,
    Github,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// All of them
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The manifest
    #[command(subcommand)]
    Manifest(Manifest),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// Print it
    Get,
    /// Put a whole manifest; its version must be one above the present one
    Set {
        /// A file, or - for stdin
        file: PathBuf,
    },
    /// Check a manifest without sending it
    Validate {
        /// A file, or - for stdin
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Signal {
    /// Send an alert; only plans unless --trade is given
    Send(SendSignal),
}

#[derive(Debug, Args)]
pub(crate) struct SendSignal {
    /// What to do, such as LONG, SHORT, close
    #[arg(long)]
    pub(crate) action: String,
    /// What, such as BTCUSDT
    #[arg(long)]
    pub(crate) symbol: String,
    /// How much, in base currency
    #[arg(long)]
    pub(crate) quantity: Option<String>,
    /// On which account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// More fields of the alert, as NAME=VALUE; may be repeated
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub(crate) fields: Vec<String>,
    /// Trade for real
    #[arg(long)]
    pub(crate) trade: bool,
}
