//! Who may do what, from files: `--policy`, `--new-names`, and `axum_server policy explain`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use registry_core::{
    CanonicalName, CrateName, Login, Owner, Owners,
    auth::{
        Action, AllowAll, AuthError, Authorizer, Caller, CredentialId, Directory as _, Identity,
        LivePolicy, NameRules, NewNames, OwnersMayWrite, PolicyAction, PolicyError, Principal,
        RolePolicy, Scopes, TokenId, Vouched, trusted::TrustedPublisher,
    },
};
use semver::Version;
use tokio::time::MissedTickBehavior;

use crate::{
    access::Accounts, account::GroupName, backends::OpenIndex, cli::RegistryArgs, error::Error,
};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Who may do what to which crates: a file of rules, in TOML, or in JSON if it ends in .json.
    ///
    /// Without one, everybody reads and owners write. A change of the file counts within a second or
    /// so; one that is broken is told in the log, and what was before stays.
    #[arg(long, value_name = "FILE", env = "REGISTRY_POLICY")]
    policy: Option<PathBuf>,
    /// Who may create which names: a file as for --policy.
    ///
    /// Names are reserved for users and groups, all others left out, or approved by
    /// `name approve`.
    #[arg(long, value_name = "FILE", env = "REGISTRY_NEW_NAMES")]
    new_names: Option<PathBuf>,
}

impl PolicyArgs {
    /// Reads the files, and follows what they will say later.
    pub(crate) fn open(&self) -> Result<Rules, Error> {
        let mut authorizer: Arc<dyn Authorizer> = Arc::new(OwnersMayWrite);
        if let Some(path) = &self.policy {
            let (file, policy) = RuleFile::open(path, read_policy)?;
            let policy = LivePolicy::new(policy);
            let live = policy.clone();
            file.follow(read_policy, move |policy| live.replace(policy));
            authorizer = Arc::new(policy);
        }
        let Some(path) = &self.new_names else { return Ok(Rules { authorizer, names: None }) };
        let (file, rules) = RuleFile::open(path, read_names)?;
        let names = NewNames::new(authorizer.clone(), rules);
        let live = names.clone();
        file.follow(read_names, move |rules| live.replace(rules));
        Ok(Rules { authorizer, names: Some(names) })
    }
}

/// What is decided in all registries of a server.
pub(crate) struct Rules {
    authorizer: Arc<dyn Authorizer>,
    /// In front of it, if there are rules for new names.
    names: Option<NewNames<Arc<dyn Authorizer>>>,
}

impl Rules {
    /// Who decides in a registry, by the names that were approved in it.
    pub(crate) fn authorizer(&self, opened: &OpenIndex) -> Arc<dyn Authorizer> {
        let Some(names) = &self.names else { return self.authorizer.clone() };
        match opened.approved_names() {
            Some(approved) => Arc::new(names.clone().with_approvals(approved)),
            None => {
                tracing::warn!("a bucket keeps no approved names: there are none");
                Arc::new(names.clone())
            }
        }
    }
}

type Read<T> = fn(bool, &str) -> Result<T, PolicyError>;

fn read_policy(is_json: bool, text: &str) -> Result<RolePolicy, PolicyError> {
    if is_json { RolePolicy::from_json(text) } else { RolePolicy::from_toml(text) }
}

fn read_names(is_json: bool, text: &str) -> Result<NameRules, PolicyError> {
    if is_json { NameRules::from_json(text) } else { NameRules::from_toml(text) }
}

/// A file of rules, and what it said when it was last looked at.
struct RuleFile {
    path: PathBuf,
    text: Option<String>,
}

impl RuleFile {
    fn open<T>(path: &Path, read: Read<T>) -> Result<(Self, T), Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::ReadFile { path: path.into(), source })?;
        let file = Self { path: path.into(), text: None };
        let rules = read(file.is_json(), &text);
        let rules = rules.map_err(|source| Error::Policy { path: path.into(), source })?;
        Ok((Self { text: Some(text), ..file }, rules))
    }

    fn is_json(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "json")
    }

    /// Hands on what the file says each time it says something else, for as long as the runtime is
    /// there. Its bytes are compared, not its time: two changes may have one.
    fn follow<T: 'static>(mut self, read: Read<T>, replace: impl Fn(T) + Send + 'static) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::spawn(async move {
            loop {
                looks.tick().await;
                let path = self.path.clone();
                let text = tokio::task::spawn_blocking(|| std::fs::read_to_string(path)).await;
                let Ok(text) = text else { return };
                let file = self.path.display();
                match text {
                    Ok(text) if self.text.as_ref() == Some(&text) => {}
                    Ok(text) => {
                        match read(self.is_json(), &text) {
                            Ok(rules) => {
                                replace(rules);
                                tracing::info!(%file, "new rules");
                            }
                            Err(error) => {
                                tracing::error!(%file, %error, "broken: the rules before it stay");
                            }
                        }
                        self.text = Some(text);
                    }
                    // Told once, not each second.
                    Err(error) => {
                        if self.text.take().is_some() {
                            tracing::error!(%file, %error, "cannot be read: its rules stay");
                        }
                    }
                }
            }
        });
    }
}

