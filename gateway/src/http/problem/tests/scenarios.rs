//! One scenario per problem type.

mod accounts;

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use axum::middleware;
use serde_json::json;

use crate::http::LiveConnections;
use crate::http::body::Timeouts;
use crate::http::connections::{ClientAddress, ConnectionLimits};
use crate::http::listener::{self, Transport};
use crate::http::problem::ProblemType;
use crate::http::router_with_timeouts;
use crate::http::testing::client::{Answer, get, order, post, send};
use crate::http::testing::gateway::TestGateway;

/// The expected contents of a problem.
#[derive(Debug, PartialEq)]
pub struct Expected {
    pub status: u16,
    pub stored: &'static str,
    /// A range, because the seconds count down.
    pub retry_after: Option<RangeInclusive<u32>>,
    pub field: Option<&'static str>,
}

const fn expect(status: u16) -> Expected {
    Expected {
        status,
        stored: "no",
        retry_after: None,
        field: None,
    }
}

const RETRY_IN_5: Expected = Expected {
    retry_after: Some(5..=5),
    ..expect(503)
};

const fn expect_field(status: u16, field: &'static str) -> Expected {
    Expected {
        field: Some(field),
        ..expect(status)
    }
}

/// The operation, if it is in the OpenAPI document; the response; and the expected problem.
pub type Scenario = (Option<(&'static str, &'static str)>, Answer, Expected);

const POST_ORDER: Option<(&str, &str)> = Some(("post", "/api/orders"));
const LIST_ORDERS: Option<(&str, &str)> = Some(("get", "/api/orders"));
const FORGET: Option<(&str, &str)> = Some(("post", "/api/devices/{store}/{device}/forget"));
const RETRY: Option<(&str, &str)> = Some(("post", "/api/dead-letters/{offset}/retry"));

const SHORT: Timeouts = Timeouts {
    body: Duration::from_millis(100),
    answer: Duration::from_millis(100),
};

/// A body that never arrives.
fn silence() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>())
}

