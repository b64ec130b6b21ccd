use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    AdoptionError, NewToken, Revocation, StoredToken, TokenDigest, TokenHash, TokenId, TokenKey,
    TokenKeys, TokenKind, TokenRecord, TokenRefusal, UserTokens,
};
use crate::{
    BoxError,
    checksum::Checksum,
    owner::{Login, Owner},
    record::Timestamp,
};

/// All that a small [`TokenStore`](super::TokenStore) keeps, as one value: what its methods do,
/// without a place to keep it in. Written as JSON it holds the store's key, so it is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenTable {
    #[serde(serialize_with = "expose", deserialize_with = "keys")]
    keys: Vec<TokenKey>,
    /// In the order of their ids.
    users: Vec<Owner>,
    tokens: BTreeMap<TokenHash, TokenRecord>,
}

impl TokenTable {
    /// Remembers a token, under the key from outside if there is one.
    ///
    /// # Errors
    /// [`TokenRefusal`], or that there is no room for another user, or no random numbers.
    pub fn create(
        &mut self,
        new: &NewToken,
        outside: Option<&TokenKey>,
    ) -> Result<TokenRecord, BoxError> {
        TokenRefusal::check_login(&new.login)?;
        if let Some(found) = self.find(&new.digest, outside) {
            return match found.user.login == new.login {
                true => Ok(found),
                false => Err(TokenRefusal::Taken.into()),
            };
        }
        let is_theirs = |token: &&TokenRecord| {
            token.user.login == new.login
                && token.kind == TokenKind::User
                && token.counts_at(new.created_at)
        };
        TokenRefusal::check_number(new, self.tokens.values().filter(is_theirs).count())?;
        let keys = match self.keys_with(outside) {
            Some(keys) => keys,
            None => {
                self.keys.push(TokenKey::generate()?);
                self.keys_with(outside).expect("there is one now")
            }
        };
        let hash = keys.hash(&new.digest);
        let id = TokenId::of(&hash);
        if self.tokens.values().any(|token| token.id == id) {
            return Err("the id of the token is that of another one".into());
        }
        let user = match self.user(&new.login) {
            Some(user) => user.clone(),
            None => self.add_user(&new.login)?,
        };
        let token = TokenRecord::new(&hash, user, new);
        self.tokens.insert(hash, token.clone());
        Ok(token)
    }

    fn add_user(&mut self, login: &Login) -> Result<Owner, BoxError> {
        let last = self.users.last().map_or(0, |user| user.id);
        let id = last.checked_add(1).ok_or("there are no more ids for users")?;
        let user = Owner { id, login: login.clone(), name: None };
        self.users.push(user.clone());
        Ok(user)
    }

    fn keys_with(&self, outside: Option<&TokenKey>) -> Option<TokenKeys> {
        TokenKeys::new(outside.cloned(), self.keys.iter().cloned())
    }

    /// What is known of a token.
    pub fn find(&self, digest: &TokenDigest, outside: Option<&TokenKey>) -> Option<TokenRecord> {
        let keys = self.keys_with(outside)?;
        keys.hashes(digest).find_map(|hash| self.tokens.get(&hash).cloned())
    }

    /// The tokens of one user, or all, by the time of creation and id.
    pub fn list(&self, login: Option<&Login>) -> Vec<TokenRecord> {
        let all = self.tokens.values();
        let theirs = all.filter(|token| login.is_none_or(|login| token.user.login == *login));
        let mut tokens: Vec<_> = theirs.cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        tokens
    }

    /// Revokes tokens, and tells them.
    pub fn revoke(&mut self, revocation: &Revocation, at: Timestamp) -> Vec<TokenRecord> {
        let is_meant = |token: &TokenRecord| match revocation {
            Revocation::Token(id) => token.id == *id,
            Revocation::User(login) => token.user.login == *login,
        };
        for token in self.tokens.values_mut().filter(|token| is_meant(token)) {
            token.revoked_at.get_or_insert(at);
        }
        let mut revoked = self.list(None);
        revoked.retain(is_meant);
        revoked
    }

    /// Remembers when tokens were used.
    pub fn used(&mut self, uses: &[(TokenId, Timestamp)]) {
        for (id, at) in uses {
            for token in self.tokens.values_mut().filter(|token| token.id == *id) {
                token.last_used_at = token.last_used_at.max(Some(*at));
            }
        }
    }

    /// The user of this login.
    pub fn user(&self, login: &Login) -> Option<&Owner> {
        self.users.iter().find(|user| user.login == *login)
    }

    /// The keys under which tokens are stored.
    pub fn keys(&self) -> &[TokenKey] {
        &self.keys
    }

    /// Takes the keys that are not there in.
    pub fn add_keys(&mut self, keys: &[TokenKey]) {
        for key in keys {
            if !self.keys.contains(key) {
                self.keys.push(key.clone());
            }
        }
    }

    /// All users with their tokens.
    pub fn export(&self) -> Vec<UserTokens> {
        let tokens_of = |user: &Owner| {
            let tokens = self.tokens.iter().filter(|(_, token)| token.user.id == user.id);
            tokens.map(|(hash, token)| StoredToken { hash: *hash, token: token.clone() }).collect()
        };
        let users = self.users.iter();
        users.map(|user| UserTokens { user: user.clone(), tokens: tokens_of(user) }).collect()
    }

    /// Takes a user in as they are, all or nothing.
    ///
    /// # Errors
    /// [`AdoptionError`] if that cannot be.
    pub fn adopt(&mut self, user: &UserTokens) -> Result<(), AdoptionError> {
        let UserTokens { user, tokens } = user;
        let same_id = self.users.iter().find(|other| other.id == user.id);
        let is_here = AdoptionError::check(user, self.user(&user.login), same_id)?;
        let is_anothers = |stored: &StoredToken| {
            let here = self.tokens.get(&stored.hash);
            here.is_some_and(|here| here.user.login != user.login)
        };
        if tokens.iter().any(is_anothers) {
            return Err(AdoptionError::TokenTaken { login: user.login.clone() });
        }
        if !is_here {
            self.users.push(user.clone());
            self.users.sort_by_key(|user| user.id);
        }
        for StoredToken { hash, token } in tokens {
            let here = self.tokens.entry(*hash).or_insert_with(|| token.clone());
            here.follow(token);
        }
        Ok(())
    }
}

fn expose<S: Serializer>(keys: &[TokenKey], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(|key| Checksum::from(*key.expose())))
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TokenKey>, D::Error> {
    let keys = Vec::<Checksum>::deserialize(deserializer)?;
    Ok(keys.iter().map(|key| TokenKey::from_bytes(*key.as_bytes())).collect())
}
