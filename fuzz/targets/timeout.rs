//! `grpc-timeout`: the specification's grammar, and nothing else.

#![no_main]

use std::time::Duration;

use http::HeaderValue;
use jwks_gateway::fuzzing;
use libfuzzer_sys::fuzz_target;

/// TimeoutValue is a positive integer of at most 8 digits, TimeoutUnit one of six letters.
fn reference(value: &str) -> Option<Duration> {
    let nanos = |unit: char| {
        Some(match unit {
            'H' => 3_600_000_000_000,
            'M' => 60_000_000_000,
            'S' => 1_000_000_000,
            'm' => 1_000_000,
            'u' => 1_000,
            'n' => 1_u128,
            _ => return None,
        })
    };
    let unit = nanos(value.chars().last()?)?;
    let digits = &value[..value.len() - 1];
    if digits.is_empty() || digits.len() > 8 || digits.chars().any(|digit| !('0'..='9').contains(&digit)) {
        return None;
    }
    let nanos = digits.chars().fold(0, |sum, digit| sum * 10 + u128::from(digit as u32 - '0' as u32)) * unit;
    Some(Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
}

fuzz_target!(|input: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let expected = str::from_utf8(input).ok().and_then(reference);
    assert_eq!(fuzzing::timeout(value), expected);
});
