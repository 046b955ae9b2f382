//! Rows are the same however a document is cut, and come from no document that is malformed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendoff::fuzzing::rows(data));
