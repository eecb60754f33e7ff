//! The routes, each written once: the server registers them, the command line and the OpenAPI document name them.
//!
//! Segments in braces are parameters, one per segment. Not here: who may call them, and on which listener.

/// `POST` asks for a certificate, `GET` lists them.
pub const CERTIFICATES: &str = "/v1/certificates";
/// `POST` searches by subject or name.
pub const CERTIFICATE_SEARCH: &str = "/v1/certificates/search";
/// `GET` one certificate, by id, `{authority}:{serial}` or serial.
pub const CERTIFICATE: &str = "/v1/certificates/{certificate}";
/// `POST` asks for a successor.
pub const CERTIFICATE_RENEW: &str = "/v1/certificates/{certificate}/renew";
/// `POST` asks for a successor after the end, by a proof that the old key signs.
pub const CERTIFICATE_RENEW_EXPIRED: &str = "/v1/certificates/{certificate}/renew-expired";
/// `POST` makes a nonce for such a proof.
pub const RENEWAL_NONCE: &str = "/v1/renewal-nonce";
/// `POST` counts or revokes many.
pub const CERTIFICATES_REVOKE: &str = "/v1/certificates/revoke";
/// `GET` lists the bulk revocations.
pub const REVOCATIONS: &str = "/v1/revocations";
/// `GET` how far one has come.
pub const REVOCATION: &str = "/v1/revocations/{revocation}";
/// `POST` ends one.
pub const REVOCATION_CANCEL: &str = "/v1/revocations/{revocation}/cancel";
/// `POST` revokes or holds.
pub const CERTIFICATE_REVOKE: &str = "/v1/certificates/{certificate}/revoke";
/// `POST` ends a hold.
pub const CERTIFICATE_UNHOLD: &str = "/v1/certificates/{certificate}/unhold";
/// `GET` when to renew.
pub const CERTIFICATE_RENEWAL_INFO: &str = "/v1/certificates/{certificate}/renewal-info";
/// `POST` moves the renewal windows of many certificates, `GET` lists the moves.
pub const RENEWAL_WINDOWS: &str = "/v1/renewal-windows";
/// `DELETE` withdraws a move.
pub const RENEWAL_WINDOW: &str = "/v1/renewal-windows/{move}";
/// `POST` adds a managed certificate, `GET` lists them.
pub const MANAGED_CERTIFICATES: &str = "/v1/managed-certificates";
/// `GET` how the whole of them stands.
pub const MANAGED_STATUS: &str = "/v1/managed-certificates/status";
/// `GET`, `PUT`, `DELETE` one, by id or name.
pub const MANAGED_CERTIFICATE: &str = "/v1/managed-certificates/{managed}";
/// `POST` has it rotated at once.
pub const MANAGED_ROTATE: &str = "/v1/managed-certificates/{managed}/rotate";
/// `POST` has nothing done for it.
pub const MANAGED_PAUSE: &str = "/v1/managed-certificates/{managed}/pause";
/// `POST` ends that.
pub const MANAGED_RESUME: &str = "/v1/managed-certificates/{managed}/resume";
/// `GET` lists the authorities.
pub const AUTHORITIES: &str = "/v1/authorities";
/// `GET` one authority.
pub const AUTHORITY: &str = "/v1/authorities/{authority}";
/// `GET` lists the profiles.
pub const PROFILES: &str = "/v1/profiles";
/// `GET` one profile.
pub const PROFILE: &str = "/v1/profiles/{profile}";
/// `POST` makes an enrolment token, `GET` lists them.
pub const ENROLMENT_TOKENS: &str = "/v1/enrolment-tokens";
/// `DELETE` withdraws one.
pub const ENROLMENT_TOKEN: &str = "/v1/enrolment-tokens/{token}";
/// `GET` the audit events.
pub const AUDIT: &str = "/v1/audit";
/// `GET` the events that are not delivered.
pub const OUTBOX: &str = "/v1/outbox";
/// `POST` has one tried again.
pub const OUTBOX_REPLAY: &str = "/v1/outbox/{delivery}/replay";
/// `GET` the gateways and what they enforce.
pub const GATEWAYS: &str = "/v1/gateways";
/// `DELETE` takes a gateway from the record.
pub const GATEWAY: &str = "/v1/gateways/{gateway}";
/// `PUT` what a gateway enforces.
pub const GATEWAY_STATUS: &str = "/v1/gateways/{gateway}/status";
/// `GET` the managed certificates that a worker is to bring to their targets now.
pub const ROTATIONS: &str = "/v1/rotations";
/// `POST` begins a worker's rotation, or goes on with it.
pub const MANAGED_ROTATION: &str = "/v1/managed-certificates/{managed}/rotation";
/// `PUT` what became of it.
pub const MANAGED_ROTATION_REPORT: &str = "/v1/managed-certificates/{managed}/rotation/{rotation}";
/// `GET` the OpenAPI 3.1 document.
pub const OPENAPI: &str = "/openapi.json";
/// `POST` an OCSP request (RFC 6960 appendix A.1).
pub const OCSP: &str = "/ocsp";
/// `GET` an OCSP request in base64, percent-encoded or not; raw `/` occur in it, so the parameter takes the rest of the path.
pub const OCSP_GET: &str = "/ocsp/{*request}";
/// `GET` a complete list `{authority}.crl`, a delta `{authority}-delta.crl`, or `all.pem`.
pub const CRL: &str = "/crl/{file}";
/// `GET` one shard, `{shard}.crl`.
pub const CRL_SHARD: &str = "/crl/{authority}/{file}";
/// `GET` an authority's certificate: `{authority}.crt` in DER, `{authority}.pem` with its parents, root left out.
pub const AUTHORITY_CERTIFICATE: &str = "/ca/{file}";
/// `GET` the root certificates in PEM.
pub const ROOTS: &str = "/roots.pem";
/// `GET` whether the process lives.
pub const HEALTH: &str = "/health";
/// `GET` whether it can do its work.
pub const READY: &str = "/ready";
/// `GET` the metrics, in Prometheus' text format.
pub const METRICS: &str = "/metrics";
