"""The only place where things happen: one module a service, each a loop over small steps."""
