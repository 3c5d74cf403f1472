//! The audit of secrets, as it is drawn.

use core::fmt::Write as _;
use std::collections::BTreeSet;

use hoox_mesh::Worker;
use hoox_mesh::registry::workers_with;
use serde::Serialize;

/// A secret older than this should be replaced, in days.
pub(crate) const OLD: i64 = 90;

/// The secrets that each worker has, by their names.
#[derive(Debug, Default)]
pub(crate) struct Bound(Vec<(Worker, Option<BTreeSet<String>>)>);

impl Bound {
    /// Takes a worker in; `None` for one that is not deployed.
    pub(crate) fn add(&mut self, worker: Worker, names: Option<BTreeSet<String>>) {
        self.0.push((worker, names));
    }

    fn names(&self, worker: Worker) -> Option<&BTreeSet<String>> {
        let mut found = self.0.iter().filter(|(other, _)| *other == worker);
        found.find_map(|(_, names)| names.as_ref())
    }

    /// Whether a worker is not deployed.
    pub(crate) fn is_absent(&self, worker: Worker) -> bool {
        self.names(worker).is_none()
    }

    /// The workers that are not deployed.
    pub(crate) fn absent(&self) -> Vec<Worker> {
        let mut all = Worker::ALL.to_vec();
        all.retain(|worker| self.is_absent(*worker));
        all
    }

    /// Whether a worker has a secret.
    pub(crate) fn has(&self, worker: Worker, name: &str) -> bool {
        self.names(worker).is_some_and(|names| names.contains(name))
    }

    /// Every secret that any worker has.
    pub(crate) fn all(&self) -> BTreeSet<&String> {
        let names = self.0.iter().filter_map(|(_, names)| names.as_ref());
        names.flatten().collect()
    }
}

/// One secret, where it should be and where it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) name: String,
    required: bool,
    /// Workers that have it.
    pub(crate) bound: Vec<&'static str>,
    /// Workers that need it and lack it.
    missing: Vec<&'static str>,
    /// Workers that have it and do not need it.
    needless: Vec<&'static str>,
    pub(crate) age_days: Option<i64>,
    /// Whether its two sides have different ones, as far as the gateway could tell.
    #[serde(skip)]
    pub(crate) differs: bool,
}

impl Finding {
    pub(crate) fn new(name: String, required: bool, found: &Bound, age_days: Option<i64>) -> Self {
        let (mut bound, mut missing, mut needless) = (Vec::new(), Vec::new(), Vec::new());
        let needed = workers_with(&name);
        for worker in Worker::ALL {
            let has = found.has(worker, &name);
            let needs = needed.contains(&worker);
            if has {
                bound.push(worker.name());
            }
            if needs && !has {
                missing.push(worker.name());
            }
            if has && !needs {
                needless.push(worker.name());
            }
        }
        Self {
            name,
            required,
            bound,
            missing,
            needless,
            age_days,
            differs: false,
        }
    }

    /// Whether nothing that Hoox needs is missing of it.
    pub(crate) fn is_complete(&self) -> bool {
        !self.required || self.missing.is_empty()
    }

    /// Whether Hoox can work with it.
    pub(crate) fn is_good(&self) -> bool {
        self.is_complete() && !self.differs
    }

    /// Since when, for people.
    pub(crate) fn age(&self) -> String {
        match self.age_days {
            None => "-".to_owned(),
            Some(days) => format!("{days} d"),
        }
    }

    /// Whether a worker has it that does not need it.
    pub(crate) const fn is_needless(&self) -> bool {
        !self.needless.is_empty()
    }

    /// Whether it should be replaced.
    pub(crate) fn is_old(&self) -> bool {
        !self.bound.is_empty() && self.age_days.is_some_and(|days| days > OLD)
    }

    fn verdict(&self) -> String {
        let need = if self.required {
            "Required"
        } else {
            "Optional"
        };
        if !self.needless.is_empty() {
            return format!("PRESENT (Not needed in {})", self.needless.join(", "));
        }
        if self.bound.is_empty() {
            return format!("MISSING ({need})");
        }
        if !self.missing.is_empty() {
            return format!("PARTIAL (Missing in {})", self.missing.join(", "));
        }
        if self.differs {
            return format!("DIFFERS (Between {})", self.bound.join(" and "));
        }
        if self.is_old() {
            return "PRESENT (Rotate)".to_owned();
        }
        "PRESENT (Active)".to_owned()
    }

    /// Where it is, and where it should be while it is nowhere.
    fn workers(&self) -> String {
        let at = if self.bound.is_empty() {
            &self.missing
        } else {
            &self.bound
        };
        at.join(", ")
    }
}

