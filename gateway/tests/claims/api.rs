//! The API behaves as its OpenAPI document says: no request gets a 500 or an undocumented answer.

use anyhow::{Context, Result, ensure};
use comptoir_harness::process::Process;
use comptoir_harness::{Scratch, python};
use serde_json::{Value, json};

use crate::shop::{LATER, Shop};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method";
/// 413 is allowed in both checks: the document states the maximum body size in prose only.
const SETTINGS: &str = "[checks.negative_data_rejection]\n\
    expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422]\n\
    [checks.positive_data_acceptance]\n\
    expected-statuses = [\"2xx\", 401, 403, 404, 409, 413]\n";
/// An open gateway has no users, and answers all requests to these paths with the same problem.
const ACCOUNTS: &str = "^/api/(audit|pairings|session|sessions|setup|tokens|users)";
/// Schemathesis hooks for the rules that the document states in prose only.
const PROSE_RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/python/described.py");

#[tokio::test(flavor = "multi_thread")]
async fn every_request_gets_an_answer_that_the_openapi_document_describes() -> Result<()> {
    let shop = Shop::open().await?;
    // Makes sure that the lists are not empty.
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
        "--exclude-path-regex",
        ACCOUNTS,
    ]);
    command.env("SCHEMATHESIS_HOOKS", PROSE_RULES);
    command.current_dir(scratch.path());
    let mut process = Process::spawn("schemathesis", command, &scratch.join("log"))?;
    let status = process.wait(LATER * 2).await?;
    ensure!(status.success(), "{}", process.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_post_has_exactly_the_described_fields() -> Result<()> {
    use comptoir_gateway::http::api::dto;

    fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(sent: &Value) -> Result<()> {
        let read: T = serde_json::from_value(sent.clone()).with_context(|| sent.to_string())?;
        let written = serde_json::to_value(read)?;
        ensure!(
            written == *sent,
            "the described type has {written}, the answer {sent}"
        );
        Ok(())
    }
    let shop = Shop::open().await?;
    for _ in 0..20 {
        round_trip::<dto::Order>(&shop.gateway.post_json("/api/orders", &json!({})).await?.2)?;
        round_trip::<dto::Payment>(&shop.gateway.post_json("/api/payments", &json!({})).await?.2)?;
        round_trip::<dto::Delivery>(&shop.gateway.post_json("/api/deliveries", &json!({})).await?.2)?;
    }
    Ok(())
}
