"""The service over HTTP: routes, what they take and give, and one shape for everything that goes wrong."""
