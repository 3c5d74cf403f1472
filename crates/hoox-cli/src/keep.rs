//! Where the operator key is kept, so that nobody has to see a new one.
//!
//! A new key is kept as pending before the platform gets it, and takes its place afterwards: whatever happens in
//! between, the key that is in force is on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use hoox_model::Secret;

use crate::failure::Failure;
use crate::files::{place, wipe};
use crate::keyring::Keyring;

/// A place of the operator key.
pub(crate) enum Place {
    File(PathBuf),
    /// An entry of the keyring.
    Keyring(Keyring, String),
}

/// A new key that waits beside its place.
pub(crate) struct Kept {
    place: Place,
    key: Secret,
}

impl Place {
    /// Where a new key waits, as its owner finds it.
    fn pending(&self) -> String {
        match self {
            Self::File(file) => pending_file(file).display().to_string(),
            Self::Keyring(_, entry) => format!("the keyring's entry {}", pending_entry(entry)),
        }
    }

    /// How to find out whether the key that waits is in force, and what to do then.
    fn settling(&self) -> String {
        match self {
            Self::File(file) => {
                let (pending, file) = (pending_file(file), file.display());
                let pending = pending.display();
                format!(
                    "`hoox monitor health --operator-key-file {pending}` tries it; where the gateway takes it, `mv {pending} {file}`, else `rm {pending}`; nothing was changed"
                )
            }
            Self::Keyring(_, entry) => {
                let pending = pending_entry(entry);
                format!(
                    "take it out of the keyring (hoox, {pending}) and try it: `HOOX_OPERATOR_KEY=… hoox monitor health`; where the gateway takes it, `hoox login operator-key`; then remove the entry; nothing was changed"
                )
            }
        }
    }

    fn read_pending(&self) -> Result<Option<Secret>, Failure> {
        match self {
            Self::File(file) => Ok(fs::read_to_string(pending_file(file))
                .ok()
                .map(|text| Secret::new(text.trim()))),
            Self::Keyring(keyring, entry) => keyring.get(&pending_entry(entry)),
        }
    }

    fn is_empty(&self) -> Result<bool, Failure> {
        match self {
            Self::File(file) => Ok(!file.exists()),
            Self::Keyring(keyring, entry) => Ok(keyring.get(entry)?.is_none()),
        }
    }

    fn forget_pending(&self) -> Result<(), Failure> {
        match self {
            Self::File(file) => wipe(&pending_file(file)),
            Self::Keyring(keyring, entry) => keyring.delete(&pending_entry(entry)),
        }
    }

    /// Gives a key that was left pending its place, where there is none: the deployment that set it was interrupted.
    pub(crate) fn adopt_pending(self) -> Result<bool, Failure> {
        if !self.is_empty()? {
            return Ok(false);
        }
        let Some(key) = self.read_pending()? else {
            return Ok(false);
        };
        Kept { place: self, key }.done().map(|()| true)
    }

    /// Has a new key wait here. One that waits already may be in force, unless the gateway has none.
    pub(crate) fn keep(self, key: &Secret, gateway_has_none: bool) -> Result<Kept, Failure> {
        if !gateway_has_none && self.read_pending()?.is_some() {
            let pending = self.pending();
            return Err(Failure::new(
                "PENDING_KEY",
                format!(
                    "{pending} holds an operator key of an attempt that did not come to its end"
                ),
            )
            .hint(self.settling()));
        }
        match &self {
            Self::File(file) => {
                let text = format!("{}\n", key.expose());
                place(&pending_file(file), text.as_bytes()).map_err(|failure| {
                    failure.hint("a new operator key is kept there before it is sent: make room for it, then repeat the command; nothing was changed")
                })?;
            }
            Self::Keyring(keyring, entry) => keyring.set(&pending_entry(entry), key)?,
        }
        let read = self.read_pending()?;
        if !read.is_some_and(|read| read.matches(key.expose())) {
            let pending = self.pending();
            return Err(Failure::new(
                "NO_KEY",
                format!("{pending} does not hold what was written"),
            )
            .hint("nothing was changed; look at its folder or keyring, then repeat the command"));
        }
        Ok(Kept {
            place: self,
            key: key.clone(),
        })
    }
}

impl Kept {
    /// Where it will be found.
    pub(crate) fn found_in(&self) -> String {
        match &self.place {
            Place::File(file) => file.display().to_string(),
            Place::Keyring(..) => "the system's keyring".to_owned(),
        }
    }

    /// The platform has it.
    pub(crate) fn done(self) -> Result<(), Failure> {
        let placed = match &self.place {
            Place::File(file) => fs::rename(pending_file(file), file)
                .map_err(|error| Failure::new("NO_KEY", format!("{}: {error}", file.display()))),
            Place::Keyring(keyring, entry) => keyring.set(entry, &self.key),
        };
        placed.map_err(|failure| {
            let pending = self.place.pending();
            failure.hint(format!(
                "the new operator key is in force; it is in {pending}"
            ))
        })?;
        self.place.forget_pending()
    }

    /// It did not come to its end: a key that was surely refused goes, another one stays and is named.
    pub(crate) fn failed(self, failure: Failure, surely: bool) -> Failure {
        if surely {
            self.place.forget_pending().ok();
            return failure;
        }
        let pending = self.place.pending();
        failure.and(format!(
            "the new operator key may be in force; it is in {pending}"
        ))
    }
}

fn pending_file(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    file.with_file_name(name)
}

fn pending_entry(entry: &str) -> String {
    format!("{entry}.new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Private;

    #[test]
    fn the_key_of_an_interrupted_deployment_finds_its_place() {
        let folder = Private::new().unwrap();
        let file = folder.path().join("key");
        let place = || Place::File(file.clone());
        assert!(!place().adopt_pending().unwrap());
        let kept = place().keep(&Secret::new("first"), true).unwrap();
        let failure = kept.failed(Failure::new("UPLOAD", "it failed"), false);
        assert!(failure.hint.unwrap().contains("key.new"));
        assert!(place().adopt_pending().unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), "first");
        // A gateway that has none makes what waits worthless; otherwise it may be in force.
        drop(place().keep(&Secret::new("second"), true).unwrap());
        let refused = place().keep(&Secret::new("third"), false).err();
        assert_eq!(
            refused.map(|failure| failure.code).as_deref(),
            Some("PENDING_KEY")
        );
        assert!(!place().adopt_pending().unwrap());
        place()
            .keep(&Secret::new("third"), true)
            .unwrap()
            .done()
            .unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), "third");
        assert!(!pending_file(&file).exists());
    }
}
