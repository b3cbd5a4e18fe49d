//! The bodies of the HTTP API and of Socket.IO; see `docs/interfaces/http.md` and `live.md`.
//!
//! The OpenAPI document and the pages' TypeScript types are generated from these types. Times are UTC, RFC 3339;
//! amounts are exact decimal numbers in JSON.

mod customers;
mod days;
mod dead_letters;
mod gateway;
mod identity;
mod live;
mod sales;
mod stats;
#[cfg(test)]
mod typescript_tests;

pub use customers::{
    CustomerErasure, CustomerErasureResult, CustomerEvent, CustomerEventKind, CustomerSearch,
    CustomerSearchResult,
};
pub use days::{
    ClosingRecord, CountedTakings, CoveredNumbers, DayClosing, DayOrders, DayTakings, HourTakings,
    LatePayment, MethodTakings, NetAmount, OtherProducts, ProductSales, ShopDay, TillTakings, VatAmount,
};
pub use dead_letters::{DeadLetter, DeadLetterCause, RetryResult};
pub use gateway::{
    Alerts, BacklogPoint, Clock, ClockJump, ClockState, DemoKafka, Device, Epoch, Follow, ForgottenDevice,
    Gateway, GatewayStatus, JournalStatus, Partition, Peer, PeerState, RefusalReason, RefusedDevice,
    SettingsProblem, Shops, Uplink, UplinkMode,
};
pub use identity::{
    ActorKind, AuditEntry, AuditPage, CreatedToken, CurrentUser, NewPassword, NewToken, NewUser, OpenSession,
    Pairing, PairingApproval, PairingState, PairingStatus, RoleName, Session, Setup, SignIn, Token, User,
    UserChange, UserKind,
};
pub use live::{Auth, Batch, Confirmation, InitialData};
pub use sales::{Correction, Delivery, EventLocation, Line, Order, OrderLife, Origin, Page, Payment};
pub use stats::{Hour, Quarters, Stats};
