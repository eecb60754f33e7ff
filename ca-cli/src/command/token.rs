//! `token`: enrolment tokens.

use ca_api::token::{CreatedEnrolmentToken, EnrolmentToken};
use ca_engine::flow::token::TokenRequest;

use super::list::{Pages, names};
use crate::args::{TokenCommand, TokenCreateArgs, TokenListArgs};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::Printer;
use crate::service::Service;

/// Makes, lists or withdraws tokens.
pub(super) async fn run(service: &dyn Service, command: TokenCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(args) => create(service, args, printer).await,
        TokenCommand::List(args) => list(service, &args, printer).await,
        TokenCommand::Delete { id } => {
            service.delete_token(id).await?;
            printer.note(format!("token {id} is withdrawn"));
            Ok(Exit::Done)
        }
    }
}

async fn create(service: &dyn Service, args: TokenCreateArgs, printer: &Printer) -> Result<Exit, Failure> {
    if let Some(out) = args.out.as_deref().filter(|out| out.symlink_metadata().is_ok()) {
        return Err(Failure::of_file(out, "is there already; secrets overwrite nothing"));
    }
    let created = service
        .create_token(TokenRequest {
            profile: args.profile,
            names: args.names,
            common_name: args.common_name,
            lifetime: args.expires_in,
            uses: args.uses,
            request_id: None,
        })
        .await?;
    match &args.out {
        Some(out) => {
            let line = zeroize::Zeroizing::new(format!("{}\n", created.secret.expose()));
            files::write_secret(out, line.as_bytes()).map_err(|error| {
                Failure::Failed(format!(
                    "token {} was made, but its secret not written: {error}; withdraw it",
                    created.token.id
                ))
            })?;
            printer
                .result(&created.token, |token| format!("{}\nits secret is in {}", describe(token), out.display()))?;
        }
        None => {
            printer.result(&created, |created: &CreatedEnrolmentToken| created.secret.expose().to_owned())?;
            printer.note(format!("{}\nits secret is not shown again", describe(&created.token)));
        }
    }
    Ok(Exit::Done)
}

async fn list(service: &dyn Service, args: &TokenListArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut pages = Pages::new(args.limit);
    while let Some(request) = pages.next_request() {
        pages.add(service.tokens(request).await?);
    }
    let (tokens, more) = pages.finish();
    printer.result(&tokens, |tokens| {
        printer.table(
            ["ID", "PROFILE", "NAMES", "USES LEFT", "EXPIRES", "MADE BY"],
            tokens.iter().map(|token| {
                [
                    token.id.clone(),
                    token.profile.clone(),
                    names(&token.subject_alternative_names),
                    format!("{} of {}", token.uses_left, token.uses),
                    token.expires_at.clone(),
                    token.created_by.clone(),
                ]
            }),
        )
    })?;
    if more {
        printer.note(format!("there are more than {}; --limit 0 lists all of them", args.limit));
    }
    Ok(Exit::Done)
}

fn describe(token: &EnrolmentToken) -> String {
    let times = match token.uses {
        1 => "once".to_owned(),
        uses => format!("{uses} times"),
    };
    format!(
        "token {} is good {times} for profile {} and {} until {}",
        token.id,
        token.profile,
        names(&token.subject_alternative_names),
        token.expires_at
    )
}
