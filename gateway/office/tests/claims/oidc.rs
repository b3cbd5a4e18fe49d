//! Users sign in with a certified OpenID Connect provider, and an answer that does not belong to their own sign-in is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comptoir_harness::process::Process;
use comptoir_harness::{eventually, free_port, within};
use reqwest::header::{LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};

use crate::accounts::{add_user, site};
use crate::office::{DEADLINE, Office, Site};

const ROLES: &str =
    r#"[{value="it",role="administrator"},{value="paris",role="viewer",shops=["shop-1","shop-2"]}]"#;

/// The provider's process, and its address.
struct Provider {
    _process: Process,
    issuer: String,
}

async fn start_provider(site: &Site, redirects: &[String]) -> Result<Provider> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/scripts/oidcProvider.mjs");
    let port_file = site.scratch.join("oidc-port");
    let mut command = Command::new("node");
    command.arg(script).arg(&port_file).args(redirects);
    let mut process = Process::spawn("the identity provider", command, &site.scratch.join("oidc-log"))?;
    let port = within("the provider to write its port", DEADLINE, async || {
        process.still_running()?;
        Ok(std::fs::read_to_string(&port_file)?)
    })
    .await?;
    Ok(Provider {
        _process: process,
        issuer: format!("http://127.0.0.1:{port}"),
    })
}

async fn start_office(site: &Site, name: &str, port: u16, issuer: &str) -> Result<Office> {
    let listen = format!("127.0.0.1:{port}");
    let variables = [
        ("COMPTOIR_HTTP__LISTEN", listen.as_str()),
        ("COMPTOIR_OIDC__ISSUER", issuer),
        ("COMPTOIR_OIDC__CLIENT_ID", "comptoir"),
        ("COMPTOIR_OIDC__CLIENT_SECRET", "a secret that only the tests use"),
        ("COMPTOIR_OIDC__NAME", "Chain"),
        ("COMPTOIR_OIDC__ROLES", ROLES),
    ];
    let mut office = site.start_with(name, &variables)?;
    eventually("the office to be ready", DEADLINE, async || {
        let (status, text) = office.get("/readyz").await?;
        ensure!(status == 200, "{text}");
        Ok(())
    })
    .await;
    Ok(office)
}

/// A browser with cookies, which follows redirects one at a time.
struct Browser {
    client: Client,
    user: &'static str,
    /// By host and name.
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new(user: &'static str) -> Result<Self> {
        Ok(Self {
            client: Client::builder().redirect(Policy::none()).build()?,
            user,
            cookies: BTreeMap::new(),
        })
    }

    /// `address`: where to connect, if not to the URL's own host.
    async fn get_from(&mut self, url: &Url, address: Option<&str>) -> Result<Response> {
        let host = url.authority().to_owned();
        let cookies = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<_> = cookies
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut target = url.clone();
        if let Some(address) = address {
            let address = Url::parse(address)?;
            target.set_port(address.port()).ok().context("port")?;
        }
        let request = self
            .client
            .get(target)
            .header("host", &host)
            .header("x-test-user", self.user);
        let response = request.header("cookie", cookies.join("; ")).send().await?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("cookie")?;
            self.cookies
                .insert((host.clone(), name.to_owned()), value.to_owned());
        }
        Ok(response)
    }

    /// Begins a sign-in and signs in at the provider. Returns the address with which the provider sends the browser back.
    async fn sign_in_at_provider(&mut self, office: &str) -> Result<Url> {
        let mut url = Url::parse(&format!("{office}/login/oidc?next=%2Fsales"))?;
        for _ in 0..8 {
            let response = self.get_from(&url, None).await?;
            let location = response
                .headers()
                .get(LOCATION)
                .map(|location| location.to_str().map(str::to_owned));
            let Some(location) = location.transpose()? else {
                anyhow::bail!("{url} leads nowhere: {}", response.text().await?);
            };
            url = url.join(&location)?;
            if url.path() == "/login/oidc/callback" {
                return Ok(url);
            }
        }
        anyhow::bail!("too many redirects: {url}")
    }

    /// Where the office leads the browser after the provider's answer.
    async fn finish(&mut self, callback: &Url, address: Option<&str>) -> Result<String> {
        let response = self.get_from(callback, address).await?;
        ensure!(
            response.status() == 303,
            "{}: {}",
            response.status(),
            response.text().await?
        );
        Ok(response.headers()[LOCATION].to_str()?.to_owned())
    }

    async fn get_json(&mut self, url: &str) -> Result<Value> {
        let response = self.get_from(&Url::parse(url)?, None).await?;
        Ok(response.json().await?)
    }

    /// Changes a value of the sign-in that has begun, as somebody could who can write the browser's cookies.
    fn tamper(&mut self, field: &str) -> Result<()> {
        let mut cookies = self.cookies.iter_mut();
        let (_, cookie) = cookies
            .find(|((_, name), _)| name.ends_with("_oidc"))
            .context("cookie")?;
        let mut pending: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&*cookie)?)?;
        pending[field] = json!("0123456789012345678901234567890123456789012345678");
        *cookie = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&pending)?);
        Ok(())
    }
}

fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(key, _)| key != name)
        .collect();
    let mut changed = url.clone();
    changed
        .query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair(name, value);
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_identity_provider_gets_the_role_and_the_shops_of_its_groups() -> Result<()> {
    let site = site().await?;
    let (port, other_port) = (free_port()?, free_port()?);
    let (one, two) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{other_port}"),
    );
    let provider = start_provider(&site, &[format!("{one}/login/oidc/callback")]).await?;
    let mut first = start_office(&site, "one", port, &provider.issuer).await?;
    let _second = start_office(&site, "two", other_port, &provider.issuer).await?;
    // The provider is an account of its own: loopback is no longer open.
    assert_eq!(first.get("/api/shops").await?.0, 401);
    let session = first.get_json("/api/session").await?;
    assert_eq!(
        (&session["open"], &session["oidc"]),
        (&json!(false), &json!("Chain"))
    );
    for (user, role, shops) in [
        ("luc", "viewer", json!(["shop-1", "shop-2"])),
        ("boss", "administrator", Value::Null),
    ] {
        let mut browser = Browser::new(user)?;
        let callback = browser.sign_in_at_provider(&one).await?;
        // Another replica finishes what the first one began, under the name that the browser uses.
        assert_eq!(browser.finish(&callback, Some(&two)).await?, "/sales");
        let session = browser.get_json(&format!("{one}/api/session")).await?;
        let user = &session["user"];
        assert_eq!(
            (&user["role"], &user["shops"]),
            (&json!(role), &shops),
            "{session}"
        );
        assert_eq!(user["has_password"], false);
        // A code works once.
        let again = browser.finish(&callback, None).await?;
        assert!(again.starts_with("/login?failure=failed"), "{again}");
    }
    let mut stranger = Browser::new("stranger")?;
    let callback = stranger.sign_in_at_provider(&one).await?;
    let refused = stranger.finish(&callback, None).await?;
    assert_eq!(refused, "/login?failure=role&next=%2Fsales");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_wrong_state_nonce_or_issuer_signs_nobody_in() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    let (port, other_port) = (free_port()?, free_port()?);
    let one = format!("http://127.0.0.1:{port}");
    let provider = start_provider(&site, &[format!("{one}/login/oidc/callback")]).await?;
    let mut office = start_office(&site, "one", port, &provider.issuer).await?;
    for wrong in [
        "state",
        "iss",
        "code",
        "nonce",
        "verifier",
        "another browser",
        "nothing",
    ] {
        let mut browser = Browser::new("luc")?;
        let mut callback = browser.sign_in_at_provider(&one).await?;
        match wrong {
            "state" | "iss" | "code" => {
                callback = with_parameter(&callback, wrong, "http://attacker.example")
            }
            "nonce" | "verifier" => browser.tamper(wrong)?,
            "another browser" => browser = Browser::new("luc")?,
            _ => {}
        }
        let end = browser.finish(&callback, None).await?;
        let session = browser.get_json(&format!("{one}/api/session")).await?;
        match wrong {
            "nothing" => assert!(
                end == "/sales" && session["user"]["name"] == "LUC",
                "{end} {session}"
            ),
            _ => {
                assert!(end.starts_with("/login?failure=failed"), "{wrong}: {end}");
                assert_eq!(session["user"], Value::Null, "{wrong}");
            }
        }
    }
    assert_eq!(
        office
            .metric("comptoir_office_sign_ins_total{result=\"wrong\"}")
            .await?,
        6.0
    );
    // The provider calls itself 127.0.0.1.
    let issuer = provider.issuer.replace("127.0.0.1", "localhost");
    let mut other = start_office(&site, "two", other_port, &issuer).await?;
    let begin = Url::parse(&format!("http://127.0.0.1:{other_port}/login/oidc"))?;
    let response = Browser::new("luc")?.get_from(&begin, None).await?;
    let location = response.headers()[LOCATION].to_str()?;
    assert!(location.starts_with("/login?failure=failed"), "{location}");
    assert!(other.log().contains("unexpected issuer"), "{}", other.log());
    assert!(other.terminate().await?.success());
    Ok(())
}
