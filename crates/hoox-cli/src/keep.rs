//! Where a new operator key is kept, so that nobody has to see it.

use std::fs;
use std::path::{Path, PathBuf};

use hoox_model::Secret;

use crate::failure::Failure;
use crate::files::place;
use crate::keyring::Keyring;

/// A key whose place is ready, and that takes it once the platform has it.
pub(crate) enum Kept {
    /// It is written beside its file.
    File { draft: PathBuf, file: PathBuf },
    /// It goes into the keyring under this name.
    Keyring {
        keyring: Keyring,
        entry: String,
        key: Secret,
    },
}

impl Kept {
    /// Writes it, readable by the user only. A failure leaves everything as it was.
    pub(crate) fn write(file: &Path, key: &Secret) -> Result<Self, Failure> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let draft = file.with_file_name(name);
        place(&draft, format!("{}\n", key.expose()).as_bytes())?;
        Ok(Self::File {
            draft,
            file: file.to_owned(),
        })
    }

    /// The platform has it.
    pub(crate) fn done(self) -> Result<(), Failure> {
        match self {
            Self::Keyring {
                keyring,
                entry,
                key,
            } => keyring.set(&entry, &key),
            Self::File { draft, file } => fs::rename(&draft, &file).map_err(|error| {
                Failure::new("NO_KEY", format!("{}: {error}", file.display())).hint(format!(
                    "the new key is in force; it is in {}",
                    draft.display()
                ))
            }),
        }
    }
}
