//! How an account's Ledger is, for the operator.

use hoox_auth::{Environment, LocationHint};
use hoox_model::{Name, SignalId, Symbol, Timestamp, Venue};
use hoox_risk::KillMode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::FlattenView;

/// A Ledger's own word on its health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerHealth {
    /// Name of the account.
    pub account: Name,
    /// The exchange.
    pub venue: Venue,
    /// Live, testnet or simulator.
    pub environment: Environment,
    /// Version of the manifest that it goes by.
    pub manifest_version: u64,
    /// The kill switch's mode; `null` where Control has not told it yet, and then no entry goes out.
    pub kill_switch: Option<KillMode>,
    /// Signals that are not finished, those included that wait for their records.
    pub open_signals: u32,
    /// When the earliest of its work is due; long ago means that its alarm was lost.
    pub next_due: Option<Timestamp>,
    /// Orders on their way whose outcome is open.
    pub in_flight: u32,
    /// Orders that rest at the venue.
    pub resting: u32,
    /// Signals that wait for an operator.
    pub dead_letters: u32,
    /// Records that are not delivered yet.
    pub undelivered_records: u32,
    /// Records that the store refused; they are kept.
    pub refused_records: u32,
    /// How closing every position stands, where the kill switch was engaged with `flatten`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flatten: Option<FlattenView>,
    /// Exits that are not done ten seconds after they were taken, and go on.
    pub exits_undone: Vec<ExitUndone>,
    /// Until when the venue is left alone, because it limits or fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_paused_until: Option<Timestamp>,
    /// Difference between the venue's clock and Hoox's, in milliseconds, as last measured.
    pub clock_offset_ms: i64,
    /// Where it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_hint: Option<LocationHint>,
    /// The data centre that its calls leave from; `null` where that could not be found out.
    pub colo: Option<String>,
    /// The rows that it has written today.
    pub rows_today: RowCount,
}

/// The rows that one object has written on a day, as it counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowCount {
    /// The day's first moment, in UTC.
    pub since: Timestamp,
    /// The rows.
    pub written: u64,
    /// Whether it refuses entries, because all objects together are near the day's limit.
    pub entries_refused: bool,
    /// Whether it goes by what Control has told it of the others' rows on this day.
    pub told: bool,
}

/// The rows that all other objects have written on a day. Control to Ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowsOfOthers {
    /// The day's first moment, in UTC.
    pub since: Timestamp,
    /// The rows.
    pub written: u64,
    /// The rows that all objects together may write on a day; `None` where nothing limits them.
    pub limit: Option<u64>,
}

/// What Control asks of a Ledger when it sweeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SweepRequest {
    /// What the Ledger has to know of the others' rows, if anything.
    pub others: Option<RowsOfOthers>,
}

/// The rows that all objects together have written today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowsToday {
    /// The day's first moment, in UTC.
    pub since: Timestamp,
    /// The rows.
    pub written: u64,
    /// As many may be written on a day; `null` where nothing limits them.
    pub limit: Option<u64>,
    /// Whether an account refuses entries for it.
    pub entries_refused: bool,
    /// Whether every account's rows are among them; without those of a Ledger that did not answer, they are more.
    pub complete: bool,
}

/// An exit that is not done although it was taken a while ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitUndone {
    /// The signal.
    pub signal_id: SignalId,
    /// What it closes.
    pub symbol: Symbol,
    /// When it was taken.
    pub since: Timestamp,
    /// Why it is not done.
    pub reason: Option<String>,
}

/// What the accounts' Ledgers say, each passed on as it wrote it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerReports {
    /// One entry for each Ledger that answered.
    pub accounts: Vec<Box<RawValue>>,
    /// Names of accounts whose Ledgers did not answer.
    pub unreachable: Vec<Name>,
    /// The rows of the day, where health is asked for and Control counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_today: Option<RowsToday>,
}

/// The data centre in a trace of Cloudflare's (`/cdn-cgi/trace`: lines of `name=value`), an IATA code
/// such as `NRT`.
pub fn colo(trace: &str) -> Option<&str> {
    trace
        .lines()
        .find_map(|line| line.strip_prefix("colo="))
        .filter(|colo| {
            (3..=8).contains(&colo.len()) && colo.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_centre_is_read_from_a_trace() {
        let trace = "fl=1f1\nh=cloudflare.com\nts=1780000000.1\ncolo=NRT\nloc=JP\n";
        assert_eq!(colo(trace), Some("NRT"));
        for odd in [
            "",
            "colo=",
            "xcolo=NRT",
            "colo=<script>",
            "colo=MUCHTOOLONG",
        ] {
            assert_eq!(colo(odd), None, "{odd}");
        }
    }
}
