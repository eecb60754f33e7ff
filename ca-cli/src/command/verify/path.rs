//! The path from a certificate to a trusted root: from what is at hand, and from the addresses that certificates name.

use ca_core::certificate::Certificate;

use super::read_certificates;
use crate::exit::Exit;
use crate::fetch::Fetcher;

/// Paths are short; whoever makes them longer means no good.
const LONGEST: usize = 10;
/// An issuer's certificate has some thousand octets.
const LARGEST_CERTIFICATE: usize = 64 << 10;

/// The certificates that are trusted.
pub(super) struct Anchors(Vec<Certificate>);

impl Anchors {
    /// Trusts these.
    pub(super) fn new(certificates: Vec<Certificate>) -> Self {
        Self(certificates)
    }

    /// The certificates that are trusted.
    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    fn trust(&self, certificate: &Certificate) -> bool {
        self.0.iter().any(|anchor| anchor.der() == certificate.der())
    }
}

/// A path, as far as it goes.
pub(super) struct Path {
    certificates: Vec<Certificate>,
    fault: Option<PathFault>,
}

/// Why a path does not end at a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathFault {
    /// It is as it is.
    Lasting(String),
    /// Who has the next certificate could not be reached.
    Passing(String),
}

impl PathFault {
    /// The fault in words.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Lasting(text) | Self::Passing(text) => text,
        }
    }
}

impl Path {
    /// Builds the path of `leaf`. An issuer is known by its name and by the signature that its key made; the trusted ones come
    /// first. What is fetched is a candidate like any other.
    pub(super) async fn build(
        leaf: Certificate,
        known: Vec<Certificate>,
        anchors: &Anchors,
        fetcher: Option<&Fetcher>,
    ) -> Self {
        let candidates: Vec<Certificate> = anchors.0.iter().cloned().chain(known).collect();
        let mut certificates = vec![leaf];
        let mut last = 0;
        while certificates.len() < LONGEST && !anchors.trust(&certificates[last]) {
            let current = &certificates[last];
            if current.is_self_issued() && current.verify_signed_by(current.public_key()).is_ok() {
                let fault =
                    format!("the path leads to `{}`, which is a root, but not one that is trusted", current.subject());
                return Self { certificates, fault: Some(PathFault::Lasting(fault)) };
            }
            let issuer = match candidates.iter().find(|candidate| issued(candidate, current)) {
                Some(issuer) => Ok(issuer.clone()),
                None => fetch_issuer(current, fetcher).await,
            };
            match issuer {
                Ok(issuer) => certificates.push(issuer),
                Err(fault) => return Self { certificates, fault: Some(fault) },
            }
            last += 1;
        }
        let fault = (!anchors.trust(&certificates[last]))
            .then(|| PathFault::Lasting(format!("the path has more than {LONGEST} certificates")));
        Self { certificates, fault }
    }

    /// The certificates, the leaf first.
    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Why it does not end at a trusted root, if it does not.
    pub(super) fn fault(&self) -> Option<&PathFault> {
        self.fault.as_ref()
    }

    /// Whether it ends at a trusted root, each certificate being signed by the next.
    pub(super) fn is_signed_throughout(&self) -> bool {
        self.fault.is_none()
    }
}

fn issued(issuer: &Certificate, subject: &Certificate) -> bool {
    subject.issuer().matches(issuer.subject()) && subject.verify_signed_by(issuer.public_key()).is_ok()
}

/// The issuer from where the certificate says that it is (caIssuers, RFC 5280 §4.2.2.1), or why it is not to be had.
async fn fetch_issuer(subject: &Certificate, fetcher: Option<&Fetcher>) -> Result<Certificate, PathFault> {
    let missing = format!("the issuer of `{}`, `{}`, is not at hand", subject.subject(), subject.issuer());
    let urls = subject.ca_issuers_urls();
    let Some(fetcher) = fetcher.filter(|_| !urls.is_empty()) else {
        return Err(PathFault::Lasting(format!("{missing}; give it with --chain")));
    };
    let mut reasons = Vec::new();
    let mut may_pass = false;
    for url in urls {
        match fetcher.get(url, LARGEST_CERTIFICATE).await {
            Ok(octets) => match read_certificates(&octets) {
                Ok(found) => match found.into_iter().find(|candidate| issued(candidate, subject)) {
                    Some(issuer) => return Ok(issuer),
                    None => reasons.push(format!("{url} has another certificate")),
                },
                Err(error) => reasons.push(format!("{url}: {error}")),
            },
            Err(failure) => {
                may_pass |= failure.exit() == Exit::Unreachable;
                reasons.push(failure.to_string());
            }
        }
    }
    let text = format!("{missing}: {}", reasons.join("; "));
    Err(if may_pass { PathFault::Passing(text) } else { PathFault::Lasting(text) })
}
