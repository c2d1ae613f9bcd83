//! Fetching what a caller's request names by URL, for backends that take bytes alone.
//!
//! A URL comes from outside, so it is not trusted: the operator says which hosts may be asked, and only public addresses and
//! networks of the operator's are connected to, after every redirect anew. Bounded in size, time and redirects. Never sends a
//! credential, never uses a proxy, never keeps a connection. Called by the gateway.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use ipnet::IpNet;
use tidegate_wire::{
    ErrorClass, WireError,
    http1::{HeadReader, RequestHead},
};
use url::{Host, Url};

use crate::{
    ConnectOptions, HttpVersion, Origin,
    addresses::{Networks, is_allowed},
    connect::Connector,
    connection::{Body, Connection, Home},
    pool::Pool,
};

/// What may be fetched.
#[derive(Clone, Debug)]
pub struct FetchRules {
    /// Hosts: `*` is every one, `*.example.com` every one below, `example.com:8080` one with a port other than its scheme's own.
    pub hosts: Vec<String>,
    /// Networks that may be connected to besides public addresses.
    pub networks: Vec<IpNet>,
    /// Most bytes of one document.
    pub size: usize,
    /// For one document, redirects included.
    pub time: Duration,
}

/// Fetches by rules.
pub struct Fetcher {
    connector: Connector,
    /// Of no other use: connections are closed once read.
    pool: Arc<Pool>,
    rules: FetchRules,
    networks: Networks,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its MIME type without parameters.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Fetcher {
    /// A fetcher by `rules`. Of `options` the CA file and the time that a dead connection is kept count.
    ///
    /// # Errors
    /// As [`crate::Engine::new`].
    pub fn new(options: &ConnectOptions, rules: FetchRules) -> Result<Self, WireError> {
        let networks: Networks = rules.networks.clone().into();
        let connector = Connector::guarded(options, networks.clone())?;
        Ok(Self { connector, pool: Arc::new(Pool::new(Duration::ZERO)), rules, networks })
    }

    /// Fetches `url`.
    ///
    /// # Errors
    /// [`ErrorClass::BadRequest`], saying why, with no more of the URL than its host: not allowed, not there, too large, too slow, of
    /// no known type.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn fetch(&self, url: &str) -> Result<Fetched, WireError> {
        let mut url = Url::parse(url).map_err(|error| refused(format!("it is not a URL: {error}")))?;
        let fetched = async {
            for _ in 0..=MOST_REDIRECTS {
                match self.get(&url).await? {
                    Got::Document(fetched) => return Ok(fetched),
                    Got::Elsewhere(next) => url = next,
                }
            }
            Err(refused(format!("it leads through more than {MOST_REDIRECTS} redirects")))
        };
        match tokio::time::timeout(self.rules.time, fetched).await {
            Ok(fetched) => fetched,
            Err(_) => Err(refused(format!("it took longer than {} s", self.rules.time.as_secs_f64()))),
        }
    }

    async fn get(&self, url: &Url) -> Result<Got, WireError> {
        let authority = self.allowed(url)?;
        let origin = Origin::of(&format!("{}://{authority}", url.scheme()))?;
        let connection = Box::pin(self.connector.connect(&origin, HttpVersion::Http1)).await;
        let connection = connection.map_err(|error| from_backend(&authority, &error))?;
        let Connection::H1(connection) = connection else {
            return Err(refused(format!("{authority} does not speak HTTP/1.1")));
        };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut head = RequestHead::new(&Method::GET, path, &authority);
        head.field(&header::ACCEPT, &http::HeaderValue::from_static("*/*"));
        head.field(&header::CONNECTION, &http::HeaderValue::from_static("close"));
        let home = Home { pool: self.pool.clone(), origin };
        let sent = connection.send(head.finish(0), Bytes::new(), home, HeadReader::default()).await;
        let (head, body) = sent
            .map_err(|error| from_backend(&authority, &error))?
            .map_err(|_| refused(format!("{authority} closed the connection")))?;
        let headers = head.headers.into_map();
        match head.status {
            StatusCode::OK if is_encoded(&headers) => {
                Err(refused(format!("{authority} sent it compressed, unasked")))
            }
            StatusCode::OK => {
                let bytes = self.read(&authority, body).await?;
                let media_type = media_type(&headers, &bytes).ok_or_else(|| {
                    refused(format!(
                        "what {authority} sent is neither an image, nor a document, nor sound, nor text"
                    ))
                })?;
                Ok(Got::Document(Fetched { media_type, bytes }))
            }
            status if status.is_redirection() => {
                let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
                let next = location.and_then(|location| url.join(location).ok());
                next.map(Got::Elsewhere).ok_or_else(|| refused(format!("{authority} redirects to nowhere")))
            }
            status => Err(refused(format!("{authority} answered with status {}", status.as_u16()))),
        }
    }

