//! HTTP: from octets to flows and back. Decisions are made elsewhere.

pub(crate) mod authentication;
pub(crate) mod convert;
pub(crate) mod extract;
mod guard;
pub(crate) mod openapi;
pub(crate) mod problem;
pub(crate) mod refusal;
mod request_id;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod status_front;
mod to_the_end;
mod unread_body;
