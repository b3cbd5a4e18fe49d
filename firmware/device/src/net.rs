//! One TCP connection at a time over smoltcp, by polling: no interrupts, no executor.

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
    /// The host does not accept connections, or the network is down.
    NotConnected,
    /// The connection ended.
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

/// The network stack.
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
    /// A network stack over that card, whose address is `mac`. `random` seeds the port numbers.
    // Not inlined, so that the main loop gets the stack space back.
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

    /// Receives and sends packets, and renews the address.
    pub fn poll(&self) {
        self.board.poll();
        let stack = &mut *self.stack.borrow_mut();
        stack
            .interface
            .poll(now(self.board), &mut stack.card, &mut stack.sockets);
        match stack.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                stack.interface.update_ip_addrs(|addresses| {
                    addresses.clear();
                    // There is room for one address.
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

    /// Connects, after aborting the previous connection. Calls `meanwhile` at each turn, because this can take seconds.
    ///
    /// # Errors
    /// The host refuses, or does not answer within `timeout` milliseconds.
    pub fn connect(
        &self,
        to: IpAddress,
        port: u16,
        random: u32,
        timeout: u64,
        mut meanwhile: impl FnMut(),
    ) -> Result<Connection<'_, 'n, B, D>, NetError> {
        let connection = Connection { net: self };
        let until = self.board.millis() + timeout;
        connection.with(|socket| socket.abort());
        while self.stack.borrow().interface.ipv4_addr().is_none() {
            self.poll();
            meanwhile();
            if self.board.millis() > until {
                return Err(NetError::NotConnected);
            }
        }
        // Sends the reset of the previous connection first.
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

    /// Polls a future and the network for at most `timeout` milliseconds. Returns `None` after the timeout; the future is
    /// dropped then, so it must be cancel-safe. Calls `meanwhile` at each turn.
    pub fn drive<F: Future>(
        &self,
        future: F,
        timeout: u64,
        mut meanwhile: impl FnMut(),
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let until = self.board.millis() + timeout;
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
        // The next polls send the written bytes. Waiting for the peer's ACK would only cost time.
        Ok(())
    }
}
