//! A tunnel device: a network card whose cable ends in this process.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::ioctl::{Setter, ioctl, opcode};

const DEVICE: &str = "/dev/net/tun";
const NAME_LEN: usize = 16;
/// `TUNSETIFF`, which takes a `struct ifreq`; its number speaks of an `int`.
const SET_DEVICE: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);
/// IP packets without a header of the driver's in front.
const PLAIN_PACKETS: u16 = 0x0001 | 0x1000;

/// `struct ifreq`, as far as the driver of tunnels looks at it.
#[repr(C)]
struct Request {
    name: [u8; NAME_LEN],
    flags: u16,
    rest: [u8; 22],
}

/// Makes a device in the network namespace of the calling thread. It is there as long as the
/// handle is open: a packet the system sends into it is read there, and the other way round.
pub(crate) fn make(name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let handle = open(DEVICE, flags, Mode::empty())?;
    let mut request = Request {
        name: [0; NAME_LEN],
        flags: PLAIN_PACKETS,
        rest: [0; 22],
    };
    // One zero has to stay behind it.
    if name.len() >= NAME_LEN {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    #[expect(
        unsafe_code,
        reason = "no crate makes such a device without more around it; the driver reads and \
                  writes one `struct ifreq`, and `Request` has its 40 bytes"
    )]
    unsafe {
        ioctl(&handle, Setter::<SET_DEVICE, Request>::new(request))?;
    }
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_as_long_as_the_kernel_has_it() {
        assert_eq!(size_of::<Request>(), 40);
        assert_eq!(SET_DEVICE, 0x4004_54CA);
    }
}
