//! The API answers each problem as its type says, and says so in its description.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use axum::{Router, middleware};
use futures::future::join_all;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::rig::Rig;
use super::{Problem, ProblemType};
use crate::dashboard::body::Deadlines;
use crate::dashboard::door::{self, Arrival};
use crate::dashboard::router_within;
use crate::journal::{AppendError, Journal};

/// What the API answers to one request.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn ask(router: Router, request: Request<Body>) -> Answer {
    let Ok(answer) = router.oneshot(request).await.map_err(|never: Infallible| never);
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Answer {
        status,
        headers,
        body,
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).unwrap()
}

fn order() -> Request<Body> {
    post("/api/orders", json!({"order_id": "o-1"}).to_string())
}

/// A body of which nothing comes.
fn silence() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>())
}

const SHORT: Deadlines = Deadlines {
    body: Duration::from_millis(100),
    answer: Duration::from_millis(100),
};

/// What an outsider sees of a problem.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    stored: &'static str,
    retry_after: Option<&'static str>,
    field: Option<&'static str>,
}

const fn seen(status: u16) -> Seen {
    Seen {
        status,
        stored: "no",
        retry_after: None,
        field: None,
    }
}

/// As a 503 that says when to try again.
const AGAIN: Seen = Seen {
    retry_after: Some("5"),
    ..seen(503)
};

const fn field(status: u16, field: &'static str) -> Seen {
    Seen {
        field: Some(field),
        ..seen(status)
    }
}

/// One situation: the operation in the API's description, if it is one of these; the answer; what is expected.
type Provoked = (Option<(&'static str, &'static str)>, Answer, Seen);

const POST_ORDER: Option<(&str, &str)> = Some(("post", "/api/orders"));
const LIST_ORDERS: Option<(&str, &str)> = Some(("get", "/api/orders"));
const RETRY: Option<(&str, &str)> = Some(("post", "/api/dead-letters/{offset}/retry"));

