//! Tests that the API's responses match the schemas of the OpenAPI document.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::document;
use crate::http::testing::client::{Answer, get, post, send};
use crate::http::testing::gateway::TestGateway;

/// The schema for the JSON body of a successful response.
fn schema(document: &Value, method: &str, path: &str, status: u16) -> Validator {
    let response = &document["paths"][path][method]["responses"][status.to_string()];
    let schema = &response["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{method} {path} {status} has no schema");
    // Includes the components that the schema refers to.
    let schema = json!({"allOf": [schema], "components": document["components"]});
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let schema = schema(document, method, path, answer.status);
    let errors: Vec<String> = schema
        .iter_errors(&answer.body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{method} {path} {}: {errors:?}", answer.body);
}

#[tokio::test]
async fn every_json_answer_matches_its_schema() {
    let document = serde_json::to_value(document()).unwrap();
    let gateway = TestGateway::start().await;
    let order = json!({
        "order_id": "o-1",
        "customer_name": "Zoé",
        "lines": [{"product": "Tarte", "quantity": 2, "unit_price": 4.5}],
    });
    let payment = json!({"payment_id": "p-1", "order_id": "o-1", "status": "FAILED"});
    let delivery = json!({"delivery_id": "d-1", "order_id": "o-1"});
    for (path, body) in [
        ("/api/orders", order),
        ("/api/payments", payment),
        ("/api/deliveries", delivery),
    ] {
        let answer = send(gateway.router(), post(path, body.to_string())).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        check(&document, "post", path, &answer);
    }
    gateway.dead_letter(b"{}", "order_id: missing").await;
    let offset = send(gateway.router(), get("/api/dead-letters")).await.body[0]["offset"].clone();
    for (path, request) in [
        ("/api/orders", "/api/orders"),
        ("/api/payments", "/api/payments?limit=1"),
        ("/api/deliveries", "/api/deliveries"),
        ("/api/orders/{order_id}", "/api/orders/o-1"),
        ("/api/stats", "/api/stats"),
        ("/api/gateway", "/api/gateway"),
        ("/api/dead-letters", "/api/dead-letters"),
        (
            "/api/dead-letters/{offset}",
            &format!("/api/dead-letters/{offset}"),
        ),
    ] {
        let answer = send(gateway.router(), get(request)).await;
        assert_eq!(answer.status, 200, "{request}: {}", answer.body);
        check(&document, "get", path, &answer);
    }
}

/// A positive control of the test above.
#[tokio::test]
async fn an_answer_without_a_required_field_does_not_match_its_schema() {
    let document = serde_json::to_value(document()).unwrap();
    let gateway = TestGateway::start().await;
    let mut answer = send(gateway.router(), post("/api/orders", "{}")).await;
    let schema = schema(&document, "post", "/api/orders", 201);
    assert!(schema.is_valid(&answer.body));
    answer.body.as_object_mut().unwrap().remove("ce_id");
    assert!(!schema.is_valid(&answer.body));
}
