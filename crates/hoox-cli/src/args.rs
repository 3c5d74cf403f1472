//! The arguments that every command has, and the groups of commands. Each command's own stand beside it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::accounts::Accounts;
use crate::commands::alert::Alert;
use crate::commands::config::Config;
use crate::commands::dead_letters::DeadLetters;
use crate::commands::deploy::Deploy;
use crate::commands::doctor::Doctor;
use crate::commands::keys::Keys;
use crate::commands::login::Credential;
use crate::commands::monitor::Monitor;
use crate::commands::operators::Operators;
use crate::commands::secrets::Secrets;
use crate::commands::senders::Senders;
use crate::commands::signal::Signal;
use crate::commands::vars::Vars;
use crate::commands::waf::Waf;
use crate::sandbox::{self, Sandbox};
use crate::status::{ALL, OF_A_VERDICT};

/// What stands below the program's help, after the statuses.
const KEYS: &str = "\
The operator key comes from --operator-key-file, HOOX_OPERATOR_KEY or the system's keyring, the Cloudflare
API token from CLOUDFLARE_API_TOKEN or the keyring (hoox login), profiles from ~/.config/hoox/config.toml
or the file that HOOX_CONFIG names.";

/// Operates Hoox: kill switch, records, secrets, firewall, senders, configuration
#[derive(Debug, Parser)]
#[command(name = "hoox", version, after_help = format!("{ALL}\n\n{KEYS}"), propagate_version = true)]
pub(crate) struct Program {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Act on the sandbox of `npm run dev`; =PORT says which, where several run
    #[arg(long, global = true, value_name = "PORT", num_args = 0..=1, require_equals = true,
        default_missing_value = sandbox::ONE, conflicts_with_all = ["host", "profile"])]
    pub(crate) local: Option<Sandbox>,
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

impl Global {
    /// Whether the sandbox is meant.
    pub(crate) const fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// What a further command needs to mean the same Hoox, as it stands behind it: ` --local`, ` --host …` or nothing.
    pub(crate) fn again(&self) -> String {
        let named = |option: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(" --{option} {value}"))
        };
        let mut text = match self.local {
            Some(Sandbox::One) => " --local".to_owned(),
            Some(Sandbox::At(port)) => format!(" --local={port}"),
            None => String::new(),
        };
        text.extend(named("host", &self.host));
        text.extend(named("profile", &self.profile));
        text
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Kill switch, health and records
    #[command(subcommand)]
    Monitor(Monitor),
    /// What Hoox took and could not finish: settle, replay or discard each
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Keep the Cloudflare API token or the operator key for a profile: in the system's keyring, else in a file
    Login(Credential),
    /// Remove one of them from there
    Logout(Credential),
    /// Prepare a Cloudflare account and this checkout for the first deployment
    Init,
    /// Migrate, build and upload the workers, with the secrets that are missing
    Deploy(Deploy),
    /// Secrets of the workers: set, audit, rotate; never shown
    #[command(subcommand)]
    Secrets(Secrets),
    /// The firewall in front of the webhook
    #[command(subcommand)]
    Waf(Waf),
    /// Who may send, and their keys
    #[command(subcommand)]
    Senders(Senders),
    /// Who operates beside the owner, and their keys
    #[command(subcommand)]
    Operators(Operators),
    /// What the keys of the exchanges may do
    #[command(subcommand)]
    Keys(Keys),
    /// Where is traded
    #[command(subcommand)]
    Accounts(Accounts),
    /// The manifest: senders, accounts, ranges, limits
    #[command(subcommand)]
    Config(Config),
    /// The hardening checklist: this machine, the checkout, leaked secrets, the deployment, the gateway
    #[command(after_help = OF_A_VERDICT)]
    Doctor(Doctor),
    /// The messages of TradingView's alerts: templates, and what a message would do
    #[command(subcommand)]
    Alert(Alert),
    /// Alerts by hand
    #[command(subcommand)]
    Signal(Signal),
    /// Local secrets, encrypted at rest
    #[command(subcommand)]
    Vars(Vars),
    /// Completions for a shell, on stdout
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}
