//! Which Hoox a command acts on, and with which key: the sandbox on this machine, a host, or a profile's host.

use hoox_model::Secret;
use reqwest::Url;

use crate::args::Global;
use crate::failure::Failure;
use crate::network::is_loopback;
use crate::profile::{self, Kept, Profile, variable};
use crate::sandbox;

/// Variable with the operator key.
pub(crate) const OPERATOR_KEY: &str = "HOOX_OPERATOR_KEY";
/// Variable with a sender's passkey, to send alerts by hand.
pub(crate) const PASSKEY: &str = "HOOX_PASSKEY";

/// A gateway and its keys.
pub(crate) struct Target {
    /// Its origin.
    pub(crate) gateway: Url,
    /// Known unless it is a sender's.
    pub(crate) operator_key: Option<Secret>,
    /// A sender's passkey; the sandbox has one for demonstration.
    pub(crate) passkey: Option<Secret>,
    pub(crate) local: bool,
    /// What a further command needs to mean it, as it stands behind it.
    pub(crate) again: String,
}

impl Target {
    /// Finds the target that the arguments name, for its operator.
    pub(crate) fn of(global: &Global) -> Result<Self, Failure> {
        let mut target = Self::of_sender(global)?;
        if target.operator_key.is_none() {
            let profile = profile::of(global)?;
            let own = is_of_profile(global, &profile, &target.gateway);
            target.operator_key = Some(operator_key(global, own.then_some(&profile))?);
        }
        Ok(target)
    }

    /// As [`Self::of`], for somebody who only sends: the operator's key is not looked for.
    pub(crate) fn of_sender(global: &Global) -> Result<Self, Failure> {
        if let Some(wanted) = global.local {
            let found = sandbox::find(wanted)?;
            return Ok(Self {
                gateway: found.gateway,
                operator_key: Some(found.operator_key),
                passkey: Some(found.passkey),
                local: true,
                again: global.again(),
            });
        }
        let profile = profile::of(global)?;
        Ok(Self {
            gateway: host(global, &profile)?,
            operator_key: None,
            passkey: variable(PASSKEY).map(Secret::new),
            local: false,
            again: global.again(),
        })
    }
}

/// The gateway's origin, which `--host` or the profile names.
pub(crate) fn host(global: &Global, profile: &Profile) -> Result<Url, Failure> {
    let host = global.host.as_ref().or(profile.host.as_ref()).ok_or_else(|| {
        Failure::usage("no gateway is named").hint(
            "give --host hoox.example.com, --profile NAME, or --local for the sandbox of `npm run dev`",
        )
    })?;
    origin(host)
}

/// The origin of a host: https, except on this machine.
pub(crate) fn origin(host: &str) -> Result<Url, Failure> {
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
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err(bad("keys go over https only")),
    }
    let plain = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    if plain {
        Ok(url)
    } else {
        Err(bad("only a host and a port belong there"))
    }
}

/// The name of a host, however it is written.
pub(crate) fn name(host: &str) -> Result<String, Failure> {
    let origin = origin(host)?;
    let name = origin.host_str().unwrap_or_default();
    Ok(name.trim_end_matches('.').to_owned())
}

/// Whether a gateway is the profile's: its key goes to no other host, such as a misspelt one.
fn is_of_profile(global: &Global, profile: &Profile, gateway: &Url) -> bool {
    let own = profile.host.as_deref().and_then(|host| origin(host).ok());
    global.host.is_none() || own.as_ref() == Some(gateway)
}

/// The key of the file that is named or of the environment; else, where the gateway is the profile's, of its file or of
/// the keyring.
fn operator_key(global: &Global, profile: Option<&Profile>) -> Result<Secret, Failure> {
    if let Some(file) = &global.operator_key_file {
        return profile::key_file(file, Kept::OperatorKey);
    }
    if let Some(key) = variable(OPERATOR_KEY) {
        return Ok(Secret::new(key.trim()));
    }
    let again = profile::again(global);
    let hint = format!(
        "where it is known, `hoox operators add NAME --level LEVEL` makes one for this machine; keep it here: `hoox login operator-key{again}`, {OPERATOR_KEY} or --operator-key-file PATH; not deployed yet? `hoox deploy{again}`"
    );
    let Some(profile) = profile else {
        let message = "the operator key of this host is not known; the profile's goes to the profile's host only";
        return Err(Failure::new("NO_KEY", message).hint(format!(
            "give --operator-key-file PATH or {OPERATOR_KEY}; is it the profile's new address? `hoox init{again} --host {}`",
            global.host.as_deref().unwrap_or_default()
        )));
    };
    if let Some(file) = &profile.operator_key_file {
        return profile::key_file(file, Kept::OperatorKey);
    }
    profile::kept(&profile::operator_entry(global))?
        .ok_or_else(|| Failure::new("NO_KEY", "the operator key is not known").hint(hint))
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
            ("HTTPS://HOOX.example.com:443", "https://hoox.example.com/"),
            ("http://127.0.0.1:8787", "http://127.0.0.1:8787/"),
            ("http://[::1]:8787", "http://[::1]:8787/"),
            ("http://127.1.2.3:8787", "http://127.1.2.3:8787/"),
        ] {
            assert_eq!(origin(host).unwrap().as_str(), expected);
        }
        assert_eq!(
            name("HTTPS://HOOX.example.com.:443/").unwrap(),
            "hoox.example.com"
        );
        for host in [
            "http://hoox.example.com",
            "http://gate.localhost",
            "ftp://hoox.example.com",
            "hoox.example.com/v1",
            "https://me@hoox.example.com",
            "",
        ] {
            assert_eq!(origin(host).unwrap_err().code, "USAGE", "{host}");
        }
    }
}
