//! Links at fixed addresses: the dynamic loader would write 340,000 of them at each start (candle's and polars' tables), which takes
//! longer than a no-op of a hundred stages.
#![expect(clippy::disallowed_methods, reason = "this is how cargo tells")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let [os, env] =
        ["OS", "ENV"].map(|what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default());
    if os == "linux" && env == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
