//! The system's keyring: Secret Service, Keychain or Credential Manager.
//!
//! In scope: secrets by name, and an answer in bounded time. Out of scope: what the secrets are for, and where they
//! go on a machine without a keyring.

use core::time::Duration;
use std::sync::mpsc;
use std::thread;

use hoox_model::Secret;
use keyring::{Entry, Error};

use crate::failure::Failure;
use crate::profile::variable;

/// Variable that switches the keyring off: `HOOX_KEYRING=off`.
pub(crate) const SWITCH: &str = "HOOX_KEYRING";
/// What the entries are filed under; their names are the users of it.
const SERVICE: &str = "hoox";
/// To find out whether there is one.
const CONNECT: Duration = Duration::from_secs(5);
/// To read or write: a locked keyring asks its owner first.
const ANSWER: Duration = Duration::from_mins(1);

/// A keyring that is there.
pub(crate) struct Keyring(());

impl Keyring {
    /// The keyring of this machine; none when it has none, or when it is switched off.
    pub(crate) fn of_this_machine() -> Result<Option<Self>, Failure> {
        if variable(SWITCH).as_deref() == Some("off") {
            return Ok(None);
        }
        let found = within(CONNECT, || keyring::Entry::store_status().is_ok())?;
        Ok(found.then_some(Self(())))
    }

    /// The secret of a name, such as `age-identity/default`.
    #[expect(
        clippy::unused_self,
        reason = "whoever has a keyring has found that there is one"
    )]
    pub(crate) fn get(&self, name: &str) -> Result<Option<Secret>, Failure> {
        match entry(name, Entry::get_password)? {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Keeps a secret under a name, instead of what it held.
    #[expect(clippy::unused_self, reason = "as of `get`")]
    pub(crate) fn set(&self, name: &str, secret: &Secret) -> Result<(), Failure> {
        let secret = secret.clone();
        entry(name, move |entry| entry.set_password(secret.expose()))?
            .map_err(|error| refused(&error))
    }

    /// Forgets a name; one that is not there is fine.
    #[expect(clippy::unused_self, reason = "as of `get`")]
    pub(crate) fn delete(&self, name: &str) -> Result<(), Failure> {
        match entry(name, Entry::delete_credential)? {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn entry<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<keyring::Result<T>, Failure> {
    let name = name.to_owned();
    within(ANSWER, move || {
        Entry::new(SERVICE, &name).and_then(|entry| work(&entry))
    })
}

/// Runs on a thread of its own, which is left behind when it takes too long: the keyring's calls have no end of
/// their own, and may not run on the thread of an asynchronous program.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (done, answer) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    answer.recv_timeout(limit).map_err(|_| {
        let said = format!(
            "the system's keyring did not answer within {} s",
            limit.as_secs()
        );
        Failure::new("KEYRING", said).hint(HINT)
    })
}

const HINT: &str = "unlock it, or go without it: HOOX_KEYRING=off";

fn refused(error: &Error) -> Failure {
    // Of these the text could hold what was stored.
    let why = match error {
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "what it holds is no text".to_owned(),
        error => error.to_string(),
    };
    Failure::new("KEYRING", format!("the system's keyring refused: {why}")).hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_that_does_not_answer_is_not_waited_for() {
        let (held, never) = mpsc::channel::<()>();
        let stuck = within(Duration::from_millis(10), move || never.recv());
        assert_eq!(stuck.unwrap_err().code, "KEYRING");
        drop(held);
        assert_eq!(within(ANSWER, || 7).unwrap(), 7);
    }

    #[test]
    fn a_refusal_does_not_repeat_what_was_stored() {
        let said = refused(&Error::BadEncoding(b"hunter2".to_vec())).message;
        assert_eq!(
            said,
            "the system's keyring refused: what it holds is no text"
        );
    }
}
