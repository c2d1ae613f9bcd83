//! The hang-up, from the backend's side: the socket is gone before the drop returns, and by a reset.

use std::{sync::mpsc::sync_channel, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use crate::support::{
    A_MOMENT, Backend, CHUNKED, PATIENCE, World, await_end, pause, read_request_head, say, sockets_to,
};

/// What the backend has said when the caller leaves, and whether it has read the request's body.
const PHASES: [(&str, bool); 9] = [
    ("", false),
    ("", true),
    ("HTTP/1.1 100 Continue\r\n\r\n", true),
    ("HTTP/1.1 200 OK\r\ntransfer-enc", true),
    (CHUNKED, true),
    (CHUNKED, false),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf", true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n9;x", true),
    ("HTTP/1.1 200 OK\r\n\r\nhalf", true),
];

#[tokio::test]
async fn a_drop_in_any_phase_resets_the_backend_before_it_returns() {
    for (said, reads) in PHASES {
        let (ended, end) = sync_channel(1);
        let backend = Backend::start(move |_, mut stream| {
            let length = read_request_head(&mut stream).unwrap();
            if reads {
                let mut body = std::io::Read::take(&mut stream, length);
                std::io::copy(&mut body, &mut std::io::sink()).unwrap();
            }
            say(&mut stream, said);
            if !reads {
                pause(A_MOMENT * 4);
            }
            ended.send(await_end(&mut stream)).unwrap();
        });
        let world = World::new(&backend);
        let mut call = Box::pin(async {
            let mut exchange = world.start(Bytes::from(vec![b'x'; 16 << 20])).await.unwrap();
            while let Some(piece) = exchange.next().await {
                piece.unwrap();
            }
        });
        let wait = if reads { Duration::from_millis(300) } else { A_MOMENT };
        timeout(wait, &mut call).await.unwrap_err();
        assert_eq!(sockets_to(backend.address), 1, "{said:?}");
        drop(call);
        assert_eq!(sockets_to(backend.address), 0, "{said:?}, {reads}");
        assert!(end.recv_timeout(PATIENCE).unwrap(), "{said:?}, {reads}: no reset");
    }
}
