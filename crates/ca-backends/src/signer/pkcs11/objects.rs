//! Keys in a token: how one is found, what its public part is, and how a pair is made.

use ca_core::hash;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::pkcs11_uri::{Pkcs11Attribute, Pkcs11Uri};
use cryptoki::error::Error;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType as TokenKeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::fault::TokenFault;

/// A key of a URI, for messages: `labelled tls-ca`, or by its id.
pub(super) fn name_of(uri: &Pkcs11Uri) -> String {
    let label = uri.text(Pkcs11Attribute::Object).map(|label| format!("labelled `{label}`"));
    let id = uri.id().map(|id| format!("with id {}", hex::encode(id)));
    [label, id].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The private key of a URI; `token` names the token in messages.
pub(super) fn find_private(session: &Session, uri: &Pkcs11Uri, token: &str) -> Result<ObjectHandle, FindFault> {
    let found = find(session, ObjectClass::PRIVATE_KEY, uri.text(Pkcs11Attribute::Object), uri.id())?;
    match found[..] {
        [key] => Ok(key),
        [] => Err(TokenFault::KeyMissing { token: token.to_owned(), key: name_of(uri) }.into()),
        _ => Err(TokenFault::KeyAmbiguous { key: name_of(uri) }.into()),
    }
}

/// A fault that was found, or a call that failed.
pub(super) enum FindFault {
    Fault(TokenFault),
    Call(Error),
}

impl From<TokenFault> for FindFault {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for FindFault {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

fn find(
    session: &Session,
    class: ObjectClass,
    label: Option<&str>,
    id: Option<&[u8]>,
) -> Result<Vec<ObjectHandle>, Error> {
    let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
    template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    session.find_objects(&template)
}

/// The public part of a private key, from whatever the token tells: the private object itself, else the public one that goes with
/// it. `None` where the token tells nothing.
pub(super) fn public_part(
    session: &Session,
    private: ObjectHandle,
    uri: &Pkcs11Uri,
) -> Result<Option<PublicKey>, FindFault> {
    let key = name_of(uri);
    let own = Facts::read(session, private)?;
    if own.asks_at_each_use {
        let detail =
            "it asks for the PIN at each signature (CKA_ALWAYS_AUTHENTICATE); make one that does not".to_owned();
        return Err(TokenFault::UnsupportedKey { key, detail }.into());
    }
    if let Some(public) = own.public_key(&key)? {
        return Ok(Some(public));
    }
    // What a pair has in common is its id (PKCS #11 §4.4); a label is a name for people, and often the same.
    let by_id = own.id.as_deref().filter(|id| !id.is_empty());
    let found = match by_id {
        Some(id) => find(session, ObjectClass::PUBLIC_KEY, None, Some(id))?,
        None => find(session, ObjectClass::PUBLIC_KEY, uri.text(Pkcs11Attribute::Object), uri.id())?,
    };
    match found[..] {
        [public] => Ok(Facts::read(session, public)?.public_key(&key)?),
        _ => Ok(None),
    }
}

/// What an object tells of itself.
#[derive(Default)]
struct Facts {
    kind: Option<TokenKeyType>,
    id: Option<Vec<u8>>,
    modulus: Option<Vec<u8>>,
    exponent: Option<Vec<u8>>,
    curve: Option<Vec<u8>>,
    point: Option<Vec<u8>>,
    spki: Option<Vec<u8>>,
    asks_at_each_use: bool,
}

impl Facts {
    fn read(session: &Session, object: ObjectHandle) -> Result<Self, Error> {
        // What an object does not have, or does not tell, is left out of the answer.
        let attributes = session.get_attributes(
            object,
            &[
                AttributeType::KeyType,
                AttributeType::Id,
                AttributeType::Modulus,
                AttributeType::PublicExponent,
                AttributeType::EcParams,
                AttributeType::EcPoint,
                AttributeType::PublicKeyInfo,
                AttributeType::AlwaysAuthenticate,
            ],
        )?;
        let mut facts = Self::default();
        for attribute in attributes {
            match attribute {
                Attribute::KeyType(kind) => facts.kind = Some(kind),
                Attribute::Id(id) => facts.id = Some(id),
                Attribute::Modulus(modulus) => facts.modulus = Some(modulus),
                Attribute::PublicExponent(exponent) => facts.exponent = Some(exponent),
                Attribute::EcParams(curve) => facts.curve = Some(curve),
                Attribute::EcPoint(point) => facts.point = Some(point),
                Attribute::PublicKeyInfo(spki) => facts.spki = Some(spki),
                Attribute::AlwaysAuthenticate(asks) => facts.asks_at_each_use = asks,
                _ => {}
            }
        }
        Ok(facts)
    }

    fn public_key(&self, key: &str) -> Result<Option<PublicKey>, TokenFault> {
        let is_there = |value: &Option<Vec<u8>>| value.clone().filter(|octets| !octets.is_empty());
        let made = match (self.kind, is_there(&self.modulus), is_there(&self.exponent)) {
            (Some(TokenKeyType::RSA), Some(modulus), Some(exponent)) => PublicKey::from_rsa_parts(&modulus, &exponent),
            _ => match (self.kind, is_there(&self.curve), is_there(&self.point), is_there(&self.spki)) {
                (Some(kind @ (TokenKeyType::EC | TokenKeyType::EC_EDWARDS)), Some(curve), Some(point), _) => {
                    let Some(key_type) = curve_of(kind, &curve) else {
                        let detail = "a curve other than P-256, P-384, P-521 and Ed25519".to_owned();
                        return Err(TokenFault::UnsupportedKey { key: key.to_owned(), detail });
                    };
                    PublicKey::from_point(key_type, bare_point(key_type, &point))
                }
                (_, _, _, Some(spki)) => PublicKey::from_spki_der(&spki),
                _ => return Ok(None),
            },
        };
        made.map(Some).map_err(|error| TokenFault::unsupported(key, &error))
    }
}

/// The curve of CKA_EC_PARAMS: an object identifier, or for Edwards curves also their name (PKCS #11 §6.3.3).
fn curve_of(kind: TokenKeyType, parameters: &[u8]) -> Option<KeyType> {
    let is_named = kind == TokenKeyType::EC_EDWARDS && parameters == EDWARDS25519;
    if is_named { Some(KeyType::Ed25519) } else { KeyType::of_curve_der(parameters) }
}

/// The point of CKA_EC_POINT: the standard wraps it in an OCTET STRING, and some tokens do not.
fn bare_point(key_type: KeyType, point: &[u8]) -> &[u8] {
    let length = match key_type {
        KeyType::P256 => 65,
        KeyType::P384 => 97,
        KeyType::P521 => 133,
        _ => 32,
    };
    match point {
        [0x04, first, bare @ ..] if bare.len() == length && usize::from(*first) == length => bare,
        // Above 127 octets a length is two octets (X.690 §8.1.3.5).
        [0x04, 0x81, first, bare @ ..] if bare.len() == length && usize::from(*first) == length => bare,
        bare => bare,
    }
}

/// A PrintableString `edwards25519` (PKCS #11 §6.3.3).
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";

/// How a token calls what an algorithm does to a digest, or for Ed25519 to the message.
pub(super) fn mechanism(algorithm: SignatureAlgorithm) -> Mechanism<'static> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaSha512 => {
            Mechanism::RsaPkcs
        }
        SignatureAlgorithm::RsaPssSha256 => pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        SignatureAlgorithm::RsaPssSha384 => pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        SignatureAlgorithm::RsaPssSha512 => pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::EcdsaSha512 => {
            Mechanism::Ecdsa
        }
        SignatureAlgorithm::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
    }
}

