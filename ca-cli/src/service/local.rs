//! An authority in a folder of this machine: the same flows as a server's, in this process, asked by the operator of the host.

use std::path::Path;

use async_trait::async_trait;
use ca_api::audit::{AuditEvent, AuditFilter};
use ca_api::authority::{Authority, RevocationLists};
use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState, RevocationCount};
use ca_api::certificate::Certificate;
use ca_api::gateway::{Gateway, GatewayStatus};
use ca_api::managed::{ManagedCertificate, ManagedStatus};
use ca_api::outbox::{Delivery, DeliveryFilter};
use ca_api::page::{DEFAULT_LIMIT, Page};
use ca_api::profile::Profile;
use ca_api::renewal_window::RenewalWindowMove;
use ca_api::revoke::RevokedCertificate;
use ca_api::token::{CreatedEnrolmentToken, EnrolmentToken, EnrolmentTokenSecret};
use ca_core::crl::ParsedCrl;
use ca_core::id::{AuthorityId, BulkRevocationId, DeliveryId, ProfileName, TokenId, WindowMoveId};
use ca_core::name::DnsName;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::flow::answer_status::answer_status;
use ca_engine::flow::bulk_revoke::{self, BulkRevokeRequest};
use ca_engine::flow::follow_issuer_list::{issuer_list_lag, list_source};
use ca_engine::flow::gateway::{list_gateways, remove_gateway};
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::list_urls::list_urls;
use ca_engine::flow::managed::change;
use ca_engine::flow::managed::define::{ManagedRequest, define};
use ca_engine::flow::managed::query::{ManagedReference, Shown, list_managed, managed_standing, show_managed, shown};
use ca_engine::flow::outbox::{list_deliveries, replay_delivery};
use ca_engine::flow::query::{self, CertificateName};
use ca_engine::flow::renew::{RenewRequest, renew};
use ca_engine::flow::renewal_windows::{MoveRequest, list_window_moves, move_windows, restore_windows};
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::flow::token::{TokenRequest, create_token, delete_token, list_tokens};
use ca_engine::port::authorizer::Action;
use ca_engine::port::store::{BulkRevocation as Operation, CertificateFilter, EventFilter, StoredCertificate};
use ca_runtime::config::{Config, DatabaseConfig, LoadError, process_environment};
use ca_runtime::hierarchy::{InitError, Progress, ROOT};
use ca_runtime::local::{LocalError, open_local};
use ca_runtime::open::{OpenError, Runtime};
use ca_wire::audit::audit_event;
use ca_wire::authority::ListInPlace;
use ca_wire::problem::problem;

use super::{PageRequest, Renewal, Service};
use crate::exit::Failure;
use crate::printer::Printer;

/// Who asks in local mode: files and locks are the proof.
const PRINCIPAL: Principal = Principal::LocalOperator;

/// What to do about a folder without a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstUse {
    /// Make everything.
    Make,
    /// Refuse: a slip of the finger in a path must not make an authority.
    Refuse,
}

/// A data folder, opened.
pub(crate) struct Local {
    runtime: Runtime,
}

impl Local {
    /// Opens the service in `folder`, telling what it makes.
    pub(crate) async fn open(folder: &Path, first_use: FirstUse, printer: &Printer) -> Result<Self, Failure> {
        let environment = process_environment();
        if first_use == FirstUse::Refuse && !has_record(folder, &environment)? {
            return Err(Failure::Usage(format!(
                "there is no certificate authority in {}; `ca-cli --local {} issue …` makes one",
                folder.display(),
                folder.display()
            )));
        }
        let spinner = printer.spinner("opening the data folder");
        let progress = |step: Progress| match step {
            Progress::MakingKey { authority, key_type } => {
                spinner.message(format!("making the {key_type} key of authority {authority}"));
            }
            Progress::Established { authority } => spinner.message(format!("made authority {authority}")),
            _ => {}
        };
        let local = open_local(folder, &environment, &progress).await.map_err(not_opened)?;
        drop(spinner);
        if local.made.iter().any(|authority| authority.as_str() == ROOT) {
            let key = local.runtime.data_folder.root_key_file();
            printer.note(format!(
                "made a new hierarchy in {folder}; the root's key lies in {key}: move it to a safe place with\n  \
                 ca-cli --local {folder} authority export-root-key --out FILE",
                folder = folder.display(),
                key = display_within(&key, local.runtime.data_folder.path(), folder),
            ));
        }
        Ok(Self { runtime: local.runtime })
    }

