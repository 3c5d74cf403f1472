//! Every refusal is justified: duplicates, reused keys, the switch, rates, rights, staleness.

use hoox_mesh::Problem;
use hoox_model::Code;

use super::Case;
use crate::simulate::alerts::{Alert, Ask, Wrong};
use crate::simulate::history::Request;
use crate::simulate::world::ACCOUNTS;

const JUSTIFIED: &str = "every refusal is justified";
const DEFECT: &str = "no answer names a defect of Hoox";
const UNREFUSED: &str = "what is wrong is refused";

pub(super) fn check(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for request in &history.requests {
        let alert = &*case.story.alerts[request.alert];
        match &request.answer {
            Some((at, Err(problem))) => check_refusal(case, request, alert, *at, problem),
            Some((_, Ok(_))) if alert.wrong.is_some() && !may_close_late(alert) => {
                let text = format!("{:?} was taken: {}", alert.wrong, alert.content);
                case.violate(UNREFUSED, text);
            }
            _ => {}
        }
    }
}

fn check_refusal(case: &Case<'_>, request: &Request, alert: &Alert, at: i64, problem: &Problem) {
    let justified = match problem.code {
        Code::Duplicate => names(case, alert, problem, true),
        Code::KeyReused => names(case, alert, problem, false),
        Code::KillSwitch => may_be_engaged(case, alert, request.sent_at, at),
        Code::RateLimited => has_used_rate(case, alert, at),
        Code::NotConfirmed | Code::NotConfigured => !calm_for(case, request.sent_at),
        Code::NotPermitted => {
            let sender = alert.sender;
            case.story
                .wishes
                .iter()
                .any(|wishes| wishes.allowed[sender].contains(&false))
        }
        Code::Forbidden => {
            let struck_off = case
                .story
                .wishes
                .iter()
                .any(|wishes| wishes.allowed[alert.sender] == [false; 2]);
            matches!(alert.wrong, Some(Wrong::Key | Wrong::Address)) || struck_off
        }
        Code::BadJson => alert.wrong == Some(Wrong::Json),
        Code::Placeholder => alert.wrong == Some(Wrong::Placeholder),
        Code::BadField => alert.wrong == Some(Wrong::Field),
        Code::Unsupported => alert.wrong == Some(Wrong::Unsupported),
        Code::Stale => {
            alert.timestamp.map_or(at - request.sent_at, |own| at - own) >= alert.max_lag - 4_100
        }
        // Held against what was there by the laws of what is overtaken.
        code if code.as_str() == "OUT_OF_ORDER" => true,
        Code::Conflict | Code::Internal => {
            case.violate(DEFECT, format!("request {}: {problem}", request.id));
            return;
        }
        _ => false,
    };
    if !justified {
        let text = format!("request {}: {problem} to {}", request.id, alert.content);
        case.violate(JUSTIFIED, text);
    }
}

/// Whether an alert is too old for an entry, and not for the exit that it may be part of: a flip always
/// closes.
fn may_close_late(alert: &Alert) -> bool {
    let flips = matches!(
        alert.ask,
        Ask::Long | Ask::Short | Ask::Reverse | Ask::TargetLong | Ask::TargetShort
    );
    alert.wrong == Some(Wrong::Stale) && alert.is_entry() && flips
}

/// Whether the signal that a refusal names came from the same key, with the same content or another.
fn names(case: &Case<'_>, alert: &Alert, problem: &Problem, same: bool) -> bool {
    let Some(view) = &problem.signal else {
        return false;
    };
    let Some((_, row)) = case.row(view.signal_id.as_str()) else {
        return false;
    };
    let Some(first) = case.alert(row) else {
        return false;
    };
    let own = first.identity == alert.identity && (first.content == alert.content) == same;
    // The key may be that of a close which was carried out with this one.
    let merged = |other: &Alert| {
        let key = other.identity == alert.identity && other.sender == alert.sender;
        key && other.content != alert.content && may_be_merged(first, other)
    };
    let merged = if same {
        may_be_merged(first, alert)
    } else {
        case.story.alerts.iter().any(|other| merged(other))
    };
    first.sender == alert.sender && (own || merged)
}

/// Whether a close of everything may have been answered with an equal one that waited: it is a duplicate of that from
/// then on.
pub(super) fn may_be_merged(first: &Alert, alert: &Alert) -> bool {
    let closes = |ask| match ask {
        Ask::Close | Ask::TargetFlat => Some(0),
        Ask::CloseLong => Some(1),
        Ask::CloseShort => Some(2),
        _ => None,
    };
    let whole = |alert: &Alert| alert.size.is_none() && !alert.limit && !alert.dry_run;
    let equal = closes(first.ask).is_some() && closes(first.ask) == closes(alert.ask);
    first.symbol == alert.symbol && equal && whole(first) && whole(alert)
}

/// Whether the switch forbade an alert somewhere between two moments, as far as any Ledger may know.
fn may_be_engaged(case: &Case<'_>, alert: &Alert, from: i64, until: i64) -> bool {
    let history = case.world.history.borrow();
    history.switched.iter().any(|switched| {
        let released = ACCOUNTS.into_iter().all(|account| {
            history.confirmed.iter().any(|confirmed| {
                confirmed.account == account
                    && confirmed.kill_revision > switched.revision
                    && confirmed.at < from
            })
        });
        !switched.mode.allows(alert.effect()) && switched.at <= until && !released
    })
}

/// Whether a sender has made as many entries as the lowest of its limits allows.
fn has_used_rate(case: &Case<'_>, alert: &Alert, at: i64) -> bool {
    let lowest = case
        .story
        .wishes
        .iter()
        .map(|wishes| wishes.rates[alert.sender])
        .min();
    let sender = crate::simulate::manifest::SENDERS[alert.sender];
    alert.is_entry()
        && ACCOUNTS.into_iter().any(|account| {
            let recent = case.journals[account].iter().filter(|row| {
                row.entry
                    && row.sender == sender
                    && (at - 95_000..=at + 5_000).contains(&row.received_at)
            });
            recent.count() >= lowest.unwrap_or(1) as usize
        })
}

/// Whether faults had stopped long enough for every answer to be clear.
fn calm_for(case: &Case<'_>, moment: i64) -> bool {
    moment > case.world.weather.calm_from + 90_000
}
