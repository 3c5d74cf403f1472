//! Once faults stop, everything ends within the bound, and alerts are taken and carried out again.

use hoox_mesh::SignalStatus;

use super::Case;
use crate::simulate::history::{code, status};
use crate::simulate::journal;
use crate::simulate::object::Kind;
use crate::simulate::world::{ACCOUNTS, World};
use crate::simulate::{BOUND_MS, MINUTE};

const ENDS: &str = "once faults stop everything ends";
const LISTED: &str = "what cannot end by itself is on the operator's list";
const WORKS: &str = "once faults stop alerts are taken again";

/// Says what is left after the bound.
pub(crate) fn report(world: &World) {
    for account in ACCOUNTS {
        let left = journal::left(world, account);
        let ledgers = world.objects.iter();
        let mut of_account = ledgers.filter(|object| object.kind == Kind::Ledger(account));
        let busy = of_account.rfind(|object| object.alarm.get().is_some());
        let object = busy.unwrap_or(&world.objects[account + 1]);
        if !left.is_empty() {
            let text = format!(
                "after {} minutes without faults {} has left: {}; its alarm: {:?}",
                BOUND_MS / MINUTE,
                object.name,
                left.join(", "),
                object.alarm.get()
            );
            world.violate(ENDS, text);
        }
    }
    if world.violations.borrow().is_empty() {
        world.violate(ENDS, "an object is busy and has nothing to do".to_owned());
    }
}

/// Every unknown outcome is a dead letter.
pub(crate) fn check_listed(world: &World) {
    for account in ACCOUNTS {
        for row in journal::signals(world, account) {
            if row.status == SignalStatus::Unknown {
                world.stats.hit("operator", "an unknown outcome is listed");
            }
            if row.status == SignalStatus::Unknown && !row.dead {
                world.violate(LISTED, format!("{} is unknown and not listed", row.id));
            }
        }
    }
}

/// Alerts that were sent after the faults had stopped were answered as they must be.
pub(super) fn check_probes(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for number in &case.story.probes {
        let alert = &case.story.alerts[*number];
        let of_probe = history
            .requests
            .iter()
            .filter(|request| request.alert == *number);
        let answers: Vec<_> = of_probe
            .filter_map(|request| request.answer.as_ref())
            .collect();
        let fine = answers.iter().any(|(_, answer)| {
            let killed = alert.is_entry() && status(answer) == 423;
            answer.is_ok() || killed
        });
        if !fine {
            let codes: Vec<_> = answers
                .iter()
                .map(|(_, answer)| code(answer).map(hoox_model::Code::as_str))
                .collect();
            let text = format!("alert {number} was answered {codes:?}: {}", alert.content);
            case.violate(WORKS, text);
        }
    }
}
