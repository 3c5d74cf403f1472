//! A scripted transport and a clock that stands still, for unit tests.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;

use hoox_model::Timestamp;

use crate::{Clock, HttpRequest, HttpResponse, Transport, TransportError};

/// Answers in order, and keeps what was asked. An answer that was not scripted is a time-out.
#[derive(Default)]
pub(crate) struct Script {
    answers: RefCell<VecDeque<Result<HttpResponse, TransportError>>>,
    pub(crate) requests: RefCell<Vec<HttpRequest>>,
    /// Whether an answer is only there at the second poll.
    pub(crate) slow: Cell<bool>,
}

impl Script {
    pub(crate) fn new(
        answers: impl IntoIterator<Item = Result<HttpResponse, TransportError>>,
    ) -> Self {
        Self {
            answers: RefCell::new(answers.into_iter().collect()),
            ..Self::default()
        }
    }

    /// The one request that was made.
    pub(crate) fn only_request(&self) -> HttpRequest {
        let requests = self.requests.borrow();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// The URLs that were asked for, without the host.
    pub(crate) fn paths(&self) -> Vec<String> {
        let requests = self.requests.borrow();
        requests
            .iter()
            .map(|r| r.url.replace("https://venue.test", ""))
            .collect()
    }
}

impl Transport for Script {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.requests.borrow_mut().push(request);
        if self.slow.get() {
            let mut polled = false;
            core::future::poll_fn(|_| {
                if core::mem::replace(&mut polled, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
        let answer = self.answers.borrow_mut().pop_front();
        answer.unwrap_or(Err(TransportError::Timeout))
    }
}

/// Always the same moment.
#[derive(Clone, Copy)]
pub(crate) struct Still(pub(crate) i64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

/// An answer with a status and a body.
#[expect(
    clippy::unnecessary_wraps,
    reason = "scripts hold failures beside answers"
)]
pub(crate) fn answer(
    status: u16,
    body: impl Into<Vec<u8>>,
) -> Result<HttpResponse, TransportError> {
    Ok(HttpResponse {
        status,
        body: body.into(),
        ..HttpResponse::default()
    })
}

/// Runs a future whose answers are all there.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future waits for something that nobody sends");
}
