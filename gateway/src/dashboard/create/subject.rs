//! Which order, payment or delivery a `POST` is about.

use crate::dashboard::{Problem, Shop};
use crate::event::{COUNTER, DeviceId, Kind};
use crate::projection::{Key, Known};
use crate::sale::draft::{self, Draft, FieldError};

pub struct Subject {
    /// The device that the event names. At the counter a till's payment may be changed; it stays the till's.
    pub device: DeviceId,
    /// What is known of it already. `None`: it is new.
    pub known: Option<Draft>,
}

impl Subject {
    /// Takes the sender out of the draft: it says whose the thing is that is changed.
    ///
    /// # Errors
    ///
    /// Names the field that contradicts the stored sale.
    pub async fn of(shop: &Shop, kind: Kind, draft: &mut Draft) -> Result<Self, Problem> {
        let (store, device) = (draft.store.take(), draft.device.take());
        let id = match kind {
            Kind::Order => &draft.order_id,
            Kind::Payment => &draft.payment_id,
            Kind::Delivery => &draft.delivery_id,
        };
        let Some(id) = id.as_deref() else {
            same("store", store.as_deref(), &[&shop.store])?;
            same("device", device.as_deref(), &[COUNTER])?;
            return Self::counters(shop, None);
        };
        if kind == Kind::Payment {
            same("store", store.as_deref(), &[&shop.store])?;
            return Self::payment(shop, id, device, draft.order_id.is_some()).await;
        }
        // An order of another store may go on here; from then on it is one of this store, too.
        let of_store = store.as_deref().unwrap_or(&shop.store);
        let known = known(shop, Key::new(kind, id, of_store, "")).await?;
        let creator = known.as_ref().and_then(|known| known.device.as_deref());
        match known {
            Some(_) => same(
                "device",
                device.as_deref(),
                &[COUNTER, creator.unwrap_or(COUNTER)],
            )?,
            None => {
                same("store", store.as_deref(), &[&shop.store])?;
                same("device", device.as_deref(), &[COUNTER])?;
            }
        }
        Self::counters(shop, known)
    }

    async fn payment(
        shop: &Shop,
        id: &str,
        device: Option<String>,
        has_order: bool,
    ) -> Result<Self, Problem> {
        let of_device =
            async |device: &str| known(shop, Key::new(Kind::Payment, id, &shop.store, device)).await;
        let at_counter = match &device {
            Some(till) if till != COUNTER => {
                let Some(known) = of_device(till).await? else {
                    return Err(not_here("device", COUNTER));
                };
                return Self::tills(shop, till, known);
            }
            _ => of_device(COUNTER).await?,
        };
        // One that names its order is whole: the counter's own, though a till may have one of the same number.
        if at_counter.is_some() || device.is_some() || has_order {
            return Self::counters(shop, at_counter);
        }
        match shop.projection.devices_of(id, &shop.store).await?.as_slice() {
            [] => Self::counters(shop, None),
            [till] => {
                let known = of_device(till).await?.unwrap_or_default();
                Self::tills(shop, till, known)
            }
            several => {
                let problem = format!(
                    "several tills have a payment {id:?}: say whose it is, for example \"device\": {:?}",
                    &*several[0]
                );
                Err(FieldError::new("device", problem).into())
            }
        }
    }

    fn counters(shop: &Shop, known: Option<Draft>) -> Result<Self, Problem> {
        let device = device(&shop.store, COUNTER)?;
        Ok(Self { device, known })
    }

    fn tills(shop: &Shop, till: &str, known: Draft) -> Result<Self, Problem> {
        let device = device(&shop.store, till)?;
        let known = Some(known);
        Ok(Self { device, known })
    }
}

pub fn device(store: &str, device: &str) -> Result<DeviceId, FieldError> {
    DeviceId::new(store, device).map_err(|error| FieldError::new("device", error))
}

fn same(field: &str, said: Option<&str>, accepted: &[&str]) -> Result<(), Problem> {
    match said {
        Some(said) if !accepted.contains(&said) => Err(not_here(field, accepted[0])),
        _ => Ok(()),
    }
}

fn not_here(field: &str, own: &str) -> Problem {
    FieldError::new(field, format!("must be {own:?} on this gateway, or be left out")).into()
}

/// What is known of this. Of what is no longer kept here that is nothing, so that whatever is needed must be given.
pub async fn known(shop: &Shop, key: Key) -> Result<Option<Draft>, Problem> {
    Ok(match shop.projection.find(key).await? {
        Known::Never => None,
        Known::Gone => Some(Draft::default()),
        // Another gateway's may be of another make.
        Known::Here(item) => Some(draft::from_json(item.payload().as_bytes()).unwrap_or_default()),
    })
}
