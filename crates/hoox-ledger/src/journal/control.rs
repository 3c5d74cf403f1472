//! Control's word is taken over: configuration, kill switch, senders who may not trade any more. Writes by the other
//! modules, and makes due in `signal` and `orders` what the word changes.

use hoox_auth::OPERATOR;
use hoox_mesh::{Configure, KillMode, KillState, SignalStatus};
use hoox_model::{Code, Name, Timestamp};

use super::closing::{hold, is_closed};
use super::config::{Config, config, set_config};
use super::kill::{flatten, kill, set_flatten, set_mode, set_revision};
use super::orders::skip_planned;
use super::signals::save_signal;
use crate::flatten::Flatten;
use crate::lanes::Lanes;
use crate::port::{LedgerError, Store};
use crate::row::{OrderRow, SignalRow, at, select, text};

/// Takes over Control's word, unless a newer one is known. Returns how many waiting exits of revoked senders became dead
/// letters.
pub(crate) fn configure(
    store: &impl Store,
    lanes: &Lanes,
    message: &Configure,
    now: Timestamp,
) -> Result<u32, LedgerError> {
    let before = config(store)?;
    // A newer manifest is in force: whether the account is in it, its senders say.
    if before
        .as_ref()
        .is_some_and(|before| before.manifest_version < message.manifest_version)
    {
        hold(store, None)?;
    }
    let config = set_config(
        store,
        before.as_ref(),
        message.manifest_version,
        &message.account,
        Some(&message.senders),
    )?;
    let revoked = if before.is_some_and(|before| before.senders != config.senders) {
        revoke_waiting(store, lanes, &config, now)?
    } else {
        0
    };
    let known = kill(store)?;
    if known.is_some_and(|known| known.revision >= message.kill.revision) {
        return Ok(revoked);
    }
    take_kill(store, &message.kill, now)?;
    if message.kill.mode != KillMode::Off {
        end_entries(store, lanes, now)?;
    }
    Ok(revoked)
}

/// Takes over the mode, and has every position closed where that is asked for.
fn take_kill(store: &impl Store, word: &KillState, now: Timestamp) -> Result<(), LedgerError> {
    // What is closed for good stays so, and the switch takes back what rests all the same.
    let is_closed = is_closed(store)?;
    if !is_closed {
        set_mode(store, word.mode)?;
    }
    set_revision(store, word.revision)?;
    let job = flatten(store)?;
    // A Ledger that has just begun as well: its account may have positions.
    let asked = word.flatten_asked().filter(|_| !is_closed);
    match (word.mode, asked) {
        (KillMode::Off, _) => set_flatten(store, None),
        // In the mode `all` suspended until the mode lets closes through again.
        (_, Some(asked)) => {
            // What is being closed goes on being closed; what is done begins anew only where it is asked for anew.
            let job = job
                .filter(|job| !job.done || job.revision >= asked)
                .map_or_else(|| Flatten::new(asked, now), |job| job.asked(asked, now));
            set_flatten(store, Some(&job))
        }
        (KillMode::All, None) => Ok(()),
        (KillMode::Entries, None) => match job {
            Some(job) => set_flatten(store, Some(&job.due(now))),
            None => Ok(()),
        },
    }
}

/// Makes due the signals whose entries rest at the venue, or may: the switch has them ended.
fn end_entries(store: &impl Store, lanes: &Lanes, now: Timestamp) -> Result<(), LedgerError> {
    // An entry that could not be found out may rest at the venue: it is asked for once more, beside the
    // symbol's exits, and ended where it is there. A run that still records what else its signal traded
    // must not write over that.
    let unknown = select(
        store,
        "SELECT DISTINCT product, symbol FROM orders WHERE live = 1 AND closes = 0 AND state = 'unknown'",
        &[],
    )?;
    for cells in &unknown {
        lanes.free(cells.text(0)?, cells.text(1)?);
    }
    store.query(
        "UPDATE signal SET status = 'sending', open = 1, blocking = 0, dead = 0, due_at = ?1 WHERE id IN \
         (SELECT signal_id FROM orders WHERE live = 1 AND closes = 0 AND state = 'unknown')",
        &[at(now)],
    )?;
    store.query(
        "UPDATE orders SET state = 'sending' WHERE live = 1 AND closes = 0 AND state = 'unknown'",
        &[],
    )?;
    store.query(
        "UPDATE signal SET due_at = MIN(due_at, ?1) WHERE open = 1 AND id IN (SELECT signal_id FROM orders \
         WHERE live = 1 AND closes = 0 AND state IN ('acknowledged', 'partly_filled'))",
        &[at(now)],
    )?;
    Ok(())
}

/// Ends what waits of senders who may not trade any more and has sent nothing: entries are refused, exits become dead
/// letters that can be replayed. Returns how many exits there were.
pub(crate) fn revoke_waiting(
    store: &impl Store,
    lanes: &Lanes,
    config: &Config,
    now: Timestamp,
) -> Result<u32, LedgerError> {
    let waiting = select(
        store,
        "SELECT id, sender FROM signal WHERE open = 1 AND status IN ('received', 'planned') \
         AND sender <> +?1 LIMIT 2000",
        &[text(OPERATOR)],
    )?;
    let mut exits = 0u32;
    for cells in &waiting {
        let sender: Name = cells.parsed(1)?;
        if config.may_trade(&sender, 0) {
            continue;
        }
        let Some(mut row) = SignalRow::readable(store, &cells.parsed(0)?)? else {
            continue;
        };
        // A cancel that has begun goes on.
        if config.may_trade(&sender, row.data.manifest_version) || (row.cancels() && !row.blocking)
        {
            continue;
        }
        let mut orders = OrderRow::of(store, &row.id)?;
        if orders.iter().any(|order| order.fence > 0) {
            continue;
        }
        // A run that is planning it must not write over that.
        lanes.free(row.product.as_str(), row.symbol.as_str());
        let why =
            "the sender's right to trade on this account was withdrawn before anything was sent";
        skip_planned(store, &mut orders, why, now)?;
        let is_exit = !row.entry;
        row.end(
            SignalStatus::Refused,
            Some(Code::NotPermitted),
            Some(why.to_owned()),
        );
        row.open = false;
        // It was taken, so nothing older opens what it was to close, although nothing of it is sent.
        row.dead = is_exit;
        exits = exits.saturating_add(u32::from(is_exit));
        save_signal(store, &mut row, now)?;
    }
    Ok(exits)
}
