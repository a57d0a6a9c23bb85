"""What a schema cannot say, for .ci/check-openapi."""

import schemathesis


@schemathesis.hook
def filter_body(context, body):
    """Leaves out key files as strings: JSON within a string is beyond what is generated."""
    destination = body.get("destination") if isinstance(body, dict) else None
    return not (isinstance(destination, dict) and isinstance(destination.get("serviceAccountKey"), str))
