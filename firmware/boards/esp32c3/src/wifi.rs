//! The chip's Wi-Fi: rejoins the network when the connection is lost, and is a smoltcp device.

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

/// Pause between two attempts to join.
const PAUSE: Duration = Duration::from_secs(3);
/// Bytes of an Ethernet frame in the driver's buffers. The driver panics on a longer frame.
const FRAME: usize = 1492;
/// Packets that may arrive in a burst; the driver's queue has room for five.
const BURST: usize = 3;

/// The Wi-Fi controller's configuration.
///
/// # Errors
/// The driver rejects the SSID or the password.
pub fn config(settings: &Provision) -> Result<Config, WifiError> {
    let station = StationConfig::default().with_ssid(settings.ssid.as_str().try_into()?);
    let authentication = if settings.password.is_empty() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::Wpa2Personal(settings.password.as_str().try_into()?)
    };
    Ok(Config::Station(station.with_authentication(authentication)))
}

/// Keeps the board in the network; never returns. Poll it regularly, because nothing wakes it.
pub async fn stay_joined(mut controller: WifiController<'_>, serial: &Serial) {
    loop {
        match controller.connect_async().await {
            Ok(_) => {
                serial.log(format_args!("till: Wi-Fi joined"));
                let _ = controller.wait_for_disconnect_async().await;
                serial.log(format_args!("till: Wi-Fi lost"));
            }
            Err(error) => serial.log(format_args!("till: Wi-Fi: {error:?}")),
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

/// The Wi-Fi interface as a smoltcp device.
pub struct Card(pub Interface);

/// A received packet.
pub struct ReceivedPacket(WifiRxToken);

/// The right to send one packet.
pub struct SendSlot(WifiTxToken);

impl RxToken for ReceivedPacket {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        self.0.consume_token(|packet| read(packet))
    }
}

impl TxToken for SendSlot {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        self.0.consume_token(len, write)
    }
}

impl Device for Card {
    type RxToken<'a> = ReceivedPacket;
    type TxToken<'a> = SendSlot;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(ReceivedPacket, SendSlot)> {
        self.0
            .receive()
            .map(|(packet, room)| (ReceivedPacket(packet), SendSlot(room)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<SendSlot> {
        self.0.transmit().map(SendSlot)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(BURST);
        capabilities
    }
}
