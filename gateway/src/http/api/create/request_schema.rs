//! The request bodies in the OpenAPI document. [`super::input`] and [`comptoir_core::sale::draft`] parse them. A test
//! sends random requests that match the document and expects that none fails unexpectedly.

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, Object, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, OpenApi, RefOr, Schema};
use utoipa::{Modify, ToSchema};

use super::input::LOCATION_FIELDS;
use comptoir_core::sale::{Currency, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

/// An order to store. Every field is optional.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only for the OpenAPI document: `draft` parses the body")]
pub struct NewOrder {
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    customer_name: Option<String>,
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    customer_email: Option<String>,
    /// A summary of the lines, for people.
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    product: Option<String>,
    #[schema(max_items = 2000)]
    lines: Option<Vec<NewLine>>,
    /// At most as many decimals as the currency has: none for JPY, two for EUR, three for KWD, four for CLF. By default the sum
    /// of the lines, which must not exceed the maximum either.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    amount: Option<f64>,
    #[schema(schema_with = currency)]
    currency: Option<String>,
    status: Option<OrderStatus>,
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    address: Option<String>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A line of an order to store.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only for the OpenAPI document: `draft` parses the body")]
pub struct NewLine {
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    product: String,
    /// By default 1.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    quantity: Option<u32>,
    /// At most as many decimals as the currency has.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    unit_price: f64,
}

/// A payment to store. Every field is optional.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only for the OpenAPI document: `draft` parses the body")]
pub struct NewPayment {
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    payment_id: Option<String>,
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    order_id: Option<String>,
    /// At most as many decimals as the currency has: none for JPY, two for EUR, three for KWD, four for CLF.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    amount: Option<f64>,
    #[schema(schema_with = currency)]
    currency: Option<String>,
    method: Option<PaymentMethod>,
    status: Option<PaymentStatus>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A delivery to store. Every field is optional.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only for the OpenAPI document: `draft` parses the body")]
pub struct NewDelivery {
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    delivery_id: Option<String>,
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    address: Option<String>,
    status: Option<DeliveryStatus>,
    #[schema(format = Date)]
    estimated_date: Option<String>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

fn currency() -> Object {
    let codes = Currency::all().map(|currency| Value::from(currency.code()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("ISO 4217, by default the shop's currency."))
        .enum_values(Some(codes.chain([Value::Null])))
        .build()
}

/// Declares in the schemas that unknown fields are errors and that the fields that `GET` adds are accepted and ignored.
pub struct StrictRequestSchemas;

impl Modify for StrictRequestSchemas {
    fn modify(&self, document: &mut OpenApi) {
        let schemas = document
            .components
            .as_mut()
            .map(|components| &mut components.schemas);
        for (name, schema) in schemas.into_iter().flatten() {
            let (RefOr::T(Schema::Object(schema)), true) = (schema, name.starts_with("New")) else {
                continue;
            };
            schema.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            if name != "NewLine" {
                let ignored = ObjectBuilder::new()
                    .schema_type(SchemaType::AnyValue)
                    .description(Some("Ignored."))
                    .build();
                for field in LOCATION_FIELDS {
                    schema.properties.insert(field.to_owned(), ignored.clone().into());
                }
            }
        }
    }
}
