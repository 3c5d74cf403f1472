//! Control: what it stores is published even where its instance ends at once.

use hoox_ledger::{Control, PUBLISH_AGAIN_MS};
use hoox_mesh::{KillMode, SetKill};
use hoox_model::Timestamp;

use crate::world::{Host, When};

const ON: SetKill = SetKill {
    mode: KillMode::All,
    reason: None,
    flatten: false,
};

fn manifest(version: u64) -> hoox_auth::Manifest {
    let text = format!(r#"{{"version":{version},"accounts":[],"senders":[]}}"#);
    hoox_auth::Manifest::parse(&text).unwrap()
}

#[test]
fn a_change_and_the_alarm_that_publishes_it_are_one_transaction() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    let due = |host: &Host| Some(host.now() + PUBLISH_AGAIN_MS);
    let now = |host: &Host| Timestamp::from_millis(host.now());
    control.put_manifest(&manifest(1), now(&host)).unwrap();
    assert_eq!(host.alarm(), due(&host));
    host.advance(60_000);
    // Refused: nothing is to be published.
    control.put_manifest(&manifest(3), now(&host)).unwrap_err();
    assert_eq!(host.alarm(), due(&host).map(|at| at - 60_000));
    assert_eq!(control.set_kill(&ON, now(&host)).unwrap().revision, 2);
    assert_eq!(host.alarm(), due(&host));
}

#[test]
fn a_change_whose_commit_fails_leaves_neither_itself_nor_an_alarm() {
    let host = Host::unconfigured();
    let control = Control::open(&host).unwrap();
    let now = Timestamp::from_millis(host.now());
    for transaction in [0, 1] {
        let at = host.transactions();
        host.faults.borrow_mut().store_at.push((at, When::Before));
        let stored = match transaction {
            0 => control.put_manifest(&manifest(1), now).is_ok(),
            _ => control.set_kill(&ON, now).is_ok(),
        };
        assert!(!stored);
        assert_eq!(host.alarm(), None);
    }
    assert_eq!(control.published().unwrap(), None);
    assert_eq!(control.kill().unwrap().mode, KillMode::Off);
}
