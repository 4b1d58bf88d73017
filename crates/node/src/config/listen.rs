//! Where a server listens.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel holds for us until we take them.
const BACKLOG: i32 = 4096;

/// An address to listen at: `:1935`, `127.0.0.1:1935`, `[::1]:1935`, `localhost:1935`.
///
/// Without a host it is every address of the machine, IPv6 and IPv4. Port 0 takes any free one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Any,
    Address(IpAddr),
    Name(String),
}

impl Listen {
    /// Every address of the machine.
    #[must_use]
    pub fn any(port: u16) -> Self {
        Self {
            host: Host::Any,
            port,
        }
    }

    /// The port; 0 takes any free one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as an address is written with it; `None` if it is every address of the machine.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match &self.host {
            Host::Any => None,
            Host::Address(address) if address.is_unspecified() => None,
            Host::Address(IpAddr::V6(address)) => Some(format!("[{address}]")),
            Host::Address(IpAddr::V4(address)) => Some(address.to_string()),
            Host::Name(name) => Some(name.clone()),
        }
    }

    /// What to bind, best first.
    ///
    /// # Errors
    ///
    /// A host name that does not resolve.
    pub fn candidates(&self) -> io::Result<Vec<SocketAddr>> {
        let port = self.port;
        Ok(match &self.host {
            // The second is for machines without IPv6.
            Host::Any => vec![
                (Ipv6Addr::UNSPECIFIED, port).into(),
                (Ipv4Addr::UNSPECIFIED, port).into(),
            ],
            Host::Address(address) => vec![(*address, port).into()],
            Host::Name(name) => {
                let mut found: Vec<_> = (name.as_str(), port).to_socket_addrs()?.collect();
                // `localhost` and the like: clients that know one family know IPv4.
                found.sort_by_key(SocketAddr::is_ipv6);
                found
            }
        })
    }

    /// A non-blocking socket that listens here. A name is looked up, which may block.
    ///
    /// # Errors
    ///
    /// What the system says about the best candidate, with the address in the text.
    pub fn bind(&self) -> io::Result<TcpListener> {
        let explain = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen at {self}: {error}"))
        };
        let mut first = None;
        for candidate in self.candidates().map_err(explain)? {
            match bind(candidate, matches!(self.host, Host::Any)) {
                Ok(listener) => return Ok(listener),
                // Taken is taken: the other family would only hide it.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(explain(error));
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(explain(
            first.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()),
        ))
    }

    /// Why `key`, which is set to this, could not be bound, and what to do about it.
    #[must_use]
    pub fn explain(&self, key: &str, error: &io::Error) -> String {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "; stop the program that uses it, or choose another port: --set {key}={}",
                Self {
                    host: self.host.clone(),
                    port: self.port.checked_add(1).unwrap_or(1024),
                }
            ),
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need a privilege, others do not".to_owned()
            }
            _ => String::new(),
        };
        format!("{key}: {error}{hint}")
    }

    /// Whether both cannot be listened at, as far as their texts tell.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let is_all = |listen: &Self| match &listen.host {
            Host::Any => true,
            Host::Address(address) => address.is_unspecified(),
            Host::Name(_) => false,
        };
        self.port != 0
            && self.port == other.port
            && (self.host == other.host || is_all(self) || is_all(other))
    }
}

fn bind(address: SocketAddr, dual_stack: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if dual_stack && address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Address(address.ip()),
            port: address.port(),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |hint: &str| {
            Err(format!(
                "expected an address such as :1935, 127.0.0.1:1935 or [::]:1935, found {text:?}{hint}"
            ))
        };
        let Some((host, port)) = text.rsplit_once(':') else {
            let is_port = text.parse::<u16>().is_ok();
            return wrong(if is_port {
                " (a port alone is written with a colon in front)"
            } else {
                ""
            });
        };
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong("");
        }
        let Ok(port) = port.parse() else {
            return wrong(" (the highest port is 65535)");
        };
        let host = if host.is_empty() || host == "*" {
            Host::Any
        } else if let Some(inner) = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            match inner.parse::<Ipv6Addr>() {
                Ok(address) => Host::Address(address.into()),
                Err(_) => return wrong(" (only an IPv6 address goes in brackets)"),
            }
        } else if host.contains(':') {
            return wrong(" (an IPv6 address goes in brackets)");
        } else if let Ok(address) = host.parse::<Ipv4Addr>() {
            Host::Address(address.into())
        } else if is_name(host) {
            Host::Name(host.to_owned())
        } else {
            return wrong("");
        };
        Ok(Self { host, port })
    }
}

/// Whether it could be a host name; one of digits alone is a mistyped address.
fn is_name(host: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    host.chars().all(allowed) && host.chars().any(|c| c.is_ascii_alphabetic())
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => write!(f, ":{}", self.port),
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_in_every_form_and_writes_them_back() {
        for text in [
            ":1935",
            "127.0.0.1:1935",
            "[::]:1935",
            "[::1]:0",
            "localhost:1935",
            "a-b.example:80",
        ] {
            let listen: Listen = text.parse().expect(text);
            assert_eq!(listen.to_string(), text);
        }
        assert_eq!("*:1935".parse(), Ok(Listen::any(1935)));
    }

    #[test]
    fn names_the_host_unless_it_is_every_address() {
        for (text, host) in [
            (":1935", None),
            ("0.0.0.0:1935", None),
            ("[::]:1935", None),
            ("10.0.0.1:1935", Some("10.0.0.1")),
            ("[::1]:0", Some("[::1]")),
            ("a-b.example:80", Some("a-b.example")),
        ] {
            let listen: Listen = text.parse().expect(text);
            assert_eq!(listen.host().as_deref(), host, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "1935",
            "localhost",
            ":",
            ":x",
            ":+80",
            ":65536",
            ":-1",
            "::1:1935",
            "[::1]",
            "[1.2.3.4]:80",
            "1.2.3:80",
            "1.2.3.4.5:80",
            "http://host:80",
            "a b:80",
            "[::1:80",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
        let hint = "1935".parse::<Listen>().expect_err("no colon");
        assert!(hint.contains("colon in front"), "{hint}");
    }

    #[test]
    fn a_port_of_zero_takes_a_free_one_and_a_taken_one_is_named() {
        let listener = "127.0.0.1:0"
            .parse::<Listen>()
            .and_then(|l| l.bind().map_err(|e| e.to_string()));
        let address = listener
            .as_ref()
            .expect("binds")
            .local_addr()
            .expect("has an address");
        assert_ne!(address.port(), 0);
        let error = Listen::from(address).bind().expect_err("taken");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn any_address_takes_ipv4_too() {
        let listener = Listen::any(0).bind().expect("binds");
        let port = listener.local_addr().expect("has an address").port();
        std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
    }

    #[test]
    fn one_port_is_for_one_listener() {
        let collide = |one: &str, other: &str| {
            let read = |text: &str| text.parse::<Listen>().expect("an address");
            read(one).collides(&read(other)) && read(other).collides(&read(one))
        };
        assert!(collide(":1935", ":1935"));
        assert!(collide(":1935", "127.0.0.1:1935"));
        assert!(collide("localhost:1935", "localhost:1935"));
        assert!(!collide(":1935", ":1936"));
        assert!(!collide(":0", ":0"));
        assert!(!collide("127.0.0.1:1935", "127.0.0.2:1935"));
    }
}