/// Name, verdict, workers and age of each, and the result.
pub(crate) fn draw(title: &str, findings: &[Finding]) -> String {
    let width = |of: fn(&Finding) -> String, least: usize| {
        let longest = findings.iter().map(|each| of(each).chars().count()).max();
        longest.unwrap_or(0).max(least)
    };
    let names = width(|each| each.name.clone(), 20);
    let verdicts = width(Finding::verdict, 18);
    let workers = width(Finding::workers, 0);
    let mut lines: Vec<String> = findings
        .iter()
        .map(|each| {
            let dots = names
                .saturating_sub(each.name.chars().count())
                .saturating_add(3);
            format!(
                "{} {} {:verdicts$}  {:workers$}  {:>5}",
                each.name,
                ".".repeat(dots),
                each.verdict(),
                each.workers(),
                each.age(),
            )
        })
        .collect();
    lines.push(String::new());
    lines.extend(notes(findings));
    framed(title, &lines)
}

fn notes(findings: &[Finding]) -> Vec<String> {
    let mut notes = Vec::new();
    let old: Vec<&str> = findings
        .iter()
        .filter(|each| each.is_old())
        .map(|each| each.name.as_str())
        .collect();
    if !old.is_empty() {
        notes.push(format!("Older than {OLD} days, rotate: {}", old.join(", ")));
    }
    let names = |fits: fn(&&Finding) -> bool| -> Vec<&str> {
        let found = findings.iter().filter(fits);
        found.map(|each| each.name.as_str()).collect()
    };
    let missing = names(|each| !each.is_complete());
    let differing = names(|each| each.differs);
    notes.push(if !missing.is_empty() {
        format!("Audit Result: INCOMPLETE (Missing: {})", missing.join(", "))
    } else if !differing.is_empty() {
        format!(
            "Audit Result: DIFFERING (On its two sides: {})",
            differing.join(", ")
        )
    } else {
        "Audit Result: SECURE (All required secrets bound)".to_owned()
    });
    notes
}

fn framed(title: &str, lines: &[String]) -> String {
    let all = || core::iter::once(title).chain(lines.iter().map(String::as_str));
    let width = all().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width.saturating_add(2));
    let mut text = format!("┌{rule}┐\n│ {title:width$} │\n├{rule}┤\n");
    for line in lines {
        writeln!(text, "│ {line:width$} │").unwrap_or_default();
    }
    writeln!(text, "└{rule}┘").unwrap_or_default();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(hoox: &[&str], trade: &[&str], d1: Option<&[&str]>) -> Bound {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Bound(vec![
            (Worker::Hoox, Some(set(hoox))),
            (Worker::Trade, Some(set(trade))),
            (Worker::D1, d1.map(set)),
        ])
    }

    #[test]
    fn the_audit_says_what_is_there_what_is_missing_and_what_is_old() {
        let bound = bound(
            &["OPERATOR_KEY", "HOOX_TRADE_KEY", "BYBIT_API_KEY"],
            &[
                "HOOX_TRADE_KEY",
                "BYBIT_API_SECRET",
                "BYBIT_API_KEY",
                "TRADE_D1_KEY",
            ],
            None,
        );
        let finding =
            |name: &str, required, days| Finding::new(name.to_owned(), required, &bound, days);
        let findings = [
            finding("BYBIT_API_KEY", true, Some(3)),
            finding("BYBIT_API_SECRET", true, Some(91)),
            finding("BYBIT_TESTNET_API_KEY", false, None),
            finding("OPERATOR_KEY", true, Some(90)),
            finding("SEALING_KEY", true, None),
            finding("HOOX_TRADE_KEY", true, None),
            finding("TRADE_D1_KEY", true, Some(0)),
        ];
        insta::assert_snapshot!(draw("Cloudflare Edge Secrets Audit", &findings));
        let good: Vec<bool> = findings.iter().map(Finding::is_good).collect();
        assert_eq!(good, [true, true, true, true, false, true, false]);
        insta::assert_snapshot!(draw("Cloudflare Edge Secrets Audit", &findings[..4]));
        let mut sides = finding("HOOX_TRADE_KEY", true, Some(1));
        sides.differs = true;
        assert!(!sides.is_good() && sides.is_complete());
        assert_eq!(
            (sides.verdict().as_str(), notes(&[sides]).concat().as_str()),
            (
                "DIFFERS (Between hoox and trade-worker)",
                "Audit Result: DIFFERING (On its two sides: HOOX_TRADE_KEY)"
            )
        );
        assert_eq!(bound.absent(), [Worker::D1]);
    }
}
