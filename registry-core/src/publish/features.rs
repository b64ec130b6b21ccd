//! Which features an old cargo may see.

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::Features;

/// Splits features into those every cargo reads (`features`) and those only cargo 1.60 and later
/// reads (`features2`).
///
/// A feature moves if a value of it starts with `dep:` or contains `?/`, and so does every feature
/// that turns on one that moved: left behind, it would name a feature an old cargo cannot see, and
/// the line would be unusable to it. Source: Cargo book, "Registry Index", `features2`; crates.io.
pub(super) fn split(features: Features) -> (Features, Features) {
    let mut turned_on_by = BTreeMap::<&str, Vec<&str>>::new();
    let mut reached = Vec::new();
    for (name, values) in &features {
        for value in values {
            if value.starts_with("dep:") || value.contains("?/") {
                reached.push(name.as_str());
            } else {
                turned_on_by.entry(value).or_default().push(name);
            }
        }
    }
    // Each feature and each value is looked at once, however long the way from one to the other.
    let mut moved = BTreeSet::new();
    while let Some(name) = reached.pop() {
        if moved.insert(name.to_owned()) {
            reached.extend(turned_on_by.get(name).into_iter().flatten());
        }
    }
    features.into_iter().partition(|(name, _)| !moved.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &[&str])]) -> Features {
        entries
            .iter()
            .map(|(name, values)| {
                (name.to_string(), values.iter().map(ToString::to_string).collect())
            })
            .collect()
    }

    #[test]
    fn features_of_the_old_syntax_stay() {
        let all = map(&[("default", &["std", "serde/std"]), ("std", &[])]);
        assert_eq!(split(all.clone()), (all, Features::new()));
    }

    #[test]
    fn features_that_reach_new_syntax_move_however_far_the_way() {
        let all = map(&[
            ("a", &["b"]),
            ("b", &["c", "z"]),
            ("c", &["serde?/std"]),
            ("d", &["dep:serde"]),
            ("z", &["zlib/c"]),
        ]);
        let moved = map(&[
            ("a", &["b"]),
            ("b", &["c", "z"]),
            ("c", &["serde?/std"]),
            ("d", &["dep:serde"]),
        ]);
        assert_eq!(split(all), (map(&[("z", &["zlib/c"])]), moved));
    }
}
