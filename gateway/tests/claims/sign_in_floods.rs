//! An attacker on the shop's network floods set-up, sign-in or pairing. All other clients still get through.
//!
//! These limits count each address of `127.0.0.0/8` separately.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use comptoir_harness::{Gateway, within};
use futures::future::{join_all, try_join_all};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::shop::SOON;
use crate::sign_in::{PASSWORD, add_user, closed};

const ATTACKER: u8 = 66;
const OWNER: u8 = 7;

/// A client with an address of its own.
struct Person {
    client: Client,
    url: String,
}

impl Person {
    fn new(gateway: &Gateway, address: u8) -> Result<Self> {
        let address = Ipv4Addr::new(127, 0, 0, address);
        let client = Client::builder().local_address(Some(address.into())).build()?;
        let url = gateway.http_url()?;
        Ok(Self { client, url })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).with_context(|| text.clone())?,
        };
        Ok((status, body))
    }

    async fn sign_in(&self, name: &str) -> Result<StatusCode> {
        let credentials = json!({"name": name, "password": PASSWORD});
        Ok(self.post("/api/session", &credentials).await?.0)
    }
}

/// Sends requests without pause until it is dropped.
struct Flood {
    tasks: Vec<AbortHandle>,
    refused: Arc<AtomicU64>,
}

