//! Heads and bodies as no well-meaning server would write them.

use tidegate_wire::ErrorClass;

use crate::support::{Backend, CHUNKED, World, await_end, read_request, say};

#[tokio::test]
async fn heads_that_only_announce_are_passed_over() {
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\ncontent-length: 9\r\n\r\n";
    let reply = format!("{0}{0}HTTP/1.1 102\r\n\r\n{CHUNKED}3\r\nabc\r\n0\r\n\r\n", interim);
    let world = World::new(&Backend::saying(reply));
    assert_eq!(world.call().await.unwrap(), b"abc");
    assert_eq!(world.engine.idle_connections(), 1);
}

#[tokio::test]
async fn a_reply_may_come_byte_by_byte() {
    let reply = format!("HTTP/1.1 100\r\n\r\n{CHUNKED}3;x=y\r\nabc\r\n2 \r\nde\r\n0\r\nt: u\r\n\r\n");
    let backend = Backend::start(move |_, mut stream| {
        if read_request(&mut stream) {
            for byte in reply.as_bytes() {
                say(&mut stream, [*byte]);
                std::thread::yield_now();
            }
            await_end(&mut stream);
        }
    });
    let world = World::new(&backend);
    assert_eq!(world.call().await.unwrap(), b"abcde");
    assert_eq!(world.engine.idle_connections(), 1);
}

#[tokio::test]
async fn a_change_of_protocol_is_not_taken() {
    let reply =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
    let error = World::new(&Backend::saying(reply)).call().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Protocol, "{error:?}");
}

#[tokio::test]
async fn something_that_is_not_http_is_known_before_its_end() {
    // None of these ends, and the backend keeps the connection open.
    for said in
        ["SSH-2.0-x\r\n", "\u{16}\u{3}\u{1}", "HTTP/1.1 200 OK\n", "\r\nHTTP/1.1 200 OK\r\n", "<html>"]
    {
        let error = World::new(&Backend::saying(said)).call().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Protocol, "{said:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    for reply in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nhalf".to_owned(),
        format!("{CHUNKED}fffffffffffffff\r\nhalf"),
        format!("{CHUNKED}4\r\nhalf"),
        format!("{CHUNKED}4\r\nhalf\r\n0\r\n"),
    ] {
        let said = reply.clone();
        let backend = Backend::start(move |_, mut stream| {
            read_request(&mut stream);
            say(&mut stream, &reply);
        });
        let error = World::new(&backend).call().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::UpstreamBroke, "{said:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_close_ends_a_body_without_length_and_a_reset_breaks_it() {
    for (reset, ending) in [(false, Ok(b"body".to_vec())), (true, Err(ErrorClass::UpstreamBroke))] {
        let backend = Backend::start(move |_, mut stream| {
            read_request(&mut stream);
            say(&mut stream, "HTTP/1.1 200 OK\r\n\r\nbody");
            if reset {
                socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            }
        });
        let said = World::new(&backend).call().await.map_err(|error| error.class());
        assert_eq!(said, ending);
    }
}
