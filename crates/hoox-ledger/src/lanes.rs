//! Lanes: which run works on which symbol.
//!
//! They are kept in memory, because one instance serves an account at a time and the platform lets no other one write.
//! What an instance that was replaced still does is stopped by its writes: the send fence names the instance's
//! [epoch](Lanes::epoch), which the next one has raised.

use core::cell::Cell;
use core::fmt;

use hoox_model::Timestamp;
use hoox_store::Value;

use crate::port::LedgerError;

/// How long a run may hold a lane before another one may take it. A venue call ends after 8 s.
const LEASE_MS: i64 = 20_000;
/// Signals that are carried out side by side, and so the most venue calls in flight. The last one is kept for exits.
pub(crate) const MAX_LANES: usize = 4;
/// How long one delivery of records keeps the others waiting; it ends itself after 10 s.
const DELIVERY_MS: i64 = 12_000;

/// The lanes of one instance.
#[derive(Default)]
pub struct Lanes {
    held: Cell<Vec<Held>>,
    last: Cell<u64>,
    closed: Cell<bool>,
    delivers_until: Cell<Option<Timestamp>>,
    epoch: Cell<Option<String>>,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Held {
    product: String,
    symbol: String,
    token: u64,
    until: Timestamp,
}

/// The work of one symbol: one run at a time holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) product: String,
    pub(crate) symbol: String,
    token: u64,
}

impl Lanes {
    /// Begins with a new instance: whoever held a lane has lost it.
    pub(crate) fn begin(&self) {
        self.held.take();
        self.closed.set(false);
        self.delivers_until.set(None);
        self.epoch.take();
    }

    /// Takes a lane that is free.
    pub(crate) fn take(&self, product: &str, symbol: &str, now: Timestamp) -> Option<Lease> {
        if self.closed.get() {
            return None;
        }
        let mut held = self.held.take();
        let same = |lane: &Held| lane.product == product && lane.symbol == symbol;
        // A lease that is over stays its run's until somebody takes the lane.
        held.retain(|lane| lane.until > now || !same(lane));
        let taken = held.iter().any(same);
        let lease = (!taken).then(|| {
            let token = self.last.get().saturating_add(1);
            self.last.set(token);
            held.push(Held {
                product: product.to_owned(),
                symbol: symbol.to_owned(),
                token,
                until: now.plus_millis(LEASE_MS),
            });
            Lease {
                product: product.to_owned(),
                symbol: symbol.to_owned(),
                token,
            }
        });
        self.held.set(held);
        lease
    }

    /// Takes a lane for work that belongs to no symbol, unless it is taken or enough runs are at work.
    pub(crate) fn take_side(&self, name: &str, now: Timestamp) -> Option<Lease> {
        if self.busy(now) >= MAX_LANES.saturating_sub(1) {
            return None;
        }
        self.take(name, "", now)
    }

    /// Extends a lease.
    ///
    /// # Errors
    /// [`LedgerError::LeaseLost`]: the run must stop.
    pub(crate) fn renew(&self, lease: &Lease, now: Timestamp) -> Result<(), LedgerError> {
        let mut held = self.held.take();
        let own = held.iter_mut().find(|lane| lane.token == lease.token);
        let renewed = own.map(|lane| lane.until = now.plus_millis(LEASE_MS));
        self.held.set(held);
        renewed
            .filter(|()| !self.closed.get())
            .ok_or(LedgerError::LeaseLost)
    }

    /// Gives a lane back.
    pub(crate) fn release(&self, lease: &Lease) {
        self.keep(|lane| lane.token != lease.token);
    }

    /// Takes the lane of a symbol from whoever holds it.
    pub(crate) fn free(&self, product: &str, symbol: &str) {
        self.keep(|lane| !(lane.product == product && lane.symbol == symbol));
    }

    /// Takes all lanes from whoever holds them; where `closed`, no run takes one any more.
    pub(crate) fn clear(&self, closed: bool) {
        self.held.take();
        self.closed.set(closed);
    }

    fn keep(&self, keeps: impl Fn(&Held) -> bool) {
        let mut held = self.held.take();
        held.retain(keeps);
        self.held.set(held);
    }

