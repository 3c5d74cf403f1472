//! The state file: written whole to a neighbour, then renamed over the old one.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::engine::Engine;

/// Format of the state file.
const VERSION: u32 = 1;

#[derive(Deserialize)]
struct StateFile<'a> {
    version: u32,
    #[serde(borrow)]
    bybit: &'a RawValue,
}

/// Takes over the state in the file, if there is one.
pub(crate) fn load(path: &Path, engine: &mut Engine) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let file: StateFile<'_> = serde_json::from_str(&text)?;
    if file.version != VERSION {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file has another version",
        ));
    }
    engine.restore(file.bybit.get())?;
    Ok(())
}

/// The content of the state file.
pub(crate) fn render(engine: &Engine) -> io::Result<String> {
    Ok(format!(
        "{{\"version\":{VERSION},\"bybit\":{}}}\n",
        engine.save()?
    ))
}

/// Replaces the file in one step: a crash leaves the old or the new state, never a torn one.
pub(crate) fn write(path: &Path, content: &str) -> io::Result<()> {
    let mut neighbour = path.as_os_str().to_owned();
    neighbour.push(".tmp");
    let neighbour = Path::new(&neighbour);
    let mut file = fs::File::create(neighbour)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(neighbour, path)
}
