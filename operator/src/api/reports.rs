//! Takes what sidecars say about resources.

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use trilby_proto::trilby::operator::v1::{
    ReportRequest, ReportResponse, resource_reports_server::ResourceReports,
};

use super::{Reply, authorization::identify, stream};
use crate::reports::Reports;

/// The service.
pub(crate) struct ReportsApi {
    reports: Reports,
    shutdown: CancellationToken,
}

impl ReportsApi {
    pub(crate) fn new(reports: Reports, shutdown: CancellationToken) -> Self {
        Self { reports, shutdown }
    }
}

#[tonic::async_trait]
impl ResourceReports for ReportsApi {
    async fn report(&self, request: Request<Streaming<ReportRequest>>) -> Reply<ReportResponse> {
        let id = identify(request.extensions())?;
        let mut counting = self.reports.counting();
        if !*counting.borrow_and_update() {
            return Err(elsewhere());
        }
        let sidecar = self.reports.connect(id.namespace(), id.app_id());
        let mut messages = request.into_inner();
        loop {
            let message = tokio::select! {
                () = self.shutdown.cancelled() => return Err(stream::ending()),
                // The sender lives as long as `self`.
                _ = counting.wait_for(|counting| !counting) => return Err(elsewhere()),
                message = messages.message() => message?,
            };
            match message {
                Some(message) => sidecar.take(message.states),
                None => return Ok(Response::new(ReportResponse {})),
            }
        }
    }
}

fn elsewhere() -> Status {
    Status::failed_precondition("another replica of the operator counts what sidecars report")
}
