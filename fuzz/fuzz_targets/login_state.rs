//! Nothing opens that the hub did not seal, and no state of Looker's ends the process.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendoff::fuzzing::login_state(data));
