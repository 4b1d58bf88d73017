//! Carries packets between places, or does not.

mod late;
mod links;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

use self::late::Late;
pub use self::links::{Link, Traffic};
use self::links::{Links, Verdict};

/// What one place may send before another gets its turn.
const BURST: usize = 64;
const LONGEST_PACKET: usize = 65_536;

/// A thread that reads what each place sends and gives it to the place it is for.
#[derive(Debug)]
pub(crate) struct Switch {
    links: Arc<Mutex<Links>>,
    /// Devices to come; the thread ends when this does.
    ports: Option<Sender<(u8, OwnedFd)>>,
    /// A byte here makes the thread look for them.
    bell: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// A switch with nothing in it.
    pub(crate) fn start() -> Self {
        let links = Arc::new(Mutex::new(Links::new()));
        let (ports, plugged) = channel();
        let (bell, heard) = UnixStream::pair().expect("a pair of sockets");
        let shared = links.clone();
        let thread = std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || Fabric::new(shared).run(heard, &plugged));
        Self {
            links,
            ports: Some(ports),
            bell,
            thread: Some(thread.expect("a thread")),
        }
    }

    /// Connects the place of this number; a device whose other end is there.
    pub(crate) fn plug(&self, number: u8, device: OwnedFd) {
        if let Some(ports) = &self.ports {
            ports.send((number, device)).expect("the switch runs");
            self.ring();
        }
    }

    fn ring(&self) {
        (&self.bell).write_all(&[0]).expect("the switch listens");
    }

    fn with<T>(&self, what: impl FnOnce(&mut Links) -> T) -> T {
        what(&mut self.links.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, from: u8, to: u8, link: Link) {
        self.with(|links| links.set(from, to, link));
    }

    pub(crate) fn link(&self, from: u8, to: u8) -> Link {
        self.with(|links| links.link(from, to))
    }

    pub(crate) fn reset(&self) {
        self.with(Links::reset);
    }

    pub(crate) fn traffic(&self, from: u8, to: u8) -> Traffic {
        self.with(|links| links.traffic(from, to))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.ports = None;
        let _ = (&self.bell).write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            // The devices are gone when it is. It would have said why it panicked.
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Fabric {
    links: Arc<Mutex<Links>>,
    /// The other ends of the cables, by the last byte of their addresses.
    ports: BTreeMap<u8, OwnedFd>,
    late: Late,
}

impl Fabric {
    fn new(links: Arc<Mutex<Links>>) -> Self {
        Self {
            links,
            ports: BTreeMap::new(),
            late: Late::default(),
        }
    }

    fn run(mut self, mut bell: UnixStream, plugged: &Receiver<(u8, OwnedFd)>) {
        let mut buffer = vec![0; LONGEST_PACKET];
        loop {
            let (rang, ready) = self.wait(&bell);
            if rang {
                let _ = bell.read(&mut [0; BURST]);
                if self.plug(plugged) == TryRecvError::Disconnected {
                    return;
                }
            }
            for port in ready {
                self.forward(port, &mut buffer);
            }
            while let Some((to, packet)) = self.late.due(Instant::now()) {
                self.deliver(to, &packet);
            }
        }
    }

    /// Takes the devices that have come; whether more may.
    fn plug(&mut self, plugged: &Receiver<(u8, OwnedFd)>) -> TryRecvError {
        loop {
            match plugged.try_recv() {
                Ok((number, device)) => drop(self.ports.insert(number, device)),
                Err(end) => return end,
            }
        }
    }

    /// Waits until there is something to do: a ring of the bell, packets at these ports, or a late
    /// packet's time.
    fn wait(&self, bell: &UnixStream) -> (bool, Vec<u8>) {
        let ports = self.ports.values();
        let mut waiting: Vec<_> = ports.map(|port| PollFd::new(port, PollFlags::IN)).collect();
        waiting.push(PollFd::new(bell, PollFlags::IN));
        let next = self.late.next().map(|due| {
            let left = due.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            })
        });
        // A signal may come in between; then there is nothing ready, and we wait anew.
        let _ = poll(&mut waiting, next.as_ref());
        let rang = waiting.pop().is_some_and(|bell| !bell.revents().is_empty());
        let ready = self.ports.keys().zip(waiting);
        let ready = ready.filter(|(_, port)| !port.revents().is_empty());
        (rang, ready.map(|(&number, _)| number).collect())
    }

    fn forward(&mut self, from: u8, buffer: &mut [u8]) {
        for _ in 0..BURST {
            let length = match read(&self.ports[&from], &mut *buffer) {
                Ok(length) => length,
                Err(Errno::AGAIN) => return,
                // The place is gone, and its device with it.
                Err(_) => {
                    self.ports.remove(&from);
                    return;
                }
            };
            let packet = &buffer[..length];
            let Some(to) = destination(packet) else {
                continue;
            };
            let verdict = self
                .links
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .judge(from, to, length);
            match verdict {
                Verdict::Now => self.deliver(to, packet),
                Verdict::Lost => {}
                Verdict::After(delay) => self.late.hold(Instant::now() + delay, to, packet),
            }
        }
    }

    fn deliver(&self, to: u8, packet: &[u8]) {
        if let Some(port) = self.ports.get(&to) {
            // A place that takes no more loses packets, as places do.
            let _ = write(port, packet);
        }
    }
}

/// The last byte of an IPv4 packet's destination; what else comes by (IPv6 looks for neighbours)
/// is for nobody.
fn destination(packet: &[u8]) -> Option<u8> {
    let version = packet.first()? >> 4;
    (version == 4).then(|| packet.get(19).copied()).flatten()
}
