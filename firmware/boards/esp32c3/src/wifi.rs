//! The chip's Wi-Fi: joined again whenever it is lost, and a device of smoltcp.

use core::future::poll_fn;
use core::task::Poll;

use comptoir_device::provision::Provision;
use esp_hal::time::{Duration, Instant};
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, Interface, WifiController, WifiError, WifiRxToken, WifiTxToken,
};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

use crate::serial::Serial;

/// Between two attempts to join.
const PAUSE: Duration = Duration::from_secs(3);
/// An Ethernet frame, as the driver's buffers have it: it panics at a longer one.
const FRAME: usize = 1492;
/// Packets that may arrive at once: the driver's queue has room for five.
const BURST: usize = 3;

/// The controller's settings.
///
/// # Errors
/// The driver takes no such name or password.
pub fn config(settings: &Provision) -> Result<Config, WifiError> {
    let station = StationConfig::default().with_ssid(settings.ssid.as_str().try_into()?);
    let how = if settings.password.is_empty() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::Wpa2Personal(settings.password.as_str().try_into()?)
    };
    Ok(Config::Station(station.with_authentication(how)))
}

/// Joins the network, for ever. To be polled now and then; nothing wakes it.
pub async fn stay_joined(mut controller: WifiController<'_>, serial: &Serial) {
    loop {
        match controller.connect_async().await {
            Ok(_) => {
                serial.say(format_args!("till: Wi-Fi joined"));
                let _ = controller.wait_for_disconnect_async().await;
                serial.say(format_args!("till: Wi-Fi lost"));
            }
            Err(trouble) => serial.say(format_args!("till: Wi-Fi: {trouble:?}")),
        }
        let start = Instant::now();
        poll_fn(|_| {
            if start.elapsed() > PAUSE {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// The card, for smoltcp.
pub struct Card(pub Interface);

/// A packet that was received.
pub struct Received(WifiRxToken);

/// Room for a packet to be sent.
pub struct Room(WifiTxToken);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        self.0.consume_token(|packet| read(packet))
    }
}

impl TxToken for Room {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.consume_token(len, write)
    }
}

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Room)> {
        self.0
            .receive()
            .map(|(packet, room)| (Received(packet), Room(room)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Room> {
        self.0.transmit().map(Room)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(BURST);
        capabilities
    }
}
