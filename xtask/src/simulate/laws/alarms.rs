//! Where work is left, an alarm is set: nothing waits for luck. And none is set again and again for nothing.

use crate::simulate::journal;
use crate::simulate::object::{Instance, Kind, Object};
use crate::simulate::world::World;

const ALARM: &str = "where work is left an alarm is set";
const SPINS: &str = "no alarm is set again and again for nothing";
/// So many alarms of an object within so long are more than any pace of looking asks for.
const MOST: usize = 200;
const WITHIN_MS: i64 = 5_000;

impl World {
    /// An alarm fires: not for the two hundredth time within a moment.
    pub(crate) fn check_alarms(&self, object: &Object) {
        let now = self.now();
        let mut fired = object.alarms.borrow_mut();
        fired.push_back(now);
        if fired.len() <= MOST {
            return;
        }
        let since = fired.pop_front().unwrap_or(now);
        if now - since < WITHIN_MS {
            let text = format!(
                "{} has fired {MOST} alarms in {} ms",
                object.name,
                now - since
            );
            self.violate(SPINS, text);
            fired.clear();
        }
    }

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
        let work = || journal::has_work_in(&instance.database.borrow());
        if !set && !instance.replaced.get() && work() {
            let text = format!("{} acknowledged a signal, and no alarm is set", object.name);
            self.violate(ALARM, text);
        }
    }
}
