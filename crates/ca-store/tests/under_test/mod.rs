//! A PostgreSQL store as the contract suite wants it.

use std::sync::Arc;
use std::time::Duration;

use ca_engine::fake::FakeVault;
use ca_engine::fake::contract::store::StoreUnderTest;
use ca_engine::port::store::Store;
use ca_store::{OpenMode, PostgresOptions, PostgresStore};

/// The store at an address, with a key for personal data; its time passes as it does.
pub(crate) async fn under_test(options: PostgresOptions) -> StoreUnderTest {
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
    let store = PostgresStore::open(options, OpenMode::ReadWrite).await.expect("opens");
    store.hold_personal_data(Arc::new(FakeVault::new(1))).await.expect("a key");
    store
}