/// Brings the gateway into a situation in which it answers with this problem. A new type does not compile before it has one.
#[allow(clippy::too_many_lines, reason = "one arm for each type")]
async fn provoke(kind: ProblemType) -> Provoked {
    match kind {
        ProblemType::MalformedPath => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), get("/api/orders/%FF")).await;
            (
                Some(("get", "/api/orders/{order_id}")),
                answer,
                field(400, "order_id"),
            )
        }
        ProblemType::MalformedJson => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), post("/api/demo/kafka", "{")).await;
            (Some(("post", "/api/demo/kafka")), answer, seen(400))
        }
        ProblemType::UnreadableBody => {
            let rig = Rig::start().await;
            let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut off"))]);
            let answer = ask(rig.router(), post("/api/orders", Body::from_stream(broken))).await;
            (POST_ORDER, answer, seen(400))
        }
        ProblemType::BodyTimeout => {
            let rig = Rig::start().await;
            let (router, _) = router_within(&rig.shop, SHORT);
            let answer = ask(router, post("/api/orders", silence())).await;
            (POST_ORDER, answer, seen(408))
        }
        ProblemType::BodyTooLarge => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), post("/api/orders", vec![b' '; (64 << 10) + 1])).await;
            (POST_ORDER, answer, seen(413))
        }
        ProblemType::UnsupportedMediaType => {
            let rig = Rig::start().await;
            let form = Request::post("/api/demo/kafka")
                .body(Body::from("up=true"))
                .unwrap();
            let answer = ask(rig.router(), form).await;
            (Some(("post", "/api/demo/kafka")), answer, seen(415))
        }
        ProblemType::PasswordRequired => {
            let rig = Rig::adapted(|shop| shop.password = Some(Rig::password())).await;
            (
                LIST_ORDERS,
                ask(rig.router(), get("/api/orders")).await,
                seen(401),
            )
        }
        ProblemType::CrossSiteRequest => {
            let rig = Rig::start().await;
            let mut request = order();
            let origin = "http://elsewhere.example".parse().unwrap();
            request.headers_mut().insert(header::ORIGIN, origin);
            (POST_ORDER, ask(rig.router(), request).await, seen(403))
        }
        ProblemType::HttpsRequired => {
            let rig = Rig::start().await;
            let router = rig.router().layer(middleware::from_fn(door::plain));
            let mut request = order();
            request.extensions_mut().insert(ConnectInfo(Arrival::Outside));
            (POST_ORDER, ask(router, request).await, seen(403))
        }
        ProblemType::NotFound => {
            let rig = Rig::start().await;
            (None, ask(rig.router(), get("/api/nothing")).await, seen(404))
        }
        ProblemType::OrderNotFound => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), get("/api/orders/o-unknown")).await;
            (Some(("get", "/api/orders/{order_id}")), answer, seen(404))
        }
        ProblemType::DeadLetterNotFound => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, seen(404))
        }
        ProblemType::DemoOnly => {
            let rig = Rig::start().await;
            let answer = ask(
                rig.router(),
                post("/api/demo/kafka", json!({"up": true}).to_string()),
            )
            .await;
            (Some(("post", "/api/demo/kafka")), answer, seen(404))
        }
        ProblemType::MethodNotAllowed => {
            let rig = Rig::start().await;
            (None, ask(rig.router(), post("/api/stats", "")).await, seen(405))
        }
        ProblemType::InvalidField => {
            let rig = Rig::start().await;
            let body = json!({"lines": [{"product": "Pain", "unit_price": "dear"}]});
            let answer = ask(rig.router(), post("/api/orders", body.to_string())).await;
            (POST_ORDER, answer, field(422, "lines[0].unit_price"))
        }
        ProblemType::InvalidParameter => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), get("/api/orders?limit=0")).await;
            (LIST_ORDERS, answer, field(422, "limit"))
        }
        ProblemType::InvalidCursor => {
            let rig = Rig::start().await;
            let answer = ask(rig.router(), get("/api/orders?cursor=first")).await;
            (LIST_ORDERS, answer, field(422, "cursor"))
        }
        ProblemType::DeadLetterUndecodable => {
            let rig = Rig::start().await;
            rig.dead_letter(b"{").await;
            let answer = ask(rig.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, seen(422))
        }
        ProblemType::DeadLetterAlreadyStored => {
            let rig = Rig::start().await;
            // What an older gateway could not decode.
            let payment = json!({"payment_id": "p-1", "order_id": "o-1", "amount": 1, "method": "Cash", "status": "SUCCESS"});
            rig.dead_letter(payment.to_string().as_bytes()).await;
            let first = ask(rig.router(), post("/api/dead-letters/1/retry", "")).await;
            assert_eq!(first.status, 201, "{}", first.body);
            let answer = ask(rig.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, seen(409))
        }
        ProblemType::JournalFull => {
            let rig = Rig::with_max_bytes(1).await;
            (POST_ORDER, ask(rig.router(), order()).await, AGAIN)
        }
        ProblemType::JournalWriteFailed => {
            let rig = Rig::start().await;
            rig.journal_sql(
                "CREATE TRIGGER failing BEFORE INSERT ON entry BEGIN SELECT raise(ABORT, 'as this test wants it'); END",
            )
            .await;
            (POST_ORDER, ask(rig.router(), order()).await, AGAIN)
        }
        ProblemType::TooManyDevices => {
            let rig = Rig::with_journal(
                "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 65536)
                 INSERT INTO device (id, store, device, encoding) SELECT n, 'paris-1', 'till-' || n, 0 FROM number",
            )
            .await;
            (POST_ORDER, ask(rig.router(), order()).await, seen(503))
        }
        ProblemType::OutcomeUnknown => {
            let rig = Rig::without_writer().await;
            let (router, _) = router_within(&rig.shop, SHORT);
            let expected = Seen {
                stored: "unknown",
                ..AGAIN
            };
            (POST_ORDER, ask(router, order()).await, expected)
        }
        ProblemType::ReadFailed => {
            let rig = Rig::start().await;
            rig.projection_sql("DROP TABLE sale").await;
            let answer = ask(rig.router(), get("/api/orders?status=Pending")).await;
            (LIST_ORDERS, answer, AGAIN)
        }
        ProblemType::AnswerTimeout => {
            let rig = Rig::without_fold().await;
            let (router, _) = router_within(&rig.shop, SHORT);
            let answer = ask(router, get("/api/orders?status=Pending")).await;
            (LIST_ORDERS, answer, AGAIN)
        }
        ProblemType::ShuttingDown => {
            let rig = Rig::start().await;
            rig.shop.journal.close().await;
            (POST_ORDER, ask(rig.router(), order()).await, AGAIN)
        }
        ProblemType::NotReady => {
            let rig = Rig::start().await;
            rig.shop.mqtt.down("connection refused");
            let answer = ask(rig.router(), get("/readyz")).await;
            (Some(("get", "/readyz")), answer, seen(503))
        }
        ProblemType::InternalError => {
            let rig = Rig::start().await;
            rig.break_metrics();
            let answer = ask(rig.router(), get("/metrics")).await;
            let expected = Seen {
                stored: "unknown",
                ..seen(500)
            };
            (Some(("get", "/metrics")), answer, expected)
        }
    }
}

