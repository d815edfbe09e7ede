//! Reflection: what a tool learns that has no proto.

use futures_util::{StreamExt as _, stream};
use prost_reflect::{DescriptorPool, Value};
use tonic_reflection::pb::{
    v1::{self, server_reflection_response::MessageResponse},
    v1alpha::{self, server_reflection_response::MessageResponse as AlphaResponse},
};

use crate::support::{Gateway, Upstream, list};

const SERVICE: &str = "apinizer.apiops.v1.JwkService";

/// One question and its answer, in either version of the service.
macro_rules! ask {
    ($version:ident, $gateway:expr, $question:ident($text:expr)) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest,
        };
        let question = MessageRequest::$question($text.into());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut client = ServerReflectionClient::new($gateway.channel().await);
        let answers = client.server_reflection_info(stream::iter([request])).await.expect("a stream");
        let answer = answers.into_inner().next().await.expect("an answer").expect("no error");
        answer.message_response.expect("a response")
    }};
}

#[tokio::test]
async fn both_versions_list_the_services_and_describe_ours_with_its_rest_call() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;

    let MessageResponse::ListServicesResponse(services) = ask!(v1, gateway, ListServices("*")) else {
        panic!("a list of services")
    };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    for name in [SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let MessageResponse::FileDescriptorResponse(files) = ask!(v1, gateway, FileContainingSymbol(SERVICE)) else {
        panic!("descriptors")
    };

    let AlphaResponse::FileDescriptorResponse(alpha) = ask!(v1alpha, gateway, FileContainingSymbol(SERVICE)) else {
        panic!("descriptors")
    };
    assert_eq!(files.file_descriptor_proto, alpha.file_descriptor_proto);

    let mut pool = DescriptorPool::new();
    for file in ["google/protobuf/descriptor.proto", "google/api/http.proto", "google/api/annotations.proto"] {
        let MessageResponse::FileDescriptorResponse(imported) = ask!(v1, gateway, FileByFilename(file)) else {
            panic!("{file}")
        };
        pool.decode_file_descriptor_proto(&imported.file_descriptor_proto[0][..]).expect(file);
    }
    pool.decode_file_descriptor_proto(&files.file_descriptor_proto[0][..]).expect("our proto");
    let method = pool.get_service_by_name(SERVICE).expect("the service").methods().next().expect("a method");
    let http = pool.get_extension_by_name("google.api.http").expect("the option");
    let Value::Message(rule) = method.options().get_extension(&http).into_owned() else { panic!("a message") };
    assert_eq!(rule.get_field_by_name("get").expect("a GET").as_str(), Some("/apiops/projects/{project}/jwks/"));
}

#[tokio::test]
async fn tools_can_read_the_details_of_errors() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    for detail in ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"] {
        let answer = ask!(v1, gateway, FileContainingSymbol(detail));
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{detail}");
    }
}
