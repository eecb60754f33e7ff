//! What went wrong, in the words of the port: SQLSTATEs become [`StoreError`]s, and what keeps a database from being opened
//! becomes an [`OpenError`].
//!
//! Outcomes that a caller must tell apart (a serial that is taken) are looked at before they happen, in the same transaction;
//! a constraint that still fails is the last guard and becomes a conflict. No text here holds a value of a row: what the
//! server says about values stands in its DETAIL, which is left out.

use std::io::ErrorKind;

use ca_engine::port::store::StoreError;

use crate::open::{Database, OpenError};

/// A [`StoreError`] on its way out of this adapter, and what the adapter itself can do about it. In every case the transaction
/// it happened in is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    error: StoreError,
    /// Whether the same may succeed at once.
    passing: bool,
    /// Whether the connection can be used no more.
    connection_lost: bool,
}

impl Failure {
    /// What was looked at has changed meanwhile: the same again will see it.
    pub(super) fn raced(what: &str) -> Self {
        let detail = format!("{what} kept changing while it was looked at");
        Self { passing: true, ..StoreError::Unavailable { detail }.into() }
    }

    /// The server did not answer in time.
    pub(super) fn silent() -> Self {
        let detail = "the server did not answer in time".to_owned();
        Self { connection_lost: true, ..StoreError::Unavailable { detail }.into() }
    }

    /// Another transaction was in the way.
    fn passing(detail: String) -> Self {
        Self { passing: true, ..StoreError::Unavailable { detail }.into() }
    }

    /// The connection ended, and with it the transaction.
    fn disconnected(detail: String) -> Self {
        Self { passing: true, connection_lost: true, error: StoreError::Unavailable { detail } }
    }

    pub(super) fn is_passing(&self) -> bool {
        self.passing
    }

    pub(super) fn lost_connection(&self) -> bool {
        self.connection_lost
    }

    /// Whether it is about what one change holds, and not about the database as a whole.
    pub(super) fn is_of_one_change(&self) -> bool {
        matches!(self.error, StoreError::Conflict { .. } | StoreError::Inconsistent { .. } | StoreError::Fenced { .. })
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, passing: false, connection_lost: false }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let detail = error.to_string();
        match &error {
            sqlx::Error::Database(database) => of_state(&database.code().unwrap_or_default(), detail),
            sqlx::Error::RowNotFound
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::TypeNotFound { .. } => StoreError::Inconsistent { detail }.into(),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::disconnected(detail)
            }
            _ => StoreError::Unavailable { detail }.into(),
        }
    }
}

/// By SQLSTATE (<https://www.postgresql.org/docs/15/errcodes-appendix.html>).
fn of_state(state: &str, detail: String) -> Failure {
    match state {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => return Failure::passing(detail),
        // unique_violation: the row may be of one who was a moment ahead, which another look will see.
        "23505" => return Failure { passing: true, ..StoreError::Conflict { detail }.into() },
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_in_transaction_session_timeout
        "57P01" | "57P02" | "57P03" | "25P03" => return Failure::disconnected(detail),
        // connection_exception
        _ if state.starts_with("08") => return Failure::disconnected(detail),
        _ => {}
    }
    let error = match state {
        // foreign_key_violation, exclusion_violation
        "23503" | "23P01" => StoreError::Conflict { detail },
        // Values that no column can hold, such as text with a NUL.
        _ if state.starts_with("22") => StoreError::Conflict { detail },
        // disk_full
        "53100" => StoreError::Full { detail },
        // read_only_sql_transaction
        "25006" => StoreError::ReadOnly { detail },
        // insufficient_privilege
        "42501" => StoreError::Unavailable { detail },
        // Other constraints; tables that are not as they should be; damaged data.
        _ if ["23", "42", "XX"].iter().any(|class| state.starts_with(class)) => StoreError::Inconsistent { detail },
        // Also statement_timeout and lock_timeout: another try would keep the caller waiting as long again.
        _ => StoreError::Unavailable { detail },
    };
    error.into()
}

/// What a failed COMMIT means: whether it was made is not known when the connection was lost before the server said so.
pub(super) fn of_commit(error: sqlx::Error) -> Failure {
    let failure = Failure::from(error);
    match failure.error {
        StoreError::Unavailable { detail } if failure.connection_lost => unknown(detail),
        _ => failure,
    }
}