impl Flood {
    fn begin(gateway: &Gateway, path: &'static str, body: &Value) -> Result<Self> {
        let refused = Arc::<AtomicU64>::default();
        let tasks = (0..24).map(|_| {
            let person = Person::new(gateway, ATTACKER)?;
            let (body, refused) = (body.clone(), Arc::clone(&refused));
            let task = tokio::spawn(async move {
                while let Ok((status, _)) = person.post(path, &body).await {
                    if status == StatusCode::TOO_MANY_REQUESTS {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            Ok(task.abort_handle())
        });
        let tasks = tasks.collect::<Result<_>>()?;
        Ok(Self { tasks, refused })
    }

    /// Waits until the gateway has refused some more of its requests.
    async fn is_refused(&self) -> Result<()> {
        let before = self.refused.load(Ordering::Relaxed);
        within("refusals", SOON, async || {
            ensure!(self.refused.load(Ordering::Relaxed) >= before + 50);
            Ok(())
        })
        .await
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_setup_codes_without_pause_do_not_keep_the_owner_from_setting_up() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    let file = gateway.journal_path().with_file_name("setup-code");
    let code = within("the set-up code", SOON, async || {
        Ok(std::fs::read_to_string(&file)?)
    })
    .await?;
    let setup = |code: &str| json!({"code": code, "name": "Zoé", "password": PASSWORD});
    let flood = Flood::begin(&gateway, "/api/setup", &setup("0000-0000"))?;
    flood.is_refused().await?;
    let attacker = Person::new(&gateway, ATTACKER)?;
    let (status, problem) = attacker.post("/api/setup", &setup(&code)).await?;
    ensure!(status == 429, "an address that guesses is not refused: {problem}");
    let owner = Person::new(&gateway, OWNER)?;
    // The owner mistypes it first.
    for (code, expected) in [("1111-1111", 403), (&*code, 201)] {
        let (status, problem) = owner.post("/api/setup", &setup(code)).await?;
        ensure!(status == expected, "{status}: {problem}");
    }
    // One line a minute for the attacker's address, one for the owner's.
    let lines = gateway.log().matches("a sign-in failed").count();
    ensure!(
        (2..=5).contains(&lines),
        "{lines} lines in the log:\n{}",
        gateway.log()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_signs_in_without_pause_keeps_nobody_else_out() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    add_user(&gateway, "paul", "administrator").await?;
    add_user(&gateway, "léa", "viewer").await?;
    let owner = Person::new(&gateway, OWNER)?;
    let flood = Flood::begin(
        &gateway,
        "/api/session",
        &json!({"name": "léa", "password": PASSWORD}),
    )?;
    // While right passwords fill the queue, and when their limit is reached.
    for _ in 0..20 {
        let status = owner.sign_in("paul").await?;
        ensure!(status == 200, "{status}");
    }
    flood.is_refused().await?;
    let attacker = Person::new(&gateway, ATTACKER)?;
    within("the limit of right passwords", SOON, async || {
        let statuses = try_join_all((0..5).map(|_| attacker.sign_in("léa"))).await?;
        ensure!(statuses.iter().all(|status| *status == 429), "{statuses:?}");
        Ok(())
    })
    .await?;
    let status = owner.sign_in("paul").await?;
    ensure!(status == 200, "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_sign_in_many_times_at_once_and_idle_sessions_end() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    add_user(&gateway, "paul", "administrator").await?;
    let people: Vec<Person> = (1..=8)
        .map(|address| Person::new(&gateway, address))
        .collect::<Result<_>>()?;
    let mut signed_in = 0;
    // More than the 20 sessions that a user may have, and no more than 30 a minute.
    for _ in 0..3 {
        for status in try_join_all(people.iter().map(|person| person.sign_in("paul"))).await? {
            ensure!(status == 200, "{status}");
            signed_in += 1;
        }
    }
    ensure!(signed_in > 20);
    let (_, token) = gateway
        .run(&["tokens", "add", "counts", "--role", "administrator"], SOON)
        .await?;
    let users = people[0]
        .client
        .get(format!("{}/api/users", people[0].url))
        .bearer_auth(token.trim());
    let users: Value = serde_json::from_str(&users.send().await?.text().await?)?;
    ensure!(users[0]["sessions"] == 20, "{users}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn screens_that_are_begun_without_end_displace_no_screen_of_another_address() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    add_user(&gateway, "paul", "administrator").await?;
    let token = ["tokens", "add", "pairs", "--role", "manager"];
    let (_, token) = gateway.run(&token, SOON).await?;
    let screen = Person::new(&gateway, OWNER)?;
    let (status, pairing) = screen.post("/api/pairings", &json!({})).await?;
    ensure!(status == 201, "{pairing}");
    let attacker = Person::new(&gateway, ATTACKER)?;
    let begin = async || attacker.post("/api/pairings", &json!({})).await;
    for answers in join_all((0..120).map(|_| begin())).await {
        ensure!(answers?.0 == 201);
    }
    let text = |field: &str| pairing[field].as_str().with_context(|| field.to_owned());
    let state = async || {
        let (id, secret) = (text("id")?, text("secret")?);
        let url = format!("{}/api/pairings/{id}?secret={secret}", screen.url);
        let answer: Value = serde_json::from_str(&screen.client.get(url).send().await?.text().await?)?;
        Ok::<_, anyhow::Error>(answer["state"].clone())
    };
    ensure!(state().await? == "waiting", "the screen's code has expired");
    let approval = screen
        .client
        .post(format!("{}/api/pairings/approve", screen.url))
        .bearer_auth(token.trim())
        .json(&json!({"code": text("code")?}));
    let status = approval.send().await?.status();
    ensure!(status == 204, "{status}");
    ensure!(state().await? == "approved");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_attackers_try_first_is_refused() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    let file = gateway.journal_path().with_file_name("setup-code");
    let code = within("the set-up code", SOON, async || {
        Ok(std::fs::read_to_string(&file)?)
    })
    .await?;
    let owner = Person::new(&gateway, OWNER)?;
    for password in [
        "password",
        "12345678",
        "comptoir",
        "aaaaaaaaaaaa",
        "camille7",
        "paris-1!",
    ] {
        let setup = json!({"code": code, "name": "Camille", "password": password});
        let (status, problem) = owner.post("/api/setup", &setup).await?;
        ensure!(
            status == 422 && problem["field"] == "password",
            "{password}: {status} {problem}"
        );
        let arguments = ["users", "add", "camille", "--role", "viewer", "--password-stdin"];
        let (status, said) = gateway
            .run_with_input(&arguments, &format!("{password}\n"), SOON)
            .await?;
        ensure!(
            !status.success() && said.contains("guessed early"),
            "{password}: {said}"
        );
    }
    Ok(())
}
