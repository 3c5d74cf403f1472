//! What the account's API key may do, asked of the venue for the operator.

use hoox_auth::Account;
use hoox_exchange::{Clock, Venue, VenueError};
use hoox_mesh::{KeyReport, Problem};
use hoox_model::{Code, KeyInfo};

use crate::decide::final_code;
use crate::drive::{Ledger, banned_until, note_ban};
use crate::journal::{self, Config};
use crate::port::{LedgerError, Ports};

fn refused(error: &VenueError) -> Problem {
    let code = final_code(error.class).unwrap_or(Code::Unavailable);
    Problem::new(code, error.to_string())
}

impl<P: Ports> Ledger<P> {
    /// What the account's API key may do; `None` where the account is not known yet. Two calls of the venue at most, and
    /// none while it is left alone. The data centre is the caller's to find out.
    ///
    /// # Errors
    /// [`LedgerError`] where storage failed.
    pub async fn key_report(&self) -> Result<Option<KeyReport>, LedgerError> {
        let Some(Config { account, .. }) = journal::config(self.ports().store())? else {
            return Ok(None);
        };
        let mut report = KeyReport::new(&account);
        match self.ask_key(&account, &mut report).await? {
            Ok(key) => report.key = Some(key),
            Err(problem) => report.problem = Some(problem.into()),
        }
        Ok(Some(report))
    }

    async fn ask_key(
        &self,
        account: &Account,
        report: &mut KeyReport,
    ) -> Result<Result<KeyInfo, Problem>, LedgerError> {
        let (store, clock) = (self.ports().store(), self.ports().clock());
        let pause = journal::venue_pause(store)?.max(banned_until(self.ports())?);
        if pause > clock.now() {
            let text = format!("the venue limits or fails, and is left alone until {pause}");
            return Ok(Err(Problem::new(Code::Unavailable, text)));
        }
        let venue = match self.ports().venue(account, journal::clock_offset(store)?) {
            Ok(venue) => venue,
            Err(problem) => return Ok(Err(problem)),
        };
        let offset = match venue.sync_clock().await {
            Ok(offset) => offset,
            Err(error) => {
                note_ban(self.ports(), &error)?;
                return Ok(Err(refused(&error)));
            }
        };
        journal::set_clock_offset(store, offset)?;
        report.clock_offset_ms = Some(offset);
        if let Some(error) = crate::drive::shut_out(self.ports()) {
            return Ok(Err(refused(&error)));
        }
        let before = clock.now();
        let answer = venue.key_info().await;
        report.millis = Some(clock.now().since(before));
        if let Err(error) = &answer {
            note_ban(self.ports(), error)?;
        }
        Ok(answer.map_err(|error| refused(&error)))
    }
}