    /// The opened service, for what only the operator of the host may do.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn engine(&self) -> &Engine {
        &self.runtime.engine
    }

    fn certificate_of(&self, stored: &StoredCertificate) -> Certificate {
        ca_wire::certificate::certificate(&self.engine().hierarchy(), stored, self.engine().now())
    }

    fn managed_of(&self, shown: &Shown) -> Result<ManagedCertificate, Failure> {
        ca_wire::managed::managed_certificate(shown).map_err(refused)
    }

    async fn named(&self, action: Action, name: &CertificateName) -> Result<StoredCertificate, Failure> {
        query::permitted(self.engine(), &PRINCIPAL, action, name).await.map_err(refused)
    }

    async fn bulk_of(&self, operation: &Operation) -> Result<BulkRevocation, Failure> {
        let lists = bulk_revoke::lists_of(self.engine(), operation).await.map_err(refused)?;
        Ok(ca_wire::bulk_revocation::bulk_revocation(operation, &lists))
    }

    async fn authority_of(&self, authority: &ca_engine::hierarchy::Authority) -> Result<Authority, Failure> {
        let lists = self.lists_of(authority.id()).await.map_err(refused)?;
        let is_in_file = authority.record().key_home.is_offline();
        let key_is_here = authority.hand().is_ok() || (is_in_file && self.runtime.data_folder.root_key_file().exists());
        // What a server on this folder would answer by OCSP is kept for so long; of an offline authority only its list tells.
        let mut visible_within = match is_in_file {
            true => self.engine().settings().offline_crl_validity,
            false => Lifetime::from_seconds(self.runtime.config.status.max_age.seconds() + 1),
        };
        let mut issuer = None;
        if authority.issues_elsewhere() {
            let source = list_source(self.engine().store(), authority.id()).await.map_err(refused)?;
            let lag = issuer_list_lag(self.engine(), authority.id()).await.map_err(refused)?;
            issuer = Some(ca_wire::authority::issuer_elsewhere(source, lag, visible_within));
            visible_within = ca_wire::authority::visible_by_issuer_within(source, visible_within);
        }
        Ok(ca_wire::authority::authority(authority, self.engine().now(), lists, key_is_here, visible_within, issuer))
    }

    async fn lists_of(&self, authority: &AuthorityId) -> Result<RevocationLists, FlowError> {
        let (engine, store) = (self.engine(), self.engine().store());
        let complete = store.published_crl(authority).await?;
        let mut partial = Vec::new();
        for (whose, part, _) in store.published_partial_numbers().await? {
            if whose == *authority {
                partial.extend(store.published_partial_crl(authority, part).await?);
            }
        }
        let complete = complete.iter().map(|list| (None, &list.intent, list.der.count()));
        let partial = partial.iter().map(|list| (Some(list.intent.scope), &list.intent.crl, list.der.count()));
        let lists: Vec<_> =
            complete.chain(partial).map(|(part, intent, octets)| ListInPlace { part, intent, octets }).collect();
        Ok(ca_wire::authority::revocation_lists(&lists, &list_urls(engine, authority).await?))
    }
}

#[async_trait]
impl Service for Local {
    async fn issue(&self, request: IssueRequest) -> Result<Certificate, Failure> {
        let issued = issue(self.engine(), &PRINCIPAL, request).await.map_err(refused)?;
        Ok(self.certificate_of(&issued.certificate))
    }

    async fn renew(&self, name: &CertificateName, renewal: Renewal) -> Result<Certificate, Failure> {
        let request = RenewRequest {
            certificate: name.clone(),
            csr: renewal.csr,
            validity: renewal.validity,
            idempotency_key: Some(renewal.idempotency_key),
            request_id: None,
        };
        let issued = renew(self.engine(), &PRINCIPAL, request).await.map_err(refused)?;
        Ok(self.certificate_of(&issued.certificate))
    }

    async fn revoke(
        &self,
        name: &CertificateName,
        reason: RevocationReason,
        invalidity_date: Option<Timestamp>,
    ) -> Result<RevokedCertificate, Failure> {
        let certificate = self.named(Action::RevokeCertificate, name).await?.id;
        let request = RevokeRequest { certificate, reason, invalidity_date, request_id: None };
        let revoked = revoke(self.engine(), &PRINCIPAL, &request).await.map_err(refused)?;
        // Nobody else would publish the list.
        self.runtime.settle().await.map_err(Failure::failed)?;
        Ok(ca_wire::revocation::revoked(self.certificate_of(&revoked.certificate), &revoked.reach))
    }

