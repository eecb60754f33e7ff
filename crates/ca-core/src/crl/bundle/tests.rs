//! Bundles of lists that openssl made (see `testdata/README.md`), of one authority that signed itself.

use super::*;

fn issuer() -> Certificate {
    Certificate::from_pem(include_str!("../testdata/issuer.pem")).expect("a certificate")
}

fn scope() -> BundleScope {
    BundleScope::new(vec![issuer()]).expect("a root")
}

fn plain() -> ParsedCrl {
    only(include_str!("../testdata/plain.pem"))
}

fn only(text: &str) -> ParsedCrl {
    ParsedCrl::all_from_pem(text).expect("a list").remove(0)
}

fn assemble(lists: &[ParsedCrl], before: Option<ListMark>, now: Timestamp) -> Result<CrlBundle, ListFault> {
    let before = before.into_iter().map(|list| (authority_mark(&issuer()), list)).collect();
    CrlBundle::assemble(&scope(), lists, &before, now).map_err(|mut faults| {
        assert_eq!((faults.len(), &faults[0].authority), (1, issuer().subject()));
        faults.remove(0).wrong
    })
}

fn during(list: &ParsedCrl) -> Timestamp {
    list.this_update().plus(Lifetime::from_seconds(1))
}

#[test]
fn a_bundle_has_the_complete_list_and_never_the_delta() {
    let (plain, delta) = (plain(), only(include_str!("../testdata/delta.pem")));
    let bundle = assemble(&[delta.clone(), plain.clone()], None, during(&plain)).expect("whole");
    assert_eq!(bundle.lists().len(), 1);
    assert_eq!(bundle.lists()[0].list, plain);
    assert_eq!(ParsedCrl::all_from_pem(&bundle.to_pem()), Ok(vec![plain.clone()]));
    assert_eq!((bundle.lists()[0].number, bundle.next_update()), (17, plain.next_update()));
    assert_eq!(assemble(&[delta], None, during(&plain)), Err(ListFault::OnlyDelta));
}

#[test]
fn an_authority_without_a_list_leaves_no_bundle() {
    let now = during(&plain());
    assert_eq!(assemble(&[], None, now), Err(ListFault::Missing));
    let part = only(include_str!("../testdata/sharded.pem"));
    assert_eq!(assemble(&[part], None, now), Err(ListFault::OnlyPart));
    let for_authorities = only(include_str!("../testdata/for_authorities.pem"));
    assert_eq!(assemble(&[for_authorities], None, now), Err(ListFault::OnlyPart));
}

#[test]
fn a_changed_octet_is_found() {
    let mut der = plain().as_der().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let changed = ParsedCrl::from_der(der).expect("well-formed");
    assert!(matches!(assemble(std::slice::from_ref(&changed), None, during(&plain())), Err(ListFault::NotProved(_))));
    // A good one beside it counts all the same.
    assert!(assemble(&[changed, plain()], None, during(&plain())).is_ok());
}

#[test]
fn a_list_counts_in_its_time_alone() {
    let list = plain();
    let begins = list.this_update();
    let ends = list.next_update().expect("it ends");
    let second = Lifetime::from_seconds(1);
    assert!(assemble(std::slice::from_ref(&list), None, begins).is_ok());
    assert!(assemble(std::slice::from_ref(&list), None, ends).is_ok());
    let at = |now| assemble(std::slice::from_ref(&list), None, now);
    assert_eq!(at(begins.minus(second)), Err(ListFault::NotYet { this_update: begins }));
    assert_eq!(at(begins.minus(CLOCK_SKEW).minus(second)), Err(ListFault::OfTheFuture { this_update: begins }));
    assert_eq!(at(ends.plus(second)), Err(ListFault::Expired { next_update: ends }));
    assert!(CrlBundle::reassemble(&scope(), &[list]).is_ok(), "the time is not judged again");
}

#[test]
fn no_step_leads_back() {
    let list = plain();
    let sha256 = sha256(list.as_der());
    let after = |number, sha256| {
        assemble(std::slice::from_ref(&list), Some(ListMark { number, sha256 }), during(&list)).map(drop)
    };
    assert_eq!(after(16, [0; 32]), Ok(()));
    assert_eq!(after(17, sha256), Ok(()));
    assert_eq!(after(17, [0; 32]), Err(ListFault::AnotherUnderTheNumber { number: 17 }));
    assert_eq!(after(18, [0; 32]), Err(ListFault::StepBack { number: 17, before: 18 }));
    let unnumbered = only(include_str!("../testdata/big_number.pem"));
    assert_eq!(assemble(&[unnumbered], None, during(&list)), Err(ListFault::WithoutNumber));
}

#[test]
fn a_scope_leads_to_a_root_and_has_authorities_only() {
    assert_eq!(BundleScope::new(Vec::new()).expect_err("empty"), ScopeError::Empty);
    let leaf = Certificate::from_pem(include_str!("../../certificate/testdata/leaf.pem")).expect("a certificate");
    assert!(matches!(BundleScope::new(vec![issuer(), leaf]), Err(ScopeError::NoAuthority { .. })));
    assert_eq!(BundleScope::new(vec![issuer(), issuer()]).expect("twice the same").authorities().len(), 1);
}
