//! Who sends alerts: a charting service that resends after a 5xx, a program that retries whatever it is
//! not sure of, and copies that come late or twice for no reason.

use std::rc::Rc;

use hoox_model::{RequestId, Timestamp};

use crate::simulate::alerts::Alert;
use crate::simulate::gateway::Incoming;
use crate::simulate::history::{Request, code, status};
use crate::simulate::stats::FAULT;
use crate::simulate::world::World;

/// A client gives up waiting after this.
const DEADLINE_MS: i64 = 3_000;

impl World {
    /// Sends an alert as its sender would, resends included.
    pub(crate) async fn deliver_alert(self: Rc<Self>, number: usize, alert: Rc<Alert>) {
        let retries = if alert.sender == 0 { 3 } else { 5 };
        for attempt in 0..=retries {
            if attempt > 0 {
                self.stats.hit(FAULT, "a client sends an alert again");
            }
            let answer = self.clone().send_once(number, alert.clone()).await;
            let again = match answer {
                // A charting service resends after 5xx, never after silence; a program after both.
                Some(status) => status >= 500,
                None => alert.sender == 1,
            };
            if !again {
                return;
            }
            let wait = if alert.sender == 0 {
                5_000
            } else {
                self.rng.range(200, 20_000)
            };
            self.exec.sleep(wait).await;
        }
    }

    /// One request; `None` where no answer came in time.
    pub(crate) async fn send_once(self: Rc<Self>, number: usize, alert: Rc<Alert>) -> Option<u16> {
        let id = RequestId::new(Timestamp::from_millis(self.now()), self.rng.bytes());
        let place = {
            let mut history = self.history.borrow_mut();
            history.requests.push(Request {
                alert: number,
                id: id.clone(),
                sent_at: self.now(),
                answer: None,
            });
            history.requests.len() - 1
        };
        self.note("client", || {
            format!("alert {number} as {id}: {}", alert.content)
        });
        let (there, back) = self.journey();
        self.exec.sleep(there).await;
        let incoming = Incoming {
            id,
            address: alert.address,
            key: alert.header_key.clone(),
            prefer: alert.prefer,
            body: alert.body.clone(),
        };
        let isolate = self.rng.below(2);
        let slot = crate::simulate::exec::Slot::new();
        let (world, answered) = (self.clone(), slot.clone());
        self.exec.spawn(None, async move {
            let answer = world.webhook(isolate, &incoming).await;
            world.note("gateway", || match &answer {
                Ok(view) => format!("202 {} {}", view.signal_id, view.status.as_str()),
                Err(problem) => format!("{} {problem}", problem.code.status()),
            });
            world.exec.sleep(back).await;
            let word = code(&answer).map_or("ACCEPTED", |code| code.as_str());
            world.stats.hit("answer", word);
            let status = status(&answer);
            let now = world.now();
            world.history.borrow_mut().requests[place].answer = Some((now, answer));
            answered.fill(Some(status));
        });
        let late = slot.clone();
        self.exec.after(DEADLINE_MS, move |_| late.fill(None));
        slot.wait().await
    }

    fn journey(&self) -> (i64, i64) {
        let quick = || self.rng.range(5, 120);
        if self.faulty(self.weather.calls_late) {
            self.stats.hit(FAULT, "a webhook is late or its answer is");
            return if self.rng.chance(500) {
                (self.rng.range(500, 20_000), quick())
            } else {
                (quick(), self.rng.range(1_000, 10_000))
            };
        }
        (quick(), quick())
    }
}
