//! Deployments by name, and where their credentials are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use hoox_model::Secret;
use serde::Deserialize;
use toml_edit::{DocumentMut, Item, Table, value};

use crate::args::Global;
use crate::failure::Failure;
use crate::keyring::Keyring;

/// Variable with the path of the configuration.
const CONFIG: &str = "HOOX_CONFIG";
/// The profile that needs no name.
pub(crate) const DEFAULT: &str = "default";

/// The file of profiles.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// A deployment.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Profile {
    /// The gateway's host.
    pub(crate) host: Option<String>,
    pub(crate) operator_key_file: Option<PathBuf>,
    /// The Cloudflare account.
    pub(crate) account_id: Option<String>,
    /// File with the Cloudflare API token.
    pub(crate) api_token_file: Option<PathBuf>,
}

/// The profile that is named, or the default one; an empty one where nothing is configured.
pub(crate) fn of(global: &Global) -> Result<Profile, Failure> {
    match (find(global)?, &global.profile) {
        (Some(found), _) => Ok(found),
        (None, None) => Ok(Profile::default()),
        (None, Some(name)) => Err(unknown(name)),
    }
}

/// The profile that is named, or the default one, if there is such a one.
pub(crate) fn find(global: &Global) -> Result<Option<Profile>, Failure> {
    Ok(all()?.remove(name(global)))
}

/// The name of another profile that is a deployment in this account, if there is such a one.
pub(crate) fn another_of(global: &Global, account: &str) -> Result<Option<String>, Failure> {
    let own = name(global);
    let others = all()?
        .into_iter()
        .find(|(other, profile)| other != own && profile.account_id.as_deref() == Some(account));
    Ok(others.map(|(other, _)| other))
}

/// Every profile by its name; none where nothing is configured.
fn all() -> Result<BTreeMap<String, Profile>, Failure> {
    let Some(file) = config_file() else {
        return Ok(BTreeMap::new());
    };
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(BTreeMap::new());
    };
    let config: Config = toml::from_str(&text).map_err(|error| {
        let reason = error.message();
        Failure::usage(format!("{} is not readable: {reason}", file.display()))
    })?;
    Ok(config.profiles)
}

fn unknown(name: &str) -> Failure {
    let file = config_file().map_or_else(String::new, |file| file.display().to_string());
    Failure::usage(format!("there is no profile '{name}' in {file}")).hint(format!(
        "add it: [profiles.{name}] and host = \"hoox.example.com\""
    ))
}

/// Writes a profile into the configuration, and leaves everything else in it as it is.
pub(crate) fn save(global: &Global, profile: &Profile) -> Result<PathBuf, Failure> {
    let file = config_file().ok_or_else(|| {
        Failure::usage("there is no place for a configuration").hint(format!("set {CONFIG}"))
    })?;
    let failed = |error: &dyn core::fmt::Display| {
        Failure::new("FILE", format!("{}: {error}", file.display()))
    };
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut document: DocumentMut = text.parse().map_err(|error| failed(&error))?;
    let name = name(global);
    let profiles = document
        .entry("profiles")
        .or_insert_with(|| Item::Table(Table::new()));
    let profiles = profiles
        .as_table_mut()
        .ok_or_else(|| failed(&"profiles is no table"))?;
    profiles.set_implicit(true);
    let table = profiles
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()));
    let table = table
        .as_table_mut()
        .ok_or_else(|| failed(&"the profile is no table"))?;
    let path = |path: &PathBuf| path.display().to_string();
    for (field, text) in [
        ("host", profile.host.clone()),
        ("accountId", profile.account_id.clone()),
        (
            "operatorKeyFile",
            profile.operator_key_file.as_ref().map(path),
        ),
        ("apiTokenFile", profile.api_token_file.as_ref().map(path)),
    ] {
        let Some(text) = text else { continue };
        if table.get(field).and_then(Item::as_str) != Some(text.as_str()) {
            table.insert(field, value(text));
        }
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    fs::write(&file, document.to_string()).map_err(|error| failed(&error))?;
    Ok(file)
}

