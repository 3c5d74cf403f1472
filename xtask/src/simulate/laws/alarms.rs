//! Where work is left, an alarm is set: nothing waits for luck.

use crate::simulate::journal;
use crate::simulate::object::{Instance, Kind};
use crate::simulate::world::World;

const ALARM: &str = "where work is left an alarm is set";

impl World {
    /// After an alarm handler: what it left has an alarm, unless storage failed.
    pub(crate) fn check_alarm(&self, instance: &Instance) {
        let object = self.object_of(instance);
        let set = object.alarm.get().is_some()
            || instance.pending_alarm().is_some()
            || object.alarm_excused.get();
        if set || instance.replaced.get() || !matches!(object.kind, Kind::Ledger(_)) {
            return;
        }
        if journal::has_work_in(&instance.database.borrow()) {
            let text = format!(
                "{} has work left after its alarm, and no alarm",
                object.name
            );
            self.violate(ALARM, text);
        }
    }

    /// After an acknowledgement left: the alarm that finishes the work was committed with it.
    pub(crate) fn check_alarm_after_accept(&self, instance: &Instance) {
        let object = self.object_of(instance);
        let set = object.alarm.get().is_some()
            || instance.pending_alarm().is_some()
            || object.alarm_runs_in.get().is_some()
            || object.alarm_excused.get();
        let Kind::Ledger(account) = object.kind else {
            return;
        };
        if !set && !instance.replaced.get() && journal::has_work(self, account) {
            let text = format!("{} acknowledged a signal, and no alarm is set", object.name);
            self.violate(ALARM, text);
        }
    }
}
