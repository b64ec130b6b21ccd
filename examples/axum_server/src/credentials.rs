//! In which ways credentials may come, as the flags say.

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use registry_core::auth::CredentialForms;

#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// Take a token in the path, too, of a client that sends no header: /t/TOKEN/main/index/.
    ///
    /// Such a URL is a secret: cargo writes it into Cargo.lock, and proxies into their logs. This
    /// server does not log the token.
    #[arg(long, env = "REGISTRY_PATH_TOKENS", value_parser = BoolishValueParser::new())]
    path_tokens: bool,
    /// A form of the `Authorization` header that is to be refused.
    ///
    /// bare is a token alone, as cargo sends it; the others stand behind that word.
    #[arg(long = "refuse-credentials", value_name = "FORM", env = "REGISTRY_REFUSE_CREDENTIALS")]
    #[arg(value_delimiter = ',')]
    refused: Vec<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Bare,
    Bearer,
    Token,
    Basic,
}

impl CredentialArgs {
    pub(crate) fn forms(&self) -> CredentialForms {
        let takes = |form| !self.refused.contains(&form);
        CredentialForms {
            bare: takes(Form::Bare),
            bearer: takes(Form::Bearer),
            token: takes(Form::Token),
            basic: takes(Form::Basic),
            path: self.path_tokens,
        }
    }
}
