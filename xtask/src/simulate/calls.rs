//! Calls between workers and objects: late, lost, twice, and of another version.

use core::cell::Cell;
use std::rc::Rc;

use hoox_mesh::envelope::{not_confirmed, opened, reply, written};
use hoox_mesh::{
    AcceptSignal, Answer, ConfigureLedger, DeadLetters, HandOver, LedgerStanding, Problem,
    PutManifest, Route, Seen, Served, TakeOver,
};
use serde_json::value::RawValue;

use crate::simulate::exec::Slot;
use crate::simulate::object::{Instance, Kind};
use crate::simulate::skew::{aged, aged_answer};
use crate::simulate::stats::FAULT;
use crate::simulate::world::World;
use crate::simulate::{control_object, ledger_object};

/// How long the platform repeats a call that broke off.
const REPEATED_MS: i64 = 10_000;
/// How often it does.
const MAX_REPEATS: u32 = 5;

/// What is asked of an object.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The route.
    pub(crate) path: &'static str,
    /// The message, as JSON.
    pub(crate) text: String,
}

/// Messages that another version may write in another way.
const AGING: [&str; 8] = [
    AcceptSignal::PATH,
    Seen::PATH,
    ConfigureLedger::PATH,
    DeadLetters::PATH,
    PutManifest::PATH,
    LedgerStanding::PATH,
    HandOver::PATH,
    TakeOver::PATH,
];

impl Message {
    pub(crate) fn new(path: &'static str, text: &str) -> Self {
        Self {
            path,
            text: text.to_owned(),
        }
    }

    fn of_another_version(&self, world: &World) -> Self {
        if !AGING.contains(&self.path) {
            return self.clone();
        }
        Self {
            path: self.path,
            text: aged(&world.rng, &self.text),
        }
    }
}

/// What was in the envelope of an answer.
pub(crate) type Raw = Result<Box<RawValue>, Problem>;

/// One call on its way.
pub(crate) struct Call {
    to: usize,
    /// What is asked.
    pub(crate) message: Message,
    answer: Slot<Raw>,
    began: i64,
    repeats: Cell<u32>,
}

/// There is no object for an account.
pub(crate) fn no_such_ledger() -> Problem {
    not_confirmed("no such Ledger")
}

impl World {
    /// Asks an object from outside and waits at most `within_ms`.
    pub(crate) async fn ask<R: Route>(
        self: &Rc<Self>,
        to: usize,
        message: &R::Request,
        within_ms: u32,
    ) -> Answer<R> {
        let message = Message::new(R::PATH, &written::<R>(message)?);
        reply::<R>(&self.call(None, to, message, within_ms).await?)
    }

    /// Calls an object and waits at most `within_ms`. Where the caller is an instance, the call leaves
    /// when what it wrote is durable.
    pub(crate) async fn call(
        self: &Rc<Self>,
        from: Option<&Instance>,
        to: usize,
        message: Message,
        within_ms: u32,
    ) -> Raw {
        let call = Rc::new(Call {
            to,
            message,
            answer: Slot::new(),
            began: self.now(),
            repeats: Cell::new(0),
        });
        let leaving = call.clone();
        let leave = move |world: &Rc<Self>| world.send(&leaving);
        match from {
            Some(instance) => {
                self.count_call(instance, "another object");
                self.output(instance, leave);
            }
            None => leave(self),
        }
        let late = call.answer.clone();
        self.exec.after(i64::from(within_ms), move |_| {
            late.fill(Err(not_confirmed("no internal answer came in time")));
        });
        call.answer.clone().wait().await
    }

    fn send(self: &Rc<Self>, call: &Rc<Call>) {
        let (rng, weather, calm) = (&self.rng, &self.weather, self.is_calm());
        if !calm && rng.chance(weather.calls_lost) {
            self.stats.hit(FAULT, "a call between workers is lost");
            return;
        }
        let mut copies = 1;
        if !calm && rng.chance(weather.calls_twice) {
            self.stats.hit(FAULT, "a call between workers comes twice");
            copies = 2;
        }
        for _ in 0..copies {
            let mut delay = rng.range(1, 15);
            if !calm && rng.chance(weather.calls_late) {
                self.stats.hit(FAULT, "a call between workers comes late");
                delay = rng.range(100, 9_000);
            }
            let call = call.clone();
            self.exec.after(delay, move |world| world.deliver(&call));
        }
    }

    fn deliver(self: &Rc<Self>, call: &Rc<Call>) {
        let object = &self.objects[call.to];
        let Some(instance) = self.instance(call.to) else {
            self.call_broke_off(call);
            return;
        };
        let mut message = call.message.clone();
        if !self.is_calm() && self.rng.chance(self.weather.other_version) {
            self.stats.hit(FAULT, "a message of another version");
            message = message.of_another_version(self);
        }
        self.note(object.name, || {
            format!("instance {} gets {}", instance.id, message.path)
        });
        instance.external_calls.set(0);
        // Two copies of one call in one instance are two calls to answer.
        let key = self.exec.unique();
        instance.calls.borrow_mut().insert(key, call.clone());
        let (world, serving, call) = (self.clone(), instance.clone(), call.clone());
        self.exec.spawn(Some(instance.id), async move {
            let answer = match world.object_of(&serving).kind {
                Kind::Control => control_object::serve(&world, &serving, &message).await,
                Kind::Ledger(_) => ledger_object::serve(&world, &serving, &message).await,
            };
            world.answer(&serving, key, &call, answer);
        });
    }

    fn answer(self: &Rc<Self>, instance: &Rc<Instance>, key: u64, call: &Rc<Call>, answer: Served) {
        let (answering, call) = (instance.clone(), call.clone());
        self.output(instance, move |world| {
            answering.calls.borrow_mut().remove(&key);
            world.answered(&answering, &call.message, &answer);
            let (rng, calm) = (&world.rng, world.is_calm());
            if !calm && rng.chance(world.weather.answers_lost) {
                world.stats.hit(FAULT, "an answer between workers is lost");
                return;
            }
            let mut body = answer.body;
            if !calm && rng.chance(world.weather.other_version) {
                world.stats.hit(FAULT, "an answer of another version");
                body = aged_answer(rng, &body);
            }
            let answer = opened(&body);
            world
                .exec
                .after(rng.range(1, 10), move |_| call.answer.fill(answer));
        });
    }

    /// The instance that was to answer is gone: the platform repeats the call, or the caller learns it.
    pub(crate) fn call_broke_off(&self, call: &Rc<Call>) {
        let again = call.repeats.get() < MAX_REPEATS
            && self.now() - call.began < REPEATED_MS
            && self.rng.chance(600);
        let call = call.clone();
        if again {
            call.repeats.set(call.repeats.get() + 1);
            self.stats.hit(FAULT, "the platform repeats a call");
            let delay = self.rng.range(20, 3_000);
            self.exec.after(delay, move |world| world.deliver(&call));
        } else {
            self.exec.after(2, move |_| {
                call.answer
                    .fill(Err(not_confirmed("an internal call broke off")));
            });
        }
    }
}
