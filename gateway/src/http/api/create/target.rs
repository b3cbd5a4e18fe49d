//! Resolves which order, payment or delivery a `POST` creates or changes.

use crate::http::{AppState, Problem};
use crate::projection::{Key, Lookup};
use comptoir_core::event::{COUNTER, DeviceId, Kind};
use comptoir_core::sale::draft::{self, Draft, FieldError};

pub struct Target {
    /// The event's device. A till's payment stays the till's when it is changed at the counter.
    pub device: DeviceId,
    /// The previous state. `None` if the order, payment or delivery is new.
    pub previous: Option<Draft>,
}

impl Target {
    /// Finds the target and takes `store` and `device` out of the draft.
    ///
    /// # Errors
    ///
    /// The store or device does not match the stored sale, or the stored sale cannot be read.
    pub async fn resolve(app: &AppState, kind: Kind, draft: &mut Draft) -> Result<Self, Problem> {
        let (store, device) = (draft.store.take(), draft.device.take());
        let id = match kind {
            Kind::Order => &draft.order_id,
            Kind::Payment => &draft.payment_id,
            Kind::Delivery => &draft.delivery_id,
        };
        let Some(id) = id.as_deref() else {
            accept("store", store.as_deref(), &[&app.store])?;
            accept("device", device.as_deref(), &[COUNTER])?;
            return Self::at_counter(app, None);
        };
        if kind == Kind::Payment {
            accept("store", store.as_deref(), &[&app.store])?;
            return Self::payment(app, id, device, draft.order_id.is_some()).await;
        }
        // An order of another store may be continued here, and becomes an order of this store too.
        let of_store = store.as_deref().unwrap_or(&app.store);
        let previous = previous_state(app, Key::new(kind, id, of_store, "")).await?;
        let creator = previous.as_ref().and_then(|previous| previous.device.as_deref());
        match previous {
            Some(_) => accept(
                "device",
                device.as_deref(),
                &[COUNTER, creator.unwrap_or(COUNTER)],
            )?,
            None => {
                accept("store", store.as_deref(), &[&app.store])?;
                accept("device", device.as_deref(), &[COUNTER])?;
            }
        }
        Self::at_counter(app, previous)
    }

    async fn payment(
        app: &AppState,
        id: &str,
        device: Option<String>,
        has_order: bool,
    ) -> Result<Self, Problem> {
        let of_device =
            async |device: &str| previous_state(app, Key::new(Kind::Payment, id, &app.store, device)).await;
        let at_counter = match &device {
            Some(till) if till != COUNTER => {
                let Some(previous) = of_device(till).await? else {
                    return Err(not_accepted("device", COUNTER));
                };
                return Self::at_till(app, till, previous);
            }
            _ => of_device(COUNTER).await?,
        };
        // A payment that names its order is complete, so it belongs to the counter even if a till has the same id.
        if at_counter.is_some() || device.is_some() || has_order {
            return Self::at_counter(app, at_counter);
        }
        match app.projection.devices_of(id, &app.store).await?.as_slice() {
            [] => Self::at_counter(app, None),
            [till] => {
                let previous = of_device(till).await?.unwrap_or_default();
                Self::at_till(app, till, previous)
            }
            several => {
                let problem = format!(
                    "several tills have a payment {id:?}; name the till, for example \"device\": {:?}",
                    &*several[0]
                );
                Err(FieldError::new("device", problem).into())
            }
        }
    }

    fn at_counter(app: &AppState, previous: Option<Draft>) -> Result<Self, Problem> {
        let device = device(&app.store, COUNTER)?;
        Ok(Self { device, previous })
    }

    fn at_till(app: &AppState, till: &str, previous: Draft) -> Result<Self, Problem> {
        let device = device(&app.store, till)?;
        let previous = Some(previous);
        Ok(Self { device, previous })
    }
}

/// # Errors
///
/// The store or the device is not a valid name.
pub fn device(store: &str, device: &str) -> Result<DeviceId, FieldError> {
    DeviceId::new(store, device).map_err(|error| FieldError::new("device", error))
}

fn accept(field: &str, value: Option<&str>, accepted: &[&str]) -> Result<(), Problem> {
    match value {
        Some(value) if !accepted.contains(&value) => Err(not_accepted(field, accepted[0])),
        _ => Ok(()),
    }
}

fn not_accepted(field: &str, own: &str) -> Problem {
    FieldError::new(
        field,
        format!("must be {own:?} on this gateway; or leave the field out"),
    )
    .into()
}

/// The latest state of a sale. If the gateway no longer keeps the sale, the state is empty, so the body must have every
/// required field.
///
/// # Errors
///
/// The projection or the journal cannot be read.
pub async fn previous_state(app: &AppState, key: Key) -> Result<Option<Draft>, Problem> {
    Ok(match app.projection.find(key).await? {
        Lookup::Unknown => None,
        Lookup::Pruned => Some(Draft::default()),
        // Another gateway may run another version, whose JSON this version may not be able to read.
        Lookup::Found(item) => Some(draft::from_json(item.payload().as_bytes()).unwrap_or_default()),
    })
}
