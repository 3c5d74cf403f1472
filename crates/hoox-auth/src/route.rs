//! Which account a signal goes to.

use hoox_model::{Code, Destination, Venue};
use thiserror::Error;

use crate::{Account, Environment, Manifest, Permission, Sender};

/// Why somebody who has proved who they are does not get what they ask for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable code.
    pub code: Code,
    /// The field at fault.
    pub field: Option<String>,
    /// One sentence that says what to do.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, field: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            code,
            field: field.map(str::to_owned),
            message: message.into(),
        }
    }
}

impl Manifest {
    /// The account a sender's signal goes to. In this order: the `account` it names; the account
    /// of the `exchange` it names; the sender's default account; the account of the venue in the
    /// symbol's `prefix`; the sender's only account. Accounts that the sender may not use are
    /// treated as if they did not exist, in the words of the refusal too.
    ///
    /// Where several accounts come into question, one is taken in this order: the only one; the
    /// sender's default account; the only one marked as default; the only live one, or the only
    /// live one marked as default.
    ///
    /// With `test`, a live account gives way to the test-network account of its venue, chosen by
    /// the same order; a live account is never returned.
    ///
    /// # Errors
    /// [`Refusal`]: the sender may only read, the account or exchange is none it may use, the
    /// exchange is not the account's, several accounts remain, or there is none for a test.
    pub fn route(&self, sender: &Sender, wanted: &Destination) -> Result<&Account, Refusal> {
        route_among(&self.accounts, sender, wanted)
    }
}

/// [`Manifest::route`] among these accounts.
pub(crate) fn route_among<'a>(
    accounts: &'a [Account],
    sender: &Sender,
    wanted: &Destination,
) -> Result<&'a Account, Refusal> {
    if sender.permission != Permission::Trade {
        return Err(Refusal::new(
            Code::NotPermitted,
            None,
            format!(
                "sender '{}' has permission read; sending signals needs permission trade",
                sender.id
            ),
        ));
    }
    let usable: Vec<&Account> = accounts
        .iter()
        .filter(|account| sender.may_use(account))
        .collect();
    let chosen = choose(&usable, sender, wanted)?;
    if let Some(exchange) = wanted.exchange.filter(|exchange| *exchange != chosen.venue) {
        return Err(Refusal::new(
            Code::VenueMismatch,
            Some("exchange"),
            format!(
                "account '{}' is on {}, not on {exchange}; correct exchange or account",
                chosen.name, chosen.venue
            ),
        ));
    }
    if !wanted.test || chosen.environment != Environment::Live {
        return Ok(chosen);
    }
    let testnet: Vec<&Account> = usable
        .iter()
        .copied()
        .filter(|other| other.venue == chosen.venue && other.environment == Environment::Testnet)
        .collect();
    pick(&testnet, sender).ok_or_else(|| {
            let message = if testnet.is_empty() {
                format!(
                    "test needs a testnet account on {}, and this sender may use none; add one to the manifest",
                    chosen.venue
                )
            } else {
                format!(
                    "test could mean several testnet accounts on {}; name one in account",
                    chosen.venue
                )
            };
            Refusal::new(Code::NotPermitted, Some("test"), message)
        })
}

fn choose<'a>(
    usable: &[&'a Account],
    sender: &Sender,
    wanted: &Destination,
) -> Result<&'a Account, Refusal> {
    if let Some(name) = &wanted.account {
        return usable
            .iter()
            .copied()
            .find(|usable| usable.name == *name)
            .ok_or_else(|| {
                Refusal::new(
                    Code::NotPermitted,
                    Some("account"),
                    format!("account '{name}' is not one this sender may use"),
                )
            });
    }
    if usable.is_empty() {
        return Err(Refusal::new(
            Code::NotPermitted,
            Some("account"),
            "this sender may use no account; add one to the sender in the manifest",
        ));
    }
    if let Some(venue) = wanted.exchange {
        let there = on(usable, venue);
        if there.is_empty() {
            return Err(Refusal::new(
                Code::NotPermitted,
                Some("exchange"),
                format!(
                    "this sender may use no account on {venue}; correct exchange or leave it out"
                ),
            ));
        }
        return pick_for(&there, sender, wanted.test)
            .ok_or_else(|| several(&format!("on {venue}")));
    }
    if let Some(name) = &sender.default_account {
        return usable
            .iter()
            .copied()
            .find(|usable| usable.name == *name)
            .ok_or_else(|| {
                Refusal::new(
                    Code::NotPermitted,
                    Some("account"),
                    format!("the default account '{name}' is not one this sender may use; name another in account"),
                )
            });
    }
    if let Some(venue) = wanted.venue_prefix {
        let there = on(usable, venue);
        if !there.is_empty() {
            return pick_for(&there, sender, wanted.test)
                .ok_or_else(|| several(&format!("on {venue}")));
        }
    }
    pick_for(usable, sender, wanted.test).ok_or_else(|| several("of this sender"))
}

fn several(which: &str) -> Refusal {
    Refusal::new(
        Code::BadField,
        Some("account"),
        format!("several accounts {which} come into question; name one in account"),
    )
}

fn on<'a>(usable: &[&'a Account], venue: Venue) -> Vec<&'a Account> {
    keep(usable, |account| account.venue == venue)
}

fn keep<'a>(accounts: &[&'a Account], test: impl Fn(&Account) -> bool) -> Vec<&'a Account> {
    accounts
        .iter()
        .copied()
        .filter(|account| test(account))
        .collect()
}

/// [`pick`], and for a test among the accounts without real money where that does not decide.
fn pick_for<'a>(accounts: &[&'a Account], sender: &Sender, test: bool) -> Option<&'a Account> {
    pick(accounts, sender).or_else(|| {
        let harmless = keep(accounts, |a| a.environment != Environment::Live);
        test.then(|| pick(&harmless, sender)).flatten()
    })
}

fn pick<'a>(accounts: &[&'a Account], sender: &Sender) -> Option<&'a Account> {
    let own = keep(accounts, |a| {
        Some(&a.name) == sender.default_account.as_ref()
    });
    let marked = keep(accounts, |a| a.default);
    let live = keep(accounts, |a| a.environment == Environment::Live);
    let live_marked = keep(&live, |a| a.default);
    [accounts, &own, &marked, &live, &live_marked]
        .into_iter()
        .find_map(|pool| match pool {
            [only] => Some(*only),
            _ => None,
        })
}
