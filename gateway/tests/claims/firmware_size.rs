//! The till on bare metal fits a small chip: 256 KiB of flash, 128 KiB of RAM, with its network stack and sales of 250
//! lines.
//!
//! The emulated machine has no more than that, by its linker script.

use anyhow::{Result, ensure};
use comptoir_harness::{EmulatedTill, Gateway, GatewayConfig, Mosquitto};

use crate::shop::{GATEWAY, SOON, STORE};

const FLASH: u64 = 256 << 10;
const RAM: u64 = 128 << 10;
/// Bytes of the stack that no sale may come to: the next change takes some too.
const SPARE: u64 = 2 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_till_with_its_network_and_long_sales_fits_a_small_chip() -> Result<()> {
    let mut mosquitto = Mosquitto::start().await?;
    let mut gateway = Gateway::spawn(GATEWAY, GatewayConfig::new(STORE, &mosquitto.url()))?;
    gateway.wait_ready().await?;
    let port = mosquitto.port();
    let mut till = EmulatedTill::new(&format!(
        "store={STORE};device=till-8;port={port};events=90;pace=5;long_every=3;seed=8"
    ))?;
    till.switch_on()?;
    // A connection that ends and is made again goes deeper than one that lasts.
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
        "the machine has more RAM than it should"
    );
    ensure!(stack.used + SPARE <= stack.size, "the stack is too tight");
    Ok(())
}

/// A panic is told by its place. Its message would bring formatting for every type that can be in one.
#[test]
fn no_panic_is_formatted() -> Result<()> {
    let image = EmulatedTill::image()?;
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
    // What the till says on its serial line shows that texts would be found.
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
        ensure!(!contains(text), "a panic's message is linked in: {text}");
    }
    Ok(())
}
