//! The host at the other end of the cable: a DHCP server, and a TCP listener in place of the MQTT broker.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, IpAddress,
    IpCidr, Ipv4Address,
};

use crate::cable::End;

pub const ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
pub const PORT: u16 = 1883;
const TILL: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const MASK: Ipv4Address = Ipv4Address::new(255, 255, 255, 0);
const LEASE: u32 = 24 * 60 * 60;

pub struct Host<'c> {
    end: End<'c>,
    interface: Interface,
    sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    /// The current connection and the next one. A till that was reset does not close its connection, but opens another.
    tcp: [SocketHandle; 2],
}

impl<'c> Host<'c> {
    pub fn new(mut end: End<'c>) -> Self {
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 2]).into());
        let mut interface = Interface::new(config, &mut end, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::Ipv4(ADDRESS), 24)).unwrap();
        });
        let packets = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 4096]);
        let mut dhcp = udp::Socket::new(packets(), packets());
        dhcp.bind(DHCP_SERVER_PORT).unwrap();
        let bytes = || tcp::SocketBuffer::new(vec![0; 64 * 1024]);
        let mut sockets = SocketSet::new(vec![]);
        let dhcp = sockets.add(dhcp);
        let tcp = [(); 2].map(|()| sockets.add(tcp::Socket::new(bytes(), bytes())));
        Self {
            end,
            interface,
            sockets,
            dhcp,
            tcp,
        }
    }

    pub fn turn(&mut self, micros: u64) {
        let now = Instant::from_micros(i64::try_from(micros).unwrap());
        self.interface.poll(now, &mut self.end, &mut self.sockets);
        self.lease();
        self.interface.poll(now, &mut self.end, &mut self.sockets);
    }

    /// The current connection, open or not.
    pub fn connection(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp[0])
    }

    /// Accepts a new connection in place of the current one; returns whether there is one.
    pub fn accept(&mut self) -> bool {
        let next = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp[1]);
        if !next.is_open() {
            next.listen(PORT).unwrap();
        }
        let is_connected = next.may_send();
        if is_connected {
            self.connection().abort();
            self.tcp.reverse();
        }
        is_connected
    }

    /// Closes the connection, and stops listening.
    pub fn refuse(&mut self) {
        for handle in self.tcp {
            self.sockets.get_mut::<tcp::Socket<'_>>(handle).abort();
        }
    }

    fn lease(&mut self) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.dhcp);
        while let Ok((request, _)) = socket.recv() {
            let Ok(packet) = DhcpPacket::new_checked(request) else {
                continue;
            };
            let Ok(request) = DhcpRepr::parse(&packet) else {
                continue;
            };
            let message_type = match request.message_type {
                DhcpMessageType::Discover => DhcpMessageType::Offer,
                _ => DhcpMessageType::Ack,
            };
            let answer = DhcpRepr {
                message_type,
                your_ip: TILL,
                server_ip: ADDRESS,
                router: Some(ADDRESS),
                subnet_mask: Some(MASK),
                server_identifier: Some(ADDRESS),
                lease_duration: Some(LEASE),
                requested_ip: None,
                client_identifier: None,
                parameter_request_list: None,
                max_size: None,
                ..request
            };
            let mut bytes = vec![0; answer.buffer_len()];
            answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).unwrap();
            let to = (IpAddress::Ipv4(Ipv4Address::BROADCAST), DHCP_CLIENT_PORT);
            socket.send_slice(&bytes, to).unwrap();
        }
    }
}
