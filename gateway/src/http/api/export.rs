//! Lists as CSV files. A file is read from the projection while the client reads it, one page at a time.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tracing::warn;

use super::sales::{MAX_STEP, items_in, read_in_turn, search_in_turn};
use crate::http::live::PersonalData;
use crate::http::{AppState, Problem, trust};
use crate::projection::{Cursor, ListFilter, ListOrder, Page, ProjectionError, SearchWords, ShopFilter};
use comptoir_core::event::Kind;
use comptoir_http_rules::spreadsheet::escape_formulas;

/// Tells Excel that the file is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// How numbers are written, which depends on the reader's language.
#[derive(Debug, Clone, Copy)]
struct Format {
    separator: u8,
    decimal: &'static str,
}

impl Format {
    fn of(headers: &HeaderMap) -> Self {
        match trust::prefers_french(headers) {
            true => Self {
                separator: b';',
                decimal: ",",
            },
            false => Self {
                separator: b',',
                decimal: ".",
            },
        }
    }
}

/// The columns of a file: fields of the items' JSON.
fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Order => &[
            "order_id",
            "timestamp",
            "store",
            "device",
            "status",
            "amount",
            "currency",
            "product",
            "customer_name",
            "customer_email",
            "address",
            "ce_id",
        ],
        Kind::Payment => &[
            "payment_id",
            "order_id",
            "refund_of",
            "timestamp",
            "store",
            "device",
            "status",
            "method",
            "amount",
            "currency",
            "ce_id",
        ],
        Kind::Delivery => &[
            "delivery_id",
            "order_id",
            "timestamp",
            "store",
            "device",
            "status",
            "address",
            "estimated_date",
            "ce_id",
        ],
    }
}

/// Whether a request asks for a file rather than a page. JSON is the default.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let types = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut names = types.filter_map(|of| {
        let mut parts = of.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        // A weight of 0 refuses the type.
        let is_refused = parts.any(|parameter| {
            let weight = parameter
                .strip_prefix("q=")
                .or_else(|| parameter.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0))
        });
        (!is_refused).then_some(name)
    });
    let known = names
        .find(|name| ["text/csv", "application/json", "*/*"].contains(&name.to_ascii_lowercase().as_str()));
    known.is_some_and(|name| name.eq_ignore_ascii_case("text/csv"))
}

/// A file that is being written.
struct Export {
    app: Arc<AppState>,
    kind: Kind,
    view: PersonalData,
    format: Format,
    filter: OwnedFilter,
    /// Only sales with these words.
    words: Option<SearchWords>,
    next: Next,
}

/// [`ListFilter`] without a lifetime.
struct OwnedFilter {
    store: Option<String>,
    status: Option<String>,
    device: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

impl OwnedFilter {
    fn new(filter: ListFilter<'_>) -> Self {
        Self {
            store: match filter.shop {
                ShopFilter::Home => None,
                ShopFilter::Other(store) => Some(store.to_owned()),
            },
            status: filter.status.map(str::to_owned),
            device: filter.device.map(str::to_owned),
            from: filter.from,
            to: filter.to,
        }
    }

    fn get(&self) -> ListFilter<'_> {
        ListFilter {
            shop: self.store.as_deref().map_or(ShopFilter::Home, ShopFilter::Other),
            status: self.status.as_deref(),
            device: self.device.as_deref(),
            from: self.from,
            to: self.to,
            // A sale that changes while the file is written keeps its place, and so is in the file once.
            order: ListOrder::FirstEvent,
        }
    }
}

/// What is written next.
enum Next {
    /// The header line and the first page.
    First(Page),
    After(Cursor),
    End,
}

