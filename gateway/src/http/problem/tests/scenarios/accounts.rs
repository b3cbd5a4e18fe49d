//! Scenarios for sign-in, users, sessions and tokens.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, header};
use comptoir_core::Secret;
use comptoir_identity::Role;
use serde_json::{Value, json};

use super::{Expected, LIST_ORDERS, POST_ORDER, RETRY_IN_5, Scenario, expect};
use crate::http::listener::Transport;
use crate::http::problem::ProblemType;
use crate::http::testing::client::{get, order, post, send};
use crate::http::testing::gateway::{PASSWORD, TestGateway};

fn with_token(mut request: Request<Body>, token: &Secret) -> Request<Body> {
    let bearer = format!("Bearer {}", token.reveal()).parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    request
}

fn request(method: Method, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    request.body(body.to_string().into()).unwrap()
}

fn sign_in(password: &str) -> Request<Body> {
    post(
        "/api/session",
        json!({"name": "admin", "password": password}).to_string(),
    )
}

fn setup(code: &str) -> Request<Body> {
    post(
        "/api/setup",
        json!({"code": code, "name": "marie", "password": PASSWORD}).to_string(),
    )
}

const SIGN_IN: Option<(&str, &str)> = Some(("post", "/api/session"));

pub async fn provoke(kind: ProblemType) -> Scenario {
    let gateway = match kind {
        ProblemType::OpenGateway => TestGateway::start().await,
        ProblemType::SetupRequired | ProblemType::SetupCodeWrong | ProblemType::TooManyAttempts => {
            TestGateway::not_set_up().await
        }
        _ => TestGateway::with_users().await,
    };
    let ask = async |request| send(gateway.router(), request).await;
    let as_administrator = async |request| {
        let token = gateway.token(Role::Administrator).await;
        send(gateway.router(), with_token(request, &token)).await
    };
    match kind {
        ProblemType::SignInRequired => (LIST_ORDERS, ask(get("/api/orders")).await, expect(401)),
        ProblemType::SignInFailed => (SIGN_IN, ask(sign_in("guessed")).await, expect(401)),
        ProblemType::TooManyAttempts => {
            // Five free guesses, then six within the total limit.
            for _ in 0..11 {
                let wrong = ask(setup("0000-0000")).await;
                assert_eq!(wrong.status, 403, "{}", wrong.body);
            }
            let expected = Expected {
                retry_after: Some(1..=60),
                ..expect(429)
            };
            (
                Some(("post", "/api/setup")),
                ask(setup("0000-0000")).await,
                expected,
            )
        }
        ProblemType::Forbidden => {
            let token = gateway.token(Role::Viewer).await;
            (POST_ORDER, ask(with_token(order(), &token)).await, expect(403))
        }
        ProblemType::PlainSignInRefused => {
            let mut request = sign_in(PASSWORD);
            let extensions = request.extensions_mut();
            extensions.insert(ConnectInfo(Transport::RemotePlaintext));
            (SIGN_IN, ask(request).await, expect(403))
        }
        ProblemType::SetupRequired => (LIST_ORDERS, ask(get("/api/orders")).await, expect(403)),
        ProblemType::SetupCodeWrong => (
            Some(("post", "/api/setup")),
            ask(setup("0000-0000")).await,
            expect(403),
        ),
        ProblemType::AlreadySetUp => (
            Some(("post", "/api/setup")),
            ask(setup("0000-0000")).await,
            expect(409),
        ),
        ProblemType::OpenGateway => (SIGN_IN, ask(sign_in(PASSWORD)).await, expect(409)),
        ProblemType::UserExists => {
            let user = json!({"name": "ADMIN", "role": "viewer", "password": PASSWORD});
            let answer = as_administrator(post("/api/users", user.to_string())).await;
            (Some(("post", "/api/users")), answer, expect(409))
        }
        ProblemType::UserNotFound => {
            let change = request(Method::PATCH, "/api/users/nobody", &json!({"role": "viewer"}));
            (
                Some(("patch", "/api/users/{name}")),
                as_administrator(change).await,
                expect(404),
            )
        }
        ProblemType::LastAdministrator => {
            let removal = request(Method::DELETE, "/api/users/admin", &Value::Null);
            (
                Some(("delete", "/api/users/{name}")),
                as_administrator(removal).await,
                expect(409),
            )
        }
        ProblemType::SessionNotFound => {
            let end = request(Method::DELETE, "/api/sessions/unknown", &Value::Null);
            (
                Some(("delete", "/api/sessions/{id}")),
                as_administrator(end).await,
                expect(404),
            )
        }
        ProblemType::PairingNotFound => {
            let code = json!({"code": "000-000"}).to_string();
            (
                Some(("post", "/api/pairings/approve")),
                as_administrator(post("/api/pairings/approve", code)).await,
                expect(404),
            )
        }
        ProblemType::TooManyAccounts => {
            gateway
                .accounts_sql(
                    "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 500)
                     INSERT INTO users (name, role, password, created_at) SELECT 'user-' || n, 'viewer', '', 0 FROM number",
                )
                .await;
            let user = json!({"name": "one more", "role": "viewer", "password": PASSWORD});
            let answer = as_administrator(post("/api/users", user.to_string())).await;
            (Some(("post", "/api/users")), answer, expect(409))
        }
        ProblemType::AccountsUnavailable => {
            gateway.accounts_sql("DROP TABLE credentials").await;
            let request = with_token(get("/api/orders"), &Secret::new("a token"));
            (LIST_ORDERS, ask(request).await, RETRY_IN_5)
        }
        other => unreachable!("{other:?} is not about accounts"),
    }
}
