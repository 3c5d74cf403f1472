//! What commands share: the arguments of all, and the ways to the gateway and to Cloudflare.

use crate::args::Global;
use crate::cloudflare::Cloudflare;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::keep::Place;
use crate::keyring::Keyring;
use crate::profile;
use crate::target::Target;

/// A run of the program. Nothing is looked for before it is needed.
pub(crate) struct Context {
    pub(crate) global: Global,
}

impl Context {
    pub(crate) const fn new(global: Global) -> Self {
        Self { global }
    }

    /// The gateway, as its operator.
    pub(crate) fn gateway(&self) -> Result<Gateway, Failure> {
        Gateway::new(Target::of(&self.global)?)
    }

    /// Cloudflare's REST API, as the token's owner.
    pub(crate) fn cloudflare(&self) -> Result<Cloudflare, Failure> {
        Cloudflare::new(&self.global, profile::of(&self.global)?)
    }

    /// The gateway, as a sender: without the operator's key.
    pub(crate) fn webhook(&self) -> Result<Gateway, Failure> {
        Gateway::new(Target::of_sender(&self.global)?)
    }

    /// Where the operator key of a deployment is kept: the file it is read from, else the keyring; `None` where there
    /// is neither, and for the sandbox, which keeps its own.
    pub(crate) fn place_of_operator_key(&self) -> Result<Option<Place>, Failure> {
        if self.global.is_local() {
            return Ok(None);
        }
        let profile = profile::of(&self.global)?;
        let named = self.global.operator_key_file.clone();
        if let Some(file) = named.or(profile.operator_key_file) {
            return Ok(Some(Place::File(file)));
        }
        let keyring = Keyring::of_this_machine()?;
        let entry = profile::operator_entry(&self.global);
        Ok(keyring.map(|keyring| Place::Keyring(keyring, entry)))
    }
}
