//! The last word before an order goes out.

use hoox_model::{Code, OrderSpec, Timestamp};

use crate::{KillMode, Refused};

/// An order that risk has let through. It can only come from [`approve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    spec: OrderSpec,
}

impl Approved {
    /// The order to send.
    pub const fn spec(&self) -> &OrderSpec {
        &self.spec
    }
}

/// Lets an order through, or says why not.
///
/// # Errors
/// [`Code::KillSwitch`] where the mode forbids it, [`Code::Stale`] after the deadline,
/// [`Code::BelowMinimum`] for an order of nothing.
pub fn approve(
    spec: OrderSpec,
    mode: KillMode,
    deadline: Timestamp,
    now: Timestamp,
) -> Result<Approved, Refused> {
    if !mode.allows(spec.effect) {
        let message = format!(
            "the kill switch is engaged ({}), so this order is not sent",
            mode.as_str()
        );
        return Err(Refused::new(Code::KillSwitch, message));
    }
    if now > deadline {
        let late = now.since(deadline) / 1000;
        let message =
            format!("the signal is {late} s past its maximal lag, so nothing more of it is sent");
        return Err(Refused::new(Code::Stale, message));
    }
    if spec.quantity.is_zero() {
        return Err(Refused::new(
            Code::BelowMinimum,
            "an order of nothing is not sent",
        ));
    }
    Ok(Approved { spec })
}
