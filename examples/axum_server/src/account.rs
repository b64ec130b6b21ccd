//! `axum_server user` and `axum_server group`.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    time::SystemTime,
};

use clap::{Args, Subcommand};
use registry_core::{
    audit::{AuditAction, AuditEntry, AuditLog},
    auth::{Account, AccountKind, AccountStore, PasswordHash, trusted::TrustedPublisher},
    owner::{Login, LoginError},
};

use crate::{audit, backends::OpenIndex, cli::IndexArgs, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user, or a service account.
    ///
    /// Not needed for users who have tokens: `token create` makes those.
    Add(UserAddArgs),
    /// List users and service accounts with their groups, and the logins of CI runs that have
    /// published.
    List(IndexArgs),
    /// Let no credential of a user count any more: on every server, for writes at once, for reads
    /// within half a second. A request under way for which a proxy vouches ends as it would have.
    ///
    /// The crates of the user stay theirs: let other owners be added, or enable the user again.
    Disable(UserArgs),
    /// Let the credentials of a disabled user count again.
    Enable(UserArgs),
    /// Give a user another password, read from stdin or a file, or take it away.
    Password(PasswordArgs),
}

#[derive(Debug, Args)]
pub(crate) struct UserAddArgs {
    /// The name to log in with.
    #[arg(value_name = "USER")]
    login: Login,
    /// The name to show.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A machine, not a person: it has tokens, but never a password.
    #[arg(long)]
    service: bool,
    /// Read a password from stdin, a single line.
    #[arg(long, conflicts_with_all = ["service", "password_file"])]
    password_stdin: bool,
    /// Read a password from this file, a single line.
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// The user, or the service account.
    #[arg(value_name = "USER")]
    login: Login,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// The user.
    #[arg(value_name = "USER")]
    login: Login,
    /// Read the password from this file, a single line, and not from stdin.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Take the password away: the user logs in with tokens alone.
    #[arg(long, conflicts_with = "password_file")]
    remove: bool,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group. It may own crates: `cargo owner --add group:NAME`.
    Create(GroupCreateArgs),
    /// List groups with their members.
    List(IndexArgs),
    /// Make users members of a group.
    Add(MemberArgs),
    /// Let users be members of a group no more.
    Remove(MemberArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GroupCreateArgs {
    /// Its name; `group:` in front of it may be left out.
    #[arg(value_name = "GROUP")]
    group: GroupName,
    /// The name to show.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// The group; `group:` in front of it may be left out.
    #[arg(value_name = "GROUP")]
    group: GroupName,
    /// The users or service accounts.
    #[arg(value_name = "USER", required = true)]
    members: Vec<Login>,
    #[command(flatten)]
    index: IndexArgs,
}

/// The login of a group, from its name with or without `group:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupName(Login);

impl From<GroupName> for Login {
    fn from(group: GroupName) -> Self {
        group.0
    }
}

impl FromStr for GroupName {
    type Err = LoginError;

    fn from_str(text: &str) -> Result<Self, LoginError> {
        let login = Login::new(text)?;
        match login.is_group() {
            true => Ok(Self(login)),
            false => Login::new(&format!("group:{text}")).map(Self),
        }
    }
}

pub(crate) async fn user(command: UserCommand) -> Result<(), Error> {
    match command {
        UserCommand::Add(args) => add(args).await,
        UserCommand::List(index) => {
            list(&index, |kind| kind != AccountKind::Group, user_line).await
        }
        UserCommand::Disable(UserArgs { login, index }) => {
            let now = SystemTime::now().into();
            let accounts = Accounts::open(&index).await?;
            accounts.store.set_disabled(&login, Some(now)).await?;
            accounts.note(&login, "disabled").await
        }
        UserCommand::Enable(UserArgs { login, index }) => {
            let accounts = Accounts::open(&index).await?;
            accounts.store.set_disabled(&login, None).await?;
            accounts.note(&login, "enabled").await
        }
        UserCommand::Password(args) => {
            let password = match args.remove {
                true => None,
                false => Some(read_password(args.password_file)?),
            };
            let accounts = Accounts::open(&args.index).await?;
            accounts.set_password(&args.login, password.as_ref()).await
        }
    }
}

pub(crate) async fn group(command: GroupCommand) -> Result<(), Error> {
    match command {
        GroupCommand::Create(GroupCreateArgs { group, name, index }) => {
            let accounts = Accounts::open_or_make(&index).await?;
            accounts.create(&group.0, name.as_deref(), AccountKind::Group).await
        }
        GroupCommand::List(index) => {
            list(&index, |kind| kind == AccountKind::Group, group_line).await
        }
        GroupCommand::Add(MemberArgs { group, members, index }) => {
            let accounts = Accounts::open(&index).await?;
            for member in &members {
                accounts.store.add_member(&group.0, member).await?;
                accounts.note(member, &format!("made a member of {}", group.0)).await?;
            }
            Ok(())
        }
        GroupCommand::Remove(MemberArgs { group, members, index }) => {
            let accounts = Accounts::open(&index).await?;
            for member in &members {
                accounts.store.remove_member(&group.0, member).await?;
                accounts.note(member, &format!("no longer a member of {}", group.0)).await?;
            }
            Ok(())
        }
    }
}

/// The accounts of an index, and where it is noted what becomes of them.
struct Accounts {
    store: Arc<dyn AccountStore>,
    trail: Option<Arc<dyn AuditLog>>,
}

impl Accounts {
    /// Those that are there.
    async fn open(index: &IndexArgs) -> Result<Self, Error> {
        Self::of(&index.open_there().await?)
    }

    /// To add one, perhaps the first.
    async fn open_or_make(index: &IndexArgs) -> Result<Self, Error> {
        Self::of(&index.open_or_make().await?)
    }

    fn of(opened: &OpenIndex) -> Result<Self, Error> {
        Ok(Self { store: opened.accounts().ok_or(Error::NoAccounts)?, trail: opened.audit() })
    }

    async fn create(
        &self,
        login: &Login,
        name: Option<&str>,
        kind: AccountKind,
    ) -> Result<(), Error> {
        self.store.create_account(login, name, kind).await?;
        self.note(login, &format!("made as a {kind}")).await
    }

    async fn set_password(
        &self,
        login: &Login,
        password: Option<&PasswordHash>,
    ) -> Result<(), Error> {
        self.store.set_password(login, password).await?;
        let detail = if password.is_some() { "password set" } else { "password removed" };
        self.note(login, detail).await
    }

    async fn note(&self, login: &Login, detail: &str) -> Result<(), Error> {
        let entry = AuditEntry::command(Some(login), AuditAction::CHANGE_ACCOUNT, detail);
        audit::administered(self.trail.clone(), entry).await
    }
}

async fn add(args: UserAddArgs) -> Result<(), Error> {
    let kind = if args.service { AccountKind::Service } else { AccountKind::User };
    // Before the account is made: a password that will not do leaves nothing behind.
    let password = match args.password_stdin || args.password_file.is_some() {
        true => Some(read_password(args.password_file)?),
        false => None,
    };
    let accounts = Accounts::open_or_make(&args.index).await?;
    accounts.create(&args.login, args.name.as_deref(), kind).await?;
    if password.is_some() {
        accounts.set_password(&args.login, password.as_ref()).await?;
    }
    Ok(())
}

/// From a file or from stdin; never from an argument, which everybody on the machine can see.
fn read_password(file: Option<PathBuf>) -> Result<PasswordHash, Error> {
    let text = match file {
        Some(path) => {
            let text = fs::read_to_string(&path);
            text.map_err(|source| Error::ReadFile { path, source })?
        }
        None if io::stdin().is_terminal() => return Err(Error::PasswordOnTerminal),
        None => {
            let mut text = String::new();
            // A little more than the longest, so that a longer one is noticed.
            let limit = PasswordHash::MAX_PASSWORD_BYTES as u64 + 16;
            io::stdin().take(limit).read_to_string(&mut text).map_err(Error::ReadPassword)?;
            text
        }
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    PasswordHash::of(line).map_err(Error::Password)
}

/// Prints a line for each account that is wanted.
async fn list(
    index: &IndexArgs,
    is_wanted: impl Fn(AccountKind) -> bool,
    line: impl Fn(&Account, &[Account]) -> String,
) -> Result<(), Error> {
    let all = Accounts::open(index).await?.store.accounts().await.map_err(Error::Accounts)?;
    let mut text = String::new();
    for account in all.iter().filter(|account| is_wanted(account.kind)) {
        text += &line(account, &all);
        text.push('\n');
    }
    io::stdout().write_all(text.as_bytes()).map_err(Error::Print)
}

/// Login, kind, groups, and what else there is to say.
fn user_line(account: &Account, _: &[Account]) -> String {
    let login = &account.owner.login;
    // CI runs have accounts for their tokens. They are shown, for they can be disabled like others.
    let kind = match login.as_str().starts_with(TrustedPublisher::LOGIN_PREFIX) {
        true => "trusted-publisher",
        false => account.kind.as_str(),
    };
    let mut line = format!("{login}\t{kind}");
    line += &format!("\t{}", joined(account.groups.iter()));
    let disabled = account.disabled_at.map(|at| match at.to_rfc3339() {
        Some(at) => format!("disabled {at}"),
        None => "disabled".into(),
    });
    let password = account.password.as_ref().map(|_| "password".to_owned());
    let rest: Vec<_> = password.into_iter().chain(disabled).collect();
    line + "\t" + &joined(rest.iter())
}

/// Login and members.
fn group_line(group: &Account, all: &[Account]) -> String {
    let login = &group.owner.login;
    let members = all.iter().filter(|account| account.groups.contains(login));
    format!("{login}\t{}", joined(members.map(|account| &account.owner.login)))
}

/// With commas between them; `-` for none, so that columns stay in their places.
fn joined<T: ToString>(items: impl Iterator<Item = T>) -> String {
    match items.map(|item| item.to_string()).collect::<Vec<_>>() {
        none if none.is_empty() => "-".into(),
        items => items.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_with_or_without_what_its_login_begins_with() {
        let login = |text: &str| text.parse::<GroupName>().map(|group| group.0.to_string());
        assert_eq!(login("ui"), Ok("group:ui".into()));
        assert_eq!(login("group:ui"), Ok("group:ui".into()));
        assert!(login("u i").is_err() && login("").is_err());
        // Too long with the beginning.
        assert!(login(&"x".repeat(60)).is_err());
    }
}
