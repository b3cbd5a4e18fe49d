//! The names and addresses by which browsers reach the gateway, so its certificate must contain them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustls::pki_types::{DnsName, ServerName};

use crate::config::Http;
use crate::platform::address;

/// Most names in a certificate. Even on a machine with hundreds of container networks, the certificate must not become
/// larger than a page.
const MAX_NAMES: usize = 64;

/// The sources of the names.
#[derive(Debug, Clone)]
pub(super) struct NameSources {
    mdns: String,
    hosts: Vec<String>,
    listen: IpAddr,
}

impl NameSources {
    pub(super) fn new(http: &Http) -> Self {
        Self {
            mdns: http.mdns.clone(),
            hosts: http.hosts.clone(),
            listen: SocketAddr::ip(&http.listen),
        }
    }

    /// The current names without duplicates, the most important first.
    pub(super) fn now(&self) -> Vec<ServerName<'static>> {
        self.names(address::host_name(), &address::own_addresses(self.listen))
    }

    fn names(&self, host_name: Option<String>, addresses: &[IpAddr]) -> Vec<ServerName<'static>> {
        let mut names = Vec::new();
        let mut add = |name: ServerName<'static>| {
            if names.len() < MAX_NAMES && !names.contains(&name) {
                names.push(name);
            }
        };
        let announced = Some(self.mdns.as_str()).filter(|name| !name.is_empty());
        let mut texts: Vec<String> = announced
            .map(|name| format!("{name}.local"))
            .into_iter()
            .collect();
        texts.push("localhost".to_owned());
        texts.extend(self.hosts.iter().cloned());
        if let Some(host_name) = host_name {
            // Other machines on the network resolve this name with mDNS.
            let label = host_name.split('.').next().unwrap_or_default();
            texts.push(format!("{label}.local"));
            texts.push(host_name);
        }
        // Skips names that no certificate can contain, such as one with a space; no browser could verify them.
        texts
            .iter()
            .filter_map(|text| server_name(text))
            .for_each(&mut add);
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        loopback
            .iter()
            .chain(addresses)
            .map(|address| ServerName::from(*address))
            .for_each(&mut add);
        names
    }

    /// The DNS names for which, and below which, the authority may issue certificates: the machine's own and the
    /// configured ones. Only the owner of this machine is responsible for them.
    pub(super) fn permitted_domains(&self) -> Vec<String> {
        let named = self.hosts.iter().cloned().chain(address::host_name());
        let mut domains = vec!["local".to_owned(), "localhost".to_owned()];
        for name in named {
            if let Some(ServerName::DnsName(name)) = server_name(&name) {
                let name = name.as_ref().to_owned();
                if !domains.contains(&name) {
                    domains.push(name);
                }
            }
        }
        domains
    }
}

/// A name in certificate form; `None` if it is not a valid name.
fn server_name(text: &str) -> Option<ServerName<'static>> {
    let text = text.trim_matches(['[', ']']).trim_end_matches('.');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(ServerName::from(address));
    }
    let name = DnsName::try_from(text.to_ascii_lowercase()).ok()?;
    Some(ServerName::DnsName(name))
}

/// A name as text.
pub(super) fn text(name: &ServerName<'_>) -> String {
    match name {
        ServerName::IpAddress(address) => IpAddr::from(*address).to_string(),
        name => name.to_str().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(mdns: &str, hosts: &[&str]) -> NameSources {
        NameSources {
            mdns: mdns.to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            listen: Ipv4Addr::UNSPECIFIED.into(),
        }
    }

    #[test]
    fn a_certificate_contains_every_name_and_address_once_and_nothing_that_is_none() {
        let sources = sources(
            "kasse",
            &["Kasse.Example", "10.0.0.2", "[fd00::2]", "kasse.local"],
        );
        let addresses = ["192.168.1.20", "127.0.0.1"].map(|address| address.parse().unwrap());
        let names = sources.names(Some("pi.shop.example".to_owned()), &addresses);
        let texts: Vec<String> = names.iter().map(text).collect();
        assert_eq!(
            texts,
            [
                "kasse.local",
                "localhost",
                "kasse.example",
                "10.0.0.2",
                "fd00::2",
                "pi.local",
                "pi.shop.example",
                "127.0.0.1",
                "::1",
                "192.168.1.20",
            ]
        );
    }

    #[test]
    fn odd_host_names_and_hundreds_of_addresses_do_not_spoil_the_certificate() {
        let sources = sources("", &[]);
        let many: Vec<IpAddr> = (0..=255)
            .map(|last| Ipv4Addr::new(10, 0, 0, last).into())
            .collect();
        let names = sources.names(Some("my computer".to_owned()), &many);
        assert_eq!(names.len(), MAX_NAMES);
        assert_eq!(text(&names[0]), "localhost");
        assert!(!names.iter().any(|name| text(name).contains("computer")));
    }
}
