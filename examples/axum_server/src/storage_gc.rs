//! `axum_server storage gc`.

use std::{fmt, io::Write, time::Duration};

use clap::Args;
use registry_core::gc::{Collection, GcOptions, Outcome, Step, collect};

use crate::{
    End,
    backends::storage_must_be_there,
    cli::{IndexArgs, StorageArgs},
    error::{Error, causes},
    progress::{Amount, Progress},
    url::UrlText,
};

#[derive(Debug, Args)]
pub(crate) struct StorageGcArgs {
    #[command(flatten)]
    index: IndexArgs,
    #[command(flatten)]
    storage: StorageArgs,
    /// Another index over the same crate files, as --index; once for each. All registries of an index
    /// are looked at.
    #[arg(long, value_name = "URL")]
    also_index: Vec<UrlText>,
    /// How long ago a file must have been stored to be put aside, and put aside to be removed.
    ///
    /// As in 90m, 24h or 7d; at least 1h. The clocks of all servers have to agree within a fraction
    /// of it.
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = parse_age)]
    older_than: Duration,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Go on even if more files would go than stay.
    ///
    /// Otherwise nothing is done then: --index may be that of another registry, or one be missing
    /// from --also-index.
    #[arg(long)]
    even_most: bool,
}

/// Twice the time that a release may take from the storing of its file to its line, as servers have
/// it. Source: `file_age_limit` of registry-core.
const LEAST: Duration = Duration::from_secs(60 * 60);

/// Puts aside what no line names, and purges what was put aside before.
pub(crate) async fn run(args: StorageGcArgs) -> Result<End, Error> {
    let place = args.storage.url(&args.index)?;
    storage_must_be_there(&place)?;
    let indexes = args.index.open_all(&args.also_index).await?;
    let crates = args.storage.open(&args.index)?;

    let StorageGcArgs { older_than, dry_run, even_most, .. } = args;
    let options = GcOptions { dry_run, even_most, ..GcOptions::new(older_than) };
    let mut progress = Progress::new();
    let collection = collect(&crates, &indexes, &options, |step, so_far| {
        if let Some(note) = Note::of(step, args.dry_run) {
            progress.note(note);
        }
        progress.show(format_args!("{} files looked at", so_far.files()));
    });
    let collection = collection.await.map_err(Error::Gc)?;
    let seconds = progress.end().as_secs_f64();
    let Collection { set_aside, purged, put_back, waiting, in_doubt, failed, .. } = &collection;
    let mut stdout = std::io::stdout();
    if args.dry_run {
        write!(stdout, "dry run, nothing was changed: ").map_err(Error::Print)?;
    }
    writeln!(
        stdout,
        "{} files looked at in `{place}`: {} put aside, {} purged, {} put back; {} aside already, \
         {} left alone in doubt, {} failed; in {seconds:.1} s",
        collection.files(),
        Amount(*set_aside),
        Amount(*purged),
        Amount(*put_back),
        Amount(*waiting),
        in_doubt.files,
        failed.files,
    )
    .map_err(Error::Print)?;
    Ok(if collection.is_complete() { End::Well } else { End::WithFindings })
}

/// A line about a file with which something is done, or cannot be.
struct Note<'a> {
    what: &'static str,
    step: &'a Step<'a>,
}

impl<'a> Note<'a> {
    fn of(step: &'a Step<'a>, dry_run: bool) -> Option<Self> {
        let what = match (&step.outcome, dry_run) {
            (Outcome::SetAside, false) => "put aside",
            (Outcome::SetAside, true) => "would be put aside",
            (Outcome::Purged, false) => "purged",
            (Outcome::Purged, true) => "would be purged",
            (Outcome::PutBack, false) => "put back",
            (Outcome::PutBack, true) => "would be put back",
            (Outcome::InDoubt, _) => "left alone, as the record of its crate cannot be read",
            (Outcome::Failed(_), _) => "failed",
            _ => return None,
        };
        Some(Self { what, step })
    }
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, step } = self;
        write!(f, "{what}: {}, {} bytes", step.key, step.size)?;
        match &step.outcome {
            Outcome::Failed(error) => write!(f, ": {}", causes(error)),
            _ => Ok(()),
        }
    }
}

/// Reads `90m`, `24h` or `7d`: how old garbage has to be.
fn parse_age(text: &str) -> Result<Duration, AgeError> {
    let unit = text.chars().next_back().ok_or(AgeError::NoAge)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(AgeError::NoAge),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AgeError::NoAge);
    }
    let count = digits.parse::<u64>().ok();
    let age = count.and_then(|count| count.checked_mul(seconds)).map(Duration::from_secs);
    age.filter(|age| *age >= LEAST).ok_or(if age.is_some() {
        AgeError::TooLittle
    } else {
        AgeError::NoAge
    })
}

/// A text is not how old garbage may have to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AgeError {
    #[error("expected a number of `s`, `m`, `h` or `d`, such as `24h`")]
    NoAge,
    #[error("it is less than `1h`, within which a publish may still come to name its file")]
    TooLittle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_number_and_a_unit() {
        const HOUR: u64 = 60 * 60;
        for (text, seconds) in [
            ("3600s", HOUR),
            ("90m", HOUR * 3 / 2),
            ("1h", HOUR),
            ("24h", 24 * HOUR),
            ("7d", 168 * HOUR),
        ] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        let too_long = format!("{}d", u64::MAX / 86_400 + 1);
        for text in ["", "h", "24", "24 h", "-1h", "+1h", "1.5h", "1h30m", "24H", "1é", &too_long]
        {
            assert_eq!(parse_age(text), Err(AgeError::NoAge), "{text}");
        }
        for text in ["0h", "3599s", "59m"] {
            assert_eq!(parse_age(text), Err(AgeError::TooLittle), "{text}");
        }
    }
}
