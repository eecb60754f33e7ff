//! A list as the body of a request: read piece by piece from where it lies, of a length that is said first, and signed by the digest
//! that is known already.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use ca_engine::port::list_octets::{ListOctets, PIECE};
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

/// Why a list could not be read while it was sent, if that happened.
#[derive(Clone, Default)]
pub(super) struct Unreadable(Arc<Mutex<Option<String>>>);

impl Unreadable {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn tell(&self, error: &io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

/// A list from its first octet on, for as many attempts as it takes.
pub(super) fn body_of(list: &ListOctets, unreadable: &Unreadable) -> ByteStream {
    let (list, unreadable) = (list.clone(), unreadable.clone());
    ByteStream::new(SdkBody::retryable(move || {
        SdkBody::from_body_1_x(Upload { list: list.clone(), sent: 0, reading: None, unreadable: unreadable.clone() })
    }))
}

/// One attempt.
struct Upload {
    list: ListOctets,
    sent: u64,
    /// The next piece, which is being read.
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    unreadable: Unreadable,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let (from, left) = (self.sent, self.list.count() - self.sent);
        if left == 0 {
            return Poll::Ready(None);
        }
        let list = self.list.clone();
        // It may lie on a disk: not on the async threads.
        let reading = self.reading.get_or_insert_with(|| {
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(PIECE)];
                list.read(from, &mut piece).map(|()| piece)
            })
        });
        let read = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other).and_then(|read| read);
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok(piece) => {
                self.sent += piece.len() as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => {
                self.unreadable.tell(&error);
                Err(error)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.list.count()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.list.count() - self.sent)
    }
}

/// Signs a request by the digest of its body, which the SDK would have to hold to find it out; without, the body would not be signed.
#[derive(Debug)]
pub(super) struct SignedByDigest {
    sha256_hex: String,
}

impl SignedByDigest {
    pub(super) fn new(sha256_hex: &str) -> Self {
        Self { sha256_hex: sha256_hex.to_owned() }
    }
}

impl Intercept for SignedByDigest {
    fn name(&self) -> &'static str {
        "SignedByDigest"
    }

    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(PayloadSigningOverride::Precomputed(self.sha256_hex.clone()));
        Ok(())
    }
}
