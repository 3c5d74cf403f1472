//! Fuzzing: one target of `hoox-fuzz` under libFuzzer; see `docs/FUZZING.md`.
#![expect(clippy::print_stderr, reason = "a tool speaks to its user")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

/// What `cargo fuzz` passes for coverage, so that no nightly compiler and no tool of its own is needed.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
/// Longest input, in bytes; the replay of the corpus knows no limit.
const MAX_LEN: usize = 16_384;
/// Longest input that is kept in the repository, in bytes.
const MAX_KEPT: usize = 400;

/// What to fuzz, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of `fuzz/corpus`: addresses, audit, gateway, manifest or signed
    target: String,
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Afterwards adds to fuzz/corpus what reaches more than it does, in as few and as short inputs as do
    #[arg(long)]
    keep: bool,
}

/// Builds the runner, fuzzes, and says what to do with a finding.
pub(crate) fn fuzz(arguments: &Arguments) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = &arguments.target;
    let seeds = root.join("fuzz/corpus").join(target);
    if !seeds.is_dir() {
        eprintln!("'{target}' is no target: there is no {}", seeds.display());
        return ExitCode::FAILURE;
    }
    let work = root.join("target/fuzz");
    let (grown, findings) = (
        work.join("grown").join(target),
        work.join("findings").join(target),
    );
    for folder in [&grown, &findings] {
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
    let runner = build(root, &work);
    let run = |more: &[String], folders: [&Path; 2]| {
        let mut command = Command::new(&runner);
        command
            .env("HOOX_FUZZ_TARGET", target)
            .args(more)
            .args(folders);
        command
            .status()
            .unwrap_or_else(|error| panic!("{}: {error}", runner.display()))
            .success()
    };
    let limits = [
        format!("-max_total_time={}", u64::from(arguments.minutes) * 60),
        format!("-max_len={MAX_LEN}"),
        format!("-artifact_prefix={}/", findings.display()),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
        "-print_final_stats=1".to_owned(),
    ];
    if !run(&limits, [&grown, &seeds]) {
        eprintln!(
            "A finding: its input is in {}. Fix the cause, then keep the input in {}, where the tests run it again.",
            findings.display(),
            seeds.display()
        );
        return ExitCode::FAILURE;
    }
    let merge = [
        "-set_cover_merge=1".to_owned(),
        format!("-max_len={MAX_KEPT}"),
    ];
    if arguments.keep && !run(&merge, [&seeds, &grown]) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Builds the runner with coverage, in a folder of its own: its flags fit nothing else.
fn build(root: &Path, work: &Path) -> PathBuf {
    let host = host();
    let status = Command::new("cargo")
        .args(["build", "--locked", "--release", "--target", &host])
        .current_dir(root.join("fuzz/libfuzzer"))
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", work.join("build"))
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the runner was not built; it needs a C++ compiler"
    );
    work.join("build").join(host).join("release/hoox-libfuzzer")
}

/// This machine's target, as rustc names it.
fn host() -> String {
    let told = Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}
