//! The age identity of this machine: what opens files that are encrypted at rest, and for whom they are encrypted.
//!
//! It is looked for in the system's keyring, then in a file that a passphrase opens, then in a variable.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519;
use hoox_model::Secret;

use crate::failure::Failure;
use crate::files::{failed, place};
use crate::keyring::Keyring;
use crate::profile::{config_folder, is_private, variable};

/// Variable with an identity, as `age-keygen` prints it.
pub(crate) const VARIABLE: &str = "HOOX_AGE_IDENTITY";
/// Its name in the keyring.
const NAME: &str = "age-identity/default";
/// What a passphrase is hashed with: 2^18 rounds, as the `age` tool.
const WORK: u8 = 18;
/// At most so much is spent on a file that is read.
const MOST_WORK: u8 = 22;
const SHORTEST_PASSPHRASE: usize = 12;

/// An identity, and where it was found.
pub(crate) struct Identity {
    key: x25519::Identity,
    place: String,
}

impl Identity {
    /// This machine's identity, which must be there.
    pub(crate) fn find() -> Result<Self, Failure> {
        Self::look()?.ok_or_else(|| {
            let said = "this machine has no age identity that can be asked for here";
            Failure::new("NO_IDENTITY", said).hint(without())
        })
    }

    /// This machine's identity, made where there is none: in the keyring, or in a file that a passphrase opens.
    pub(crate) fn find_or_make() -> Result<Self, Failure> {
        match Self::look()? {
            Some(found) => Ok(found),
            None => Self::make(),
        }
    }

    fn look() -> Result<Option<Self>, Failure> {
        if let Some(keyring) = Keyring::of_this_machine()?
            && let Some(text) = keyring.get(NAME)?
        {
            return Self::parse(text.expose(), IN_KEYRING).map(Some);
        }
        if let Some(file) = file().filter(|file| file.exists())
            && somebody_can_be_asked()
        {
            let sealed = read_private(&file)?;
            let place = file.display().to_string();
            let passphrase = ask(&format!("Passphrase of {place}: "))?;
            let text = open(&sealed, passphrase).map_err(|why| {
                let said = format!("{place} cannot be opened: {why}");
                Failure::new("NO_IDENTITY", said)
            })?;
            return Self::parse(text.expose(), &place).map(Some);
        }
        let Some(text) = variable(VARIABLE).map(Secret::new) else {
            return Ok(None);
        };
        eprintln!(
            "warning: the age identity comes from {VARIABLE}, which every program you start can read"
        );
        Self::parse(text.expose(), VARIABLE).map(Some)
    }

    /// Finds the identity among comments, as `age-keygen` writes them.
    fn parse(text: &str, place: &str) -> Result<Self, Failure> {
        let mut keys = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = keys.next().and_then(|line| line.parse().ok());
        match (key, keys.next()) {
            (Some(key), None) => Ok(Self {
                key,
                place: place.to_owned(),
            }),
            _ => Err(
                Failure::new("NO_IDENTITY", format!("{place} holds no age identity"))
                    .hint("one is a line that begins with AGE-SECRET-KEY-1"),
            ),
        }
    }

    fn make() -> Result<Self, Failure> {
        let key = x25519::Identity::generate();
        if let Some(keyring) = Keyring::of_this_machine()? {
            return Self::into_keyring(key, &keyring);
        }
        let (Some(file), true) = (file(), somebody_can_be_asked()) else {
            let said = "this machine has no age identity, and neither a keyring to keep one nor somebody to ask for a passphrase";
            return Err(Failure::new("NO_IDENTITY", said).hint(without()));
        };
        let place = file.display().to_string();
        let passphrase = new_passphrase(&place)?;
        write_private(&file, &seal(&key, passphrase)?)?;
        eprintln!(
            "A new age identity is in {place}. Without it and its passphrase nobody can read what is encrypted."
        );
        Ok(Self { key, place })
    }

    /// A keyring that forgets is worse than none: what it keeps is read again before it is trusted.
    fn into_keyring(key: x25519::Identity, keyring: &Keyring) -> Result<Self, Failure> {
        let text = key.to_string();
        let text = Secret::new(text.expose_secret());
        keyring.set(NAME, &text)?;
        let kept = keyring.get(NAME)?;
        if !kept.is_some_and(|kept| kept.matches(text.expose())) {
            keyring.delete(NAME)?;
            let said = "the system's keyring does not keep what it is given";
            return Err(Failure::new("KEYRING", said).hint("go without it: HOOX_KEYRING=off"));
        }
        eprintln!(
            "A new age identity is in {IN_KEYRING}. Without it nobody can read what is encrypted."
        );
        Ok(Self {
            key,
            place: IN_KEYRING.to_owned(),
        })
    }

    /// For whom to encrypt, so that this identity can read it.
    pub(crate) fn recipient(&self) -> x25519::Recipient {
        self.key.to_public()
    }

