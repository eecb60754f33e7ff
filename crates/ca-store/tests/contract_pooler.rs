//! The contract of the store port, kept by PostgreSQL through PgBouncer in transaction mode.

mod server;
mod under_test;

use ca_engine::fake::contract::store::{StoreUnderTest, check_store};
use ca_store::{OpenError, OpenMode, PostgresOptions, PostgresStore};
use ca_test_services::PgBouncer;
use tokio::sync::OnceCell;
use under_test::under_test;

/// With fewer connections than the store has, so that they go from hand to hand.
async fn pooler() -> &'static PgBouncer {
    static POOLER: OnceCell<PgBouncer> = OnceCell::const_new();
    let start = || async { PgBouncer::start(server::shared().await, 2).expect("a pooler") };
    POOLER.get_or_init(start).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_the_store_port_through_a_pooler() {
    check_store(make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_the_address_does_not_name_is_noticed() {
    let server = server::shared().await;
    let database = server.database().await;
    let unaware = PostgresOptions::parse(&pooler().await.url(&database)).expect("an address");
    let refused = PostgresStore::open(&unaware, OpenMode::ReadWrite).await.err();
    match refused {
        Some(OpenError::Address { detail }) => assert!(detail.contains("pooler=transaction"), "{detail}"),
        other => panic!("must be noticed: {other:?}"),
    }
}

async fn make() -> StoreUnderTest {
    let server = server::shared().await;
    let database = server.database().await;
    let url = format!("{}&pooler=transaction", pooler().await.url(&database));
    under_test(PostgresOptions::parse(&url).expect("an address")).await
}
