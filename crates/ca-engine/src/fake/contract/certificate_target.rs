//! The contract of [`crate::port::certificate_target`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_core::id::RotationId;
use ca_core::pem;
use futures::future::{BoxFuture, join_all};
use zeroize::Zeroizing;

use super::case::{cases, run_cases};
use crate::port::certificate_target::{
    CertificateTarget, HeldCertificate, PrivateKeyOctets, StagedKey, TargetError, TargetPlace,
};

/// A target under test.
#[derive(Clone)]
pub struct TargetUnderTest {
    /// The target, with nothing in it.
    pub target: Arc<dyn CertificateTarget>,
    /// Another handle on the same target, as another process has. The closure may own what must outlive the case.
    pub another: Arc<dyn Fn() -> BoxFuture<'static, Arc<dyn CertificateTarget>> + Send + Sync>,
}

impl fmt::Debug for TargetUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetUnderTest").finish_non_exhaustive()
    }
}

/// Checks that a target keeps its contract. It is given real keys, requests and certificates.
///
/// Panics with the names of the broken rules.
pub async fn check_certificate_target<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = TargetUnderTest>,
{
    let cases = cases![
        an_empty_target_has_nothing_in_any_place,
        a_staged_key_is_found_again_through_another_handle,
        staging_again_keeps_the_key_that_is_there,
        a_later_rotation_takes_the_pending_place,
        a_certificate_is_delivered_only_to_its_pending_key,
        what_is_pending_is_read_back_and_not_current,
        promoting_makes_it_current_and_keeps_what_was_before,
        the_key_that_is_current_is_read_back,
        what_is_no_pair_or_not_whole_is_not_promoted,
        every_step_may_be_repeated,
        of_rivals_that_promote_none_breaks_what_is_there,
    ];
    run_cases("certificate target", cases, make).await;
}

/// A rotation with real material: a key, its request, its certificate and the issuer's.
pub struct Material {
    /// Its rotation and request.
    pub staged: StagedKey,
    /// Its key.
    pub key: PrivateKeyOctets,
    /// The DER of its certificate.
    pub certificate: Vec<u8>,
    /// The DER of the issuer's.
    pub chain: Vec<Vec<u8>>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("rotation", &self.staged.rotation).finish_non_exhaustive()
    }
}

impl Material {
    /// The first of two; `number` names its rotation.
    pub fn one(number: u8) -> Self {
        Self::of(
            number,
            include_str!("testdata/target/one.key"),
            include_str!("testdata/target/one.csr"),
            include_str!("testdata/target/one.crt"),
        )
    }

    /// The second.
    pub fn two(number: u8) -> Self {
        Self::of(
            number,
            include_str!("testdata/target/two.key"),
            include_str!("testdata/target/two.csr"),
            include_str!("testdata/target/two.crt"),
        )
    }

    fn of(number: u8, key: &str, request: &str, certificate: &str) -> Self {
        let der = |label, text: &str| pem::decode_all(label, text).expect("PEM").pop().expect("a block");
        Self {
            staged: StagedKey {
                rotation: RotationId::from_bytes([number; 16]),
                request: der("CERTIFICATE REQUEST", request),
            },
            key: PrivateKeyOctets::new(Zeroizing::new(der("PRIVATE KEY", key))),
            certificate: der("CERTIFICATE", certificate),
            chain: vec![der("CERTIFICATE", include_str!("testdata/target/ca.crt"))],
        }
    }

    /// What a target that has it says.
    pub fn held(&self) -> HeldCertificate {
        let certificate = Certificate::from_der(&self.certificate).expect("a certificate");
        HeldCertificate {
            rotation: self.staged.rotation,
            certificate: self.certificate.clone(),
            chain: self.chain.clone(),
            key_spki_sha256: certificate.public_key().spki_sha256(),
        }
    }

    /// All steps of a rotation.
    pub async fn rotate(&self, target: &dyn CertificateTarget) -> Result<(), TargetError> {
        target.stage(&self.staged, &self.key).await?;
        target.deliver(self.staged.rotation, &self.certificate, &self.chain).await?;
        target.promote(self.staged.rotation).await
    }
}

async fn places(target: &dyn CertificateTarget) -> [Option<HeldCertificate>; 3] {
    let mut found = Vec::new();
    for place in [TargetPlace::Pending, TargetPlace::Current, TargetPlace::Previous] {
        found.push(target.look(place).await.expect("looks"));
    }
    found.try_into().expect("three places")
}

fn refused(done: &Result<(), TargetError>) -> bool {
    matches!(done, Err(TargetError::Refused { .. }))
}

async fn an_empty_target_has_nothing_in_any_place(under_test: TargetUnderTest) {
    assert_eq!(under_test.target.staged().await, Ok(None));
    assert_eq!(places(&*under_test.target).await, [None, None, None]);
}

async fn a_staged_key_is_found_again_through_another_handle(under_test: TargetUnderTest) {
    let material = Material::one(1);
    under_test.target.stage(&material.staged, &material.key).await.expect("staged");
    let another = (under_test.another)().await;
    assert_eq!(another.staged().await, Ok(Some(material.staged.clone())));
    assert_eq!(places(&*another).await, [None, None, None], "a key alone is no certificate");
}

async fn staging_again_keeps_the_key_that_is_there(under_test: TargetUnderTest) {
    let (first, second) = (Material::one(1), Material::two(1));
    under_test.target.stage(&first.staged, &first.key).await.expect("staged");
    under_test.target.stage(&second.staged, &second.key).await.expect("harmless");
    assert_eq!(under_test.target.staged().await, Ok(Some(first.staged.clone())), "a certificate may be on its way");
}

