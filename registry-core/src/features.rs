//! Which features an old cargo may see.

use crate::entry::Features;

/// Splits features into those every cargo reads (`features`) and those only cargo 1.60 and later
/// reads (`features2`).
///
/// A feature moves if a value of it starts with `dep:` or contains `?/`, and so does every feature
/// that turns on one that moved: left behind, it would name a feature an old cargo cannot see, and
/// the line would be unusable to it. Source: Cargo book, "Registry Index", `features2`; crates.io.
///
/// ```
/// use registry_core::features::split;
///
/// let all = [("default", vec!["tls"]), ("tls", vec!["dep:rustls"]), ("std", vec![])]
///     .map(|(name, values)| (name.into(), values.into_iter().map(Into::into).collect()));
/// let (features, features2) = split(all.into());
/// assert_eq!(features.keys().collect::<Vec<_>>(), ["std"]);
/// assert_eq!(features2.keys().collect::<Vec<_>>(), ["default", "tls"]);
/// ```
pub fn split(mut features: Features) -> (Features, Features) {
    let is_new = |value: &String| value.starts_with("dep:") || value.contains("?/");
    let mut moved: Features =
        features.extract_if(.., |_, values| values.iter().any(is_new)).collect();
    loop {
        let names_moved = |value: &String| moved.contains_key(value);
        let more: Features =
            features.extract_if(.., |_, values| values.iter().any(names_moved)).collect();
        if more.is_empty() {
            return (features, moved);
        }
        moved.extend(more);
    }
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
