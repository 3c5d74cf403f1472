//! Lists by `page` and `per_page`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::envelope::Success;

/// The page that a request asks for. Sizes out of range are brought into it, as the API does.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Page {
    page: Option<usize>,
    per_page: Option<usize>,
}

/// The page sizes of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) least: usize,
    pub(crate) usual: usize,
    pub(crate) most: usize,
    /// Whether the answer says how many pages there are; D1's does not.
    pub(crate) counts_pages: bool,
}

impl Page {
    /// One page of `items`; empty past the last.
    pub(crate) fn of(&self, items: &[Value], sizes: Sizes) -> Success {
        let page = self.page.unwrap_or(1).max(1);
        let per_page = self
            .per_page
            .unwrap_or(sizes.usual)
            .clamp(sizes.least, sizes.most);
        let shown: Vec<&Value> = items
            .iter()
            .skip(page.saturating_sub(1).saturating_mul(per_page))
            .take(per_page)
            .collect();
        let mut info = json!({
            "page": page,
            "per_page": per_page,
            "count": shown.len(),
            "total_count": items.len(),
        });
        if let (true, Some(info)) = (sizes.counts_pages, info.as_object_mut()) {
            let pages = items.len().div_ceil(per_page);
            info.insert("total_pages".to_owned(), json!(pages));
        }
        Success::new(json!(shown)).with_info(info)
    }
}
