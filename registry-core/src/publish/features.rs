//! Features: which are valid, and which an old cargo may see.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invalid, rules::ValidationRules};
use crate::{
    echo::Echo,
    entry::{Features, IndexDependency},
};

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

/// Whether a text may be the name of a feature. Source: cargo, crates.io.
pub(super) fn is_feature_name(name: &str, rules: &ValidationRules) -> bool {
    let mut chars = name.chars();
    name.len() <= rules.max_text_chars
        && chars
            .next()
            .is_some_and(|c| unicode_ident::is_xid_start(c) || c == '_' || c.is_ascii_digit())
        && chars.all(|c| unicode_ident::is_xid_continue(c) || matches!(c, '+' | '-' | '.'))
}

/// Refuses what would make cargo refuse the whole line. Source: cargo, `Summary::new`.
pub(super) fn check_features(
    features: &Features,
    dependencies: &[IndexDependency],
    rules: &ValidationRules,
) -> Result<(), Invalid> {
    // By name, whether any of that name is optional: one may stand in several tables.
    let mut optional = BTreeMap::<&str, bool>::new();
    for dependency in dependencies {
        *optional.entry(&dependency.name).or_default() |= dependency.optional;
    }
    let values = || features.values().flatten();
    let by_name: BTreeSet<&str> = values().filter_map(|value| value.strip_prefix("dep:")).collect();
    let refuse =
        |feature: &str, reason: String| Err(Invalid::Feature { feature: feature.into(), reason });
    for (feature, values) in features {
        if !is_feature_name(feature, rules) {
            return refuse(feature, "this is not a feature name".into());
        }
        if values.len() > rules.max_feature_values {
            return refuse(
                feature,
                format!(
                    "a maximum number of {} values is allowed, found {}",
                    rules.max_feature_values,
                    values.len()
                ),
            );
        }
        for value in values {
            if let Err(reason) = check_value(value, features, &optional, &by_name, rules) {
                return refuse(feature, format!("`{}` {reason}", Echo(value)));
            }
        }
    }
    // A feature of an optional dependency's own name hides the one that would turn it on.
    let reached: BTreeSet<&str> = values()
        .filter_map(|value| {
            value.strip_prefix("dep:").or_else(|| {
                value.split_once('/').map(|(dependency, _)| dependency.trim_end_matches('?'))
            })
        })
        .collect();
    for (name, _) in optional.iter().filter(|(_, optional)| **optional) {
        if features.contains_key(*name) && !reached.contains(name) {
            return refuse(name, format!("nothing turns the optional dependency `{name}` on"));
        }
    }
    Ok(())
}

fn check_value(
    value: &str,
    features: &Features,
    optional: &BTreeMap<&str, bool>,
    by_name: &BTreeSet<&str>,
    rules: &ValidationRules,
) -> Result<(), &'static str> {
    let dependency = |name: &str| optional.get(name).copied().ok_or("names no dependency");
    if let Some(name) = value.strip_prefix("dep:") {
        return match dependency(name)? {
            true => Ok(()),
            false => Err("names a dependency that is not optional"),
        };
    }
    if let Some((name, of_dependency)) = value.split_once('/') {
        if !is_feature_name(of_dependency, rules) {
            return Err("does not end in a feature name");
        }
        return match name.strip_suffix('?') {
            Some(name) if !dependency(name)? => Err("names a dependency that is not optional"),
            Some(_) => Ok(()),
            None => dependency(name).map(drop),
        };
    }
    if features.contains_key(value) {
        return Ok(());
    }
    match optional.get(value) {
        None => Err("is neither a feature nor a dependency"),
        Some(false) => Err("names a dependency that is not optional"),
        Some(true) if by_name.contains(value) => {
            Err("names an optional dependency that has no feature of its own, use `dep:`")
        }
        Some(true) => Ok(()),
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