    /// Host and port to connect to, if the rules allow it.
    fn allowed(&self, url: &Url) -> Result<String, WireError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("only http and https are fetched".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it has a user's name in it".to_owned()));
        }
        let (Some(host), Some(name)) = (url.host(), url.host_str()) else {
            return Err(refused("it has no host".to_owned()));
        };
        // `port` leaves out the scheme's own.
        let authority = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        if !self.rules.hosts.iter().any(|rule| covers(rule, name, &authority)) {
            return Err(refused(format!("{authority} is not one of the hosts that may be asked")));
        }
        // Names are looked at when they are looked up.
        let address = match host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        };
        if address.is_some_and(|address| !is_allowed(address, &self.networks)) {
            return Err(refused(format!("{authority} is not an address that may be called")));
        }
        Ok(authority)
    }

    async fn read(&self, authority: &str, mut body: Body) -> Result<Bytes, WireError> {
        let mut read = BytesMut::new();
        while let Some(piece) = std::future::poll_fn(|cx| body.poll_data(cx)).await {
            let piece = piece.map_err(|error| from_backend(authority, &error))?;
            if read.len() + piece.len() > self.rules.size {
                return Err(refused(format!(
                    "what {authority} sends is larger than {} bytes",
                    self.rules.size
                )));
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    }
}

enum Got {
    Document(Fetched),
    Elsewhere(Url),
}

/// Whether a rule is about this host. `name` is in lower case, as URLs have it.
fn covers(rule: &str, name: &str, authority: &str) -> bool {
    let plain = name == authority;
    match rule.strip_prefix('*') {
        Some("") => plain,
        Some(below) => plain && below.starts_with('.') && name.len() > below.len() && name.ends_with(below),
        None => authority.eq_ignore_ascii_case(rule),
    }
}

/// Whether the bytes are not the document's own. None was asked for, and a small one may be a large document.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// What the server calls it, else what its first bytes say. `None`: nothing that a model takes.
fn media_type(headers: &HeaderMap, bytes: &[u8]) -> Option<String> {
    let told = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let told = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = [
        "image/",
        "audio/",
        "video/",
        "text/",
        "application/pdf",
        "application/json",
        "application/msword",
        "application/vnd.",
    ];
    if known.iter().any(|start| told.starts_with(start)) {
        return Some(told);
    }
    if !matches!(&*told, "" | "application/octet-stream" | "binary/octet-stream") {
        return None;
    }
    let begins = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, kind)| *kind);
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    begins.or(webp.then_some("image/webp")).map(str::to_owned)
}

fn refused(why: String) -> WireError {
    WireError::new(ErrorClass::BadRequest, format!("the URL can't be fetched: {why}"))
        .with_code("url_not_fetched")
}

fn from_backend(authority: &str, error: &WireError) -> WireError {
    refused(format!("{authority}: {}", error.message()))
}

