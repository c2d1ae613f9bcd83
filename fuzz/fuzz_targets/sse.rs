#![no_main]

mod framing;

use libfuzzer_sys::fuzz_target;
use tidegate_wire::framing::Framing;

fuzz_target!(|input: &[u8]| framing::split_says_the_same(Framing::Sse, input));