/// The folder of the configuration.
pub(crate) fn config_folder() -> Option<PathBuf> {
    config_file()?.parent().map(Path::to_owned)
}

/// Name of a profile's operator key in the keyring.
pub(crate) fn operator_entry(global: &Global) -> String {
    format!("operator-key/{}", name(global))
}

/// Name of a profile's API token in the keyring.
pub(crate) fn token_entry(global: &Global) -> String {
    format!("cloudflare-api-token/{}", name(global))
}

/// What a further command needs to mean the same profile, as it stands behind it.
pub(crate) fn again(global: &Global) -> String {
    let named = global.profile.as_deref();
    named.map_or_else(String::new, |name| format!(" --profile {name}"))
}

fn name(global: &Global) -> &str {
    global.profile.as_deref().unwrap_or(DEFAULT)
}

/// What the keyring of this machine holds under a name; none where there is no keyring.
pub(crate) fn kept(entry: &str) -> Result<Option<Secret>, Failure> {
    match Keyring::of_this_machine()? {
        Some(keyring) => keyring.get(entry),
        None => Ok(None),
    }
}

/// The configuration: `HOOX_CONFIG`, else `hoox/config.toml` in the user's folder of configurations.
pub(crate) fn config_file() -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from);
    set(CONFIG).or_else(|| {
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(folder.join("hoox").join("config.toml"))
    })
}

/// Keeps from a child process what this program was given and the child does not need.
pub(crate) fn forget_credentials(command: &mut tokio::process::Command) {
    for name in [
        crate::target::OPERATOR_KEY,
        crate::target::PASSKEY,
        crate::identity::VARIABLE,
    ] {
        command.env_remove(name);
    }
}

/// A variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What a file or the keyring keeps for a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    ApiToken,
    OperatorKey,
}

impl Kept {
    /// Its name among arguments, and the end of its file's name.
    const fn word(self) -> &'static str {
        match self {
            Self::ApiToken => "api-token",
            Self::OperatorKey => "operator-key",
        }
    }

    /// Where a profile keeps it that names no file: beside the configuration.
    pub(crate) fn file(self, global: &Global) -> Option<PathBuf> {
        let file = format!("{}.{}", name(global), self.word());
        Some(config_folder()?.join(file))
    }

    /// How it gets into its place.
    pub(crate) fn way(self) -> &'static str {
        match self {
            Self::ApiToken => "put it there: `hoox login api-token`",
            Self::OperatorKey => {
                "the first `hoox deploy` puts it there. It was deployed from another machine? `hoox operators add NAME --level LEVEL` there makes a key for this one, and `hoox login operator-key` here keeps it. It is lost? `hoox secrets rotate OPERATOR_KEY` makes a new one, which ends the one before"
            }
        }
    }
}

/// A key or token from its file; one that others of this machine may read is refused.
pub(crate) fn key_file(file: &Path, kept: Kept) -> Result<Secret, Failure> {
    let failed = |why: &str| Failure::new("NO_KEY", format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed("there is no such file").hint(kept.way()),
        _ => failed(&error.to_string()),
    })?;
    if !is_private(file) {
        return Err(failed("others on this machine may read it")
            .hint(format!("chmod 600 {}", file.display())));
    }
    let key = text.trim();
    if key.is_empty() {
        return Err(failed("it is empty").hint(kept.way()));
    }
    Ok(Secret::new(key))
}

/// Whether only its owner may read a file.
#[cfg(unix)]
pub(crate) fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|found| found.permissions().mode().trailing_zeros() >= 6)
}

/// Lets only its owner read and write a file.
#[cfg(unix)]
pub(crate) fn make_private(file: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let only_owner = fs::Permissions::from_mode(0o600);
    fs::set_permissions(file, only_owner)
        .map_err(|error| Failure::new("NOT_FIXED", format!("{}: {error}", file.display())))
}

/// There is nothing to do where every file is private.
#[cfg(not(unix))]
pub(crate) fn make_private(_: &Path) -> Result<(), Failure> {
    Ok(())
}

/// Elsewhere access lists decide, and a user's files are the user's.
#[cfg(not(unix))]
pub(crate) fn is_private(_: &Path) -> bool {
    true
}
