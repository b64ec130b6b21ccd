//! Names nobody may publish under.

use crate::name::CanonicalName;

/// Whether a name is reserved in every registry, whatever its spelling.
///
/// Names of Windows devices cannot be a folder or a file there, in a checkout of an index or in
/// cargo's cache; those of crates that come with the compiler would be taken for them; `new` is
/// the publish endpoint's place below `/crates/`. Source: crates.io; `new` is ours.
pub(super) fn is_reserved(name: &CanonicalName) -> bool {
    is_windows_device(name.as_str()) || COMPILER.binary_search(&name.as_str()).is_ok()
}

/// Whether a name, taken without its extension, is a device on Windows.
pub(super) fn is_windows_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let device = |prefix: &str| {
        stem.len() == prefix.len() + 1
            && stem.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && stem.ends_with(|last: char| last.is_ascii_digit())
    };
    ["nul", "con", "prn", "aux"].iter().any(|name| stem.eq_ignore_ascii_case(name))
        || device("com")
        || device("lpt")
}

/// Canonical, sorted.
const COMPILER: [&str; 39] = [
    "alloc",
    "arena",
    "ast",
    "builtins",
    "collections",
    "compiler_builtins",
    "compiler_rt",
    "compiletest",
    "core",
    "coretest",
    "debug",
    "driver",
    "flate",
    "fmt_macros",
    "grammar",
    "graphviz",
    "macro",
    "macros",
    "new",
    "proc_macro",
    "rbml",
    "rust_installer",
    "rustbook",
    "rustc",
    "rustc_back",
    "rustc_borrowck",
    "rustc_driver",
    "rustc_llvm",
    "rustc_resolve",
    "rustc_trans",
    "rustc_typeck",
    "rustdoc",
    "rustllvm",
    "rustuv",
    "serialize",
    "std",
    "syntax",
    "test",
    "unicode",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(COMPILER.is_sorted());
    }

    #[test]
    fn a_reserved_name_is_reserved_in_every_spelling() {
        for name in ["nul", "COM1", "lpt9", "aux", "std", "Proc-Macro", "rustc_back", "new"] {
            assert!(is_reserved(&CanonicalName::new(name).unwrap()), "{name}");
        }
        for name in ["com", "com10", "nul1", "stdx", "serde", "auxiliary"] {
            assert!(!is_reserved(&CanonicalName::new(name).unwrap()), "{name}");
        }
    }
}
