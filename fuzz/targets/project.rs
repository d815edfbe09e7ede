//! Base URLs and project names, on a line each: no name leaves its path segment, and no base its host.

#![no_main]

use jwks_gateway::{fuzzing, project::ProjectName, upstream::BaseUrl};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|input: &str| {
    let Some((base, name)) = input.split_once('\n') else { return };
    let Ok(project) = ProjectName::new(name.to_owned()) else {
        assert!(["", ".", ".."].contains(&name) || name.len() > 255 || name.contains(char::is_control));
        return;
    };
    let Ok(parsed) = BaseUrl::parse(base) else { return };
    let list = fuzzing::list_url(&parsed, &project).expect("a URL for every good name");
    let (base, list) = (Url::parse(base).expect("a URL"), Url::parse(&list).expect("a URL"));
    assert_eq!(base.origin(), list.origin());
    assert!(list.username().is_empty() && list.password().is_none());
    assert!(list.query().is_none() && list.fragment().is_none());
    let segments: Vec<&str> = list.path_segments().expect("segments").collect();
    let [.., "apiops", "projects", segment, "jwks", ""] = segments[..] else { panic!("{list}") };
    assert_eq!(percent_decoded(segment), name.as_bytes());
    let prefix = base.path().trim_end_matches('/');
    assert!(list.path().starts_with(prefix.strip_suffix("/apiops").unwrap_or(prefix)));
});

/// RFC 3986, section 2.1, as plainly as can be.
fn percent_decoded(segment: &str) -> Vec<u8> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next().expect("a digit")).to_digit(16).expect("a digit") as u8;
                digit() << 4 | digit()
            }
            byte => byte,
        });
    }
    decoded
}
