//! One TCP connection at a time over smoltcp, polled: no interrupts, no executor.

use core::cell::RefCell;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::Board;

/// Why a connection could not be made, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// Nobody listens there, or the network is not there.
    NotConnected,
    /// It ended.
    Closed,
}

impl core::fmt::Display for NetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "no connection",
            Self::Closed => "the connection ended",
        })
    }
}

impl core::error::Error for NetError {}

impl embedded_io_async::Error for NetError {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        match self {
            Self::NotConnected => embedded_io_async::ErrorKind::NotConnected,
            Self::Closed => embedded_io_async::ErrorKind::ConnectionReset,
        }
    }
}

struct Stack<'n, D> {
    interface: Interface,
    card: D,
    sockets: SocketSet<'n>,
}

/// The network.
pub struct Net<'n, B, D> {
    board: &'n B,
    stack: RefCell<Stack<'n, D>>,
    dhcp: SocketHandle,
    tcp: SocketHandle,
}

fn now(board: &impl Board) -> Instant {
    Instant::from_micros(i64::try_from(board.micros()).unwrap_or(i64::MAX))
}

impl<'n, B: Board, D: Device> Net<'n, B, D> {
    /// Over that card, which has the address `mac`. `random` decides about the port numbers.
    // What it needs of the stack is free again for the loop.
    #[inline(never)]
    pub fn new(
        board: &'n B,
        mut card: D,
        mac: [u8; 6],
        random: u64,
        sockets: SocketSet<'n>,
        tcp: tcp::Socket<'n>,
    ) -> Self {
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = random;
        let interface = Interface::new(config, &mut card, now(board));
        let mut stack = Stack {
            interface,
            card,
            sockets,
        };
        let dhcp = stack.sockets.add(dhcpv4::Socket::new());
        let tcp = stack.sockets.add(tcp);
        Self {
            board,
            stack: RefCell::new(stack),
            dhcp,
            tcp,
        }
    }

    /// Lets the network do what it has to: takes packets, sends packets, renews the address.
    pub fn poll(&self) {
        self.board.work();
        let stack = &mut *self.stack.borrow_mut();
        stack
            .interface
            .poll(now(self.board), &mut stack.card, &mut stack.sockets);
        match stack.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                stack.interface.update_ip_addrs(|addresses| {
                    addresses.clear();
                    // One address, for which there is room.
                    let _ = addresses.push(IpCidr::Ipv4(config.address));
                });
                if let Some(router) = config.router {
                    let _ = stack.interface.routes_mut().add_default_ipv4_route(router);
                }
            }
            Some(dhcpv4::Event::Deconfigured) => {
                stack.interface.update_ip_addrs(|addresses| addresses.clear());
            }
            None => {}
        }
    }

    /// Connects. The one before is broken off. `meanwhile` is called at each turn: this takes its time.
    ///
    /// # Errors
    /// Nobody is there, or nothing is heard within `patience` milliseconds.
    pub fn connect(
        &self,
        to: IpAddress,
        port: u16,
        random: u32,
        patience: u64,
        mut meanwhile: impl FnMut(),
    ) -> Result<Connection<'_, 'n, B, D>, NetError> {
        let connection = Connection { net: self };
        let until = self.board.millis() + patience;
        connection.with(|socket| socket.abort());
        while self.stack.borrow().interface.ipv4_addr().is_none() {
            self.poll();
            meanwhile();
            if self.board.millis() > until {
                return Err(NetError::NotConnected);
            }
        }
        // The reset of the connection before leaves first.
        self.poll();
        {
            let stack = &mut *self.stack.borrow_mut();
            let socket = stack.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
            socket.set_timeout(Some(Duration::from_secs(20)));
            socket.set_nagle_enabled(false);
            let local = 49_152 + (random % 16_000) as u16;
            socket
                .connect(stack.interface.context(), (to, port), local)
                .map_err(|_| NetError::NotConnected)?;
        }
        loop {
            self.poll();
            meanwhile();
            if connection.with(|socket| socket.may_send()) {
                return Ok(connection);
            }
            if self.board.millis() > until || !connection.with(|socket| socket.is_open()) {
                return Err(NetError::NotConnected);
            }
        }
    }

    /// Drives a future while the network works, for so many milliseconds at most. `None`: time is up, and the
    /// future is dropped; it has to bear that. `meanwhile` is called at each turn.
    pub fn drive<F: Future>(
        &self,
        future: F,
        patience: u64,
        mut meanwhile: impl FnMut(),
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let until = self.board.millis() + patience;
        loop {
            self.poll();
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                self.poll();
                return Some(output);
            }
            meanwhile();
            if self.board.millis() >= until {
                return None;
            }
        }
    }
}

/// The TCP connection.
pub struct Connection<'s, 'n, B, D> {
    net: &'s Net<'n, B, D>,
}

impl<B, D> Connection<'_, '_, B, D> {
    fn with<R>(&self, act: impl FnOnce(&mut tcp::Socket<'_>) -> R) -> R {
        let mut stack = self.net.stack.borrow_mut();
        act(stack.sockets.get_mut::<tcp::Socket<'_>>(self.net.tcp))
    }

    async fn wait<R>(&self, mut act: impl FnMut(&mut tcp::Socket<'_>) -> Option<R>) -> R {
        core::future::poll_fn(|_| self.with(&mut act).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl<B, D> embedded_io_async::ErrorType for Connection<'_, '_, B, D> {
    type Error = NetError;
}

impl<B, D> embedded_io_async::Read for Connection<'_, '_, B, D> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, NetError> {
        self.wait(|socket| match socket.recv_slice(buffer) {
            Ok(0) if socket.may_recv() => None,
            Ok(len) => Some(Ok(len)),
            Err(tcp::RecvError::Finished) => Some(Ok(0)),
            Err(tcp::RecvError::InvalidState) => Some(Err(NetError::Closed)),
        })
        .await
    }
}

impl<B, D> embedded_io_async::Write for Connection<'_, '_, B, D> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        self.wait(|socket| match socket.send_slice(bytes) {
            Ok(0) => None,
            Ok(len) => Some(Ok(len)),
            Err(_) => Some(Err(NetError::Closed)),
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        // What was written leaves with the next polls: waiting for the other side would only cost time.
        Ok(())
    }
}
