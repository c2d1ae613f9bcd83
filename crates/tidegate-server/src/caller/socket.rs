//! A caller's socket, below hyper's buffer.
//!
//! Read readiness is consumed here and kept as a flag, so that data which hyper does not want yet can't hide what comes
//! behind it: the next readiness event, a FIN or RST among them, is always waited for. Never interprets a byte.
//!
//! Invariants: `data_waiting` is true if a read may succeed at once; read-closed, once reported by the operating system,
//! stays reported.

use std::{
    io::{self, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready, unix::AsyncFd};

/// A caller's socket, shared by hyper (through [`CallerIo`]) and the watch for a hang-up. Both are polled by one task.
pub(crate) struct CallerSocket {
    fd: AsyncFd<TcpStream>,
    data_waiting: AtomicBool,
    /// Whether the last write found the send buffer full.
    write_blocked: AtomicBool,
    /// Whether bytes have been read since the last request was answered.
    read_since_request: AtomicBool,
    /// Bytes of replies that were handed to hyper and not written since: what it holds itself. Framing that was written
    /// counts against it, so that it is a little less.
    held: AtomicU64,
}

impl CallerSocket {
    /// Takes over an accepted, non-blocking socket.
    pub(crate) fn new(stream: TcpStream, user_timeout: Duration) -> io::Result<Self> {
        // A head and a small body in two writes would wait for the peer's delayed acknowledgement: 40 ms a call.
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_user_timeout(Some(user_timeout))?;
        socket.set_tcp_keepalive(&keepalive(user_timeout))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
        #[expect(
            unsafe_code,
            reason = "registering a descriptor has a contract that the compiler can't check"
        )]
        let registered = {
            // SAFETY: the `TcpStream` owns an open descriptor and is moved into the `AsyncFd`, which lives and dies with it;
            // it is reached by shared reference only, so it is neither closed nor replaced meanwhile.
            unsafe { AsyncFd::register_with_interest(stream, Interest::READABLE | Interest::WRITABLE) }
        };
        let fd = registered.map_err(|error| error.into_parts().1)?;
        Ok(Self {
            fd,
            data_waiting: AtomicBool::new(false),
            write_blocked: AtomicBool::new(false),
            read_since_request: AtomicBool::new(false),
            held: AtomicU64::new(0),
        })
    }

    /// Ready once the caller has closed or reset, or the network to it is known to be dead.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.fd.poll_read_ready(cx)) {
                Ok(guard) if guard.ready().is_read_closed() => return Poll::Ready(()),
                Ok(mut guard) => {
                    self.data_waiting.store(true, Ordering::Relaxed);
                    guard.clear_ready_matching(Ready::READABLE);
                }
                // The runtime is shutting down.
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Returns once the connection has failed: reset, or given up by the operating system. A FIN is no failure.
    pub(crate) async fn failed(&self) {
        // An error means that the runtime is shutting down.
        let _ = self.fd.ready(Interest::ERROR).await;
    }

    /// A request has been answered.
    pub(crate) fn request_done(&self) {
        self.read_since_request.store(false, Ordering::Relaxed);
    }

    /// Whether bytes have been read since the last request was answered.
    pub(crate) fn has_read_since_request(&self) -> bool {
        self.read_since_request.load(Ordering::Relaxed)
    }

    /// Whether everything that hyper has given us is in the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.write_blocked.load(Ordering::Relaxed)
    }

    /// Bytes of a reply are hyper's to write from now on.
    pub(crate) fn handed_over(&self, bytes: usize) {
        self.held.store(self.held.load(Ordering::Relaxed).saturating_add(bytes as u64), Ordering::Relaxed);
    }

    /// Bytes that the caller's side has not acknowledged: in the kernel, or not even there.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.in_kernel().saturating_add(self.held.load(Ordering::Relaxed))
    }

    fn in_kernel(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: TIOCOUTQ (SIOCOUTQ) on a socket writes one c_int to the given address, which is that of a live, aligned
        // local; the descriptor is open for as long as `self` lives.
        #[expect(unsafe_code, reason = "no safe wrapper of SIOCOUTQ exists")]
        let status = unsafe { libc::ioctl(self.fd.get_ref().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if status == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
    }

    /// Waits until bytes are there that it has not shown yet and shows all, up to `buffer.len()`, without taking them. Says
    /// how many and whether no more will come.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        loop {
            let mut guard = self.fd.readable().await?;
            let closed = guard.ready().is_read_closed();
            match self.fd.get_ref().peek(buffer) {
                Ok(seen) => {
                    self.data_waiting.store(true, Ordering::Relaxed);
                    if seen < buffer.len() && !closed {
                        guard.clear_ready_matching(Ready::READABLE);
                    }
                    return Ok((seen, closed));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !closed => {
                    guard.clear_ready_matching(Ready::READABLE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut closed = false;
        loop {
            if !self.data_waiting.load(Ordering::Relaxed) {
                let mut guard = ready!(self.fd.poll_read_ready(cx))?;
                closed = guard.ready().is_read_closed();
                guard.clear_ready_matching(Ready::READABLE);
            }
            match receive(self.fd.get_ref(), buffer) {
                Ok(read) => {
                    // A short read has emptied the receive buffer; what comes later is a new readiness event.
                    self.data_waiting.store(buffer.remaining() == 0, Ordering::Relaxed);
                    self.read_since_request.store(read > 0, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !closed => {
                    self.data_waiting.store(false, Ordering::Relaxed);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(guard) = self.fd.poll_write_ready(cx)? else {
                self.write_blocked.store(true, Ordering::Relaxed);
                return Poll::Pending;
            };
            let mut guard = guard;
            match write(self.fd.get_ref()) {
                Ok(written) => {
                    self.write_blocked.store(false, Ordering::Relaxed);
                    let held = self.held.load(Ordering::Relaxed).saturating_sub(written as u64);
                    self.held.store(held, Ordering::Relaxed);
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Reads into the free part of `buffer` without filling it with zeros first: it is 8 KiB at least, for each request.
fn receive(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
    let socket = socket2::SockRef::from(stream);
    // SAFETY: the slice is only handed to `recv`, which writes initialised bytes and nothing else.
    #[expect(unsafe_code, reason = "the free part of a buffer is uninitialised memory")]
    let read = socket.recv(unsafe { buffer.unfilled_mut() })?;
    // SAFETY: `recv` has initialised the first `read` bytes of the free part.
    #[expect(unsafe_code, reason = "the free part of a buffer is uninitialised memory")]
    unsafe {
        buffer.assume_init(read);
    }
    buffer.advance(read);
    Ok(read)
}

/// Probes start when half of the time after which an unanswered caller is given up has passed in silence.
fn keepalive(user_timeout: Duration) -> socket2::TcpKeepalive {
    let start = (user_timeout / 2).max(Duration::from_secs(1));
    socket2::TcpKeepalive::new()
        .with_time(start)
        .with_interval((user_timeout / 6).max(Duration::from_secs(1)))
}

/// Bytes that the kernel takes beyond what the caller's window admits: what a caller that does not read can make us hold.
const UNSENT: u32 = 128 * 1024;

/// hyper's (or rustls') view of a [`CallerSocket`].
pub(crate) struct CallerIo(pub(crate) Arc<CallerSocket>);

impl AsyncRead for CallerIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for CallerIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |mut stream| stream.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, |mut stream| stream.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called when whoever is above has written all that it could.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.held.store(0, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.fd.get_ref().shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests;
