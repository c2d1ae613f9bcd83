//! What TLS puts between the connection and its bytes: tickets, ends that are said or not, buffers of its own.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use tidegate_engine::ConnectOptions;
use tidegate_wire::ErrorClass;

use crate::support::{
    A_MOMENT, Backend, PATIENCE, Verbatim, World, await_end, pause, read, read_request, read_request_head,
    say, whole,
};

pub(crate) type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A backend behind TLS, and a world that trusts it.
fn secured(script: impl Fn(usize, Tls) + Send + Sync + 'static) -> (Backend, World) {
    let (backend, certificate) = behind_tls(script);
    let options =
        ConnectOptions { ca_file: Some(certificate.path().to_owned()), ..ConnectOptions::default() };
    let world = World::with(&format!("https://{}", backend.address), options);
    (backend, world)
}

/// A backend behind TLS, and its certificate.
pub(crate) fn behind_tls(
    script: impl Fn(usize, Tls) + Send + Sync + 'static,
) -> (Backend, tempfile::NamedTempFile) {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let backend = Backend::start(move |number, stream| {
        script(number, StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream));
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certified.cert.pem().as_bytes()).unwrap();
    (backend, file)
}

#[tokio::test]
async fn tickets_do_not_cost_a_connection() {
    let (backend, world) = secured(|_, mut tls| {
        while read_request(&mut tls) {
            say(&mut tls, whole("ok"));
        }
    });
    for _ in 0..5 {
        assert_eq!(world.call().await.unwrap(), b"ok");
        assert_eq!(world.engine.idle_connections(), 1);
        pause(A_MOMENT / 10);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn only_an_end_that_was_said_ends_a_body_without_length() {
    for (said, ending) in [(true, Ok(b"body".to_vec())), (false, Err(ErrorClass::UpstreamBroke))] {
        let (_backend, world) = secured(move |_, mut tls| {
            read_request(&mut tls);
            say(&mut tls, "HTTP/1.1 200 OK\r\n\r\nbody");
            if said {
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        });
        assert_eq!(world.call().await.map_err(|error| error.class()), ending);
    }
}

#[tokio::test]
async fn an_idle_connection_whose_end_was_said_is_not_used_again() {
    let (backend, world) = secured(|number, mut tls| {
        read_request(&mut tls);
        say(&mut tls, whole(&number.to_string()));
        pause(A_MOMENT);
        tls.conn.send_close_notify();
        let _ = tls.flush();
        // The socket itself stays open.
        await_end(&mut tls.sock);
    });
    for call in 0..3 {
        assert_eq!(world.call().await.unwrap(), call.to_string().as_bytes());
        tokio::time::sleep(A_MOMENT * 2).await;
    }
    assert_eq!(backend.connections(), 3);
}

#[tokio::test]
async fn an_answer_to_no_request_is_nobodys_behind_tls() {
    // In one record with the answer; the same where the answer fills what is read at once, so that the rest has been
    // decrypted and not been read; in a record right behind it; and later.
    for way in 0..4 {
        let (_backend, world) = secured(move |number, mut tls| {
            read_request(&mut tls);
            let length = if way == 1 { FIRST_READ - whole("").len() - 3 } else { 1 };
            let (answer, unasked) = (whole(&format!("{number:<length$}")), whole("unasked"));
            assert!(way != 1 || answer.len() == FIRST_READ);
            if way < 2 {
                say(&mut tls, format!("{answer}{unasked}"));
            } else {
                say(&mut tls, answer);
                pause(A_MOMENT * (way - 2));
                say(&mut tls, unasked);
            }
            await_end(&mut tls);
        });
        for call in 0..3 {
            let answer = String::from_utf8(world.call().await.unwrap()).unwrap();
            assert_eq!(answer.trim_end(), call.to_string(), "way {way}");
            tokio::time::sleep(A_MOMENT * 2).await;
        }
    }
}

#[tokio::test]
async fn large_bodies_go_both_ways_whoever_is_slow() {
    const LARGE: usize = 4 << 20;
    let (_backend, world) = secured(|_, mut tls| {
        while let Some(length) = read_request_head(&mut tls) {
            let mut left = length as usize;
            say(&mut tls, format!("HTTP/1.1 200 OK\r\ncontent-length: {left}\r\n\r\n"));
            let mut piece = vec![0; 50_000];
            while left > 0 {
                let read = tls.read(&mut piece).unwrap();
                tls.write_all(&piece[..read]).unwrap();
                left -= read;
            }
        }
    });
    for _ in 0..2 {
        let exchange = world.start(vec![b'x'; LARGE]).await.unwrap();
        assert_eq!(read(exchange).await.unwrap(), vec![b'x'; LARGE]);
        assert_eq!(world.engine.idle_connections(), 1);
    }
}

#[tokio::test]
async fn the_end_of_a_request_does_not_stay_in_the_buffers_of_tls() {
    let (_backend, world) = secured(|_, mut tls| {
        pause(A_MOMENT);
        if read_request(&mut tls) {
            say(&mut tls, whole("ok"));
        }
    });
    // For some of these the socket is full when the last of it has been encrypted.
    for size in (64..640).step_by(24) {
        assert_eq!(read(world.start(vec![b'x'; size << 10]).await.unwrap()).await.unwrap(), b"ok", "{size}");
        tokio::time::sleep(A_MOMENT / 10).await;
    }
}

#[tokio::test]
async fn a_refusal_before_the_request_was_read_is_heard_behind_tls() {
    let (_backend, world) = secured(|_, mut tls| {
        read_request_head(&mut tls);
        say(&mut tls, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
        pause(A_MOMENT);
    });
    let error = world.failure(vec![b'x'; 16 << 20]).await;
    assert_eq!(error.upstream_status(), Some(413), "{error:?}");
    assert_eq!(world.engine.idle_connections(), 0);
}

#[tokio::test]
async fn a_flood_does_not_stop_the_clocks() {
    // It is read slower than it comes.
    let (_backend, mut world) = secured(|_, mut tls| {
        read_request(&mut tls);
        say(&mut tls, "HTTP/1.1 200 OK\r\n\r\n");
        while tls.write_all(&[b'x'; 64 * 1024]).is_ok() {}
    });
    world.target.clocks.total = Duration::from_millis(300);
    let began = Instant::now();
    let slow = Verbatim::slow(Duration::from_millis(2));
    let error = read(world.start_with("{}", slow).await.unwrap()).await.unwrap_err();
    assert_eq!(error.code(), Some("timeout_total"), "{error:?}");
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
}

/// What is read at once on a fresh connection, in bytes.
const FIRST_READ: usize = 4096;
