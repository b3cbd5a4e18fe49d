//! The parameter `q` of lists.

use crate::http::Problem;
use crate::http::query::{QueryParams, invalid};
use crate::projection::SearchWords;

/// Most characters of a query. Longer than any name, address or id.
const MAX_QUERY: usize = 200;

/// The words of the parameter `q`; `None` if it is absent or has none.
///
/// # Errors
/// The parameter is too long, or occurs more than once.
pub(super) fn words_of(query: &QueryParams) -> Result<Option<SearchWords>, Problem> {
    let text = query.text("q")?.unwrap_or_default();
    if text.chars().count() > MAX_QUERY {
        let problem = format!("more than {MAX_QUERY} characters; write for example a name or an order's id");
        return Err(invalid("q", problem));
    }
    Ok(SearchWords::of(text))
}
