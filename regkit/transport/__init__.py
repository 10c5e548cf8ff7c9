"""All HTTP input and output: connections, credentials, tokens, retries."""
