//! Files that only their owner may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, TempDir};

use crate::failure::Failure;

/// What could not be done with a file.
pub(crate) fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new("FILE", format!("{}: {error}", path.display()))
}

/// Writes beside the target and renames: a reader sees the old file or the new one. Only the owner may read it.
pub(crate) fn place(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default();
        let mut prefix = name.to_os_string();
        prefix.push(".");
        let mut draft = Builder::new().prefix(&prefix).tempfile_in(folder)?;
        draft.write_all(content)?;
        draft.as_file().sync_all()?;
        draft.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| failed(path, &error))
}

/// Overwrites a file and removes it; a link goes with what it leads to. One that is not there is fine.
pub(crate) fn wipe(path: &Path) -> Result<(), Failure> {
    let wipe = || {
        let target = fs::canonicalize(path)?;
        let length = fs::metadata(&target)?.len();
        let mut file = OpenOptions::new().write(true).open(&target)?;
        io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
        file.sync_all()?;
        fs::remove_file(&target)
    };
    absent_is_fine(wipe())
        .and_then(|()| absent_is_fine(fs::remove_file(path)))
        .map_err(|error| failed(path, &error))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// A folder that only its owner may enter, in memory where the system has such a place for its users. What is in it
/// is overwritten and removed when this is dropped.
pub(crate) struct Private(TempDir);

impl Private {
    pub(crate) fn new() -> Result<Self, Failure> {
        let memory = crate::profile::variable("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
        let base = memory
            .filter(|folder| folder.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        let mut builder = Builder::new();
        builder.prefix("hoox-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        builder
            .tempdir_in(&base)
            .map(Self)
            .map_err(|error| failed(&base, &error))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // An editor may have left copies of its own. The folder itself goes with its `TempDir`.
        for entry in fs::read_dir(self.path()).into_iter().flatten().flatten() {
            wipe(&entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_leaves_nothing() {
        let private = Private::new().unwrap();
        let folder = private.path().to_owned();
        place(&folder.join("a"), b"one").unwrap();
        fs::write(folder.join(".a.swp"), b"two").unwrap();
        drop(private);
        assert!(!folder.exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_goes_with_what_it_leads_to() {
        let private = Private::new().unwrap();
        let [file, link] = ["file", "link"].map(|name| private.path().join(name));
        place(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        wipe(&link).unwrap();
        assert_eq!(fs::read_dir(private.path()).unwrap().count(), 0);
        std::os::unix::fs::symlink(&file, &link).unwrap();
        wipe(&link).unwrap();
        assert_eq!(fs::read_dir(private.path()).unwrap().count(), 0);
    }
}
