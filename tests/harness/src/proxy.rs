//! A network that fails: what stands between the program and a server of 127.0.0.1, and passes bytes, holds them or breaks off.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

/// Connections at a time; further ones are refused.
const CONNECTIONS: usize = 256;
/// Bytes that a connection holds in each direction.
const BUFFER: usize = 16 << 10;

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// They pass.
    Open,
    /// Connections break off, and new ones are closed at once.
    Refused,
    /// Nothing passes, and nobody is told: connections stay, and new ones come about.
    Stalled,
    /// Requests pass, answers do not.
    Mute,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

/// Listens on a port of 127.0.0.1 for a server. Dropped, it breaks off every connection.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    target: Option<u16>,
    network: Network,
    connections: Vec<(u64, [TcpStream; 2])>,
    next: u64,
    over: bool,
}

impl Proxy {
    /// Listens. Connections are refused until [`Proxy::lead_to`] says where they lead.
    pub fn listen() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 can be bound");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let state = State { target: None, network: Network::Open, connections: Vec::new(), next: 0, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.lock().over {
                    return;
                }
                // one that broke off again is none
                if let Ok(client) = client {
                    accepting.connect(client);
                }
            }
        });
        Self { port, shared }
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections lead to this port of 127.0.0.1.
    pub fn lead_to(&self, port: u16) {
        self.shared.lock().target = Some(port);
    }

    /// From now on.
    pub fn set(&self, network: Network) {
        let mut state = self.shared.lock();
        state.network = network;
        if network == Network::Refused {
            state.break_off();
        }
        self.shared.changed.notify_all();
    }

    /// Breaks off the connections that there are, with what they hold.
    pub fn break_off(&self) {
        self.shared.lock().break_off();
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        state.break_off();
        drop(state);
        self.shared.changed.notify_all();
        // wakes who accepts; where nobody does, there is nobody to wake
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn break_off(&mut self) {
        for (_, ends) in self.connections.drain(..) {
            // an end that is closed already needs nothing
            ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding it")
    }

    /// Dropping `client` refuses it.
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let target = {
            let state = self.lock();
            let full = state.connections.len() >= CONNECTIONS || state.network == Network::Refused;
            state.target.filter(|_| !full)
        };
        let Some(server) = target.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()) else { return };
        // small packets are not gathered on the way
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let copy = |end: &TcpStream| end.try_clone().expect("a socket can be duplicated");
        let mut state = self.lock();
        if state.network == Network::Refused || state.over {
            return;
        }
        let number = state.next;
        state.next += 1;
        state.connections.push((number, [copy(&client), copy(&server)]));
        drop(state);
        for (direction, from, to) in [(Direction::Request, copy(&client), copy(&server)), (Direction::Answer, server, client)] {
            let shared = self.clone();
            thread::spawn(move || shared.pass(number, direction, from, to));
        }
    }

    /// Passes bytes on until one of the ends is closed; then both are.
    fn pass(&self, number: u64, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; BUFFER];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            if !self.wait(number, direction) || to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        // the end of a connection does not pass a network that holds everything back
        self.wait(number, direction);
        let mut state = self.lock();
        if let Some(at) = state.connections.iter().position(|(found, _)| *found == number) {
            let (_, ends) = state.connections.swap_remove(at);
            ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        }
    }

    /// Waits until bytes pass in this direction; `false`: the connection was broken off.
    fn wait(&self, number: u64, direction: Direction) -> bool {
        let held = |network| network == Network::Stalled || (network == Network::Mute && direction == Direction::Answer);
        let is_there = |state: &State| state.connections.iter().any(|(found, _)| *found == number);
        let waits = |state: &mut State| held(state.network) && is_there(state);
        let state = self.changed.wait_while(self.lock(), waits).expect("nobody panics holding it");
        is_there(&state)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, time::Duration};

    use super::*;

    /// A server that answers with what it got.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, mut buffer) = (client.unwrap(), [0; 64]);
                thread::spawn(move || {
                    while let Ok(bytes @ 1..) = client.read(&mut buffer) {
                        client.write_all(&buffer[..bytes]).unwrap();
                    }
                });
            }
        });
        port
    }

    #[test]
    fn bytes_pass_are_held_and_are_lost_as_the_network_says() {
        let proxy = Proxy::listen();
        proxy.lead_to(echo());
        let connect = || {
            let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            client
        };
        let answer = |client: &mut TcpStream| {
            let mut buffer = [0; 1];
            client.read_exact(&mut buffer).map(|()| buffer[0])
        };
        let mut client = connect();
        client.write_all(b"a").unwrap();
        assert_eq!(answer(&mut client).unwrap(), b'a');

        for network in [Network::Stalled, Network::Mute] {
            proxy.set(network);
            client.write_all(b"b").unwrap();
            client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            assert_eq!(answer(&mut client).unwrap_err().kind(), ErrorKind::WouldBlock);
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            proxy.set(Network::Open);
            assert_eq!(answer(&mut client).unwrap(), b'b');
        }

        proxy.set(Network::Refused);
        assert!(answer(&mut client).is_err());
        assert!(answer(&mut connect()).is_err());
        proxy.set(Network::Open);
        let mut client = connect();
        client.write_all(b"c").unwrap();
        assert_eq!(answer(&mut client).unwrap(), b'c');
        proxy.break_off();
        assert!(answer(&mut client).is_err());
    }
}