async fn a_later_rotation_takes_the_pending_place(under_test: TargetUnderTest) {
    let (first, second) = (Material::one(1), Material::two(2));
    under_test.target.stage(&first.staged, &first.key).await.expect("staged");
    under_test.target.deliver(first.staged.rotation, &first.certificate, &first.chain).await.expect("delivered");
    under_test.target.stage(&second.staged, &second.key).await.expect("staged");
    assert_eq!(under_test.target.staged().await, Ok(Some(second.staged.clone())));
    assert_eq!(places(&*under_test.target).await, [None, None, None]);
    assert!(refused(&under_test.target.promote(first.staged.rotation).await));
}

async fn a_certificate_is_delivered_only_to_its_pending_key(under_test: TargetUnderTest) {
    let material = Material::one(1);
    let deliver = |rotation| under_test.target.deliver(rotation, &material.certificate, &material.chain);
    assert!(refused(&deliver(material.staged.rotation).await), "nothing is pending");
    under_test.target.stage(&material.staged, &material.key).await.expect("staged");
    assert!(refused(&deliver(RotationId::from_bytes([2; 16])).await), "another is pending");
    assert_eq!(deliver(material.staged.rotation).await, Ok(()));
}

async fn what_is_pending_is_read_back_and_not_current(under_test: TargetUnderTest) {
    let material = Material::one(1);
    under_test.target.stage(&material.staged, &material.key).await.expect("staged");
    under_test.target.deliver(material.staged.rotation, &material.certificate, &material.chain).await.expect("put");
    let another = (under_test.another)().await;
    assert_eq!(places(&*another).await, [Some(material.held()), None, None]);
    assert_eq!(another.staged().await, Ok(Some(material.staged.clone())), "until it is promoted");
}

async fn the_key_that_is_current_is_read_back(under_test: TargetUnderTest) {
    let (one, two) = (Material::one(1), Material::two(2));
    let current = async || {
        let key = (under_test.another)().await.current_key().await.expect("a look");
        key.map(|key| key.as_pkcs8().to_vec())
    };
    assert_eq!(current().await, None);
    one.rotate(&*under_test.target).await.expect("rotated");
    under_test.target.stage(&two.staged, &two.key).await.expect("staged");
    assert_eq!(current().await.as_deref(), Some(one.key.as_pkcs8()), "not the one that waits");
}

async fn promoting_makes_it_current_and_keeps_what_was_before(under_test: TargetUnderTest) {
    let (first, second) = (Material::one(1), Material::two(2));
    first.rotate(&*under_test.target).await.expect("rotates");
    assert_eq!(places(&*under_test.target).await, [None, Some(first.held()), None]);
    assert_eq!(under_test.target.staged().await, Ok(None));
    second.rotate(&*(under_test.another)().await).await.expect("rotates");
    assert_eq!(places(&*under_test.target).await, [None, Some(second.held()), Some(first.held())]);
    let third = Material::one(3);
    third.rotate(&*under_test.target).await.expect("rotates");
    assert_eq!(places(&*under_test.target).await, [None, Some(third.held()), Some(second.held())]);
}

async fn what_is_no_pair_or_not_whole_is_not_promoted(under_test: TargetUnderTest) {
    let (first, second) = (Material::one(1), Material::two(2));
    first.rotate(&*under_test.target).await.expect("rotates");
    under_test.target.stage(&second.staged, &second.key).await.expect("staged");
    assert!(refused(&under_test.target.promote(second.staged.rotation).await), "without a certificate");
    under_test.target.deliver(second.staged.rotation, &first.certificate, &first.chain).await.expect("put");
    assert!(refused(&under_test.target.promote(second.staged.rotation).await), "the certificate of another key");
    assert!(refused(&under_test.target.promote(RotationId::from_bytes([9; 16])).await), "nobody's");
    let [_, current, previous] = places(&*under_test.target).await;
    assert_eq!((current, previous), (Some(first.held()), None), "nothing changed");
    under_test.target.deliver(second.staged.rotation, &second.certificate, &second.chain).await.expect("put right");
    under_test.target.promote(second.staged.rotation).await.expect("a pair");
}

async fn every_step_may_be_repeated(under_test: TargetUnderTest) {
    let material = Material::one(1);
    for _ in 0..2 {
        under_test.target.stage(&material.staged, &material.key).await.expect("staged");
    }
    for _ in 0..2 {
        let rotation = material.staged.rotation;
        under_test.target.deliver(rotation, &material.certificate, &material.chain).await.expect("delivered");
    }
    for _ in 0..3 {
        under_test.target.promote(material.staged.rotation).await.expect("promoted");
    }
    assert_eq!(places(&*under_test.target).await, [None, Some(material.held()), None]);
}

async fn of_rivals_that_promote_none_breaks_what_is_there(under_test: TargetUnderTest) {
    let material = Material::one(1);
    under_test.target.stage(&material.staged, &material.key).await.expect("staged");
    under_test.target.deliver(material.staged.rotation, &material.certificate, &material.chain).await.expect("put");
    let mut rivals = Vec::new();
    for _ in 0..4 {
        rivals.push((under_test.another)().await);
    }
    let promoted = join_all(rivals.iter().map(|rival| rival.promote(material.staged.rotation))).await;
    assert!(promoted.iter().all(Result::is_ok), "{promoted:?}");
    assert_eq!(places(&*under_test.target).await, [None, Some(material.held()), None]);
}
