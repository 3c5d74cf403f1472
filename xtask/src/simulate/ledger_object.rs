//! The Ledger's Durable Object as trade-worker wires it: events in, the pure Ledger does the rest.

use std::rc::Rc;

use hoox_ledger::{Ledger, Ports, Store};
use hoox_mesh::{Accept, AcceptReply, Configure, Problem, SeenRequest, SignalView};
use hoox_model::{Code, SignalId};

use crate::simulate::calls::{Answer, Message, Reply, not_confirmed};
use crate::simulate::exec::{Turn, turn};
use crate::simulate::history::{Confirmed, Taken};
use crate::simulate::object::{Instance, Kind};
use crate::simulate::ports::SimPorts;
use crate::simulate::rng::Rng;
use crate::simulate::world::{CONTROL, World, ledger_place};

/// How long an earlier account may take to say whether it knows an alert.
const SEEN_MS: i64 = 800;
/// How often a waiting request looks at its signal. The worker looks every 15 ms; here time costs more.
const LOOK_MS: i64 = 300;
/// How long engaging the kill switch waits for orders that are on their way.
const SETTLE_MS: i64 = 10_000;
/// How often it looks. The worker looks every 100 ms.
const SETTLE_LOOK_MS: i64 = 400;

fn pure(world: &Rc<World>, instance: &Rc<Instance>) -> Ledger<SimPorts> {
    Ledger::attach(SimPorts {
        world: world.clone(),
        instance: instance.clone(),
    })
}

impl World {
    /// Opens the tables in the instance's first turn; false where the instance died in it.
    pub(crate) fn open_ledger(self: &Rc<Self>, instance: &Rc<Instance>) -> bool {
        let ports = SimPorts {
            world: self.clone(),
            instance: instance.clone(),
        };
        match turn(|| Ledger::open(ports).map(|_| ()).map_err(Problem::from)) {
            Turn::Done(opened) => {
                *instance.opened.borrow_mut() = opened;
                true
            }
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
                    let ledger = pure(&world, &running);
                    match opened(&world, &running) {
                        Ok(()) => drive(&ledger).await,
                        Err(_) => later(&ledger),
                    }
                }
                Kind::Control => crate::simulate::control_object::alarm(&world, &running).await,
            }
            // The platform counts a handler as done when what it wrote is durable.
            let done = running.clone();
            world.output(&running, move |world| world.alarm_done(&done));
        });
    }

    /// Takes note of an answer that has left its object.
    pub(crate) fn answered(&self, instance: &Instance, message: &Message, answer: &Answer) {
        let Kind::Ledger(account) = self.object_of(instance).kind else {
            return self.control_answered(answer);
        };
        match (message, answer) {
            (Message::Configure(configure), Ok(Reply::Report(_))) => {
                self.history.borrow_mut().confirmed.push(Confirmed {
                    account,
                    at: self.now(),
                    manifest_version: configure.manifest_version,
                    senders: configure.senders.clone(),
                    kill_revision: configure.kill.revision,
                    mode: configure.kill.mode,
                    flatten: configure.kill.flatten,
                });
            }
            (Message::Accept(_), Ok(_)) => self.check_alarm_after_accept(instance),
            _ => {}
        }
    }
}

/// Drives, and when storage failed tries to set the alarm again.
async fn drive(ledger: &Ledger<SimPorts>) {
    if ledger.drive().await.is_err() {
        later(ledger);
    }
}

/// Sets the alarm after storage failed.
fn later(ledger: &Ledger<SimPorts>) {
    let ports = ledger.ports();
    let at = hoox_exchange::Clock::now(ports.clock()).plus_millis(5_000);
    ports.store().set_alarm(at).ok();
}

/// Opens the tables again where the instance could not do it when it began.
fn opened(world: &Rc<World>, instance: &Rc<Instance>) -> Result<(), Problem> {
    if instance.opened.borrow().is_ok() {
        return Ok(());
    }
    world.stats.hit("path", "tables are opened again");
    let ports = SimPorts {
        world: world.clone(),
        instance: instance.clone(),
    };
    let again = Ledger::open(ports).map(|_| ()).map_err(Problem::from);
    instance.opened.borrow_mut().clone_from(&again);
    again
}

/// Serves one request.
pub(crate) async fn serve(
    world: &Rc<World>,
    instance: &Rc<Instance>,
    account: usize,
    message: Message,
) -> Answer {
    opened(world, instance)?;
    let ledger = pure(world, instance);
    match message {
        Message::Accept(message) => accept(world, instance, account, &ledger, &message).await,
        Message::Configure(message) => configure(world, instance, &ledger, &message).await,
        Message::Seen(message) => ledger.seen(&message).map(|()| Reply::Nothing),
        Message::Letters(call) => ledger.letters(&call).map(|list| Reply::Letters(list.items)),
        Message::Sweep => Ok(ledger
            .arm()
            .map(|_| Reply::Nothing)
            .map_err(Problem::from)?),
        other => Err(Problem::new(
            Code::NotFound,
            format!("a Ledger knows no {}", other.as_str()),
        )),
    }
}

