//! Recognises requests that a page of another site makes a browser send, from `Sec-Fetch-Site`: no page can set this
//! header. Programs other than browsers do not send it.
//!
//! Older browsers do not send it either, so the programs also compare `Origin` with their own names.

use axum::http::HeaderMap;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a page of another site reads. It could not see the response, but could use the visitor's session to keep the
/// program busy. Following a link to a page does not count, because the visitor then sees that page.
pub fn is_read_of_another_site(headers: &HeaderMap, path: &str) -> bool {
    // Some browsers that send the other headers do not send `Sec-Fetch-Dest`.
    let is_link = text(headers, "sec-fetch-mode") == Some("navigate")
        && matches!(text(headers, "sec-fetch-dest"), None | Some("document"))
        && !path.starts_with("/api/");
    text(headers, "sec-fetch-site") == Some("cross-site") && !is_link
}

/// Whether the browser reports another site, or another host of the same site. For requests that change something, and
/// for live connections, to which browsers do not apply the same-origin policy.
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    matches!(text(headers, "sec-fetch-site"), Some("cross-site" | "same-site"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(site: &str, mode: &str, destination: Option<&str>) -> HeaderMap {
        let named = [
            ("sec-fetch-site", Some(site)),
            ("sec-fetch-mode", Some(mode)),
            ("sec-fetch-dest", destination),
        ];
        let present = named
            .into_iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)));
        present
            .map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn another_site_can_link_to_a_page_and_read_nothing() {
        for (site, mode, destination, path, expected) in [
            ("cross-site", "navigate", Some("document"), "/orders", false),
            ("cross-site", "navigate", None, "/orders", false),
            ("cross-site", "navigate", Some("iframe"), "/orders", true),
            ("cross-site", "no-cors", Some("image"), "/icon.png", true),
            ("cross-site", "navigate", Some("document"), "/api/orders", true),
            ("same-origin", "cors", Some("empty"), "/api/orders", false),
            ("none", "navigate", Some("document"), "/api/orders", false),
        ] {
            let headers = headers(site, mode, destination);
            let found = is_read_of_another_site(&headers, path);
            assert_eq!(found, expected, "{site} {mode} {destination:?} {path}");
        }
        assert!(!is_read_of_another_site(&HeaderMap::new(), "/api/orders"));
    }

    #[test]
    fn another_host_of_the_same_site_is_another_site() {
        for (site, expected) in [
            ("cross-site", true),
            ("same-site", true),
            ("same-origin", false),
            ("none", false),
        ] {
            assert_eq!(
                is_from_another_site(&headers(site, "cors", None)),
                expected,
                "{site}"
            );
        }
        assert!(!is_from_another_site(&HeaderMap::new()));
    }
}
