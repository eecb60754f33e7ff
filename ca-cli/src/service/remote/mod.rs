//! An authority behind a server's HTTP API.

mod exchange;
mod holder;
mod rotation;

use async_trait::async_trait;
use ca_api::audit::{AuditEvent, AuditFilter};
use ca_api::authority::Authority;
use ca_api::bulk_revocation::{BulkRevocation, RevocationCount, RevokeCertificates};
use ca_api::certificate::{Certificate, CertificateFilter as WireFilter, NewCertificate};
use ca_api::gateway::{Gateway, GatewayStatus};
use ca_api::managed::{ManagedCertificate, ManagedFilter, ManagedOptions, ManagedStatus, NewManagedCertificate};
use ca_api::outbox::{Delivery, DeliveryFilter};
use ca_api::page::Page;
use ca_api::profile::Profile;
use ca_api::renewal::RenewCertificate;
use ca_api::renewal_window::{MoveRenewalWindows, MovedWindow, RenewalScope, RenewalWindowMove};
use ca_api::revoke::{RevokeCertificate, RevokedCertificate};
use ca_api::route;
use ca_api::search::CertificateSearch;
use ca_api::token::{CreatedEnrolmentToken, EnrolmentToken, EnrolmentTokenFilter, NewEnrolmentToken};
use ca_core::crl::ParsedCrl;
use ca_core::csr::ParsedCsr;
use ca_core::id::{AuthorityId, BulkRevocationId, DeliveryId, ProfileName, TokenId, WindowMoveId};
use ca_core::name::DnsName;
use ca_core::pem;
use ca_core::revocation::RevocationReason;
use ca_core::time::Timestamp;
use ca_engine::flow::bulk_revoke::{BulkRevokeRequest, BulkSelection};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::managed::define::ManagedRequest;
use ca_engine::flow::managed::query::ManagedReference;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renewal_windows::MoveRequest;
use ca_engine::flow::token::TokenRequest;
use ca_engine::port::store::{CertificateFilter, NameQuery};
use reqwest::Method;
use secrecy::SecretString;

use self::exchange::{Exchange, LARGEST_LIST};
use super::{PageRequest, Renewal, Service};
use crate::exit::Failure;
use crate::settings::{IdentityFiles, RemoteSettings};
use crate::tls;

/// How this side proves who it is.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// Not at all.
    None,
    /// By a client certificate.
    Certificate(IdentityFiles),
    /// By an enrolment token.
    Token(SecretString),
}

/// A server.
pub(crate) struct Remote {
    exchange: Exchange,
    trusted: Vec<ca_core::certificate::Certificate>,
}

impl Remote {
    /// Gets ready to ask a server; nothing is sent yet.
    pub(crate) fn new(
        settings: &RemoteSettings,
        credential: Credential,
        timeout: std::time::Duration,
    ) -> Result<Self, Failure> {
        let trusted = match &settings.root {
            Some(path) => tls::read_roots(path)?,
            None if settings.url.starts_with("https:") => {
                return Err(Failure::Usage(format!(
                    "no root certificate says whether {} is to be trusted: run `ca-cli bootstrap {} --fingerprint …` once, \
                     or name one with --root or CA_ROOT",
                    settings.url, settings.url
                )));
            }
            None => Vec::new(),
        };
        Ok(Self { exchange: Exchange::new(&settings.url, &trusted, credential, timeout)?, trusted })
    }
}

/// How often the server is asked how far a bulk revocation has come.
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(300);

fn bulk_body(request: &BulkRevokeRequest) -> RevokeCertificates {
    let (filter, certificates) = match &request.selection {
        BulkSelection::Filter(filter) => (Some(ca_wire::bulk_revocation::revocation_filter(filter)), None),
        BulkSelection::Certificates(names) => {
            (None, Some(names.iter().map(ca_wire::bulk_revocation::certificate_name).collect()))
        }
    };
    RevokeCertificates {
        filter,
        certificates,
        reason: ca_wire::revocation::wire_reason(request.reason),
        invalidity_date: request.invalidity_date.map(Timestamp::to_rfc3339),
        dry_run: false,
        expected_count: None,
    }
}

