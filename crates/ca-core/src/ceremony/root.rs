//! What a script says of the root: its name, its life, and where its key is: in a file, in a token behind PKCS #11 or in AWS KMS.

use serde::Deserialize;

use super::fault::Faults;
use crate::key::{KeyType, SignatureAlgorithm};
use crate::name::DistinguishedName;
use crate::pkcs11_uri::Pkcs11Uri;
use crate::time::Lifetime;

/// What kind of ceremony it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A new root.
    Establish,
    /// A root of an earlier ceremony signs again: further authorities, lists and responders; an emergency list.
    Continue,
}

/// What a script says of the root.
#[derive(Clone, Debug, PartialEq)]
pub struct RootScript {
    /// Its subject; of a root that is there, what its certificate says.
    pub subject: Option<DistinguishedName>,
    /// How long it lives, when it is made.
    pub validity: Lifetime,
    /// Where its key is.
    pub key: RootKey,
    /// By what it signs, when it is made; `None`: by what keys of its type sign with. One that is there signs by what its own
    /// certificate is signed by.
    pub signature: Option<SignatureAlgorithm>,
    /// The output folder of the ceremony before this one.
    pub previous: Option<String>,
}

/// Where the root's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootKey {
    /// A file of encrypted PKCS#8.
    File {
        /// The kind of key, when it is made.
        key_type: KeyType,
        /// The file. Written when the key is made, and must not be there then.
        key_file: String,
        /// File whose first line is the key's passphrase.
        passphrase_file: String,
    },
    /// A token behind PKCS #11.
    Token {
        /// Which key, and the way to it.
        uri: Pkcs11Uri,
        /// What kind is made there for a new root; `None`: the key that is there is taken.
        make: Option<KeyType>,
    },
    /// AWS KMS, where the key is already.
    Kms {
        /// The key's ARN, as it was written.
        arn: String,
        /// The endpoint that is asked instead of AWS's own, as it was written.
        endpoint_url: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootTable {
    subject: Option<String>,
    key: Option<String>,
    key_type: Option<String>,
    signature: Option<String>,
    validity: Option<String>,
    key_file: Option<String>,
    passphrase_file: Option<String>,
    endpoint_url: Option<String>,
    previous: Option<String>,
}

pub(super) fn read_root(table: RootTable, kind: Kind, faults: &mut Faults) -> RootScript {
    for (key, is_given) in [("subject", table.subject.is_some()), ("validity", table.validity.is_some())] {
        match kind {
            Kind::Establish if !is_given => faults.add(format!("root.{key}"), "missing: a new root needs it"),
            Kind::Continue if is_given => {
                faults.add(format!("root.{key}"), "the root is there already and has its own");
            }
            _ => {}
        }
    }
    let key = read_key(&table, kind, faults);
    let signature = read_signature(table.signature.as_deref(), kind, &key, faults);
    match (kind, &table.previous) {
        (Kind::Continue, None) => {
            faults.add("root.previous", "missing: name the output folder of the ceremony before this one");
        }
        (Kind::Establish, Some(_)) => faults.add("root.previous", "a new root has no ceremony before it"),
        _ => {}
    }
    let subject = table
        .subject
        .map(|text| faults.take("root.subject", DistinguishedName::from_rfc4514(&text), DistinguishedName::empty()));
    let validity = table.validity.as_deref().unwrap_or("1d").parse();
    RootScript {
        subject,
        validity: faults.take("root.validity", validity, Lifetime::ZERO),
        key,
        signature,
        previous: table.previous,
    }
}

/// The name of an algorithm, which must go with the key where its type is known before it is there.
fn read_signature(name: Option<&str>, kind: Kind, key: &RootKey, faults: &mut Faults) -> Option<SignatureAlgorithm> {
    let name = name?;
    if kind == Kind::Continue {
        faults.add("root.signature", "the root is there already and has its own");
        return None;
    }
    let algorithm = match SignatureAlgorithm::of_rsa(name) {
        Ok(algorithm) => algorithm,
        Err(error) => {
            faults.add("root.signature", error);
            return None;
        }
    };
    let key_type = match key {
        RootKey::File { key_type, .. } | RootKey::Token { make: Some(key_type), .. } => Some(*key_type),
        RootKey::Token { make: None, .. } | RootKey::Kms { .. } => None,
    };
    if let Some(key_type) = key_type.filter(|key_type| !algorithm.fits(*key_type)) {
        faults.add("root.signature", format!("{algorithm} is for RSA keys, and the key is {key_type}; leave it out"));
    }
    Some(algorithm)
}

fn read_key(table: &RootTable, kind: Kind, faults: &mut Faults) -> RootKey {
    let text = table.key.as_deref();
    if kind == Kind::Continue && table.key_type.is_some() {
        faults.add("root.key_type", "the root is there already and has its key");
    }
    let key = match text.and_then(|text| text.split_once(':')) {
        Some(("pkcs11", _)) => in_token(text.unwrap_or_default(), table, faults),
        Some(("kms", arn)) => in_kms(arn, table, faults),
        _ => return in_file(text, table, kind, faults),
    };
    let of_file = [("key_file", &table.key_file), ("passphrase_file", &table.passphrase_file)];
    for (name, _) in of_file.into_iter().filter(|(_, given)| given.is_some()) {
        faults.add(format!("root.{name}"), "`root.key` says that the key is in no file; leave it out");
    }
    key
}

fn in_file(text: Option<&str>, table: &RootTable, kind: Kind, faults: &mut Faults) -> RootKey {
    let key_type = match (kind, text.map(|text| text.strip_prefix("software:").ok_or(text))) {
        (Kind::Establish, Some(Ok(key_type))) => faults.take("root.key", key_type.parse(), KeyType::P384),
        (Kind::Establish, None) => {
            faults.add("root.key", "missing: a new root needs it");
            KeyType::P384
        }
        (Kind::Continue, Some(Ok(_))) => {
            faults.add("root.key", "the root is there already and has its key, in `root.key_file`; leave it out");
            KeyType::P384
        }
        (Kind::Continue, None) => KeyType::P384,
        (_, Some(Err(_))) => {
            faults.add(
                "root.key",
                "say `software:TYPE`, as `software:rsa4096` or `software:p384`, or where the key is: `pkcs11:…` or `kms:ARN`",
            );
            KeyType::P384
        }
    };
    if table.key_type.is_some() && kind == Kind::Establish {
        faults.add("root.key_type", "it says what is made in a token; here `root.key` says it");
    }
    if table.endpoint_url.is_some() {
        faults.add("root.endpoint_url", "it says where AWS KMS is asked, and the key is not there");
    }
    let mut needed = |name: &str, given: &Option<String>| {
        if given.is_none() {
            faults.add(format!("root.{name}"), "missing: a key of `software:…` is in an encrypted file");
        }
        given.clone().unwrap_or_default()
    };
    RootKey::File {
        key_type,
        key_file: needed("key_file", &table.key_file),
        passphrase_file: needed("passphrase_file", &table.passphrase_file),
    }
}

fn in_token(text: &str, table: &RootTable, faults: &mut Faults) -> RootKey {
    if table.endpoint_url.is_some() {
        faults.add("root.endpoint_url", "it says where AWS KMS is asked, and the key is not there");
    }
    let make = table.key_type.as_deref().map(|kind| faults.take("root.key_type", kind.parse(), KeyType::P384));
    match text.parse::<Pkcs11Uri>() {
        Ok(uri) => {
            let reach = uri.reach();
            let has_module = reach.module_path.is_some() || reach.module_name.is_some();
            if !has_module || reach.pin_file.is_none() {
                faults.add(
                    "root.key",
                    "the way to the token is missing; say which module speaks for it and where its PIN is, as in \
                     `pkcs11:token=root;object=root-ca?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/media/pin`",
                );
            }
            RootKey::Token { uri, make }
        }
        Err(error) => {
            // No value of a URI is quoted: one may be a PIN.
            faults.add("root.key", error);
            // Never seen: a script with a fault is none.
            RootKey::Kms { arn: String::new(), endpoint_url: None }
        }
    }
}

fn in_kms(arn: &str, table: &RootTable, faults: &mut Faults) -> RootKey {
    if table.key_type.is_some() {
        faults.add("root.key_type", "a key in AWS KMS is made there, and is of the kind that it was made of");
    }
    RootKey::Kms { arn: arn.to_owned(), endpoint_url: table.endpoint_url.clone() }
}
