//! Tests that the API answers each problem as defined and as the OpenAPI document describes it.

mod scenarios;

use std::sync::Arc;

use axum::http::header;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Problem, ProblemType};
use crate::http::testing::client::{Answer, get, send};
use crate::http::testing::gateway::TestGateway;
use comptoir_core::Secret;
use comptoir_identity::{Attempt, Error};
use comptoir_journal::{AppendError, Journal};
use scenarios::{Expected, provoke};

/// The origin of the tests' sign-ins.
const HERE: Attempt<'static> = Attempt {
    address: None,
    agent: None,
};

/// The problem types that the OpenAPI document lists for an operation and a status.
fn documented_types(document: &Value, method: &str, path: &str, status: u16) -> Vec<String> {
    let response = &document["paths"][path][method]["responses"][status.to_string()];
    let schema = &response["content"]["application/problem+json"]["schema"];
    let narrowed = schema["allOf"].as_array().and_then(|parts| parts.get(1));
    let types = narrowed.map(|part| part["properties"]["type"]["enum"].clone());
    serde_json::from_value(types.unwrap_or_default()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_answered_as_its_definition_and_the_openapi_document_say() {
    let document = send(TestGateway::start().await.router(), get("/api/openapi.json"))
        .await
        .body;
    let urns: Vec<String> =
        serde_json::from_value(document["components"]["schemas"]["ProblemType"]["enum"].clone()).unwrap();
    // Concurrently, because most of the time is spent in fsync.
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
        let found = (status, body["stored"].as_str(), body["field"].as_str());
        let seconds = headers.get(header::RETRY_AFTER);
        let seconds: Option<u32> = seconds.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        let Expected {
            status,
            stored,
            retry_after,
            field,
        } = expected;
        assert_eq!(found, (status, Some(stored), field), "{kind:?}: {body}");
        let is_expected = match (seconds, retry_after) {
            (None, None) => true,
            (Some(seconds), Some(range)) => range.contains(&seconds),
            _ => false,
        };
        assert!(is_expected, "{kind:?}: Retry-After {seconds:?}");
        assert_eq!(body["status"], status, "{kind:?}");
        assert_eq!(body["title"], kind.definition().title, "{kind:?}");
        assert!(
            body["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{body}"
        );
        if let Some((method, path)) = operation {
            let listed = documented_types(&document, method, path, status);
            assert!(
                listed.contains(&urn),
                "{method} {path} {status} lists {listed:?}, not {urn}"
            );
        }
        assert!(urns.contains(&urn), "{urn} is not in the document: {urns:?}");
    }
    assert_eq!(urns.len(), ProblemType::ALL.len(), "`ALL` lacks a type: {urns:?}");
}

#[tokio::test]
async fn a_rejected_socket_io_connection_gets_a_problem_of_the_api() {
    const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
    let gateway = TestGateway::with_users().await;
    let mut foreign = get(POLLING);
    let origin = "http://elsewhere.example".parse().unwrap();
    foreign.headers_mut().insert(header::ORIGIN, origin);
    let mut guessed = get(POLLING);
    let basic = "Basic YWRtaW46Z3Vlc3NlZCBiYWRseQ==".parse().unwrap();
    guessed.headers_mut().insert(header::AUTHORIZATION, basic);
    let guess = Secret::new("guessed badly");
    let is_blocked = async || {
        let failed = gateway.accounts().sign_in(HERE, "admin", &guess).await;
        matches!(failed, Err(Error::TooManyAttempts { .. }))
    };
    for attempt in 1.. {
        assert!(attempt < 100, "guesses are not limited");
        if is_blocked().await {
            break;
        }
    }
    for (request, kind) in [
        (foreign, ProblemType::CrossSiteRequest),
        (guessed, ProblemType::TooManyAttempts),
    ] {
        let answer = send(gateway.router(), request).await;
        assert_eq!(answer.body["type"], json!(kind));
        assert_eq!(answer.status, kind.definition().status.as_u16());
    }
}

#[test]
fn only_an_append_with_an_unknown_outcome_may_be_stored() {
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
async fn an_append_whose_writer_ends_without_an_answer_is_unanswered_and_not_closed() {
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

#[tokio::test]
async fn a_dead_letter_names_its_cause_and_its_field() {
    let gateway = TestGateway::start().await;
    gateway.dead_letter(b"{}", "lines[2].unit_price: missing").await;
    gateway.dead_letter(b"?", "a test").await;
    let letters = send(gateway.router(), get("/api/dead-letters")).await.body;
    assert_eq!(letters[1]["cause"], "invalid_field");
    assert_eq!(letters[1]["field"], "lines[2].unit_price");
    assert_eq!(letters[0]["cause"], "other");
    assert_eq!(letters[0].get("field"), None);
}