    async fn count_bulk_revocation(&self, request: &BulkRevokeRequest) -> Result<RevocationCount, Failure> {
        let count = bulk_revoke::count_bulk_revocation(self.engine(), &PRINCIPAL, request).await.map_err(refused)?;
        Ok(ca_wire::bulk_revocation::revocation_count(&count))
    }

    async fn begin_bulk_revocation(
        &self,
        request: &BulkRevokeRequest,
        expected: u64,
        idempotency_key: &str,
    ) -> Result<BulkRevocation, Failure> {
        let key = Some(idempotency_key);
        let begun = bulk_revoke::begin_bulk_revocation(self.engine(), &PRINCIPAL, request, expected, key).await;
        self.bulk_of(&begun.map_err(refused)?).await
    }

    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure> {
        let operation = bulk_revoke::bulk_revocation(self.engine(), &PRINCIPAL, id).await.map_err(refused)?;
        self.bulk_of(&operation).await
    }

    async fn advance_bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure> {
        let operation = bulk_revoke::bulk_revocation(self.engine(), &PRINCIPAL, id).await.map_err(refused)?;
        self.runtime.advance_bulk_revocation(&operation).await.map_err(not_opened)?;
        let there = self.bulk_revocation(id).await?;
        if there.state != BulkRevocationState::Running {
            // Nobody else would publish the list.
            self.runtime.settle().await.map_err(Failure::failed)?;
            return self.bulk_revocation(id).await;
        }
        Ok(there)
    }

    async fn leave_bulk_revocation(&self, id: BulkRevocationId) -> Result<(), Failure> {
        let operation = bulk_revoke::bulk_revocation(self.engine(), &PRINCIPAL, id).await.map_err(refused)?;
        // Where nobody goes on with it, what is revoked must not wait for the rest.
        for share in &operation.shares {
            self.runtime.publish_crl_now(&share.authority).await.map_err(not_opened)?;
        }
        Ok(())
    }

    async fn cancel_bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure> {
        let canceled = bulk_revoke::cancel_bulk_revocation(self.engine(), &PRINCIPAL, id, None).await;
        let canceled = canceled.map_err(refused)?;
        self.runtime.settle().await.map_err(Failure::failed)?;
        self.bulk_of(&canceled).await
    }

    async fn unhold(&self, name: &CertificateName) -> Result<Certificate, Failure> {
        let id = self.named(Action::ReleaseCertificate, name).await?.id;
        let released = unhold(self.engine(), &PRINCIPAL, id, None).await.map_err(refused)?;
        self.runtime.settle().await.map_err(Failure::failed)?;
        Ok(self.certificate_of(&released))
    }

    async fn certificate(&self, name: &CertificateName) -> Result<Certificate, Failure> {
        Ok(self.certificate_of(&self.named(Action::ReadCertificate, name).await?))
    }

    async fn certificates(&self, filter: &CertificateFilter, page: PageRequest) -> Result<Page<Certificate>, Failure> {
        let after = read_cursor(page.cursor.as_deref())?;
        let page = query::list(self.engine(), &PRINCIPAL, filter, after, page.limit).await.map_err(refused)?;
        Ok(Page {
            items: page.items.iter().map(|stored| self.certificate_of(stored)).collect(),
            next_cursor: page.next.map(|id| id.to_string()),
        })
    }

    async fn authorities(&self) -> Result<Vec<Authority>, Failure> {
        let mut authorities = Vec::new();
        for authority in self.engine().hierarchy().authorities() {
            authorities.push(self.authority_of(authority).await?);
        }
        Ok(authorities)
    }

