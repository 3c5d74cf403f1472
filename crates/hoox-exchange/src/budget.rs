//! A bound on the calls that are made between two events of a platform that bounds them.

use core::cell::Cell;
use std::rc::Rc;

use hoox_model::Timestamp;

use crate::{HttpRequest, HttpResponse, Transport, TransportError};

/// Most calls between two events (a request, an alarm) of one object. Cloudflare's Free plan allows 50
/// subrequests there and throws at the next one; what is left is for calls that are not counted here.
/// <https://developers.cloudflare.com/workers/platform/limits/#subrequests>
pub const MAX_CALLS: u32 = 40;

/// How many calls may still be made until the next event refills it, and until when none may.
#[derive(Debug)]
pub struct CallBudget {
    most: u32,
    left: Cell<u32>,
    shut_out_until: Cell<Timestamp>,
}

impl CallBudget {
    /// A full budget of `most` calls.
    pub const fn new(most: u32) -> Self {
        Self {
            most,
            left: Cell::new(most),
            shut_out_until: Cell::new(Timestamp::from_millis(0)),
        }
    }

    /// All calls are there again: an event has begun.
    pub fn refill(&self) {
        self.left.set(self.most);
    }

    /// How many calls are left.
    pub const fn left(&self) -> u32 {
        self.left.get()
    }

    /// Takes one call; `false` where none is left.
    #[must_use]
    pub fn take(&self) -> bool {
        let Some(left) = self.left.get().checked_sub(1) else {
            return false;
        };
        self.left.set(left);
        true
    }

    /// Notes that the venue shuts its caller out until a moment, whether or not storage can keep that.
    pub fn shut_out(&self, until: Timestamp) {
        self.shut_out_until
            .set(self.shut_out_until.get().max(until));
    }

    /// Until when the venue shuts its caller out, as far as this instance was told.
    pub const fn shut_out_until(&self) -> Timestamp {
        self.shut_out_until.get()
    }
}

impl Default for CallBudget {
    fn default() -> Self {
        Self::new(MAX_CALLS)
    }
}

/// A transport whose sends are taken from a budget. Without one left a request is not handed over and
/// answered with [`TransportError::NotSent`].
#[derive(Debug, Clone)]
pub struct Metered<T> {
    inner: T,
    budget: Rc<CallBudget>,
}

impl<T> Metered<T> {
    /// `inner`, bounded by `budget`, which others may share.
    pub const fn new(inner: T, budget: Rc<CallBudget>) -> Self {
        Self { inner, budget }
    }
}

impl<T: Transport> Transport for Metered<T> {
    /// Taken on the first poll, as the request is handed over; a send that is dropped before costs nothing.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if !self.budget.take() {
            return Err(TransportError::NotSent(format!(
                "{} calls are made between two events at most, and none is left: it is made after the next",
                self.budget.most
            )));
        }
        self.inner.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Waker};

    use hoox_model::{Product, Secret};

    use super::*;
    use crate::testing::{Script, Still, answer, run};
    use crate::{Bybit, ErrorClass, Method, Venue, VenueError};

    fn request() -> HttpRequest {
        HttpRequest {
            method: Method::Get,
            url: "https://venue.test/".to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    #[test]
    fn a_budget_is_spent_and_refilled() {
        let budget = CallBudget::new(2);
        assert_eq!(budget.left(), 2);
        assert_eq!(
            [budget.take(), budget.take(), budget.take()],
            [true, true, false]
        );
        assert_eq!(budget.left(), 0);
        budget.refill();
        assert_eq!(budget.left(), 2);
        assert_eq!(CallBudget::default().left(), 40);
    }

    #[test]
    fn without_a_call_left_nothing_is_handed_over() {
        let budget = Rc::new(CallBudget::new(1));
        let script = Script::new([answer(200, "first"), answer(200, "second")]);
        let metered = Metered::new(&script, Rc::clone(&budget));
        drop(metered.send(request()));
        assert_eq!(
            budget.left(),
            1,
            "a send that was never polled costs nothing"
        );
        assert_eq!(run(metered.send(request())).unwrap().body, b"first");
        assert!(matches!(
            run(metered.send(request())),
            Err(TransportError::NotSent(_))
        ));
        assert_eq!(script.requests.borrow().len(), 1);
        budget.refill();
        assert_eq!(run(metered.send(request())).unwrap().body, b"second");
        assert_eq!(script.requests.borrow().len(), 2);
    }

    #[test]
    fn a_request_is_counted_and_handed_over_on_the_first_poll() {
        let budget = Rc::new(CallBudget::new(1));
        let script = Script::new([answer(200, "")]);
        script.slow.set(true);
        let metered = Metered::new(&script, Rc::clone(&budget));
        let mut send = pin!(metered.send(request()));
        let first = send.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(first.is_pending());
        assert_eq!((budget.left(), script.requests.borrow().len()), (0, 1));
    }

    #[test]
    fn a_call_that_was_not_made_is_definite_for_the_venue() {
        let budget = Rc::new(CallBudget::new(0));
        let venue = Bybit::new(
            "https://venue.test",
            Secret::new("k"),
            Secret::new("s"),
            Metered::new(Script::default(), budget),
            Still(0),
        );
        let id = "hx-1".parse().unwrap();
        let symbol = "BTCUSDT".parse().unwrap();
        let error = run(venue.cancel(Product::Linear, &symbol, &id)).unwrap_err();
        assert_eq!(
            (error.class, error.code.as_str()),
            (ErrorClass::Unavailable, VenueError::NOT_SENT)
        );
        assert!(error.class.is_definite());
    }
}
