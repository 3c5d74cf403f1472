//! A Ledger's object on the simulated platform: hoox-ledger's own, over the ports of one instance.

use core::fmt;
use core::future::Future;
use std::rc::Rc;

use hoox_auth::Account;
use hoox_ledger::{LedgerObject, LedgerService};
use hoox_mesh::envelope::{message, opened, reply};
use hoox_mesh::{
    Accept, AcceptSignal, Configure, ConfigureLedger, HandOver, Passage, Problem, PutKill,
    RetireLedger, Route, Seen, Served, TakeOver,
};
use hoox_model::SignalId;
use serde_json::value::RawValue;

use crate::simulate::calls::{Message, Raw, no_such_ledger};
use crate::simulate::control_object;
use crate::simulate::exec::{Turn, turn};
use crate::simulate::history::{Confirmed, Reported, Taken};
use crate::simulate::meets;
use crate::simulate::object::{Instance, Kind};
use crate::simulate::ports::SimPorts;
use crate::simulate::world::{CONTROL, World};

fn service(world: &Rc<World>, instance: &Rc<Instance>) -> LedgerService<SimPorts> {
    let ports = SimPorts {
        world: world.clone(),
        instance: instance.clone(),
    };
    LedgerService::new(ports, instance.memory.clone())
}

/// Serves one request.
pub(crate) async fn serve(world: &Rc<World>, instance: &Rc<Instance>, message: &Message) -> Served {
    note_closed(world, instance);
    if message.path == HandOver::PATH {
        world.begins_to_hand_over(instance);
    }
    service(world, instance)
        .serve(message.path, &message.text)
        .await
}

fn note_closed(world: &World, instance: &Instance) {
    if !instance.memory.is_opened() {
        world.stats.hit("path", "tables are opened again");
    }
}

impl World {
    /// Begins an instance; false where it died in its first turn.
    pub(crate) fn begin_ledger(self: &Rc<Self>, instance: &Rc<Instance>) -> bool {
        match turn(|| service(self, instance).begin()) {
            Turn::Done(()) => true,
            failed => {
                self.turn_failed(Some(instance.id), failed);
                false
            }
        }
    }

    /// Runs an instance's alarm handler.
    pub(crate) fn run_alarm(self: &Rc<Self>, instance: &Rc<Instance>) {
        let (world, running) = (self.clone(), instance.clone());
        self.exec.spawn(Some(instance.id), async move {
            match world.object_of(&running).kind {
                Kind::Ledger(_) => {
                    note_closed(&world, &running);
                    service(&world, &running).alarm().await;
                }
                Kind::Control => control_object::alarm(&world, &running).await,
            }
            // The platform counts a handler as done when what it wrote is durable.
            let done = running.clone();
            world.output(&running, move |world| world.alarm_done(&done));
        });
    }

    /// Takes note of an answer that has left its object.
    pub(crate) fn answered(&self, instance: &Instance, asked: &Message, answer: &Served) {
        let told = opened(&answer.body);
        match (self.object_of(instance).kind, asked.path) {
            (Kind::Ledger(account), ConfigureLedger::PATH) if told.is_ok() => {
                self.confirms(
                    instance,
                    account,
                    message::<ConfigureLedger>(&asked.text).unwrap(),
                );
            }
            (Kind::Ledger(_), HandOver::PATH) if told.is_ok() => self.has_handed_over(instance),
            (Kind::Ledger(_), RetireLedger::PATH) if told.is_ok() => self.has_retired(instance),
            (Kind::Ledger(account), TakeOver::PATH) if told.is_ok() => {
                let passage = message::<TakeOver>(&asked.text).unwrap();
                self.has_taken_over(instance, account, &passage);
            }
            (Kind::Ledger(_), AcceptSignal::PATH) if told.is_ok() => {
                self.check_alarm_after_accept(instance);
            }
            (Kind::Control, PutKill::PATH) => {
                if let Ok(told) = told {
                    self.history.borrow_mut().reported.push(Reported {
                        report: reply::<PutKill>(&told).unwrap(),
                        at: self.now(),
                    });
                }
            }
            _ => {}
        }
    }
}

