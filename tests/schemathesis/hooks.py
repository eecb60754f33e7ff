"""What schemathesis must know of this API beyond its OpenAPI document."""

import schemathesis


@schemathesis.serializer("application/ocsp-request")
def ocsp_request(ctx, value):
    """An OCSP request is octets; whatever is generated goes out as it is."""
    return value if isinstance(value, bytes) else str(value).encode()