    /// Where it was found.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Reads what an age file of this name holds, binary or armoured.
    pub(crate) fn decrypt(&self, name: &str, sealed: &[u8]) -> Result<Secret, Failure> {
        let damaged =
            |why: &str| Failure::new("DAMAGED", format!("{name} is not a whole age file: {why}"));
        match age::decrypt(&self.key, sealed) {
            Ok(text) => text_of(text).ok_or_else(|| damaged("what it holds is no text")),
            Err(age::DecryptError::NoMatchingKeys) => {
                let said = format!(
                    "{name} is not encrypted for {}, whose identity is in {}",
                    self.recipient(),
                    self.place
                );
                Err(Failure::new("WRONG_IDENTITY", said)
                    .hint("encrypt it again where it can be read: hoox vars encrypt --recipient with that age1…"))
            }
            Err(error) => Err(damaged(&error.to_string())),
        }
    }
}

const IN_KEYRING: &str = "the system's keyring";

fn without() -> String {
    format!("run it in a terminal, or set {VARIABLE} to what `age-keygen` prints")
}

/// Bytes as a secret text.
fn text_of(bytes: Vec<u8>) -> Option<Secret> {
    String::from_utf8(bytes).ok().map(Secret::new)
}

/// Encrypts for every one of the recipients.
pub(crate) fn encrypt(text: &Secret, recipients: &[x25519::Recipient]) -> Result<Vec<u8>, Failure> {
    use std::io::Write as _;
    let failed = |why: &dyn core::fmt::Display| Failure::new("FILE", format!("age: {why}"));
    let recipients = recipients.iter().map(|each| each as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| failed(&error))?;
    let mut sealed = Vec::new();
    let write = || {
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(text.expose().as_bytes())?;
        writer.finish()
    };
    write().map_err(|error: io::Error| failed(&error))?;
    Ok(sealed)
}

fn file() -> Option<PathBuf> {
    Some(config_folder()?.join("identity.age"))
}

/// Questions are written to stderr and answered at the terminal.
fn somebody_can_be_asked() -> bool {
    let terminal = if cfg!(windows) { "CONIN$" } else { "/dev/tty" };
    io::stderr().is_terminal() && fs::File::open(terminal).is_ok()
}

fn ask(question: &str) -> Result<SecretString, Failure> {
    rpassword::prompt_password(question)
        .map(SecretString::from)
        .map_err(|error| Failure::new("NO_IDENTITY", format!("no passphrase was given: {error}")))
}

fn new_passphrase(place: &str) -> Result<SecretString, Failure> {
    let first = ask(&format!("A passphrase for the new {place}: "))?;
    if first.expose_secret().chars().count() < SHORTEST_PASSPHRASE {
        let said = format!("a passphrase has {SHORTEST_PASSPHRASE} characters at least");
        return Err(Failure::usage(said));
    }
    let second = ask("Once more: ")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(Failure::usage("the two passphrases differ"));
    }
    Ok(first)
}

/// The identity as an age file that a passphrase opens; `age -i` takes it as well.
fn seal(key: &x25519::Identity, passphrase: SecretString) -> Result<Vec<u8>, Failure> {
    let text = key.to_string();
    let text = Secret::new(format!(
        "# public key: {}\n{}\n",
        key.to_public(),
        text.expose_secret()
    ));
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(WORK);
    age::encrypt(&recipient, text.expose().as_bytes())
        .map_err(|error| Failure::new("FILE", format!("age: {error}")))
}

fn open(sealed: &[u8], passphrase: SecretString) -> Result<Secret, String> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    let text = age::decrypt(&identity, sealed).map_err(|error| match error {
        age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => {
            "the passphrase is another one".to_owned()
        }
        error => error.to_string(),
    })?;
    text_of(text).ok_or_else(|| "what it holds is no text".to_owned())
}

fn write_private(file: &Path, sealed: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| failed(folder, &error))?;
    place(file, sealed)
}

/// Reads a file that nobody else may read.
fn read_private(file: &Path) -> Result<Vec<u8>, Failure> {
    if !is_private(file) {
        let said = format!("{} can be read by others", file.display());
        let hint = format!("take that away: chmod 600 {}", file.display());
        return Err(Failure::new("NO_IDENTITY", said).hint(hint));
    }
    fs::read(file).map_err(|error| failed(file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Private;

    fn passphrase(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn the_file_opens_by_its_passphrase_alone() {
        let key = x25519::Identity::generate();
        let sealed = seal(&key, passphrase("correct horse battery")).unwrap();
        let text = open(&sealed, passphrase("correct horse battery")).unwrap();
        let found = Identity::parse(text.expose(), "a file").unwrap();
        assert_eq!(found.recipient().to_string(), key.to_public().to_string());
        let wrong = open(&sealed, passphrase("correct horse batteries"));
        assert_eq!(wrong.unwrap_err(), "the passphrase is another one");
        let cut = sealed.split_last().unwrap().1;
        assert!(open(cut, passphrase("correct horse battery")).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Private::new().unwrap();
        let file = folder.path().join("hoox").join("identity.age");
        write_private(&file, b"sealed").unwrap();
        assert_eq!(read_private(&file).unwrap(), b"sealed");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private(&file).unwrap_err().code, "NO_IDENTITY");
        }
    }

    #[test]
    fn what_is_no_identity_is_not_repeated() {
        let two = {
            let [one, two] = [(), ()].map(|()| x25519::Identity::generate().to_string());
            format!("{}\n{}", one.expose_secret(), two.expose_secret())
        };
        for text in ["", "# only a comment", "hunter2", &two] {
            let failure = Identity::parse(text, "a file").map(|_| ()).unwrap_err();
            assert_eq!(failure.message, "a file holds no age identity");
        }
    }
}
