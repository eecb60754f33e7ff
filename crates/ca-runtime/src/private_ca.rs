//! Authorities that AWS Private CA holds, taken on record by `init`: each with those above it, up to a root, whose keys are AWS's too
//! or with others.
//!
//! What AWS says of an authority is judged as a certificate that others signed ([`crate::external_root`]), only that its root needs no
//! confirmation: the operator has named the authority by its ARN, and AWS proves itself by TLS. Harmless to repeat.

use ca_backends::aws::PrivateCaArn;
use ca_core::chain;
use ca_core::chain::subordinate::{AskedAuthority, judge_subordinate};
use ca_core::id::AuthorityId;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::error::FlowError;
use ca_engine::flow::adopt::{Adoption, adopt_authorities};
use ca_engine::port::store::KeyHome;

use crate::config::KeyPlan;
use crate::hierarchy::{Progress, ROOT};
use crate::open::Runtime;
use crate::private_ca_fault::PrivateCaError;

impl Runtime {
    /// Where AWS Private CA holds an authority, if it does.
    pub(crate) fn private_ca_of(&self, id: &AuthorityId) -> Option<&PrivateCaArn> {
        match &self.subordinate_config(id).key {
            KeyPlan::PrivateCa(arn) => Some(arn),
            _ => None,
        }
    }

    /// Takes an authority on record with those above it. `with_root` says whether a root above it may have the id of the root of this
    /// service, which makes none of its own.
    pub(crate) async fn adopt_private_ca(
        &self,
        id: &AuthorityId,
        arn: &PrivateCaArn,
        purposes: &[ExtendedKeyUsage],
        with_root: bool,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), PrivateCaError> {
        let found = self.external_keys.private_cas().find(arn).await?;
        let candidates = std::iter::once(found.certificate.clone()).chain(found.above).collect();
        let chain = chain::order(candidates).chain;
        let constraints = AuthorityConstraints {
            extended_key_usage: purposes.to_vec(),
            name_constraints: self.subordinate_config(id).name_constraints.clone(),
        };
        let certificate = found.certificate;
        let asked = AskedAuthority {
            public_key: certificate.public_key(),
            subject: certificate.subject(),
            constraints: &constraints,
        };
        let findings = judge_subordinate(&chain, &asked, self.engine.now()).findings;
        if !findings.is_empty() {
            return Err(PrivateCaError::Chain { arn: arn.to_string(), findings });
        }
        let mut adoptions: Vec<Adoption> = Vec::new();
        let mut parent = None;
        for (index, above) in chain.iter().enumerate().skip(1).rev() {
            let hierarchy = self.engine.hierarchy();
            let known = hierarchy.authorities().iter().find(|known| known.certificate().der() == above.der());
            if let Some(known) = known {
                parent = Some(known.id().clone());
                continue;
            }
            let above_id = self.id_above(id, index, chain.len(), with_root)?;
            let key_home = KeyHome::File;
            adoptions.push(Adoption { id: above_id.clone(), certificate: above.clone(), parent, key_home });
            parent = Some(above_id);
        }
        let key_home = KeyHome::AcmPca(arn.to_string());
        adoptions.push(Adoption { id: id.clone(), certificate, parent, key_home });
        let adopted = adopt_authorities(&self.engine, &Principal::LocalOperator, &adoptions).await;
        adopted.map_err(|error| first_certificate(arn, error))?;
        progress(Progress::Established { authority: id.clone() });
        if !found.publishes_list {
            progress(Progress::PublishesNoList { authority: id.clone() });
        }
        Ok(())
    }

    /// The id of an authority above: the root's, else one that says below whom it stands.
    fn id_above(
        &self,
        id: &AuthorityId,
        index: usize,
        length: usize,
        with_root: bool,
    ) -> Result<AuthorityId, PrivateCaError> {
        let root: AuthorityId = ROOT.parse()?;
        let is_root = index + 1 == length;
        if is_root && with_root && self.engine.hierarchy().authority(&root).is_none() {
            return Ok(root);
        }
        Ok(match (is_root, index) {
            (true, _) => format!("{id}-root").parse()?,
            (false, 1) => format!("{id}-issuer").parse()?,
            (false, _) => format!("{id}-issuer-{index}").parse()?,
        })
    }
}

/// Says what helps when the first certificate of an authority is not what was asked for: so it will be with all.
pub(crate) fn first_certificate(arn: &PrivateCaArn, error: FlowError) -> PrivateCaError {
    let detail = error.detail.as_deref().unwrap_or_default();
    match detail.contains("its OCSP URL is not") || detail.contains("its issuer URL is not") {
        true => PrivateCaError::NoStatus { arn: arn.to_string() },
        false => PrivateCaError::Flow(error),
    }
}
