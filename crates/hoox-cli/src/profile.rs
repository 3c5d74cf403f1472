//! Deployments by name, and where their credentials are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use hoox_model::Secret;
use serde::Deserialize;

use crate::args::Global;
use crate::failure::Failure;

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
    let Some(file) = config_file() else {
        return Ok(Profile::default());
    };
    let Ok(text) = fs::read_to_string(&file) else {
        return match &global.profile {
            Some(name) => Err(unknown(name, &file)),
            None => Ok(Profile::default()),
        };
    };
    let mut config: Config = toml::from_str(&text).map_err(|error| {
        let reason = error.message();
        Failure::usage(format!("{} is not readable: {reason}", file.display()))
    })?;
    match &global.profile {
        Some(name) => config
            .profiles
            .remove(name)
            .ok_or_else(|| unknown(name, &file)),
        None => Ok(config.profiles.remove(DEFAULT).unwrap_or_default()),
    }
}

fn unknown(name: &str, file: &Path) -> Failure {
    let file = file.display();
    Failure::usage(format!("there is no profile '{name}' in {file}")).hint(format!(
        "add it: [profiles.{name}] and host = \"hoox.example.com\""
    ))
}

/// The configuration: `HOOX_CONFIG`, else `hoox/config.toml` in the user's folder of configurations.
pub(crate) fn config_file() -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from);
    set(CONFIG).or_else(|| {
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(folder.join("hoox").join("config.toml"))
    })
}

/// A variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A key or token from its file; one that others of this machine may read is refused.
pub(crate) fn key_file(file: &Path) -> Result<Secret, Failure> {
    let failed = |why: &str| Failure::new("NO_KEY", format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| failed(&error.to_string()))?;
    if !is_private(file) {
        return Err(failed("others on this machine may read it")
            .hint(format!("chmod 600 {}", file.display())));
    }
    let key = text.trim();
    if key.is_empty() {
        return Err(failed("it is empty"));
    }
    Ok(Secret::new(key))
}

/// Whether only its owner may read a file.
#[cfg(unix)]
pub(crate) fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|found| found.permissions().mode().trailing_zeros() >= 6)
}

/// Elsewhere access lists decide, and a user's files are the user's.
#[cfg(not(unix))]
pub(crate) fn is_private(_: &Path) -> bool {
    true
}