    async fn authority(&self, id: &AuthorityId) -> Result<Authority, Failure> {
        let authority = self.engine().authority(id).map_err(refused)?;
        self.authority_of(&authority).await
    }

    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        let profiles = self.engine().profiles().values().filter(|profile| !profile.is_internal());
        Ok(profiles.map(|profile| ca_wire::profile::profile(profile)).collect())
    }

    async fn profile(&self, name: &ProfileName) -> Result<Profile, Failure> {
        let profile = self.engine().profiles().get(name).filter(|profile| !profile.is_internal());
        profile.map(|profile| ca_wire::profile::profile(profile)).ok_or_else(|| {
            let message = format!("there is no profile `{name}`; profiles are {}", self.engine().profile_names());
            refused(FlowError::new(FlowErrorKind::UnknownProfile, message))
        })
    }

    async fn create_token(&self, request: TokenRequest) -> Result<CreatedEnrolmentToken, Failure> {
        let (record, secret) = create_token(self.engine(), &PRINCIPAL, request).await.map_err(refused)?;
        Ok(CreatedEnrolmentToken {
            secret: EnrolmentTokenSecret::new(secret.expose().to_owned()),
            token: ca_wire::token::token(&record),
        })
    }

    async fn tokens(&self, page: PageRequest) -> Result<Page<EnrolmentToken>, Failure> {
        let after = read_cursor(page.cursor.as_deref())?;
        let tokens = list_tokens(self.engine(), &PRINCIPAL, after, page.limit).await.map_err(refused)?;
        let is_full = tokens.len() == page.limit as usize;
        Ok(Page {
            next_cursor: tokens.last().filter(|_| is_full).map(|token| token.id.to_string()),
            items: tokens.iter().map(ca_wire::token::token).collect(),
        })
    }

    async fn delete_token(&self, id: TokenId) -> Result<(), Failure> {
        delete_token(self.engine(), &PRINCIPAL, id, None).await.map_err(refused)
    }

    async fn audit_events(&self, filter: &AuditFilter) -> Result<Page<AuditEvent>, Failure> {
        let after = read_cursor(filter.cursor.as_deref())?.or(filter.after).unwrap_or(0);
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
        let restrictions = EventFilter {
            action: filter.action.clone(),
            principal: filter.principal.clone(),
            subject: filter.subject.clone(),
        };
        let events =
            query::audit_events(self.engine(), &PRINCIPAL, after, &restrictions, limit).await.map_err(refused)?;
        let is_full = events.len() == limit as usize;
        Ok(Page {
            next_cursor: events.last().filter(|_| is_full).map(|event| event.sequence.to_string()),
            items: events.iter().map(audit_event).collect::<Result<_, _>>().map_err(refused)?,
        })
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, Failure> {
        let after = read_cursor(filter.cursor.as_deref())?;
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
        let dead = filter.state.map(ca_wire::outbox::is_dead);
        let found = list_deliveries(self.engine(), &PRINCIPAL, dead, after, limit).await.map_err(refused)?;
        let is_full = found.len() == limit as usize;
        Ok(Page {
            next_cursor: found.last().filter(|_| is_full).map(|last| last.id.to_string()),
            items: found.iter().map(ca_wire::outbox::delivery).collect(),
        })
    }

    async fn replay_delivery(&self, id: DeliveryId) -> Result<Delivery, Failure> {
        let replayed = replay_delivery(self.engine(), &PRINCIPAL, id, None).await.map_err(refused)?;
        Ok(ca_wire::outbox::delivery(&replayed))
    }

    async fn move_renewal_windows(&self, request: MoveRequest) -> Result<RenewalWindowMove, Failure> {
        let moved = move_windows(self.engine(), &PRINCIPAL, request).await.map_err(refused)?;
        Ok(ca_wire::renewal_window::window_move(&moved))
    }

    async fn renewal_windows(&self) -> Result<Vec<RenewalWindowMove>, Failure> {
        let moves = list_window_moves(self.engine(), &PRINCIPAL).await.map_err(refused)?;
        Ok(moves.iter().map(ca_wire::renewal_window::window_move).collect())
    }

    async fn restore_renewal_windows(&self, id: WindowMoveId) -> Result<(), Failure> {
        restore_windows(self.engine(), &PRINCIPAL, id, None).await.map_err(refused)
    }

    async fn add_managed(&self, request: &ManagedRequest, dry_run: bool) -> Result<ManagedCertificate, Failure> {
        let defined = define(self.engine(), &PRINCIPAL, request.clone(), dry_run).await.map_err(refused)?;
        self.managed_of(&shown(self.engine(), defined.managed).await.map_err(refused)?)
    }

    async fn managed_certificates(&self, page: PageRequest) -> Result<Page<ManagedCertificate>, Failure> {
        let after = page.cursor.as_deref();
        let found = list_managed(self.engine(), &PRINCIPAL, after, page.limit).await.map_err(refused)?;
        let is_full = found.len() == page.limit as usize;
        Ok(Page {
            next_cursor: found.last().filter(|_| is_full).map(|last| last.managed.name.clone()),
            items: found.iter().map(|shown| self.managed_of(shown)).collect::<Result<_, _>>()?,
        })
    }

    async fn managed_status(&self) -> Result<ManagedStatus, Failure> {
        let standing = managed_standing(self.engine(), &PRINCIPAL).await.map_err(refused)?;
        Ok(ca_wire::managed::status(&standing))
    }

    async fn managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.managed_of(&show_managed(self.engine(), &PRINCIPAL, name).await.map_err(refused)?)
    }

    async fn change_managed(
        &self,
        name: &ManagedReference,
        request: &ManagedRequest,
        dry_run: bool,
    ) -> Result<ManagedCertificate, Failure> {
        let changed = change::redefine(self.engine(), &PRINCIPAL, name, request.clone(), None, dry_run).await;
        self.managed_of(&changed.map_err(refused)?)
    }

    async fn rotate_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.managed_of(&change::rotate_managed(self.engine(), &PRINCIPAL, name, None).await.map_err(refused)?)
    }

    async fn pause_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.managed_of(&change::pause_managed(self.engine(), &PRINCIPAL, name, None).await.map_err(refused)?)
    }

    async fn resume_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.managed_of(&change::resume_managed(self.engine(), &PRINCIPAL, name, None).await.map_err(refused)?)
    }

    async fn remove_managed(&self, name: &ManagedReference) -> Result<(), Failure> {
        change::remove_managed(self.engine(), &PRINCIPAL, name, None).await.map_err(refused)
    }

    async fn gateways(&self) -> Result<Vec<Gateway>, Failure> {
        let gateways = list_gateways(self.engine(), &PRINCIPAL).await.map_err(refused)?;
        Ok(gateways.iter().map(ca_wire::gateway::gateway).collect())
    }

    async fn remove_gateway(&self, id: &DnsName) -> Result<(), Failure> {
        remove_gateway(self.engine(), &PRINCIPAL, id, None).await.map_err(refused)
    }

    async fn report_gateway(&self, _id: &str, _status: &GatewayStatus) -> Result<Gateway, Failure> {
        Err(Failure::Usage("a gateway speaks to a server, by its certificate: name it with --url".to_owned()))
    }

    async fn roots(&self) -> Result<Vec<ca_core::certificate::Certificate>, Failure> {
        Ok(self.engine().hierarchy().roots().map(|root| root.certificate().clone()).collect())
    }

    async fn ocsp(&self, request: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let mut fault = None;
        let answer = answer_status(self.engine(), &request, |error| fault = Some(error.clone())).await;
        match fault {
            Some(error) => Err(refused(error)),
            None => Ok(answer.der.to_vec()),
        }
    }

    async fn revocation_lists(&self) -> Result<Vec<ParsedCrl>, Failure> {
        let mut lists = Vec::new();
        for authority in self.engine().hierarchy().authorities() {
            let published =
                self.engine().store().published_crl(authority.id()).await.map_err(FlowError::from).map_err(refused)?;
            if let Some(published) = published {
                lists.push(
                    ParsedCrl::from_der(published.der.to_vec().map_err(Failure::failed)?).map_err(Failure::failed)?,
                );
            }
        }
        Ok(lists)
    }

    async fn close(&self) -> Result<(), Failure> {
        let settled = self.runtime.settle().await.map_err(Failure::failed);
        self.runtime.close().await;
        settled
    }
}

