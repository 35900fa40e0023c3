//! What a listener answers besides the API: the pages of the demo.

use std::{fmt, sync::Arc};

use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::http::request;

type Answer = dyn Fn(&request::Parts) -> Option<BoxFuture<'static, Response>> + Send + Sync;

/// Answers requests that are none of the API's, or says that they are not its own either. Cheap to clone.
#[derive(Clone)]
pub struct Pages(Arc<Answer>);

impl Pages {
    /// Answers with the function; what it returns nothing for is unknown.
    pub fn new(
        answer: impl Fn(&request::Parts) -> Option<BoxFuture<'static, Response>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }

    pub(super) fn answer(&self, request: &request::Parts) -> Option<BoxFuture<'static, Response>> {
        (self.0)(request)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}
