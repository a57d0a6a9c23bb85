//! A slow link: bytes are passed on, at most so many in a second in each direction.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Passed on at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// One direction, which all connections share.
#[derive(Debug)]
struct Lane {
    bytes_per_second: f64,
    /// When all that was let in will have passed.
    free_at: Mutex<Instant>,
}

impl Lane {
    fn new(bytes_per_second: f64) -> Arc<Self> {
        Arc::new(Self {
            bytes_per_second,
            free_at: Mutex::new(Instant::now()),
        })
    }

    /// Takes as long as these bytes do, behind those of others.
    fn pass(&self, bytes: usize) {
        let taken = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let end = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + taken;
            *free_at
        };
        thread::sleep(end.saturating_duration_since(Instant::now()));
    }
}

/// Starts a link to that address, and returns its own. It is there until the program ends.
pub(crate) fn start(to: SocketAddr, bytes_per_second: f64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (up, down) = (Lane::new(bytes_per_second), Lane::new(bytes_per_second));
    thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.expect("connections come");
            let far = TcpStream::connect(to).expect("the store listens");
            for stream in [&near, &far] {
                stream.set_nodelay(true).expect("it is a TCP stream");
            }
            let twin = |stream: &TcpStream| stream.try_clone().expect("a socket can have two owners");
            let (near_too, far_too) = (twin(&near), twin(&far));
            let (up, down) = (Arc::clone(&up), Arc::clone(&down));
            thread::spawn(move || carry(near, far, &up));
            thread::spawn(move || carry(far_too, near_too, &down));
        }
    });
    address
}

/// Carries bytes until one side has had enough.
fn carry(mut from: TcpStream, mut to: TcpStream, lane: &Lane) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read) = from.read(&mut piece) {
        lane.pass(read);
        if read == 0 || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