/// CKM_RSA_PKCS_PSS, which is given the bare digest (PKCS #11 §6.1.10).
fn pss(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u64) -> Mechanism<'static> {
    Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len: salt.into() })
}

/// The same as a type, and its name in the standard.
pub(super) fn mechanism_type(algorithm: SignatureAlgorithm) -> (MechanismType, &'static str) {
    match algorithm {
        SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaSha512 => {
            (MechanismType::RSA_PKCS, "CKM_RSA_PKCS")
        }
        SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::RsaPssSha384 | SignatureAlgorithm::RsaPssSha512 => {
            (MechanismType::RSA_PKCS_PSS, "CKM_RSA_PKCS_PSS")
        }
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::EcdsaSha512 => {
            (MechanismType::ECDSA, "CKM_ECDSA")
        }
        SignatureAlgorithm::Ed25519 => (MechanismType::EDDSA, "CKM_EDDSA"),
    }
}

/// Makes a pair that never leaves the token, under the label and id of the URI; without an id, the key's own identifier is its
/// id. The session must be one that writes.
pub(super) fn make(session: &Session, uri: &Pkcs11Uri, key_type: KeyType) -> Result<PublicKey, FindFault> {
    let label = uri.text(Pkcs11Attribute::Object);
    let present = find(session, ObjectClass::PRIVATE_KEY, label, uri.id())?;
    if !present.is_empty() {
        return Err(TokenFault::KeyPresent { key: name_of(uri) }.into());
    }
    let named = || {
        let label = label.map(|label| Attribute::Label(label.as_bytes().to_vec()));
        let id = uri.id().map(|id| Attribute::Id(id.to_vec()));
        label.into_iter().chain(id)
    };
    let mut public = vec![Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true)];
    public.extend(named());
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    private.extend(named());
    let bits = match key_type {
        KeyType::Rsa2048 => Some(2_048),
        KeyType::Rsa3072 => Some(3_072),
        KeyType::Rsa4096 => Some(4_096),
        _ => None,
    };
    let mechanism = match bits {
        Some(bits) => {
            public.push(Attribute::ModulusBits(u64::into(bits)));
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            Mechanism::RsaPkcsKeyPairGen
        }
        None => {
            public.extend(key_type.curve_der().map(Attribute::EcParams));
            if key_type == KeyType::Ed25519 { Mechanism::EccEdwardsKeyPairGen } else { Mechanism::EccKeyPairGen }
        }
    };
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    let key = name_of(uri);
    let part = Facts::read(session, public)?.public_key(&key)?;
    let part = part.ok_or(TokenFault::NoPublicPart { key })?;
    if uri.id().is_none() {
        // A pair is joined by its id; without one, other tools could not tell which public key is this one's.
        let id = Attribute::Id(hash::sha1(part.subject_public_key()).to_vec());
        for object in [public, private] {
            session.update_attributes(object, std::slice::from_ref(&id))?;
        }
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_points_wrapped_and_bare() {
        let bare = [&[0x04][..], &[0x41; 64]].concat();
        assert_eq!(bare_point(KeyType::P256, &bare), bare, "its own first octet is that of an OCTET STRING");
        assert_eq!(bare_point(KeyType::P256, &[&[0x04, 0x41][..], &bare].concat()), bare);
        let long = [&[0x04][..], &[7; 132]].concat();
        assert_eq!(bare_point(KeyType::P521, &[&[0x04, 0x81, 0x85][..], &long].concat()), long);
        assert_eq!(bare_point(KeyType::P521, &long), long);
        assert_eq!(bare_point(KeyType::Ed25519, &[&[0x04, 0x20][..], &[4; 32]].concat()), [4; 32]);
        assert_eq!(bare_point(KeyType::Ed25519, &[4; 32]), [4; 32]);
    }

    #[test]
    fn knows_edwards_by_name_and_by_number() {
        assert_eq!(curve_of(TokenKeyType::EC_EDWARDS, EDWARDS25519), Some(KeyType::Ed25519));
        assert_eq!(curve_of(TokenKeyType::EC_EDWARDS, b"\x06\x03\x2b\x65\x70"), Some(KeyType::Ed25519));
        assert_eq!(curve_of(TokenKeyType::EC, EDWARDS25519), None);
        let p384 = KeyType::P384.curve_der().expect("a curve");
        assert_eq!(curve_of(TokenKeyType::EC, &p384), Some(KeyType::P384));
    }
}
