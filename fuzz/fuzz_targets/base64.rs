//! The base64 reader accepts and finds what base64-simd does, however the text is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendoff::fuzzing::base64(data));
