//! What is watched while a run goes on: which signals still work, external calls between two events,
//! calls during a ban, and a flatten that ends by itself.

use std::rc::Rc;

use hoox_mesh::KillMode;
use hoox_model::Symbol;

use crate::simulate::history::Confirmed;
use crate::simulate::journal;
use crate::simulate::object::{Instance, Kind};
use crate::simulate::venue::VenueCall;
use crate::simulate::weather::Window;
use crate::simulate::world::{ACCOUNTS, World};

/// How often is looked.
pub(crate) const LOOK_MS: i64 = 10_000;
/// External calls that an object may make between two events.
const MOST_CALLS: u32 = 40;
/// How often a ban without a stated end may be probed, less what a call takes.
const PROBE_MS: i64 = 59_000;
/// How long after it was told of a ban a Ledger may have forgotten it again, should its instance end.
const STORED_MS: i64 = 5_000;
/// How long a run that was under way may go on to read after its Ledger has handed over, until it comes to its next write.
const RUN_MS: i64 = 10_000;
/// Calls that had begun when the answer came.
const UNDER_WAY_MS: i64 = 1_000;

const CALLS: &str = "no more than 40 external calls between two events";
const REPLACED: &str = "an instance that was replaced changes nothing at the venue";
const PROBED: &str = "a ban is not probed before its end";
const UNTOLD: &str = "an exit that is not done after 10 s is told with its reason";
const HANDED: &str = "a Ledger that has handed over sends, cancels and looks up nothing";
const RETIRED: &str = "nothing is sent of an account that was retired by force";
const ENDED: &str = "flatten never ends by itself before all is flat";

impl World {
    /// Looks again and again, for as long as the run lasts.
    pub(crate) fn watch(self: &Rc<Self>) {
        self.exec.after(LOOK_MS, |world| {
            for account in ACCOUNTS {
                let now = world.now();
                let working = journal::working(world, account);
                let mut history = world.history.borrow_mut();
                for id in working {
                    history.working.insert(id, now);
                }
                for id in journal::unknown(world, account) {
                    history.unknown.entry(id).or_insert(now);
                }
                drop(history);
                for id in journal::untold(world, account) {
                    world.violate(UNTOLD, format!("{id} goes on and does not say why"));
                }
                world.watch_flatten(account);
            }
            world.watch();
        });
    }

    /// One more external call of a Ledger.
    pub(crate) fn count_call(&self, instance: &Instance, what: &'static str) {
        let object = self.object_of(instance);
        if !matches!(object.kind, Kind::Ledger(_)) {
            return;
        }
        let calls = instance.external_calls.get() + 1;
        instance.external_calls.set(calls);
        if calls == MOST_CALLS + 1 {
            let text = format!("{} made call {calls} ({what})", object.name);
            self.violate(CALLS, text);
        }
    }

    /// A call begins: none may while the Ledger knows that it is banned.
    pub(crate) fn check_ban(&self, instance: &Instance, call: VenueCall) {
        let object = self.object_of(instance);
        let until = instance.banned_until.get().max(object.banned_until.get());
        if self.now() < until && !instance.replaced.get() {
            let text = format!(
                "{} calls {} {} ms before the ban ends",
                object.name,
                call.as_str(),
                until - self.now()
            );
            self.violate(PROBED, text);
            object.banned_until.set(0);
            instance.banned_until.set(0);
        }
    }

    /// From when until when an account's Ledger had handed over or was about to, and the next one had not taken over.
    pub(crate) fn handed_over(&self, account: usize) -> Vec<Window> {
        let ledgers = self.objects.iter();
        let of_account = ledgers.filter(|object| object.kind == Kind::Ledger(account));
        let (asked, taken): (Vec<_>, Vec<_>) = of_account
            .map(|object| (object.asked_to_hand_over.get(), object.taken_over.get()))
            .unzip();
        let until = taken.into_iter().flatten();
        let windows = asked.into_iter().flatten().zip(until.chain([i64::MAX]));
        windows
            .map(|(from, until)| Window { from, until })
            .collect()
    }

    /// A call begins or leaves: none of a Ledger that had handed over when it began.
    pub(crate) fn check_handed_over(&self, instance: &Instance, call: VenueCall, began: i64) {
        let object = self.object_of(instance);
        let orders = matches!(call, VenueCall::PlaceOrder | VenueCall::SetLeverage);
        if let Some(retired) = object.retired.get().filter(|at| orders && began > *at) {
            let text = format!("{} calls {} ms later", object.name, began - retired);
            self.violate(RETIRED, text);
        }
        let Some(handed) = object.handed_over.get() else {
            return;
        };
        // A replaced instance does not know of it, and what it writes is never durable.
        let unknown = !call.changes() && instance.replaced.get();
        let allowed = if call.changes() { 0 } else { RUN_MS };
        if began > handed + allowed && !unknown {
            let text = format!(
                "{} calls {} {} ms after it had handed over",
                object.name,
                call.as_str(),
                began - handed
            );
            self.violate(HANDED, text);
        }
    }

