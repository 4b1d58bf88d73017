//! Whom an address stands for.

use std::net::{IpAddr, Ipv6Addr};

/// What is counted as one: an address of IPv4, and the first half of one of IPv6, since whoever has one of those has all
/// that begin so (RFC 4291, 2.5.4).
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_host_has_one_address_of_ipv4_and_many_of_ipv6() {
        for (address, host) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(super::host(address).to_string(), host, "{address}");
        }
    }
}
