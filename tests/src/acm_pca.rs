//! A service whose authority `tls` lies in a double of AWS Private CA, below a root that is there too; `document` is the service's own.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use ca_test_doubles::{AcmPcaDouble, AuthorityPlan, IssuedHere};

use crate::stack::Site;

/// The double, and the ARN of the authority in it.
pub struct AcmPcaAuthority {
    /// The double.
    pub double: AcmPcaDouble,
    /// The authority.
    pub arn: String,
}

impl AcmPcaAuthority {
    /// A root and an authority below it that publishes a list.
    pub fn start() -> anyhow::Result<Self> {
        let double = AcmPcaDouble::start(now()?)?;
        let host = double.endpoint_url().replace("http://", "");
        let arn = double.with(|state| -> anyhow::Result<String> {
            let root = state.add_authority(&AuthorityPlan::root("Root of AWS"))?;
            let arn = state.add_authority(&AuthorityPlan::below(&root, "TLS CA of AWS"))?;
            state.publish_list(&arn, &host);
            Ok(arn)
        })?;
        Ok(Self { double, arn })
    }

    /// The settings of a service over it; credentials as an ECS task or a shell hands them to the SDK.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CA__AUTHORITY__TLS__KEY", format!("acm-pca:{}", self.arn)),
            ("CA__AWS__ENDPOINT_URL", self.double.endpoint_url()),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// An empty data folder of such a service.
    pub fn empty(&self, changes: &[(&str, &str)]) -> anyhow::Result<Site> {
        let settings = self.settings();
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).chain(changes.iter().copied()).collect();
        Site::empty(&settings)
    }

    /// A data folder in which `init` has taken the authority on record.
    pub fn initialised(&self, changes: &[(&str, &str)]) -> anyhow::Result<Site> {
        let site = self.empty(changes)?;
        let (succeeded, said) = site.run(&["init"])?;
        anyhow::ensure!(succeeded, "`ca-server init` failed:\n{said}");
        Ok(site)
    }

    /// Has the root above it publish a list, and gives that.
    pub fn list_of_root(&self) -> anyhow::Result<Vec<u8>> {
        let host = self.double.endpoint_url().replace("http://", "");
        self.double.with(|state| {
            let root = state.parent_of(&self.arn).context("a root")?;
            state.publish_list(&root, &host);
            state.list(&root)?.context("a list")
        })
    }

    /// Every certificate that the authority has issued, oldest first.
    pub fn issued(&self) -> Vec<IssuedHere> {
        self.double.with(|state| state.issued(&self.arn))
    }

    /// Lets time pass for the double.
    pub fn advance(&self, seconds: i64) {
        self.double.with(|state| state.advance(seconds));
    }
}

#[expect(clippy::disallowed_methods, reason = "the double goes by the wall clock, as AWS does")]
fn now() -> anyhow::Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
    Ok(i64::try_from(now.as_secs())?)
}