    /// A call leaves that changes something at the venue: a write in the same turn holds it back where another instance
    /// has taken this one's place, because that write is never durable.
    pub(crate) fn check_replaced(&self, instance: &Instance, call: VenueCall) {
        if instance.replaced.get() {
            let name = self.object_of(instance).name;
            let text = format!("instance {} of {name} calls {}", instance.id, call.as_str());
            self.violate(REPLACED, text);
        }
    }

    /// An instance is told of a ban.
    pub(crate) fn told_of_ban(self: &Rc<Self>, instance: &Rc<Instance>, ends_in: Option<i64>) {
        let until = self.now() + ends_in.unwrap_or(PROBE_MS);
        let told = instance.clone();
        self.exec.after(UNDER_WAY_MS, move |_| {
            told.banned_until.set(told.banned_until.get().max(until));
        });
        let (told, now) = (instance.clone(), self.now());
        self.exec.after(STORED_MS, move |world| {
            // Where storage failed meanwhile it may be kept by the instance alone.
            let stored = told.is_durable() && told.storage_failed.get() < now;
            if told.alive.get() && stored && !told.replaced.get() {
                let object = world.object_of(&told);
                object
                    .banned_until
                    .set(object.banned_until.get().max(until));
            }
        });
    }

    fn watch_flatten(&self, account: usize) {
        for asked in journal::flattens(self, account) {
            let mut history = self.history.borrow_mut();
            let seen = history.flattens.entry((account, asked));
            seen.or_insert(self.now());
        }
        let retired = self.was_retired(account) || journal::is_retired(self, account);
        if retired || journal::is_flattening(self, account) {
            return;
        }
        let Some(told) = self.told_to_flatten(account) else {
            return;
        };
        let ordered = self.ordered_to_flatten(&told);
        let since = ordered - self.weather.venues[account].position_lag - LOOK_MS;
        for symbol in self.exchange(account).held_symbols(i64::MAX) {
            if self.always_closable(account, &symbol, since) {
                let text = format!(
                    "{} is held as ever since {} ms ago, and the work has ended",
                    symbol.as_str(),
                    self.now() - ordered
                );
                self.violate(ENDED, text);
                self.history
                    .borrow_mut()
                    .confirmed
                    .iter_mut()
                    .for_each(|confirmed| {
                        if confirmed.flatten == told.flatten {
                            confirmed.flatten = None;
                        }
                    });
            }
        }
    }

    /// The Ledger's word that it has been told to close everything, where that still holds: only `off`
    /// ends it.
    fn told_to_flatten(&self, account: usize) -> Option<Confirmed> {
        let history = self.history.borrow();
        let of_account = || {
            let all = history.confirmed.iter();
            all.filter(|confirmed| confirmed.account == account)
        };
        // Told again of the same change, or of one that keeps it, it begins nothing new.
        let told = of_account()
            .filter(|confirmed| confirmed.flatten.is_some())
            .max_by_key(|confirmed| (confirmed.flatten, core::cmp::Reverse(confirmed.at)))?;
        let asked = told.flatten?;
        let off = history
            .switched
            .iter()
            .any(|switched| switched.revision > asked && switched.mode == KillMode::Off);
        (!off).then(|| told.clone())
    }

    /// When a Ledger was told to close everything, at the latest. It may have begun, and ended flat, long before its word
    /// of that came through.
    fn ordered_to_flatten(&self, told: &Confirmed) -> i64 {
        let history = self.history.borrow();
        let seen = history.flattens.iter();
        let same = seen.filter(|((account, asked), _)| {
            *account == told.account && Some(*asked) >= told.flatten
        });
        same.map(|(_, at)| *at).fold(told.at, i64::min)
    }

    /// Whether what is held of a symbol can be closed at all.
    pub(crate) fn can_close(&self, account: usize, symbol: &Symbol) -> bool {
        let exchange = self.exchange(account);
        let held = exchange.held(symbol).abs();
        !held.is_zero() && (exchange.rules.closes_all || held >= exchange.rules.min)
    }

    /// Whether all the time more was held than what cannot be closed.
    fn always_closable(&self, account: usize, symbol: &Symbol, since: i64) -> bool {
        let exchange = self.exchange(account);
        let least = exchange.least_held(symbol, since, self.now()).abs();
        !least.is_zero() && (exchange.rules.closes_all || least >= exchange.rules.min)
    }
}
