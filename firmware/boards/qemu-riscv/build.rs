//! Tells the linker where the memory is.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-link-search={here}");
    println!("cargo:rustc-link-arg=-Tmemory.x");
    println!("cargo:rustc-link-arg=-Tlink.x");
    // The network card's pages first: in the middle they would leave most of a page unused before them.
    println!("cargo:rustc-link-arg=--sort-section=alignment");
    println!("cargo:rerun-if-changed=memory.x");
}