const MOST_REDIRECTS: usize = 3;
const MAGIC: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
];

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener},
        thread::{self, JoinHandle},
    };

    use super::*;

    fn rules(hosts: &[&str], networks: &[&str]) -> FetchRules {
        FetchRules {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            size: 1000,
            time: Duration::from_secs(5),
        }
    }

    fn fetcher(rules: FetchRules) -> Fetcher {
        Fetcher::new(&ConnectOptions::default(), rules).unwrap()
    }

    fn fetch(rules: FetchRules, url: &str) -> Result<Fetched, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fetcher(rules).fetch(url)).map_err(|error| {
            assert_eq!((error.class(), error.code()), (ErrorClass::BadRequest, Some("url_not_fetched")));
            error.message().to_owned()
        })
    }

    /// A server that gives these answers, one for each connection, and returns what it was asked.
    fn server(answers: Vec<String>) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = move || {
            let answer = |answer: String| {
                let (mut socket, _) = listener.accept().unwrap();
                let mut asked = [0; 2000];
                let length = socket.read(&mut asked).unwrap();
                // The reader may have had enough of it.
                let _ = socket.write_all(answer.replace("PORT", &address.port().to_string()).as_bytes());
                String::from_utf8_lossy(&asked[..length]).into_owned()
            };
            answers.into_iter().map(answer).collect()
        };
        (address, thread::spawn(serve))
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_document_is_fetched() {
        let (address, served) = server(vec![answer("200 OK\r\ncontent-type: Image/PNG; x=y", "bytes")]);
        let fetched =
            fetch(rules(&[&address.to_string()], &["127.0.0.0/8"]), &format!("http://{address}/a%20b?c=d#e"));
        assert_eq!(
            fetched,
            Ok(Fetched { media_type: "image/png".to_owned(), bytes: Bytes::from_static(b"bytes") })
        );
        let asked = served.join().unwrap().remove(0);
        assert!(asked.starts_with(&format!("GET /a%20b?c=d HTTP/1.1\r\nhost: {address}\r\n")), "{asked}");
        assert!(!asked.to_lowercase().contains("authorization"));
    }

    #[test]
    fn what_leads_inside_is_not_called() {
        for url in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            let error = fetch(rules(&["*"], &[]), url).unwrap_err();
            assert!(error.contains("not an address that may be called"), "{url}: {error}");
        }
        let error = fetch(rules(&["*"], &[]), "http://localhost/").unwrap_err();
        assert!(error.contains("leads to no address that may be called"), "{error}");
    }

    #[test]
    fn a_redirect_is_checked_anew() {
        let (address, served) = server(vec![answer("302 Found\r\nlocation: http://127.0.0.2:PORT/", "")]);
        let error =
            fetch(rules(&[&address.to_string(), "*"], &["127.0.0.1/32"]), &format!("http://{address}/"))
                .unwrap_err();
        assert!(error.contains("is not one of the hosts"), "{error}");
        served.join().unwrap();
        let image = answer("200 OK", "\u{0}").replace('\u{0}', "GIF89a");
        let (address, served) =
            server(vec![answer("307 T\r\nlocation: /next", ""), image.replace("length: 1", "length: 6")]);
        let fetched = fetch(rules(&[&address.to_string()], &["127.0.0.0/8"]), &format!("http://{address}/"));
        assert_eq!(fetched.map(|fetched| fetched.media_type), Ok("image/gif".to_owned()));
        assert!(served.join().unwrap()[1].starts_with("GET /next "));
    }

    #[test]
    fn redirects_end() {
        let again = answer("302 Found\r\nlocation: /", "");
        let (address, served) = server(vec![again; MOST_REDIRECTS + 1]);
        let error = fetch(rules(&[&address.to_string()], &["127.0.0.0/8"]), &format!("http://{address}/"))
            .unwrap_err();
        assert!(error.contains("redirects"), "{error}");
        served.join().unwrap();
    }

    #[test]
    fn what_is_too_large_or_of_no_use_is_refused() {
        let cases = [
            (answer("200 OK\r\ncontent-type: image/png", &"x".repeat(1001)), "larger than 1000 bytes"),
            (answer("200 OK\r\ncontent-type: application/zip", "PK"), "neither an image"),
            (answer("200 OK", "no magic"), "neither an image"),
            (answer("404 Not Found", "secret"), "status 404"),
            (answer("200 OK\r\ncontent-type: image/png\r\ncontent-encoding: gzip", "x"), "compressed"),
            (
                "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 9\r\n\r\nhalf".to_owned(),
                "backend",
            ),
        ];
        for (reply, why) in cases {
            let (address, served) = server(vec![reply]);
            let error =
                fetch(rules(&[&address.to_string()], &["127.0.0.0/8"]), &format!("http://{address}/"))
                    .unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
            served.join().unwrap();
        }
    }

    #[test]
    fn it_ends_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let quick = FetchRules {
            time: Duration::from_millis(50),
            ..rules(&[&address.to_string()], &["127.0.0.0/8"])
        };
        assert!(fetch(quick, &format!("http://{address}/")).unwrap_err().contains("longer than 0.05 s"));
    }

    #[test]
    fn urls_of_other_kinds_are_refused() {
        let cases = [
            ("file:///etc/passwd", "only http and https"),
            ("ftp://example.com/", "only http and https"),
            ("http://user:password@example.com/", "a user's name"),
            ("not a url", "not a URL"),
            ("http://example.com:8080/", "not one of the hosts"),
        ];
        for (url, why) in cases {
            let error = fetch(rules(&["*"], &[]), url).unwrap_err();
            assert!(error.contains(why) && !error.contains("password"), "{url}: {error}");
        }
    }

    #[test]
    fn a_rule_covers_what_it_says() {
        assert!(covers("*", "a.b", "a.b") && !covers("*", "a.b", "a.b:81"));
        assert!(covers("*.b", "a.b", "a.b") && !covers("*.b", "b", "b") && !covers("*.b", "ab", "ab"));
        assert!(covers("A.b:81", "a.b", "a.b:81") && !covers("a.b", "a.b", "a.b:81"));
    }
}
