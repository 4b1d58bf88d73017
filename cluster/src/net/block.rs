//! Addresses that one cluster has for itself.

use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The number of a block of addresses, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Block {
    number: u8,
    /// A name that one process can have at a time, and that the kernel takes back by itself.
    _lock: UnixListener,
}

impl Block {
    /// Takes one that is free.
    pub(crate) fn take() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for number in 0..=u8::MAX {
            let name = format!("weir-cluster-{number}");
            match UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?) {
                Ok(lock) => {
                    return Ok(Self {
                        number,
                        _lock: lock,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// An address on the loopback network. Ports are free there: no other program comes by.
    pub(crate) fn loopback(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 64, self.number, host)
    }

    /// The first three bytes of a network's addresses, from those set aside for benchmarks of
    /// networks (RFC 2544).
    pub(crate) fn subnet(&self) -> [u8; 3] {
        [198, 18, self.number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_never_have_the_same_addresses() {
        let one = Block::take().expect("a block");
        let other = Block::take().expect("another");
        assert_ne!(one.loopback(2), other.loopback(2));
        assert_ne!(one.subnet(), other.subnet());
    }
}
