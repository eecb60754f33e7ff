//! The OpenAPI 3.1 document, generated from the handlers that the router serves.

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

/// What does not stand beside a handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cartório CA",
        description = "A private certificate authority: issues, renews and revokes certificates, and tells their status.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "certificates", description = "Issue, read, renew and revoke"),
        (name = "enrolment-tokens", description = "Credentials for machines that have no certificate yet"),
        (name = "authorities", description = "Who issues"),
        (name = "profiles", description = "What may be asked for"),
        (name = "audit", description = "What happened"),
        (name = "public", description = "Status and certificates, for everybody"),
        (name = "health", description = "For load balancers"),
    ),
    modifiers(&Security),
)]
pub(crate) struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let token =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An enrolment token, `cet_…`")).build();
        components.add_security_scheme("enrolment_token", SecurityScheme::Http(token));
        components.add_security_scheme(
            "client_certificate",
            SecurityScheme::MutualTls {
                description: Some("A certificate of this service, in force".to_owned()),
                extensions: None,
                deprecated: None,
            },
        );
    }
}
