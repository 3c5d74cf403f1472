//! What the simulation found, at the lowest level that shows it.

use hoox_exchange::ErrorClass;
use hoox_mesh::SignalStatus;
use hoox_model::Code;

use crate::world::{Call, Host, MINUTE, When, error};

fn btc(action: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"BTCUSDT","action":"{action}"{rest}}}"#)
}

fn away(host: &Host, times: usize) {
    for _ in 0..times {
        host.fail(Call::Position, When::Before, error(ErrorClass::Unavailable));
    }
}

#[test]
fn a_record_of_nothing_ends_no_exit_without_a_position_that_was_read() {
    let host = Host::new();
    // A record that nothing is held.
    host.accept(&btc("close", ""));
    host.settle();
    host.advance(2 * MINUTE);
    let now = host.now();
    host.exchange.borrow_mut().set_held(now, "BTCUSDT", "1");
    away(&host, 3);
    let close = host.accept(&btc("close", ""));
    host.drive();
    assert!(!host.status(&close).is_final());
    host.settle();
    let view = host.view(&close);
    assert_eq!(view.code, Some(Code::ExitUndone));
    assert!(view.message.unwrap().contains("is left"));
}

#[test]
fn an_exit_lives_as_long_as_its_own_max_lag() {
    let host = Host::new();
    host.accept(&btc("LONG", r#","quantity":"1""#));
    host.settle();
    away(&host, 4);
    let close = host.accept(&btc("CLOSE_LONG", r#","quantity":"0.5","maxLag":1"#));
    host.settle();
    assert_eq!(host.status(&close), SignalStatus::Refused);
    assert_eq!(host.exchange.borrow().orders.len(), 1);
}