/// Say whether somebody may do something, and by which rule of a policy.
///
/// Ends with status 3 if not. Looks up the groups of the user, whether they are disabled, and the
/// owners of the crate, if the index is there. What a token is for is not looked at, but for --admin.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The file of rules, as --policy of `serve`.
    #[arg(long, value_name = "FILE", env = "REGISTRY_POLICY")]
    policy: PathBuf,
    /// The file of rules for new names, as --new-names of `serve`: they are asked at publish-new.
    #[arg(long, value_name = "FILE", env = "REGISTRY_NEW_NAMES")]
    new_names: Option<PathBuf>,
    /// The file of accounts, as --accounts of `serve`.
    #[arg(long, value_name = "FILE", env = "REGISTRY_ACCOUNTS")]
    accounts: Option<PathBuf>,
    /// Who would do it; nobody in particular, if this is not given.
    #[arg(long, value_name = "NAME")]
    user: Option<Login>,
    /// A group that they are in, besides those that are known; once for each. `group:` in front of
    /// it may be left out.
    #[arg(long, value_name = "GROUP", requires = "user")]
    group: Vec<GroupName>,
    /// The identity provider that vouches for them, `iss` of their tokens.
    #[arg(long, value_name = "URL", requires_all = ["user", "subject"])]
    issuer: Option<String>,
    /// What that provider calls them, `sub` of their tokens.
    #[arg(long, value_name = "TEXT", requires = "issuer")]
    subject: Option<String>,
    /// The crate; if this is not given, what belongs to none, such as a search.
    #[arg(long = "crate", value_name = "CRATE", value_parser = CrateName::new)]
    name: Option<CrateName>,
    /// What they would do: read, publish-new, publish-update, yank, change-owners,
    /// trusted-publishing or admin.
    #[arg(long, value_name = "ACTION")]
    action: PolicyAction,
    /// As with a token that has the scope `admin`.
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    index: RegistryArgs,
}

/// Prints the decision; answers whether it is to allow.
pub(crate) async fn explain(args: ExplainArgs) -> Result<bool, Error> {
    let (_, policy) = RuleFile::open(&args.policy, read_policy)?;
    let name = args.name.as_ref().map(CrateName::canonical);
    let opened = match args.index.is_there()? {
        Some(false) => None,
        _ => Some(args.index.open_there().await?),
    };
    let stored = opened.as_ref().and_then(OpenIndex::accounts);
    let accounts = Accounts::open(args.accounts, stored)?;
    let account = match &args.user {
        Some(user) => accounts.account(user).await.map_err(Error::Accounts)?,
        None => None,
    };
    if let Some(account) = account.as_ref().filter(|account| account.may_log_in().is_err()) {
        let login = &account.owner.login;
        let why = if login.is_group() { "a group, which nobody logs in as" } else { "disabled" };
        return say(false, &format!("denied: `{login}` is {why}"));
    }
    let owners = match (&opened, &name) {
        (Some(opened), Some(name)) => owners_of(opened, name).await?,
        _ => Owners::default(),
    };
    let said = args.group.into_iter().map(Login::from);
    let known = account.iter().flat_map(|account| account.groups.iter()).cloned();
    let groups = said.chain(known).collect();
    let identity = args.issuer.zip(args.subject);
    let identity = identity
        .map(|(issuer, subject)| Identity { issuer: issuer.into(), subject: subject.into() });
    let who = args.user.map(|login| Principal {
        vouched: Vouched { identity, ..Vouched::default() },
        groups,
        credential: credential_of(&login),
        scopes: if args.admin { Scopes::all() } else { Scopes::all_but_admin() },
        ..Owner { id: 0, login, name: None }.into()
    });
    let decide = |action| policy.decide(who.as_ref(), action, name.as_ref(), &owners);
    let decision = decide(args.action);
    if args.action == PolicyAction::TrustedPublishing && decision.allowed {
        let publish = decide(PolicyAction::PublishUpdate);
        if !publish.allowed {
            let why = format!("denied: `publish-update` is needed as well, and is {publish}");
            return say(false, &format!("{why}\nin {}", args.policy.display()));
        }
    }
    let decided = format!("{decision}\nin {}", args.policy.display());
    match (args.new_names, name) {
        (Some(file), Some(name)) if decision.allowed && args.action == PolicyAction::PublishNew => {
            let refusal = refusal_of_name(&file, opened.as_ref(), who, &name).await?;
            let file = file.display();
            match refusal {
                None => say(true, &format!("{decided}\nand by the rules in {file}")),
                Some(reason) => say(false, &format!("denied: {reason}\nin {file}")),
            }
        }
        _ => say(decision.allowed, &decided),
    }
}

fn say(is_allowed: bool, text: &str) -> Result<bool, Error> {
    writeln!(std::io::stdout(), "{text}").map_err(Error::Print)?;
    Ok(is_allowed)
}

/// What the rules in a file have against this new name, as the server would say it.
async fn refusal_of_name(
    file: &Path,
    opened: Option<&OpenIndex>,
    who: Option<Principal>,
    name: &CanonicalName,
) -> Result<Option<String>, Error> {
    let (_, rules) = RuleFile::open(file, read_names)?;
    let mut names = NewNames::new(AllowAll, rules);
    if let Some(approved) = opened.and_then(OpenIndex::approved_names) {
        names = names.with_approvals(approved);
    }
    let caller = Caller { principal: who.map(Arc::new), ..Caller::anonymous() };
    // Of which version does not matter.
    let version = Version::new(1, 0, 0);
    let publish = Action::Publish(name, &version, None);
    match names.authorize(&caller, &publish, &Owners::default()).await {
        Ok(()) => Ok(None),
        Err(error @ AuthError::Backend(_)) => Err(Error::Explain(error)),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Of a user that of this command, of a CI run one like its own.
fn credential_of(login: &Login) -> CredentialId {
    match login.as_str().starts_with(TrustedPublisher::LOGIN_PREFIX) {
        true => CredentialId::TrustedPublisher(TokenId::from_number(0).expect("53 bits")),
        false => CredentialId::Command,
    }
}

async fn owners_of(opened: &OpenIndex, name: &CanonicalName) -> Result<Owners, Error> {
    let stored = opened.index().load(name, None).await?.found();
    Ok(stored.map(|stored| stored.record.owners().clone()).unwrap_or_default())
}
