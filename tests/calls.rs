//! A call that goes well: what the upstream lists is what the caller gets.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use jwks_gateway::pb::{Jwk, JwkSourceType, JwkType, jwk_service_client::JwkServiceClient};
use tonic::Code;

use crate::support::{Gateway, Reply, Upstream, gateway, list};

const SAMPLE: &str = include_str!("../src/sandbox/sample.json");

async fn jwks(reply: Reply) -> Vec<Jwk> {
    let upstream = Upstream::answering(reply).await;
    Gateway::before(&upstream).await.list("MyProject").await.expect("a list")
}

#[tokio::test]
async fn the_documented_sample_arrives_field_by_field() {
    let expected = [
        Jwk {
            name: "my-jwk".into(),
            description: Some("JWK for API authentication".into()),
            project_id: "project-id".into(),
            source_type: JwkSourceType::Url.into(),
            source_id: None,
            source_url: Some("https://example.com/.well-known/jwks.json".into()),
            r#type: JwkType::Rsa.into(),
            kid: Some("key-id-1".into()),
            unrecognized_source_type: String::new(),
            unrecognized_type: String::new(),
        },
        Jwk {
            name: "generated-jwk".into(),
            description: Some("Auto-generated JWK".into()),
            project_id: "project-id".into(),
            source_type: JwkSourceType::Generate.into(),
            source_id: None,
            source_url: None,
            r#type: JwkType::Ec.into(),
            kid: Some("key-id-2".into()),
            unrecognized_source_type: String::new(),
            unrecognized_type: String::new(),
        },
    ];
    assert_eq!(jwks(Reply::json(200, SAMPLE)).await, expected);
}

#[tokio::test]
async fn null_and_absent_are_absent_and_blank_is_blank() {
    let entries = r#"
        {"name": "", "description": "", "projectId": "", "sourceType": "", "sourceId": "", "sourceUrl": "", "type": "", "kid": ""},
        {"name": "a", "description": null, "projectId": null, "sourceType": null, "sourceId": null, "sourceUrl": null,
         "type": null, "kid": null},
        {"name": "a"}"#;
    let blank = Some(String::new());
    let expected = [
        Jwk {
            description: blank.clone(),
            source_id: blank.clone(),
            source_url: blank.clone(),
            kid: blank,
            ..Jwk::default()
        },
        Jwk { name: "a".into(), ..Jwk::default() },
        Jwk { name: "a".into(), ..Jwk::default() },
    ];
    assert_eq!(jwks(list(entries)).await, expected);
}

