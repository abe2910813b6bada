"""The tables of the reports, each index beside its reason. Version 1. No value of an original, no original UID."""

from typing import Final

VERSION: Final = 1

# body    an account, packed, once for all instances that have the same; hash: of the account
# report  one round of one instance, in order of making
#   at      when it was made, POSIX seconds
#   reason  why it was withheld; "" for what was de-identified; place: tags and lines of rules that the reason named
#   out, study, sop_instance  outside names; "" for what has none
#   body    number of the account; 0 for what was withheld
SCHEMA: Final = """
CREATE TABLE body (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, packed BLOB NOT NULL);
CREATE TABLE report (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    round INTEGER NOT NULL,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    place TEXT NOT NULL,
    out TEXT NOT NULL,
    study TEXT NOT NULL,
    sop_instance TEXT NOT NULL,
    accepted TEXT NOT NULL,
    rules_digest TEXT NOT NULL,
    body INTEGER NOT NULL,
    UNIQUE (id, round)
);
-- The summary of a study; one instance by its new UID, also when the journal has forgotten it.
CREATE INDEX by_study ON report(study) WHERE study <> '';
CREATE INDEX by_sop_instance ON report(sop_instance) WHERE sop_instance <> '';
-- Whether an account is needed any more.
CREATE INDEX by_body ON report(body) WHERE body > 0;
"""
