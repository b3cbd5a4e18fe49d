//! Copies the web page into the build, for `pages` to embed.

use comptoir_pages::PageSource;

fn main() {
    // The program embeds this folder.
    println!("cargo::rerun-if-changed=migrations");
    PageSource {
        program: "office",
        folder: "../../web/dist-office",
        variable: "COMPTOIR_OFFICE_WEB_DIST",
    }
    .embed();
}