/// Whether the folder has a database.
fn has_record(folder: &Path, environment: &[(String, String)]) -> Result<bool, Failure> {
    let config = Config::load_folder(folder, environment).map_err(|error| not_opened(error.into()))?;
    Ok(match &config.database {
        DatabaseConfig::Sqlite { path } => path.exists(),
        // What is no file was made by somebody else before.
        _ => true,
    })
}

fn not_opened(error: LocalError) -> Failure {
    match error {
        LocalError::Config(LoadError::Faulty { .. }) => Failure::Usage(error.to_string()),
        LocalError::Flow(flow)
        | LocalError::Init(InitError::Flow(flow))
        | LocalError::Open(OpenError::Engine(flow))
            if flow.kind != FlowErrorKind::InternalError =>
        {
            refused(flow)
        }
        error if error.is_temporary() => Failure::Busy(error.to_string()),
        error => Failure::failed(error),
    }
}

/// `path` as seen from the folder that the caller named, not from the root of the file system.
fn display_within(path: &Path, resolved: &Path, named: &Path) -> String {
    path.strip_prefix(resolved).map_or_else(|_| path.to_path_buf(), |rest| named.join(rest)).display().to_string()
}

fn read_cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<T>, Failure> {
    let read = cursor.map(str::parse).transpose();
    read.map_err(|_| Failure::failed("the cursor is not one that this service gave"))
}

/// The refusal of a flow, as a server would tell it, with what a server would only have logged.
fn refused(error: FlowError) -> Failure {
    let problem = problem(&error, "");
    Failure::RefusedHere { problem: Box::new(problem), detail: error.detail }
}
