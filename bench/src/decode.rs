//! From a body to an encoded answer, beside what cannot be saved: to walk the JSON without taking anything, and to copy
//! the bytes.
//!
//! `cargo bench --bench decode` measures bytes a second. With `decode COUNT`, `walk COUNT` or `copy COUNT` it does one of them
//! so often and nothing else, for `bench/instructions` to count.

use std::{env, fmt::Write as _, hint::black_box};

use divan::{Bencher, counter::BytesCount};
use jwks_gateway::codec::EncodedList;
use serde::de::IgnoredAny;

const ENTRIES: [usize; 4] = [1, 20, 1000, 10_000];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [what @ ("decode" | "walk" | "copy"), count] => repeat(what, count.parse().expect("a number")),
        _ => divan::main(),
    }
}

fn repeat(what: &str, count: usize) {
    let body = body(1000);
    for _ in 0..count {
        let body = black_box(body.as_bytes());
        match what {
            "decode" => drop(black_box(EncodedList::from_json(body).expect("a list"))),
            "walk" => drop(black_box(serde_json::from_slice::<IgnoredAny>(body).expect("JSON"))),
            _ => drop(black_box(body.to_vec())),
        }
    }
}

#[divan::bench(args = ENTRIES)]
fn decode(bencher: Bencher, entries: usize) {
    let body = body(entries);
    bencher.counter(BytesCount::of_str(&body)).bench(|| EncodedList::from_json(black_box(body.as_bytes())));
}

#[divan::bench(args = ENTRIES)]
fn walk(bencher: Bencher, entries: usize) {
    let body = body(entries);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| serde_json::from_slice::<IgnoredAny>(black_box(body.as_bytes())));
}

#[divan::bench(args = ENTRIES)]
fn copy(bencher: Bencher, entries: usize) {
    let body = body(entries);
    bencher.counter(BytesCount::of_str(&body)).bench(|| black_box(body.as_bytes()).to_vec());
}

/// A list as the vendor documents it, with all fields.
fn body(entries: usize) -> String {
    let mut body = String::from(r#"{"success":true,"resultList":["#);
    for n in 0..entries {
        let comma = if n == 0 { "" } else { "," };
        let entry = write!(
            body,
            r#"{comma}{{"name":"key-{n}","description":"JWK number {n} for API authentication","projectId":"0d5c4b1e-6c4a-4f5e-9c0d-5f1f4b1f2a3b","sourceType":"URL","sourceId":null,"sourceUrl":"https://example.com/.well-known/jwks-{n}.json","type":"RSA","kid":"key-id-{n}"}}"#
        );
        entry.expect("memory");
    }
    write!(body, r#"],"resultCount":{entries}}}"#).expect("memory");
    body
}
