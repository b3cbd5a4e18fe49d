//! Sessions on several replicas, and what protects sign-in: limits on guesses, encryption, and the same origin.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comptoir_harness::{Postgres, eventually};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::accounts::{
    PASSWORD, add_user, cookie, get, problem_type, request, run, sign_in, site, wait_ready,
};
use crate::live_client::LiveClient;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_works_on_every_replica_and_ends_on_all_of_them() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    add_user(&site, "Zoé", "viewer", None)?;
    let (mut one, mut two) = (site.start("one")?, site.start("two")?);
    wait_ready(&mut one).await;
    wait_ready(&mut two).await;
    let boss = cookie(&mut two, "boss").await?;
    // Phones capitalise, also a letter that is not ASCII.
    let (first, second) = (cookie(&mut one, "ZOÉ").await?, cookie(&mut two, "zoé").await?);
    for office in [&mut one, &mut two] {
        for cookie in [&first, &second] {
            assert_eq!(get(office, "/api/shops", cookie).await?.0, 200);
        }
    }
    // The user signs out on one replica.
    let sign_out = request(&mut two, "DELETE", "/api/session").await?;
    assert_eq!(sign_out.header("cookie", &first).send().await?.status(), 204);
    for office in [&mut one, &mut two] {
        assert_eq!(get(office, "/api/shops", &first).await?.0, 401);
        assert_eq!(get(office, "/api/shops", &second).await?.0, 200);
    }
    // An administrator ends the other session, which the user's own list shows, too.
    let (_, own) = get(&mut one, "/api/sessions", &second).await?;
    let own: Value = serde_json::from_str(&own)?;
    assert_eq!(own.as_array().map(Vec::len), Some(1), "{own}");
    let path = format!("/api/sessions/{}", own[0]["id"].as_str().context("id")?);
    let end = request(&mut one, "DELETE", &path).await?;
    assert_eq!(end.header("cookie", &boss).send().await?.status(), 204);
    assert_eq!(get(&mut two, "/api/shops", &second).await?.0, 401);
    // A removed user's session ends, and the last administrator stays.
    let third = cookie(&mut one, "Zoé").await?;
    run(&site, &["users", "remove", "zoé"], "")?;
    assert_eq!(get(&mut two, "/api/shops", &third).await?.0, 401);
    let remove = request(&mut one, "DELETE", "/api/users/boss").await?;
    let refused = remove.header("cookie", &boss).send().await?;
    assert_eq!(problem_type(refused).await?, "last-administrator");
    // After twelve hours without a request.
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    let idle = "UPDATE credential SET used = now() - interval '12 hours 1 second'";
    Postgres::shared().await.query(database, idle).await?;
    assert_eq!(get(&mut one, "/api/shops", &boss).await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_changes_the_own_password_keeps_only_this_session() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    let (here, elsewhere) = (
        cookie(&mut office, "boss").await?,
        cookie(&mut office, "boss").await?,
    );
    let change = request(&mut office, "PATCH", "/api/users/boss").await?;
    let change = change
        .header("cookie", &here)
        .json(&json!({"password": "four other words for the office"}));
    assert_eq!(change.send().await?.status(), 200);
    assert_eq!(get(&mut office, "/api/users", &here).await?.0, 200);
    assert_eq!(get(&mut office, "/api/users", &elsewhere).await?.0, 401);
    Ok(())
}

