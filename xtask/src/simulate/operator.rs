//! The operator: flips the switch, changes the manifest, looks after dead letters.

use std::rc::Rc;

use hoox_auth::Manifest;
use hoox_mesh::{
    DeadLetters, ForceManifest, ForcedManifest, GetManifest, KillMode, LetterCall, LetterVerb,
    PutKill, PutManifest, SetKill, Settle, SignalView, Sweep,
};
use hoox_model::{Price, RequestId, SignalId, Timestamp};
use serde::Deserialize;

use crate::simulate::exchange::quantity;
use crate::simulate::history::{PublishedAt, of_account, signal_of};
use crate::simulate::manifest::{LEAVES, Wishes, account};
use crate::simulate::stats::FAULT;
use crate::simulate::venue::ON_ITS_WAY_MS;
use crate::simulate::world::{CONTROL, World};

/// Operator calls may wait for Ledgers that wait for orders on their way.
const WITHIN_MS: u32 = 20_000;

/// A dead letter, as far as the operator looks at it.
#[derive(Debug, Deserialize)]
struct DeadLetter {
    #[serde(flatten)]
    signal: SignalView,
    unsettled: bool,
}

impl World {
    /// Changes the switch; where `insist`, until every account has confirmed it.
    pub(crate) async fn switch(self: &Rc<Self>, mode: KillMode, flatten: bool, insist: bool) {
        for _ in 0..20 {
            self.stats.hit("operator", mode.as_str());
            if flatten {
                self.stats.hit("operator", "flatten");
            }
            self.note("operator", || {
                let word = if flatten { " and flatten" } else { "" };
                format!("kill switch {}{word}", mode.as_str())
            });
            let change = SetKill {
                mode,
                reason: None,
                flatten,
            };
            let told = self.ask::<PutKill>(CONTROL, &change, WITHIN_MS).await;
            let confirmed = match &told {
                Ok(report) => {
                    self.note("operator", || format!("is told {:?}", report.accounts));
                    ["alpha", "beta"].iter().all(|name| {
                        of_account(report, name).is_some_and(|account| !account.unreachable)
                    })
                }
                Err(_) => false,
            };
            if confirmed || !insist {
                return;
            }
            self.exec.sleep(5_000).await;
        }
    }

    /// Gives an account another generation, and leaves the rest of the manifest as the operator wished it last.
    pub(crate) async fn raise_generation(
        self: &Rc<Self>,
        account: usize,
        generation: u32,
        insist: bool,
    ) {
        let last = self.wished.borrow().clone();
        let Some(mut wishes) = last else { return };
        wishes.generations[account] = wishes.generations[account].max(generation);
        self.put_manifest(&wishes, insist).await;
    }

    /// A generation that was in force is never gone back to.
    fn learn_generations(&self, present: Option<&Manifest>) {
        let mut lowest = self.lowest.get();
        for (number, lowest) in lowest.iter_mut().enumerate() {
            let known = present.and_then(|present| present.account(&account(number, 1).id));
            *lowest = (*lowest).max(known.map_or(1, |known| known.generation));
        }
        self.lowest.set(lowest);
    }

