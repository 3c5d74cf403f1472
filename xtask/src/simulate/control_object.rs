//! Control's object on the simulated platform: hoox-ledger's own, over the ports of one instance.

use core::fmt;
use std::rc::Rc;

use hoox_auth::Account;
use hoox_ledger::{ControlObject, ControlService, Random};
use hoox_mesh::envelope::{message, opened, reply};
use hoox_mesh::{Configure, ConfigureLedger, KillState, LedgerConfig, Route, Served, TakeOver};
use hoox_model::RequestId;
use hoox_store::audit::AuditEntry;

use crate::simulate::calls::{Message, Raw, no_such_ledger};
use crate::simulate::history::Switched;
use crate::simulate::object::Instance;
use crate::simulate::ports::SimPorts;
use crate::simulate::world::World;

/// The ports of one instance of Control.
struct ControlPorts(SimPorts);

fn service(world: &Rc<World>, instance: &Rc<Instance>) -> ControlService<ControlPorts> {
    ControlService::new(ControlPorts(SimPorts {
        world: world.clone(),
        instance: instance.clone(),
    }))
}

/// Serves one request.
pub(crate) async fn serve(world: &Rc<World>, instance: &Rc<Instance>, asked: &Message) -> Served {
    let served = service(world, instance)
        .serve(asked.path, &asked.text, None)
        .await;
    if asked.path == LedgerConfig::PATH
        && let Ok(told) = opened(&served.body)
    {
        world.note_switch(&reply::<LedgerConfig>(&told).unwrap().kill);
    }
    served
}

/// Runs the alarm.
pub(crate) async fn alarm(world: &Rc<World>, instance: &Rc<Instance>) {
    service(world, instance).alarm().await;
}

impl World {
    /// Takes note of the switch before anybody is told: an instance that stored it may be gone.
    fn note_switch(&self, state: &KillState) {
        let mut history = self.history.borrow_mut();
        // A revision that was never durable is given again, perhaps to another mode.
        let known = |switched: &Switched| {
            (switched.revision, switched.mode) == (state.revision, state.mode)
        };
        if state.revision > 1 && !history.switched.iter().any(known) {
            history.switched.push(Switched {
                revision: state.revision,
                mode: state.mode,
                at: self.now(),
            });
        }
    }
}

impl ControlObject for ControlPorts {
    type Store = SimPorts;
    type Clock = SimPorts;

    fn store(&self) -> &SimPorts {
        &self.0
    }

    fn clock(&self) -> &SimPorts {
        &self.0
    }

    fn request_id(&self) -> RequestId {
        let now = hoox_exchange::Clock::now(&self.0);
        RequestId::new(now, self.0.bytes().unwrap_or_default())
    }

    async fn ask_ledger(
        &self,
        account: &Account,
        path: &'static str,
        text: &str,
        within_ms: u32,
    ) -> Raw {
        let SimPorts { world, instance } = &self.0;
        if path == ConfigureLedger::PATH {
            world.note_switch(&message::<ConfigureLedger>(text).unwrap().kill);
        }
        if path == TakeOver::PATH {
            // Who takes over is told the switch as well.
            let configure = message::<TakeOver>(text).unwrap().configure.unwrap();
            let configure: Configure = serde_json::from_str(configure.get()).unwrap();
            world.note_switch(&configure.kill);
        }
        let place = world.ledger_place(account).ok_or_else(no_such_ledger)?;
        let answer = world
            .call(Some(instance), place, Message::new(path, text), within_ms)
            .await;
        if path == ConfigureLedger::PATH && answer.is_err() {
            world.stats.hit("path", "Control publishes again");
        }
        answer
    }

    async fn read_published(&self) -> Option<String> {
        let world = &self.0.world;
        let published = world.kv_newest()?;
        world.stats.hit("path", "Control takes a manifest over");
        Some(published.to_string())
    }

    async fn write_published(&self, text: &str) -> bool {
        let world = &self.0.world;
        world.exec.sleep(world.rng.range(5, 60)).await;
        let written = world.kv_put(text);
        if !written {
            world.stats.hit("path", "Control publishes again");
        }
        written
    }

    fn note(&self, _: RequestId, _: Vec<AuditEntry>) {
        self.0.world.stats.hit("port", "audit note");
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.0.world.note("control", || line.to_string());
    }
}