async fn accept(
    world: &Rc<World>,
    instance: &Rc<Instance>,
    account: usize,
    ledger: &Ledger<SimPorts>,
    message: &Accept,
) -> Answer {
    if !ledger.is_configured()? {
        learn(world, instance, ledger, message).await;
    }
    ask_past(world, instance, message).await?;
    let accepted = ledger.accept(message)?;
    world.took(account, instance, message, &accepted.id);
    drive_aside(world, instance);
    if message.wait_ms > 0 {
        return outcome(world, ledger, &accepted.id, accepted.view, message.wait_ms).await;
    }
    Ok(accepted_as(accepted.view))
}

fn accepted_as(signal: SignalView) -> Reply {
    Reply::Accepted(Box::new(AcceptReply { signal }))
}

async fn ask_past(
    world: &Rc<World>,
    instance: &Rc<Instance>,
    accept: &Accept,
) -> Result<(), Problem> {
    let question = SeenRequest {
        manifest_version: accept.manifest_version,
        sender: accept.sender.clone(),
        identity: accept.identity.clone(),
    };
    for account in &accept.past {
        let place = ledger_place(account).ok_or_else(|| not_confirmed("no such Ledger"))?;
        let message = Message::Seen(question.clone());
        world.stats.hit("path", "an earlier account is asked");
        world.call(Some(instance), place, message, SEEN_MS).await?;
    }
    Ok(())
}

async fn outcome(
    world: &Rc<World>,
    ledger: &Ledger<SimPorts>,
    id: &SignalId,
    first: SignalView,
    wait_ms: u32,
) -> Answer {
    let until = world.now() + i64::from(wait_ms);
    let mut view = first;
    while world.now() < until {
        world.exec.sleep(LOOK_MS).await;
        if let Some((present, settled)) = ledger.view(id)? {
            view = present;
            if settled {
                break;
            }
        }
    }
    Ok(accepted_as(view))
}

async fn learn(
    world: &Rc<World>,
    instance: &Rc<Instance>,
    ledger: &Ledger<SimPorts>,
    accept: &Accept,
) {
    world.stats.hit("path", "a new Ledger asks Control");
    let message = Message::LedgerConfig(accept.account.id.clone());
    let told = world.call(Some(instance), CONTROL, message, 1_000).await;
    if let Ok(Reply::Configure(configure)) = told {
        ledger.configure(&configure).ok();
    }
}

async fn configure(
    world: &Rc<World>,
    instance: &Rc<Instance>,
    ledger: &Ledger<SimPorts>,
    configure: &Configure,
) -> Answer {
    let mut report = ledger.configure(configure)?;
    if report.is_settled() {
        return Ok(Reply::Report(report));
    }
    drive_aside(world, instance);
    let until = world.now() + SETTLE_MS;
    while !report.is_settled() && world.now() < until {
        world.exec.sleep(SETTLE_LOOK_MS).await;
        report = ledger.report(&configure.account.name)?;
    }
    Ok(Reply::Report(report))
}

/// What the worker gives to `waitUntil`.
fn drive_aside(world: &Rc<World>, instance: &Rc<Instance>) {
    let running = instance.clone();
    let ledger = pure(world, instance);
    world.exec.spawn(Some(instance.id), async move {
        drive(&ledger).await;
        running.used_at.set(ledger.ports().world.now());
    });
}

impl World {
    /// Takes note of a signal that a transaction took. Whether it lasts, the journal says in the end.
    fn took(&self, account: usize, instance: &Instance, message: &Accept, id: &SignalId) {
        self.history.borrow_mut().taken.push(Taken {
            account,
            request: message.request_id.clone(),
            signal: id.clone(),
            sender: message.sender.clone(),
            at: self.now(),
            ledger_clock: self.now() + instance.skew,
            manifest_version: message.manifest_version,
        });
        self.note(self.object_of(instance).name, || {
            format!(
                "instance {} takes {} as {id}",
                instance.id, message.request_id
            )
        });
    }
}

/// An answer with a code that this version does not know is not readable.
pub(crate) fn answer_of_another_version(rng: &Rng, answer: Answer) -> Answer {
    match answer {
        Err(_) if rng.chance(100) => Err(not_confirmed("an internal answer is not readable")),
        other => other,
    }
}
