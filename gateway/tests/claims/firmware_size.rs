//! The till on bare metal fits a small chip with 256 KiB of flash and 128 KiB of RAM, including its network stack and orders
//! of 250 lines.
//!
//! The linker script gives the emulated machine no more memory than that.

use anyhow::{Result, ensure};
use comptoir_harness::{EmulatedTill, Gateway, GatewayConfig, Mosquitto};

use crate::shop::{GATEWAY, SOON, STORE};

const FLASH: u64 = 256 << 10;
const RAM: u64 = 128 << 10;
/// Bytes of the stack that must stay unused, as a reserve for later changes.
const SPARE: u64 = 2 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_its_network_and_long_orders_fits_a_small_chip() -> Result<()> {
    let mut mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let port = mosquitto.port();
    let mut till = EmulatedTill::new(&format!(
        "store={STORE};device=till-8;port={port};events=90;pace=5;long_every=3;seed=8"
    ))?;
    till.switch_on()?;
    // The stack is deepest during a reconnect.
    till.sold(30, SOON).await?;
    mosquitto.kill();
    till.sold(60, SOON).await?;
    mosquitto.start_again().await?;
    let end = till.finish(SOON).await?;
    ensure!(end.success(), "the till: {end}\n{}", till.log());
    let (image, stack) = (EmulatedTill::image()?, till.stack()?);
    println!(
        "flash {}, RAM {} + {} of stack, of which {} used",
        image.flash, image.variables, stack.size, stack.used
    );
    ensure!(image.flash < FLASH, "too much flash");
    ensure!(
        image.variables + stack.size <= RAM,
        "the variables and the stack exceed the RAM of the chip"
    );
    ensure!(stack.used + SPARE <= stack.size, "the stack is too tight");
    Ok(())
}

/// A panic is logged with its location only. Its message would link in the formatting code of every type that it can contain.
#[test]
fn no_panic_message_is_linked_in() -> Result<()> {
    let image = EmulatedTill::image()?;
    // The positive control: an image without symbols would pass the check below. Which functions are inlined depends on the
    // compiler, but not all of a crate are.
    for expected in ["core::fmt::write", "comptoir_device::", "comptoir_terminal::"] {
        ensure!(
            image.functions.iter().any(|name| name.contains(expected)),
            "the image has no function {expected}: it is stripped, or the names are not demangled"
        );
    }
    let of_messages = [
        "core::fmt::Debug",
        "core::fmt::builders",
        "core::fmt::float",
        "flt2dec",
    ];
    let linked: Vec<_> = image
        .functions
        .iter()
        .filter(|name| of_messages.iter().any(|part| name.contains(part)))
        .collect();
    ensure!(linked.is_empty(), "linked in: {linked:#?}");
    // The positive control: a text that the till logs is found.
    let contains = |text: &str| {
        image
            .contents
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    };
    ensure!(contains("till: panic at "));
    for text in [
        "index out of bounds",
        "out of range for slice",
        "assertion `left",
        "called `Option::unwrap",
        "called `Result::unwrap",
        "already borrowed",
        "attempt to",
    ] {
        ensure!(!contains(text), "a panic message is linked in: {text}");
    }
    Ok(())
}
