//! What stands in a file of accounts.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use toml::Spanned;

use super::{AccountFile, AccountFileError};
use crate::{
    auth::{
        Account, AccountKind, CratePattern, EndpointScope, Groups, PasswordHash, Scopes,
        TokenDigest,
    },
    checksum::Checksum,
    owner::{Login, Owner},
    record::Timestamp,
};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) accounts: BTreeMap<Login, Account>,
    pub(super) tokens: BTreeMap<TokenDigest, (Login, Scopes)>,
    /// Whose they are.
    ids: BTreeMap<u32, Login>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    users: BTreeMap<String, Spanned<AccountTable>>,
    #[serde(default)]
    services: BTreeMap<String, Spanned<AccountTable>>,
    #[serde(default)]
    groups: BTreeMap<String, Spanned<GroupTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    id: Option<u32>,
    name: Option<String>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    password: Option<Spanned<String>>,
    #[serde(default)]
    tokens: Vec<Spanned<TokenTable>>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupTable {
    id: Option<u32>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    sha256: String,
    scopes: Option<Vec<EndpointScope>>,
    crates: Option<Vec<CratePattern>>,
}

impl Accounts {
    pub(super) fn read(path: &Path) -> Result<Self, AccountFileError> {
        let failed = |source| AccountFileError::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(failed)?.len() > AccountFile::MAX_BYTES {
            let reason = format!("the file is longer than {} bytes", AccountFile::MAX_BYTES);
            return Err(AccountFileError::Content { path: path.to_owned(), line: 1, reason });
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|(at, reason)| {
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            AccountFileError::Content { path: path.to_owned(), line, reason }
        })
    }

    /// Where the first mistake is, and what it is.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            (at, without_value(error.message()))
        })?;
        let mut accounts = Self::default();
        for (name, table) in &file.groups {
            let GroupTable { id, name: shown } = table.get_ref();
            let login = group(name).map_err(|reason| (table.span().start, reason))?;
            let account = account(login, AccountKind::Group, *id, shown.clone());
            accounts.add(account).map_err(|reason| (table.span().start, reason))?;
        }
        let kinds = [(AccountKind::User, &file.users), (AccountKind::Service, &file.services)];
        for (kind, tables) in kinds {
            for (name, table) in tables {
                let at = |reason: String| (table.span().start, reason);
                let login = Login::new(name).map_err(|error| at(error.to_string()))?;
                if login.is_group() {
                    return Err(at(format!("`{login}` is the login of a group")));
                }
                accounts.add_with(login, kind, table.get_ref()).map_err(|(position, reason)| {
                    (position.unwrap_or(table.span().start), reason)
                })?;
            }
        }
        Ok(accounts)
    }

    fn add_with(
        &mut self,
        login: Login,
        kind: AccountKind,
        table: &AccountTable,
    ) -> Result<(), (Option<usize>, String)> {
        let mut account = account(login.clone(), kind, table.id, table.name.clone());
        account.disabled_at = table.disabled.then_some(Timestamp(0));
        let mut groups = Vec::new();
        for name in &table.groups {
            let at = |reason| (Some(name.span().start), reason);
            let group = group(name.get_ref()).map_err(at)?;
            if !self.accounts.contains_key(&group) {
                return Err(at(format!("there is no group `{group}` in this file")));
            }
            groups.push(group);
        }
        account.groups = Groups::from_iter(groups);
        if let Some(password) = &table.password {
            let at = |reason| (Some(password.span().start), reason);
            if kind != AccountKind::User {
                return Err(at("only a user has a password".into()));
            }
            let hash = PasswordHash::parse(password.get_ref());
            account.password = Some(hash.map_err(|error| at(error.to_string()))?);
        }
        for token in &table.tokens {
            let at = |reason| (Some(token.span().start), reason);
            let TokenTable { sha256, scopes, crates } = token.get_ref();
            let digest: Checksum = sha256.parse().map_err(|_| {
                at("`sha256` of a token is 64 lower-case hexadecimal digits".into())
            })?;
            let digest = TokenDigest::from_bytes(*digest.as_bytes());
            let scopes = Scopes::asked_for(scopes.clone(), crates.clone());
            if self.tokens.insert(digest, (login.clone(), scopes)).is_some() {
                return Err(at("this token is there twice".into()));
            }
        }
        self.add(account).map_err(|reason| (None, reason))
    }

    fn add(&mut self, account: Account) -> Result<(), String> {
        let Owner { id, login, .. } = &account.owner;
        if let Some(other) = self.ids.insert(*id, login.clone()) {
            return Err(format!(
                "`{login}` and `{other}` have the same id: give one another by `id = NUMBER`"
            ));
        }
        match self.accounts.insert(login.clone(), account.clone()) {
            Some(_) => Err(format!("`{login}` is there twice")),
            None => Ok(()),
        }
    }
}

fn group(name: &str) -> Result<Login, String> {
    let login = if name.starts_with("group:") { name.into() } else { format!("group:{name}") };
    Login::new(&login).map_err(|error| error.to_string())
}

fn account(login: Login, kind: AccountKind, id: Option<u32>, name: Option<String>) -> Account {
    // Far above those that databases give, so that an account here and one there differ.
    let id = id.unwrap_or_else(|| crc32fast::hash(login.as_str().as_bytes()) | 1 << 31);
    let owner = Owner { id, login, name };
    Account { owner, kind, groups: Groups::default(), password: None, disabled_at: None }
}

/// What was expected, without what is there, which may be a secret in the wrong place.
fn without_value(message: &str) -> String {
    match message.rsplit_once("expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => message.to_owned(),
    }
}
