//! How the API's description tells what may be posted. [`super::given`] and [`crate::sale::draft`] read it; a test asks
//! for whatever is described.

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, Object, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, OpenApi, RefOr, Schema};
use utoipa::{Modify, ToSchema};

use super::given::WHEREABOUTS;
use crate::sale::{Currency, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

/// An order to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewOrder {
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    customer_name: Option<String>,
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    customer_email: Option<String>,
    /// Sums up the lines, for people.
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    product: Option<String>,
    #[schema(max_items = 2000)]
    lines: Option<Vec<NewLine>>,
    /// With at most the decimals of the currency: none for JPY, two for EUR, three for KWD, four for CLF. What the lines come to, if it is not said; that must
    /// not be more than an amount may be.
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

/// A line of an order to be stored.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewLine {
    #[schema(min_length = 1, max_length = 512, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    product: String,
    /// 1 if it is not said.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    quantity: Option<u32>,
    /// With at most the decimals of the currency.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    unit_price: f64,
}

/// A payment to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewPayment {
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    payment_id: Option<String>,
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    order_id: Option<String>,
    /// With at most the decimals of the currency: none for JPY, two for EUR, three for KWD, four for CLF.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    amount: Option<f64>,
    #[schema(schema_with = currency)]
    currency: Option<String>,
    method: Option<PaymentMethod>,
    status: Option<PaymentStatus>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A delivery to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
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
        .description(Some("ISO 4217; the shop's if it is not said."))
        .enum_values(Some(codes.chain([Value::Null])))
        .build()
}

/// Nothing else may be posted; and what `GET` adds may be, and is not looked at.
pub struct Closed;

impl Modify for Closed {
    fn modify(&self, description: &mut OpenApi) {
        let schemas = description
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
                    .description(Some("Not looked at."))
                    .build();
                for field in WHEREABOUTS {
                    schema.properties.insert(field.to_owned(), ignored.clone().into());
                }
            }
        }
    }
}
