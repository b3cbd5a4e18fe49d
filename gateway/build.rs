//! Copies the web pages into the build, for `http::pages` to embed.

use comptoir_pages::PageSource;

fn main() {
    PageSource {
        program: "gateway",
        folder: "../web/dist",
        variable: "COMPTOIR_WEB_DIST",
    }
    .embed();
}
