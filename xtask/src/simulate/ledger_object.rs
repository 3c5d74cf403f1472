//! A Ledger's object on the simulated platform: hoox-ledger's own, over the ports of one instance.

use core::fmt;
use core::future::Future;
use std::rc::Rc;

use hoox_auth::Account;
use hoox_ledger::{LedgerObject, LedgerService};
use hoox_mesh::envelope::{message, opened, reply};
use hoox_mesh::{Accept, AcceptSignal, ConfigureLedger, Problem, PutKill, Route, Seen, Served};
use hoox_model::SignalId;
use serde_json::value::RawValue;

use crate::simulate::calls::{Message, Raw, no_such_ledger};
use crate::simulate::control_object;
use crate::simulate::exec::{Turn, turn};
use crate::simulate::history::{Confirmed, Reported, Taken};
use crate::simulate::object::{Instance, Kind};
use crate::simulate::ports::SimPorts;
use crate::simulate::world::{CONTROL, World, ledger_place};

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
                let configure = message::<ConfigureLedger>(&asked.text).unwrap();
                self.history.borrow_mut().confirmed.push(Confirmed {
                    account,
                    at: self.now(),
                    manifest_version: configure.manifest_version,
                    senders: configure.senders,
                    kill_revision: configure.kill.revision,
                    mode: configure.kill.mode,
                    flatten: configure.kill.flatten_asked(),
                });
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
        let place = ledger_place(account).ok_or_else(no_such_ledger)?;
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
        let Kind::Ledger(account) = object.kind else {
            return;
        };
        world.history.borrow_mut().taken.push(Taken {
            account,
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
