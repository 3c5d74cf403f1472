//! The trail as lines of JSON, in the order in which it was stored.

use serde::{Deserialize, Serialize};

use super::{AuditError, AuditStore, MAX_QUERIES, cursor};

/// Lines of one page at most. Both bounds keep a page within the platform's 10 ms.
pub const MAX_EXPORT: usize = 200;
/// Bytes of one page at most.
pub const MAX_EXPORT_BYTES: usize = 256 * 1024;

/// Asks for a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AuditExportRequest {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Lines of the page at most, 1 to 200; 200 unless given.
    pub rows: Option<u32>,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The lines, each with its line feed.
    pub jsonl: String,
    /// Where the next page begins, now or when more has been stored; `None` before the first row of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Whether there is more already.
    pub more: bool,
}

const OPERATION: &str = "audit-export";

/// The next page. A row's place never changes and none is stored before another, so none is skipped or repeated.
///
/// # Errors
/// [`AuditError`].
pub async fn export<S: AuditStore>(
    store: &S,
    request: &AuditExportRequest,
) -> Result<AuditPage, AuditError<S::Error>> {
    let limit = super::rows(request.rows, MAX_EXPORT)?;
    let (from, mut position): (u32, u64) = match &request.cursor {
        None => (0, 0),
        Some(text) => cursor::read(OPERATION, text).ok_or(AuditError::Cursor)?,
    };
    let mut month = from;
    let mut page = AuditPage::default();
    let mut left = limit;
    // A month that is not the last of these gets no more rows.
    let segments = super::segments(store).await?;
    let mut ahead = segments.iter().filter(|s| s.get() >= from).peekable();
    for _ in 0..MAX_QUERIES {
        let Some(segment) = ahead.next() else { break };
        month = segment.get();
        let found = store.run(&[segment.lines(position, left)]).await?;
        let rows = found.into_iter().next().unwrap_or_default();
        let full = rows.len() == left;
        left = left.saturating_sub(rows.len());
        for row in rows {
            let line = row.line.unwrap_or_default();
            let size = page.jsonl.len().saturating_add(line.len());
            if size >= MAX_EXPORT_BYTES && !page.jsonl.is_empty() {
                return Ok(page.ends(month, position, true));
            }
            page.jsonl.push_str(&line);
            page.jsonl.push('\n');
            position = row
                .position
                .and_then(|n| n.try_into().ok())
                .unwrap_or(position);
        }
        if full {
            return Ok(page.ends(month, position, true));
        }
    }
    let more = ahead.peek().is_some();
    Ok(page.ends(month, position, more))
}

impl AuditPage {
    fn ends(mut self, month: u32, position: u64, more: bool) -> Self {
        if month > 0 {
            self.next_cursor = cursor::write(OPERATION, &(month, position));
        }
        self.more = more;
        self
    }
}
