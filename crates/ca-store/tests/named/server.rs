//! The database that an operator names, and schemas in it: each is new, empty or with our tables, and goes when this process does,
//! however it ends. A database that holds a record is refused.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use ca_store::{PostgresOptions, PostgresStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::sync::OnceCell;

/// The address of the database.
const DATABASE: &str = "CA_TEST_POSTGRES";

/// How the names of this run's schemas begin, for the process that drops them.
const RUN: &str = "CA_TEST_POSTGRES_RUN";

/// How the names of all schemas begin that such runs make.
const PREFIX: &str = "cartorio_test_";

/// Where the cases find their schemas.
pub(crate) struct Server {
    address: String,
    run: String,
    schemas: std::sync::atomic::AtomicU64,
    /// Waits for the end of its input, which comes with the end of this process, and drops the schemas.
    _dropper: Child,
}

/// The database that the cases of one test program share.
pub(crate) async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(Server::find).await
}

impl Server {
    async fn find() -> Self {
        let address = variable(DATABASE).filter(|address| !address.is_empty());
        let address = address.unwrap_or_else(|| panic!("name the database: make test-postgres DSN=postgres://…"));
        let mut connection = connect(&address).await;
        let version: String =
            sqlx::query_scalar("SELECT version()").fetch_one(&mut connection).await.expect("a server says what it is");
        println!("on {version}");
        refuse_a_record(&mut connection).await;
        let run: String = sqlx::query_scalar("SELECT left(md5(random()::text || clock_timestamp()), 12)")
            .fetch_one(&mut connection)
            .await
            .expect("a name");
        let run = format!("{PREFIX}{run}_");
        let dropper = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "server::drops_what_a_run_has_made"])
            .env(RUN, &run)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // So that an interrupt from the keyboard does not end it before its work.
            .process_group(0)
            .spawn()
            .expect("this program can be started");
        Self { address, run, schemas: Default::default(), _dropper: dropper }
    }

    pub(crate) fn options(&self, schema: &str) -> PostgresOptions {
        PostgresOptions::parse(&self.url(schema)).expect("an address")
    }

    /// The address, with a schema as the place of all tables.
    pub(crate) fn url(&self, schema: &str) -> String {
        let separator = if self.address.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-c%20search_path%3D{schema}", self.address)
    }

    /// A new schema with our tables.
    pub(crate) async fn database(&self) -> String {
        let schema = format!("{}{}", self.run, self.schemas.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        run(&mut connect(&self.address).await, format!("CREATE SCHEMA {schema}")).await;
        PostgresStore::migrate(&self.options(&schema)).await.expect("migrates");
        schema
    }
}

/// Tests make and drop what they need beside it, but who names the database of a service has taken the wrong one.
async fn refuse_a_record(connection: &mut PgConnection) {
    const SCHEMAS: &str = "SELECT relnamespace::regnamespace::text FROM pg_class
         WHERE relname = 'counters' AND obj_description(oid, 'pg_class') = 'record of a certificate authority'";
    let found: Vec<String> = sqlx::query_scalar(SCHEMAS).fetch_all(connection).await.expect("a look at the tables");
    for schema in found {
        assert!(
            schema.starts_with(PREFIX),
            "the database holds a record, in the schema {schema}: name one that holds none"
        );
        println!("an earlier run, or one at this moment, has left the schema {schema}");
    }
}

async fn connect(address: &str) -> PgConnection {
    // What sqlx says of an address holds no password.
    let options: PgConnectOptions = address.parse().expect("DSN is an address: postgres://user:password@host/database");
    options.connect().await.expect("the database can be reached")
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("runs");
}

#[expect(clippy::disallowed_methods, reason = "which server is tested is the environment's business; read here alone")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// No case, but the process that [`Server`] leaves behind.
#[tokio::test]
#[ignore = "started by the other cases"]
async fn drops_what_a_run_has_made() {
    let (address, run_of) = (variable(DATABASE).expect("an address"), variable(RUN).expect("the name of a run"));
    assert!(run_of.starts_with(PREFIX) && run_of.len() > PREFIX.len() + 1, "no name of a run: {run_of}");
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("an input that ends");
    let mut connection = connect(&address).await;
    let schemas: Vec<String> =
        sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)")
            .bind(&run_of)
            .fetch_all(&mut connection)
            .await
            .expect("a look at the schemas");
    for schema in schemas {
        run(&mut connection, format!("DROP SCHEMA {schema} CASCADE")).await;
    }
}
