//! The request bodies in the OpenAPI document. [`super::input`] and [`comptoir_core::sale::draft`] parse them. A test
//! sends random requests that match the document and expects that none fails unexpectedly.

use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, Object, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, OpenApi, Ref, RefOr, Schema};
use utoipa::{Modify, PartialSchema, ToSchema};

use super::input::LOCATION_FIELDS;
use comptoir_core::sale::{Currency, DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

/// An order to store. With `demo.invent` every field is optional; otherwise a new order needs `order_id`, and `lines` or
/// `product` and `amount`.
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
    /// By default 1. At most three decimals.
    #[schema(minimum = 0.001, maximum = 4_294_967_295_u32)]
    quantity: Option<f64>,
    /// The unit of the quantity, such as `kg` or `l`. By default pieces.
    #[schema(min_length = 1, max_length = 16, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    unit: Option<String>,
    /// At most as many decimals as the currency has.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    unit_price: f64,
    /// VAT in percent, included in the price. At most two decimals.
    #[schema(minimum = 0, maximum = 100)]
    vat_rate: Option<f64>,
    /// Taken off the price of the whole line. At most as many decimals as the currency has.
    #[schema(minimum = 0, maximum = 10_000_000_000_i64)]
    discount: Option<f64>,
}

/// A payment to store. With `demo.invent` every field is optional; otherwise a new payment needs `payment_id`, `order_id`,
/// `method`, `status` and, unless its order is known, `amount`.
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

/// A refund to store: a payment that pays back another one, in part or as a whole. What is missing is taken from that one.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only for the OpenAPI document: `draft` parses the body")]
pub struct NewRefund {
    /// By default a new id.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    payment_id: Option<String>,
    /// The `payment_id` of the payment that is paid back.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    refund_of: String,
    /// That of the payment. Needed if several tills have a payment with that id.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    order_id: Option<String>,
    /// Negative. By default all that is left of the payment. At most as many decimals as the currency has.
    #[schema(minimum = -10_000_000_000_i64, maximum = -0.0001)]
    amount: Option<f64>,
    #[schema(schema_with = currency)]
    currency: Option<String>,
    method: Option<PaymentMethod>,
    /// By default `SUCCESS`.
    status: Option<PaymentStatus>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A payment or a refund.
pub struct PaymentBody;

impl PartialSchema for PaymentBody {
    fn schema() -> RefOr<Schema> {
        let reference = |name| Ref::from_schema_name(name);
        let either = OneOfBuilder::new()
            .item(reference(NewPayment::name()))
            .item(reference(NewRefund::name()));
        RefOr::T(Schema::OneOf(either.build()))
    }
}

impl ToSchema for PaymentBody {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewPayment::name().into(), NewPayment::schema()));
        schemas.push((NewRefund::name().into(), NewRefund::schema()));
        NewPayment::schemas(schemas);
        NewRefund::schemas(schemas);
    }
}

/// A delivery to store. With `demo.invent` every field is optional; otherwise a new delivery needs `delivery_id`,
/// `order_id`, `estimated_date` and, unless its order is known, `address`.
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
