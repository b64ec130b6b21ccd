//! libFuzzer looks for an input for which [`registry_fuzz::record_codec`] does not hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| registry_fuzz::record_codec(data));