/// Waits until the office has closed the connection, which it must have done 5 seconds after the session's end.
async fn must_end(client: &LiveClient) {
    eventually("the live connection to end", Duration::from_secs(5), async || {
        ensure!(client.received().has_ended, "it is open");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_connection_needs_a_session_and_ends_with_it_or_with_its_shops() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    add_user(&site, "Zoé", "viewer", Some("paris-1,lyon-2"))?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    let server = office.url("").await?;
    let Err(refused) = LiveClient::join(&server, &json!({})).await else {
        anyhow::bail!("nobody is signed in");
    };
    ensure!(refused.to_string().contains("sign-in-required"), "{refused:#}");
    let (boss, first, second) = (
        cookie(&mut office, "boss").await?,
        cookie(&mut office, "Zoé").await?,
        cookie(&mut office, "Zoé").await?,
    );
    let Err(refused) = LiveClient::join_as(&server, &json!({"store": "nice-3"}), &first).await else {
        anyhow::bail!("not her shop");
    };
    ensure!(refused.to_string().contains("unknown-shop"), "{refused:#}");
    let stays = LiveClient::join_as(&server, &json!({}), &boss).await?;
    let signed_out = LiveClient::join_as(&server, &json!({}), &first).await?;
    let moved = LiveClient::join_as(&server, &json!({"store": "paris-1"}), &second).await?;
    let sign_out = request(&mut office, "DELETE", "/api/session").await?;
    ensure!(sign_out.header("cookie", &first).send().await?.status() == 204);
    must_end(&signed_out).await;
    ensure!(!moved.received().has_ended && !stays.received().has_ended);
    run(
        &site,
        &["users", "set-role", "Zoé", "viewer", "--shops", "lyon-2"],
        "",
    )?;
    must_end(&moved).await;
    ensure!(!stays.received().has_ended);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_limited_logged_and_recorded_where_nobody_can_change_it() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    let mut office = site.start("one")?;
    wait_ready(&mut office).await;
    let boss = cookie(&mut office, "boss").await?;
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let response = sign_in(&mut office, "nobody", &format!("guess {guess}")).await?;
        statuses.push(response.status().as_u16());
        if response.status() == 429 {
            assert!(response.headers().contains_key("retry-after"));
        }
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[11], 429, "{statuses:?}");
    assert!(office.log().contains("a sign-in failed"), "{}", office.log());
    assert!(!office.log().contains("guess"), "a password is in the log");
    assert!(
        office
            .metric("comptoir_office_sign_ins_total{result=\"wrong\"}")
            .await?
            >= 10.0
    );
    assert!(
        office
            .metric("comptoir_office_sign_ins_total{result=\"throttled\"}")
            .await?
            >= 1.0
    );
    assert_eq!(
        office
            .metric("comptoir_office_sign_ins_total{result=\"ok\"}")
            .await?,
        1.0
    );
    let (_, audit) = get(&mut office, "/api/audit", &boss).await?;
    let audit: Value = serde_json::from_str(&audit)?;
    let entries = audit["entries"].as_array().context("entries")?;
    let find = |action: &str| entries.iter().find(|entry| entry["action"] == action);
    let failed = find("sign-in-failed").context("a failed sign-in")?;
    assert_eq!(
        (&failed["address"], &failed["subject"]),
        (&json!("127.0.0.1"), &json!("nobody"))
    );
    assert_eq!(find("signed-in").context("a sign-in")?["actor"], "boss");
    let added = find("user-added").context("a new user")?;
    assert_eq!(added["actor_kind"], "system");
    assert_eq!(added["after"], json!({"role": "administrator", "shops": null}));
    let database = site.postgres.rsplit('/').next().unwrap_or_default();
    for change in [
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ] {
        let error = Postgres::shared()
            .await
            .query(database, change)
            .await
            .unwrap_err();
        assert!(
            format!("{error:#}").contains("never changed or removed"),
            "{error:#}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_crosses_the_network_only_encrypted_or_if_the_owner_allows_it() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    let (trusted, plain) = (
        ("COMPTOIR_HTTP__TRUSTED_PROXIES", "127.0.0.1"),
        ("COMPTOIR_HTTP__PLAIN_SIGN_IN", "true"),
    );
    let network = ("COMPTOIR_HTTP__LISTEN", "0.0.0.0:0");
    let body = json!({"name": "boss", "password": PASSWORD});
    for (name, variables, protocol, expected) in [
        ("untrusted", vec![network], "https", 403),
        ("http", vec![network, trusted], "http", 403),
        ("https", vec![network, trusted], "https", 200),
        ("plain", vec![network, plain], "http", 200),
    ] {
        let mut office = site.start_with(name, &variables)?;
        wait_ready(&mut office).await;
        let forwarded = |request: RequestBuilder| {
            let request = request.header("x-forwarded-for", "203.0.113.5");
            request.header("x-forwarded-proto", protocol)
        };
        let request_in = request(&mut office, "POST", "/api/session").await?;
        let response = forwarded(request_in).json(&body).send().await?;
        assert_eq!(response.status(), expected, "{name}");
        if expected == 403 {
            assert_eq!(problem_type(response).await?, "plain-sign-in-refused");
            continue;
        }
        let cookie = response.headers()["set-cookie"].to_str()?.to_owned();
        let is_secure = cookie.starts_with("__Host-") && cookie.contains("; Secure");
        assert_eq!(is_secure, protocol == "https", "{cookie}");
        let cookie = cookie.split(';').next().unwrap_or_default();
        let read = request(&mut office, "GET", "/api/sessions").await?;
        let sessions: Value = forwarded(read)
            .header("cookie", cookie)
            .send()
            .await?
            .json()
            .await?;
        let expected = if name == "https" {
            "203.0.113.5"
        } else {
            "127.0.0.1"
        };
        assert_eq!(sessions[0]["address"], expected, "{name}: {sessions}");
        assert!(office.terminate().await?.success());
        // The next replica's list has its own session only.
        let database = site.postgres.rsplit('/').next().unwrap_or_default();
        Postgres::shared()
            .await
            .query(database, "DELETE FROM credential")
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_neither_sign_in_nor_change_anything() -> Result<()> {
    let site = site().await?;
    add_user(&site, "boss", "administrator", None)?;
    let hosts = ("COMPTOIR_HTTP__HOSTS", "office.example.org, buero.example.org");
    let mut office = site.start_with("one", &[hosts])?;
    wait_ready(&mut office).await;
    let body = json!({"name": "boss", "password": PASSWORD});
    for (host, origin, expected) in [
        ("buero.example.org", "https://buero.example.org", 200),
        ("office.example.org", "https://attacker.example", 403),
        ("office.example.org", "null", 403),
        ("attacker.example", "https://attacker.example", 421),
    ] {
        let request = request(&mut office, "POST", "/api/session").await?;
        let request = request.header("host", host).header("origin", origin);
        let status = request.json(&body).send().await?.status();
        assert_eq!(status, expected, "{host} {origin}");
    }
    Ok(())
}
