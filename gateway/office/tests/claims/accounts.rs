//! Nobody gets more than the role and the shops that an administrator gave, on any replica, and not before there is an
//! administrator.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::chain::{Chain, SignedEvent};
use comptoir_harness::{Kafka, eventually};
use comptoir_identity::Role;
use comptoir_office::http::{ROUTES, Requirement};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::office::{DEADLINE, Office, Site};

pub const PASSWORD: &str = "four words for the office";
const SHOPS: [&str; 3] = ["shop-1", "shop-2", "shop-3"];

/// Runs a subcommand with this standard input, and returns what it prints.
pub fn run(site: &Site, args: &[&str], input: &str) -> Result<String> {
    let mut command = site.command(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    // Fails if the command has ended without reading, which its exit status tells.
    let _ = writeln!(stdin, "{input}");
    drop(stdin);
    let output = child.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?}: {error}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

pub fn add_user(site: &Site, name: &str, role: &str, shops: Option<&str>) -> Result<()> {
    let mut args = vec!["users", "add", name, "--role", role, "--password-stdin"];
    args.extend(shops.into_iter().flat_map(|shops| ["--shops", shops]));
    run(site, &args, PASSWORD).map(drop)
}

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

pub async fn request(office: &mut Office, method: &str, path: &str) -> Result<RequestBuilder> {
    let url = office.url(path).await?;
    Ok(client().request(Method::from_bytes(method.as_bytes())?, url))
}

pub async fn sign_in(office: &mut Office, name: &str, password: &str) -> Result<Response> {
    let body = json!({"name": name, "password": password});
    let request = request(office, "POST", "/api/session").await?.json(&body);
    Ok(request.send().await?)
}

/// Signs in and returns the cookie, as a browser sends it.
pub async fn cookie(office: &mut Office, name: &str) -> Result<String> {
    let response = sign_in(office, name, PASSWORD).await?;
    ensure!(response.status() == 200, "{}", response.text().await?);
    let cookie = response.headers()["set-cookie"].to_str()?;
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        ensure!(cookie.contains(attribute), "{cookie}");
    }
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

pub async fn get(office: &mut Office, path: &str, cookie: &str) -> Result<(StatusCode, String)> {
    let request = request(office, "GET", path).await?.header("cookie", cookie);
    let response = request.send().await?;
    Ok((response.status(), response.text().await?))
}

pub async fn wait_ready(office: &mut Office) {
    eventually("the office to be ready", DEADLINE, async || {
        let (status, text) = office.get("/readyz").await?;
        ensure!(status == 200, "{text}");
        Ok(())
    })
    .await;
}

pub async fn problem_type(response: Response) -> Result<String> {
    let problem: Value = response.json().await?;
    let name = problem["type"].as_str().unwrap_or_default();
    Ok(name.trim_start_matches("urn:comptoir:problem:").to_owned())
}

/// The path of a route, with a value for each parameter that nothing has.
fn path_of(route: &str) -> String {
    route.replace("{id}", "none").replace("{name}", "none")
}

pub async fn site() -> Result<Site> {
    let site = Site::new().await?;
    site.create_topics(Kafka::shared().await).await?;
    site.write_keys(SHOPS)?;
    Ok(site)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_answers_only_the_roles_that_it_is_for() -> Result<()> {
    let site = site().await?;
    let roles = ["viewer", "cashier", "manager", "administrator"];
    for role in roles {
        add_user(&site, role, role, None)?;
    }
    let plain = ("COMPTOIR_HTTP__PLAIN_SIGN_IN", "true");
    let mut office = site.start_with("one", &[plain])?;
    wait_ready(&mut office).await;
    let mut callers = vec![(None, String::new())];
    for role in roles {
        callers.push((Some(role.parse::<Role>()?), cookie(&mut office, role).await?));
    }
    // A program's token has the same rights.
    let token = run(&site, &["tokens", "add", "till roll", "--role", "viewer"], "")?;
    for route in ROUTES {
        for (role, cookie) in &callers {
            // Each would end the session that the next requests use.
            if role.is_some() && route.path == "/api/session" && route.method == "DELETE" {
                continue;
            }
            let request = request(&mut office, route.method, &path_of(route.path)).await?;
            // From the network: this machine's own programs read the metrics without sign-in.
            let request = request.header("x-forwarded-for", "203.0.113.5");
            let request = request.header("cookie", cookie).json(&json!({}));
            let status = request.send().await?.status();
            let case = format!("{} {} as {role:?}: {status}", route.method, route.path);
            match (route.requires, role) {
                (Requirement::Role(needed), Some(role)) if *role >= needed => {
                    assert!(!matches!(status.as_u16(), 401 | 403 | 405 | 503), "{case}");
                }
                (Requirement::Role(_), Some(_)) => assert_eq!(status, 403, "{case}"),
                (Requirement::Role(_), None) => assert_eq!(status, 401, "{case}"),
                (Requirement::Page, None) => assert_eq!(status, 303, "{case}"),
                (Requirement::Page, Some(_)) => assert_eq!(status, 200, "{case}"),
                (Requirement::Public | Requirement::Probe, _) => {
                    assert!(!matches!(status.as_u16(), 401 | 403 | 405), "{case}");
                }
            }
        }
    }
    for (secret, expected) in [(token.as_str(), 200), ("AAAA", 401), ("", 401)] {
        let request = request(&mut office, "GET", "/api/shops")
            .await?
            .bearer_auth(secret);
        assert_eq!(request.send().await?.status(), expected, "{secret}");
        let forged = format!("comptoir_office={secret}");
        let (status, _) = get(&mut office, "/api/shops", &forged).await?;
        assert_eq!(status, expected, "as a cookie: {secret}");
    }
    Ok(())
}

/// An order with personal data, and its delivery.
fn order_of(store: &str) -> [SignedEvent; 2] {
    let more = format!(r#""timestamp":"2026-01-30T10:00:00Z","store":"{store}","device":"till-1""#);
    let order = format!(
        r#"{{"order_id":"o-{store}","customer_name":"Ada","customer_email":"ada@{store}.example","product":"Pain","lines":[],"amount":12.50,"currency":"EUR","status":"Pending","address":"1 rue {store}",{more}}}"#
    );
    let delivery = format!(
        r#"{{"delivery_id":"d-{store}","order_id":"o-{store}","address":"1 rue {store}","status":"Pending","estimated_date":"2026-01-31",{more}}}"#
    );
    let key = format!("o-{store}");
    [
        SignedEvent::new(store, "orders", 1, &key, order),
        SignedEvent::new(store, "deliveries", 2, &key, delivery),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_two_shops_sees_nothing_of_a_third_and_personal_data_only_as_a_manager() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    for role in ["viewer", "cashier", "manager"] {
        add_user(&site, role, role, Some("shop-1,shop-2"))?;
    }
    let mut office = site.start("one")?;
    let chain = Chain::new(&site.brokers, &site.prefix)?;
    for store in SHOPS {
        chain.write(&order_of(store))?;
        chain.publish(
            store,
            r#"{"time":"2026-01-30T10:00:00Z","version":"0.5.0","started":"2026-01-30T09:00:00Z"}"#,
        )?;
    }
    wait_ready(&mut office).await;
    let boss = cookie(&mut office, "boss").await?;
    eventually("all sales", DEADLINE, async || {
        let (_, page) = get(&mut office, "/api/sales?limit=500", &boss).await?;
        ensure!(page.matches("\"order_id\":\"o-shop-").count() >= 12, "{page}");
        let (_, overview) = get(&mut office, "/api/shops?since=2026-01-01T00:00:00Z", &boss).await?;
        ensure!(SHOPS.iter().all(|shop| overview.contains(shop)), "{overview}");
        Ok(())
    })
    .await;
    let queries = [
        "",
        "?store=shop-3",
        "?search=o-shop-3",
        "?search=d-shop-3",
        "?since=2026-01-01T00:00:00Z",
    ];
    for name in ["viewer", "cashier", "manager"] {
        let cookie = cookie(&mut office, name).await?;
        for route in ROUTES.iter().filter(|route| route.method == "GET") {
            for query in queries {
                // Where this machine's own programs ask, too, and the page's files.
                if matches!(route.path, "/metrics" | "/healthz" | "/readyz") {
                    continue;
                }
                let path = format!("{}{query}", path_of(route.path));
                let (status, text) = get(&mut office, &path, &cookie).await?;
                // Refused; the error repeats the name.
                if matches!(status.as_u16(), 403 | 404) && path.ends_with("store=shop-3") {
                    continue;
                }
                // An error names the parameter, not the sale.
                assert!(!text.contains("shop-3"), "{name} {path}: {text}");
                let has_personal_data = text.contains("@shop-1.example") || text.contains("1 rue");
                let is_of_sales =
                    route.path.starts_with("/api/sales") && (query.is_empty() || query.starts_with("?since"));
                assert_eq!(
                    has_personal_data,
                    is_of_sales && name == "manager",
                    "{name} {path}: {text}"
                );
                if is_of_sales {
                    assert!(
                        text.contains("o-shop-1") && text.contains("o-shop-2"),
                        "{path}: {text}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_network_only_health_is_answered_until_there_is_an_administrator() -> Result<()> {
    let site = site().await?;
    let mut office = site.start_with("one", &[("COMPTOIR_HTTP__LISTEN", "0.0.0.0:0")])?;
    wait_ready(&mut office).await;
    for route in ROUTES.iter().filter(|route| route.path != "/metrics") {
        let request = request(&mut office, route.method, &path_of(route.path)).await?;
        let response = request.json(&json!({})).send().await?;
        match route.requires {
            Requirement::Probe => assert_eq!(response.status(), 200, "{}", route.path),
            _ => assert_eq!(problem_type(response).await?, "setup-required", "{}", route.path),
        }
    }
    let metrics = request(&mut office, "GET", "/metrics").await?;
    let metrics = metrics.header("x-forwarded-for", "203.0.113.5").send().await?;
    assert_eq!(problem_type(metrics).await?, "setup-required");
    // A user that cannot manage accounts changes nothing.
    add_user(&site, "luc", "viewer", None)?;
    let refused = sign_in(&mut office, "luc", PASSWORD).await?;
    assert_eq!(problem_type(refused).await?, "setup-required");
    add_user(&site, "boss", "administrator", None)?;
    let luc = cookie(&mut office, "luc").await?;
    assert_eq!(get(&mut office, "/api/shops", &luc).await?.0, 200);
    assert_eq!(get(&mut office, "/api/shops", "").await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_nobody_signs_in_until_there_is_a_user() -> Result<()> {
    let site = site().await?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    assert_eq!(get(&mut office, "/api/shops", "").await?.0, 200);
    let session = office.get_json("/api/session").await?;
    assert_eq!((&session["open"], &session["user"]), (&json!(true), &Value::Null));
    add_user(&site, "boss", "administrator", None)?;
    assert_eq!(get(&mut office, "/api/shops", "").await?.0, 401);
    assert!(run(&site, &["users", "list"], "")?.starts_with("boss "));
    Ok(())
}
