//! A certificate made at start for the loopback addresses, and the TLS acceptors that use it.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// The certificate of one simulator.
#[derive(Clone)]
pub(crate) struct Certificate {
    /// What a client has to trust.
    pub(crate) pem: String,
    /// Offers `h2` and `http/1.1`.
    pub(crate) http2: TlsAcceptor,
    /// Offers `http/1.1` only.
    pub(crate) http1: TlsAcceptor,
}

impl Certificate {
    pub(crate) fn generate() -> io::Result<Self> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let acceptor = |protocols: &[&[u8]]| -> io::Result<TlsAcceptor> {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .map_err(io::Error::other)?;
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Self {
            pem: made.cert.pem(),
            http2: acceptor(&[b"h2", b"http/1.1"])?,
            http1: acceptor(&[b"http/1.1"])?,
        })
    }
}
