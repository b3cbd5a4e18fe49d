//! For programs: answers a request with an embedded file.

use std::borrow::Cow;
use std::io::Read as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};

/// Files whose names contain a hash of their contents, so they may be cached forever.
const ASSETS: &str = "assets/";

/// An embedded file, in the smallest encoding that a client accepts.
#[derive(Debug)]
pub struct PageFile {
    path: String,
    /// `None`: not compressed.
    encoding: Option<&'static str>,
    bytes: Cow<'static, [u8]>,
    /// SHA-256 of the embedded bytes, which are those of the gzip file if `bytes` were decompressed from it.
    hash: [u8; 32],
}

impl PageFile {
    /// Whether there is a file with this path, relative to the folder of the pages: `assets/index-1a2b3c.js`.
    #[must_use]
    pub fn exists<F: RustEmbed>(path: &str) -> bool {
        F::get(path).is_some() || F::get(&format!("{path}.gz")).is_some()
    }

    /// The file with this path, in the smallest encoding that the request accepts.
    #[must_use]
    pub fn find<F: RustEmbed>(path: &str, request: &HeaderMap) -> Option<Self> {
        let gzip = F::get(&format!("{path}.gz"));
        let brotli = F::get(&format!("{path}.br")).filter(|_| accepts(request, "br"));
        if let Some(brotli) = brotli {
            return Some(Self::new(path, brotli, Some("br")));
        }
        match (gzip, F::get(path)) {
            (Some(gzip), _) if accepts(request, "gzip") => Some(Self::new(path, gzip, Some("gzip"))),
            (_, Some(plain)) => Some(Self::new(path, plain, None)),
            (Some(gzip), None) => Self::decompressed(path, gzip),
            (None, None) => None,
        }
    }

    fn new(path: &str, embedded: EmbeddedFile, encoding: Option<&'static str>) -> Self {
        Self {
            path: path.to_owned(),
            encoding,
            hash: embedded.metadata.sha256_hash(),
            bytes: embedded.data,
        }
    }

    fn decompressed(path: &str, gzip: EmbeddedFile) -> Option<Self> {
        let mut bytes = Vec::new();
        GzDecoder::new(&*gzip.data).read_to_end(&mut bytes).ok()?;
        Some(Self {
            bytes: bytes.into(),
            ..Self::new(path, gzip, None)
        })
    }

    /// The answer to `request`: the file under the Content-Security-Policy `policy`, or 304 if the client has it already. A
    /// document names the assets of this version of the program, so a cache must ask each time whether it has changed.
    #[must_use]
    pub fn respond(self, request: &HeaderMap, policy: &'static str) -> Response {
        let cache = match self.path.starts_with(ASSETS) {
            true => "public, max-age=31536000, immutable",
            false => "no-cache",
        };
        let tag = self.tag();
        let common = [
            (header::CACHE_CONTROL, cache),
            (header::VARY, "accept-encoding"),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
        ];
        if has_tag(request, &tag) {
            return (StatusCode::NOT_MODIFIED, common, [(header::ETAG, tag)]).into_response();
        }
        let mime = mime_guess::from_path(&self.path).first_or_octet_stream();
        let own = [(header::ETAG, tag), (header::CONTENT_TYPE, mime.to_string())];
        let mut response = (common, own, self.bytes).into_response();
        if let Some(encoding) = self.encoding {
            let encoding = HeaderValue::from_static(encoding);
            response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
        }
        response
    }

    /// The entity tag. Each encoding needs one of its own.
    fn tag(&self) -> String {
        let hash: String = self.hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hash}-{}\"", self.encoding.unwrap_or("identity"))
    }
}

fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let accepted = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        name.trim() == encoding && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}

fn has_tag(request: &HeaderMap, tag: &str) -> bool {
    let tags = request
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    tags.unwrap_or_default()
        .split(',')
        .any(|one| one.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::LazyLock;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rust_embed::utils::read_file_from_fs;
    use tempfile::TempDir;

    use super::*;

    const SCRIPT: &str = "assets/index-1a2b3c.js";

    /// A script that exists compressed only, and a document that exists uncompressed only.
    struct Files;

    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str| PathBuf::from(folder.path()).join(path);
        std::fs::create_dir(file("assets")).unwrap();
        std::fs::write(file("index.html"), "the document").unwrap();
        std::fs::write(file(&format!("{SCRIPT}.br")), "brotli").unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"the script").unwrap();
        std::fs::write(file(&format!("{SCRIPT}.gz")), gzip.finish().unwrap()).unwrap();
        folder
    });

    impl RustEmbed for Files {
        fn get(path: &str) -> Option<EmbeddedFile> {
            read_file_from_fs(&FOLDER.path().join(path)).ok()
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            std::iter::empty()
        }
    }

    fn request(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn find(path: &str, accepted: &'static str) -> PageFile {
        PageFile::find::<Files>(path, &request(header::ACCEPT_ENCODING, accepted)).unwrap()
    }

    fn header_of(response: &Response, name: HeaderName) -> String {
        let value = response.headers().get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_client_gets_the_smallest_encoding_that_it_accepts() {
        assert_eq!(find(SCRIPT, "gzip, br").encoding, Some("br"));
        assert_eq!(find(SCRIPT, "gzip, br;q=0").encoding, Some("gzip"));
        let plain = find(SCRIPT, "br;q=0, zstd");
        assert_eq!((plain.encoding, &*plain.bytes), (None, &b"the script"[..]));
        assert_eq!(&*find("index.html", "gzip, br").bytes, b"the document");
    }

    #[test]
    fn an_absent_file_is_not_found() {
        assert!(!PageFile::exists::<Files>("assets/other.js") && PageFile::exists::<Files>(SCRIPT));
        assert!(PageFile::find::<Files>("assets/other.js", &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so_and_only_in_the_same_encoding() {
        let tag = find(SCRIPT, "br").tag();
        let asked = request(header::IF_NONE_MATCH, &format!("\"other\", W/{tag}"));
        let status = |encoding| find(SCRIPT, encoding).respond(&asked, "").status();
        assert_eq!(status("br"), StatusCode::NOT_MODIFIED);
        assert_eq!(status("gzip"), StatusCode::OK);
    }

    #[test]
    fn assets_may_be_cached_forever_and_the_document_is_checked_each_time() {
        let document = find("index.html", "").respond(&HeaderMap::new(), "default-src 'self'");
        assert_eq!(header_of(&document, header::CACHE_CONTROL), "no-cache");
        assert_eq!(
            header_of(&document, header::CONTENT_SECURITY_POLICY),
            "default-src 'self'"
        );
        assert_eq!(header_of(&document, header::CONTENT_TYPE), "text/html");
        assert_eq!(header_of(&document, header::CONTENT_ENCODING), "");
        let script = find(SCRIPT, "br").respond(&HeaderMap::new(), "");
        assert!(header_of(&script, header::CACHE_CONTROL).contains("immutable"));
        assert_eq!(header_of(&script, header::CONTENT_TYPE), "text/javascript");
        assert_eq!(header_of(&script, header::CONTENT_ENCODING), "br");
    }
}