#[async_trait]
impl Service for Remote {
    async fn issue(&self, request: IssueRequest) -> Result<Certificate, Failure> {
        let body = NewCertificate {
            profile: request.profile.to_string(),
            csr: csr_pem(&request.csr),
            subject: request.subject.as_ref().map(|subject| subject.to_exact_rfc4514()),
            subject_alternative_names: request.names.as_deref().map(ca_wire::name::names),
            validity: request.validity.map(|validity| validity.to_string()),
        };
        self.exchange.post_once(route::CERTIFICATES, &body, request.idempotency_key.as_deref()).await
    }

    async fn renew(&self, name: &CertificateName, renewal: Renewal) -> Result<Certificate, Failure> {
        let body = RenewCertificate {
            csr: renewal.csr.as_ref().map(csr_pem),
            reuse_key: renewal.csr.is_none(),
            validity: renewal.validity.map(|validity| validity.to_string()),
        };
        let path = of_certificate(route::CERTIFICATE_RENEW, name);
        self.exchange.post_once(&path, &body, Some(&renewal.idempotency_key)).await
    }

    async fn revoke(
        &self,
        name: &CertificateName,
        reason: RevocationReason,
        invalidity_date: Option<Timestamp>,
    ) -> Result<RevokedCertificate, Failure> {
        let body = RevokeCertificate {
            reason: ca_wire::revocation::wire_reason(reason),
            invalidity_date: invalidity_date.map(Timestamp::to_rfc3339),
        };
        self.exchange.post(&of_certificate(route::CERTIFICATE_REVOKE, name), &body).await
    }

    async fn count_bulk_revocation(&self, request: &BulkRevokeRequest) -> Result<RevocationCount, Failure> {
        let body = RevokeCertificates { dry_run: true, ..bulk_body(request) };
        self.exchange.post(route::CERTIFICATES_REVOKE, &body).await
    }

    async fn begin_bulk_revocation(
        &self,
        request: &BulkRevokeRequest,
        expected: u64,
        idempotency_key: &str,
    ) -> Result<BulkRevocation, Failure> {
        let body = RevokeCertificates { expected_count: Some(expected), ..bulk_body(request) };
        self.exchange.post_once(route::CERTIFICATES_REVOKE, &body, Some(idempotency_key)).await
    }

    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure> {
        self.exchange.get(&route::REVOCATION.replace("{revocation}", &id.to_string()), &()).await
    }

    async fn advance_bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure> {
        // The server does the work.
        tokio::time::sleep(BETWEEN_LOOKS).await;
        self.bulk_revocation(id).await
    }

    async fn leave_bulk_revocation(&self, _: BulkRevocationId) -> Result<(), Failure> {
        Ok(())
    }

    async fn cancel_bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure> {
        self.exchange.post_nothing(&route::REVOCATION_CANCEL.replace("{revocation}", &id.to_string())).await
    }

    async fn unhold(&self, name: &CertificateName) -> Result<Certificate, Failure> {
        self.exchange.post_nothing(&of_certificate(route::CERTIFICATE_UNHOLD, name)).await
    }

    async fn certificate(&self, name: &CertificateName) -> Result<Certificate, Failure> {
        self.exchange.get(&of_certificate(route::CERTIFICATE, name), &()).await
    }

    async fn certificates(&self, filter: &CertificateFilter, page: PageRequest) -> Result<Page<Certificate>, Failure> {
        let status = filter.status.map(ca_wire::certificate::wire_status);
        let profile = filter.profile.as_ref().map(ToString::to_string);
        let authority = filter.authority.as_ref().map(ToString::to_string);
        if let Some(query) = &filter.name {
            let (name, subject) = match query {
                NameQuery::AnyName(name) => (Some(name.clone()), None),
                NameQuery::Subject(subject) => (None, Some(subject.clone())),
            };
            let search = CertificateSearch {
                subject,
                name,
                status,
                profile,
                authority,
                limit: Some(page.limit),
                cursor: page.cursor,
            };
            return self.exchange.post(route::CERTIFICATE_SEARCH, &search).await;
        }
        let query = WireFilter {
            status,
            profile,
            authority,
            expires_before: filter.expires_before.map(Timestamp::to_rfc3339),
            issued_after: filter.issued_after.map(Timestamp::to_rfc3339),
            owner: filter.owner.clone(),
            serial: filter.serial.as_ref().map(ToString::to_string),
            limit: Some(page.limit),
            cursor: page.cursor,
        };
        self.exchange.get(route::CERTIFICATES, &query).await
    }

