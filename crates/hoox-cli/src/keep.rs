//! Where a new operator key is kept, so that nobody has to see it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hoox_model::Secret;

use crate::failure::Failure;

/// A key that is written beside its file, and takes its place once the platform has it.
pub(crate) struct Kept {
    draft: PathBuf,
    file: PathBuf,
}

impl Kept {
    /// Writes it, readable by the user only. A failure leaves everything as it was.
    pub(crate) fn write(file: &Path, key: &Secret) -> Result<Self, Failure> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let draft = file.with_file_name(name);
        let failed = |error: std::io::Error| {
            Failure::new("NO_KEY", format!("{}: {error}", draft.display()))
                .hint("nothing was changed")
        };
        fs::remove_file(&draft).ok();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut out = options.open(&draft).map_err(failed)?;
        writeln!(out, "{}", key.expose()).map_err(failed)?;
        out.sync_all().map_err(failed)?;
        Ok(Self {
            draft,
            file: file.to_owned(),
        })
    }

    /// The platform has it.
    pub(crate) fn done(self) -> Result<(), Failure> {
        fs::rename(&self.draft, &self.file).map_err(|error| {
            let (draft, file) = (self.draft.display(), self.file.display());
            Failure::new("NO_KEY", format!("{file}: {error}"))
                .hint(format!("the new key is in force; it is in {draft}"))
        })
    }
}
