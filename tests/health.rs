//! grpc.health.v1.

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::support::{Gateway, Upstream, list};

#[tokio::test]
async fn the_server_and_the_service_are_serving_and_nothing_else_is_known() {
    let upstream = Upstream::answering(list("")).await;
    let gateway = Gateway::before(&upstream).await;
    let mut health = HealthClient::new(gateway.channel().await);
    for service in ["", "apinizer.apiops.v1.JwkService"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.expect("an answer");
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "other".into() }).await.expect_err("an error");
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(upstream.requests(), [""; 0]);
}
