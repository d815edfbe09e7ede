//! What the upstream gets: one GET with the headers of the contract and no other.

use std::collections::BTreeMap;

use jwks_gateway::{pb, settings::Settings};
use prost_reflect::{DescriptorPool, Value};

use crate::support::{
    Gateway, TOKEN, Upstream, caller, gateway, list,
    process::{Process, command},
};

fn headers(head: &str) -> BTreeMap<&str, &str> {
    head.lines().skip(1).filter_map(|line| line.split_once(": ")).collect()
}

#[tokio::test]
async fn nothing_that_a_caller_sends_goes_on_but_the_token() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let metadata = [
        ("cookie", "session=secret"),
        ("x-api-key", "secret"),
        ("x-forwarded-for", "10.0.0.1"),
        ("user-agent", "secret"),
        ("accept", "text/html"),
        ("accept-encoding", "br"),
        ("host", "elsewhere.example"),
        ("referer", "http://secret"),
        ("custom-bin", "c2VjcmV0"),
        ("proxy-authorization", "secret"),
    ];
    caller::call(gateway.address, "MyProject", &metadata).await;

    let requests = upstream.requests();
    let [head] = &requests[..] else { panic!("one request, not {requests:?}") };
    let authorization = format!("Bearer {TOKEN}");
    let expected = BTreeMap::from([
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("authorization", &authorization),
        ("host", head.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host")),
        ("user-agent", concat!("jwks-gateway/", env!("CARGO_PKG_VERSION"))),
    ]);
    assert_eq!(headers(head), expected);
    assert_eq!(expected["host"], upstream.address.to_string());
}

#[tokio::test]
async fn cookies_of_the_upstream_are_not_kept() {
    let upstream = Upstream::answering(crate::support::Reply::http(
        200,
        &[("set-cookie", "session=secret; Path=/")],
        r#"{"success": true, "resultList": []}"#,
    ))
    .await;
    let gateway = Gateway::before(&upstream).await;
    for _ in 0..2 {
        gateway.list("MyProject").await.expect("a list");
    }
    assert!(upstream.requests().iter().all(|head| !head.to_lowercase().contains("cookie")));
}

#[tokio::test]
async fn the_base_url_may_have_a_prefix_and_may_end_in_apiops() {
    let upstream = Upstream::answering(list("")).await;
    for base in ["/manager", "/manager/", "/manager/apiops", "/manager/apiops/"] {
        let settings = Settings { upstream: Some((upstream.url() + base).into()), ..Settings::default() };
        Gateway::with(settings).await.list("P").await.expect("a list");
    }
    assert_eq!(upstream.request_lines(), ["GET /manager/apiops/projects/P/jwks/ HTTP/1.1"; 4]);
}

#[tokio::test]
async fn the_rest_call_is_the_one_that_the_proto_shows() {
    let upstream = Upstream::answering(list("")).await;
    Gateway::before(&upstream).await.list("P").await.expect("a list");

    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let http = pool.get_extension_by_name("google.api.http").expect("the option");
    let service = pool.get_service_by_name("apinizer.apiops.v1.JwkService").expect("the service");
    let options = service.methods().next().expect("a method").options();
    let Value::Message(rule) = options.get_extension(&http).into_owned() else { panic!("a message") };
    let template = rule.get_field_by_name("get").expect("a GET").into_owned();
    let path = template.as_str().expect("a path").replace("{project}", "P");
    assert_eq!(upstream.request_lines(), [format!("GET {path} HTTP/1.1")]);
}

#[tokio::test]
async fn proxies_in_the_environment_are_ignored() {
    let upstream = Upstream::answering(list("")).await;
    let proxy = Upstream::answering(list("")).await;
    let mut command = command(&["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()]);
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env(variable, proxy.url());
    }
    let process = Process::start(&mut command).await;
    gateway::list(gateway::channel(process.address).await, "P").await.expect("a list");
    assert_eq!((upstream.requests().len(), proxy.requests().len()), (1, 0));
}
