//! The network card (virtio-net) as a device of smoltcp, without a heap.

use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Packets that may wait to be taken.
const QUEUE: usize = 4;
/// An Ethernet frame, and virtio's header before it.
const PACKET: usize = 1536;
/// Two queues of two pages each.
const DMA_PAGES: usize = 4;

/// Memory for the card's queues: given out once each, from the start.
#[repr(align(4096))]
#[expect(dead_code, reason = "it is the address that is given out")]
struct DmaMemory([u8; DMA_PAGES * PAGE_SIZE]);

struct Machine;

// SAFETY: memory is identity-mapped and coherent with the card; pages are given out once, zeroed, and never
// taken back, so nobody else has them.
unsafe impl Hal for Machine {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        static mut MEMORY: DmaMemory = DmaMemory([0; DMA_PAGES * PAGE_SIZE]);
        static NEXT: critical::Counter = critical::Counter::new();
        let first = NEXT.take(pages);
        if first + pages > DMA_PAGES {
            // 0 is this trait's word for no memory.
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

    /// A counter in a static of a machine with one hart and no interrupts.
    pub struct Counter(Cell<usize>);

    // SAFETY: there is one hart, and nothing here runs in an interrupt.
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

/// Where a receive buffer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// With the card, under this token.
    Armed(u16),
    /// With us: it could not be given to the card.
    Idle,
}

/// Packets' buffers. They have to outlive the card's use of them: see [`Nic::new`].
pub struct Buffers {
    receive: [[u8; PACKET]; QUEUE],
    transmit: [u8; PACKET],
}

impl Buffers {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            receive: [[0; PACKET]; QUEUE],
            transmit: [0; PACKET],
        }
    }
}

/// The buffers that packets arrive in.
type Arrivals = [[u8; PACKET]; QUEUE];

struct Inner {
    card: Card,
    transmit: &'static mut [u8; PACKET],
    slots: [Slot; QUEUE],
}

/// The card.
pub struct Nic {
    inner: RefCell<Inner>,
    /// Apart from the card: smoltcp answers a packet (ARP, a reset, an early ACK) while it still reads it.
    receive: RefCell<&'static mut Arrivals>,
    mac: [u8; 6],
    /// Packets the card did not take.
    pub dropped: Cell<u32>,
}

impl Nic {
    /// The first network card among the machine's eight virtio slots.
    // What it needs of the stack is free again afterwards.
    #[inline(never)]
    pub fn find(buffers: &'static mut Buffers) -> Option<Self> {
        let card = (0..8).find_map(|slot| {
            let header = NonNull::new((0x1000_1000 + slot * 0x1000) as *mut VirtIOHeader)?;
            // SAFETY: these are the machine's virtio registers, used by nobody else.
            let transport = unsafe { MmioTransport::new(header, 0x1000) }.ok()?;
            (transport.device_type() == DeviceType::Network).then(|| Card::new(transport).ok())?
        })?;
        let mac = card.mac_address();
        let Buffers { receive, transmit } = buffers;
        let mut inner = Inner {
            card,
            transmit,
            slots: [Slot::Idle; QUEUE],
        };
        (0..QUEUE).for_each(|at| inner.arm(receive, at));
        Some(Self {
            inner: RefCell::new(inner),
            receive: RefCell::new(receive),
            mac,
            dropped: Cell::new(0),
        })
    }

    /// Its address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }
}

impl Inner {
    fn arm(&mut self, receive: &mut Arrivals, at: usize) {
        // SAFETY: the buffer is static and not touched until `receive_complete` for this token.
        let armed = unsafe { self.card.receive_begin(&mut receive[at]) };
        self.slots[at] = armed.map_or(Slot::Idle, Slot::Armed);
    }

    /// A packet that has arrived: its buffer, and where it is in there.
    fn arrived(&mut self, receive: &mut Arrivals) -> Option<(usize, core::ops::Range<usize>)> {
        let token = self.card.poll_receive()?;
        let at = self.slots.iter().position(|&slot| slot == Slot::Armed(token))?;
        // SAFETY: this is the buffer that the token was given for.
        let received = unsafe { self.card.receive_complete(token, &mut receive[at]) };
        self.slots[at] = Slot::Idle;
        match received {
            Ok((header, len)) => Some((at, header..header + len)),
            Err(_) => {
                self.arm(receive, at);
                None
            }
        }
    }
}

/// A packet that was received.
pub struct Received<'n> {
    nic: &'n Nic,
    at: usize,
    range: core::ops::Range<usize>,
}

/// Room for a packet to be sent.
pub struct Room<'n>(&'n Nic);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let mut receive = self.nic.receive.borrow_mut();
        let result = read(receive[self.at].get(self.range).unwrap_or_default());
        self.nic.inner.borrow_mut().arm(&mut receive, self.at);
        result
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let inner = &mut *self.0.inner.borrow_mut();
        // No packet is longer than what `capabilities` says.
        let packet = &mut inner.transmit[..len];
        let result = write(packet);
        if inner.card.send(packet).is_err() {
            self.0.dropped.set(self.0.dropped.get() + 1);
        }
        result
    }
}

/// The card, for smoltcp.
pub struct Port<'n>(pub &'n Nic);

impl<'n> Device for Port<'n> {
    type RxToken<'a>
        = Received<'n>
    where
        Self: 'a;
    type TxToken<'a>
        = Room<'n>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'n>, Room<'n>)> {
        let mut receive = self.0.receive.borrow_mut();
        let (at, range) = self.0.inner.borrow_mut().arrived(&mut receive)?;
        let received = Received {
            nic: self.0,
            at,
            range,
        };
        Some((received, Room(self.0)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'n>> {
        self.0.inner.borrow().card.can_send().then_some(Room(self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}
