//! Keys of authorities to come that are not made in the record: found in AWS KMS or in a token, or made in a token. All of them are
//! looked for before the first authority is made, so that what is wrong with one leaves no hierarchy half there.

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::pkcs11_uri::Pkcs11Uri;
use ca_engine::port::signer::Signer;
use ca_engine::port::store::KeyHome;

use crate::config::{AuthorityConfig, KeyPlan};
use crate::hierarchy::{InitError, KeyElsewhere, Progress, ROOT};
use crate::open::Runtime;

impl Runtime {
    /// The keys of these authorities that are elsewhere. Keys that are there are asked whether they would sign; only when all of them
    /// would, those that tokens lack are made.
    pub(crate) async fn keys_elsewhere(
        &self,
        of: &[AuthorityId],
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<BTreeMap<AuthorityId, KeyElsewhere>, InitError> {
        let mut keys = BTreeMap::new();
        let mut to_make = Vec::new();
        for id in of {
            let found = match &self.authority_config(id).key {
                KeyPlan::Software(_) => continue,
                KeyPlan::External(home) => (home.clone(), self.engine.external_keys().find(home).await?),
                KeyPlan::MadeInKms(key_type) => self.key_made_in_kms(id, *key_type).await?,
                KeyPlan::Token { uri, make } => match self.find_in_token(id, uri, *make).await? {
                    Some(found) => found,
                    None => {
                        to_make.push((id, uri, *make));
                        continue;
                    }
                },
            };
            found.1.check().await?;
            keys.insert(id.clone(), found);
        }
        for (id, uri, make) in to_make {
            keys.insert(id.clone(), self.find_or_make_in_token(id, uri, make, progress).await?);
        }
        Ok(keys)
    }

    /// The key of a URI as it is in its token, or made there. One that an interrupted set-up made is found and used.
    pub(crate) async fn find_or_make_in_token(
        &self,
        id: &AuthorityId,
        uri: &Pkcs11Uri,
        make: Option<KeyType>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<KeyElsewhere, InitError> {
        if let Some(found) = self.find_in_token(id, uri, make).await? {
            return Ok(found);
        }
        let home = home_of(uri);
        let signer = match make {
            Some(key_type) => {
                progress(Progress::MakingKey { authority: id.clone(), key_type });
                let made = self.external_keys.tokens().make(uri, key_type).await;
                made.map_err(|source| InitError::NotMadeInToken { authority: id.clone(), home: home.clone(), source })?
            }
            // It says what is missing.
            None => self.engine.external_keys().find(&home).await?,
        };
        of_type(id, home, signer, make)
    }

    async fn find_in_token(
        &self,
        id: &AuthorityId,
        uri: &Pkcs11Uri,
        make: Option<KeyType>,
    ) -> Result<Option<KeyElsewhere>, InitError> {
        let found = self.external_keys.tokens().find_if_there(uri).await?;
        found.map(|signer| of_type(id, home_of(uri), signer, make)).transpose()
    }

    /// How an authority is made, the root among them; a later generation as its line.
    pub(crate) fn authority_config(&self, id: &AuthorityId) -> &AuthorityConfig {
        if id.as_str() == ROOT { &self.config.authorities.root } else { self.subordinate_config(id) }
    }
}

/// What a URI says of the way to a token is true on one host; the record is read on all.
fn home_of(uri: &Pkcs11Uri) -> KeyHome {
    KeyHome::Pkcs11(uri.identity().to_string())
}

/// A key that was found, if it is of the kind that was asked for.
pub(crate) fn of_type(
    id: &AuthorityId,
    home: KeyHome,
    signer: Arc<dyn Signer>,
    wanted: Option<KeyType>,
) -> Result<KeyElsewhere, InitError> {
    let found = signer.public_key().key_type();
    match wanted.filter(|wanted| *wanted != found) {
        Some(key_type) => Err(InitError::OtherKeyType { authority: id.clone(), home, found, key_type }),
        None => Ok((home, signer)),
    }
}
