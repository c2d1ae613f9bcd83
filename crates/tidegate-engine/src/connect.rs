//! From an origin to a connection: resolving, TCP (both address families), proxy, TLS, and which HTTP version was agreed.
//!
//! The addresses, happy eyeballs and the CONNECT tunnel are hyper-util's, TLS is rustls'. Everything here is a future that
//! the call owns: dropped in the middle, the socket is closed.

use std::{
    io,
    mem::MaybeUninit,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::{Intercept, Matcher},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tidegate_wire::{ErrorClass, WireError};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use crate::{
    addresses::{Networks, Resolver},
    connection::{Connection, H1Connection, H2Handle},
    pool::Origin,
};

/// How connections are made.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// PEM file with certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured.
    pub proxy_from_env: bool,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Unacknowledged for this long, a connection is dead (TCP_USER_TIMEOUT).
    pub user_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            ca_file: None,
            proxy_from_env: true,
            idle_timeout: crate::DEFAULT_IDLE_TIMEOUT,
            // Some fifteen retransmissions' worth on a healthy path; a stalled model still acknowledges.
            user_timeout: Duration::from_secs(30),
        }
    }
}

/// HTTP version to speak with a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// What TLS agrees on (ALPN); HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS by prior knowledge.
    Http2,
}

pub(crate) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: [TlsConnector; 3],
    proxies: Option<Matcher>,
}

impl Connector {
    pub(crate) fn new(options: &ConnectOptions) -> Result<Self, WireError> {
        Self::resolving(options, Resolver::new(None))
    }

    /// One that goes where a caller says: to public addresses and `networks` alone, and never by a proxy. Addresses that stand in a URL
    /// are the caller of this to check.
    pub(crate) fn guarded(options: &ConnectOptions, networks: Networks) -> Result<Self, WireError> {
        let direct = ConnectOptions { proxy_from_env: false, ..options.clone() };
        Self::resolving(&direct, Resolver::new(Some(networks)))
    }

    fn resolving(options: &ConnectOptions, resolver: Resolver) -> Result<Self, WireError> {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.set_tcp_user_timeout(Some(options.user_timeout));
        let roots = Arc::new(roots(options)?);
        let tls = |protocols: &[&str]| tls_connector(&roots, protocols);
        Ok(Self {
            tcp,
            tls: [tls(&["h2", "http/1.1"])?, tls(&["http/1.1"])?, tls(&["h2"])?],
            proxies: options.proxy_from_env.then(Matcher::from_env),
        })
    }

    /// A fresh connection to `origin`.
    ///
    /// # Cancel safety
    /// Dropping the future closes whatever has been opened.
    pub(crate) async fn connect(
        &self,
        origin: &Origin,
        version: HttpVersion,
    ) -> Result<Connection, WireError> {
        let tcp = self.open(origin).await?;
        let (stream, agreed_h2) = if origin.is_https() {
            Box::pin(self.secure(origin, version, tcp)).await?
        } else {
            (Stream::Plain(tcp), version == HttpVersion::Http2)
        };
        if agreed_h2 {
            Ok(Connection::H2(Box::pin(H2Handle::handshake(stream)).await?))
        } else {
            Ok(Connection::H1(H1Connection::new(stream)))
        }
    }

    /// The proxy that plain-HTTP requests to `origin` go through, if any: they need the absolute form.
    pub(crate) fn plain_proxy(&self, origin: &Origin) -> Option<Intercept> {
        if origin.is_https() { None } else { self.proxy(origin) }
    }

    fn proxy(&self, origin: &Origin) -> Option<Intercept> {
        self.proxies.as_ref()?.intercept(origin.uri())
    }

    async fn open(&self, origin: &Origin) -> Result<TcpStream, WireError> {
        let mut tcp = self.tcp.clone();
        let proxy = self.proxy(origin);
        if let Some(scheme) = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str())
            && scheme != "http"
        {
            let message = format!(
                "the environment names a proxy of scheme `{scheme}`; only http:// proxies can be used"
            );
            return Err(WireError::new(ErrorClass::Internal, message));
        }
        let opened = match proxy {
            None => call(&mut tcp, origin.uri().clone()).await?,
            Some(proxy) if origin.is_https() => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Box::pin(call(&mut tunnel, origin.uri().clone())).await?
            }
            Some(proxy) => call(&mut tcp, proxy.uri().clone()).await?,
        };
        let stream = opened.into_inner();
        // Refusing the option costs promptness only: more would wait in the kernel for a backend that does not read.
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        Ok(stream)
    }

    async fn secure(
        &self,
        origin: &Origin,
        version: HttpVersion,
        tcp: TcpStream,
    ) -> Result<(Stream, bool), WireError> {
        let host = origin.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| unreachable_backend(format!("`{host}` is not a server name")))?;
        let [auto, http1, http2] = &self.tls;
        let connector = match version {
            HttpVersion::Auto => auto,
            HttpVersion::Http1 => http1,
            HttpVersion::Http2 => http2,
        };
        let stream = connector
            .connect(name, tcp)
            .await
            .map_err(|error| unreachable_backend(format!("TLS with `{host}` failed: {error}")))?;
        let agreed_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if version == HttpVersion::Http2 && !agreed_h2 {
            return Err(unreachable_backend(format!("`{host}` does not speak HTTP/2")));
        }
        Ok((Stream::Tls(Box::new(stream)), agreed_h2))
    }
}

async fn call<S>(service: &mut S, uri: Uri) -> Result<S::Response, WireError>
where
    S: Service<Uri>,
    S::Error: std::error::Error + 'static,
{
    let failed = |error: &dyn std::error::Error| {
        let mut message = format!("no connection to the backend: {error}");
        if let Some(cause) = error.source() {
            message.push_str(&format!(": {cause}"));
        }
        unreachable_backend(message)
    };
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| failed(&error))?;
    service.call(uri).await.map_err(|error| failed(&error))
}

fn unreachable_backend(message: String) -> WireError {
    WireError::new(ErrorClass::Connect, message)
}

fn roots(options: &ConnectOptions) -> Result<rustls::RootCertStore, WireError> {
    let mut roots = rustls::RootCertStore::empty();
    // A system without a store can still reach plain-HTTP backends, and those of a custom CA.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &options.ca_file {
        let unusable = |error: String| {
            WireError::new(ErrorClass::Internal, format!("CA file `{}`: {error}", path.display()))
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    Ok(roots)
}

fn tls_connector(roots: &Arc<rustls::RootCertStore>, protocols: &[&str]) -> Result<TlsConnector, WireError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WireError::new(ErrorClass::Internal, format!("TLS set-up: {error}")))?
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A byte stream to a backend.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Resets the connection now. A close would free first what is queued in both directions, hundreds of kilobytes at
    /// times, and then send a FIN that queues behind bytes which the backend does not read.
    pub(crate) fn reset(&self) {
        #[cfg(target_os = "linux")]
        if rustix::net::connect_unspec(self.tcp()).is_ok() {
            return;
        }
        // The close that follows is a reset then. A socket that refuses the option is closed all the same, only later.
        let _ = socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the peer has neither sent anything nor closed. Asks the operating system: a runtime that had other things to
    /// do since it last looked does not know yet.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = socket2::SockRef::from(self.tcp()).peek(&mut byte);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Bytes that the kernel takes beyond what the backend's window admits. A pipe this full never runs dry, and a caller's
/// hang-up finds little to throw away.
const UNSENT: u32 = 128 * 1024;
