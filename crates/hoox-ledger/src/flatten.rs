//! Closing every position, because the kill switch was engaged with `flatten`.

use hoox_auth::{Account, EntryRate, OPERATOR};
use hoox_exchange::{Clock, Venue};
use hoox_mesh::Accept;
use hoox_model::{Name, Position, Product, RequestId, Timestamp};
use hoox_signal::{Identity, Signal, SymbolRef, WINDOW_LONG_MS};

use crate::drive::{Ledger, put_clock_right};
use crate::journal::{self, Config, Flatten};
use crate::port::{LedgerError, Ports, Random, Store, atomic};

/// Rounds of closing; what is still held after them is the operator's to look at.
const ROUNDS: u32 = 5;
/// How long a round waits for own entries that are on their way or rest.
const WAIT_MS: i64 = 10_000;
/// How soon is looked again whether they have come to rest.
const LOOK_MS: i64 = 300;
/// How soon the venue is asked again that did not list the positions, or showed none too early.
const RETRY_MS: i64 = 5_000;
/// The lane of this work, beside those of the symbols.
const LANE: &str = "flatten";
/// How long after its closes a round looks whether anything is left.
const ROUND_MS: i64 = 2_000;

impl<P: Ports> Ledger<P> {
    /// One step: closes what is held as signals of their own, journaled and carried out like any
    /// other, until the venue shows nothing more.
    pub(crate) async fn flatten(&self) -> Result<(), LedgerError> {
        let (store, now) = (self.ports().store(), self.ports().clock().now());
        let (Some(flatten), Some(config)) = (journal::flatten(store)?, journal::config(store)?)
        else {
            return Ok(());
        };
        if flatten.due_at > now {
            return Ok(());
        }
        let pause = journal::venue_pause(store)?;
        if pause > now {
            return self.later(&flatten, pause.since(now));
        }
        // What is on its way could still make a position larger.
        if is_moving(store)? && now.since(flatten.since) < WAIT_MS {
            return self.later(&flatten, LOOK_MS);
        }
        let token = hoox_model::sha256_hex(&self.ports().random().bytes()?);
        let Some(lease) = atomic(store, || {
            journal::take_side_lane(store, LANE, token.clone(), now)
        })?
        else {
            return self.later(&flatten, LOOK_MS);
        };
        let done = self.round(&flatten, &config).await;
        done.and(lease.release(store))
    }

    async fn round(&self, flatten: &Flatten, config: &Config) -> Result<(), LedgerError> {
        let offset = journal::clock_offset(self.ports().store())?;
        let Ok(venue) = self.ports().venue(&config.account, offset) else {
            return self.later(flatten, RETRY_MS);
        };
        match venue.positions(Product::Linear).await {
            Ok(held) => self.close_all(flatten, config, &held),
            Err(error) => {
                put_clock_right(self.ports(), &venue, &error).await?;
                self.later(flatten, RETRY_MS)
            }
        }
    }

    fn later(&self, flatten: &Flatten, wait_ms: i64) -> Result<(), LedgerError> {
        let store = self.ports().store();
        let due_at = self.ports().clock().now().plus_millis(wait_ms);
        atomic(store, || {
            if is_present(store, flatten)? {
                let later = Flatten {
                    due_at,
                    ..flatten.clone()
                };
                journal::set_flatten(store, Some(&later))?;
            }
            Ok(())
        })
    }

    fn close_all(
        &self,
        flatten: &Flatten,
        config: &Config,
        held: &[Position],
    ) -> Result<(), LedgerError> {
        let store = self.ports().store();
        let now = self.ports().clock().now();
        atomic(store, || {
            // A newer word of Control, or another run, was faster.
            if !is_present(store, flatten)? {
                return Ok(());
            }
            if flatten.round >= ROUNDS {
                return journal::set_flatten(store, None);
            }
            if held.is_empty() {
                // An entry in doubt, or one that is still to be ended, may yet open a position.
                let next = Flatten {
                    due_at: now.plus_millis(RETRY_MS),
                    ..flatten.clone()
                };
                let wait = is_moving(store)?.then_some(&next);
                return journal::set_flatten(store, wait);
            }
            for position in held {
                let request_id = RequestId::new(now, self.ports().random().bytes()?);
                let close = close(
                    &config.account,
                    config.manifest_version,
                    flatten,
                    position,
                    request_id,
                    now,
                )?;
                // What is refused here is refused for a reason that the next round meets again.
                let _refused = self.decide(store, &close, now)?.err();
            }
            let next = Flatten {
                round: flatten.round.saturating_add(1),
                due_at: now.plus_millis(ROUND_MS),
                since: now,
                ..flatten.clone()
            };
            journal::set_flatten(store, Some(&next))
        })
    }
}

/// Whether an order is on its way, or an entry rests at the venue.
fn is_moving(store: &impl Store) -> Result<bool, LedgerError> {
    Ok(journal::in_flight(store)? > 0 || journal::resting_entries(store)? > 0)
}

fn is_present(store: &impl Store, flatten: &Flatten) -> Result<bool, LedgerError> {
    Ok(journal::flatten(store)?
        .is_some_and(|known| (known.revision, known.round) == (flatten.revision, flatten.round)))
}

/// A close of one position, as if the operator had sent it.
fn close(
    account: &Account,
    manifest_version: u64,
    flatten: &Flatten,
    position: &Position,
    request_id: RequestId,
    now: Timestamp,
) -> Result<Accept, LedgerError> {
    let symbol = SymbolRef {
        symbol: position.symbol.clone(),
        product: Some(Product::Linear),
        venue_prefix: None,
    };
    let sender: Name = OPERATOR
        .parse()
        .map_err(|_| LedgerError::Corrupt("the operator's name".to_owned()))?;
    let body = format!(
        r#"{{"action":"close","symbol":"{}","market":"linear","comment":"kill switch, flatten"}}"#,
        position.symbol
    );
    Ok(Accept {
        request_id,
        sender,
        entry_rate: EntryRate {
            count: 1,
            seconds: 1,
        },
        manifest_version,
        account: account.clone(),
        past: Vec::new(),
        identity: Identity {
            key: format!(
                "f:{}:{}:{}",
                flatten.revision, flatten.round, position.symbol
            ),
            content_hash: String::new(),
            window_ms: WINDOW_LONG_MS,
        },
        signal: Signal::close(symbol),
        body,
        received_at: now,
        wait_ms: 0,
    })
}
