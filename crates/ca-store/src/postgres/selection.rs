//! Queries whose conditions are only known when they are asked.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Encode, Postgres, Type};

use super::error::Failure;

/// SQL and its parameters, put together from constant pieces.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) sql: String,
    pub(super) arguments: PgArguments,
}

impl Selection {
    /// A selection that begins so.
    pub(super) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), arguments: PgArguments::default() }
    }

    /// Appends SQL.
    pub(super) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Appends SQL and, behind it, a parameter.
    pub(super) fn push_with<'t, T>(&mut self, sql: &str, value: T) -> Result<(), Failure>
    where
        T: Encode<'t, Postgres> + Type<Postgres>,
    {
        self.arguments.add(value).map_err(sqlx::Error::Encode)?;
        self.sql.push_str(&format!("{sql}${}", self.arguments.len()));
        Ok(())
    }
}
