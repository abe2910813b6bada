"""The status page: what the appliance holds and where it stands, for people, without a name."""
