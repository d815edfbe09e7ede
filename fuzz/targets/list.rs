//! The body of a 200: OK if and only if a naive reading by serde_json is a list, and then the same list.

#![no_main]

use http::Response;
use jwks_gateway::{
    fuzzing,
    pb::{Jwk, JwkSourceType, JwkType, ListJwksResponse},
};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    success: bool,
    result_list: Option<Vec<Entry>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    description: Option<String>,
    project_id: Option<String>,
    source_type: Option<String>,
    source_id: Option<String>,
    source_url: Option<String>,
    #[serde(rename = "type")]
    key_type: Option<String>,
    kid: Option<String>,
}

impl From<Entry> for Jwk {
    fn from(entry: Entry) -> Self {
        let source_type = entry.source_type.unwrap_or_default();
        let key_type = entry.key_type.unwrap_or_default();
        let known_source_type = JwkSourceType::from_str_name(&format!("JWK_SOURCE_TYPE_{source_type}"))
            .filter(|&known| known != JwkSourceType::Unspecified);
        let known_key_type =
            JwkType::from_str_name(&format!("JWK_TYPE_{key_type}")).filter(|&known| known != JwkType::Unspecified);
        Self {
            name: entry.name,
            description: entry.description,
            project_id: entry.project_id.unwrap_or_default(),
            source_type: known_source_type.unwrap_or_default().into(),
            source_id: entry.source_id,
            source_url: entry.source_url,
            r#type: known_key_type.unwrap_or_default().into(),
            kid: entry.kid,
            unrecognized_source_type: if known_source_type.is_some() { String::new() } else { source_type },
            unrecognized_type: if known_key_type.is_some() { String::new() } else { key_type },
        }
    }
}

/// Derived code takes arrays for objects, and does not tell null from absent; the value itself does.
fn has_the_shape(body: &Value) -> bool {
    let objects =
        |list: &Value| list.is_null() || list.as_array().is_some_and(|list| list.iter().all(Value::is_object));
    body.is_object() && body.get("resultList").is_some_and(objects)
}

fn is_error(list: &List) -> bool {
    matches!(&list.error, Some(Value::String(word)) if !word.is_empty())
}

/// What the body means to somebody who does not care for speed.
///
/// `None` also for what serde_json cannot hold as a value, such as a lone surrogate in a field that nobody reads.
fn reference(body: &[u8]) -> Option<ListJwksResponse> {
    let list: List = serde_json::from_slice(body).ok()?;
    let good = list.success && !is_error(&list) && has_the_shape(&serde_json::from_slice(body).ok()?);
    good.then(|| ListJwksResponse { jwks: list.result_list.into_iter().flatten().map(Jwk::from).collect() })
}

fuzz_target!(|body: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let answer = runtime.block_on(fuzzing::answer(Response::new(body.to_vec()), 1 << 20));
    match (answer, reference(body)) {
        (Ok(encoded), expected) => {
            assert!(encoded.len() <= body.len(), "an answer longer than its body");
            let list = ListJwksResponse::decode(&*encoded).expect("protobuf");
            if serde_json::from_slice::<Value>(body).is_ok() {
                assert_eq!(Some(&list), expected.as_ref());
            }
            assert_eq!(list.encode_to_vec(), encoded, "another encoding than prost's");
        }
        (Err(status), None) => assert_ne!(status.code(), tonic::Code::Ok),
        (Err(status), Some(list)) => panic!("{status} for a list of {}", list.jwks.len()),
    }
});
