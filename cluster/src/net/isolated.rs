//! Places that are network namespaces.

use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::switch::Switch;
use super::tun;
use crate::process::run;

/// As on a real cable, so that a lost packet costs what it costs in life.
const MTU: u32 = 1500;
/// What a device holds until the switch comes by: more than TCP sends unasked.
const QUEUE: u32 = 10_000;

/// Why there is no isolated network.
#[derive(Debug, thiserror::Error)]
#[error("{0} (it takes root, `unshare`, `nsenter` and /dev/net/tun)")]
pub struct Unavailable(io::Error);

/// A network of namespaces.
#[derive(Debug)]
pub(crate) struct Isolated {
    subnet: [u8; 3],
    switch: Switch,
}

/// A network namespace, there as long as somebody holds or uses it.
#[derive(Debug, Clone)]
pub(crate) struct Namespace(Arc<OwnedFd>);

impl Isolated {
    /// One that holds this process alone, as number `here`.
    pub(crate) fn new(subnet: [u8; 3], here: u8) -> Result<Self, Unavailable> {
        if !rustix::process::geteuid().is_root() {
            return Err(Unavailable(io::ErrorKind::PermissionDenied.into()));
        }
        let name = format!("weir{}", subnet[2]);
        let device = tun::make(&name).map_err(Unavailable)?;
        // That much is missing in some containers whose root may have tunnels.
        Namespace::new().map_err(Unavailable)?;
        let isolated = Self {
            subnet,
            switch: Switch::start(),
        };
        isolated.configure(|| Command::new("ip"), &name, here);
        isolated.switch.plug(here, device);
        Ok(isolated)
    }

    pub(crate) fn switch(&self) -> &Switch {
        &self.switch
    }

    pub(crate) fn address(&self, number: u8) -> Ipv4Addr {
        let [one, two, three] = self.subnet;
        Ipv4Addr::new(one, two, three, number)
    }

    /// A namespace with a cable to the switch.
    pub(crate) fn place(&self, number: u8) -> Namespace {
        let namespace = Namespace::new().expect("a namespace, as when the network was made");
        let device = namespace.within(|| tun::make("eth0"));
        let device = device.expect("a device, as when the network was made");
        run(namespace.command("ip").args(["link", "set", "lo", "up"]));
        self.configure(|| namespace.command("ip"), "eth0", number);
        self.switch.plug(number, device);
        namespace
    }

    /// Gives a device an address, with `ip` as it is in the device's namespace.
    fn configure(&self, ip: impl Fn() -> Command, device: &str, number: u8) {
        let address = format!("{}/24", self.address(number));
        run(ip().args(["address", "add", &address, "dev", device]));
        let (mtu, queue) = (MTU.to_string(), QUEUE.to_string());
        let device = ["link", "set", device, "mtu", &mtu, "txqueuelen", &queue];
        run(ip().args(device).arg("up"));
    }
}

impl Namespace {
    /// A new one, with nothing in it.
    fn new() -> io::Result<Self> {
        // A process that has one of its own lends it, and goes.
        let mut lender = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo there; read -r _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut there = [0];
        let told = lender
            .stdout
            .take()
            .map(|mut pipe| pipe.read_exact(&mut there));
        let namespace = told
            .unwrap_or(Ok(()))
            .and_then(|()| File::open(format!("/proc/{}/ns/net", lender.id())));
        // Its input ends here, and so does it.
        drop(lender.stdin.take());
        lender.wait()?;
        Ok(Self(Arc::new(namespace?.into())))
    }

    /// A program that will run inside.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args([&format!("--net={}", self.path()), "--"]);
        command.arg(program);
        command
    }

    /// Where other processes find it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Moves the calling thread inside, for good.
    pub(crate) fn enter(&self) -> io::Result<()> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Does something inside.
    fn within<T: Send>(&self, what: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| self.enter().and_then(|()| what()));
            inside.join().expect("nothing in there panics")
        })
    }
}
