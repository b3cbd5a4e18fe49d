//! An Ethernet cable that can be pulled.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};

/// Frames under way in each direction, at most: then they are dropped, as a card does.
const ROOM: usize = 16;

#[derive(Default)]
pub struct Cable {
    ways: [RefCell<VecDeque<Vec<u8>>>; 2],
    pulled: Cell<bool>,
    carried: Cell<u64>,
    attempts: Cell<u64>,
}

/// Whether an Ethernet frame asks for a TCP connection: SYN without ACK.
fn is_attempt(frame: &[u8]) -> bool {
    let tcp = EthernetFrame::new_checked(frame)
        .ok()
        .filter(|frame| frame.ethertype() == EthernetProtocol::Ipv4)
        .and_then(|frame| Ipv4Packet::new_checked(frame.payload()).ok())
        .filter(|packet| packet.next_header() == IpProtocol::Tcp)
        .and_then(|packet| TcpPacket::new_checked(packet.payload()).ok());
    tcp.is_some_and(|packet| packet.syn() && !packet.ack())
}

impl Cable {
    /// Its two ends: the till's and the shore's.
    pub fn ends(&self) -> [End<'_>; 2] {
        let [out, back] = &self.ways;
        [(out, back), (back, out)].map(|(to, from)| End {
            to,
            from,
            cable: self,
        })
    }

    /// Pulls it; what is under way is lost.
    pub fn pull(&self, pulled: bool) {
        self.pulled.set(pulled);
        self.ways.iter().for_each(|way| way.borrow_mut().clear());
    }

    /// Puts a frame on its way to the till, whoever sends it.
    pub fn inject(&self, frame: &[u8]) {
        self.carry(&self.ways[1], frame.to_vec());
    }

    /// Frames that it has taken.
    pub fn carried(&self) -> u64 {
        self.carried.get()
    }

    /// Frames among them that ask for a TCP connection.
    pub fn attempts(&self) -> u64 {
        self.attempts.get()
    }

    fn carry(&self, way: &RefCell<VecDeque<Vec<u8>>>, frame: Vec<u8>) {
        let mut way = way.borrow_mut();
        if !self.pulled.get() && way.len() < ROOM {
            self.carried.set(self.carried.get() + 1);
            self.attempts
                .set(self.attempts.get() + u64::from(is_attempt(&frame)));
            way.push_back(frame);
        }
    }
}

pub struct End<'c> {
    to: &'c RefCell<VecDeque<Vec<u8>>>,
    from: &'c RefCell<VecDeque<Vec<u8>>>,
    cable: &'c Cable,
}

pub struct Arrived(Vec<u8>);

pub struct Leaving<'c> {
    to: &'c RefCell<VecDeque<Vec<u8>>>,
    cable: &'c Cable,
}

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let result = write(&mut frame);
        self.cable.carry(self.to, frame);
        result
    }
}

impl<'c> Device for End<'c> {
    type RxToken<'a>
        = Arrived
    where
        Self: 'a;
    type TxToken<'a>
        = Leaving<'c>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Arrived, Leaving<'c>)> {
        let frame = self.from.borrow_mut().pop_front()?;
        Some((Arrived(frame), self.transmit(now)?))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'c>> {
        Some(Leaving {
            to: self.to,
            cable: self.cable,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
