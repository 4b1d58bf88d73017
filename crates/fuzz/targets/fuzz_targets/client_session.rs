#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::client_session(data));
