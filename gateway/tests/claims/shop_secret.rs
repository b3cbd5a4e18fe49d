//! The shop's secret and its recovery code: without it the gateway sells and sends nothing, and a lost one is replaced.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use comptoir_harness::within;

use crate::kafka_distrust::pay;
use crate::shop::{GATEWAY, SOON, Shop};

/// Runs `gateway recovery-code` with these arguments and this input. Returns whether it succeeded, and its output.
pub fn recovery_code(shop: &Shop, args: &[&str], input: &str) -> Result<(bool, String)> {
    let mut command = Command::new(GATEWAY);
    command.arg("recovery-code").args(args);
    command.arg("--config").arg(shop.gateway.config_file());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // The command may end without reading.
    let _ = child.stdin.take().context("stdin")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok((true, text(&output.stdout))),
        false => Ok((false, text(&output.stderr))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_its_secret_sells_and_sends_nothing_until_the_code_is_restored() -> Result<()> {
    let mut shop = Shop::open_reading_all().await?;
    pay(&shop, "p-1").await?;
    shop.drained(1, SOON).await?;
    let (_, code) = recovery_code(&shop, &[], "")?;
    ensure!(code.len() == 69 && code.split('-').count() == 14, "{code}");
    shop.gateway.kill9()?;
    let secret = shop.gateway.journal_path().with_file_name("journal-secret");
    fs::remove_file(&secret)?;
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    pay(&shop, "p-2").await?;
    for peer in ["bridge", "kafka"] {
        within("the missing secret to be reported", SOON, async || {
            let status = shop.gateway.get_json("/api/gateway").await?;
            let problem = status[peer]["problem"].as_str().unwrap_or_default();
            ensure!(
                status[peer]["state"] == "down" && problem.contains("recovery-code --restore"),
                "{}",
                status[peer]
            );
            // Both, if the crash came before the journal had recorded that the first is in Kafka.
            let pending = status["journal"]["pending"].as_u64();
            ensure!(matches!(pending, Some(1 | 2)), "{status}");
            Ok(())
        })
        .await?;
    }
    ensure!(!secret.exists(), "no other secret was made");
    ensure!(!recovery_code(&shop, &[], "")?.0, "there is no code to print");
    let mut wrong = code.clone();
    wrong.replace_range(0..1, if code.starts_with('7') { "8" } else { "7" });
    let (restored, said) = recovery_code(&shop, &["--restore"], &wrong)?;
    ensure!(!restored && said.contains("checksum"), "{said}");
    let others = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFQ-F2ZM";
    let (restored, said) = recovery_code(&shop, &["--restore"], others)?;
    ensure!(!restored && said.contains("not the recovery code"), "{said}");
    let spoken = code.to_lowercase().replace('-', " ");
    let (restored, said) = recovery_code(&shop, &["--restore"], &spoken)?;
    ensure!(restored, "{said}");
    ensure!(shop.gateway.terminate().await?.success());
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    shop.drained(2, SOON).await?;
    ensure!(shop.records().await?.len() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_code_is_replaced_by_a_new_one_and_nothing_is_doubled() -> Result<()> {
    let mut shop = Shop::open_reading_all().await?;
    for n in 1..=5 {
        pay(&shop, &format!("p-{n}")).await?;
    }
    shop.drained(5, SOON).await?;
    shop.gateway.kill9()?;
    let secret = shop.gateway.journal_path().with_file_name("journal-secret");
    let before = fs::read_to_string(&secret)?;
    fs::remove_file(&secret)?;
    // As if the crash had happened before the journal recorded the last transactions.
    shop.alter_journal(&["UPDATE watermark SET offset = 2, payments = 0"])
        .await?;
    let (replaced, code) = recovery_code(&shop, &["--replace"], "")?;
    ensure!(replaced && !before.contains(&code), "{code}");
    shop.gateway.start_again()?;
    shop.gateway.wait_ready().await?;
    pay(&shop, "p-6").await?;
    shop.drained(6, SOON).await?;
    ensure!(shop.records().await?.len() == 6);
    within("every sale to be confirmed", SOON, async || {
        let page = shop.gateway.get_json("/api/payments").await?;
        let items = page["items"].as_array().context("items")?;
        ensure!(
            items.len() == 6 && items.iter().all(|item| item["offset"].is_i64()),
            "{page}"
        );
        Ok(())
    })
    .await
}
