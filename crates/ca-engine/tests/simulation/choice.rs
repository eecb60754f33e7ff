//! What clients ask next, drawn from the seed: often about the certificates that were asked about just before.

use ca_core::revocation::RevocationReason;

use crate::foundation::{ELSEWHERE, FOUNDATION};
use crate::job::Job;
use crate::lock;
use crate::operation::{Known, Operation};
use crate::simulation::Simulation;

impl Simulation {
    /// What a client asks next.
    pub(super) fn operation(&mut self) -> Operation {
        let kind = self.random.weighted(&[
            (28, 0),
            (14, 1),
            (10, 2),
            (9, 3),
            (9, 4),
            (14, 5),
            (5, 6),
            (12, 7),
            (4, 8),
            (4, 9),
            (3, 10),
            (3, 11),
            (4, 12),
            (1, 13),
        ]);
        let subscriber = self.random.below(FOUNDATION.requests.len());
        let known = self.known();
        let token = {
            let population = lock(&self.client.population);
            let tokens = &population.tokens;
            (!tokens.is_empty()).then(|| tokens[self.random.below(tokens.len())].clone())
        };
        match (kind, known, token) {
            (1, Some(known), _) => Operation::Renew {
                by_holder: self.random.one_in(3),
                known,
                subscriber: (!self.random.one_in(3)).then_some(subscriber),
                idempotency: self.random.one_in(2).then(|| self.random.below(2)),
            },
            (2, Some(known), _) => Operation::Revoke {
                certificate: known.id,
                reason: self.random.pick(&RevocationReason::ALL),
                hours: self.random.one_in(4).then(|| self.random.within(0..100)),
            },
            (3, Some(known), _) => {
                let reason = self.random.pick(&[RevocationReason::CertificateHold, RevocationReason::KeyCompromise]);
                Operation::Revoke { certificate: known.id, reason, hours: None }
            }
            (4, Some(known), _) => Operation::Unhold { certificate: known.id },
            (5, Some(known), _) => Operation::Ocsp { known },
            (9, Some(known), _) => Operation::Authenticate { known },
            (10, Some(known), _) => Operation::Grant { certificate: known.id },
            (12, Some(_), _) => {
                let count = 2 + self.random.below(6);
                let certificates = (0..count).filter_map(|_| self.known()).map(|known| known.id).collect();
                Operation::RevokeBulk {
                    certificates,
                    reason: self.random.pick(&[
                        RevocationReason::Superseded,
                        RevocationReason::KeyCompromise,
                        RevocationReason::CertificateHold,
                    ]),
                    idempotency: self.random.one_in(2).then(|| self.random.below(2)),
                }
            }
            (13, ..) => Operation::CancelBulk,
            (11, ..) => Operation::Replay { place: self.random.below(8) },
            (6, ..) => Operation::CreateToken { uses: 1 + u32::from(self.random.one_in(2)) },
            (7, _, Some((_, token))) => Operation::UseToken { token, subscriber },
            (8, _, Some((token, _))) => Operation::WithdrawToken { token },
            _ if self.random.one_in(2) => {
                // The same key asks for the same.
                let key = self.random.below(5);
                Operation::Issue { profile: "server", subscriber: key, days: 30, idempotency: Some(key) }
            }
            _ => Operation::Issue {
                profile: self.random.pick(&["server", "server", "document"]),
                subscriber,
                days: self.random.pick(&[1, 30, 365]),
                idempotency: None,
            },
        }
    }

    /// Something about the authority that issues elsewhere: a job of it, or a certificate, now and then of two processes at once.
    pub(super) fn begin_elsewhere(&mut self, number: usize, running: &[usize]) {
        let job = self.random.weighted(&[
            (4, None),
            (3, Some(Job::Elsewhere)),
            (2, Some(Job::PassOn)),
            (2, Some(Job::IssuerLists)),
            (1, Some(Job::Responders)),
        ]);
        if let Some(job) = job {
            return self.run_job(number, job);
        }
        let idempotency = self.random.one_in(2).then(|| 5 + self.random.below(3));
        let subscriber = idempotency.unwrap_or_else(|| self.random.below(FOUNDATION.requests.len()));
        let operation = Operation::Issue { profile: ELSEWHERE, subscriber, days: 30, idempotency };
        if self.random.one_in(3) {
            let other = self.random.pick(running);
            self.ask_later(other, operation.clone(), 0);
        }
        self.ask_later(number, operation, 0);
    }

    /// A certificate changes its standing while many ask for its status, one after the other, two processes at the most.
    pub(super) fn rush(&mut self, running: &[usize]) {
        let Some(known) = self.known() else { return };
        let processes = [self.random.pick(running), self.random.pick(running)];
        let change = match self.random.below(3) {
            0 => Operation::Unhold { certificate: known.id },
            1 => Operation::Revoke { certificate: known.id, reason: RevocationReason::CertificateHold, hours: None },
            _ => Operation::Revoke { certificate: known.id, reason: RevocationReason::Superseded, hours: None },
        };
        let (first, later) = (self.random.pick(&processes), self.random.below(30));
        self.ask_later(first, change, later);
        for _ in 0..6 {
            let (number, later) = (self.random.pick(&processes), self.random.below(60));
            self.ask_later(number, Operation::Ocsp { known: known.clone() }, later);
        }
        for number in processes {
            let later = self.random.below(60);
            self.run_job_later(number, Job::Revocations, later);
        }
    }

    /// One process after the other is asked for the status of one certificate; now and then it changes meanwhile.
    pub(super) fn ask_around(&mut self, running: &[usize]) {
        let Some(known) = self.known() else { return };
        for number in running {
            self.run_job_later(*number, Job::Revocations, 0);
        }
        for turn in 0..2 {
            for (place, number) in running.iter().enumerate() {
                let later = 30 * (turn * running.len() + place) + self.random.below(30);
                self.ask_later(*number, Operation::Ocsp { known: known.clone() }, later);
            }
        }
        if self.random.one_in(3) {
            let (number, later) = (self.random.pick(running), self.random.below(60));
            let reason = self.random.pick(&[RevocationReason::Superseded, RevocationReason::CertificateHold]);
            self.ask_later(number, Operation::Revoke { certificate: known.id, reason, hours: None }, later);
        }
    }

    /// A certificate that clients know, one of the newest most times.
    fn known(&mut self) -> Option<Known> {
        let population = lock(&self.client.population);
        let certificates = &population.certificates;
        if certificates.is_empty() {
            return None;
        }
        let newest = certificates.len().saturating_sub(3);
        let index = if self.random.one_in(3) {
            self.random.below(certificates.len())
        } else {
            newest + self.random.below(certificates.len() - newest)
        };
        Some(certificates[index].clone())
    }
}
