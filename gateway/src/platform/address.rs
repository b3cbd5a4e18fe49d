//! How people find the pages: a URL on the shop's network, an mDNS name, or a QR code for phones.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use mdns_sd::{ServiceDaemon, ServiceInfo};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use tracing::{debug, warn};

/// The URL scheme of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn url(self, address: impl fmt::Display) -> String {
        match self {
            Self::Http => format!("http://{address}"),
            Self::Https => format!("https://{address}"),
        }
    }

    /// The DNS-SD service type that browsers and phones look for.
    fn service(self) -> &'static str {
        match self {
            Self::Http => "_http._tcp.local.",
            Self::Https => "_https._tcp.local.",
        }
    }
}

/// The address at which this machine reaches a server that listens on `listen`: the loopback address, if it listens on
/// all addresses.
pub fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

/// A name announced by mDNS until this value is dropped.
pub struct MdnsAnnouncement {
    daemon: ServiceDaemon,
    /// For example `comptoir.local`.
    pub host: String,
}

impl Drop for MdnsAnnouncement {
    fn drop(&mut self) {
        // On shutdown the daemon withdraws its registered names.
        let _ = self.daemon.shutdown();
    }
}

/// This machine's host name.
pub fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    system.nodename().to_str().ok().map(str::to_owned)
}

/// Announces `{name}.local` on the network. Returns `None` if the pages listen only on the loopback interface, or if
/// the announcement fails: the pages can still be reached by address.
pub fn announce(name: &str, store: &str, scheme: Scheme, listen: SocketAddr) -> Option<MdnsAnnouncement> {
    if listen.ip().is_loopback() {
        return None;
    }
    let host = format!("{name}.local");
    let register = || -> mdns_sd::Result<MdnsAnnouncement> {
        let daemon = ServiceDaemon::new()?;
        let properties = [("path", "/"), ("store", store)];
        let instance = format!("Comptoir {store}");
        let is_any_address = listen.ip().is_unspecified();
        let ips = if is_any_address {
            Vec::new()
        } else {
            vec![listen.ip()]
        };
        let target = format!("{host}.");
        let service = ServiceInfo::new(
            scheme.service(),
            &instance,
            &target,
            &ips[..],
            listen.port(),
            &properties[..],
        )?;
        let service = match is_any_address {
            // Lets the daemon follow changes of the machine's addresses.
            true => service.enable_addr_auto(),
            false => service,
        };
        daemon.register(service)?;
        Ok(MdnsAnnouncement {
            daemon,
            host: host.clone(),
        })
    };
    match register() {
        Ok(announcement) => Some(announcement),
        Err(error) => {
            warn!(%error, host, "the name could not be announced on the network");
            None
        }
    }
}

/// The URL at which other machines on the network reach the pages; `None` if they cannot.
pub fn lan_url(scheme: Scheme, listen: SocketAddr) -> Option<String> {
    let ip = match listen.ip() {
        ip if ip.is_loopback() => return None,
        ip if ip.is_unspecified() => lan_ip()?,
        ip => ip,
    };
    Some(scheme.url(SocketAddr::new(ip, listen.port())))
}

/// This machine's address on its default route. Connecting a UDP socket sends nothing and only looks up a route, here
/// to an address reserved for documentation (RFC 5737).
fn lan_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// The addresses of this machine, except loopback, at which a server on `listen` can be reached. Excludes link-local
/// IPv6 addresses: a URL cannot name the network interface that they need.
pub fn own_addresses(listen: IpAddr) -> Vec<IpAddr> {
    if !listen.is_unspecified() {
        return vec![listen];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        debug!(%error, "the machine's addresses are not known");
        Vec::new()
    });
    let is_link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.retain(|ip| !ip.is_loopback() && !is_link_local(ip));
    // In a fixed order, so that a list can be compared with an earlier one.
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// A QR code to print on a terminal; `None` if the text is too long.
pub fn qr(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let mut image = code.render::<Dense1x2>();
    // Most terminals have a dark background, so the colours are swapped.
    image.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Some(image.quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_the_loopback_address() {
        for (listen, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), expected.parse().unwrap());
        }
    }

    #[test]
    fn pages_on_the_loopback_interface_have_no_url_for_other_machines() {
        let loopback = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(lan_url(Scheme::Http, loopback), None);
        assert!(announce("comptoir", "paris-1", Scheme::Https, loopback).is_none());
        for (scheme, expected) in [
            (Scheme::Http, "http://192.168.1.20:8080"),
            (Scheme::Https, "https://192.168.1.20:8080"),
        ] {
            let url = lan_url(scheme, "192.168.1.20:8080".parse().unwrap());
            assert_eq!(url.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_server_on_one_address_has_no_other() {
        let one: IpAddr = "192.168.1.20".parse().unwrap();
        assert_eq!(own_addresses(one), [one]);
        let all = own_addresses(Ipv4Addr::UNSPECIFIED.into());
        assert!(!all.iter().any(IpAddr::is_loopback), "{all:?}");
    }

    #[test]
    fn a_qr_code_is_square_and_has_a_border() {
        let code = qr("http://192.168.1.20:8080").unwrap();
        let lines: Vec<_> = code.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{code}");
        assert!(width > 25 && width <= 2 * lines.len(), "{code}");
    }
}
