//! A thread's part: one session, the keys that were looked up in it, and what is done when they are gone.
//!
//! A session that fails is opened anew and the question put again. Where that fails too and the token is away, the module is
//! initialised anew, which is the only way in which many modules look for tokens again; then once more. No signature leaves that
//! was not made by a key whose public part was compared with the authority's, or whose first signature verified by it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::signing::{Message, Signature, token as token_form};
use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::TokenFault;
use super::module::Visit;
use super::objects::{self, FindFault};
use super::session::OpenSession;
use super::work::{Answer, Input, Job, Shared, Task, TokenKey};

pub(super) struct Worker<'a> {
    shared: &'a Shared,
    open: Option<Open>,
}

/// A session and what was looked up in it.
struct Open {
    session: OpenSession,
    slot: Slot,
    keys: Vec<FoundKey>,
}

/// A key's handle in this session.
struct FoundKey {
    key: Arc<TokenKey>,
    handle: ObjectHandle,
    public: Option<PublicKey>,
    /// The token tells its public part and that is the right one, or a signature of it verified.
    is_proved: bool,
}

/// What an attempt ended with, and in which life of the module; 0 where it did not come so far.
struct Failure {
    fault: TokenFault,
    generation: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, open: None }
    }

    /// Does what a job asks for.
    pub(super) fn perform(&mut self, job: &Job) -> Result<Answer, TokenFault> {
        if let Task::Make(key_type) = job.task {
            // Not put again when it fails: the pair may have been made. Who asks anew finds it.
            return self.make(job, key_type).map_err(|failure| failure.fault);
        }
        let mut was_warm = self.open.is_some();
        if !was_warm
            && !matches!(job.task, Task::Find)
            && let Some(fault) = self.shared.outage()
        {
            return Err(fault);
        }
        let mut was_restarted = false;
        loop {
            let Failure { fault, generation } = match self.attempt(job) {
                Ok(answer) => {
                    self.shared.report(None);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            if !fault.may_pass(job.key.was_found.load(Ordering::Relaxed)) {
                return Err(fault);
            }
            self.open = None;
            if std::mem::take(&mut was_warm) {
                continue;
            }
            self.shared.token.forget_login(generation);
            if !was_restarted && self.restart(generation) {
                was_restarted = true;
                continue;
            }
            let fault = match fault {
                // Some modules show a token that was pulled out, empty, until they are initialised anew.
                TokenFault::KeyMissing { token, key } => TokenFault::KeyGone { token, key },
                other => other,
            };
            self.shared.report(Some(&fault));
            return Err(fault);
        }
    }

    fn restart(&self, generation: u64) -> bool {
        generation > 0 && self.shared.token.module().is_ok_and(|module| module.restart(generation))
    }

    fn attempt(&mut self, job: &Job) -> Result<Answer, Failure> {
        if self.open.is_none() {
            self.open = Some(self.open_session(false)?);
        }
        // Just put there.
        let Some(open) = self.open.as_mut() else { return Err(Failure { fault: TokenFault::Hung, generation: 0 }) };
        let generation = open.session.generation();
        let done = match &job.task {
            Task::Sign { algorithm, input } => {
                open.sign(&job.key, *algorithm, input, self.shared).map(Answer::Signature)
            }
            Task::Check(algorithm) => open.check(&job.key, *algorithm, self.shared).map(|()| Answer::Ready),
            Task::Find | Task::Make(_) => open.public_key(&job.key, self.shared).map(Answer::PublicKey),
        };
        done.map_err(|fault| Failure { fault: open.heed(fault), generation })
    }

    fn make(&mut self, job: &Job, key_type: KeyType) -> Result<Answer, Failure> {
        let mut open = self.open_session(true)?;
        let generation = open.session.generation();
        let gone = || FindFault::Fault(TokenFault::Lost { said: GONE.to_owned() });
        let made = match open.session.visit() {
            Some((_visit, session)) => objects::make(session, &job.key.uri, key_type),
            None => Err(gone()),
        };
        // The next look-up is to see it.
        self.open = None;
        made.map(Answer::PublicKey).map_err(|fault| Failure { fault: open.heed(fault), generation })
    }

    fn open_session(&self, writes: bool) -> Result<Open, Failure> {
        let token = &self.shared.token;
        let too_early = |fault| Failure { fault, generation: 0 };
        let module = token.module().map_err(too_early)?;
        let visit = module.enter().map_err(too_early)?;
        let generation = visit.generation();
        let opened = token.open(&module, &visit, writes);
        drop(visit);
        let (session, slot) = opened.map_err(|fault| Failure { fault, generation })?;
        Ok(Open { session, slot, keys: Vec::new() })
    }
}

impl Open {
    /// The fault, after what it says of the session was taken to heart.
    fn heed(&mut self, fault: FindFault) -> TokenFault {
        match fault {
            FindFault::Fault(fault) => fault,
            FindFault::Call(error) => {
                self.session.heed(&error);
                TokenFault::of_call(&error)
            }
        }
    }

    fn sign(
        &mut self,
        key: &Arc<TokenKey>,
        algorithm: SignatureAlgorithm,
        input: &Input,
        shared: &Shared,
    ) -> Result<Vec<u8>, FindFault> {
        let Self { session, keys, .. } = self;
        let (_visit, session) = session.visit().ok_or_else(gone)?;
        let found = look_up(keys, session, key, shared)?;
        let name = || objects::name_of(&key.uri);
        let refused = |said: &str| TokenFault::Refused { key: name(), said: said.to_owned() };
        let signed = match input {
            Input::Whole(octets) => session.sign(&objects::mechanism(algorithm), found.handle, octets),
            Input::Digest(digest) if algorithm.is_rsa_pkcs1() => {
                let info = token_form::digest_info(algorithm, digest);
                let info = info.ok_or_else(|| refused("a digest of another algorithm"))?;
                session.sign(&objects::mechanism(algorithm), found.handle, &info)
            }
            Input::Digest(digest) => session.sign(&objects::mechanism(algorithm), found.handle, digest.octets()),
        };
        let octets = signed.map_err(|error| match TokenFault::of_signing(&error, &name()) {
            // The call itself, so that what it says of the session is heard.
            TokenFault::Lost { .. } => FindFault::Call(error),
            fault => FindFault::Fault(fault),
        })?;
        let octets = match (algorithm, &key.expected) {
            (
                SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha384 | SignatureAlgorithm::EcdsaSha512,
                Some(expected),
            ) => token_form::ecdsa_sig_value(expected.key_type(), &octets)
                .ok_or_else(|| refused("its signature is no pair of numbers of the key's curve"))?,
            _ => octets,
        };
        if let Some(expected) = key.expected.as_ref().filter(|_| !found.is_proved) {
            let signature = Signature { algorithm, octets };
            let message = match input {
                Input::Whole(octets) => Message::Whole(octets),
                Input::Digest(digest) => Message::Digest(digest),
            };
            if message.verify(expected, &signature).is_err() {
                return Err(TokenFault::WrongSignature { key: name() }.into());
            }
            found.is_proved = true;
            return Ok(signature.octets);
        }
        Ok(octets)
    }

    /// Looks everything up anew: what was found before may be gone.
    fn check(&mut self, key: &Arc<TokenKey>, algorithm: SignatureAlgorithm, shared: &Shared) -> Result<(), FindFault> {
        let Self { session, keys, slot } = self;
        let (visit, session) = session.visit().ok_or_else(gone)?;
        let was_proved = forget(keys, key);
        let found = look_up(keys, session, key, shared)?;
        found.is_proved |= was_proved && found.public.is_none();
        can_sign(&visit, *slot, algorithm)
    }

    fn public_key(&mut self, key: &Arc<TokenKey>, shared: &Shared) -> Result<PublicKey, FindFault> {
        let Self { session, keys, slot } = self;
        let (visit, session) = session.visit().ok_or_else(gone)?;
        forget(keys, key);
        let found = look_up(keys, session, key, shared)?;
        let public =
            found.public.clone().ok_or_else(|| TokenFault::NoPublicPart { key: objects::name_of(&key.uri) })?;
        let algorithm = public.key_type().signature_algorithm();
        match can_sign(&visit, *slot, algorithm) {
            // What it is to sign by is not known here.
            Err(FindFault::Fault(TokenFault::Mechanism { .. })) if public.key_type().is_rsa() => {
                can_sign(&visit, *slot, SignatureAlgorithm::RsaPssSha256)?;
            }
            can_sign => can_sign?,
        }
        Ok(public)
    }
}

const GONE: &str = "its module was initialised anew";

fn gone() -> FindFault {
    FindFault::Fault(TokenFault::Lost { said: GONE.to_owned() })
}

/// Forgets the handle of a key; whether it had proved itself.
fn forget(keys: &mut Vec<FoundKey>, key: &Arc<TokenKey>) -> bool {
    let index = keys.iter().position(|found| Arc::ptr_eq(&found.key, key));
    index.is_some_and(|index| keys.swap_remove(index).is_proved)
}

/// The key, looked up once in a session and held against what the certificate has.
fn look_up<'a>(
    keys: &'a mut Vec<FoundKey>,
    session: &Session,
    key: &Arc<TokenKey>,
    shared: &Shared,
) -> Result<&'a mut FoundKey, FindFault> {
    let index = match keys.iter().position(|found| Arc::ptr_eq(&found.key, key)) {
        Some(index) => index,
        None => {
            let handle = objects::find_private(session, &key.uri, &shared.token.name())?;
            let public = objects::public_part(session, handle, &key.uri)?;
            if let (Some(expected), Some(found)) = (&key.expected, &public)
                && expected != found
            {
                let name = objects::name_of(&key.uri);
                return Err(TokenFault::wrong_key(&name, found.key_type(), expected.key_type()).into());
            }
            let is_proved = public.is_some();
            keys.push(FoundKey { key: Arc::clone(key), handle, public, is_proved });
            keys.len() - 1
        }
    };
    Ok(&mut keys[index])
}

fn can_sign(visit: &Visit<'_>, slot: Slot, algorithm: SignatureAlgorithm) -> Result<(), FindFault> {
    let (mechanism, name) = objects::mechanism_type(algorithm);
    match visit.context().get_mechanism_info(slot, mechanism) {
        Ok(info) if info.sign() => Ok(()),
        Ok(_) => Err(TokenFault::Mechanism { algorithm: algorithm.to_string(), mechanism: name }.into()),
        Err(error @ Error::Pkcs11(cryptoki::error::RvError::MechanismInvalid, _)) => {
            tracing::debug!(said = super::fault::said(&error), "a token does not have a mechanism");
            Err(TokenFault::Mechanism { algorithm: algorithm.to_string(), mechanism: name }.into())
        }
        Err(error) => Err(error.into()),
    }
}
