//! Manifests, changes of senders, and what is made of them.

use hoox_auth::{Manifest, Published, Sender, SenderChange};
use hoox_model::{Code, Timestamp};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let _published = Published::parse(text);
    if let Ok(sender) = Sender::parse_new(text) {
        assert!(sender.keys.is_empty());
    }
    let Ok(manifest) = Manifest::parse(text) else {
        assert!(Manifest::parse_strict(text).is_err());
        return;
    };
    // What is written back says the same, to the strictest reader too.
    let written = serde_json::to_string(&manifest).unwrap();
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    if Manifest::parse_strict(text).is_ok() {
        assert_eq!(Manifest::parse_strict(&written).as_ref(), Ok(&manifest));
    }
    let Some(sender) = manifest.senders.first() else {
        return;
    };
    let now = Timestamp::from_millis(1_780_000_000_000);
    let revoke = SenderChange::Revoke {
        id: sender.id.clone(),
    };
    let without = manifest.with_change(&revoke, now).unwrap();
    assert!(without.sender(&sender.id).is_none());
    let create = SenderChange::Create {
        sender: Box::new(sender.clone()),
    };
    match without.with_change(&create, now) {
        Ok(back) => assert_eq!(back.senders.len(), manifest.senders.len()),
        // What is readable need not be what may be made anew.
        Err(refusal) => assert!(matches!(refusal.code, Code::BadField | Code::Conflict)),
    }
}
