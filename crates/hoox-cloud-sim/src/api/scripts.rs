//! Workers: list, settings, removal.

use crate::envelope::Failure;
use crate::state::{Account, Script};

/// The Worker of this name.
pub(super) fn existing<'a>(
    account: &'a mut Account,
    name: &str,
) -> Result<&'a mut Script, Failure> {
    account
        .scripts
        .get_mut(name)
        .ok_or_else(|| Failure::not_found(10_007, "This Worker does not exist on your account."))
}
