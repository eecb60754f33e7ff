//! `token`

use std::path::PathBuf;

use ca_core::id::{ProfileName, TokenId};
use ca_core::name::GeneralName;
use ca_core::time::Lifetime;
use clap::{Args, Subcommand};

use super::value::general_name;

/// `token …`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its secret is shown this once
    Create(TokenCreateArgs),
    /// List the tokens, newest first
    List(TokenListArgs),
    /// Withdraw a token
    Delete {
        /// Its id (not its secret)
        id: TokenId,
    },
}

/// `token create PROFILE`
#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// The one profile that may be asked for
    pub(crate) profile: ProfileName,

    /// A name that may be asked for: dns: ip: email: uri: upn: otherName:OID= or a bare value; may be repeated
    #[arg(long = "san", value_name = "NAME", value_parser = general_name, required = true)]
    pub(crate) names: Vec<GeneralName>,

    /// The common name that may be asked for beside them
    #[arg(long, value_name = "NAME")]
    pub(crate) common_name: Option<String>,

    /// How long it is good for
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) expires_in: Lifetime,

    /// How many certificates may be had with it
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) uses: u32,

    /// Write the secret to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `token list`
#[derive(Debug, Args)]
pub(crate) struct TokenListArgs {
    /// At most so many; 0 lists all of them
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u64,
}
