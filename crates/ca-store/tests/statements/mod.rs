//! Writes down the SQL that is run in this process, as sqlx tells of it in its log.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Every statement that was run since, once each.
#[derive(Clone, Default)]
pub(crate) struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl Statements {
    /// Begins to write down; once in a process.
    pub(crate) fn write_down() -> Self {
        let statements = Self::default();
        tracing::subscriber::set_global_default(statements.clone()).expect("nothing else listens in this process");
        statements
    }

    /// The statements that have a plan, one by one where several were run together.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.0.lock().expect("no panic while writing down");
        let mut statements: Vec<_> = seen
            .iter()
            .flat_map(|sql| sql.split(';'))
            .map(str::trim)
            .filter(|sql| has_plan(sql))
            .map(str::to_owned)
            .collect();
        statements.sort();
        statements.dedup();
        statements
    }
}

/// The statements of migrations make tables, run once, and are no matter of this.
fn has_plan(statement: &str) -> bool {
    let plans = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
    plans.iter().any(|verb| statement.starts_with(verb))
        && !statement.contains("_sqlx_migrations")
        && !statement.contains("RAISE")
        // Tables that are there while a migration runs.
        && !statement.contains("outbox_numbered")
        && !statement.contains("authorities_with_key_homes")
        && !statement.contains("authorities_with_issuers")
        && !statement.contains("ensure_month")
        // Fills a new column, once.
        && !statement.contains("SET service_at = next_at")
        // A table that is there while a large list is put on record.
        && !statement.contains("pg_temp")
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        // A statement of up to four words is its own summary.
        let sql = if statement.whole.is_empty() { statement.summary } else { statement.whole };
        self.0.lock().expect("no panic while writing down").insert(sql.trim().to_owned());
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Statement {
    summary: String,
    whole: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}
