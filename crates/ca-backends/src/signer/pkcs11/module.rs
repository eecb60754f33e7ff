//! A module, loaded and initialised once in a process however many tokens of it are used.
//!
//! Every call is made inside of a [`Visit`]. Where a token does not come back by itself, the module is finalised and initialised
//! anew, alone: the standard leaves undefined what C_Finalize does to calls of other threads. Sessions of before are gone then,
//! and their numbers belong to others; a generation tells them apart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::RvError;
use tokio::time::Instant;

use super::fault::{TokenFault, is_code, said};
use super::settings::{ModulePlace, TokenSettings};

/// How long a module is left alone after it was initialised, however it went.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// How long calls of others are waited for before the module is initialised anew.
const LONGEST_CALL: Duration = Duration::from_secs(2);

/// How long one waits for a module that another thread initialises.
const LONGEST_START: Duration = Duration::from_secs(10);

/// The modules of this process, by their files.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// Ends the use of all modules, for a process that is about to end: what a module and its libraries tear down at the exit must not
/// be torn down under a thread that is inside. Keys in tokens sign nothing after it.
pub fn close_modules() {
    let loaded: Vec<Arc<Module>> = hold(&LOADED).values().cloned().collect();
    loaded.iter().for_each(|module| module.close());
}

/// A loaded module.
pub(super) struct Module {
    path: PathBuf,
    context: Pkcs11,
    /// What `pReserved` of C_Initialize points to, with the zero at its end. A module may keep the pointer, so it stays.
    arguments: Mutex<Option<Vec<u8>>>,
    life: Mutex<Life>,
    changed: Condvar,
}

struct Life {
    /// How often it was initialised.
    generation: u64,
    is_initialised: bool,
    /// A thread is about to finalise or initialise it.
    is_changing: bool,
    /// Nobody goes in any more.
    is_closed: bool,
    /// Threads that are inside.
    visits: usize,
    last_change: Option<Instant>,
    /// Why it is not initialised.
    fault: Option<TokenFault>,
}

impl Module {
    /// The module of a token's settings, loaded if it was not.
    pub(super) fn load(settings: &TokenSettings) -> Result<Arc<Self>, TokenFault> {
        let path = find(&settings.module, &settings.configured_as)?;
        let arguments = settings.module_arguments.as_ref().map(|text| [text.as_bytes(), &[0]].concat());
        let mut loaded = hold(&LOADED);
        if let Some(module) = loaded.get(&path) {
            let is_same = *hold(&module.arguments) == arguments;
            return if is_same { Ok(Arc::clone(module)) } else { Err(TokenFault::ModuleArguments { path }) };
        }
        let context = Pkcs11::new(&path)
            .map_err(|error| TokenFault::ModuleUnusable { path: path.clone(), detail: error.to_string() })?;
        let life = Life {
            generation: 0,
            is_initialised: false,
            is_changing: false,
            is_closed: false,
            visits: 0,
            last_change: None,
            fault: None,
        };
        let module = Arc::new(Self {
            path: path.clone(),
            context,
            arguments: Mutex::new(arguments),
            life: Mutex::new(life),
            changed: Condvar::new(),
        });
        loaded.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// Goes in to make calls; initialises the module when nobody did. Waits while it is initialised by another thread.
    pub(super) fn enter(&self) -> Result<Visit<'_>, TokenFault> {
        let mut life = self.wait_while_changing(hold(&self.life))?;
        if !life.is_initialised {
            if let Some(fault) = life.fault.clone().filter(|_| is_recent(life.last_change)) {
                return Err(fault);
            }
            life.is_changing = true;
            drop(life);
            let outcome = self.initialise();
            life = self.end_change(outcome);
            if let Some(fault) = life.fault.clone() {
                return Err(fault);
            }
        }
        life.visits += 1;
        Ok(Visit { module: self, generation: life.generation })
    }

