//! What an operator gives the audit trail: cursors, chains, months, rows.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use hoox_model::Timestamp;
use hoox_store::Statement;
use hoox_store::audit::{
    AuditDropRequest, AuditExportRequest, AuditFound, AuditRow, AuditStore, AuditVerifyRequest,
    drop_oldest, export, ingest, verify,
};

/// A database that answers every statement with the same rows, whatever was asked.
struct Echo(Vec<Vec<AuditFound>>);

impl AuditStore for Echo {
    type Error = String;

    async fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<AuditFound>>, String> {
        let rows = self.0.iter().cycle();
        let none = Vec::new();
        let answer = statements
            .iter()
            .zip(rows.chain(core::iter::repeat(&none)))
            .map(|(_, rows)| rows.clone());
        Ok(answer.collect())
    }
}

fn done<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// First line: what the database answers; second: the request.
pub(crate) fn run(data: &[u8]) {
    let mut rest = data;
    let found = serde_json::from_str(&crate::line(&mut rest)).unwrap_or_default();
    let database = Echo(found);
    let asked = crate::line(&mut rest);
    if let Ok(request) = serde_json::from_str::<AuditExportRequest>(&asked)
        && let Ok(page) = done(export(&database, &request))
    {
        assert!(page.jsonl.is_empty() || page.jsonl.ends_with('\n'));
    }
    if let Ok(request) = serde_json::from_str::<AuditVerifyRequest>(&asked) {
        let _check = done(verify(&database, &request));
    }
    if let Ok(request) = serde_json::from_str::<AuditDropRequest>(&asked) {
        let _dropped = done(drop_oldest(&database, request));
    }
    if let Ok(rows) = serde_json::from_str::<Vec<AuditRow>>(&asked) {
        let now = Timestamp::from_millis(1_780_000_000_000);
        let _refused = done(ingest(&database, now, &rows));
    }
}
