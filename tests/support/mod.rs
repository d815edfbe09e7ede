//! What the topics share.

pub(crate) mod black_hole;
pub(crate) mod caller;
pub(crate) mod certificates;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod http2_upstream;
pub(crate) mod process;
pub(crate) mod told;
pub(crate) mod upstream;

pub(crate) use self::{
    gateway::Gateway,
    told::told,
    upstream::{Reply, Upstream},
};

/// The token of the tests. Nothing that the gateway writes may contain it.
pub(crate) const TOKEN: &str = "canary-c0ffee";

/// A 200 with these entries.
pub(crate) fn list(entries: &str) -> Reply {
    Reply::json(200, format!(r#"{{"success": true, "resultList": [{entries}]}}"#))
}