    /// How many lanes are taken.
    pub(crate) fn busy(&self, now: Timestamp) -> usize {
        let held = self.held.take();
        let busy = held.iter().filter(|lane| lane.until > now).count();
        self.held.set(held);
        busy
    }

    /// The lanes that are taken, as a statement's parameter: a JSON array of product, symbol and the end of the lease.
    pub(crate) fn taken(&self, now: Timestamp) -> Value {
        self.listed(now, None)
    }

    /// The lanes that others have taken.
    pub(crate) fn taken_beside(&self, own: &Lease, now: Timestamp) -> Value {
        self.listed(now, Some(own.token))
    }

    fn listed(&self, now: Timestamp, but: Option<u64>) -> Value {
        let held = self.held.take();
        let taken: Vec<(&str, &str, i64)> = held
            .iter()
            .filter(|lane| lane.until > now && Some(lane.token) != but)
            .map(|lane| (&*lane.product, &*lane.symbol, lane.until.as_millis()))
            .collect();
        let json = serde_json::to_string(&taken).unwrap_or_else(|_| "[]".to_owned());
        self.held.set(held);
        Value::Text(json)
    }

    /// A delivery of records begins.
    pub(crate) fn delivers(&self, now: Timestamp) {
        self.delivers_until.set(Some(now.plus_millis(DELIVERY_MS)));
    }

    /// A delivery has ended.
    pub(crate) fn delivered(&self) {
        self.delivers_until.set(None);
    }

    /// Until when others wait for the delivery that is under way.
    pub(crate) const fn delivers_until(&self) -> Option<Timestamp> {
        self.delivers_until.get()
    }

    /// The instance's number among those that have worked on the account; `None` until it has been stored.
    pub(crate) fn epoch(&self) -> Option<String> {
        let epoch = self.epoch.take();
        self.epoch.set(epoch.clone());
        epoch
    }

    /// The epoch has been stored.
    pub(crate) fn set_epoch(&self, epoch: String) {
        self.epoch.set(Some(epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn one_run_at_a_time_holds_a_lane_and_may_lose_it() {
        let lanes = Lanes::default();
        let first = lanes.take("linear", "BTCUSDT", at(0)).unwrap();
        assert_eq!(lanes.take("linear", "BTCUSDT", at(1)), None);
        let other = lanes.take("linear", "ETHUSDT", at(1)).unwrap();
        assert_eq!(lanes.busy(at(1)), 2);
        assert_eq!(lanes.renew(&first, at(LEASE_MS - 1)), Ok(()));
        // The other's lease is over; what was over may still be its own until somebody takes it.
        assert_eq!(lanes.busy(at(LEASE_MS + 1)), 1);
        assert_eq!(lanes.renew(&other, at(LEASE_MS + 1)), Ok(()));
        let third = lanes.take("linear", "ETHUSDT", at(3 * LEASE_MS)).unwrap();
        assert_eq!(
            lanes.renew(&other, at(3 * LEASE_MS)),
            Err(LedgerError::LeaseLost)
        );
        lanes.release(&other);
        assert_eq!(lanes.renew(&third, at(3 * LEASE_MS)), Ok(()));
        lanes.free("linear", "ETHUSDT");
        assert_eq!(
            lanes.renew(&third, at(3 * LEASE_MS)),
            Err(LedgerError::LeaseLost)
        );
    }

    #[test]
    fn the_last_lane_is_for_no_side_work_and_none_is_left_when_all_is_closed() {
        let lanes = Lanes::default();
        let leases: Vec<Lease> = ["A", "B", "C"]
            .iter()
            .map(|symbol| lanes.take("linear", symbol, at(0)).unwrap())
            .collect();
        assert_eq!(lanes.take_side("flatten", at(0)), None);
        lanes.release(&leases[0]);
        assert!(lanes.take_side("flatten", at(0)).is_some());
        assert_eq!(
            lanes.taken(at(0)),
            Value::Text(format!(
                r#"[["linear","B",{LEASE_MS}],["linear","C",{LEASE_MS}],["flatten","",{LEASE_MS}]]"#
            ))
        );
        lanes.clear(true);
        assert_eq!(lanes.take("linear", "A", at(0)), None);
        assert_eq!(lanes.renew(&leases[1], at(0)), Err(LedgerError::LeaseLost));
    }
}
