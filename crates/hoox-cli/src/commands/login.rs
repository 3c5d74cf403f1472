//! `hoox login` and `hoox logout`: credentials in the system's keyring, by profile.

use clap::{Args, ValueEnum};
use hoox_model::Secret;
use serde_json::json;

use super::secrets::typed;
use super::{confirm, word};
use crate::args::Global;
use crate::failure::Failure;
use crate::keyring::Keyring;
use crate::output::Done;
use crate::profile;

#[derive(Debug, Args)]
pub(crate) struct Credential {
    /// Which one. `login` asks for it without echo, or reads stdin
    #[arg(value_enum)]
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Of Cloudflare's REST API
    ApiToken,
    /// Of the gateway's operator API
    OperatorKey,
}

impl Which {
    /// Its name in the keyring.
    fn entry(self, global: &Global) -> String {
        match self {
            Self::ApiToken => profile::token_entry(global),
            Self::OperatorKey => profile::operator_entry(global),
        }
    }
}

fn keyring(global: &Global) -> Result<Keyring, Failure> {
    if global.is_local() {
        return Err(Failure::usage("the sandbox keeps its own keys").hint("leave --local out"));
    }
    Keyring::of_this_machine()?.ok_or_else(|| {
        Failure::new("NO_KEYRING", "this machine has no keyring, or HOOX_KEYRING is off")
            .hint("keep it in a file of your own, chmod 600, which the profile names: operatorKeyFile, apiTokenFile")
    })
}

pub(crate) fn login(global: &Global, asked: &Credential) -> Result<Done, Failure> {
    let keyring = keyring(global)?;
    let name = word(&asked.which);
    let value: Secret = typed(&name)?;
    keyring.set(&asked.which.entry(global), &value)?;
    let text = format!("The {name} is in the system's keyring.");
    Ok(Done::new(text, json!({ "kept": name })))
}

pub(crate) fn logout(global: &Global, asked: &Credential) -> Result<Done, Failure> {
    let keyring = keyring(global)?;
    let name = word(&asked.which);
    let question =
        format!("The {name} will be gone from the keyring; Cloudflare shows neither again.");
    confirm(global.yes, &question)?;
    keyring.delete(&asked.which.entry(global))?;
    let text = format!("The system's keyring has no {name} any more.");
    Ok(Done::new(text, json!({ "removed": name })))
}
