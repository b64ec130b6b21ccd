//! libFuzzer looks for an input for which [`registry_fuzz::identity_token`] does not hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| registry_fuzz::identity_token(data));
