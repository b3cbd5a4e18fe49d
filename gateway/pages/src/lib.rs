//! Built web pages in a binary.
//!
//! * A build script copies what Vite has built into `OUT_DIR` ([`PageSource::embed`]), and `rust_embed` embeds it from there.
//! * The program serves the embedded files ([`PageFile`], feature `serve`). The build has compressed each file with Brotli
//!   and gzip; a request gets the smallest encoding that it accepts. Uncompressed copies are not embedded: few clients
//!   want them, and the gateway's would take half a megabyte.

mod source;

pub use source::PageSource;

#[cfg(feature = "serve")]
mod file;

#[cfg(feature = "serve")]
pub use file::PageFile;
