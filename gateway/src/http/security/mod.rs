//! Security of the pages and the API: access control, and protection against requests from other sites.

pub mod access;
pub mod caller;
pub mod failure_log;
#[cfg(test)]
mod header_tests;
pub mod same_site;
