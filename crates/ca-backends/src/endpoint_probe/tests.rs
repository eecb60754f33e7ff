//! Looks at servers of rustls: what they show by name, in both versions of TLS, also where they want a certificate of the client.

use std::net::SocketAddr;

use rustls::server::{ResolvesServerCertUsingSni, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate for a name that nobody trusts, and its key.
fn certified(name: &str) -> (Vec<u8>, CertifiedKey) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key");
    let der = made.cert.der().clone();
    (der.to_vec(), CertifiedKey::new(vec![der], key))
}

/// A server that shows a certificate for each of its names, and wants one of its clients where it `wants_one`.
async fn server(
    names: Vec<(&str, CertifiedKey)>,
    version: &'static SupportedProtocolVersion,
    wants_one: bool,
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut by_name = ResolvesServerCertUsingSni::new();
    let mut roots = RootCertStore::empty();
    for (name, key) in names {
        roots.add(key.cert[0].clone()).expect("a root");
        by_name.add(name, key).expect("its name");
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]);
    let builder = builder.expect("a version");
    let builder = match wants_one {
        true => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
        false => builder.with_no_client_auth(),
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_cert_resolver(Arc::new(by_name))));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { drop(acceptor.accept(stream).await) });
        }
    });
    address
}

fn endpoint(address: SocketAddr, server_name: Option<&str>) -> EndpointDefinition {
    EndpointDefinition {
        address: address.to_string(),
        server_name: server_name.map(str::to_owned),
        within: "10m".to_owned(),
    }
}

#[tokio::test]
async fn tells_what_is_shown_by_name_whoever_trusts_it() {
    let ((one, one_key), (other, other_key)) = (certified("one.example.com"), certified("other.example.com"));
    let names = vec![("one.example.com", one_key), ("other.example.com", other_key)];
    let address = server(names, &TLS13, false).await;
    assert_eq!(TlsProbe.served(&endpoint(address, Some("one.example.com"))).await, Ok(vec![one]));
    assert_eq!(TlsProbe.served(&endpoint(address, Some("other.example.com"))).await, Ok(vec![other]));
    let nothing = TlsProbe.served(&endpoint(address, None)).await.expect_err("an address has no name to choose by");
    assert!(nothing.detail.starts_with("no TLS: "), "{nothing}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_shows_its_own_all_the_same() {
    for version in [&TLS12, &TLS13] {
        let (one, key) = certified("one.example.com");
        let address = server(vec![("one.example.com", key)], version, true).await;
        assert_eq!(TlsProbe.served(&endpoint(address, Some("one.example.com"))).await, Ok(vec![one]), "{version:?}");
    }
}

#[tokio::test]
async fn a_server_without_the_key_of_what_it_shows_shows_nothing() {
    for version in [&TLS12, &TLS13] {
        let ((_, mut key), (_, other)) = (certified("one.example.com"), certified("one.example.com"));
        key.key = other.key;
        let address = server(vec![("one.example.com", key)], version, false).await;
        let error = TlsProbe.served(&endpoint(address, Some("one.example.com"))).await.expect_err("no proof");
        assert!(error.detail.starts_with("no TLS: "), "{error}");
    }
}

#[tokio::test]
async fn where_nothing_listens_or_nothing_speaks_tls_it_says_so() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let error = TlsProbe.served(&endpoint(address, Some("one.example.com"))).await.expect_err("no TLS");
    assert!(error.detail.starts_with("no TLS: ") && error.to_string().contains(&address.to_string()), "{error}");
    // Port 1 of the loopback interface: nobody listens there.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let error = TlsProbe.served(&endpoint(nobody, None)).await.expect_err("nobody");
    assert!(error.detail.starts_with("no connection: "), "{error}");
    let wrong = EndpointDefinition { address: "nowhere".to_owned(), server_name: None, within: "1m".to_owned() };
    assert!(TlsProbe.served(&wrong).await.expect_err("no address").detail.contains("host:port"));
}
