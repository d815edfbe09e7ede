//! The JSON shapes of the Manager, read from the bytes of a body: [`list`] for an answer, [`error`] for an error.
//!
//! Both ask for JSON objects by name. Derived `Deserialize` would not do: it takes arrays in field order as well, so
//! that `[true, []]` would be a list.

pub(crate) mod error;
pub(crate) mod list;

/// Why a 200 is no answer: where, and what belongs there. Never holds a value of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) String);