/// The response with all sales of a list, newest first. If the projection cannot be read midway, the connection is cut
/// before the end of the file.
///
/// # Errors
/// The projection has ended, or its file or the journal could not be read.
pub(super) async fn respond(
    app: Arc<AppState>,
    kind: Kind,
    view: PersonalData,
    filter: ListFilter<'_>,
    words: Option<SearchWords>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let filter = OwnedFilter::new(filter);
    let first = read(&app, kind, view, filter.get(), words.as_ref(), None).await?;
    let day = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let name = format!("attachment; filename=\"{}-{day}.csv\"", kind.topic());
    let export = Export {
        app,
        kind,
        view,
        format: Format::of(headers),
        filter,
        words,
        next: Next::First(first),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::VARY, "accept, accept-language".to_owned()),
    ];
    let chunks = futures::stream::unfold(export, Export::next_chunk);
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// The next sales of a list, or of a search, among which may be others.
async fn read(
    app: &AppState,
    kind: Kind,
    view: PersonalData,
    filter: ListFilter<'_>,
    words: Option<&SearchWords>,
    after: Option<Cursor>,
) -> Result<Page, ProjectionError> {
    let Some(words) = words else {
        return read_in_turn(app, kind, filter, after).await;
    };
    let step = search_in_turn(app, kind, view, filter, words, after, MAX_STEP).await?;
    Ok(Page {
        items: step.candidates,
        next: step.next,
    })
}

impl Export {
    /// The next part of the file; `None` after its end.
    async fn next_chunk(mut self) -> Option<(Result<Bytes, io::Error>, Self)> {
        let (is_first, page) = match std::mem::replace(&mut self.next, Next::End) {
            Next::First(page) => (true, page),
            Next::After(cursor) => {
                let (filter, words) = (self.filter.get(), self.words.as_ref());
                match read(&self.app, self.kind, self.view, filter, words, Some(cursor)).await {
                    Ok(page) => (false, page),
                    Err(error) => {
                        warn!(%error, "a CSV file was cut off");
                        return Some((Err(io::Error::other(error)), self));
                    }
                }
            }
            Next::End => return None,
        };
        let chunk = self.write(&page, is_first);
        self.next = page.next.map_or(Next::End, Next::After);
        Some((chunk.map(Bytes::from), self))
    }

    fn write(&self, page: &Page, is_first: bool) -> Result<Vec<u8>, io::Error> {
        let columns = columns(self.kind);
        let mut file = Vec::new();
        if is_first {
            file.extend_from_slice(BYTE_ORDER_MARK.as_bytes());
        }
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.format.separator)
            // As RFC 4180.
            .terminator(csv::Terminator::CRLF)
            .from_writer(file);
        if is_first {
            writer.write_record(columns)?;
        }
        let in_kafka_upto = self.app.journal.state().in_kafka_upto(self.kind);
        for item in items_in(self.view, self.kind, page, in_kafka_upto) {
            if self
                .words
                .as_ref()
                .is_some_and(|words| !words.are_in(item.get(), &self.app.time_zone))
            {
                continue;
            }
            let fields: HashMap<String, &RawValue> = serde_json::from_str(item.get())?;
            writer.write_record(
                columns
                    .iter()
                    .map(|name| self.cell(name, fields.get(*name).copied())),
            )?;
        }
        writer
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))
    }

    fn cell(&self, name: &str, value: Option<&RawValue>) -> String {
        let Some(value) = value.map(RawValue::get).filter(|value| *value != "null") else {
            return String::new();
        };
        match serde_json::from_str::<String>(value) {
            Ok(text) => escape_formulas(&text),
            // The digits are those of the JSON: an amount never becomes a binary fraction.
            Err(_) if name == "amount" => value.replace('.', self.format.decimal),
            Err(_) => value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_only_for_whom_asks_for_one_first() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().unwrap());
            is_wanted(&headers)
        };
        assert!(accepts("text/csv") && accepts("Text/CSV;q=0.9") && accepts("text/html, text/csv, */*"));
        assert!(
            !accepts("text/csv;q=0") && !accepts("text/csv; q=0.000, */*") && accepts("text/csv;q=0.001")
        );
        assert!(!accepts("application/json, text/csv") && !accepts("*/*, text/csv") && !accepts("text/html"));
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
