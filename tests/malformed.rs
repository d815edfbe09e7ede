//! Answers that are none: never OK, told by place, never by value.

use tonic::Code;

use crate::support::{Gateway, Reply, Upstream, list, told};

async fn malformed(reply: Reply) -> String {
    let upstream = Upstream::answering(reply).await;
    let told = told(&Gateway::before(&upstream).await.refusal("MyProject").await);
    assert_eq!(told.verdict(), (Code::Internal, "jwks-gateway", "UPSTREAM_MALFORMED"), "{}", told.message);
    assert!(told.http_status().is_some() && !told.message.contains("secret"), "{told:?}");
    told.message
}

#[tokio::test]
async fn a_page_truncated_json_or_nothing_is_no_answer() {
    malformed(Reply::http(200, &[("content-type", "text/html")], "<html>secret</html>")).await;
    malformed(Reply::json(200, r#"{"success": true, "resultList": [{"name": "secret"#)).await;
    malformed(Reply::json(200, "")).await;
    malformed(Reply::json(200, "null")).await;
    malformed(Reply::json(200, "OK")).await;
    let cut_short = Reply::raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"success\": true, \"resul").close();
    malformed(cut_short).await;
}

#[tokio::test]
async fn arrays_where_objects_belong_are_no_answer() {
    malformed(Reply::json(200, "[true, []]")).await;
    assert!(malformed(list(r#"["a", "b", "c"]"#)).await.ends_with("resultList[0]: expected an object"));
    malformed(Reply::json(200, r#"{"success": true, "resultList": {"name": "a"}}"#)).await;
}

#[tokio::test]
async fn an_answer_without_success_or_a_result_is_no_answer() {
    malformed(Reply::json(200, "{}")).await;
    malformed(Reply::json(200, r#"{"success": true}"#)).await;
    malformed(Reply::json(200, r#"{"resultList": []}"#)).await;
    malformed(Reply::json(200, r#"{"success": false, "resultList": []}"#)).await;
    malformed(Reply::json(200, r#"{"success": "true", "resultList": []}"#)).await;
    malformed(Reply::json(200, r#"{"success": false, "error": null}"#)).await;
}

#[tokio::test]
async fn a_field_of_another_type_is_told_by_its_place() {
    let message = malformed(list(r#"{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": ["secret"]}"#)).await;
    assert!(message.ends_with("resultList[3].name: expected a string"), "{message}");
    let message = malformed(list(r#"{"name": "a", "kid": 4711}"#)).await;
    assert!(
        message.ends_with("resultList[0].kid: expected a string or null") && !message.contains("4711"),
        "{message}"
    );
    malformed(list(r#"{"name": null}"#)).await;
    malformed(list(r#"{"kid": "secret"}"#)).await;
}

#[tokio::test]
async fn text_that_is_no_unicode_is_no_answer() {
    malformed(list(r#"{"name": "\ud800"}"#)).await;
    malformed(Reply::json(200, b"{\"success\": true, \"resultList\": [{\"name\": \"a\xffb\"}]}")).await;
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    malformed(Reply::json(200, utf16)).await;
    malformed(Reply::json(200, "\u{feff}{\"success\": true, \"resultList\": []}")).await;
}

#[tokio::test]
async fn a_list_with_another_status_than_200_is_no_answer() {
    for status in [201, 202, 203, 206, 226] {
        malformed(Reply::json(status, r#"{"success": true, "resultList": []}"#)).await;
    }
    malformed(Reply::raw("HTTP/1.1 204 No Content\r\n\r\n")).await;
    malformed(Reply::raw("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")).await;
}

#[tokio::test]
async fn an_encoding_that_nobody_asked_for_or_that_is_broken_is_no_answer() {
    let body = r#"{"success": true, "resultList": []}"#;
    for encoding in ["br", "deflate", "zstd", "gzip, gzip", "secret"] {
        malformed(Reply::http(200, &[("content-encoding", encoding)], body)).await;
    }
    malformed(Reply::http(200, &[("content-encoding", "gzip"), ("content-encoding", "gzip")], body)).await;
    malformed(Reply::http(200, &[("content-encoding", "gzip")], body)).await;
    malformed(Reply::http(200, &[("content-encoding", "gzip")], b"\x1f\x8b\x08\0\0\0\0\0\0\x03")).await;
    malformed(Reply::http(200, &[("content-encoding", "gzip")], "")).await;
}
