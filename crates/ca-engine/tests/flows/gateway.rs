//! Gateways: who speaks for one, what is believed, and of what an event is told.

use ca_core::audit::AuditAction;
use ca_core::name::DnsName;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::flow::gateway::{
    ComparedGateway, ListComparison, Statement, list_gateways, remove_gateway, report_gateway,
};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::port::clock::Clock;
use ca_engine::port::store::{EnforcedList, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

fn issue(world: &World, profile: &str, dns: &str) -> StoredCertificate {
    let names = names(&[&format!("dns:{dns}")]);
    let request = IssueRequest { profile: profile.parse().expect("a profile name"), names, ..server(csr(&key())) };
    world.ask(request).expect("issued")
}

fn list(authority: &str, number: u64) -> EnforcedList {
    EnforcedList { authority: authority.parse().expect("an id"), number, sha256: [7; 32] }
}

fn report(
    world: &World,
    principal: &Principal,
    id: &str,
    lists: Vec<EnforcedList>,
) -> Result<ComparedGateway, FlowError> {
    let id = DnsName::parse(id).expect("a DNS name");
    let statement = Statement { generation: "a".to_owned(), lists };
    block_on(report_gateway(&world.engine, principal, &id, statement, Some("request")))
}

fn events(world: &World) -> Vec<(String, String)> {
    let events = world.store.events().into_iter().filter(|event| event.action == AuditAction::GatewayRegistered);
    events.map(|event| (event.subject, event.details.get("spoken_by_before").cloned().unwrap_or_default())).collect()
}

#[test]
fn a_gateway_speaks_by_any_certificate_that_names_it_and_a_new_one_is_told_of() {
    let world = World::new();
    world.publish("tls").expect("a list");
    let (first, second) = (issue(&world, "server", "gw.example.com"), issue(&world, "server", "gw.example.com"));
    let said = report(&world, &holder(&first, &[]), "gw.example.com", vec![list("tls", 1)]).expect("said").record;
    assert_eq!((said.certificate, said.stated_at), (first.id, world.clock.now()));
    world.clock.advance(SECOND);
    let again = report(&world, &holder(&first, &[]), "gw.example.com", vec![list("tls", 1)]).expect("said").record;
    assert_eq!((again.registered_at, again.stated_at), (said.registered_at, world.clock.now()));
    let subject = "gateway:gw.example.com".to_owned();
    assert_eq!(events(&world), [(subject.clone(), String::new())], "one event, however often it speaks");
    report(&world, &holder(&second, &[]), "gw.example.com", vec![list("tls", 1)]).expect("said");
    assert_eq!(events(&world)[1..], [(subject, format!("certificate:{}", first.id))]);
    let auditor = Principal::LocalOperator;
    let listed = block_on(list_gateways(&world.engine, &auditor)).expect("listed");
    assert_eq!(listed.iter().map(|gateway| gateway.record.certificate).collect::<Vec<_>>(), [second.id]);
}

#[test]
fn nobody_speaks_for_a_gateway_that_its_certificate_does_not_name() {
    let world = World::new();
    world.publish("tls").expect("a list");
    let other = issue(&world, "server", "other.example.com");
    let client = issue(&world, "client", "gw.example.com");
    let administrator = holder(&other, &[Role::Administrator]);
    for principal in [holder(&other, &[]), holder(&client, &[]), Principal::LocalOperator, Principal::Anonymous] {
        let error = report(&world, &principal, "gw.example.com", vec![list("tls", 1)]).expect_err("not its own");
        assert!(matches!(error.kind, Kind::AccessDenied | Kind::AuthenticationRequired), "{principal:?}: {error:?}");
    }
    assert!(report(&world, &administrator, "other.example.com", vec![list("tls", 1)]).is_ok());
    assert_eq!(refused(block_on(list_gateways(&world.engine, &holder(&other, &[])))), Kind::AccessDenied);
    assert_eq!(events(&world).len(), 1);
}

#[test]
fn what_cannot_be_is_not_put_on_record() {
    let world = World::new();
    world.publish("tls").expect("a list");
    let gateway = holder(&issue(&world, "server", "gw.example.com"), &[]);
    for (lists, pointer) in [
        (vec![list("nobody", 1)], "/lists/0/authority"),
        (vec![list("tls", 1), list("tls", 1)], "/lists/1/authority"),
        (vec![list("tls", 99)], "/lists/0/number"),
        (vec![list("document", 99)], "/lists/0/number"),
    ] {
        let error = report(&world, &gateway, "gw.example.com", lists).expect_err(pointer);
        assert_eq!((error.kind, error.faults[0].pointer.as_str()), (Kind::InvalidRequest, pointer));
    }
    assert_eq!(world.store.tables(|record| record.gateways.len()), 0);
}

#[test]
fn octets_that_are_not_the_list_of_their_number_are_told_apart() {
    let world = World::new();
    let certificate = issue(&world, "server", "gw.example.com");
    let gateway = holder(&certificate, &[]);
    let published = world.publish("tls").expect("a list");
    let (number, sha256) = (published.intent.number, published.der.sha256());
    let right = || EnforcedList { sha256, ..list("tls", number) };
    let said = |lists| report(&world, &gateway, "gw.example.com", lists).expect("said").comparisons;
    assert_eq!(said(vec![right()]), [ListComparison::Same]);
    assert_eq!(said(vec![list("tls", number)]), [ListComparison::Other]);
    let listed = |engine: &_| block_on(list_gateways(engine, &Principal::LocalOperator)).expect("listed");
    assert_eq!(listed(&world.engine)[0].comparisons, [ListComparison::Other]);
    // Another process reads the newest list from the record; of one before it nobody tells it.
    assert_eq!(listed(&world.restarted())[0].comparisons, [ListComparison::Other]);
    world.revoke(certificate.id, RevocationReason::Superseded).expect("revoked");
    let next = world.publish("tls").expect("a list").intent.number;
    assert!(next > number);
    assert_eq!(listed(&world.engine)[0].comparisons, [ListComparison::Other], "as long as it is remembered");
    assert_eq!(listed(&world.restarted())[0].comparisons, [ListComparison::Unknown]);
    assert_eq!(said(vec![right()]), [ListComparison::Same]);
    assert_eq!(
        said(vec![EnforcedList { sha256, ..list("tls", next) }]),
        [ListComparison::Other],
        "an older one's octets"
    );
}

#[test]
fn a_gateway_that_is_there_no_more_is_removed_by_who_may_and_comes_back_when_it_speaks() {
    let world = World::new();
    world.publish("tls").expect("a list");
    let gateway = holder(&issue(&world, "server", "gw.example.com"), &[]);
    let id = DnsName::parse("gw.example.com").expect("a DNS name");
    let remove = |principal: &Principal| block_on(remove_gateway(&world.engine, principal, &id, Some("request")));
    assert_eq!(remove(&Principal::LocalOperator).expect_err("not there").kind, Kind::NotFound);
    report(&world, &gateway, "gw.example.com", vec![list("tls", 1)]).expect("said");
    assert_eq!(remove(&gateway).expect_err("nobody's to decide").kind, Kind::AccessDenied);
    remove(&Principal::LocalOperator).expect("removed");
    assert_eq!(block_on(list_gateways(&world.engine, &Principal::LocalOperator)), Ok(vec![]));
    let removed = |event: &ca_core::audit::AuditEvent| event.action == AuditAction::GatewayRemoved;
    let told: Vec<_> = world.store.events().into_iter().filter(removed).map(|event| event.subject).collect();
    assert_eq!(told, ["gateway:gw.example.com"]);
    report(&world, &gateway, "gw.example.com", vec![list("tls", 1)]).expect("said");
    assert_eq!(events(&world).len(), 2, "as if it were new");
}