/// The types that the description lists for this operation and status.
fn described(description: &Value, method: &str, path: &str, status: u16) -> Vec<String> {
    let response = &description["paths"][path][method]["responses"][status.to_string()];
    let schema = &response["content"]["application/problem+json"]["schema"];
    let narrowed = schema["allOf"].as_array().and_then(|parts| parts.get(1));
    let types = narrowed.map(|part| part["properties"]["type"]["enum"].clone());
    serde_json::from_value(types.unwrap_or_default()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_answered_as_its_type_says_and_as_it_is_described() {
    let description = ask(Rig::start().await.router(), get("/api/openapi.json"))
        .await
        .body;
    let urns: Vec<String> =
        serde_json::from_value(description["components"]["schemas"]["ProblemType"]["enum"].clone()).unwrap();
    // Together: most of the time goes into fsync.
    let all = ProblemType::ALL.into_iter().map(|kind| Box::pin(provoke(kind)));
    for (kind, (operation, answer, expected)) in ProblemType::ALL.into_iter().zip(join_all(all).await) {
        let urn = json!(kind).as_str().unwrap().to_owned();
        let Answer {
            status,
            headers,
            body,
        } = answer;
        assert_eq!(body["type"], urn, "{kind:?}: {status} {body}");
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{kind:?}"
        );
        let found = (
            status,
            body["stored"].as_str(),
            headers
                .get(header::RETRY_AFTER)
                .map(|seconds| seconds.to_str().unwrap()),
            body["field"].as_str(),
        );
        let Seen {
            status,
            stored,
            retry_after,
            field,
        } = expected;
        assert_eq!(
            found,
            (status, Some(stored), retry_after, field),
            "{kind:?}: {body}"
        );
        assert_eq!(body["status"], status, "{kind:?}");
        assert_eq!(body["title"], kind.definition().title, "{kind:?}");
        assert!(
            body["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{body}"
        );
        if let Some((method, path)) = operation {
            let listed = described(&description, method, path, status);
            assert!(
                listed.contains(&urn),
                "{method} {path} {status} lists {listed:?}, not {urn}"
            );
        }
        assert!(urns.contains(&urn), "{urn} is not in the description: {urns:?}");
    }
    assert_eq!(
        urns.len(),
        ProblemType::ALL.len(),
        "a type is missing in `ALL`: {urns:?}"
    );
}

#[tokio::test]
async fn a_socket_io_connection_is_refused_with_the_same_types() {
    const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
    let rig = Rig::adapted(|shop| shop.password = Some(Rig::password())).await;
    let mut foreign = get(POLLING);
    let origin = "http://elsewhere.example".parse().unwrap();
    foreign.headers_mut().insert(header::ORIGIN, origin);
    for (request, kind) in [
        (get(POLLING), ProblemType::PasswordRequired),
        (foreign, ProblemType::CrossSiteRequest),
    ] {
        let answer = ask(rig.router(), request).await;
        assert_eq!(answer.body["type"], json!(kind));
        assert_eq!(answer.status, kind.definition().status.as_u16());
    }
}

#[test]
fn an_event_whose_commit_is_in_doubt_may_be_stored_and_one_that_was_not_written_is_not() {
    let error = || Arc::new(sqlx::Error::WorkerCrashed);
    for (error, kind) in [
        (AppendError::Storage(error()), ProblemType::JournalWriteFailed),
        (AppendError::InDoubt(error()), ProblemType::OutcomeUnknown),
        (AppendError::Closed, ProblemType::ShuttingDown),
        (AppendError::Unanswered, ProblemType::OutcomeUnknown),
    ] {
        assert_eq!(Problem::from(error.clone()).kind, kind, "{error:?}");
    }
}

#[tokio::test]
async fn an_append_whose_writer_ends_before_it_answers_is_not_called_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, writer) = Journal::open(&folder.path().join("journal.db"), 1 << 20)
        .await
        .unwrap();
    let (unanswered, ()) = tokio::join!(journal.append(Vec::new()), async { drop(writer) });
    assert!(
        matches!(unanswered, Err(AppendError::Unanswered)),
        "{unanswered:?}"
    );
    let closed = journal.append(Vec::new()).await;
    assert!(matches!(closed, Err(AppendError::Closed)), "{closed:?}");
}