#[tokio::test]
async fn words_without_an_enum_value_are_kept_verbatim() {
    let jwks = jwks(list(r#"{"name": "a", "sourceType": "HSM ü", "type": "rsa"}"#)).await;
    assert_eq!((jwks[0].source_type(), jwks[0].r#type()), (JwkSourceType::Unspecified, JwkType::Unspecified));
    assert_eq!((&*jwks[0].unrecognized_source_type, &*jwks[0].unrecognized_type), ("HSM ü", "rsa"));
}

#[tokio::test]
async fn escapes_and_every_script_arrive_as_meant() {
    let jwks = jwks(list(r#"{"name": "\u00f6\n\"\\\/ \ud83d\ude00 日本 \u0000", "kid": "😀"}"#)).await;
    assert_eq!(jwks[0].name, "ö\n\"\\/ 😀 日本 \0");
    assert_eq!(jwks[0].kid.as_deref(), Some("😀"));
}

#[tokio::test]
async fn undocumented_fields_of_any_shape_pass_unread() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let body = format!(
        r#"{{"resultCount": 1, "deep": {deep}, "error": null, "resultList": [
            {{"rsa": {{"n": [1e999, "\ud800"]}}, "name": "a", "new": {deep}}}], "success": true}}"#
    );
    assert_eq!(jwks(Reply::json(200, body)).await.len(), 1);
}

#[tokio::test]
async fn an_empty_list_and_a_null_list_are_both_empty() {
    assert_eq!(jwks(list("")).await, []);
    assert_eq!(jwks(Reply::json(200, r#"{"success": true, "resultList": null}"#)).await, []);
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    assert_eq!(jwks(Reply::http(200, &[("content-type", "text/html")], SAMPLE)).await.len(), 2);
    assert_eq!(jwks(Reply::http(200, &[], SAMPLE)).await.len(), 2);
}

fn large_list() -> (Vec<String>, String) {
    let names: Vec<_> = (0..40_000).map(|n| format!("jwk-{n}")).collect();
    let entries: Vec<_> = names.iter().map(|name| SAMPLE_ENTRY.replace("my-jwk", name)).collect();
    (names, format!(r#"{{"success": true, "resultList": [{}]}}"#, entries.join(",")))
}

const SAMPLE_ENTRY: &str = r#"{"name": "my-jwk", "description": "JWK for API authentication", "projectId": "project-id",
    "sourceType": "URL", "sourceId": null, "sourceUrl": "https://example.com/.well-known/jwks.json", "type": "RSA",
    "kid": "key-id-1"}"#;

#[tokio::test]
async fn forty_thousand_entries_arrive_in_one_answer_and_in_order() {
    let (names, body) = large_list();
    assert!(body.len() > 8_000_000);
    let jwks = jwks(Reply::json(200, body)).await;
    assert!(jwks.iter().map(|jwk| &jwk.name).eq(&names));
}

#[tokio::test]
async fn an_answer_over_the_clients_own_limit_is_refused_by_the_client() {
    let upstream = Upstream::answering(Reply::json(200, large_list().1)).await;
    let gateway = Gateway::before(&upstream).await;
    let refusal =
        JwkServiceClient::new(gateway.channel().await).list_jwks(gateway::request("p")).await.expect_err("over 4 MiB");
    assert_eq!(refusal.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_gzip_body_is_unpacked() {
    let (names, body) = large_list();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body.as_bytes()).expect("gzip");
    let packed = packed.finish().expect("gzip");
    for encoding in ["gzip", "x-gzip", "GZIP"] {
        let jwks = jwks(Reply::http(200, &[("content-encoding", encoding)], &packed)).await;
        assert_eq!(jwks.len(), names.len(), "{encoding}");
    }
}

#[tokio::test]
async fn a_gzip_body_of_several_members_is_unpacked_whole() {
    let packed: Vec<u8> = SAMPLE
        .as_bytes()
        .chunks(100)
        .flat_map(|part| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(part).expect("gzip");
            packed.finish().expect("gzip")
        })
        .collect();
    assert_eq!(jwks(Reply::http(200, &[("content-encoding", "gzip")], packed)).await.len(), 2);
}

#[tokio::test]
async fn a_body_in_chunks_or_until_the_end_of_the_connection_is_read_whole() {
    let chunked = SAMPLE
        .as_bytes()
        .chunks(7)
        .fold(Reply::chunked(), |reply, chunk| reply.send(format!("{:x}\r\n", chunk.len())).send(chunk).send("\r\n"));
    assert_eq!(jwks(chunked.send("0\r\n\r\n")).await.len(), 2);
    assert_eq!(jwks(Reply::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").send(SAMPLE).close()).await.len(), 2);
    assert_eq!(jwks(Reply::raw("HTTP/1.0 200 OK\r\n\r\n").send(SAMPLE).close()).await.len(), 2);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let head = format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", SAMPLE.len());
    assert_eq!(jwks(Reply::raw(head).send(SAMPLE)).await.len(), 2);
}

#[tokio::test]
async fn calls_at_once_on_one_connection_each_get_their_own_answer() {
    let upstream = Upstream::scripted(|head| {
        let project = head.split('/').nth(3).expect("a project");
        list(&format!(r#"{{"name": "{project}"}}"#))
    })
    .await;
    let gateway = Gateway::before(&upstream).await;
    let channel = gateway.channel().await;
    let calls: Vec<_> = (0..100)
        .map(|n| tokio::spawn(gateway::list(channel.clone(), Box::leak(format!("project-{n}").into_boxed_str()))))
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.expect("no panic").expect("a list")[0].name, format!("project-{n}"));
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_it_was_idle_is_opened_again() {
    let upstream = Upstream::answering(Reply::json(200, SAMPLE).close()).await;
    let gateway = Gateway::before(&upstream).await;
    for _ in 0..20 {
        assert_eq!(gateway.list("MyProject").await.expect("a list").len(), 2);
    }
}
