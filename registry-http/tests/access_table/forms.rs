//! The ways in which a token may come, and the reasons for which it does not count, with real tokens
//! and accounts.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use registry_core::{
    auth::{
        AccountKind, AccountStore as _, CredentialForms, NewToken, Revocation, Token,
        TokenAuthenticator, TokenStore as _, WithAccounts,
    },
    memory::{MemoryAccounts, MemoryTokens},
    record::Timestamp,
};

use crate::{
    Rows,
    oracle::{Answered, Row, expected},
    table::{ACTS, Comes, Facts, House, Names, OWNED, USER, login},
    world::{Sent, World},
};

/// What a request brings, and what that is to the rules; `Err` with the one answer to all of them.
struct Form {
    name: &'static str,
    sent: Sent,
    accepted: CredentialForms,
    comes: Result<Comes, u16>,
}

struct Tokens {
    tokens: MemoryTokens,
    accounts: MemoryAccounts,
}

impl Tokens {
    /// With gina in a group, and dora disabled.
    async fn new() -> Self {
        let (tokens, accounts) = (MemoryTokens::new(), MemoryAccounts::new());
        for user in ["alice", "bob", "dora", "eve", "gina"] {
            accounts.create_account(&login(user), None, AccountKind::User).await.unwrap();
        }
        let ui = login("group:ui");
        accounts.create_account(&ui, None, AccountKind::Group).await.unwrap();
        accounts.add_member(&ui, &login("gina")).await.unwrap();
        accounts.set_disabled(&login("dora"), Some(Timestamp(1))).await.unwrap();
        Self { tokens, accounts }
    }

    async fn add(&self, facts: &Facts, expires_at: Option<Timestamp>) -> String {
        let token = Token::generate().unwrap();
        let new = NewToken::new(&login(facts.user), &token.digest(), Timestamp(0));
        let new = NewToken { scopes: facts.scopes(), expires_at, ..new };
        self.tokens.create(&new).await.unwrap();
        token.expose().to_owned()
    }

    async fn forms(&self) -> Vec<Form> {
        let reads = Facts { scopes: &["read"], ..USER };
        let of_ui = Facts { pattern: "ui-*", scopes: &["read", "publish-update"], ..USER };
        let gina = Facts { user: "gina", groups: &["group:ui"], ..USER };
        let admin = Facts { admin: true, ..USER };
        let all = CredentialForms { path: true, ..CredentialForms::default() };
        let header = |header: String| Sent { headers: vec![header], ..Sent::default() };
        let basic = |user: &str, token: &str| {
            header(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{token}"))))
        };
        let form = |name, sent, comes| Form { name, sent, accepted: all, comes };
        let alice = self.add(&USER, None).await;
        let with = |facts: &Facts| Ok(Comes::With(facts.clone()));
        let path = Sent { in_path: format!("/t/{alice}"), ..Sent::default() };
        let mut both = header(alice.clone());
        both.in_path = path.in_path.clone();
        let mut twice = header(alice.clone());
        twice.headers.push(alice.clone());
        let mut damaged = alice.clone();
        damaged.replace_range(10..11, if &alice[10..11] == "x" { "y" } else { "x" });
        let mut forms = vec![
            form("nothing", Sent::default(), Ok(Comes::WithNothing)),
            form("bare", header(alice.clone()), with(&USER)),
            form("bearer", header(format!("bearer {alice}")), with(&USER)),
            form("token", header(format!(" Token  {alice}\r\n").trim_end().into()), with(&USER)),
            form("basic alice", basic("alice", &alice), with(&USER)),
            form("basic token", basic("token", &alice), with(&USER)),
            form("basic nobody", basic("", &alice), with(&USER)),
            form("basic eve", basic("eve", &alice), with(&USER)),
            form("path", path.clone(), with(&USER)),
            form("path and header", both, Err(401)),
            form("two headers", twice, Err(401)),
            form("not base64", header(format!("Basic {alice}")), Err(401)),
            form("digest", header(format!("Digest {alice}")), Err(401)),
            form("damaged", header(damaged), Ok(Comes::WithNonsense)),
            form("reads", header(self.add(&reads, None).await), with(&reads)),
            form("of ui", basic("x", &self.add(&of_ui, None).await), with(&of_ui)),
            form("member", header(self.add(&gina, None).await), with(&gina)),
            form("admin", header(self.add(&admin, None).await), with(&admin)),
        ];
        for (name, accepted) in [
            ("bearer off", CredentialForms { bearer: false, ..all }),
            ("basic off", CredentialForms { basic: false, ..all }),
        ] {
            let sent = match name {
                "bearer off" => header(format!("Bearer {alice}")),
                _ => basic("alice", &alice),
            };
            forms.push(Form { name, sent, accepted, comes: Err(401) });
        }
        let accepted = CredentialForms::default();
        forms.push(Form { name: "path off", sent: path, accepted, comes: Err(404) });
        let expired = self.add(&USER, Some(Timestamp(2))).await;
        forms.push(form("expired", header(expired), Ok(Comes::WithNonsense)));
        let dora = self.add(&Facts { user: "dora", ..USER }, None).await;
        forms.push(form("disabled", header(format!("Bearer {dora}")), Ok(Comes::Disabled)));
        // Bob's tokens alone: the revocation of one user's.
        let bob = self.add(&Facts { user: "bob", ..USER }, None).await;
        let revoked = self.tokens.revoke(&Revocation::User(login("bob")), Timestamp(3)).await;
        assert_eq!(revoked.unwrap().len(), 1);
        forms.push(form("revoked", basic("bob", &bob), Ok(Comes::WithNonsense)));
        forms
    }
}

#[tokio::test]
async fn a_token_counts_in_each_form_that_is_accepted_and_in_no_other() {
    let tokens = Tokens::new().await;
    let forms = tokens.forms().await;
    let authenticator = TokenAuthenticator::new(tokens.tokens.clone());
    let authenticator = Arc::new(WithAccounts::new(authenticator, tokens.accounts.clone()));
    let (world, mut rows) = (World::new().await, Rows::default());
    for owned in OWNED {
        for house in [House::Owners, House::Rules, House::Hidden] {
            for private in [false, true] {
                for act in ACTS {
                    for Form { name, sent, accepted, comes } in &forms {
                        let row = Row { act, house, names: Names::Free, owned, private };
                        let expected = match comes {
                            Ok(comes) => expected(comes, row),
                            Err(status) => Answered::with(*status),
                        };
                        let answered =
                            world.answer(row, authenticator.clone(), *accepted, sent).await;
                        rows.add(row, name, &answered, &expected);
                    }
                }
            }
        }
    }
    rows.check(6_000, &[200, 400, 401, 403, 404]);
}
