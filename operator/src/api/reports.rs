//! Takes what sidecars say about resources.

use bytes::Bytes;
use http::request;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, server::NamedService};
use trilby_proto::trilby::operator::v1::{ReportRequest, resource_reports_server::SERVICE_NAME};

use super::{
    authorization::identify,
    call::{self, Answer, messages},
    stream,
};
use crate::reports::Reports;

/// The one method.
const REPORT: &str = "/trilby.operator.v1.ResourceReports/Report";
/// An empty message with gRPC's head.
const DONE: Bytes = Bytes::from_static(&[0; 5]);

/// The service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReportsApi {
    reports: Reports,
    shutdown: CancellationToken,
}

impl ReportsApi {
    pub(crate) fn new(reports: Reports, shutdown: CancellationToken) -> Self {
        Self { reports, shutdown }
    }
}

impl NamedService for ReportsApi {
    const NAME: &'static str = SERVICE_NAME;
}

impl call::Service for ReportsApi {
    async fn answer(self, head: request::Parts, body: Body) -> Result<Answer, Status> {
        let path = head.uri.path();
        if path != REPORT {
            return Err(Status::unimplemented(format!("unknown method {path}")));
        }
        let id = identify(&head.extensions)?;
        let mut counting = self.reports.counting();
        if !*counting.borrow_and_update() {
            return Err(elsewhere());
        }
        let sidecar = self.reports.connect(id.namespace(), id.app_id());
        let mut messages = messages::<ReportRequest>(body);
        loop {
            let message = tokio::select! {
                () = self.shutdown.cancelled() => return Err(stream::ending()),
                // The sender lives as long as `self`.
                _ = counting.wait_for(|counting| !counting) => return Err(elsewhere()),
                message = messages.message() => message?,
            };
            match message {
                Some(message) => sidecar.take(message.states),
                None => return Ok(Answer::Message(DONE)),
            }
        }
    }
}

fn elsewhere() -> Status {
    Status::failed_precondition("another replica of the operator counts what sidecars report")
}
