//! The status that the process ends with: one meaning for each number, whatever the command.
//!
//! Some commands change or list something, others judge: they say whether something is as it should be. A command that
//! judges and could not look ends with another status than one that looked and found it bad, so that a script can tell.

use crate::args::Task;
use crate::commands::accounts::Accounts;
use crate::commands::alert::Alert;
use crate::commands::config::{Config, Manifest};
use crate::commands::kill_switch::Verb;
use crate::commands::monitor::Monitor;
use crate::commands::secrets::Secrets;
use crate::commands::waf::Waf;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Done, or found as it should be.
    Good,
    /// Looked at, and not as it should be.
    Bad,
    /// Refused, or done in part.
    Refused,
    /// It could not be judged, or the command makes no sense as it stands. Nothing was changed.
    Unjudged,
    /// It is not known whether it was done: look, then repeat it.
    Unknown,
}

impl Status {
    /// The process's status.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Bad | Self::Refused => 1,
            Self::Unjudged => 2,
            Self::Unknown => 3,
        }
    }
}

/// The statuses as the program's help says them.
pub(crate) const ALL: &str = "\
Exit status:
  0  done; or, of a command that judges: it is as it should be
  1  refused, or done in part; or the verdict is bad
  2  the command makes no sense as it stands, nothing was sent; or it could not be judged: no answer, a refused
     key or token
  3  no answer came to a change: look whether it was done, then repeat it

Commands that judge: doctor, secrets check, waf status, keys audit, accounts test, monitor health,
monitor kill-switch status, config manifest validate, alert check, signal send.";

/// The same in the help of a command that judges.
pub(crate) const OF_A_VERDICT: &str =
    "Exit status: 0 as it should be, 1 the verdict is bad, 2 it could not be judged";

/// The same in the help of `signal send`, which may change something.
pub(crate) const OF_AN_ALERT: &str = "Exit status: 0 taken, 1 refused, 2 it could not be judged and nothing was sent to the exchange, 3 with --trade no answer came: look before you repeat it";

/// The same in the help of the kill switch, whose status is judged and whose changes are confirmed.
pub(crate) const OF_THE_SWITCH: &str = "Exit status: 0 done and confirmed, 1 an account has not confirmed, or `status` finds one that has not or an exit that is not done, 2 `status` could not look, 3 no answer came to a change";

impl Task {
    /// Whether the command judges.
    pub(crate) const fn judges(&self) -> bool {
        match self {
            Self::Doctor(_) | Self::Keys(_) | Self::Signal(_) => true,
            Self::Alert(task) => matches!(task, Alert::Check(_)),
            Self::Secrets(task) => matches!(task, Secrets::Check),
            Self::Waf(task) => matches!(task, Waf::Status),
            Self::Accounts(task) => matches!(task, Accounts::Test { .. }),
            Self::Monitor(Monitor::KillSwitch(asked)) => matches!(asked.verb, Verb::Status),
            Self::Monitor(task) => matches!(task, Monitor::Health),
            Self::Config(task) => {
                matches!(task, Config::Manifest(Manifest::Validate { .. }))
            }
            _ => false,
        }
    }
}
