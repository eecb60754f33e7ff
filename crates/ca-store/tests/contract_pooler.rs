//! The contract of the store port, kept by PostgreSQL through PgBouncer in transaction mode.

mod pooler;
mod server;

use std::sync::Arc;
use std::time::Duration;

use ca_engine::fake::contract::store::{StoreUnderTest, check_store};
use ca_engine::port::store::Store;
use ca_store::{OpenError, OpenMode, PostgresOptions, PostgresStore};
use pooler::Pooler;
use tokio::sync::OnceCell;

static POOLER: OnceCell<Pooler> = OnceCell::const_new();

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_the_store_port_through_a_pooler() {
    check_store(make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_the_address_does_not_name_is_noticed() {
    let server = server::shared().await;
    let database = server.database().await;
    let pooler = POOLER.get_or_init(|| Pooler::start(server)).await;
    let refused = PostgresStore::open(&pooler.options_unaware(&database), OpenMode::ReadWrite).await.err();
    match refused {
        Some(OpenError::Address { detail }) => assert!(detail.contains("pooler=transaction"), "{detail}"),
        other => panic!("must be noticed: {other:?}"),
    }
}

async fn make() -> StoreUnderTest {
    let server = server::shared().await;
    let database = server.database().await;
    let options = POOLER.get_or_init(|| Pooler::start(server)).await.options(&database);
    let store: Arc<dyn Store> = Arc::new(open(&options).await);
    StoreUnderTest {
        store,
        another: Arc::new(move || {
            let options = options.clone();
            Box::pin(async move { Arc::new(open(&options).await) as Arc<dyn Store> })
        }),
        pass_time: Arc::new(|lifetime| Box::pin(tokio::time::sleep(Duration::from_secs(lifetime.seconds())))),
    }
}

async fn open(options: &PostgresOptions) -> PostgresStore {
    PostgresStore::open(options, OpenMode::ReadWrite).await.expect("opens")
}
