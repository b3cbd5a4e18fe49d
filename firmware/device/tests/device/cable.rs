//! A simulated Ethernet cable that can be unplugged.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};

/// Maximum number of frames in transit in each direction. Further frames are dropped, as by a network card.
const CAPACITY: usize = 16;

#[derive(Default)]
pub struct Cable {
    directions: [RefCell<VecDeque<Vec<u8>>>; 2],
    is_unplugged: Cell<bool>,
    carried: Cell<u64>,
    attempts: Cell<u64>,
}

/// Whether an Ethernet frame opens a TCP connection: SYN without ACK.
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
    /// The two ends: the till's and the host's.
    pub fn ends(&self) -> [End<'_>; 2] {
        let [out, back] = &self.directions;
        [(out, back), (back, out)].map(|(to, from)| End {
            to,
            from,
            cable: self,
        })
    }

    /// Unplugs the cable or plugs it in. Frames in transit are lost.
    pub fn set_unplugged(&self, is_unplugged: bool) {
        self.is_unplugged.set(is_unplugged);
        self.directions.iter().for_each(|way| way.borrow_mut().clear());
    }

    /// Sends a frame to the till.
    pub fn inject(&self, frame: &[u8]) {
        self.carry(&self.directions[1], frame.to_vec());
    }

    /// Number of frames carried.
    pub fn carried(&self) -> u64 {
        self.carried.get()
    }

    /// Number of frames that opened a TCP connection.
    pub fn attempts(&self) -> u64 {
        self.attempts.get()
    }

    fn carry(&self, way: &RefCell<VecDeque<Vec<u8>>>, frame: Vec<u8>) {
        let mut way = way.borrow_mut();
        if !self.is_unplugged.get() && way.len() < CAPACITY {
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

pub struct ReceivedFrame(Vec<u8>);

pub struct SendSlot<'c> {
    to: &'c RefCell<VecDeque<Vec<u8>>>,
    cable: &'c Cable,
}

impl RxToken for ReceivedFrame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for SendSlot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let result = write(&mut frame);
        self.cable.carry(self.to, frame);
        result
    }
}

impl<'c> Device for End<'c> {
    type RxToken<'a>
        = ReceivedFrame
    where
        Self: 'a;
    type TxToken<'a>
        = SendSlot<'c>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(ReceivedFrame, SendSlot<'c>)> {
        let frame = self.from.borrow_mut().pop_front()?;
        Some((ReceivedFrame(frame), self.transmit(now)?))
    }

    fn transmit(&mut self, _: Instant) -> Option<SendSlot<'c>> {
        Some(SendSlot {
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