    /// Retires the account that may leave, a few times where something of it is open; by force once that was asked for.
    pub(crate) async fn retire(self: &Rc<Self>, wishes: &Wishes, force: bool) {
        for _ in 0..if force { 1 } else { 6 } {
            if self.is_calm() {
                return;
            }
            let present = self.ask::<GetManifest>(CONTROL, &(), WITHIN_MS).await;
            let Some(present) = present.ok().and_then(|present| present.manifest) else {
                self.exec.sleep(3_000).await;
                continue;
            };
            self.learn_generations(Some(&present));
            let wishes = wishes.after(self.lowest.get());
            let manifest = wishes.manifest(present.version + 1);
            self.stats.hit("operator", "retires an account");
            self.note("operator", || {
                format!("retires an account, by force: {force}")
            });
            let put_at = self.now();
            let known = |at| PublishedAt {
                put_at,
                at,
                allowed: wishes.allowed,
            };
            self.history.borrow_mut().put.push(known(put_at));
            let told = if force {
                // Whatever becomes of it, the account comes back in another generation only.
                let mut lowest = self.lowest.get();
                lowest[LEAVES] = present
                    .account(&account(LEAVES, 1).id)
                    .map_or(lowest[LEAVES], |known| known.generation + 1);
                self.lowest.set(lowest);
                let forced = ForcedManifest {
                    reason: "it is given up".to_owned(),
                    manifest,
                };
                self.ask::<ForceManifest>(CONTROL, &forced, WITHIN_MS).await
            } else {
                self.ask::<PutManifest>(CONTROL, &manifest, WITHIN_MS).await
            };
            match told {
                Ok(reply) => {
                    if reply.delivered {
                        let told = known(self.now());
                        self.history.borrow_mut().published.push(told);
                    }
                    let forced = !reply.retired.is_empty();
                    self.stats.hit(
                        "operator",
                        if forced {
                            "an account is retired with something open"
                        } else {
                            "an account is retired"
                        },
                    );
                    return self.check_retired(forced, put_at);
                }
                Err(problem) => {
                    self.note("operator", || format!("is told {problem}"));
                    self.check_not_retired(&problem);
                }
            }
            self.exec.sleep(self.rng.range(3_000, 60_000)).await;
        }
    }

    /// Puts a manifest on top of the present one; where `insist`, until it is there.
    pub(crate) async fn put_manifest(self: &Rc<Self>, wishes: &Wishes, insist: bool) {
        // What was wished before the faults stop is not insisted on afterwards: the last word comes then.
        let stormy = !self.is_calm();
        for _ in 0..20 {
            let present = self.ask::<GetManifest>(CONTROL, &(), WITHIN_MS).await;
            if let Ok(present) = present {
                let present = present.manifest;
                let version = present.as_ref().map_or(0, |manifest| manifest.version);
                self.learn_generations(present.as_ref());
                let wishes = wishes.after(self.lowest.get());
                self.wished.replace(Some(wishes.clone()));
                let manifest = wishes.manifest(version + 1);
                self.note("operator", || {
                    format!("manifest {}: {wishes:?}", version + 1)
                });
                self.stats.hit("operator", "manifest");
                let put_at = self.now();
                self.history.borrow_mut().put.push(PublishedAt {
                    put_at,
                    at: put_at,
                    allowed: wishes.allowed,
                });
                let told = self.ask::<PutManifest>(CONTROL, &manifest, WITHIN_MS).await;
                if let Ok(reply) = told {
                    let known = PublishedAt {
                        put_at,
                        at: self.now(),
                        allowed: wishes.allowed,
                    };
                    if reply.delivered {
                        self.history.borrow_mut().published.push(known);
                    }
                    if let Some(published) = reply.published() {
                        let isolate = self.rng.below(2);
                        self.gateway_keeps(isolate, published);
                    }
                    return;
                }
                if let Err(problem) = told {
                    self.note("operator", || format!("is told {problem}"));
                }
            }
            if !insist || (stormy && self.is_calm()) {
                return;
            }
            self.exec.sleep(3_000).await;
        }
    }

    /// Looks after the dead letters of an account: settles what is not settled by what the venue's own
    /// pages show, then replays or discards.
    pub(crate) async fn look_after_letters(
        self: &Rc<Self>,
        account: usize,
        all: bool,
        replays: bool,
    ) {
        let Some(letters) = self.letters(account, LetterVerb::List, None, None).await else {
            return;
        };
        for letter in letters {
            if !all && self.rng.chance(500) {
                continue;
            }
            let id = letter.signal.signal_id.clone();
            if letter.unsettled && self.may_be_on_its_way(&id) {
                // Who looks at the venue now sees nothing, and it comes a moment later.
                continue;
            }
            if letter.unsettled {
                self.settle(account, &letter, all).await;
            }
            let verb = if replays && self.rng.chance(500) {
                LetterVerb::Replay
            } else {
                LetterVerb::Discard
            };
            self.stats.hit("operator", verb.as_str());
            self.note("operator", || format!("{} {id}", verb.as_str()));
            self.letters(account, verb, Some(id), None).await;
        }
    }

