//! The list that an authority publishes by itself: where it lies, and its octets. Relying parties fetch it by plain HTTP from the URL
//! that AWS writes into certificates, and so does the service: what it cannot reach, they cannot.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_acmpca::types::{CertificateAuthority, CrlConfiguration, CrlType};
use ca_engine::port::certificate_issuer::{IssuerError, IssuerList, LONGEST_LIST};
use reqwest::header::{ETAG, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};

use crate::aws::PrivateCaArn;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a list may take on its way.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Whether an authority publishes a list.
pub(super) fn is_published(found: &CertificateAuthority) -> bool {
    configuration(found).is_some()
}

/// The URL of an authority's list; `None` where it publishes none, refused where it is in parts.
pub(super) fn place(arn: &PrivateCaArn, found: &CertificateAuthority) -> Result<Option<String>, IssuerError> {
    let Some(list) = configuration(found) else { return Ok(None) };
    if list.crl_type() == Some(&CrlType::Partitioned) {
        return Err(IssuerError::Refused {
            detail: format!(
                "{arn}: its list is in partitions, which nobody can tell to be all; set `CrlType` to COMPLETE in its revocation \
                 configuration, or switch its list off"
            ),
        });
    }
    let host = match (list.custom_cname(), list.s3_bucket_name()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(bucket)) => format!("{bucket}.s3.{}.{}", arn.region(), suffix(arn.partition())),
        (None, None) => return Ok(None),
    };
    let folder = list.custom_path().map_or("crl", |path| path.trim_matches('/'));
    Ok(Some(format!("http://{host}/{folder}/{}.crl", arn.id())))
}

fn configuration(found: &CertificateAuthority) -> Option<&CrlConfiguration> {
    found.revocation_configuration()?.crl_configuration().filter(|list| list.enabled())
}

/// The end of the names of AWS's endpoints in a partition.
fn suffix(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    }
}

/// Fetches lists.
#[derive(Clone)]
pub(super) struct ListFetcher {
    /// Or why there is none.
    client: Result<Client, String>,
}

impl ListFetcher {
    pub(super) fn new() -> Self {
        Self { client: client() }
    }

    /// What lies there, unless it is the version that was `seen`.
    pub(super) async fn fetch(&self, url: &str, seen: Option<&str>) -> Result<IssuerList, IssuerError> {
        let unavailable = |why: &dyn std::fmt::Display| IssuerError::Unavailable { detail: format!("{url}: {why}") };
        let client = self.client.as_ref().map_err(|error| unavailable(error))?;
        let mut request = client.get(url);
        if let Some(seen) = seen {
            request = request.header(IF_NONE_MATCH, seen);
        }
        let mut response = request.send().await.map_err(|error| unavailable(&error.without_url()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(IssuerList::Unchanged),
            StatusCode::NOT_FOUND => return Ok(IssuerList::NotMadeYet),
            status => {
                let remedy = "the list must be readable there for everybody, as certificates say; let the bucket or the CDN before \
                              it give it out by plain HTTP";
                return Err(unavailable(&format!("it answers {status}; {remedy}")));
            }
        }
        let version = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let mut der = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(&error.without_url()))? {
            if der.len() + chunk.len() > LONGEST_LIST {
                let detail = format!("{url}: the list is longer than {LONGEST_LIST} octets");
                return Err(IssuerError::Refused { detail });
            }
            der.extend_from_slice(&chunk);
        }
        Ok(IssuerList::Found { der, version })
    }
}

fn client() -> Result<Client, String> {
    // For http alone: no certificate is trusted, and no redirect followed, which relying parties do not follow either.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("ca-server/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use aws_sdk_acmpca::types::RevocationConfiguration;

    use super::*;

    fn arn() -> PrivateCaArn {
        PrivateCaArn::parse("arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/1234abcd").expect("an ARN")
    }

    fn with(list: Option<CrlConfiguration>) -> CertificateAuthority {
        let revocation = RevocationConfiguration::builder().set_crl_configuration(list).build();
        CertificateAuthority::builder().revocation_configuration(revocation).build()
    }

    #[test]
    fn a_list_lies_where_certificates_say() {
        let list = || CrlConfiguration::builder().enabled(true).expiration_in_days(7).s3_bucket_name("lists");
        for (list, url) in [
            (list(), "http://lists.s3.sa-east-1.amazonaws.com/crl/1234abcd.crl"),
            (list().custom_cname("pki.example"), "http://pki.example/crl/1234abcd.crl"),
            (list().custom_cname("pki.example").custom_path("/a/b"), "http://pki.example/a/b/1234abcd.crl"),
        ] {
            let found = with(Some(list.build().expect("complete")));
            assert_eq!(place(&arn(), &found).expect("whole").as_deref(), Some(url));
            assert!(is_published(&found));
        }
    }

    #[test]
    fn none_is_none_and_parts_are_refused() {
        let list = CrlConfiguration::builder().s3_bucket_name("lists");
        for found in [with(None), with(Some(list.clone().enabled(false).build().expect("complete")))] {
            assert_eq!(place(&arn(), &found).expect("none"), None);
            assert!(!is_published(&found));
        }
        let parts = list.enabled(true).crl_type(CrlType::Partitioned).build().expect("complete");
        let refused = place(&arn(), &with(Some(parts))).expect_err("in parts").to_string();
        assert!(refused.contains("COMPLETE"), "{refused}");
    }
}
