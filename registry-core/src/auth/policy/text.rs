//! From the text of a file to its rules.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Effect, Place, PolicyAction, RolePolicy, Rule, Who};
use crate::auth::CratePattern;

/// A file, with its rules still to be read, so that each error names its rule.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File<R> {
    owners_may_write: Option<bool>,
    rules: Vec<R>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RuleText {
    name: Option<String>,
    allow: Option<Vec<PolicyAction>>,
    deny: Option<Vec<PolicyAction>>,
    to: Vec<Who>,
    crates: Vec<CratePattern>,
}

impl RuleText {
    fn rule(self, place: Place) -> Result<Rule, String> {
        let (effect, actions) = match (self.allow, self.deny) {
            (Some(actions), None) => (Effect::Allow, actions),
            (None, Some(actions)) => (Effect::Deny, actions),
            _ => return Err("it needs either `allow` or `deny`".into()),
        };
        // A rule that does nothing is a slip, and one that was to deny something a dangerous one.
        for (key, is_empty) in [
            ("allow` or `deny", actions.is_empty()),
            ("to", self.to.is_empty()),
            ("crates", self.crates.is_empty()),
        ] {
            if is_empty {
                return Err(format!("`{key}` is empty"));
            }
        }
        if effect == Effect::Deny && actions.contains(&PolicyAction::Admin) {
            return Err("`admin` is not denied: deny the actions themselves".into());
        }
        let Self { name, to: who, crates, .. } = self;
        Ok(Rule { effect, who, crates, actions, name, place })
    }
}

impl RolePolicy {
    /// Reads a policy from TOML. Keys that are not known are refused.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule is wrong, and why.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let file: File<toml::Spanned<toml::Table>> =
            toml::from_str(text).map_err(|error| PolicyError::in_toml(text, &error))?;
        let rules = file.rules.into_iter().enumerate().map(|(at, rule)| {
            let place = Place { number: at + 1, line: Some(line_of(text, rule.span().start)) };
            let rule = RuleText::deserialize(rule.into_inner());
            let rule = rule.map_err(|error| error.message().to_owned());
            rule.and_then(|rule| rule.rule(place))
                .map_err(|reason| PolicyError::Rule { place, reason })
        });
        Ok(Self::new(rules.collect::<Result<_, _>>()?, file.owners_may_write.unwrap_or(true)))
    }

    /// Reads a policy from JSON, as [`RolePolicy::from_toml`] does.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule is wrong, and why.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        let file: File<Box<RawValue>> =
            serde_json::from_str(text).map_err(|error| PolicyError::in_json(&error))?;
        let rules = file.rules.into_iter().enumerate().map(|(at, rule)| {
            let place = Place { number: at + 1, line: None };
            let rule = serde_json::from_str::<RuleText>(rule.get());
            let rule = rule.map_err(|error| error.to_string());
            rule.and_then(|rule| rule.rule(place))
                .map_err(|reason| PolicyError::Rule { place, reason })
        });
        Ok(Self::new(rules.collect::<Result<_, _>>()?, file.owners_may_write.unwrap_or(true)))
    }
}

/// A text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text as a whole is wrong.
    #[error("{}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    File {
        /// In which line, if that is known.
        line: Option<usize>,
        /// What is the matter.
        reason: String,
    },
    /// A rule is wrong.
    #[error("{place}: {reason}")]
    Rule {
        /// Which one.
        place: Place,
        /// What is the matter.
        reason: String,
    },
}

impl PolicyError {
    pub(in crate::auth) fn in_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_of(text, span.start));
        Self::File { line, reason: error.message().to_owned() }
    }

    /// The line is in the error's own text.
    pub(in crate::auth) fn in_json(error: &serde_json::Error) -> Self {
        Self::File { line: None, reason: error.to_string() }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
