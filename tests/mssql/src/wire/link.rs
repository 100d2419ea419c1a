//! The connection under the packets: plain, or TLS whose handshake travels inside of packets (G121).

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A packet's type, of those that a handshake travels in.
const PRELOGIN: u8 = 0x12;
/// No message of a client is longer.
const LONGEST: usize = 64 << 20;

/// What the server says of encryption.
#[derive(Clone, Debug, Default)]
pub enum Encryption {
    /// It has none.
    #[default]
    NotSupported,
    /// It has a certificate; the client decides.
    Offered(Arc<ServerConfig>),
    /// It has a certificate, and takes nothing in clear.
    Required(Arc<ServerConfig>),
}

/// The socket as the handshake sees it: its bytes go in packets until it is over.
struct Wrapped {
    socket: TcpStream,
    wrapping: bool,
    left: usize,
    out: Vec<u8>,
}

impl Read for Wrapped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.wrapping {
            return self.socket.read(buffer);
        }
        if self.left == 0 {
            let mut header = [0; 8];
            self.socket.read_exact(&mut header)?;
            self.left = usize::from(u16::from_be_bytes([header[2], header[3]])).saturating_sub(8);
        }
        let most = buffer.len().min(self.left);
        let count = self.socket.read(&mut buffer[..most])?;
        self.left -= count;
        Ok(count)
    }
}

impl Write for Wrapped {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if !self.wrapping {
            return self.socket.write(buffer);
        }
        self.out.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return self.socket.flush();
        }
        let out = std::mem::take(&mut self.out);
        let last = out.chunks(4088).count();
        for (at, chunk) in (1..).zip(out.chunks(4088)) {
            let length = (chunk.len() as u16 + 8).to_be_bytes();
            let header = [PRELOGIN, u8::from(at == last), length[0], length[1], 0, 0, at as u8, 0];
            self.socket.write_all(&[&header, chunk].concat())?;
        }
        self.socket.flush()
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, Wrapped>>),
}

/// A message of a client.
pub struct Message {
    /// The packets' type.
    pub kind: u8,
    /// The first packet's status.
    pub status: u8,
    /// The packets' bodies.
    pub body: Vec<u8>,
}

/// A connection to a client.
pub struct Link {
    stream: Stream,
    socket: TcpStream,
    inbox: Vec<u8>,
    gone: bool,
}

impl Link {
    /// A connection in clear.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { stream: Stream::Plain(socket.try_clone()?), socket, inbox: Vec::new(), gone: false })
    }

    /// Does the client begin with TLS itself, as TDS 8 does?
    pub fn begins_with_tls(&self) -> io::Result<bool> {
        let mut first = [0; 1];
        Ok(self.socket.peek(&mut first)? == 1 && first[0] == 0x16)
    }

    /// Shakes hands; inside of packets unless the client speaks TDS 8.
    pub fn secure(&mut self, config: Arc<ServerConfig>, wrapping: bool) -> io::Result<()> {
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut wrapped = Wrapped { socket: self.socket.try_clone()?, wrapping, left: 0, out: Vec::new() };
        while session.is_handshaking() {
            session.complete_io(&mut wrapped)?;
        }
        wrapped.flush()?;
        wrapped.wrapping = false;
        self.stream = Stream::Tls(Box::new(StreamOwned::new(session, wrapped)));
        Ok(())
    }

    /// Goes on in clear, as after a login that alone was encrypted.
    pub fn unsecure(&mut self) -> io::Result<()> {
        self.stream = Stream::Plain(self.socket.try_clone()?);
        Ok(())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut buffer)?,
            Stream::Tls(stream) => stream.read(&mut buffer)?,
        };
        self.inbox.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.inbox.len() < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.inbox.drain(..count).collect())
    }

    /// The next message.
    pub fn read(&mut self) -> io::Result<Message> {
        let mut message: Option<Message> = None;
        loop {
            let header = self.take(8)?;
            let length = usize::from(u16::from_be_bytes([header[2], header[3]])).saturating_sub(8);
            let body = self.take(length)?;
            let found = message.get_or_insert_with(|| Message { kind: header[0], status: header[1], body: Vec::new() });
            found.body.extend(body);
            if found.body.len() > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
            }
            if header[1] & 1 == 1
                && let Some(message) = message.take()
            {
                return Ok(message);
            }
        }
    }

    /// Sends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        self.gone |= sent.is_err();
        sent
    }

    /// Has the client sent an attention, or gone? Does not wait.
    pub fn interrupted(&mut self) -> bool {
        if self.gone || self.socket.set_nonblocking(true).is_err() {
            return true;
        }
        match self.fill() {
            Ok(0) => self.gone = true,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.gone = true,
        }
        let blocking = self.socket.set_nonblocking(false);
        self.gone || blocking.is_err() || self.inbox.first() == Some(&0x06)
    }

    /// Breaks the connection off.
    pub fn close(&mut self) {
        self.gone = true;
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
