//! The program: a seed that cannot be used ends it before it listens.

use std::path::Path;
use std::process::Command;

#[test]
fn an_unusable_seed_is_named_and_ends_the_program() {
    let seed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unusable.json");
    std::fs::write(&seed, r#"{"tokenz":[]}"#).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hoox-cloud-sim"))
        .arg("--seed")
        .arg(&seed)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("unusable.json") && stderr.contains("tokenz"),
        "{stderr}"
    );
    assert_eq!(output.stdout, b"");
}
