//! The HTTP security rules that hold for the gateway and for head office alike.
//!
//! * [`cross_site`]: recognises requests that a page of another site makes a browser send.
//! * [`forwarded`]: recognises requests that a reverse proxy passes on.
//! * [`cookie`]: the cookie with the secret of a session.
//! * [`rejection`]: what is wrong with a body or a query that was rejected.
//! * [`response_headers`]: the headers that protect every response.
//! * [`sign_in`]: the answers to somebody who is not signed in.
//! * [`spreadsheet`]: texts in CSV files.
//!
//! The rules in which the two programs differ are their own: which host names they answer, and who may do what.

pub mod cookie;
pub mod cross_site;
pub mod forwarded;
pub mod rejection;
pub mod response_headers;
pub mod sign_in;
pub mod spreadsheet;
