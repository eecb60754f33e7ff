//! Puts published lists where others fetch them, when a process starts or could not do it at once.

use ca_core::crl::ListName;

use super::publish_crl::{put_in_place, put_out};
use crate::engine::Engine;
use crate::error::FlowError;

/// Puts the newest list of every kind in place that this process has not put there yet, as after a start or a failed
/// publication. Cheap when there is nothing to do, so that it can be called every second. Nothing while the record is not known to be
/// the newest: readers may have a newer list than it has.
pub async fn republish(engine: &Engine) -> Result<(), FlowError> {
    if engine.check_anchor().is_err() {
        return Ok(());
    }
    for (authority, number) in engine.store().published_numbers().await? {
        if engine.list_in_place(&ListName::complete(authority.clone())) == Some(number) {
            continue;
        }
        if let Some(list) = engine.published_list(&authority, number).await? {
            put_out(engine, &list).await?;
        }
    }
    for (authority, scope, number) in engine.store().published_partial_numbers().await? {
        let name = ListName::partial(authority, scope);
        if engine.list_in_place(&name) == Some(number) {
            continue;
        }
        if let Some(list) = engine.published_partial(&name, number).await? {
            put_in_place(engine, &name, list.intent.crl.number, &list.der).await?;
        }
    }
    Ok(())
}
