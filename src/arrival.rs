//! The body of a request, which has to arrive in time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::codegen::StdError as BoxError;

use crate::error::Error;

/// A body that fails where it has not ended within some time of the first wait for it. A caller that sends it slowly, or
/// never ends it, would hold a call without asking for anything.
pub(crate) struct Arrival<B> {
    body: B,
    within: Duration,
    /// Most bodies are there with their head; they need no timer.
    too_late: Option<Pin<Box<Sleep>>>,
}

impl<B> Arrival<B> {
    pub(crate) fn new(body: B, within: Duration) -> Self {
        Self { body, within, too_late: None }
    }
}

impl<B> Body for Arrival<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let within = self.within;
        ready!(self.too_late.get_or_insert_with(|| Box::pin(sleep(within))).as_mut().poll(context));
        Poll::Ready(Some(Err(too_late())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// tonic finds the status in what a body fails with.
fn too_late() -> BoxError {
    Error::RequestTooSlow.to_status(None).into()
}
