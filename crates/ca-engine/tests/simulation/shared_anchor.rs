//! The anchor that every process of a seed writes to and compares with: at times it cannot be read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::fake::MemoryAnchor;
use ca_engine::list_octets::ListOctets;
use ca_engine::port::anchor::{Anchor, AnchorError, AnchorHead, AnchoredRevocation, Generation, ServiceDigest};
use ca_engine::port::store::ChainHead;

use crate::auditor::Auditor;
use crate::executor::nap;
use crate::lock;
use crate::planted_bug::PlantedBug;
use crate::publisher::SharedFolder;
use crate::random::Random;

/// A place that all processes share. The folder of lists belongs to it, as it does in `ca-runtime`.
#[derive(Clone)]
pub(crate) struct SharedAnchor {
    sound: MemoryAnchor,
    folder: SharedFolder,
    random: Arc<Mutex<Random>>,
    auditor: Arc<Mutex<Auditor>>,
    failures: Arc<AtomicU64>,
    bug: Option<PlantedBug>,
}

impl SharedAnchor {
    pub(crate) fn new(seed: u64, folder: SharedFolder, auditor: Arc<Mutex<Auditor>>, bug: Option<PlantedBug>) -> Self {
        let random = Arc::new(Mutex::new(Random::new(seed ^ 0xa2c4)));
        Self { sound: MemoryAnchor::default(), folder, random, auditor, failures: Arc::default(), bug }
    }

    /// How often it could not be used so far.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    async fn reach(&self) -> Result<(), AnchorError> {
        nap().await;
        if lock(&self.random).one_in(60) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(AnchorError::Unavailable { detail: "the folder cannot be reached".to_owned() });
        }
        Ok(())
    }
}

#[async_trait]
impl Anchor for SharedAnchor {
    fn is_whole(&self) -> bool {
        self.sound.is_whole()
    }

    fn place(&self) -> String {
        self.sound.place()
    }

    async fn heads(&self, service: &ServiceDigest) -> Result<Vec<AnchorHead>, AnchorError> {
        self.reach().await?;
        self.sound.heads(service).await
    }

    async fn revocations(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        sequence: u64,
    ) -> Result<Vec<AnchoredRevocation>, AnchorError> {
        self.reach().await?;
        self.sound.revocations(service, generation, sequence).await
    }

    async fn lists(&self, service: &ServiceDigest) -> Result<Vec<(AuthorityId, Vec<u8>)>, AnchorError> {
        self.reach().await?;
        let mut lists = self.sound.lists(service).await?;
        lists.extend(self.folder.newest());
        Ok(lists)
    }

    async fn begin(&self, service: &ServiceDigest, generation: Generation) -> Result<(), AnchorError> {
        self.reach().await?;
        self.sound.begin(service, generation).await
    }

    async fn append(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        rows: &[AnchoredRevocation],
    ) -> Result<(), AnchorError> {
        self.reach().await?;
        let mut kept = rows.to_vec();
        if self.bug == Some(PlantedBug::AnchorForgetsRow) {
            kept.retain(|_| !lock(&self.random).one_in(3));
        }
        self.sound.append(service, generation, &kept).await?;
        lock(&self.auditor).anchored(rows);
        Ok(())
    }

    async fn put_list(
        &self,
        service: &ServiceDigest,
        authority: &AuthorityId,
        number: u64,
        der: &ListOctets,
    ) -> Result<(), AnchorError> {
        self.reach().await?;
        self.sound.put_list(service, authority, number, der).await
    }

    async fn put_chain_head(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        head: ChainHead,
    ) -> Result<(), AnchorError> {
        self.reach().await?;
        self.sound.put_chain_head(service, generation, head).await
    }
}
