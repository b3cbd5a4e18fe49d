#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| comptoir_fuzz_targets::wire_decode(bytes));
