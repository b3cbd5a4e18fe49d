//! What attackers on the shop's network do, and what must hold meanwhile.

use std::collections::HashSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, GatewayConfig, LedgerLine, audit};
use futures::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::shop::Shop;

const UNIT: &str = include_str!("../../../deploy/systemd/comptoir-gateway.service");
/// Half of the head of a request.
pub const HALF_A_HEAD: &[u8] = b"GET /api/orders HTTP/1.1\r\nHost: sh";
/// The gateway runs with this limit of open files.
pub const DESCRIPTORS: usize = 1_024;

/// The unit's `MemoryMax`, in bytes.
pub fn memory_max() -> Result<u64> {
    let limit = UNIT.lines().find_map(|line| line.strip_prefix("MemoryMax="));
    let limit = limit.and_then(|limit| limit.strip_suffix('M'));
    Ok(limit.context("MemoryMax in MiB")?.parse::<u64>()? << 20)
}

pub fn limit_descriptors(mut config: GatewayConfig) -> GatewayConfig {
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    config.wrapper = ["bash", "-c", &script].map(str::to_owned).to_vec();
    config
}

pub fn address_of(gateway: &Gateway) -> Result<SocketAddr> {
    let url = gateway.http_url()?;
    let address: SocketAddr = url.strip_prefix("http://").context("url")?.parse()?;
    Ok(address)
}

/// Fails unless Kafka contains each sale of the ledger once. There may be other events.
pub async fn sold_once(shop: &Shop, ledger: &[LedgerLine]) -> Result<()> {
    let sold: HashSet<&str> = ledger.iter().map(|line| line.ce_id.as_str()).collect();
    let mut records = shop.records().await?;
    records.retain(|record| record.ce_id().is_some_and(|name| sold.contains(name)));
    let audit = audit(ledger, &records);
    ensure!(audit.is_clean(), "{audit}");
    Ok(())
}

/// How often a limit was reached, from `/metrics`.
pub async fn reached(gateway: &Gateway, limit: &str) -> Result<u64> {
    let (_, metrics) = gateway.get("/metrics").await?;
    let name = format!("comptoir_http_limits_total{{limit=\"{limit}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}

/// Opens connections that send half a head, again and again, until the task is aborted. The gateway closes some of them.
pub async fn send_half_heads(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let sockets = join_all((0..count).map(|_| async move {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(HALF_A_HEAD).await?;
        std::io::Result::Ok(socket)
    }));
    sockets.await.into_iter().flatten().collect()
}

/// Asks for `path` on a connection of its own, and reads nothing of the answer.
pub async fn ask_and_not_read(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    let mut socket = socket.connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// Opens a live connection and reads nothing.
pub async fn live_and_not_read(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 << 10)?;
    let mut socket = socket.connect(address).await?;
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await?;
    // "40" in a text frame with a mask of zeros: joins the namespace.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0']).await?;
    Ok(socket)
}