    async fn authorities(&self) -> Result<Vec<Authority>, Failure> {
        let page: Page<Authority> = self.exchange.get(route::AUTHORITIES, &()).await?;
        Ok(page.items)
    }

    async fn authority(&self, id: &AuthorityId) -> Result<Authority, Failure> {
        self.exchange.get(&route::AUTHORITY.replace("{authority}", id.as_str()), &()).await
    }

    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        let page: Page<Profile> = self.exchange.get(route::PROFILES, &()).await?;
        Ok(page.items)
    }

    async fn profile(&self, name: &ProfileName) -> Result<Profile, Failure> {
        self.exchange.get(&route::PROFILE.replace("{profile}", name.as_str()), &()).await
    }

    async fn create_token(&self, request: TokenRequest) -> Result<CreatedEnrolmentToken, Failure> {
        let body = NewEnrolmentToken {
            profile: request.profile.to_string(),
            subject_alternative_names: ca_wire::name::names(&request.names),
            common_name: request.common_name,
            validity: Some(request.lifetime.to_string()),
            uses: Some(request.uses),
        };
        self.exchange.post(route::ENROLMENT_TOKENS, &body).await
    }

    async fn tokens(&self, page: PageRequest) -> Result<Page<EnrolmentToken>, Failure> {
        let filter = EnrolmentTokenFilter { limit: Some(page.limit), cursor: page.cursor };
        self.exchange.get(route::ENROLMENT_TOKENS, &filter).await
    }

    async fn delete_token(&self, id: TokenId) -> Result<(), Failure> {
        self.exchange.delete(&route::ENROLMENT_TOKEN.replace("{token}", &id.to_string())).await
    }

    async fn audit_events(&self, filter: &AuditFilter) -> Result<Page<AuditEvent>, Failure> {
        self.exchange.get(route::AUDIT, filter).await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, Failure> {
        self.exchange.get(route::OUTBOX, filter).await
    }

    async fn replay_delivery(&self, id: DeliveryId) -> Result<Delivery, Failure> {
        self.exchange.post_nothing(&route::OUTBOX_REPLAY.replace("{delivery}", &id.to_string())).await
    }

    async fn move_renewal_windows(&self, request: MoveRequest) -> Result<RenewalWindowMove, Failure> {
        let body = MoveRenewalWindows {
            scope: RenewalScope {
                authority: request.authority.map(|authority| authority.to_string()),
                profile: request.profile.map(|profile| profile.to_string()),
                certificate: request.certificate.map(|id| id.to_string()),
                issued_after: request.issued_after.map(Timestamp::to_rfc3339),
                issued_before: request.issued_before.map(Timestamp::to_rfc3339),
            },
            window: MovedWindow { start: request.start.map(Timestamp::to_rfc3339), end: request.end.to_rfc3339() },
            waves: Some(request.waves),
            explanation_url: request.explanation_url,
        };
        self.exchange.post(route::RENEWAL_WINDOWS, &body).await
    }

    async fn renewal_windows(&self) -> Result<Vec<RenewalWindowMove>, Failure> {
        let page: Page<RenewalWindowMove> = self.exchange.get(route::RENEWAL_WINDOWS, &()).await?;
        Ok(page.items)
    }

    async fn restore_renewal_windows(&self, id: WindowMoveId) -> Result<(), Failure> {
        self.exchange.delete(&route::RENEWAL_WINDOW.replace("{move}", &id.to_string())).await
    }

    async fn add_managed(&self, request: &ManagedRequest, dry_run: bool) -> Result<ManagedCertificate, Failure> {
        let (body, options) = asked(request, dry_run)?;
        self.exchange.send_with_query(Method::POST, route::MANAGED_CERTIFICATES, &options, &body).await
    }

    async fn managed_certificates(&self, page: PageRequest) -> Result<Page<ManagedCertificate>, Failure> {
        let filter = ManagedFilter { limit: Some(page.limit), cursor: page.cursor };
        self.exchange.get(route::MANAGED_CERTIFICATES, &filter).await
    }

    async fn managed_status(&self) -> Result<ManagedStatus, Failure> {
        self.exchange.get(route::MANAGED_STATUS, &()).await
    }

    async fn managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.exchange.get(&of_managed(route::MANAGED_CERTIFICATE, name), &()).await
    }

    async fn change_managed(
        &self,
        name: &ManagedReference,
        request: &ManagedRequest,
        dry_run: bool,
    ) -> Result<ManagedCertificate, Failure> {
        let (body, options) = asked(request, dry_run)?;
        self.exchange.send_with_query(Method::PUT, &of_managed(route::MANAGED_CERTIFICATE, name), &options, &body).await
    }

    async fn rotate_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.exchange.post_nothing(&of_managed(route::MANAGED_ROTATE, name)).await
    }

    async fn pause_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.exchange.post_nothing(&of_managed(route::MANAGED_PAUSE, name)).await
    }

    async fn resume_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure> {
        self.exchange.post_nothing(&of_managed(route::MANAGED_RESUME, name)).await
    }

    async fn remove_managed(&self, name: &ManagedReference) -> Result<(), Failure> {
        self.exchange.delete(&of_managed(route::MANAGED_CERTIFICATE, name)).await
    }

    async fn gateways(&self) -> Result<Vec<Gateway>, Failure> {
        let page: Page<Gateway> = self.exchange.get(route::GATEWAYS, &()).await?;
        Ok(page.items)
    }

    async fn remove_gateway(&self, id: &DnsName) -> Result<(), Failure> {
        self.exchange.delete(&route::GATEWAY.replace("{gateway}", id.as_str())).await
    }

    async fn report_gateway(&self, id: &str, status: &GatewayStatus) -> Result<Gateway, Failure> {
        self.exchange.put(&route::GATEWAY_STATUS.replace("{gateway}", id), status).await
    }

    async fn roots(&self) -> Result<Vec<ca_core::certificate::Certificate>, Failure> {
        let text = self.exchange.get_public(route::ROOTS, LARGEST_LIST).await?;
        let unreadable = |error: &dyn std::fmt::Display| Failure::Failed(format!("the server's roots: {error}"));
        let text = String::from_utf8(text).map_err(|error| unreadable(&error))?;
        let named = ca_core::certificate::Certificate::all_from_pem(&text).map_err(|error| unreadable(&error))?;
        let mut roots = self.trusted.clone();
        for root in named {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        Ok(roots)
    }

    async fn ocsp(&self, request: Vec<u8>) -> Result<Vec<u8>, Failure> {
        self.exchange.post_ocsp(route::OCSP, request).await
    }

    async fn revocation_lists(&self) -> Result<Vec<ParsedCrl>, Failure> {
        let text = self.exchange.get_public(&route::CRL.replace("{file}", ALL_LISTS), LARGEST_LIST).await?;
        let text = String::from_utf8(text).map_err(|_| Failure::Failed(format!("{ALL_LISTS} is not PEM")))?;
        ParsedCrl::all_from_pem(&text).map_err(|error| Failure::Failed(format!("{ALL_LISTS}: {error}")))
    }
}

fn csr_pem(csr: &ParsedCsr) -> String {
    pem::encode("CERTIFICATE REQUEST", csr.der())
}

/// The path of a route about one certificate. Ids, authorities and serials need no percent-encoding.
fn of_certificate(route: &str, name: &CertificateName) -> String {
    let text = match name {
        CertificateName::Id(id) => id.to_string(),
        CertificateName::Serial(authority, serial) => format!("{authority}:{serial}"),
        CertificateName::BareSerial(serial) => serial.to_string(),
    };
    route.replace("{certificate}", &text)
}

/// The path of a route about one managed certificate. Ids and names need no percent-encoding.
fn of_managed(route: &str, name: &ManagedReference) -> String {
    let text = match name {
        ManagedReference::Id(id) => id.to_string(),
        ManagedReference::Name(name) => name.clone(),
    };
    route.replace("{managed}", &text)
}

fn asked(request: &ManagedRequest, dry_run: bool) -> Result<(NewManagedCertificate, ManagedOptions), Failure> {
    let body = ca_wire::managed::request(request).map_err(Failure::failed)?;
    Ok((body, ManagedOptions { dry_run, revision: None }))
}

/// Every complete list in one PEM file.
const ALL_LISTS: &str = "all.pem";
