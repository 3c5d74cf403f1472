//! The checks of `hoox doctor`, a module for each group.

pub(crate) mod checkout;
pub(crate) mod deployment;
pub(crate) mod gateway;
pub(crate) mod keys;
mod leaks;
pub(crate) mod machine;
mod program;
pub(crate) mod repository;
pub(crate) mod variables;

use core::fmt::Write as _;

use serde::Serialize;

use crate::failure::Failure;
use crate::output::plain;
use crate::status::Status;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Pass,
    Warn,
    Fail,
    /// Not looked at, because it was not asked for or is not there.
    Skip,
    /// It could not be looked at.
    Unknown,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
            Self::Unknown => "????",
        }
    }
}

/// A line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    group: &'static str,
    name: String,
    pub(crate) verdict: Verdict,
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// Checks that belong together, by their heading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group(pub(crate) &'static str);

impl Group {
    fn check(self, verdict: Verdict, name: &str, detail: &str, fix: Option<&str>) -> Check {
        Check {
            group: self.0,
            name: plain(name),
            verdict,
            detail: plain(detail),
            fix: fix.map(plain),
        }
    }

    pub(crate) fn pass(self, name: &str, detail: impl AsRef<str>) -> Check {
        self.check(Verdict::Pass, name, detail.as_ref(), None)
    }

    pub(crate) fn warn(self, name: &str, detail: impl AsRef<str>, fix: impl AsRef<str>) -> Check {
        self.check(Verdict::Warn, name, detail.as_ref(), Some(fix.as_ref()))
    }

    pub(crate) fn fail(self, name: &str, detail: impl AsRef<str>, fix: impl AsRef<str>) -> Check {
        self.check(Verdict::Fail, name, detail.as_ref(), Some(fix.as_ref()))
    }

    pub(crate) fn skip(self, name: &str, detail: impl AsRef<str>) -> Check {
        self.check(Verdict::Skip, name, detail.as_ref(), None)
    }

    /// What could not be looked at, and why.
    pub(crate) fn unknown(self, name: &str, why: impl AsRef<str>, fix: impl AsRef<str>) -> Check {
        self.check(Verdict::Unknown, name, why.as_ref(), Some(fix.as_ref()))
    }

    /// A check that could not be made, unless the failure is a verdict itself.
    pub(crate) fn failed(self, name: &str, failure: &Failure) -> Check {
        let verdict = match failure.status {
            Status::Bad => Verdict::Fail,
            _ => Verdict::Unknown,
        };
        self.check(verdict, name, &failure.message, failure.hint.as_deref())
    }
}

/// What the checks come to: bad where one failed, whatever the others would have said.
pub(crate) fn status(checks: &[Check]) -> Status {
    if count(checks, Verdict::Fail) > 0 {
        Status::Bad
    } else if count(checks, Verdict::Unknown) > 0 {
        Status::Unjudged
    } else {
        Status::Good
    }
}

/// How many of each.
pub(crate) fn count(checks: &[Check], verdict: Verdict) -> usize {
    checks
        .iter()
        .filter(|check| check.verdict == verdict)
        .count()
}

/// The checklist for people: a heading for each group, a line for each check, and under it what to do.
pub(crate) fn draw(checks: &[Check]) -> String {
    let names = checks.iter().map(|check| check.name.chars().count());
    let width = names.max().unwrap_or(0);
    let (mut text, mut group) = (String::new(), "");
    for check in checks {
        if check.group != group {
            let gap = if group.is_empty() { "" } else { "\n" };
            group = check.group;
            writeln!(text, "{gap}{group}").unwrap_or_default();
        }
        let (word, name, detail) = (check.verdict.word(), &check.name, &check.detail);
        writeln!(text, "  {word}  {name:width$}  {detail}").unwrap_or_default();
        if let Some(fix) = &check.fix {
            writeln!(text, "        {fix}").unwrap_or_default();
        }
    }
    let [good, warnings, failed, skipped] =
        [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Skip].map(|of| count(checks, of));
    let noun = if warnings == 1 { "warning" } else { "warnings" };
    write!(
        text,
        "\n{good} good, {warnings} {noun}, {failed} failed, {skipped} skipped"
    )
    .unwrap_or_default();
    match count(checks, Verdict::Unknown) {
        0 => {}
        unknown => write!(text, ", {unknown} could not be looked at").unwrap_or_default(),
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checklist_says_what_to_do_under_what_is_not_good() {
        let (here, there) = (Group("Machine"), Group("Gateway"));
        let checks = [
            here.pass("git", "git version 2.47.3"),
            here.warn("Node", "18.1 is too old", "install Node 20 or newer"),
            there.fail("kill switch", "a\u{1b}[2Jb", "look"),
            there.skip("keys of accounts", "no host is known"),
            there.failed("CORS", &Failure::new("X", "no answer")),
        ];
        insta::assert_snapshot!(draw(&checks));
        assert_eq!(count(&checks, Verdict::Fail), 1);
        assert_eq!(status(&checks), Status::Bad);
        let [first, .., last] = &checks;
        assert_eq!(status(&[first.clone(), last.clone()]), Status::Unjudged);
        assert_eq!(status(core::slice::from_ref(first)), Status::Good);
        assert_eq!(draw(&[]), "\n0 good, 0 warnings, 0 failed, 0 skipped\n");
    }
}