    fn may_be_on_its_way(&self, signal: &SignalId) -> bool {
        let history = self.history.borrow();
        let mut sent = history.sent.iter();
        sent.any(|sent| {
            signal_of(sent.spec.client_order_id.as_str()).0 == signal.as_str()
                && sent
                    .left_at
                    .is_some_and(|at| self.now() - at <= ON_ITS_WAY_MS)
        })
    }

    async fn letters(
        self: &Rc<Self>,
        account: usize,
        verb: LetterVerb,
        signal: Option<SignalId>,
        settle: Option<Settle>,
    ) -> Option<Vec<DeadLetter>> {
        let now = Timestamp::from_millis(self.now());
        let call = LetterCall {
            verb,
            request_id: RequestId::new(now, self.rng.bytes()),
            account: Some(format!("acc-{account}").parse().unwrap()),
            signal,
            settle: settle.map(|settle| serde_json::value::to_raw_value(&settle).unwrap()),
        };
        // A repeated call is the same one.
        for _ in 0..3 {
            match self.ask::<DeadLetters>(CONTROL, &call, WITHIN_MS).await {
                Ok(letters) => {
                    let items = letters.items.iter();
                    let read = items.map(|item| serde_json::from_str(item.get()).unwrap());
                    return Some(read.collect());
                }
                Err(problem) if problem.retry_after.is_some() => self.exec.sleep(1_500).await,
                Err(problem) => {
                    self.note("operator", || format!("is told {problem}"));
                    self.exec.sleep(500).await;
                }
            }
        }
        None
    }

    async fn settle(self: &Rc<Self>, account: usize, letter: &DeadLetter, certain: bool) {
        let unknown = letter.signal.orders.iter();
        let unknown: Vec<_> = unknown.filter(|order| order.status == "unknown").collect();
        for order in unknown {
            let id = &order.client_order_id;
            let truth = {
                // What is still open there the operator cancels first.
                self.venues[account].borrow_mut().cancel(id, self.now());
                let exchange = self.exchange(account);
                let mut newest = exchange.orders.iter().rev();
                let found = newest.find(|order| order.spec.client_order_id == *id);
                found.map(|order| {
                    let shown = order.snapshot(i64::MAX);
                    (order.filled(), shown.average_price)
                })
            };
            // An operator who is in doubt has the venue asked once more.
            let ask_again = !certain && self.rng.chance(500);
            let (filled, price): (_, Option<Price>) =
                truth.unwrap_or((hoox_model::Decimal::ZERO, None));
            let settle = Settle {
                client_order_id: id.clone(),
                filled_quantity: (!ask_again).then(|| quantity(filled)),
                average_price: price,
            };
            self.stats.hit(
                "operator",
                if ask_again {
                    "settle: ask again"
                } else {
                    "settle: by hand"
                },
            );
            self.note("operator", || {
                format!("settles {id}: {filled}, ask again: {ask_again}")
            });
            let signal = Some(letter.signal.signal_id.clone());
            let done = self
                .letters(account, LetterVerb::Settle, signal, Some(settle))
                .await;
            if done.is_some() && !ask_again {
                self.history.borrow_mut().settled.push(id.to_string());
            }
        }
    }

    /// The cron: every five minutes Control asks every Ledger to look after what is overdue.
    pub(crate) async fn cron(self: Rc<Self>) {
        loop {
            self.exec.sleep(5 * crate::simulate::MINUTE).await;
            let down = crate::simulate::weather::in_any(&self.weather.cron_down, self.now());
            if down && !self.is_calm() {
                self.stats.hit(FAULT, "the cron does not run");
                continue;
            }
            self.ask::<Sweep>(CONTROL, &(), 25_000).await.ok();
        }
    }
}
