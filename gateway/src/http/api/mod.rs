//! The JSON API. `/api/openapi.json` describes it; that document is generated from the handlers.
//!
//! A handler answers only the problems that its `problems!` declares.

pub mod create;
mod customers;
mod days;
pub mod dead_letters;
pub mod devices;
pub mod dto;
mod export;
pub mod identity;
pub mod openapi;
pub mod sales;
mod search;
pub mod status;
pub mod toggle;
