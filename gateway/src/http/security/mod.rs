//! Access to the pages and the API: the password, the check that a request does not come from another site, and the headers
//! that tell browsers what they may do with an answer.

pub mod access;
pub mod caller;
pub mod failure_log;
pub mod headers;
pub mod same_site;
