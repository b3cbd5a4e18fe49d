//! Tests that every role may do exactly what the OpenAPI document says.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use comptoir_core::Secret;
use comptoir_identity::Role;
use serde_json::json;

use super::{Permissions, Requirement};
use crate::http::api::openapi::document;
use crate::http::connections::ClientAddress;
use crate::http::listener::Transport;
use crate::http::pages;
use crate::http::testing::client::{Answer, get, post, send};
use crate::http::testing::gateway::{PASSWORD, TestGateway};

/// The path with an example value for each parameter, so that the request reaches the handler.
fn example(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment.starts_with('{') {
        true => "1",
        false => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

async fn ask(gateway: &TestGateway, method: &str, path: &str, token: Option<&Secret>) -> Answer {
    let mut request = Request::builder().method(method).uri(example(path));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    send(gateway.router(), request.body(Body::empty()).unwrap()).await
}

/// Whether a request passed the access check, whatever the handler answered.
fn is_let_through(answer: &Answer) -> bool {
    let kind = answer.body["type"].as_str().unwrap_or_default();
    !["sign-in-required", "forbidden", "setup-required"]
        .iter()
        .any(|refusal| kind.ends_with(refusal))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_what_the_document_says_and_nothing_else() {
    let gateway = TestGateway::with_users().await;
    let mut callers = vec![(None, None)];
    for role in Role::ALL {
        callers.push((Some(role), Some(gateway.token(role).await)));
    }
    let permissions = Permissions::of(&document());
    assert!(permissions.0.len() >= 25, "{permissions:?}");
    for ((method, path), requirement) in &permissions.0 {
        for (role, token) in &callers {
            let answer = ask(&gateway, method, path, token.as_ref()).await;
            let expected = match requirement {
                Requirement::Public => true,
                Requirement::Role(needed) => role.is_some_and(|role| role >= *needed) || path == "/metrics",
            };
            assert_eq!(
                is_let_through(&answer),
                expected,
                "{method} {path} as {role:?}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
}

#[test]
fn every_operation_of_the_document_names_who_may_use_it() {
    let document = document();
    let permissions = Permissions::of(&document);
    let paths = serde_json::to_value(&document).unwrap()["paths"].clone();
    let operations: usize = paths
        .as_object()
        .unwrap()
        .values()
        .map(|item| item.as_object().unwrap().len())
        .sum();
    assert_eq!(permissions.0.len(), operations);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_set_up_only_setup_and_health_answer() {
    let gateway = TestGateway::not_set_up().await;
    for ((method, path), requirement) in &Permissions::of(&document()).0 {
        let answer = ask(&gateway, method, path, None).await;
        let is_refused = answer.body["type"] == "urn:comptoir:problem:setup-required";
        // The sign-in and pairing handlers also refuse; see below.
        let expected = *requirement != Requirement::Public && path != "/metrics";
        if expected || !["/api/session", "/api/pairings"].contains(&path.as_str()) {
            assert_eq!(is_refused, expected, "{method} {path}: {}", answer.body);
        }
    }
    let page = send(gateway.router(), get("/orders")).await;
    assert_eq!(
        (page.status, &page.headers[header::LOCATION]),
        (303, &"/setup".parse().unwrap())
    );
    let credentials = json!({"name": "admin", "password": PASSWORD}).to_string();
    for request in [post("/api/session", credentials), post("/api/pairings", "")] {
        let answer = send(gateway.router(), request).await;
        assert_eq!(answer.body["type"], "urn:comptoir:problem:setup-required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_leads_to_sign_in_and_comes_back_and_its_files_are_public() {
    let gateway = TestGateway::with_users().await;
    for (page, location) in [
        ("/", "/login"),
        (
            "/orders?status=Pending",
            "/login?next=%2Forders%3Fstatus%3DPending",
        ),
    ] {
        let answer = send(gateway.router(), get(page)).await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.headers[header::LOCATION], location);
    }
    assert!(!pages::is_file("/api/orders"));
    let unknown = send(gateway.router(), get("/api/nothing")).await;
    assert_eq!(unknown.body["type"], "urn:comptoir:problem:sign-in-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_answer_this_machine_and_nobody_else_without_a_token() {
    let gateway = TestGateway::with_users().await;
    let token = gateway.token(Role::Viewer).await;
    for (address, forwarded, token, expected) in [
        ("127.0.0.1", false, None, 200),
        ("::1", false, None, 200),
        ("127.0.0.1", true, None, 401),
        ("192.0.2.7", false, None, 401),
        ("192.0.2.7", false, Some(&token), 200),
    ] {
        let mut request = get("/metrics");
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(Transport::Tls));
        extensions.insert(ConnectInfo(ClientAddress::new(address.parse().unwrap())));
        let headers = request.headers_mut();
        if forwarded {
            headers.insert("x-forwarded-for", "192.0.2.7".parse().unwrap());
        }
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.reveal()).parse().unwrap();
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let answer = send(gateway.router(), request).await;
        assert_eq!(answer.status, expected, "{address} {forwarded} {token:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_the_password_and_ends_with_sign_out() {
    let gateway = TestGateway::with_users().await;
    let body = json!({"name": "Admin", "password": PASSWORD}).to_string();
    let signed_in = send(gateway.router(), post("/api/session", body)).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    assert_eq!(
        signed_in.body["user"],
        json!({"name": "admin", "role": "administrator", "kind": "person"})
    );
    let cookie = signed_in.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let with_cookie = |mut request: Request<Body>| {
        request
            .headers_mut()
            .insert(header::COOKIE, pair.parse().unwrap());
        request
    };
    let users = send(gateway.router(), with_cookie(get("/api/users"))).await;
    assert_eq!((users.status, &users.body[0]["sessions"]), (200, &json!(1)));
    let sign_out = Request::delete("/api/session").body(Body::empty()).unwrap();
    assert_eq!(send(gateway.router(), with_cookie(sign_out)).await.status, 204);
    assert_eq!(
        send(gateway.router(), with_cookie(get("/api/users")))
            .await
            .status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_refused_over_plain_http_from_the_network() {
    let gateway = TestGateway::with_users().await;
    let token = gateway.token(Role::Administrator).await;
    for transport in [
        Transport::Tls,
        Transport::LocalPlaintext,
        Transport::RemotePlaintext,
    ] {
        let mut request = get("/api/orders");
        request.extensions_mut().insert(ConnectInfo(transport));
        let bearer = format!("Bearer {}", token.reveal()).parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let answer = send(gateway.router(), request).await;
        let expected = if transport == Transport::RemotePlaintext {
            403
        } else {
            200
        };
        assert_eq!(answer.status, expected, "{transport:?}: {}", answer.body);
    }
}
