//! The client at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client's address. An IPv4-mapped IPv6 address counts as the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

/// The unit of a limit: an IPv4 address, or the /64 of an IPv6 address, because one machine can use a whole /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// This machine: a reverse proxy with many people behind it, a script or a benchmark. Exempt from limits per
    /// sender, but not from total limits.
    Loopback,
    V4(Ipv4Addr),
    V6([u8; 8]),
}

impl ClientAddress {
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    pub fn ip(self) -> IpAddr {
        self.0
    }

    pub fn sender(self) -> Sender {
        match self.0 {
            address if address.is_loopback() => Sender::Loopback,
            IpAddr::V4(address) => Sender::V4(address),
            IpAddr::V6(address) => Sender::V6(network_of(address)),
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first 64 bits.
fn network_of(address: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(address: &str) -> Sender {
        ClientAddress::new(address.parse().unwrap()).sender()
    }

    #[test]
    fn a_network_of_64_bits_and_a_mapped_address_are_one_sender() {
        assert_eq!(sender("2001:db8::1"), sender("2001:db8::ffff:1"));
        assert_ne!(sender("2001:db8::1"), sender("2001:db8:0:1::1"));
        assert_eq!(sender("::ffff:192.168.1.5"), sender("192.168.1.5"));
        assert_ne!(sender("192.168.1.5"), sender("192.168.1.6"));
        for loopback in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(sender(loopback), Sender::Loopback, "{loopback}");
        }
    }
}
