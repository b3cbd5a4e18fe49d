//! Where the pages are found: an address for the shop's network, its name by mDNS, a QR code for phones.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use mdns_sd::{ServiceDaemon, ServiceInfo};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use tracing::warn;

/// How the pages are asked for.
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

    /// What browsers and phones look for.
    fn service(self) -> &'static str {
        match self {
            Self::Http => "_http._tcp.local.",
            Self::Https => "_https._tcp.local.",
        }
    }
}

/// Where this machine itself reaches what listens there: the loopback address where it listens on all.
pub fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

/// An announced name; it is given back when this is dropped.
pub struct Announced {
    daemon: ServiceDaemon,
    pub host: String,
}

impl Drop for Announced {
    fn drop(&mut self) {
        // The daemon says goodbye for what it has registered.
        let _ = self.daemon.shutdown();
    }
}

/// This machine's own name, as its system has it.
pub fn own_name() -> Option<String> {
    let system = rustix::system::uname();
    system.nodename().to_str().ok().map(str::to_owned)
}

/// Answers for `{name}.local` on the network. `None` if only this machine is listened to, or it does not work:
/// the address still does.
pub fn announce(name: &str, store: &str, scheme: Scheme, listen: SocketAddr) -> Option<Announced> {
    if listen.ip().is_loopback() {
        return None;
    }
    let host = format!("{name}.local");
    let announced = || -> mdns_sd::Result<Announced> {
        let daemon = ServiceDaemon::new()?;
        let about = [("path", "/"), ("store", store)];
        let instance = format!("Comptoir {store}");
        let everywhere = listen.ip().is_unspecified();
        let ips = if everywhere { Vec::new() } else { vec![listen.ip()] };
        let target = format!("{host}.");
        let service = ServiceInfo::new(
            scheme.service(),
            &instance,
            &target,
            &ips[..],
            listen.port(),
            &about[..],
        )?;
        let service = match everywhere {
            // Follows the machine's addresses as they change.
            true => service.enable_addr_auto(),
            false => service,
        };
        daemon.register(service)?;
        Ok(Announced {
            daemon,
            host: host.clone(),
        })
    };
    match announced() {
        Ok(announced) => Some(announced),
        Err(error) => {
            warn!(%error, host, "the name is not announced on the network");
            None
        }
    }
}

/// The address under which others on the network reach this machine; `None` if they cannot.
pub fn lan_url(scheme: Scheme, listen: SocketAddr) -> Option<String> {
    let ip = match listen.ip() {
        ip if ip.is_loopback() => return None,
        ip if ip.is_unspecified() => lan_ip()?,
        ip => ip,
    };
    Some(scheme.url(SocketAddr::new(ip, listen.port())))
}

/// The address from which the network would be reached. Nothing is sent: connecting a UDP socket only asks for a
/// route, here to an address that is set aside for documentation (RFC 5737).
fn lan_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// For a terminal; `None` if the text is too long.
pub fn qr(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let mut drawn = code.render::<Dense1x2>();
    // Terminals are mostly dark: what is drawn ("Dark" for the crate) is light there.
    drawn.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Some(drawn.quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_the_loopback() {
        for (listen, ask) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), ask.parse().unwrap());
        }
    }

    #[test]
    fn a_machine_that_listens_to_itself_only_has_no_address_for_others() {
        let here = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(lan_url(Scheme::Http, here), None);
        assert!(announce("comptoir", "paris-1", Scheme::Https, here).is_none());
        for (scheme, expected) in [
            (Scheme::Http, "http://192.168.1.20:8080"),
            (Scheme::Https, "https://192.168.1.20:8080"),
        ] {
            let url = lan_url(scheme, "192.168.1.20:8080".parse().unwrap());
            assert_eq!(url.as_deref(), Some(expected));
        }
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
