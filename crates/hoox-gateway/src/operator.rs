//! Who calls the operator API, and whether their level is enough.
//!
//! The owner's key is a secret of the gateway and needs nobody to be asked. Other operators stand in the published
//! document: what only reads goes by what this isolate knows of it, what changes anything is asked of Control first, so
//! that a revoked key changes nothing from the answer to its revocation on.

use hoox_auth::{Level, OWNER, Operators};
use hoox_mesh::{KillMode, Problem};
use hoox_model::{Code, RequestId, Secret, Timestamp};

use core::net::IpAddr;

use crate::inbox::Heard;
use crate::path::Matched;
use crate::serve::{Gateway, Ports};

/// How long Control may take to say whether a key is still in force, in milliseconds.
pub const CONFIRM_MS: u32 = 5_000;

/// A call of the operator API before its key is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// Its id.
    pub request_id: &'a RequestId,
    /// When it came.
    pub received_at: Timestamp,
    /// The client's address, when it is certain.
    pub address: Option<IpAddr>,
    /// Header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The owner's key; `None` where the gateway has none.
    pub owner: Option<&'a Secret>,
    /// What is asked for.
    pub matched: Matched,
}

/// Who holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Caller {
    name: String,
    level: Level,
}

impl Caller {
    fn among(operators: &Operators, presented: &str) -> Option<Self> {
        operators.holder(presented).map(|operator| Self {
            name: operator.name.to_string(),
            level: operator.level,
        })
    }
}

impl<P: Ports> Gateway<'_, P> {
    /// Lets an operator's call in, and says at which level they are. `heard` is who calls, as soon as that is proved.
    ///
    /// # Errors
    /// `UNAUTHORIZED` for whatever is no operator's key, or `RATE_LIMITED` where its address has sent too many;
    /// `NOT_PERMITTED` where the operator's level is too low; `NOT_CONFIRMED` where Control did not say whether the key
    /// of somebody who wants to change something is still in force.
    pub async fn operator(&self, called: &Called<'_>, heard: &mut Heard) -> Result<Level, Problem> {
        let header = called.authorization.unwrap_or_default();
        let Some(presented) = header.strip_prefix("Bearer ") else {
            return Err(self.no_operator(called).await);
        };
        if called.owner.is_some_and(|key| key.matches(presented)) {
            heard.operator = Some(OWNER.to_owned());
            return Ok(Level::Admin);
        }
        // Boxed: the owner does not go this way, and need not carry its future.
        Box::pin(self.listed_operator(called, presented, heard)).await
    }

    /// Lets somebody in who is not the owner.
    async fn listed_operator(
        &self,
        called: &Called<'_>,
        presented: &str,
        heard: &mut Heard,
    ) -> Result<Level, Problem> {
        let Some(caller) = self.known_caller(called, presented).await else {
            return Err(self.no_operator(called).await);
        };
        heard.operator = Some(caller.name.clone());
        let needed = called.matched.level();
        if caller.level < needed {
            return Err(too_low(&caller, needed));
        }
        if needed == Level::Read {
            return Ok(caller.level);
        }
        let fresh = self.refresh(called.request_id, CONFIRM_MS).await;
        let fresh = fresh.map_err(|problem| unconfirmed(&problem))?;
        if Caller::among(&fresh.operators, presented).as_ref() == Some(&caller) {
            return Ok(caller.level);
        }
        heard.operator = None;
        Err(self.no_operator(called).await)
    }

    /// Whose key it is by what this isolate knows; before it is nobody's, by what Control knows.
    async fn known_caller(&self, called: &Called<'_>, presented: &str) -> Option<Caller> {
        let (id, since) = (called.request_id, called.received_at);
        let known = self.manifest(since).await.ok();
        let caller = known.and_then(|known| Caller::among(&known.operators, presented));
        if caller.is_some() {
            return caller;
        }
        self.ask_before_refusal(id, since).await;
        Caller::among(&self.latest()?.operators, presented)
    }

    /// What a call without an operator's key is answered with; counts it.
    async fn no_operator(&self, called: &Called<'_>) -> Problem {
        let text = "send an operator's key as `Authorization: Bearer …`";
        let refusal = Problem::new(Code::Unauthorized, text);
        let (id, address, since) = (called.request_id, called.address, called.received_at);
        self.ports.wrong_key(id, address, since, refusal).await
    }
}

/// Whether an operator at this level may have the kill switch in `mode`: whoever operates may engage it, and only an admin
/// lets entries out again.
///
/// # Errors
/// `NOT_PERMITTED`, with the level that it needs.
pub fn may_switch(level: Level, mode: KillMode) -> Result<(), Problem> {
    if mode == KillMode::Off && level < Level::Admin {
        let text = format!(
            "switching the kill switch off needs an operator at level {}, and yours is {level}, which may switch it on",
            Level::Admin
        );
        return Err(Problem::new(Code::NotPermitted, text));
    }
    Ok(())
}

fn too_low(caller: &Caller, needed: Level) -> Problem {
    let text = format!(
        "this needs an operator at level {needed}, and '{}' is at level {}",
        caller.name, caller.level
    );
    Problem::new(Code::NotPermitted, text)
}

fn unconfirmed(problem: &Problem) -> Problem {
    let text = format!(
        "whether this key is still in force could not be found out ({problem}); nothing was changed, try again"
    );
    Problem::new(Code::NotConfirmed, text)
}
