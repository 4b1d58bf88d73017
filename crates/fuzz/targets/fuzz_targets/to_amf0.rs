#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::to_amf0(data));
