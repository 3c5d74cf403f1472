//! Calls between workers and objects: late, lost, twice, and of another version.

use core::cell::Cell;
use std::rc::Rc;

use hoox_auth::Manifest;
use hoox_mesh::{
    Accept, AcceptReply, AccountReport, Configure, DeadLetter, KillReport, LetterCall,
    ManifestReply, Problem, SeenRequest, SetKill,
};
use hoox_model::{AccountId, Code};

use crate::simulate::exec::Slot;
use crate::simulate::object::{Instance, Kind};
use crate::simulate::skew::aged;
use crate::simulate::stats::FAULT;
use crate::simulate::world::World;
use crate::simulate::{control_object, ledger_object};

/// How long the platform repeats a call that broke off.
const REPEATED_MS: i64 = 10_000;
/// How often it does.
const MAX_REPEATS: u32 = 5;

/// What is asked of an object.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Accept(Box<Accept>),
    Seen(SeenRequest),
    Configure(Box<Configure>),
    Letters(LetterCall),
    Sweep,
    LedgerConfig(AccountId),
    GetManifest,
    PutManifest(Box<Manifest>),
    PutKill(SetKill),
}

impl Message {
    /// Its name in traces.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accept",
            Self::Seen(_) => "seen",
            Self::Configure(_) => "configure",
            Self::Letters(_) => "dead letters",
            Self::Sweep => "sweep",
            Self::LedgerConfig(_) => "ledger config",
            Self::GetManifest => "get manifest",
            Self::PutManifest(_) => "put manifest",
            Self::PutKill(_) => "put kill",
        }
    }

    fn of_another_version(&self, world: &World) -> Self {
        let rng = &world.rng;
        match self {
            Self::Accept(message) => Self::Accept(Box::new(aged(rng, &**message))),
            Self::Seen(message) => Self::Seen(aged(rng, message)),
            Self::Configure(message) => Self::Configure(Box::new(aged(rng, &**message))),
            Self::Letters(message) => Self::Letters(aged(rng, message)),
            Self::PutManifest(message) => Self::PutManifest(Box::new(aged(rng, &**message))),
            other => other.clone(),
        }
    }
}

/// What an object answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Accepted(Box<AcceptReply>),
    Nothing,
    Report(AccountReport),
    Configure(Box<Configure>),
    Letters(Vec<DeadLetter>),
    Manifest(Box<ManifestReply>),
    KillReport(Box<KillReport>),
}

pub(crate) type Answer = Result<Reply, Problem>;

/// One call on its way.
pub(crate) struct Call {
    to: usize,
    /// What is asked.
    pub(crate) message: Message,
    answer: Slot<Answer>,
    began: i64,
    repeats: Cell<u32>,
}

/// What a caller knows that got no answer.
pub(crate) fn not_confirmed(text: &str) -> Problem {
    Problem::new(Code::NotConfirmed, text)
}

impl World {
    /// Calls an object and waits at most `within_ms`. Where the caller is an instance, the call leaves
    /// when what it wrote is durable.
    pub(crate) async fn call(
        self: &Rc<Self>,
        from: Option<&Instance>,
        to: usize,
        message: Message,
        within_ms: i64,
    ) -> Answer {
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
        self.exec.after(within_ms, move |_| {
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
            format!("instance {} gets {}", instance.id, message.as_str())
        });
        instance.external_calls.set(0);
        // Two copies of one call in one instance are two calls to answer.
        let key = self.exec.unique();
        instance.calls.borrow_mut().insert(key, call.clone());
        let (world, serving, call) = (self.clone(), instance.clone(), call.clone());
        self.exec.spawn(Some(instance.id), async move {
            let answer = match world.object_of(&serving).kind {
                Kind::Control => control_object::serve(&world, &serving, message).await,
                Kind::Ledger(account) => {
                    ledger_object::serve(&world, &serving, account, message).await
                }
            };
            world.answer(&serving, key, &call, answer);
        });
    }

    fn answer(self: &Rc<Self>, instance: &Rc<Instance>, key: u64, call: &Rc<Call>, answer: Answer) {
        let (answering, call) = (instance.clone(), call.clone());
        self.output(instance, move |world| {
            answering.calls.borrow_mut().remove(&key);
            world.answered(&answering, &call.message, &answer);
            let (rng, calm) = (&world.rng, world.is_calm());
            if !calm && rng.chance(world.weather.answers_lost) {
                world.stats.hit(FAULT, "an answer between workers is lost");
                return;
            }
            let answer = if !calm && rng.chance(world.weather.other_version) {
                ledger_object::answer_of_another_version(rng, answer)
            } else {
                answer
            };
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
