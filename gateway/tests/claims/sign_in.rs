//! Reading, selling and changing anything require credentials with exactly that right, and guessing them is slow.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use comptoir_harness::{Gateway, GatewayConfig, Listener, Mosquitto, PosSim, within};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::shop::{GATEWAY, SOON, STORE, tills};

pub const PASSWORD: &str = "sésame ouvre-toi";

/// A gateway that asks for sign-in, and has no users yet.
pub async fn closed(extra: &str) -> Result<(Mosquitto, Gateway)> {
    let mosquitto = Mosquitto::start().await?;
    let mut config = GatewayConfig::new(STORE, &mosquitto.url());
    config.open = false;
    config.extra = extra.to_owned();
    let mut gateway = Gateway::spawn(GATEWAY, config)?;
    gateway.wait_ready().await?;
    Ok((mosquitto, gateway))
}

pub async fn add_user(gateway: &Gateway, name: &str, role: &str) -> Result<()> {
    let arguments = ["users", "add", name, "--role", role, "--password-stdin"];
    let input = format!("{PASSWORD}\n");
    let (status, said) = gateway.run_with_input(&arguments, &input, SOON).await?;
    ensure!(status.success(), "{said}");
    Ok(())
}

pub fn request(gateway: &Gateway, method: Method, path: &str) -> Result<RequestBuilder> {
    /// Made once: hundreds of clients take longer to make than the gateway waits for a request on a new connection. It
    /// keeps no connection, because each test has a runtime of its own.
    static CLIENT: LazyLock<reqwest::Result<Client>> = LazyLock::new(|| {
        Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build()
    });
    Ok(CLIENT.as_ref()?.request(method, gateway.http_url()? + path))
}

async fn sign_in(gateway: &Gateway, name: &str, password: &str) -> Result<Response> {
    let credentials = json!({"name": name, "password": password});
    let request = request(gateway, Method::POST, "/api/session")?.json(&credentials);
    Ok(request.send().await?)
}

/// The cookie of a new session.
pub async fn session(gateway: &Gateway, name: &str) -> Result<String> {
    let answer = sign_in(gateway, name, PASSWORD).await?;
    let cookie = answer.headers().get("set-cookie").context("no cookie")?;
    let cookie = cookie.to_str()?.split(';').next().context("an empty cookie")?;
    Ok(cookie.to_owned())
}

/// A till that sells, and ends when all its events are acked.
fn sell(mosquitto: &Mosquitto, events: u64) -> Result<PosSim> {
    tills(mosquitto, 1, events, 50)
}

