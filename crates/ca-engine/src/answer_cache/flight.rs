//! One signer for each CertID: who asks while the same is being signed waits for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

use crate::error::FlowError;

/// What is being signed, by CertID.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<BTreeMap<Vec<u8>, Shared<oneshot::Receiver<Landing>>>>,
}

/// How it ended for those who waited.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// There is an answer, in memory if it may be kept.
    Answered,
    /// There is none, and whoever waited would fare no better.
    Failed(FlowError),
}

/// What one who asks is to do.
pub(crate) enum Seat<'a> {
    /// Sign, and say how it ended.
    Pilot(Pilot<'a>),
    /// Wait; an error means that whoever signed was cut off.
    Passenger(Shared<oneshot::Receiver<Landing>>),
}

impl Flights {
    pub(crate) fn join(&self, cert_id: &[u8]) -> Seat<'_> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get(cert_id) {
            return Seat::Passenger(flight.clone());
        }
        let (landing, landed) = oneshot::channel();
        under_way.insert(cert_id.to_vec(), landed.shared());
        Seat::Pilot(Pilot { flights: self, cert_id: cert_id.to_vec(), landing: Some(landing) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Shared<oneshot::Receiver<Landing>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who signs. Dropping it, as when its caller goes away, lets another of those who wait take over.
pub(crate) struct Pilot<'a> {
    flights: &'a Flights,
    cert_id: Vec<u8>,
    landing: Option<oneshot::Sender<Landing>>,
}

impl Pilot<'_> {
    pub(crate) fn land(mut self, landing: Landing) {
        let sender = self.landing.take();
        // Whoever comes from here on looks into memory, or signs.
        drop(self);
        if let Some(sender) = sender {
            // Nobody may be waiting.
            let _ = sender.send(landing);
        }
    }
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.cert_id);
    }
}
