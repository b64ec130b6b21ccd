//! `axum_server audit`, and the lines of the log that say the same.

use std::{io::Write, num::NonZeroUsize};

use clap::Args;
use registry_core::{
    CrateName, Login, RegistryName,
    audit::{AuditAction, AuditEntry, AuditLog, AuditOutcome, AuditQuery, AuditRecord},
    observer::{Event, Observer},
    record::Timestamp,
};
use serde_json::json;

use crate::{
    cli::RegistryArgs,
    error::{Error, causes},
};

/// Print who did or was refused what, when and from where: every write, and every change of access.
///
/// Oldest first, one entry a line: time, outcome, action, crate and version, user, credential,
/// address, request, and what else there is to say; `-` where there is nothing. The trail is in the
/// database of a sqlite: or postgres: index; of other indexes, the lines of the log with the target
/// `audit` are the trail.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only what this user did, or what was done about their access by a command.
    #[arg(long, value_name = "NAME")]
    user: Option<Login>,
    /// Only what is about this crate.
    #[arg(long = "crate", value_name = "NAME")]
    crate_name: Option<CrateName>,
    /// Only this action, such as publish, yank, add-owners or create-token.
    #[arg(long, value_name = "ACTION")]
    action: Option<AuditAction>,
    /// Only what was `done`, or what was `refused`.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<AuditOutcome>,
    /// Not before this moment, as in 2026-02-28T09:00:00Z or 2026-02-28.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Before this moment.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Only what is behind the entry of this id, which --json shows.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: u64,
    /// Most entries; default: all.
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    index: RegistryArgs,
}

/// A moment as RFC 3339 has it in UTC, or the beginning of a day in UTC.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let moment = || text.parse::<jiff::Timestamp>().ok();
    let day = || {
        let day = text.parse::<jiff::civil::Date>().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    // A date alone is a moment to nobody else, so each is tried.
    let found = moment().or_else(day);
    let second = found.and_then(|found| u64::try_from(found.as_second()).ok());
    second.map(Timestamp).ok_or_else(|| "write it as 2026-02-28T09:00:00Z or 2026-02-28".into())
}

pub(crate) async fn run(args: AuditArgs) -> Result<(), Error> {
    args.index.url()?.must_be_there()?;
    let opened = args.index.open().await?;
    let Some(trail) = opened.audit() else {
        return Err(Error::NoAudit { place: args.index.url()?.to_string() });
    };
    let mut query = AuditQuery {
        login: args.user,
        crate_name: args.crate_name.map(|name| name.canonical()),
        action: args.action,
        outcome: args.outcome,
        since: args.since,
        until: args.until,
        after: args.after,
        limit: AuditQuery::LIMIT,
    };
    let mut left = args.limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut out = std::io::stdout().lock();
    while let Some(limit) = NonZeroUsize::new(left.min(AuditQuery::LIMIT.get())) {
        query.limit = limit;
        let page = trail.query(&query).await.map_err(Error::Audit)?;
        let Some(last) = page.last() else { break };
        query.after = last.id;
        left -= page.len();
        for record in &page {
            let line = if args.json { json_line(record) } else { line(&record.entry) };
            writeln!(out, "{line}").map_err(Error::Print)?;
        }
    }
    Ok(())
}

/// Each field but the last is one word.
fn line(entry: &AuditEntry) -> String {
    let fields = Fields::of(entry);
    let about = match (fields.crate_name, &fields.version) {
        (Some(name), Some(version)) => format!("{name}@{version}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => "-".to_owned(),
    };
    let credential = fields.credential.unwrap_or("-").replace(' ', ":");
    [
        &*fields.at,
        entry.outcome.as_str(),
        entry.action.as_str(),
        &about,
        fields.login.unwrap_or("-"),
        &credential,
        fields.address.as_deref().unwrap_or("-"),
        fields.request.unwrap_or("-"),
        fields.detail.unwrap_or("-"),
    ]
    .join(" ")
}

fn json_line(AuditRecord { id, entry }: &AuditRecord) -> String {
    let fields = Fields::of(entry);
    json!({
        "id": id,
        "at": fields.at,
        "outcome": entry.outcome.as_str(),
        "action": entry.action.as_str(),
        "crate": fields.crate_name,
        "version": fields.version,
        "user": fields.login,
        "credential": fields.credential,
        "address": fields.address,
        "request": fields.request,
        "detail": fields.detail,
    })
    .to_string()
}

/// The parts of an entry as texts.
struct Fields<'a> {
    at: String,
    crate_name: Option<&'a str>,
    version: Option<String>,
    login: Option<&'a str>,
    credential: Option<&'a str>,
    address: Option<String>,
    request: Option<&'a str>,
    detail: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(entry: &'a AuditEntry) -> Self {
        Self {
            at: entry.at.to_rfc3339().unwrap_or_else(|| entry.at.0.to_string()),
            crate_name: entry.crate_name.as_ref().map(|name| name.as_str()),
            version: entry.version.as_ref().map(ToString::to_string),
            login: entry.login.as_ref().map(Login::as_str),
            credential: entry.credential.as_ref().map(|text| text.as_str()),
            address: entry.address.map(|address| address.to_string()),
            request: entry.request.as_ref().map(|text| text.as_str()),
            detail: entry.detail.as_ref().map(|text| text.as_str()),
        }
    }
}

/// Writes a line to the log for each entry of the trail, whatever the index is.
#[derive(Default, Debug)]
pub(crate) struct AuditLines {
    /// Which registry, unless it is `main`.
    pub(crate) registry: Option<RegistryName>,
}

impl Observer for AuditLines {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Committed(change) => log(&self.registry, &AuditEntry::from(*change)),
            Event::Refused(entry) | Event::Administered(entry) => log(&self.registry, entry),
            Event::Unrecorded(entry, error) => tracing::error!(
                target: "audit",
                request = entry.request.as_ref().map(|text| text.as_str()),
                error = causes(*error),
                "not written to the audit trail"
            ),
            _ => {}
        }
    }
}

fn log(registry: &Option<RegistryName>, entry: &AuditEntry) {
    let fields = Fields::of(entry);
    tracing::info!(
        target: "audit",
        registry = registry.as_ref().map(RegistryName::as_str),
        outcome = entry.outcome.as_str(),
        action = entry.action.as_str(),
        "crate" = fields.crate_name,
        version = fields.version,
        user = fields.login,
        credential = fields.credential,
        address = fields.address,
        request = fields.request,
        detail = fields.detail,
    );
}

/// Notes what a command did to somebody's access. Of an index that has no trail, a line on stderr is
/// all there is.
pub(crate) async fn administered(
    trail: Option<impl AuditLog>,
    entry: AuditEntry,
) -> Result<(), Error> {
    match trail {
        Some(trail) => trail.append(&entry).await.map_err(Error::NotAudited),
        None => {
            // Nobody may be listening, which undoes nothing.
            let _ = writeln!(std::io::stderr(), "audit: {}", line(&entry));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_second_and_in_utc() {
        for (text, second) in [
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1970-01-02", Some(86_400)),
            ("1970-01-01T02:00:00+01:00", Some(3_600)),
            ("1969-12-31", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text).ok(), second.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn an_entry_is_one_line_of_nine_words_and_a_detail() {
        let entry = AuditEntry::command(None, AuditAction::CREATE_TOKEN, "a\nb\u{1b}[2J c");
        let entry = AuditEntry { at: Timestamp(0), ..entry };
        assert_eq!(
            line(&entry),
            r"1970-01-01T00:00:00Z done create-token - - command - - a\u{a}b\u{1b}[2J c"
        );
    }
}
