//! How others reach this node, where nobody has said.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use super::{Config, Listen};

/// An address of nobody (RFC 5737): the way to it begins where the way to the world does.
const ANYWHERE: &str = "192.0.2.1:9";

/// Where other nodes are told to call: `relay.advertise`, or what can be told of the address that the
/// relay listens at. It may look up a name, which blocks.
#[must_use]
pub fn advertised(bound: SocketAddr, config: &Config) -> String {
    match &config.relay.advertise {
        Some(told) => told.clone(),
        None => address(bound, config.relay_listen().as_ref(), config),
    }
}

/// What others are told to reach RTMP by: `rtmp.public_url`, or what can be told of the address that
/// RTMP, or RTMPS if that alone is served, listens at. It may look up a name, which blocks.
#[must_use]
pub fn public_url(bound: SocketAddr, config: &Config) -> String {
    if let Some(told) = &config.rtmp.public_url {
        return told.clone();
    }
    let (scheme, listen) = match &config.rtmp.listen {
        Some(listen) => ("rtmp", Some(listen)),
        None => ("rtmps", config.rtmps.listen.as_ref()),
    };
    format!("{scheme}://{}", address(bound, listen, config))
}

/// The host of `listen`, or this machine's, and the port that was taken.
fn address(bound: SocketAddr, listen: Option<&Listen>, config: &Config) -> String {
    match listen.and_then(Listen::host) {
        Some(host) => format!("{host}:{}", bound.port()),
        None => SocketAddr::new(own_address(bound, config), bound.port()).to_string(),
    }
}

/// The address of this machine that other nodes see: the one that it calls the directory from.
fn own_address(bound: SocketAddr, config: &Config) -> IpAddr {
    if !bound.ip().is_unspecified() {
        return bound.ip();
    }
    let is_served = |address: &IpAddr| bound.is_ipv6() || address.is_ipv4();
    let from = |host| towards(host).filter(is_served);
    let endpoints = config.directory.endpoints.iter();
    let hosts = endpoints.map(|endpoint| match endpoint.split_once("://") {
        Some((_, host)) => host,
        None => endpoint,
    });
    let mut here = None;
    for address in hosts.filter_map(from) {
        // Where each machine has a member of etcd, the way to its own shows what no other can call.
        if !address.is_loopback() {
            return address;
        }
        here = Some(address);
    }
    // Where all of etcd is here, so is the cluster.
    here.or_else(|| from(ANYWHERE))
        .unwrap_or_else(|| Ipv4Addr::LOCALHOST.into())
}

/// The address that packets to `host` leave from; none is sent.
fn towards(host: &str) -> Option<IpAddr> {
    let from = |any: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(host).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    from("0.0.0.0:0").or_else(|| from("[::]:0"))
}

#[cfg(test)]
mod tests {
    use directory::DirectoryKind;

    use super::*;

    /// A node of a cluster whose etcd is at these addresses, and which listens at `listen`.
    fn config(listen: &str, endpoints: &[&str]) -> Config {
        let mut config = Config::default();
        config.directory.kind = DirectoryKind::Etcd;
        config.directory.endpoints = endpoints.iter().map(ToString::to_string).collect();
        config.relay.listen = Some(listen.to_owned());
        config.rtmp.listen = listen.parse().ok();
        config
    }

    fn bound(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_set_is_told() {
        let mut config = config(":7935", &[]);
        config.relay.advertise = Some("weir-1.internal:79".to_owned());
        config.rtmp.public_url = Some("rtmp://in.example".to_owned());
        let bound = bound("[::]:7935");
        assert_eq!(advertised(bound, &config), "weir-1.internal:79");
        assert_eq!(public_url(bound, &config), "rtmp://in.example");
    }

    #[test]
    fn the_host_that_is_listened_at_is_told_with_the_port_that_was_taken() {
        for (listen, taken, told) in [
            ("10.0.0.1:0", "10.0.0.1:4000", "10.0.0.1:4000"),
            ("[::1]:0", "[::1]:4000", "[::1]:4000"),
            ("localhost:0", "127.0.0.1:4000", "localhost:4000"),
        ] {
            let config = config(listen, &["127.0.0.1:2379"]);
            assert_eq!(advertised(bound(taken), &config), told);
            assert_eq!(public_url(bound(taken), &config), format!("rtmp://{told}"));
        }
    }

    #[test]
    fn without_a_host_it_is_the_address_that_calls_the_directory() {
        for endpoint in [
            "127.0.0.1:2379",
            "http://127.0.0.1:2379",
            "https://127.0.0.1:2379",
        ] {
            for any in ["[::]:4000", "0.0.0.0:4000"] {
                let config = config(":0", &[endpoint]);
                assert_eq!(advertised(bound(any), &config), "127.0.0.1:4000");
            }
        }
    }

    #[test]
    fn an_endpoint_on_another_machine_says_more_than_one_on_this() {
        // A machine without any network has nothing to tell.
        let Some(outside) = towards(ANYWHERE).filter(|address| !address.is_loopback()) else {
            return;
        };
        let config = config(":0", &["127.0.0.1:2379", ANYWHERE]);
        let told = advertised(bound("[::]:4000"), &config);
        assert_eq!(told, SocketAddr::new(outside, 4000).to_string());
    }

    #[test]
    fn an_address_that_is_not_served_is_not_told() {
        let config = config(":0", &["[::1]:2379", "127.0.0.1:2379"]);
        assert_eq!(advertised(bound("0.0.0.0:4000"), &config), "127.0.0.1:4000");
    }

    #[test]
    fn something_is_told_where_no_directory_is() {
        let config = Config::default();
        let url = public_url(bound("[::]:1935"), &config);
        assert!(
            url.starts_with("rtmp://") && url.ends_with(":1935"),
            "{url}"
        );
        assert!(
            !url.contains("//[::]") && !url.contains("//0.0.0.0"),
            "{url}"
        );
    }

    #[test]
    fn the_url_is_of_rtmps_where_that_alone_is_served() {
        let mut config = config("10.0.0.1:1", &[]);
        config.rtmps.listen = config.rtmp.listen.take();
        let bound = bound("10.0.0.1:4000");
        assert_eq!(public_url(bound, &config), "rtmps://10.0.0.1:4000");
    }
}
