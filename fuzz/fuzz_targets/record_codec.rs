#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| registry_fuzz::record_codec(data));
