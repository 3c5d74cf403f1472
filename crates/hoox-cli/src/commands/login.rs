//! `hoox login` and `hoox logout`: credentials by profile, in the system's keyring; in a file, where there is none or the
//! profile names one.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hoox_model::Secret;
use serde_json::json;

use super::secrets::typed;
use super::{confirm, word};
use crate::args::Global;
use crate::failure::Failure;
use crate::files;
use crate::keyring::Keyring;
use crate::output::Done;
use crate::profile::{self, Kept, Profile};
use crate::target::origin;

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
    const fn kept(self) -> Kept {
        match self {
            Self::ApiToken => Kept::ApiToken,
            Self::OperatorKey => Kept::OperatorKey,
        }
    }

    /// Its name in the keyring.
    fn entry(self, global: &Global) -> String {
        match self {
            Self::ApiToken => profile::token_entry(global),
            Self::OperatorKey => profile::operator_entry(global),
        }
    }

    /// The profile's field that names its file.
    const fn field(self, profile: &mut Profile) -> &mut Option<PathBuf> {
        match self {
            Self::ApiToken => &mut profile.api_token_file,
            Self::OperatorKey => &mut profile.operator_key_file,
        }
    }
}

/// Where a credential is kept.
enum Home {
    File(PathBuf),
    Keyring(Keyring),
}

impl Home {
    /// The file that the profile names; else the keyring; else a file beside the configuration.
    fn of(global: &Global, which: Which) -> Result<Self, Failure> {
        if global.is_local() {
            return Err(Failure::usage("the sandbox keeps its own keys").hint("leave --local out"));
        }
        let mut profile = profile::find(global)?.unwrap_or_default();
        if let Some(file) = which.field(&mut profile).take() {
            return Ok(Self::File(file));
        }
        if let Some(keyring) = Keyring::of_this_machine()? {
            return Ok(Self::Keyring(keyring));
        }
        which.kept().file(global).map(Self::File).ok_or_else(|| {
            Failure::new(
                "NO_KEYRING",
                "this machine has no keyring, and there is no place for a file",
            )
            .hint("set HOOX_CONFIG")
        })
    }

    /// In words.
    fn words(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Keyring(_) => "the system's keyring".to_owned(),
        }
    }
}

pub(crate) fn login(global: &Global, asked: &Credential) -> Result<Done, Failure> {
    let which = asked.which;
    let home = Home::of(global, which)?;
    let host = new_host(global, which)?;
    let name = word(&which);
    let value: Secret = typed(&name)?;
    match &home {
        Home::Keyring(keyring) => keyring.set(&which.entry(global), &value)?,
        Home::File(file) => {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder).map_err(|error| files::failed(folder, &error))?;
            }
            files::place(file, format!("{}\n", value.expose()).as_bytes())?;
            let mut profile = profile::find(global)?.unwrap_or_default();
            *which.field(&mut profile) = Some(file.clone());
            profile::save(global, &profile)?;
        }
    }
    let place = home.words();
    let mut text = format!("The {name} is in {place}.");
    let mut data = json!({ "kept": name, "place": place });
    if let Some(host) = host {
        let mut profile = profile::find(global)?.unwrap_or_default();
        profile.host = Some(host.clone());
        let file = profile::save(global, &profile)?;
        let again = profile::again(global);
        text = format!(
            "{text}\nIt opens {host}, as the profile in {} says now. Try it: hoox monitor health{again}",
            file.display()
        );
        if let Some(fields) = data.as_object_mut() {
            fields.insert("host".to_owned(), json!(host));
        }
    }
    Ok(Done::new(text, data))
}

/// The host that an operator key is for, where the profile does not name it yet. A key goes to the profile's host only,
/// so one for another host is another profile's.
fn new_host(global: &Global, which: Which) -> Result<Option<String>, Failure> {
    let Some(host) = global.host.as_ref().filter(|_| which == Which::OperatorKey) else {
        return Ok(None);
    };
    let wanted = origin(host)?;
    let known = profile::find(global)?.and_then(|profile| profile.host);
    match known {
        None => Ok(Some(host.clone())),
        Some(known) if origin(&known)? == wanted => Ok(None),
        Some(known) => Err(Failure::usage(format!(
            "the profile is the deployment at {known}, and its key goes nowhere else"
        ))
        .hint(format!("give --profile NAME for the one at {host}"))),
    }
}

pub(crate) fn logout(global: &Global, asked: &Credential) -> Result<Done, Failure> {
    let which = asked.which;
    let home = Home::of(global, which)?;
    let name = word(&which);
    let place = home.words();
    let question = format!("The {name} will be gone from {place}; Cloudflare shows neither again.");
    confirm(global.yes, &question)?;
    match &home {
        Home::Keyring(keyring) => keyring.delete(&which.entry(global))?,
        Home::File(file) => files::wipe(file)?,
    }
    let text = format!("There is no {name} in {place} any more.");
    Ok(Done::new(text, json!({ "removed": name })))
}