async fn problem(answer: Response) -> Result<(u16, String)> {
    let status = answer.status().as_u16();
    let problem: Value = serde_json::from_str(&answer.text().await?)?;
    let kind = problem["type"].as_str().context("no type")?;
    Ok((status, kind.replace("urn:comptoir:problem:", "")))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_or_read_without_credentials() -> Result<()> {
    let (_mosquitto, mut gateway) = closed("").await?;
    add_user(&gateway, "marie", "cashier").await?;
    add_user(&gateway, "paul", "administrator").await?;
    let payment = json!({"payment_id": "p-1", "order_id": "o-1", "amount": 99_999.99, "method": "Cash"});
    let refused = request(&gateway, Method::POST, "/api/payments")?.json(&payment);
    ensure!(problem(refused.send().await?).await? == (401, "sign-in-required".to_owned()));
    for path in ["/api/orders", "/api/gateway", "/api/openapi.json", "/api/nothing"] {
        let refused = request(&gateway, Method::GET, path)?.send().await?;
        ensure!(
            problem(refused).await? == (401, "sign-in-required".to_owned()),
            "{path}"
        );
    }
    let page = request(&gateway, Method::GET, "/orders")?.send().await?;
    ensure!(page.status() == 303 && page.headers()["location"] == "/login?next=%2Forders");
    for public in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/login",
        "/manifest.webmanifest",
    ] {
        let answer = request(&gateway, Method::GET, public)?.send().await?;
        ensure!(answer.status() == 200, "{public}: {}", answer.status());
    }

    // A cashier may sell, but not manage users.
    let cookie = session(&gateway, "marie").await?;
    let sold = request(&gateway, Method::POST, "/api/payments")?
        .json(&payment)
        .header("cookie", &cookie);
    ensure!(sold.send().await?.status() == 201);
    let users = request(&gateway, Method::GET, "/api/users")?.header("cookie", &cookie);
    ensure!(problem(users.send().await?).await? == (403, "forbidden".to_owned()));
    let stats = request(&gateway, Method::GET, "/api/stats")?.header("cookie", &cookie);
    let stats: Value = serde_json::from_str(&stats.send().await?.text().await?)?;
    ensure!(
        stats["total_payments"] == 1,
        "a refused payment was stored: {stats}"
    );

    // A user who is removed while the gateway runs loses access with the next request.
    let (status, said) = gateway.run(&["users", "remove", "marie"], SOON).await?;
    ensure!(status.success(), "{said}");
    let after = request(&gateway, Method::GET, "/api/stats")?.header("cookie", &cookie);
    ensure!(after.send().await?.status() == 401);
    let log = gateway.log();
    ensure!(
        !log.contains(PASSWORD) && !log.contains(&cookie),
        "the log contains a secret"
    );
    ensure!(gateway.terminate().await?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_gateway_asks_for_its_code_once_and_takes_in_sales_meanwhile() -> Result<()> {
    let (mosquitto, mut gateway) = closed("").await?;
    let code = within("the set-up code in the log", SOON, async || {
        let log = gateway.log();
        let (_, rest) = log.split_once("set-up code ").context("not yet")?;
        Ok(rest.chars().take(9).collect::<String>())
    })
    .await?;
    let file = gateway.journal_path().with_file_name("setup-code");
    ensure!(std::fs::read_to_string(&file)?.trim() == code);
    let refused = request(&gateway, Method::GET, "/api/orders")?.send().await?;
    ensure!(problem(refused).await? == (403, "setup-required".to_owned()));
    let page = request(&gateway, Method::GET, "/")?.send().await?;
    ensure!(page.status() == 303 && page.headers()["location"] == "/setup");

    // Tills do not wait for it.
    sell(&mosquitto, 20)?.finish(SOON).await?;

    // The code is the same after a restart.
    gateway.kill9()?;
    gateway.start_again()?;
    gateway.wait_ready().await?;
    let setup = async |code: &str| {
        let body = json!({"code": code, "name": "Zoé", "password": PASSWORD});
        let request = request(&gateway, Method::POST, "/api/setup")?.json(&body);
        Ok::<_, anyhow::Error>(request.send().await?)
    };
    ensure!(problem(setup("0000-0000").await?).await? == (403, "setup-code-wrong".to_owned()));
    let done = setup(&code.to_lowercase()).await?;
    ensure!(done.status() == 201 && done.headers().contains_key("set-cookie"));
    ensure!(problem(setup(&code).await?).await? == (409, "already-set-up".to_owned()));
    ensure!(!file.exists(), "the code's file is still there");
    let cookie = session(&gateway, "zoé").await?;
    let stats = request(&gateway, Method::GET, "/api/stats")?.header("cookie", cookie);
    ensure!(stats.send().await?.status() == 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_connection_needs_credentials_and_ends_with_its_session() -> Result<()> {
    let (_mosquitto, gateway) = closed("").await?;
    add_user(&gateway, "paul", "administrator").await?;
    let (_, token) = gateway
        .run(&["tokens", "add", "a wall", "--role", "viewer"], SOON)
        .await?;
    let url = gateway.http_url()?;
    let connects = async |auth: Option<Value>, header: Option<(&str, &str)>| {
        let listener = Listener::connect_with(&url, auth.as_ref(), header)?;
        let mut listener = listener;
        let connected = within("the connection or its refusal", SOON, async || {
            let heard = listener.events()?;
            let has = |event: &str| heard.iter().any(|heard| heard.event == event);
            match (has("initial_data"), has("connect_error")) {
                (true, _) => Ok(true),
                (_, true) => Ok(false),
                _ => anyhow::bail!("neither yet"),
            }
        });
        let connected = connected.await?;
        Ok::<_, anyhow::Error>((listener, connected))
    };
    ensure!(!connects(None, None).await?.1, "connected without credentials");
    ensure!(
        !connects(Some(json!({"token": "guessed"})), None).await?.1,
        "connected with a guess"
    );
    let bearer = format!("Bearer {}", token.trim());
    ensure!(
        connects(None, Some(("Authorization", &bearer))).await?.1,
        "the header was not accepted"
    );
    ensure!(
        connects(Some(json!({"token": token.trim()})), None).await?.1,
        "auth.token was not accepted"
    );
    let cookie = session(&gateway, "paul").await?;
    let (mut listener, connected) = connects(None, Some(("Cookie", &cookie))).await?;
    ensure!(connected, "the cookie was not accepted");
    let signed_out = request(&gateway, Method::DELETE, "/api/session")?.header("cookie", &cookie);
    ensure!(signed_out.send().await?.status() == 204);
    closed_soon(&mut listener).await?;
    // HTTP Basic begins no session; its connection ends with the user's rights.
    add_user(&gateway, "lea", "manager").await?;
    let basic = format!("Basic {}", BASE64.encode(format!("lea:{PASSWORD}")));
    let (mut listener, connected) = connects(None, Some(("Authorization", &basic))).await?;
    ensure!(connected, "HTTP Basic was not accepted");
    let (status, said) = gateway.run(&["users", "set-role", "lea", "viewer"], SOON).await?;
    ensure!(status.success(), "{said}");
    closed_soon(&mut listener).await?;
    let (mut listener, connected) = connects(None, Some(("Authorization", &basic))).await?;
    ensure!(connected, "HTTP Basic was not accepted");
    let (status, said) = gateway.run(&["users", "remove", "lea"], SOON).await?;
    ensure!(status.success(), "{said}");
    closed_soon(&mut listener).await
}

/// Waits until the gateway has closed a live connection, which takes at most five seconds.
async fn closed_soon(listener: &mut Listener) -> Result<()> {
    let ended = Instant::now();
    within("the socket to be closed", Duration::from_secs(10), async || {
        let heard = listener.events()?;
        ensure!(heard.iter().any(|heard| heard.event == "disconnect"));
        Ok(())
    })
    .await?;
    ensure!(ended.elapsed() < Duration::from_secs(6), "{:?}", ended.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_limited_logged_and_counted_and_tills_still_sell() -> Result<()> {
    let (mosquitto, gateway) = closed("").await?;
    add_user(&gateway, "paul", "administrator").await?;
    let mut selling = sell(&mosquitto, 200)?;
    let guess = async |number: usize| {
        let answer = sign_in(&gateway, "paul", &format!("guess {number}")).await?;
        problem(answer).await
    };
    let guesses = futures::future::try_join_all((0..200).map(guess)).await?;
    let hashed = guesses.iter().filter(|(status, _)| *status == 401).count();
    ensure!(hashed <= 30, "{hashed} guesses were compared");
    ensure!(
        guesses.iter().all(|(status, _)| [401, 429].contains(status)),
        "{guesses:?}"
    );
    // A guess that is compared begins a new period, so there is time left soon.
    within("the right password to be refused, too", SOON, async || {
        let guess = sign_in(&gateway, "paul", "one more guess").await?;
        let retry_after = guess.headers().get("retry-after").context("not limited")?;
        let left: u64 = retry_after.to_str()?.parse()?;
        ensure!(guess.status() == 429 && left >= 3, "{left} s left");
        let blocked = sign_in(&gateway, "paul", PASSWORD).await?;
        ensure!(
            blocked.status() == 429 && blocked.headers().contains_key("retry-after"),
            "{}",
            blocked.status()
        );
        Ok(())
    })
    .await?;
    let lines = gateway.log().matches("a sign-in failed").count();
    ensure!(
        (1..=5).contains(&lines),
        "{lines} lines in the log about 200 guesses"
    );
    let metrics = gateway.get("/metrics").await?.1;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix("comptoir_sign_in_failures_total "));
    ensure!(count.context("no metric")?.parse::<u64>()? >= 200);
    selling.finish(SOON * 3).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_an_earlier_version_is_that_of_admin() -> Result<()> {
    // The password looks like a number, but is text.
    let (_mosquitto, gateway) = closed("http.password = \"004711\"").await?;
    for (user, password, expected) in [
        ("admin", "004711", 200),
        ("Admin", "004711", 200),
        ("somebody", "004711", 401),
        ("admin", "4711", 401),
        ("admin", "", 401),
    ] {
        let request = request(&gateway, Method::GET, "/api/users")?;
        let answer = request.basic_auth(user, Some(password)).send().await?;
        ensure!(
            answer.status() == expected,
            "{user}:{password}: {}",
            answer.status()
        );
    }
    let metrics = gateway.get("/metrics").await?.1;
    ensure!(
        metrics.contains("comptoir_sign_in_failures_total 3\n"),
        "guesses with HTTP Basic are not counted"
    );
    // The command signs in by itself: the answer is that there is no such dead letter.
    let (status, said) = gateway.run(&["dead-letters", "retry", "1"], SOON).await?;
    ensure!(
        !status.success() && said.contains("There is no dead letter 1"),
        "{said}"
    );
    ensure!(!gateway.log().contains("004711"));
    Ok(())
}
