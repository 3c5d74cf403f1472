//! Many seeds on many threads, and the one line at the end.

use std::io::Write;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use clap::Args;

use crate::simulate::laws::{self, Violation};
use crate::simulate::run::run;
use crate::simulate::stats::{CRASH, FAULT, Stats};

/// How many broken seeds are shown.
const SHOWN: usize = 3;
/// How often progress is told.
const PROGRESS: u64 = 1_000;

/// What to simulate.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Number of seeds
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The seed to begin with; alone, it is run and its trace is printed
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; every core unless given. The result does not depend on it
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// Print how often every fault, answer and outcome was reached
    #[arg(long)]
    stats: bool,
    /// Print no traces
    #[arg(long)]
    brief: bool,
    /// Stop at the first broken law
    #[arg(long)]
    fail_fast: bool,
}

#[derive(Default)]
struct Totals {
    stats: Stats,
    broken: Vec<(u64, Vec<Violation>)>,
}

/// Runs what was asked for.
pub(crate) fn simulate(arguments: &Arguments) -> ExitCode {
    let first = arguments.seed.unwrap_or(0);
    let traced = arguments.seed.is_some() && arguments.seeds <= 1;
    if traced {
        let outcome = run(first, true);
        for line in &outcome.trace {
            say(line);
        }
    }
    let jobs = arguments.jobs.map_or_else(
        || thread::available_parallelism().map_or(1, NonZero::get),
        NonZero::get,
    );
    keep_memory();
    let totals = Mutex::new(Totals::default());
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(arguments, first, &next, &totals));
        }
    });
    let totals = totals.into_inner().unwrap();
    report(arguments, &totals, traced)
}

/// Makes the allocator keep what is freed: SQLite's short-lived tables would give memory back to the
/// system and take it again all the time. One large block, freed, raises glibc's threshold for that.
fn keep_memory() {
    let block: Vec<u8> = Vec::with_capacity(30 << 20);
    drop(std::hint::black_box(block));
}

/// Takes seeds until there are none left.
fn work(arguments: &Arguments, first: u64, next: &AtomicU64, totals: &Mutex<Totals>) {
    let own = Stats::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= arguments.seeds {
            break;
        }
        let seed = first + number;
        let outcome = run(seed, false);
        own.merge(&outcome.stats);
        if !outcome.violations.is_empty() {
            if arguments.fail_fast {
                next.store(arguments.seeds, Ordering::Relaxed);
            }
            if arguments.brief {
                tell(seed, &outcome.violations);
            }
            totals
                .lock()
                .unwrap()
                .broken
                .push((seed, outcome.violations));
        }
        if (number + 1).is_multiple_of(PROGRESS) {
            say(&format!("{} seeds", number + 1));
        }
    }
    totals.lock().unwrap().stats.merge(&own);
}

/// Says which laws a seed breaks, and how to run it again.
fn tell(seed: u64, violations: &[Violation]) {
    for violation in violations {
        say(&format!(
            "seed {seed} breaks \"{}\": {}",
            violation.law, violation.text
        ));
    }
    say(&format!("replay: cargo xtask simulate --seed {seed}"));
}

fn report(arguments: &Arguments, totals: &Totals, traced: bool) -> ExitCode {
    if arguments.stats {
        for line in totals.stats.lines() {
            say(&line);
        }
    }
    let mut broken: Vec<&(u64, Vec<Violation>)> = totals.broken.iter().collect();
    broken.sort_by_key(|(seed, _)| *seed);
    // A brief run has told of each when it was met.
    for (place, (seed, violations)) in broken.iter().enumerate() {
        if arguments.brief {
            break;
        }
        if !traced && place < SHOWN {
            for line in run(*seed, true).trace {
                say(&line);
            }
        }
        tell(*seed, violations);
    }
    let count = |law: fn(&str) -> bool| {
        let all = broken.iter().flat_map(|(_, violations)| violations);
        all.filter(|violation| law(violation.law)).count()
    };
    let sum = |group| totals.stats.sum(group);
    let ran = sum("run");
    let line = format!(
        "seeds={ran} signals={} crashes={} faults={} lost={} doubled={} violations={}",
        sum("signal"),
        sum(CRASH),
        sum(FAULT),
        count(|law| law == laws::LOST),
        count(|law| law == laws::DOUBLED),
        count(|_| true),
    );
    let written = writeln!(std::io::stdout(), "{line}");
    if broken.is_empty() && written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn say(line: &str) {
    // Nobody is left to tell if stderr is gone.
    writeln!(std::io::stderr(), "{line}").ok();
}
