//! What a status tells a program.

use std::{collections::BTreeMap, time::Duration};

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The parts of a status that callers are written against.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) code: Code,
    pub(crate) domain: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) violations: Vec<(String, String)>,
    pub(crate) retry_after: Option<Duration>,
}

/// Takes a status apart. Every status of the gateway has an `ErrorInfo`, and details that repeat code and message.
pub(crate) fn told(status: &Status) -> Told {
    let repeated = tonic_types::Status::decode(status.details()).expect("a google.rpc.Status");
    assert_eq!((repeated.code, repeated.message.as_str()), (status.code() as i32, status.message()));
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    Told {
        code: status.code(),
        domain: info.domain.clone(),
        reason: info.reason.clone(),
        message: status.message().to_owned(),
        metadata: info.metadata.clone().into_iter().collect(),
        violations: details.bad_request().map_or_else(Vec::new, |request| {
            request.field_violations.iter().map(|v| (v.field.clone(), v.description.clone())).collect()
        }),
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
    }
}

impl Told {
    /// The three that a program branches on.
    pub(crate) fn verdict(&self) -> (Code, &str, &str) {
        (self.code, &self.domain, &self.reason)
    }

    pub(crate) fn http_status(&self) -> Option<&str> {
        self.metadata.get("http_status").map(String::as_str)
    }
}
