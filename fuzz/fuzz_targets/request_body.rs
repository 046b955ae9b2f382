//! The request tokenizer accepts and finds what serde_json does.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendoff::fuzzing::request_body(data));
