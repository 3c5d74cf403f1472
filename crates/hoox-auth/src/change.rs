//! Changes of the senders, one at a time: create, rotate, revoke.

use hoox_model::{Code, Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::manifest::{MAX_BYTES, MAX_SENDERS};
use crate::read::useless;
use crate::{Manifest, Refusal, Sender, SenderKey};

/// Longest time for which a replaced key stays valid: 30 days, in seconds.
pub const MAX_OVERLAP_S: u32 = 30 * 24 * 60 * 60;

/// What an operator wants of the senders. Keys come hashed or sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verb")]
pub enum SenderChange {
    /// A new sender, with its key.
    Create {
        /// The sender.
        sender: Box<Sender>,
    },
    /// A new key for a sender.
    #[serde(rename_all = "camelCase")]
    Rotate {
        /// Whose key.
        id: Name,
        /// How long the key before stays valid, in seconds; 0 ends it at once.
        overlap_seconds: u32,
        /// The new key.
        key: SenderKey,
    },
    /// Takes a sender off the manifest: its keys open nothing any more.
    Revoke {
        /// Whom.
        id: Name,
    },
}

impl SenderChange {
    /// Whom it is about.
    pub const fn id(&self) -> &Name {
        match self {
            Self::Create { sender } => &sender.id,
            Self::Rotate { id, .. } | Self::Revoke { id } => id,
        }
    }
}

impl Manifest {
    /// The manifest with one change of its senders, one version higher.
    ///
    /// # Errors
    /// [`Refusal`] with [`Code::NotFound`], [`Code::Conflict`] where the id is taken or the manifest is
    /// full or would be too large, or [`Code::BadField`].
    pub fn with_change(&self, change: &SenderChange, now: Timestamp) -> Result<Self, Refusal> {
        let mut changed = self.clone();
        changed.version = self.version.saturating_add(1);
        match change {
            SenderChange::Create { sender } => {
                changed.create(sender)?;
                changed.bounded()?;
            }
            SenderChange::Rotate {
                id,
                overlap_seconds,
                key,
            } => changed.rotate(id, *overlap_seconds, key, now)?,
            SenderChange::Revoke { id } => {
                let place = changed.place(id)?;
                changed.senders.remove(place);
            }
        }
        changed.check().map_err(|error| {
            let text = error.problems.join("; ");
            Refusal::new(Code::BadField, Some("sender"), text)
        })?;
        Ok(changed)
    }

    fn place(&self, id: &Name) -> Result<usize, Refusal> {
        let found = self.senders.iter().position(|sender| sender.id == *id);
        found
            .ok_or_else(|| Refusal::new(Code::NotFound, None, format!("there is no sender '{id}'")))
    }

    fn create(&mut self, sender: &Sender) -> Result<(), Refusal> {
        if self.sender(&sender.id).is_some() {
            let text = format!(
                "there is a sender '{}' already; rotate its key, or use another id",
                sender.id
            );
            return Err(Refusal::new(Code::Conflict, Some("id"), text));
        }
        if self.senders.len() >= MAX_SENDERS {
            let text = format!("there are {MAX_SENDERS} senders already; revoke one first");
            return Err(Refusal::new(Code::Conflict, None, text));
        }
        if let Some((field, problem)) = useless(sender, &self.accounts).into_iter().next() {
            let text = format!("{field}: {problem}");
            return Err(Refusal::new(Code::BadField, Some(&field), text));
        }
        self.senders.push(sender.clone());
        Ok(())
    }

    /// Whether it could be put as a whole. Only what makes it larger for good asks: a replaced or revoked
    /// key must always fit.
    fn bounded(&self) -> Result<(), Refusal> {
        let bytes = serde_json::to_string(self).map_or(usize::MAX, |text| text.len());
        if bytes <= MAX_BYTES {
            return Ok(());
        }
        let text = format!(
            "the manifest would be larger than {MAX_BYTES} bytes; shorten the sender's lists, or revoke another first"
        );
        Err(Refusal::new(Code::Conflict, None, text))
    }

    fn rotate(
        &mut self,
        id: &Name,
        overlap_seconds: u32,
        key: &SenderKey,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if overlap_seconds > MAX_OVERLAP_S {
            let text = format!("must be a whole number from 0 to {MAX_OVERLAP_S} (30 days)");
            return Err(Refusal::new(Code::BadField, Some("overlapSeconds"), text));
        }
        let place = self.place(id)?;
        if let Some(sender) = self.senders.get_mut(place) {
            if !key.fits(sender.scheme) {
                let text = format!(
                    "sender '{id}' has keys of scheme {}",
                    sender.scheme.as_str()
                );
                return Err(Refusal::new(Code::Conflict, None, text));
            }
            let until = now.plus_millis(i64::from(overlap_seconds).saturating_mul(1000));
            let before = sender.keys.pop().filter(|_| overlap_seconds > 0);
            sender.keys = before
                .and_then(|before| before.ending(until))
                .into_iter()
                .chain([key.clone()])
                .collect();
        }
        Ok(())
    }
}
