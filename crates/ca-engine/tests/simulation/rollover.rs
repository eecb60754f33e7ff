//! Lines that are rolled over while everything goes wrong: an operator with the root's key makes the next generation, is cut off and
//! begins again; processes hear of it late, and one of them retires the generation before.

use std::sync::Arc;

use ca_core::key::KeyType;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::flow::retire::SETTLING;
use ca_engine::flow::rollover::{GenerationKey, LEASE, LEASE_NAME, LEAST_NOTICE, RolloverPlan, roll_over};
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::signer::Signer;

use crate::foundation::{FOUNDATION, authority, constraints_of, root_key, subject_of};
use crate::job::Job;
use crate::lock;
use crate::operation::Operation;
use crate::simulation::Simulation;

/// How often the operator gives the command again when it was told that this may help.
const ATTEMPTS: usize = 10;

impl Simulation {
    /// Something about generations: the operator makes the next one, a process hears of it, one retires the one before, or a
    /// certificate is asked for.
    pub(super) fn begin_generation(&mut self, number: usize, running: &[usize]) {
        let job = self.random.weighted(&[
            (3, None),
            (5, Some(Job::Hierarchy)),
            (3, Some(Job::Retire)),
            (3, Some(Job::Crl)),
            (1, Some(Job::Responders)),
        ]);
        match job {
            Some(job) => self.run_job(number, job),
            None if self.random.one_in(2) => {
                let line = self.random.pick(&["tls", "tls", "document"]);
                self.roll_over(line);
            }
            None => {
                let profile = self.random.pick(&["server", "document"]);
                let subscriber = self.random.below(FOUNDATION.requests.len());
                let operation = Operation::Issue { profile, subscriber, days: 30, idempotency: None };
                let other = self.random.pick(running);
                self.ask_later(other, operation.clone(), 0);
                self.ask_later(number, operation, 0);
            }
        }
    }

    /// The operator rolls a line over, by a command beside the processes that run. What was cut off is begun again some other time.
    fn roll_over(&mut self, line: &'static str) {
        let number = self.operator.number;
        if self.executor.tasks_mut().iter().any(|task| task.replica == number) {
            return;
        }
        self.note(format!("the operator rolls {line} over"));
        let starting = self.operator.start(&self.surroundings, &mut self.random);
        let keyring = self.operator.keyring(&self.surroundings, &mut self.random);
        let (process, holder) = (self.operator.process(), self.operator.holder());
        let notice = LEAST_NOTICE.max(Lifetime::from_seconds(self.random.within(0..90)));
        let plan = move || RolloverPlan {
            line: authority(line),
            below: None,
            subject: subject_of(line),
            validity: None,
            constraints: constraints_of(line),
            key: GenerationKey::Make(KeyType::Ed25519),
            taken: Vec::new(),
            notice,
        };
        let client = self.client.clone();
        self.executor.spawn(number, format!("the rollover of {line}"), async move {
            let since = lock(&client.auditor).step;
            lock(&client.auditor).process_started(process, since);
            let engine = match starting.await {
                Ok(engine) => engine,
                Err(error) => return client.note(&format_args!("the rollover"), &Err(error)),
            };
            let key = keyring.watched(KeyRoom::Authorities, root_key());
            for _ in 0..ATTEMPTS {
                let outcome = attempt(&engine, &holder, &key, plan()).await;
                client.note(&format_args!("the rollover"), &outcome);
                let again = outcome
                    .is_err_and(|error| matches!(error.kind, FlowErrorKind::Unavailable | FlowErrorKind::Overloaded));
                if !again {
                    break;
                }
            }
        });
    }

    /// Every process knows every generation, and the one before retires when its time has come.
    pub(super) fn settle_generations(&mut self) -> Result<(), String> {
        if !self.surroundings.rolls {
            return Ok(());
        }
        for _ in 0..4 {
            self.roll_over("tls");
            self.live()?;
        }
        // From then on nobody issues from the one before.
        self.surroundings.truth.advance(Lifetime::from_seconds(SETTLING.seconds() + 120));
        for job in
            [Job::Clock, Job::Hierarchy, Job::Retire, Job::Responders, Job::Crl, Job::Revocations, Job::AuditChain]
        {
            self.repeat(job)?;
        }
        let auditor = Arc::clone(&self.surroundings.auditor);
        lock(&auditor).check_generations_at_last()
    }
}

/// The command once, with the root's key.
async fn attempt(engine: &Engine, holder: &str, key: &Arc<dyn Signer>, plan: RolloverPlan) -> Result<(), FlowError> {
    let Some(lease) = engine.store().acquire_lease(LEASE_NAME, holder, LEASE).await? else { return Ok(()) };
    engine.lend_signer(authority("root"), Arc::clone(key)).await?;
    let rolled = roll_over(engine, &Principal::LocalOperator, plan, &lease).await;
    engine.store().release_lease(&lease).await?;
    match rolled {
        // The one before has not begun to issue yet.
        Err(error) if error.kind == FlowErrorKind::AuthorityExists => Ok(()),
        rolled => rolled.map(drop),
    }
}
