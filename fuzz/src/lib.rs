//! Fuzz targets: everything that reads bytes of strangers, each as a function of bytes that must not panic and whose
//! laws must hold. `docs/FUZZING.md` says how they are run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fuzz target: what it does not expect must stop it"
)]

mod addresses;
mod audit;
mod gateway;
mod manifest;
mod signed;

/// One target.
pub type Target = fn(&[u8]);

/// Every target by its name, which is its corpus's folder as well.
pub const TARGETS: [(&str, Target); 5] = [
    ("addresses", addresses::run),
    ("audit", audit::run),
    ("gateway", gateway::run),
    ("manifest", manifest::run),
    ("signed", signed::run),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}

/// Splits the next line off; what is no UTF-8 is replaced, as a header would not have been passed on.
fn line<'a>(rest: &mut &'a [u8]) -> std::borrow::Cow<'a, str> {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, after) = match end {
        Some(end) => (rest.get(..end), rest.get(end.saturating_add(1)..)),
        None => (Some(*rest), None),
    };
    *rest = after.unwrap_or_default();
    String::from_utf8_lossy(line.unwrap_or_default())
}
