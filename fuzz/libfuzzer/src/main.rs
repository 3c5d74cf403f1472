//! One target under libFuzzer: `HOOX_FUZZ_TARGET` names it. `cargo xtask fuzz` builds and runs this.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<hoox_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("HOOX_FUZZ_TARGET").unwrap_or_default();
    hoox_fuzz::target(&name).unwrap_or_else(|| panic!("HOOX_FUZZ_TARGET is '{name}', no target"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
