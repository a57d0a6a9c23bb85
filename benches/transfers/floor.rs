//! What no client can do without: the bytes through a socket, those of a file too, and one pass of
//! SHA-256.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
};

use sha2::{Digest, Sha256};

const PIECE_BYTES: usize = 256 * 1024;

/// A listener that reads whatever comes over one connection, and answers one byte when it has all.
pub(crate) fn sink() -> SocketAddr {
    serve_one(|mut stream| {
        let mut piece = vec![0; PIECE_BYTES];
        while stream.read(&mut piece).is_ok_and(|read| read > 0) {}
        // Whoever did not wait for it does not want it.
        let _ = stream.write_all(&[1]);
    })
}

/// A listener that sends a file to the first that comes.
pub(crate) fn source(file: &Path) -> SocketAddr {
    let file = file.to_owned();
    serve_one(move |mut stream| pieces(&file, |piece| stream.write_all(piece).expect("the client reads")))
}

fn serve_one(work: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || work(listener.accept().expect("a connection comes").0));
    address
}

/// Reads a file and writes it to a socket.
pub(crate) fn send(file: &Path, address: &str) {
    let mut stream = TcpStream::connect(address).expect("the sink listens");
    pieces(file, |piece| stream.write_all(piece).expect("the sink reads"));
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("the stream is connected");
    stream.read_exact(&mut [0]).expect("the sink has read all");
}

/// Reads a socket to its end and writes a file.
pub(crate) fn receive(file: &Path, address: &str) {
    let mut stream = TcpStream::connect(address).expect("the source listens");
    let mut file = File::create(file).expect("a file can be made");
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = stream.read(&mut piece).expect("the source writes");
        if read == 0 {
            return;
        }
        file.write_all(&piece[..read]).expect("the file can be written");
    }
}

/// Reads a file and hashes it.
pub(crate) fn hash(file: &Path) {
    let mut hash = Sha256::new();
    pieces(file, |piece| hash.update(piece));
    assert_ne!(hash.finalize().as_slice(), [0; 32]);
}

fn pieces(file: &Path, mut work: impl FnMut(&[u8])) {
    let mut file = File::open(file).expect("the file is there");
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece).expect("the file can be read");
        if read == 0 {
            return;
        }
        work(&piece[..read]);
    }
}
