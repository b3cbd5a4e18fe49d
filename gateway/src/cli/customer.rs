//! `gateway customer`: finds a customer's sales and erases their personal data, on the running gateway.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments::ConfigArguments;
use super::running_gateway::RunningGateway;

/// Most events listed for a customer. A text that matches more does not identify a person.
const MAX_FOUND: usize = 500;
/// Most orders and dead letters in one request.
const MAX_NAMED: usize = 200;

#[derive(Subcommand)]
pub enum Action {
    /// List the sales that name a customer
    Find {
        /// A part of the name, of the e-mail address or of the address
        text: String,
    },
    /// Erase the customer's name, e-mail address and address from those sales
    ///
    /// The sales stay, with their amounts and numbers. Copies in Kafka and in backups are not changed.
    Erase {
        /// A part of the name, of the e-mail address or of the address
        text: String,
        /// Erase; without this option, only list what would be erased
        #[arg(long)]
        yes: bool,
    },
}

/// Performs `action`.
///
/// # Errors
/// No gateway is running, it refuses, or the text matches too many events.
pub async fn run(arguments: &ConfigArguments, action: Action) -> anyhow::Result<ExitCode> {
    let config = match arguments.load_for_command() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let gateway = RunningGateway::of(&config)?;
    let (text, is_erasure, is_confirmed) = match &action {
        Action::Find { text } => (text, false, false),
        Action::Erase { text, yes } => (text, true, *yes),
    };
    let found = find(&gateway, text).await?;
    if found.is_empty() {
        println!("no sale names {text:?}");
        return Ok(ExitCode::SUCCESS);
    }
    if !is_confirmed {
        for event in &found {
            println!("{}", line(event));
        }
    }
    match (is_erasure, is_confirmed) {
        (false, _) => Ok(ExitCode::SUCCESS),
        (true, false) => {
            eprintln!("gateway: nothing was erased; repeat the command with --yes to erase these customers");
            Ok(ExitCode::FAILURE)
        }
        (true, true) => erase(&gateway, &found).await,
    }
}

/// All events that name the customer.
async fn find(gateway: &RunningGateway<'_>, text: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let request = json!({"text": text.trim(), "after": after});
        let mut part = gateway.post("/api/customers/search", Some(&request)).await?;
        if let Some(Value::Array(events)) = part.get_mut("found").map(Value::take) {
            found.extend(events);
        }
        if found.len() > MAX_FOUND {
            bail!(
                "more than {MAX_FOUND} events contain {text:?}: write more of the name, or the e-mail address"
            );
        }
        after = part["next"].take();
        if after.is_null() {
            return Ok(found);
        }
    }
}

async fn erase(gateway: &RunningGateway<'_>, found: &[Value]) -> anyhow::Result<ExitCode> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let is_dead_letter = |event: &&Value| event["kind"] == "dead_letter";
    let orders: BTreeSet<(String, String)> = found
        .iter()
        .filter(|event| !is_dead_letter(event))
        .map(|event| (text(event, "store"), text(event, "order_id")))
        .collect();
    let orders: Vec<Value> = orders
        .into_iter()
        .map(|(store, order_id)| json!({"store": store, "order_id": order_id}))
        .collect();
    let letters = found.iter().filter(is_dead_letter);
    let letters: Vec<Value> = letters.map(|event| event["ce_id"].clone()).collect();
    let (mut erased, mut pending) = (0, 0);
    let requests = orders.chunks(MAX_NAMED).map(|orders| json!({"orders": orders}));
    let letters = letters
        .chunks(MAX_NAMED)
        .map(|letters| json!({"dead_letters": letters}));
    for mut request in requests.chain(letters) {
        loop {
            let part = gateway.post("/api/customers/erase", Some(&request)).await?;
            erased += part["erased"].as_u64().unwrap_or_default();
            pending += part["pending"].as_u64().unwrap_or_default();
            request["after"] = part["next"].clone();
            if part["next"].is_null() {
                break;
            }
        }
    }
    println!("erased the personal data of {erased} events");
    if pending > 0 {
        eprintln!(
            "gateway: {pending} events are not in Kafka yet and keep their personal data; repeat the command when Kafka has them"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Formats an event as one line.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &event["personal_data"];
    let personal: Vec<String> = ["customer_name", "customer_email", "address"]
        .iter()
        .map(|field| text(&data[*field]))
        .filter(|text| !text.is_empty())
        .collect();
    let note = match event["is_in_kafka"] == true {
        true => "",
        false => "  (not in Kafka yet)",
    };
    // Keeps control characters of a sale away from the terminal.
    let shown: String = format!(
        "{:<11}  {}  {}  {}  {}{note}",
        text(&event["kind"]),
        text(&event["timestamp"]),
        text(&event["store"]),
        text(&event["order_id"]),
        personal.join(", "),
    )
    .chars()
    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
    .collect();
    shown
}
