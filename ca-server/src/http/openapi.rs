//! The OpenAPI 3.1 document, generated from the handlers that the router serves.

use ca_api::problem::Problem;
use utoipa::OpenApi;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Schema};

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
        (name = "renewal-windows", description = "When certificates are to be renewed, where somebody moved it"),
        (name = "managed-certificates", description = "Certificates that the service rotates"),
        (name = "enrolment-tokens", description = "Credentials for machines that have no certificate yet"),
        (name = "authorities", description = "Who issues"),
        (name = "profiles", description = "What may be asked for"),
        (name = "audit", description = "What happened"),
        (name = "outbox", description = "Events that were not delivered"),
        (name = "gateways", description = "What gateways enforce"),
        (name = "public", description = "Status and certificates, for everybody"),
        (name = "health", description = "For load balancers"),
    ),
    components(schemas(Problem)),
    modifiers(&Security),
)]
pub(crate) struct Document;

/// Octets as they are, where utoipa would describe a `Vec<u8>` as a JSON array of numbers.
pub(crate) struct Octets;

impl utoipa::PartialSchema for Octets {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl utoipa::ToSchema for Octets {}

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
