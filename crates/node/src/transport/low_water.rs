//! How much must have arrived at a socket before its reader is woken.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sets SO_RCVLOWAT. The end of the peer's half, and errors, wake the reader all the same.
#[expect(
    unsafe_code,
    reason = "no crate offers this option safely, and it halves what many publishers cost"
)]
pub(super) fn set(socket: impl AsFd, bytes: u16) -> io::Result<()> {
    let value = libc::c_int::from(bytes);
    // SAFETY: the descriptor is open as long as `socket` lives, and the system copies `value`, which has
    // the length that is given, before the call returns.
    let set = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    const PATIENCE: Timespec = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sender.set_nodelay(true).unwrap();
        (sender, listener.accept().unwrap().0)
    }

    fn is_readable(socket: &TcpStream, patience: Option<&Timespec>) -> bool {
        poll(&mut [PollFd::new(socket, PollFlags::IN)], patience).unwrap() == 1
    }

    #[test]
    fn wakes_for_enough_and_for_the_end() {
        let (mut sender, receiver) = pair();
        set(&receiver, 1000).unwrap();
        sender.write_all(&[0; 400]).unwrap();
        while rustix::io::ioctl_fionread(&receiver).unwrap() < 400 {
            std::thread::yield_now();
        }
        assert!(!is_readable(&receiver, Some(&Timespec::default())));
        sender.write_all(&[0; 600]).unwrap();
        assert!(is_readable(&receiver, Some(&PATIENCE)));

        let (sender, receiver) = pair();
        set(&receiver, 1000).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        assert!(is_readable(&receiver, Some(&PATIENCE)));
    }
}
