//! What commands share: the arguments of all, and the ways to the gateway and to Cloudflare.

use hoox_model::Secret;

use crate::args::Global;
use crate::cloudflare::Cloudflare;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::keep::Kept;
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
        Cloudflare::new(&self.global)
    }

    /// Makes ready the place of a new operator key: where the present one is read from, else the keyring; `None`
    /// where there is neither.
    pub(crate) fn keep_operator_key(&self, key: &Secret) -> Result<Option<Kept>, Failure> {
        let profile = profile::of(&self.global)?;
        let named = self.global.operator_key_file.as_ref();
        if let Some(file) = named.or(profile.operator_key_file.as_ref()) {
            return Kept::write(file, key).map(Some);
        }
        let keyring = Keyring::of_this_machine()?;
        Ok(keyring.map(|keyring| Kept::Keyring {
            keyring,
            entry: profile::operator_entry(&self.global),
            key: key.clone(),
        }))
    }
}
