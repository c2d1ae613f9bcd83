//! What the operating system is told about a caller's socket.

use std::{net::TcpListener, time::Duration};

use super::{CallerSocket, TcpStream};

fn accepted(user_timeout: Duration) -> (CallerSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    (CallerSocket::new(stream, user_timeout).unwrap(), caller)
}

#[tokio::test]
async fn d8_the_operating_system_gives_a_silent_caller_up_in_seconds() {
    let (socket, _caller) = accepted(Duration::from_secs(12));
    let options = socket2::SockRef::from(socket.fd.get_ref());
    assert_eq!(options.tcp_user_timeout().unwrap(), Some(Duration::from_secs(12)));
    assert!(options.keepalive().unwrap());
    assert_eq!(options.tcp_keepalive_time().unwrap(), Duration::from_secs(6));
    assert_eq!(options.tcp_keepalive_interval().unwrap(), Duration::from_secs(2));
}

#[tokio::test]
async fn a_head_and_a_body_in_two_writes_do_not_wait_for_each_other() {
    let (socket, _caller) = accepted(Duration::from_secs(60));
    assert!(socket.fd.get_ref().nodelay().unwrap());
}

#[tokio::test]
async fn d6_a_fin_behind_unread_bytes_is_seen() {
    use std::{io::Write as _, net::Shutdown};
    let (socket, mut caller) = accepted(Duration::from_secs(60));
    caller.write_all(&[b'x'; 1000]).unwrap();
    let mut gone = std::pin::pin!(std::future::poll_fn(|cx| socket.poll_gone(cx)));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut gone).await;
    assert!(early.is_err(), "bytes are no hang-up");
    caller.shutdown(Shutdown::Write).unwrap();
    tokio::time::timeout(Duration::from_secs(1), gone).await.expect("the FIN is seen");
}
