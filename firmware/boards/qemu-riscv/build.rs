//! Passes the memory layout to the linker.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-link-search={here}");
    println!("cargo:rustc-link-arg=-Tmemory.x");
    println!("cargo:rustc-link-arg=-Tlink.x");
    // Sorting by alignment puts the network card's pages first. In the middle they would waste most of a page.
    println!("cargo:rustc-link-arg=--sort-section=alignment");
    println!("cargo:rerun-if-changed=memory.x");
}