impl World {
    /// A Ledger has said that it knows a configuration.
    fn confirms(&self, instance: &Instance, account: usize, configure: Configure) {
        self.history.borrow_mut().confirmed.push(Confirmed {
            account,
            place: instance.object,
            at: self.now(),
            manifest_version: configure.manifest_version,
            senders: configure.senders,
            kill_revision: configure.kill.revision,
            mode: configure.kill.mode,
            flatten: configure.kill.flatten_asked(),
        });
    }

    fn begins_to_hand_over(&self, instance: &Instance) {
        let asked = &self.object_of(instance).asked_to_hand_over;
        asked.set(asked.get().or(Some(self.now())));
    }

    /// A Ledger has closed for good, and that is durable.
    fn has_handed_over(&self, instance: &Instance) {
        let handed = &self.object_of(instance).handed_over;
        if handed.get().is_some() {
            self.stats.hit("path", "a hand-over is asked for again");
        }
        handed.set(handed.get().or(Some(self.now())));
    }

    /// A Ledger has taken over from the one of another generation.
    fn has_taken_over(&self, instance: &Instance, account: usize, passage: &Passage) {
        let object = self.object_of(instance);
        let configure = passage.configure.as_ref().unwrap();
        self.confirms(
            instance,
            account,
            serde_json::from_str(configure.get()).unwrap(),
        );
        if object.taken_over.get().is_some() {
            self.stats.hit("path", "a hand-over is taken again");
            return;
        }
        object.taken_over.set(Some(self.now()));
        let of_account = self
            .objects
            .iter()
            .filter(|known| known.kind == object.kind);
        let handed = of_account.filter(|known| known.handed_over.get().is_some());
        if let Some(old) = handed.last() {
            // What it knew of a ban before it closed, the new one knows.
            object.banned_until.set(old.banned_until.get());
        }
        self.note(object.name, || {
            format!("has taken over from {}", passage.from)
        });
        self.all_of_account_meet(meets::GENERATION, account);
    }
}

impl LedgerObject for SimPorts {
    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> Raw {
        if path == Seen::PATH {
            self.world.stats.hit("path", "an earlier account is asked");
        }
        let place = self
            .world
            .ledger_place(account)
            .ok_or_else(no_such_ledger)?;
        let message = Message::new(path, message);
        self.world
            .call(Some(&self.instance), place, message, within_ms)
            .await
    }

    async fn ask_control(
        &self,
        path: &'static str,
        message: &str,
        within_ms: u32,
    ) -> Result<Box<RawValue>, Problem> {
        self.world.stats.hit("path", "a new Ledger asks Control");
        let message = Message::new(path, message);
        self.world
            .call(Some(&self.instance), CONTROL, message, within_ms)
            .await
    }

    async fn colo(&self, _: &Account) -> Option<String> {
        None
    }

    fn aside(&self, work: impl Future<Output = ()> + 'static) {
        let (world, running) = (self.world.clone(), self.instance.clone());
        self.world.exec.spawn(Some(self.instance.id), async move {
            work.await;
            running.used_at.set(world.now());
        });
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        let object = self.world.object_of(&self.instance);
        self.world.note(object.name, || line.to_string());
    }

    /// Whether the signal lasts, the journal says in the end.
    fn took(&self, message: &Accept, id: &SignalId) {
        let (world, instance) = (&self.world, &self.instance);
        let object = world.object_of(instance);
        world.history.borrow_mut().taken.push(Taken {
            place: instance.object,
            request: message.request_id.clone(),
            signal: id.clone(),
            sender: message.sender.clone(),
            at: world.now(),
            ledger_clock: world.now() + instance.skew,
            manifest_version: message.manifest_version,
        });
        world.note(object.name, || {
            format!(
                "instance {} takes {} as {id}",
                instance.id, message.request_id
            )
        });
    }
}
