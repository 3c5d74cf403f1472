//! Which Hoox a command acts on, and with which key: the sandbox on this machine, a host, or a profile's host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use hoox_model::Secret;
use reqwest::Url;
use serde::Deserialize;

use crate::args::Global;
use crate::failure::Failure;

/// Variable with the operator key.
pub(crate) const OPERATOR_KEY: &str = "HOOX_OPERATOR_KEY";
/// Variable with a sender's passkey, to send alerts by hand.
pub(crate) const PASSKEY: &str = "HOOX_PASSKEY";
/// Variable with the path of the configuration.
const CONFIG: &str = "HOOX_CONFIG";

/// A gateway and its keys.
pub(crate) struct Target {
    /// Its origin.
    pub(crate) gateway: Url,
    pub(crate) operator_key: Secret,
    /// A sender's passkey; the sandbox has one for demonstration.
    pub(crate) passkey: Option<Secret>,
    pub(crate) local: bool,
}

/// What `npm run dev` leaves while it runs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sandbox {
    gateway: String,
    operator_key: String,
    passkey: String,
}

/// The file of profiles.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    host: String,
    operator_key_file: Option<PathBuf>,
}

impl Target {
    /// Finds the target that the arguments name.
    pub(crate) fn of(global: &Global) -> Result<Self, Failure> {
        if global.local {
            return Self::sandbox();
        }
        let profile = profile(global)?;
        let host = global
            .host
            .clone()
            .or_else(|| profile.as_ref().map(|profile| profile.host.clone()))
            .ok_or_else(|| {
                Failure::usage("no gateway is named").hint(
                    "give --host hoox.example.com, --profile NAME, or --local for the sandbox of `npm run dev`",
                )
            })?;
        let file = global
            .operator_key_file
            .clone()
            .or_else(|| profile.and_then(|profile| profile.operator_key_file));
        Ok(Self {
            gateway: origin(&host)?,
            operator_key: operator_key(file.as_deref())?,
            passkey: variable(PASSKEY).map(Secret::new),
            local: false,
        })
    }

    fn sandbox() -> Result<Self, Failure> {
        let missing = || {
            Failure::new("NO_SANDBOX", "no sandbox is running in this checkout")
                .hint("start one with `npm run dev`")
        };
        let file = above(".hoox/dev.json").ok_or_else(missing)?;
        let text = fs::read_to_string(&file).map_err(|_| missing())?;
        let found: Sandbox = serde_json::from_str(&text)
            .map_err(|error| Failure::new("NO_SANDBOX", format!("{}: {error}", file.display())))?;
        Ok(Self {
            gateway: origin(&found.gateway)?,
            operator_key: Secret::new(found.operator_key),
            passkey: Some(Secret::new(found.passkey)),
            local: true,
        })
    }
}

/// A file of this name in the working folder or the nearest folder above it.
fn above(name: &str) -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    here.ancestors()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The origin of a host: https, except on this machine.
fn origin(host: &str) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::usage(format!("'{host}' is no gateway: {why}"))
            .hint("write it as hoox.example.com, without a path")
    };
    let text = if host.contains("://") {
        host.to_owned()
    } else {
        format!("https://{host}")
    };
    let url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err(bad("keys go over https only")),
    }
    let plain = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    if plain {
        Ok(url)
    } else {
        Err(bad("only a host and a port belong there"))
    }
}

fn profile(global: &Global) -> Result<Option<Profile>, Failure> {
    let Some(file) = config_file() else {
        return Ok(None);
    };
    let Ok(text) = fs::read_to_string(&file) else {
        return match &global.profile {
            Some(name) => Err(unknown(name, &file)),
            None => Ok(None),
        };
    };
    let mut config: Config = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "{} is not readable: {}",
            file.display(),
            error.message()
        ))
    })?;
    match &global.profile {
        Some(name) => config
            .profiles
            .remove(name)
            .map(Some)
            .ok_or_else(|| unknown(name, &file)),
        None => Ok(config.profiles.remove("default")),
    }
}

fn unknown(name: &str, file: &Path) -> Failure {
    Failure::usage(format!(
        "there is no profile '{name}' in {}",
        file.display()
    ))
    .hint(format!(
        "add it: [profiles.{name}] and host = \"hoox.example.com\""
    ))
}

/// The configuration: `HOOX_CONFIG`, else `hoox/config.toml` in the user's folder of configurations.
fn config_file() -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from);
    set(CONFIG).or_else(|| {
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(folder.join("hoox").join("config.toml"))
    })
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn operator_key(file: Option<&Path>) -> Result<Secret, Failure> {
    let text = match file {
        Some(file) => fs::read_to_string(file)
            .map_err(|error| Failure::new("NO_KEY", format!("{}: {error}", file.display())))?,
        None => variable(OPERATOR_KEY).unwrap_or_default(),
    };
    let key = text.trim();
    if key.is_empty() {
        return Err(
            Failure::new("NO_KEY", "the operator key is not known").hint(format!(
                "set {OPERATOR_KEY}, or give --operator-key-file PATH"
            )),
        );
    }
    Ok(Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_over_https_or_stay_on_this_machine() {
        for (host, expected) in [
            ("hoox.example.com", "https://hoox.example.com/"),
            ("hoox.example.com:8443", "https://hoox.example.com:8443/"),
            ("https://hoox.example.com/", "https://hoox.example.com/"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787/"),
            ("http://[::1]:8787", "http://[::1]:8787/"),
        ] {
            assert_eq!(origin(host).unwrap().as_str(), expected);
        }
        for host in [
            "http://hoox.example.com",
            "ftp://hoox.example.com",
            "hoox.example.com/v1",
            "https://me@hoox.example.com",
            "",
        ] {
            assert_eq!(origin(host).unwrap_err().code, "USAGE", "{host}");
        }
    }
}