/// Brings a gateway into a situation in which it answers with this problem. A new type does not compile without a
/// scenario.
#[allow(clippy::too_many_lines, reason = "one arm for each type")]
pub async fn provoke(kind: ProblemType) -> Scenario {
    match kind {
        ProblemType::MalformedPath => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), get("/api/orders/%FF")).await;
            (
                Some(("get", "/api/orders/{order_id}")),
                answer,
                expect_field(400, "order_id"),
            )
        }
        ProblemType::MalformedJson => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), post("/api/demo/kafka", "{")).await;
            (Some(("post", "/api/demo/kafka")), answer, expect(400))
        }
        ProblemType::UnreadableBody => {
            let gateway = TestGateway::start().await;
            let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut off"))]);
            let answer = send(gateway.router(), post("/api/orders", Body::from_stream(broken))).await;
            (POST_ORDER, answer, expect(400))
        }
        ProblemType::BodyTimeout => {
            let gateway = TestGateway::start().await;
            let (router, _) = router_with_timeouts(&gateway.app, SHORT);
            let answer = send(router, post("/api/orders", silence())).await;
            (POST_ORDER, answer, expect(408))
        }
        ProblemType::BodyTooLarge => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), post("/api/orders", vec![b' '; (64 << 10) + 1])).await;
            (POST_ORDER, answer, expect(413))
        }
        ProblemType::UnsupportedMediaType => {
            let gateway = TestGateway::start().await;
            let form = Request::post("/api/demo/kafka")
                .body(Body::from("up=true"))
                .unwrap();
            let answer = send(gateway.router(), form).await;
            (Some(("post", "/api/demo/kafka")), answer, expect(415))
        }
        ProblemType::SignInRequired
        | ProblemType::SignInFailed
        | ProblemType::TooManyAttempts
        | ProblemType::Forbidden
        | ProblemType::PlainSignInRefused
        | ProblemType::SetupRequired
        | ProblemType::SetupCodeWrong
        | ProblemType::AlreadySetUp
        | ProblemType::OpenGateway
        | ProblemType::UserExists
        | ProblemType::UserNotFound
        | ProblemType::LastAdministrator
        | ProblemType::SessionNotFound
        | ProblemType::PairingNotFound
        | ProblemType::TooManyAccounts
        | ProblemType::AccountsUnavailable => accounts::provoke(kind).await,
        ProblemType::CrossSiteRequest => {
            let gateway = TestGateway::start().await;
            let mut request = order();
            let origin = "http://elsewhere.example".parse().unwrap();
            request.headers_mut().insert(header::ORIGIN, origin);
            (POST_ORDER, send(gateway.router(), request).await, expect(403))
        }
        ProblemType::HttpsRequired => {
            let gateway = TestGateway::start().await;
            let router = gateway.router().layer(middleware::from_fn(listener::require_tls));
            let mut request = order();
            request
                .extensions_mut()
                .insert(ConnectInfo(Transport::RemotePlaintext));
            (POST_ORDER, send(router, request).await, expect(403))
        }
        ProblemType::NotFound => {
            let gateway = TestGateway::start().await;
            (
                None,
                send(gateway.router(), get("/api/nothing")).await,
                expect(404),
            )
        }
        ProblemType::OrderNotFound => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), get("/api/orders/o-unknown")).await;
            (Some(("get", "/api/orders/{order_id}")), answer, expect(404))
        }
        ProblemType::RefundNotPossible => {
            let gateway = TestGateway::start().await;
            let refund = json!({"refund_of": "p-unknown"});
            let answer = send(gateway.router(), post("/api/payments", refund.to_string())).await;
            (
                Some(("post", "/api/payments")),
                answer,
                expect_field(409, "refund_of"),
            )
        }
        ProblemType::DayIsClosed => {
            let gateway = TestGateway::start().await;
            let close = || send(gateway.router(), post("/api/days/2026-03-02/close", ""));
            let closed = close().await;
            assert_eq!(closed.status, 201, "{}", closed.body);
            (
                Some(("post", "/api/days/{date}/close")),
                close().await,
                expect(409),
            )
        }
        ProblemType::DayHasNotBegun => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), post("/api/days/2999-01-01/close", "")).await;
            (Some(("post", "/api/days/{date}/close")), answer, expect(409))
        }
        ProblemType::DeadLetterNotFound => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, expect(404))
        }
        ProblemType::DeviceNotFound => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), post("/api/devices/paris-1/till-9/forget", "")).await;
            (FORGET, answer, expect(404))
        }
        ProblemType::DemoOnly => {
            let gateway = TestGateway::start().await;
            let answer = send(
                gateway.router(),
                post("/api/demo/kafka", json!({"up": true}).to_string()),
            )
            .await;
            (Some(("post", "/api/demo/kafka")), answer, expect(404))
        }
        ProblemType::MethodNotAllowed => {
            let gateway = TestGateway::start().await;
            (
                None,
                send(gateway.router(), post("/api/stats", "")).await,
                expect(405),
            )
        }
        ProblemType::InvalidField => {
            let gateway = TestGateway::start().await;
            let body = json!({"lines": [{"product": "Pain", "unit_price": "expensive"}]});
            let answer = send(gateway.router(), post("/api/orders", body.to_string())).await;
            (POST_ORDER, answer, expect_field(422, "lines[0].unit_price"))
        }
        ProblemType::InvalidParameter => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), get("/api/orders?limit=0")).await;
            (LIST_ORDERS, answer, expect_field(422, "limit"))
        }
        ProblemType::InvalidCursor => {
            let gateway = TestGateway::start().await;
            let answer = send(gateway.router(), get("/api/orders?cursor=first")).await;
            (LIST_ORDERS, answer, expect_field(422, "cursor"))
        }
        ProblemType::DeadLetterUndecodable => {
            let gateway = TestGateway::start().await;
            gateway.dead_letter(b"{", "a test").await;
            let answer = send(gateway.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, expect(422))
        }
        ProblemType::DeadLetterAlreadyStored => {
            let gateway = TestGateway::start().await;
            // A message that an older version could not decode but this one can.
            let payment = json!({"payment_id": "p-1", "order_id": "o-1", "amount": 1, "method": "Cash", "status": "SUCCESS"});
            gateway
                .dead_letter(payment.to_string().as_bytes(), "a test")
                .await;
            let first = send(gateway.router(), post("/api/dead-letters/1/retry", "")).await;
            assert_eq!(first.status, 201, "{}", first.body);
            let answer = send(gateway.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, expect(409))
        }
        ProblemType::TooManyRequests => {
            let gateway = TestGateway::start().await;
            let address = ClientAddress::new([192, 168, 1, 5].into());
            let request = || {
                let mut request = get("/api/orders");
                request.extensions_mut().insert(ConnectInfo(address));
                request
            };
            let use_up = || while gateway.app.request_rates.allow(address.sender(), true) {};
            // Built in advance: building takes longer than it takes for the next request to be allowed.
            let router = gateway.router();
            use_up();
            let mut answer = send(router.clone(), request()).await;
            // One more request may be allowed by the time it arrives.
            while answer.status == 200 {
                use_up();
                answer = send(router.clone(), request()).await;
            }
            let expected = Expected {
                retry_after: Some(1..=1),
                ..expect(429)
            };
            (LIST_ORDERS, answer, expected)
        }
        ProblemType::TooManyLiveConnections => {
            let none = ConnectionLimits {
                total: 0,
                ..ConnectionLimits::new(1)
            };
            let gateway = TestGateway::with_state(|app| app.live = LiveConnections::new(none)).await;
            let answer = send(gateway.router(), get("/socket.io/?EIO=4&transport=polling")).await;
            (None, answer, RETRY_IN_5)
        }
        ProblemType::JournalFull => {
            let gateway = TestGateway::with_max_bytes(1).await;
            (POST_ORDER, send(gateway.router(), order()).await, RETRY_IN_5)
        }
        ProblemType::JournalWriteFailed => {
            let gateway = TestGateway::start().await;
            gateway
                .journal_sql(
                    "CREATE TRIGGER failing BEFORE INSERT ON entry BEGIN SELECT raise(ABORT, 'a test'); END",
                )
                .await;
            (POST_ORDER, send(gateway.router(), order()).await, RETRY_IN_5)
        }
        ProblemType::TooManyDevices => {
            // The dead letter's till was forgotten, and other tills have used up all names.
            let gateway = TestGateway::with_journal(
                r#"WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n <= 4096)
                   INSERT INTO device (id, store, device, encoding, forgotten)
                   SELECT n, 'paris-1', 'till-' || n, 0, n = 1 FROM number;
                   INSERT INTO entry (offset, kind, device, epoch, seq, time, key, payload, reason)
                   VALUES (1, 3, 1, 0, 1, 0, 'pos/paris-1/till-1/payments',
                       CAST('{"payment_id":"p","order_id":"o","amount":1,"method":"Cash","status":"SUCCESS"}' AS BLOB), 'a test')"#,
            )
            .await;
            let answer = send(gateway.router(), post("/api/dead-letters/1/retry", "")).await;
            (RETRY, answer, expect(503))
        }
        ProblemType::OutcomeUnknown => {
            let gateway = TestGateway::without_writer().await;
            let (router, _) = router_with_timeouts(&gateway.app, SHORT);
            let expected = Expected {
                stored: "unknown",
                ..RETRY_IN_5
            };
            (POST_ORDER, send(router, order()).await, expected)
        }
        ProblemType::ReadFailed => {
            let gateway = TestGateway::start().await;
            gateway.projection_sql("DROP TABLE sale").await;
            let answer = send(gateway.router(), get("/api/orders?status=Pending")).await;
            (LIST_ORDERS, answer, RETRY_IN_5)
        }
        ProblemType::AnswerTimeout => {
            let gateway = TestGateway::without_projector().await;
            let (router, _) = router_with_timeouts(&gateway.app, SHORT);
            let answer = send(router, get("/api/orders?status=Pending")).await;
            (LIST_ORDERS, answer, RETRY_IN_5)
        }
        ProblemType::ShuttingDown => {
            let gateway = TestGateway::start().await;
            gateway.app.journal.close().await;
            (POST_ORDER, send(gateway.router(), order()).await, RETRY_IN_5)
        }
        ProblemType::NotReady => {
            let gateway = TestGateway::start().await;
            gateway.app.mqtt.down("connection refused");
            let answer = send(gateway.router(), get("/readyz")).await;
            (Some(("get", "/readyz")), answer, expect(503))
        }
        ProblemType::InternalError => {
            let gateway = TestGateway::start().await;
            gateway.break_metrics();
            let answer = send(gateway.router(), get("/metrics")).await;
            let expected = Expected {
                stored: "unknown",
                ..expect(500)
            };
            (Some(("get", "/metrics")), answer, expected)
        }
    }
}
