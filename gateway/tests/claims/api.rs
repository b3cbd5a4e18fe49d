//! The API is as it is described: no 500, no answer that the description lacks, whatever is asked.

use anyhow::{Context, Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Scratch, python};
use serde_json::{Value, json};

use crate::shop::{LATER, Shop};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method";
/// 413 is an answer to both: how large a body may be is said in words.
const SETTINGS: &str = "[checks.negative_data_rejection]\n\
    expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422]\n\
    [checks.positive_data_acceptance]\n\
    expected-statuses = [\"2xx\", 401, 403, 404, 409, 413]\n";
/// What it says in words.
const IN_WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/python/described.py");

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_is_answered_as_described() -> Result<()> {
    let shop = Shop::open().await?;
    // Something to find.
    for kind in ["orders", "payments", "deliveries"] {
        shop.gateway
            .post_json(&format!("/api/{kind}"), &json!({}))
            .await?;
    }
    let scratch = Scratch::new("schemathesis")?;
    std::fs::write(scratch.join("schemathesis.toml"), SETTINGS)?;
    let mut command = python("schemathesis")?;
    let description = format!("{}/api/openapi.json", shop.gateway.http_url()?);
    command.args([
        "run",
        &description,
        "--checks",
        CHECKS,
        "--max-examples",
        "60",
        "--seed",
        "1",
    ]);
    command.env("SCHEMATHESIS_HOOKS", IN_WORDS);
    command.current_dir(scratch.path());
    let mut process = Process::spawn("schemathesis", command, &scratch.join("log"))?;
    let status = process.wait(LATER).await?;
    ensure!(status.success(), "{}", process.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_that_of_what_is_sent() -> Result<()> {
    use comptoir_gateway::dashboard::dto;

    fn same<T: serde::de::DeserializeOwned + serde::Serialize>(sent: &Value) -> Result<()> {
        let read: T = serde_json::from_value(sent.clone()).with_context(|| sent.to_string())?;
        let written = serde_json::to_value(read)?;
        ensure!(written == *sent, "{written} is not {sent}");
        Ok(())
    }
    let shop = Shop::open().await?;
    for _ in 0..20 {
        same::<dto::Order>(&shop.gateway.post_json("/api/orders", &json!({})).await?.2)?;
        same::<dto::Payment>(&shop.gateway.post_json("/api/payments", &json!({})).await?.2)?;
        same::<dto::Delivery>(&shop.gateway.post_json("/api/deliveries", &json!({})).await?.2)?;
    }
    Ok(())
}
