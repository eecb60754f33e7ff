//! What the routes show and read, on top of [`ca_wire`]: with what only the running service knows, and with every fault of a
//! request noted in its place. No decisions.

use ca_api::authority::Authority as WireAuthority;
use ca_api::certificate::{Certificate, SubjectAlternativeName};
use ca_api::revoke::RevokedCertificate;
use ca_core::name::GeneralName;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::error::FlowError;
use ca_engine::flow::follow_issuer_list::{issuer_list_lag, list_source};
use ca_engine::flow::list_urls::list_urls;
use ca_engine::flow::revoke::Revoked;
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::{KeyHome, StoredCertificate};
use ca_wire::authority::ListInPlace;
use ca_wire::name::read_name;

use super::extract::Wrong;
use crate::state::AppState;

/// A certificate on record, as it stands now.
pub(crate) fn certificate(state: &AppState, stored: &StoredCertificate) -> Certificate {
    ca_wire::certificate::certificate(&state.engine().hierarchy(), stored, state.engine().now())
}

/// What came of a revocation.
pub(crate) fn revoked(state: &AppState, revoked: &Revoked) -> RevokedCertificate {
    ca_wire::revocation::revoked(certificate(state, &revoked.certificate), &revoked.reach)
}

/// The issuer first, the root left out. A root has no chain.
pub(crate) fn chain_pem(state: &AppState, stored: &StoredCertificate) -> String {
    ca_wire::certificate::chain_pem(&state.engine().hierarchy(), stored)
}

/// An authority, with the lists that are in place here.
pub(crate) async fn authority(state: &AppState, authority: &Authority) -> Result<WireAuthority, FlowError> {
    let (files, id) = (state.crl_files(), authority.id());
    let partial = files.partial().filter(|(whose, _, _)| *whose == id).map(|(_, part, file)| (Some(part), file));
    let lists: Vec<_> = files
        .get(id)
        .map(|file| (None, file))
        .into_iter()
        .chain(partial)
        .map(|(part, file)| ListInPlace { part, intent: &file.intent, octets: file.der.count() })
        .collect();
    let lists = ca_wire::authority::revocation_lists(&lists, &list_urls(state.engine(), id).await?);
    let mut visible_within = visible_within(state, &authority.record().key_home);
    let mut issuer = None;
    if authority.issues_elsewhere() {
        let engine = state.engine();
        let source = list_source(engine.store(), id).await?;
        let lag = issuer_list_lag(engine, id).await?;
        issuer = Some(ca_wire::authority::issuer_elsewhere(source, lag, visible_within));
        visible_within = ca_wire::authority::visible_by_issuer_within(source, visible_within);
    }
    let (now, key_is_here) = (state.engine().now(), authority.hand().is_ok());
    Ok(ca_wire::authority::authority(authority, now, lists, key_is_here, visible_within, issuer))
}

/// The worst case until a revocation is seen: a kept OCSP answer, or, for an offline authority, its CRL's life.
fn visible_within(state: &AppState, key_home: &KeyHome) -> Lifetime {
    match key_home.is_offline() {
        true => state.engine().settings().offline_crl_validity,
        false => Lifetime::from_seconds(state.max_age().seconds() + 1),
    }
}

/// Reads the names of a request; every one that cannot be read is noted with its place.
pub(crate) fn read_names(names: &[SubjectAlternativeName], wrong: &mut Wrong) -> Vec<GeneralName> {
    let read = names.iter().enumerate().filter_map(|(index, name)| {
        let pointer = format!("/subject_alternative_names/{index}");
        wrong.check("name-invalid", &pointer, read_name(name))
    });
    read.collect()
}

/// Reads a length of time.
pub(crate) fn read_lifetime(pointer: &str, text: Option<&String>, wrong: &mut Wrong) -> Option<Lifetime> {
    text.and_then(|text| wrong.check("lifetime-invalid", pointer, text.parse()))
}

/// Reads a time.
pub(crate) fn read_time(pointer: &str, text: Option<&String>, wrong: &mut Wrong) -> Option<Timestamp> {
    text.and_then(|text| wrong.check("time-invalid", pointer, Timestamp::parse_rfc3339(text)))
}