    /// Goes in when the module is still of `generation` and is not about to change; never waits.
    pub(super) fn enter_again(&self, generation: u64) -> Option<Visit<'_>> {
        let mut life = hold(&self.life);
        if life.is_closed || life.is_changing || !life.is_initialised || life.generation != generation {
            return None;
        }
        life.visits += 1;
        Some(Visit { module: self, generation })
    }

    /// Finalises the module and initialises it, unless somebody did since `seen`, or just now, or a call of another thread does
    /// not return. Whether it is of a later generation now. The caller must not be inside.
    pub(super) fn restart(&self, seen: u64) -> bool {
        let Ok(mut life) = self.wait_while_changing(hold(&self.life)) else { return false };
        if life.generation != seen {
            return true;
        }
        if is_recent(life.last_change) {
            return false;
        }
        life.is_changing = true;
        let waited = self.changed.wait_timeout_while(life, LONGEST_CALL, |life| life.visits > 0);
        let (mut life, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if life.visits > 0 {
            life.is_changing = false;
            life.last_change = Some(Instant::now());
            self.changed.notify_all();
            return false;
        }
        drop(life);
        if let Err(error) = self.context.clone().finalize() {
            tracing::debug!(module = %self.path.display(), said = said(&error), "a PKCS #11 module was not finalised");
        }
        let outcome = self.initialise();
        tracing::info!(module = %self.path.display(), success = outcome.is_ok(), "a PKCS #11 module was initialised anew");
        let life = self.end_change(outcome);
        life.is_initialised
    }

    /// Lets nobody in any more, and finalises the module when all are out. Left alone when a call does not return.
    fn close(&self) {
        let mut life = hold(&self.life);
        life.is_closed = true;
        let is_busy = |life: &mut Life| life.visits > 0 || life.is_changing;
        let waited = self.changed.wait_timeout_while(life, LONGEST_CALL, is_busy);
        let (mut life, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
        if timeout.timed_out() || !std::mem::take(&mut life.is_initialised) {
            return;
        }
        drop(life);
        if let Err(error) = self.context.clone().finalize() {
            tracing::debug!(module = %self.path.display(), said = said(&error), "a PKCS #11 module was not finalised");
        }
    }

    fn wait_while_changing<'a>(&self, life: MutexGuard<'a, Life>) -> Result<MutexGuard<'a, Life>, TokenFault> {
        let waited = self.changed.wait_timeout_while(life, LONGEST_START, |life| life.is_changing && !life.is_closed);
        let (life, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if life.is_closed {
            return Err(TokenFault::Lost { said: "the process is about to end".to_owned() });
        }
        if life.is_changing { Err(TokenFault::Hung) } else { Ok(life) }
    }

    fn end_change(&self, outcome: Result<(), TokenFault>) -> MutexGuard<'_, Life> {
        let mut life = hold(&self.life);
        life.is_changing = false;
        life.is_initialised = outcome.is_ok();
        life.generation += 1;
        life.last_change = Some(Instant::now());
        life.fault = outcome.err();
        self.changed.notify_all();
        life
    }

    /// C_Initialize. The caller is alone.
    fn initialise(&self) -> Result<(), TokenFault> {
        let mut arguments = hold(&self.arguments);
        // The module is used by several threads, with the locks of the operating system.
        let flags = CInitializeFlags::OS_LOCKING_OK;
        let arguments = match arguments.as_mut().and_then(|octets| NonNull::new(octets.as_mut_ptr())) {
            None => CInitializeArgs::new(flags),
            Some(octets) => with_arguments(flags, octets),
        };
        match self.context.initialize(arguments) {
            Err(error) if !is_code(&error, RvError::CryptokiAlreadyInitialized) => {
                Err(TokenFault::ModuleUnusable { path: self.path.clone(), detail: said(&error) })
            }
            _ => Ok(()),
        }
    }
}

#[expect(unsafe_code, reason = "cryptoki leaves it to its caller what pReserved of C_Initialize points to")]
fn with_arguments(flags: CInitializeFlags, octets: NonNull<u8>) -> CInitializeArgs {
    // SAFETY: modules that take arguments take a string that ends with a zero, which this is; modules are never unloaded, and
    // neither is the string: it is a field of the module, which LOADED holds, and nothing changes it.
    unsafe { CInitializeArgs::new_with_reserved(flags, octets.cast()) }
}

/// A thread inside of a module: calls may be made while it lasts. It is short; nothing that waits for another thread is done in it.
pub(super) struct Visit<'a> {
    module: &'a Module,
    generation: u64,
}

impl Visit<'_> {
    /// Of which life of the module.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The module's calls.
    pub(super) fn context(&self) -> &Pkcs11 {
        &self.module.context
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut life = hold(&self.module.life);
        life.visits -= 1;
        if life.visits == 0 && (life.is_changing || life.is_closed) {
            self.module.changed.notify_all();
        }
    }
}

/// The file of a module: the first candidate that is there.
fn find(place: &ModulePlace, configured_as: &str) -> Result<PathBuf, TokenFault> {
    let candidates = place.candidates();
    // One file under two names is one module.
    candidates.iter().find_map(|path: &PathBuf| Path::canonicalize(path).ok().filter(|path| path.is_file())).ok_or_else(
        || TokenFault::ModuleMissing {
            module: place.to_string(),
            configured_as: configured_as.to_owned(),
            looked_for: candidates,
        },
    )
}

fn is_recent(instant: Option<Instant>) -> bool {
    instant.is_some_and(|instant| instant.elapsed() < RESTART_PAUSE)
}

/// What a mutex guards; a thread that panicked while it held it left nothing half done.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
