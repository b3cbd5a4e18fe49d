//! How the API's description tells what may be posted. [`super::given`] and [`crate::sale::draft`] read it.

use utoipa::ToSchema;

use crate::dashboard::dto;
use crate::sale::{DeliveryStatus, OrderStatus, PaymentMethod, PaymentStatus};

/// An order to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewOrder {
    #[schema(min_length = 1, max_length = 128)]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    customer_name: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    customer_email: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    product: Option<String>,
    lines: Option<Vec<dto::Line>>,
    #[schema(minimum = 0)]
    amount: Option<f64>,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    status: Option<OrderStatus>,
    #[schema(min_length = 1, max_length = 512)]
    address: Option<String>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}

/// A payment to be stored; every field may be left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the API's description: `draft` reads the body")]
pub struct NewPayment {
    #[schema(min_length = 1, max_length = 128)]
    payment_id: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    order_id: Option<String>,
    #[schema(minimum = 0)]
    amount: Option<f64>,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
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
    #[schema(min_length = 1, max_length = 128)]
    delivery_id: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    order_id: Option<String>,
    #[schema(min_length = 1, max_length = 512)]
    address: Option<String>,
    status: Option<DeliveryStatus>,
    #[schema(format = Date)]
    estimated_date: Option<String>,
    #[schema(format = DateTime)]
    timestamp: Option<String>,
}
