//! Views: a live connection sees either everything or everything but personal data.

use std::sync::Arc;

use comptoir_core::event::Kind;
use comptoir_core::sale::personal::with_hidden_fields;
use comptoir_identity::Role;

use super::tick::Json;
use crate::http::security::caller::Caller;

/// Whether a live connection may see the customers' e-mail addresses and postal addresses.
///
/// The caller's role decides. A value in the extensions of the request that opens the connection takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalData {
    Shown,
    /// `customer_email` and `address` are null.
    Hidden,
}

impl PersonalData {
    pub const ALL: [Self; 2] = [Self::Shown, Self::Hidden];

    pub fn of(caller: &Caller) -> Self {
        match caller.role().is_some_and(Role::sees_personal_data) {
            true => Self::Shown,
            false => Self::Hidden,
        }
    }
}

/// One value for each requested view.
#[derive(Debug, Clone)]
pub struct PerView<T>([Option<T>; 2]);

impl<T> Default for PerView<T> {
    fn default() -> Self {
        Self([None, None])
    }
}

impl<T> PerView<T> {
    /// The value for a view. `None` if no live connection had this view when the values were made.
    pub fn get(&self, view: PersonalData) -> Option<&T> {
        self.0[view as usize].as_ref()
    }

    pub fn set(&mut self, view: PersonalData, value: T) {
        self.0[view as usize] = Some(value);
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl PerView<Arc<Json>> {
    /// JSON without personal data, identical in every view.
    pub fn same(json: Json) -> Self {
        let json = Arc::new(json);
        Self([Some(Arc::clone(&json)), Some(json)])
    }

    /// Renders an item for the requested views.
    pub fn of_item(kind: Kind, item: Json, wanted: [bool; 2]) -> Self {
        if !has_personal_data(kind) {
            return Self::same(item);
        }
        let hidden = wanted[PersonalData::Hidden as usize].then(|| Arc::new(with_hidden_fields(item.get())));
        Self([Some(Arc::new(item)), hidden])
    }

    /// Bytes of the JSON. JSON shared by two views counts once.
    pub fn weight(&self) -> usize {
        match &self.0 {
            [Some(shown), Some(hidden)] if Arc::ptr_eq(shown, hidden) => shown.get().len(),
            views => views.iter().flatten().map(|json| json.get().len()).sum(),
        }
    }
}

/// An item in one view.
pub fn item_in(view: PersonalData, kind: Kind, item: Json) -> Json {
    match view {
        PersonalData::Hidden if has_personal_data(kind) => with_hidden_fields(item.get()),
        _ => item,
    }
}

fn has_personal_data(kind: Kind) -> bool {
    match kind {
        Kind::Order | Kind::Delivery => true,
        Kind::Payment => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn json(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn the_view_without_personal_data_has_null_for_it_and_everything_else_unchanged() {
        let order = r#"{"order_id":"o-1","customer_email":"a@b.example","amount":12.50,"\u0061ddress":"Rue 1","address":"Rue 2","lines":[{"unit_price":1.10}]}"#;
        let hidden = r#"{"order_id":"o-1","customer_email":null,"amount":12.50,"address":null,"address":null,"lines":[{"unit_price":1.10}]}"#;
        for kind in [Kind::Order, Kind::Delivery] {
            let views = PerView::of_item(kind, json(order), [true, true]);
            assert_eq!(views.get(PersonalData::Shown).unwrap().get(), order);
            assert_eq!(views.get(PersonalData::Hidden).unwrap().get(), hidden);
            assert_eq!(views.weight(), order.len() + hidden.len());
            assert_eq!(item_in(PersonalData::Hidden, kind, json(order)).get(), hidden);
        }
        assert_eq!(
            item_in(PersonalData::Shown, Kind::Order, json(order)).get(),
            order
        );
    }

    #[test]
    fn a_view_that_nobody_has_is_not_made_and_payments_are_shared() {
        let order = PerView::of_item(Kind::Order, json(r#"{"address":"x"}"#), [true, false]);
        assert!(order.get(PersonalData::Hidden).is_none());
        let text = r#"{"payment_id":"p-1"}"#;
        let payment = PerView::of_item(Kind::Payment, json(text), [true, true]);
        assert_eq!(payment.weight(), text.len());
        for view in PersonalData::ALL {
            assert_eq!(payment.get(view).unwrap().get(), text);
        }
    }
}
