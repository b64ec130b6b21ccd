//! `axum_server import`: brings over what another registry has as files.

mod crates;
mod report;
mod source;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use clap::Args;
use registry_core::{
    IndexLine, Login, Owner, Registry, RegistryConfig,
    auth::{NewToken, Token, TokenStore},
    record::{LeftOut, Timestamp},
    registry::{Import, ImportError},
};
use tokio::task::JoinSet;

use self::{
    crates::CrateFolder,
    report::Report,
    source::{IndexFiles, SourceFile},
};
use crate::{
    End,
    cli::{RegistryArgs, StorageArgs},
    error::{Error, causes},
    layers::MirrorArgs,
    progress::Progress,
    runtime::TokioRuntime,
};

/// Crates on their way at a time. Each waits for the disk more than it works.
const CRATES_AT_A_TIME: usize = 16;

/// Bring over crates from the files of another registry: its index, and its crate files.
///
/// May be run again, or after it was interrupted: what is here already is passed over, new lines
/// are added, yanks follow the source, and nothing is taken away. A server may run meanwhile. What
/// cannot be brought over is told at the end, line by line, and the exit status is 3.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The index: a checkout of a git index, or the files of a sparse one.
    #[arg(long, value_name = "DIR")]
    index_dir: PathBuf,
    /// The crate files, under their usual names in any folders below, or else found by checksum.
    ///
    /// Named NAME-VERSION.crate, NAME/VERSION.crate, NAME/VERSION/download or NAME/VERSION/crate.
    #[arg(long, value_name = "DIR")]
    crates: PathBuf,
    /// Who owns the crates that are new here; becomes a user if they are none.
    #[arg(long, value_name = "LOGIN", default_value = "admin")]
    owner: Login,
    #[command(flatten)]
    index: RegistryArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    mirror: MirrorArgs,
}

/// Brings over all that can be.
pub(crate) async fn import(args: ImportArgs) -> Result<End, Error> {
    args.mirror.check(&args.storage, &args.index.index)?;
    let mut progress = Progress::new();
    let files = IndexFiles::find(&args.index_dir)?;
    let mut folder = CrateFolder::find(&args.crates)?;

    let index = args.index.open().await?;
    // Under no address: nothing of it is served from here.
    let config = RegistryConfig::new("http://localhost").expect("a plain URL");
    let crates = args.mirror.around(args.storage.open(&args.index.index)?)?;
    let registry =
        Registry::builder(config, index.index(), crates).runtime(TokioRuntime::new()).build();
    let owner = user(&*index.tokens(None), &args.owner).await?;
    let mut left_out = files.left_out;
    left_out.append(&mut folder.left_out);
    let importer = Arc::new(Importer { registry, owner, folder });

    let (mut done, all) = (0, files.crates.len());
    let mut report = Report { left_out, ..Report::default() };
    let mut tasks = JoinSet::new();
    let mut crates = files.crates.into_iter();
    loop {
        let next = if tasks.len() < CRATES_AT_A_TIME { crates.next() } else { None };
        if let Some(files) = next {
            let importer = Arc::clone(&importer);
            tasks.spawn(async move { importer.import(files).await });
            continue;
        }
        let Some(joined) = tasks.join_next().await else { break };
        report.add(joined.map_err(|_| Error::Panicked)??);
        done += 1;
        let (new, left_out) = (report.new, report.left_out.len());
        progress.show(format_args!(
            "{done} of {all} crates: {new} versions new, {left_out} lines left out"
        ));
    }
    report.print(progress.end())?;
    Ok(if report.left_out.is_empty() { End::Well } else { End::WithFindings })
}

/// The user of this login.
async fn user(tokens: &dyn TokenStore, login: &Login) -> Result<Owner, Error> {
    if let Some(user) = tokens.user(login).await.map_err(Error::Token)? {
        return Ok(user);
    }
    // Users are made with a token. This one is never shown, and has expired.
    let token = Token::generate().map_err(|error| Error::Random(error.into()))?;
    let now = Timestamp::from(SystemTime::now());
    let new = NewToken { expires_at: Some(now), ..NewToken::new(login, &token.digest(), now) };
    Ok(tokens.create(&new).await.map_err(Error::Token)?.user)
}

/// What all crates have in common.
struct Importer {
    registry: Registry,
    owner: Owner,
    folder: CrateFolder,
}

impl Importer {
    /// Brings over the files of one crate: more than one if it has several spellings.
    async fn import(&self, files: Vec<SourceFile>) -> Result<Report, Error> {
        let mut report = Report::default();
        for file in files {
            let done = self.import_file(&file, &mut report).await;
            let cannot = |error| Error::Import { file: file.path.clone(), source: Box::new(error) };
            done.map_err(cannot)?;
        }
        Ok(report)
    }

    async fn import_file(&self, file: &SourceFile, report: &mut Report) -> Result<(), ImportError> {
        report.files += 1;
        let content = match file.read().await {
            Ok(content) => content,
            Err(reason) => {
                report.leave_out(file, None, reason);
                return Ok(());
            }
        };
        let name = match &file.name {
            Ok(name) => name.clone(),
            Err(error) => {
                for (number, _) in IndexLine::in_file(&content) {
                    report.leave_out(file, Some(number), error.to_string());
                }
                return Ok(());
            }
        };
        let mut import = self.registry.begin_import(name, self.owner.clone()).await?;
        let mut taken = Vec::new();
        for (number, line) in IndexLine::in_file(&content) {
            let added = match line {
                Ok(line) => self.add(&mut import, line).await?,
                Err(error) => Err(causes(&error)),
            };
            match added {
                Ok(()) => taken.push(number),
                Err(reason) => report.leave_out(file, Some(number), reason),
            }
        }
        let imported = import.finish().await?;
        for (number, outcome) in taken.into_iter().zip(imported.lines) {
            match outcome {
                Ok(brought) => report.count(brought),
                Err(reason) => report.leave_out(file, Some(number), causes(&reason)),
            }
        }
        Ok(())
    }

    /// Adds a line with the first file that has its checksum; says why if there is none.
    async fn add(
        &self,
        import: &mut Import,
        line: IndexLine,
    ) -> Result<Result<(), String>, ImportError> {
        let mut wrong = None;
        if import.needs_file(&line) {
            let by_name = self.folder.by_name(&line).iter().map(Some);
            // Only if none of them will do is everything looked through.
            for path in by_name.chain([None]) {
                let path = match path {
                    Some(path) => path,
                    None => match self.folder.by_checksum(line.checksum()).await {
                        Some(path) => path,
                        None => break,
                    },
                };
                match self.folder.read(path).await {
                    Ok(file) => match left_out(import.add(line.clone(), Some(file.body)).await)? {
                        Ok(()) => return Ok(Ok(())),
                        Err(reason @ LeftOut::OtherFile { .. }) => {
                            wrong.get_or_insert(reason.to_string());
                        }
                        Err(reason) => return Ok(Err(causes(&reason))),
                    },
                    Err(error) => {
                        wrong.get_or_insert(error);
                    }
                }
            }
        }
        let added = left_out(import.add(line, None).await)?;
        Ok(added.map_err(|reason| match (reason, wrong) {
            (LeftOut::NoFile, Some(wrong)) => wrong,
            (reason, _) => causes(&reason),
        }))
    }
}

/// Tells what concerns one line from what ends the import.
fn left_out(added: Result<(), ImportError>) -> Result<Result<(), LeftOut>, ImportError> {
    match added {
        Ok(()) => Ok(Ok(())),
        Err(ImportError::LeftOut(reason)) => Ok(Err(reason)),
        Err(error) => Err(error),
    }
}