/// A COMMIT that nobody answered.
pub(super) fn unanswered_commit() -> Failure {
    unknown("the server did not answer in time".to_owned())
}

fn unknown(detail: String) -> Failure {
    Failure { connection_lost: true, ..StoreError::Unknown { detail }.into() }
}

/// What went wrong when a database was connected to or its tables were looked at.
pub(super) fn of_opening(database: &Database, error: sqlx::Error) -> OpenError {
    let database = database.clone();
    let sqlx::Error::Database(said) = &error else {
        let detail = error.to_string();
        return match error {
            sqlx::Error::Tls(error) => OpenError::Unproved { database, detail: error.to_string() },
            // What rustls says of a certificate comes as what was read from the socket.
            sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                OpenError::Unproved { database, detail: error.to_string() }
            }
            sqlx::Error::Io(_) => OpenError::Unreachable { database, detail },
            _ => OpenError::Unreadable { database, detail },
        };
    };
    // What the server says; sqlx adds the line of the server's source.
    let detail = said.message().to_owned();
    match said.code().unwrap_or_default().as_ref() {
        // invalid_password, invalid_authorization_specification
        "28P01" | "28000" => OpenError::Refused { database, detail },
        // invalid_catalog_name
        "3D000" => OpenError::Missing { database },
        "42501" => OpenError::Rights { database, detail },
        // cannot_connect_now, too_many_connections, admin_shutdown
        "57P03" | "53300" | "57P01" => OpenError::Unreachable { database, detail },
        // protocol_violation: what PgBouncer answers to settings in the first message.
        "08P01" => OpenError::Address { detail: format!("{detail}; behind PgBouncer add `pooler=transaction`") },
        _ => OpenError::Unreadable { database, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> sqlx::Error {
        std::io::Error::from(ErrorKind::ConnectionReset).into()
    }

    #[test]
    fn a_connection_lost_before_the_commit_changes_nothing_and_is_replaced() {
        let failure = Failure::from(lost());
        assert!(failure.is_passing() && failure.lost_connection());
        assert!(matches!(failure.into(), StoreError::Unavailable { .. }));
    }

    #[test]
    fn a_connection_lost_during_the_commit_leaves_it_unknown_and_nothing_is_made_twice() {
        for failure in [of_commit(lost()), unanswered_commit()] {
            assert!(!failure.is_passing() && failure.lost_connection());
            assert!(matches!(failure.into(), StoreError::Unknown { .. }));
        }
    }

    #[test]
    fn a_server_that_proves_nothing_is_told_from_one_that_is_not_there() {
        let database = || Database::Server { name: "ca".to_owned(), address: "db:5432".to_owned() };
        let wrong = std::io::Error::new(ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        let error = of_opening(&database(), wrong.into());
        assert!(matches!(&error, OpenError::Unproved { detail, .. } if detail.contains("UnknownIssuer")), "{error}");
        assert!(matches!(of_opening(&database(), lost()), OpenError::Unreachable { .. }));
    }

    #[test]
    fn states_are_told_in_the_words_of_the_port() {
        let of = |state| StoreError::from(of_state(state, "said".to_owned()));
        assert!(matches!(of("53100"), StoreError::Full { .. }));
        assert!(matches!(of("23505"), StoreError::Conflict { .. }));
        assert!(matches!(of("23514"), StoreError::Inconsistent { .. }));
        assert!(matches!(of("22021"), StoreError::Conflict { .. }));
        assert!(matches!(of("25006"), StoreError::ReadOnly { .. }));
        for state in ["57014", "55P03", "53300", "42501", "08006", "57P01", "40P01", "99999"] {
            assert!(matches!(of(state), StoreError::Unavailable { .. }), "{state}");
        }
    }

    #[test]
    fn only_what_may_succeed_at_once_is_tried_again() {
        let passes = |state| of_state(state, String::new()).is_passing();
        assert!(["40001", "40P01", "23505", "57P01", "57P02", "08006"].into_iter().all(passes));
        assert!(!["57014", "55P03", "53100", "25006", "23503"].into_iter().any(passes));
    }
}
