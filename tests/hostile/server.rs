//! Servers that mean no good, on 127.0.0.1.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// What a server does with whoever connects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// It answers every request with a body without an end.
    Endless,
    /// It says nothing, and does not hang up.
    Silent,
    /// It begins an answer, and then gives one byte a second.
    Trickling,
    /// It answers every request with headers without an end.
    Headers,
    /// It sends whoever asks on to another path of its own.
    Redirects,
}

/// A server, until the end of the process.
pub(crate) fn serve(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever goes away ends it.
            std::thread::spawn(move || drop(treat(stream, manner)));
        }
    });
    address
}

fn treat(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    if matches!(manner, Manner::Silent) {
        std::io::copy(&mut stream, &mut std::io::sink())?;
        return Ok(());
    }
    let mut request = [0; 1 << 12];
    let _ = stream.read(&mut request)?;
    match manner {
        Manner::Headers => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"X-More: 0123456789abcdef0123456789abcdef\r\n")?;
            }
        }
        Manner::Redirects => {
            // Every connection has another port.
            let next = stream.peer_addr()?.port();
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: /v2/evil/manifests/{next}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return stream.write_all(answer.as_bytes());
        }
        Manner::Endless | Manner::Silent | Manner::Trickling => {}
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n\r\n")?;
    let piece = match manner {
        Manner::Trickling => vec![b'['],
        _ => vec![b'['; 1 << 16],
    };
    loop {
        stream.write_all(&piece)?;
        if piece.len() == 1 {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}
