//! A close of everything that is answered with an equal one which waits.

use super::Case;
use super::answers::may_be_merged;
use super::exits::taken;
use crate::simulate::history::signal_of;

const EQUAL: &str =
    "only a close of everything is carried out with another one, and only with an equal one";
const SENT: &str = "a close is carried out only with one that has sent nothing";
const BETWEEN: &str = "a close is not carried out with one from before an entry";

pub(super) fn check(case: &Case<'_>) {
    let history = case.world.history.borrow();
    for request in &history.requests {
        let Some((_, Ok(view))) = &request.answer else {
            continue;
        };
        let Some((account, row)) = case.row(view.signal_id.as_str()) else {
            continue;
        };
        let own = case.requests.get(&row.request);
        let Some(own) = own.filter(|own| **own != request.alert) else {
            continue;
        };
        let (first, alert) = (&case.story.alerts[*own], &case.story.alerts[request.alert]);
        if first.identity == alert.identity {
            continue;
        }
        case.world
            .stats
            .hit("laws", "a close is carried out with an equal one");
        let id = &row.id;
        if first.sender != alert.sender || !may_be_merged(first, alert) {
            let text = format!("request {} was answered with {id}", request.id);
            case.violate(EQUAL, text);
        }
        let sent = history.sent.iter().find(|sent| {
            sent.left_at.is_some()
                && signal_of(sent.spec.client_order_id.as_str()).0 == id
                && sent.fenced_at < request.sent_at
        });
        if let Some(sent) = sent {
            let text = format!(
                "{} had passed the fence {} ms before request {} came",
                sent.spec.client_order_id,
                request.sent_at - sent.fenced_at,
                request.id
            );
            case.violate(SENT, text);
        }
        let entry = case.journals[account].iter().find(|other| {
            let opens = case.alert(other).is_some_and(|alert| !alert.dry_run) && other.entry;
            let after = other.seq > row.seq && other.symbol == row.symbol;
            opens && after && taken(case, other).1 < request.sent_at
        });
        if let Some(entry) = entry {
            let text = format!(
                "request {} was answered with {id}, but {} came between",
                request.id, entry.id
            );
            case.violate(BETWEEN, text);
        }
    }
}
