//! The network card (virtio-net) as a smoltcp device, without a heap.

use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Number of receive buffers.
const QUEUE: usize = 4;
/// Bytes of an Ethernet frame with virtio's header.
const PACKET: usize = 1536;
/// Two queues of two pages each.
const DMA_PAGES: usize = 4;

/// Memory for the card's queues. Each page is allocated once.
#[repr(align(4096))]
#[expect(dead_code, reason = "only its address is used")]
struct DmaMemory([u8; DMA_PAGES * PAGE_SIZE]);

struct Machine;

// SAFETY: memory is identity-mapped and coherent with the card. Each page is allocated once, zeroed, and never freed, so it
// has one owner.
unsafe impl Hal for Machine {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        static mut MEMORY: DmaMemory = DmaMemory([0; DMA_PAGES * PAGE_SIZE]);
        static NEXT: critical::Counter = critical::Counter::new();
        let first = NEXT.take(pages);
        if first + pages > DMA_PAGES {
            // In this trait, 0 means out of memory.
            return (0, NonNull::dangling());
        }
        let start = (&raw mut MEMORY).cast::<u8>().wrapping_add(first * PAGE_SIZE);
        match NonNull::new(start) {
            Some(pointer) => (start as PhysAddr, pointer),
            None => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

mod critical {
    use core::cell::Cell;

    /// A counter in a static, for one hart without interrupts.
    pub struct Counter(Cell<usize>);

    // SAFETY: there is one hart, and no interrupt handler uses this.
    unsafe impl Sync for Counter {}

    impl Counter {
        pub const fn new() -> Self {
            Self(Cell::new(0))
        }

        pub fn take(&self, count: usize) -> usize {
            self.0.replace(self.0.get() + count)
        }
    }
}

type Card = VirtIONetRaw<Machine, MmioTransport<'static>, QUEUE>;

/// Who owns a receive buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// The card, under this token.
    Card(u16),
    /// This program; the card did not accept the buffer.
    Driver,
}

/// Packet buffers. They are static because the card writes to them at any time.
pub struct Buffers {
    receive: [[u8; PACKET]; QUEUE],
    transmit: [u8; PACKET],
}

impl Buffers {
    /// Zeroed buffers.
    pub const fn new() -> Self {
        Self {
            receive: [[0; PACKET]; QUEUE],
            transmit: [0; PACKET],
        }
    }
}

type ReceiveBuffers = [[u8; PACKET]; QUEUE];

struct Inner {
    card: Card,
    transmit: &'static mut [u8; PACKET],
    slots: [Slot; QUEUE],
}

/// The network card.
pub struct Nic {
    inner: RefCell<Inner>,
    /// In a cell of its own, because smoltcp answers a packet (ARP, a reset, an early ACK) while it still reads it.
    receive: RefCell<&'static mut ReceiveBuffers>,
    mac: [u8; 6],
    /// Number of packets that the card did not accept for sending.
    pub dropped: Cell<u32>,
}

impl Nic {
    /// The first network card in the machine's eight virtio slots.
    // Not inlined, so that the main loop gets the stack space back.
    #[inline(never)]
    pub fn find(buffers: &'static mut Buffers) -> Option<Self> {
        let card = (0..8).find_map(|slot| {
            let header = NonNull::new((0x1000_1000 + slot * 0x1000) as *mut VirtIOHeader)?;
            // SAFETY: these are the machine's virtio registers, and only this function uses them.
            let transport = unsafe { MmioTransport::new(header, 0x1000) }.ok()?;
            (transport.device_type() == DeviceType::Network).then(|| Card::new(transport).ok())?
        })?;
        let mac = card.mac_address();
        let Buffers { receive, transmit } = buffers;
        let mut inner = Inner {
            card,
            transmit,
            slots: [Slot::Driver; QUEUE],
        };
        (0..QUEUE).for_each(|at| inner.arm(receive, at));
        Some(Self {
            inner: RefCell::new(inner),
            receive: RefCell::new(receive),
            mac,
            dropped: Cell::new(0),
        })
    }

    /// The card's MAC address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }
}

impl Inner {
    /// Hands a receive buffer to the card.
    fn arm(&mut self, receive: &mut ReceiveBuffers, at: usize) {
        // SAFETY: the buffer is static and not touched until `receive_complete` for this token.
        let token = unsafe { self.card.receive_begin(&mut receive[at]) };
        self.slots[at] = token.map_or(Slot::Driver, Slot::Card);
    }

    /// The next received packet: the index of its buffer, and the packet's range in the buffer.
    fn next_packet(&mut self, receive: &mut ReceiveBuffers) -> Option<(usize, core::ops::Range<usize>)> {
        let token = self.card.poll_receive()?;
        let at = self.slots.iter().position(|&slot| slot == Slot::Card(token))?;
        // SAFETY: this is the buffer that belongs to the token.
        let received = unsafe { self.card.receive_complete(token, &mut receive[at]) };
        self.slots[at] = Slot::Driver;
        match received {
            Ok((header, len)) => Some((at, header..header + len)),
            Err(_) => {
                self.arm(receive, at);
                None
            }
        }
    }
}

/// A received packet.
pub struct ReceivedPacket<'n> {
    nic: &'n Nic,
    at: usize,
    range: core::ops::Range<usize>,
}

/// The right to send one packet.
pub struct SendSlot<'n>(&'n Nic);

impl RxToken for ReceivedPacket<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let mut receive = self.nic.receive.borrow_mut();
        let result = read(receive[self.at].get(self.range).unwrap_or_default());
        self.nic.inner.borrow_mut().arm(&mut receive, self.at);
        result
    }
}

impl TxToken for SendSlot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let inner = &mut *self.0.inner.borrow_mut();
        // smoltcp's packets are at most as long as `capabilities` allows, so this does not panic.
        let packet = &mut inner.transmit[..len];
        let result = write(packet);
        if inner.card.send(packet).is_err() {
            self.0.dropped.set(self.0.dropped.get() + 1);
        }
        result
    }
}

/// The card as a smoltcp device.
pub struct Port<'n>(pub &'n Nic);

impl<'n> Device for Port<'n> {
    type RxToken<'a>
        = ReceivedPacket<'n>
    where
        Self: 'a;
    type TxToken<'a>
        = SendSlot<'n>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(ReceivedPacket<'n>, SendSlot<'n>)> {
        let mut receive = self.0.receive.borrow_mut();
        let (at, range) = self.0.inner.borrow_mut().next_packet(&mut receive)?;
        let received = ReceivedPacket {
            nic: self.0,
            at,
            range,
        };
        Some((received, SendSlot(self.0)))
    }

    fn transmit(&mut self, _: Instant) -> Option<SendSlot<'n>> {
        self.0.inner.borrow().card.can_send().then_some(SendSlot(self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
