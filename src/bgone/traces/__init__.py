"""Where time went across programs: W3C trace context in and out, and spans for OpenTelemetry where it is asked for."""
