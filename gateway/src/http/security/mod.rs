//! Security of the pages and the API: access control, protection against requests from other sites, and security
//! headers.

pub mod access;
pub mod caller;
pub mod failure_log;
pub mod headers;
pub mod same_site;
