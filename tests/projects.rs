//! Project names: refused, or carried as exactly one path segment.

use percent_encoding::percent_decode_str;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use tonic::Code;

use crate::support::{Gateway, Upstream, list, told};

#[tokio::test]
async fn a_name_is_one_percent_encoded_segment_of_the_request_line() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let rows = [
        ("MyProject", "MyProject"),
        ("myproject", "myproject"),
        ("My Project", "My%20Project"),
        ("a/b", "a%2Fb"),
        ("../../auth/token", "..%2F..%2Fauth%2Ftoken"),
        ("a?b#c", "a%3Fb%23c"),
        ("%2e%2e", "%252e%252e"),
        ("%2E%2e/", "%252E%252e%2F"),
        ("..;", "..%3B"),
        ("a;b=c", "a%3Bb%3Dc"),
        ("...", "..."),
        (". ", ".%20"),
        (" ", "%20"),
        ("a\\b", "a%5Cb"),
        ("a|b^c[d]e:f@g&h+i", "a%7Cb%5Ec%5Bd%5De%3Af%40g%26h%2Bi"),
        ("-._~", "-._~"),
        ("Ödeme", "%C3%96deme"),
        ("项目", "%E9%A1%B9%E7%9B%AE"),
        ("\u{2028}\u{feff}\u{202e}", "%E2%80%A8%EF%BB%BF%E2%80%AE"),
    ];
    for (name, _) in rows {
        gateway.list(name).await.unwrap_or_else(|refusal| panic!("{name:?}: {refusal}"));
    }
    let expected = rows.map(|(_, segment)| format!("GET /apiops/projects/{segment}/jwks/ HTTP/1.1"));
    assert_eq!(upstream.request_lines(), expected);

    let longest = "x".repeat(255);
    gateway.list(&longest).await.expect("255 bytes");
    assert_eq!(upstream.request_lines()[rows.len()], format!("GET /apiops/projects/{longest}/jwks/ HTTP/1.1"));
}

#[tokio::test]
async fn a_name_that_no_segment_can_carry_is_refused_and_nothing_is_sent() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let (too_long, too_long_in_bytes, huge) = ("x".repeat(256), "ö".repeat(128), "x".repeat(1_000_000));
    let names = [
        "",
        ".",
        "..",
        "\t..",
        "..\t",
        "a\tb",
        "a\r\nb",
        "\0",
        "a\u{1b}b",
        "\u{7f}",
        "\u{80}",
        "a\u{9f}",
        &too_long,
        &too_long_in_bytes,
        &huge,
    ];
    for name in names {
        let told = told(&gateway.refusal(name).await);
        assert_eq!(told.verdict(), (Code::InvalidArgument, "jwks-gateway", "PROJECT_INVALID"), "{name:?}");
        let [(field, _)] = &told.violations[..] else { panic!("one violation for {name:?}") };
        assert_eq!((field.as_str(), told.http_status()), ("project", None));
        // A request beyond a few kilobytes is not read at all, so its project is not known.
        let project = told.metadata.get("project").map_or("", |project| project.trim_end_matches('…'));
        assert!(name.starts_with(project));
    }
    assert_eq!(upstream.requests(), [""; 0]);
}

/// Names of the characters that paths, URLs and servlet containers care about, and of all others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[./%;?#&\\\\ \t:@2eE~-]{0,12}", "\\PC{0,80}"]
}

#[tokio::test]
async fn any_name_at_all_is_refused_or_decodes_to_itself_from_one_segment() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..1_000 {
        let name = name().new_tree(&mut runner).expect("a name").current();
        let seen = upstream.requests().len();
        let answered = crate::support::gateway::list(channel.clone(), &name).await;
        let Some(line) = upstream.request_lines().get(seen).cloned() else {
            assert_eq!(told(&answered.expect_err("nothing was sent")).reason, "PROJECT_INVALID", "{name:?}");
            continue;
        };
        answered.unwrap_or_else(|refusal| panic!("{name:?}: {refusal}"));
        let path = line.strip_prefix("GET /apiops/projects/").and_then(|rest| rest.strip_suffix("/jwks/ HTTP/1.1"));
        let segment = path.unwrap_or_else(|| panic!("{name:?} became {line}"));
        assert!(!segment.contains(['/', '?', '#', ';', ' ']) && !["", ".", ".."].contains(&segment), "{line}");
        assert_eq!(percent_decode_str(segment).decode_utf8().expect("UTF-8"), name);
    }
}
