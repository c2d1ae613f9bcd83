//! Backends that never stop.

use std::{io::Write as _, time::Instant};

use tidegate_wire::ErrorClass;

use crate::support::{Backend, CHUNKED, PATIENCE, World, await_end, read_request, say};

/// After `head`, `piece` again and again until the engine closes.
fn flood(head: &'static str, piece: impl AsRef<[u8]> + Send + Sync + 'static) -> Backend {
    Backend::start(move |_, mut stream| {
        read_request(&mut stream);
        say(&mut stream, head);
        while stream.write_all(piece.as_ref()).is_ok() {}
    })
}

#[tokio::test]
async fn heads_that_only_announce_are_bounded() {
    let began = Instant::now();
    for piece in
        ["HTTP/1.1 100\r\n\r\n".to_owned(), "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(500)]
    {
        let error = World::new(&flood("", piece)).call().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Protocol, "{error:?}");
    }
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
}

#[tokio::test]
async fn framing_that_never_ends_is_bounded() {
    for (head, piece) in [
        ("", "HTTP/1.1 200 OK\r\nx: "),
        ("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "x"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1", " "),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n"),
    ] {
        let error = World::new(&flood(head, piece.repeat(2_000))).call().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Protocol, "{head:?} {piece:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_million_chunks_of_one_byte_are_read_in_time() {
    const CHUNKS: usize = 1_000_000;
    let backend = Backend::start(|_, mut stream| {
        read_request(&mut stream);
        say(&mut stream, CHUNKED);
        let piece = b"1\r\nx\r\n".repeat(CHUNKS / 100);
        for _ in 0..100 {
            say(&mut stream, &piece);
        }
        say(&mut stream, "0\r\n\r\n");
        await_end(&mut stream);
    });
    let world = World::new(&backend);
    let began = Instant::now();
    assert_eq!(world.call().await.unwrap(), vec![b'x'; CHUNKS]);
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
    assert_eq!(world.engine.idle_connections(), 1);
}
