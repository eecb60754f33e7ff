//! What a worker asks of a server: what is due, and what becomes of it.

use ca_api::managed_rotation::{DueFilter, DueRotation, RotationReport, WorkerRotation};
use ca_api::page::{MAXIMUM_LIMIT, Page};
use ca_api::route;

use super::Remote;
use crate::exit::Failure;

impl Remote {
    /// The managed certificates that a worker is to bring to their targets now, the most urgent first; a thousand at the most.
    pub(crate) async fn due_rotations(&self) -> Result<Vec<DueRotation>, Failure> {
        let filter = DueFilter { limit: Some(MAXIMUM_LIMIT) };
        let page: Page<DueRotation> = self.exchange.get(route::ROTATIONS, &filter).await?;
        Ok(page.items)
    }

    /// Begins a rotation, or goes on with the one under way.
    pub(crate) async fn begin_rotation(&self, managed: &str) -> Result<WorkerRotation, Failure> {
        self.exchange.post_nothing(&route::MANAGED_ROTATION.replace("{managed}", managed)).await
    }

    /// Says what became of a rotation.
    pub(crate) async fn report_rotation(
        &self,
        managed: &str,
        rotation: &str,
        report: &RotationReport,
    ) -> Result<WorkerRotation, Failure> {
        let path = route::MANAGED_ROTATION_REPORT.replace("{managed}", managed).replace("{rotation}", rotation);
        self.exchange.put(&path, report).await
    }
}
