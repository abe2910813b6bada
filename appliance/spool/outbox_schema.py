"""The tables of the outbox, each index and trigger beside its reason. Pseudonymous facts only.

Version 2 added recalls, version 3 what is missing at destinations, version 4 numbered deliveries.
"""

from typing import Final

from appliance.spool import exports

VERSION: Final = 4

# instance
#   seq      order of arrival outside: versions of one UID are delivered in this order
#   state    READY, FORWARDED, REJECTED; SUPERSEDED (a later round took its place) and LOST (its file is gone) are not
#            counted and only remember
#   settled  number by which the inside follows; 0 while READY
# delivery   one a destination; facts of the instance are repeated so that claiming reads one index
#   state    GATED, WAITING, STORED, REFUSED, ABANDONED; RECALLED: stored, taken back, and confirmed absent
#   blocked  1 while an earlier version of the same UID is open for that destination, or one is being taken back there
# recall     one an instance and destination; see lifecycle.RecallState
#   seq      the latest version that is taken back, out its name
#   asked    when a person last asked for it; at when it came to its state
#   number   grows with each change: what the inside follows, for the audit
# missing    one an instance and destination; see missing.MissingState
#   looks    how often in succession it was looked for and not found
#   times    how often it was sent again
_ROWS: Final = """
CREATE TABLE instance (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    out TEXT NOT NULL UNIQUE,
    round INTEGER NOT NULL,
    state TEXT NOT NULL,
    sop_class TEXT NOT NULL,
    sop_instance TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    source TEXT NOT NULL,
    project TEXT NOT NULL,
    rules_digest TEXT NOT NULL,
    admitted REAL NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    settled_at REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
);
-- What the inside has not followed yet.
CREATE INDEX settled ON instance(settled) WHERE settled > 0;
-- The oldest that waits.
CREATE INDEX ready ON instance(admitted) WHERE state = 'READY';
CREATE INDEX ready_in_order ON instance(seq) WHERE state = 'READY';
CREATE INDEX rejected ON instance(reason, seq) WHERE state = 'REJECTED';
-- Versions of one instance, and trace.
CREATE INDEX by_sop_instance ON instance(sop_instance);
CREATE INDEX by_study ON instance(study);
-- Purging.
CREATE INDEX ended ON instance(settled_at) WHERE state IN ('FORWARDED', 'SUPERSEDED', 'LOST');

CREATE TABLE delivery (
    seq INTEGER NOT NULL,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    sop_instance TEXT NOT NULL,
    study TEXT NOT NULL,
    out TEXT NOT NULL,
    source TEXT NOT NULL,
    project TEXT NOT NULL,
    blocked INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    at REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (seq, destination)
) WITHOUT ROWID;
-- Claiming: what is due at a destination, and what else of its study is.
CREATE INDEX due ON delivery(destination, not_before, seq) WHERE state = 'WAITING' AND blocked = 0;
CREATE INDEX due_of_study ON delivery(destination, study, seq) WHERE state = 'WAITING' AND blocked = 0;
-- Open versions of one instance at a destination: the earliest is not blocked.
CREATE INDEX open_versions ON delivery(sop_instance, destination, seq) WHERE state IN ('GATED', 'WAITING');
-- Opening a source, abandoning a destination.
CREATE INDEX gated ON delivery(source, project, seq) WHERE state = 'GATED';
CREATE INDEX open_at ON delivery(destination, seq) WHERE state IN ('GATED', 'WAITING');

-- Sources that an operator opened (release: manual): what is admitted later is not gated.
CREATE TABLE opened (source TEXT NOT NULL, project TEXT NOT NULL, PRIMARY KEY (source, project)) WITHOUT ROWID;

CREATE TABLE setting (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO setting VALUES ('settled', 0);
INSERT INTO setting VALUES ('generation', lower(hex(randomblob(8))));

CREATE TABLE tally (
    state TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (state, source, reason)
) WITHOUT ROWID;
CREATE TABLE delivery_tally (
    destination TEXT NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (destination, state)
) WITHOUT ROWID;

CREATE TRIGGER tally_insert AFTER INSERT ON instance BEGIN
    INSERT INTO tally VALUES (NEW.state, NEW.source, NEW.reason, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_update AFTER UPDATE OF state, source, reason ON instance BEGIN
    UPDATE tally SET n = n - 1 WHERE state = OLD.state AND source = OLD.source AND reason = OLD.reason;
    INSERT INTO tally VALUES (NEW.state, NEW.source, NEW.reason, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_delete AFTER DELETE ON instance BEGIN
    UPDATE tally SET n = n - 1 WHERE state = OLD.state AND source = OLD.source AND reason = OLD.reason;
END;
CREATE TRIGGER delivery_tally_insert AFTER INSERT ON delivery BEGIN
    INSERT INTO delivery_tally VALUES (NEW.destination, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER delivery_tally_update AFTER UPDATE OF state ON delivery BEGIN
    UPDATE delivery_tally SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
    INSERT INTO delivery_tally VALUES (NEW.destination, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER delivery_tally_delete AFTER DELETE ON delivery BEGIN
    UPDATE delivery_tally SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
END;

-- Deliveries are only ever added at the end, so an open one blocks those that come after it.
CREATE TRIGGER versions_insert AFTER INSERT ON delivery WHEN NEW.state IN ('GATED', 'WAITING') BEGIN
    UPDATE delivery SET blocked = 1 WHERE seq = NEW.seq AND destination = NEW.destination AND EXISTS (
        SELECT 1 FROM delivery WHERE state IN ('GATED', 'WAITING') AND sop_instance = NEW.sop_instance
            AND destination = NEW.destination AND seq < NEW.seq);
END;
CREATE TRIGGER versions_end AFTER UPDATE OF state ON delivery
WHEN OLD.state IN ('GATED', 'WAITING') AND NEW.state NOT IN ('GATED', 'WAITING') BEGIN
    UPDATE delivery SET blocked = 0 WHERE destination = NEW.destination AND seq = (
        SELECT seq FROM delivery WHERE state IN ('GATED', 'WAITING') AND sop_instance = NEW.sop_instance
            AND destination = NEW.destination ORDER BY seq LIMIT 1);
END;

CREATE TABLE recall (
    sop_instance TEXT NOT NULL,
    destination TEXT NOT NULL,
    state TEXT NOT NULL,
    seq INTEGER NOT NULL,
    out TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    asked REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    at REAL NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    number INTEGER NOT NULL,
    PRIMARY KEY (sop_instance, destination)
) WITHOUT ROWID;
-- Claiming.
CREATE INDEX recall_due ON recall(destination, not_before) WHERE state IN ('REQUESTED', 'DELETED', 'IMPOSSIBLE');
-- What the inside has not followed yet; what was asked of a study.
CREATE INDEX recall_changed ON recall(number);
CREATE INDEX recall_of_study ON recall(study);
CREATE TABLE recall_tally (
    destination TEXT NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (destination, state)
) WITHOUT ROWID;
CREATE TRIGGER recall_tally_insert AFTER INSERT ON recall BEGIN
    INSERT INTO recall_tally VALUES (NEW.destination, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER recall_tally_update AFTER UPDATE OF state ON recall BEGIN
    UPDATE recall_tally SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
    INSERT INTO recall_tally VALUES (NEW.destination, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER recall_tally_delete AFTER DELETE ON recall BEGIN
    UPDATE recall_tally SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
END;

-- While an instance is being taken back, no later version of it goes there: it would be deleted with it.
CREATE TRIGGER recall_begins AFTER INSERT ON recall WHEN NEW.state IN ('REQUESTED', 'DELETED') BEGIN
    UPDATE delivery SET blocked = 1 WHERE state IN ('GATED', 'WAITING') AND sop_instance = NEW.sop_instance
        AND destination = NEW.destination;
END;
CREATE TRIGGER recall_begins_again AFTER UPDATE OF state ON recall WHEN NEW.state IN ('REQUESTED', 'DELETED') BEGIN
    UPDATE delivery SET blocked = 1 WHERE state IN ('GATED', 'WAITING') AND sop_instance = NEW.sop_instance
        AND destination = NEW.destination;
END;
CREATE TRIGGER recall_stops_new AFTER INSERT ON delivery WHEN NEW.state IN ('GATED', 'WAITING') BEGIN
    UPDATE delivery SET blocked = 1 WHERE seq = NEW.seq AND destination = NEW.destination AND EXISTS (
        SELECT 1 FROM recall WHERE sop_instance = NEW.sop_instance AND destination = NEW.destination
            AND state IN ('REQUESTED', 'DELETED'));
END;
CREATE TRIGGER recall_stops_next AFTER UPDATE OF blocked ON delivery WHEN NEW.blocked = 0 BEGIN
    UPDATE delivery SET blocked = 1 WHERE seq = NEW.seq AND destination = NEW.destination AND EXISTS (
        SELECT 1 FROM recall WHERE sop_instance = NEW.sop_instance AND destination = NEW.destination
            AND state IN ('REQUESTED', 'DELETED'));
END;
CREATE TRIGGER recall_ends AFTER UPDATE OF state ON recall
WHEN OLD.state IN ('REQUESTED', 'DELETED') AND NEW.state NOT IN ('REQUESTED', 'DELETED') BEGIN
    UPDATE delivery SET blocked = 0 WHERE destination = NEW.destination AND seq = (
        SELECT seq FROM delivery WHERE state IN ('GATED', 'WAITING') AND sop_instance = NEW.sop_instance
            AND destination = NEW.destination ORDER BY seq LIMIT 1);
END;

CREATE TABLE missing (
    destination TEXT NOT NULL,
    sop_instance TEXT NOT NULL,
    study TEXT NOT NULL,
    seq INTEGER NOT NULL,
    out TEXT NOT NULL,
    state TEXT NOT NULL,
    looks INTEGER NOT NULL DEFAULT 1,
    times INTEGER NOT NULL DEFAULT 0,
    found REAL NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (destination, sop_instance)
) WITHOUT ROWID;
-- What is looked for again, study by study.
CREATE INDEX missing_open ON missing(destination, study) WHERE state IN ('MISSING', 'SENT_AGAIN');
CREATE TABLE missing_tally (
    destination TEXT NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (destination, state)
) WITHOUT ROWID;
CREATE TRIGGER missing_tally_insert AFTER INSERT ON missing BEGIN
    INSERT INTO missing_tally VALUES (NEW.destination, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER missing_tally_update AFTER UPDATE OF state ON missing BEGIN
    UPDATE missing_tally SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
    INSERT INTO missing_tally VALUES (NEW.destination, NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER missing_tally_delete AFTER DELETE ON missing BEGIN
    UPDATE missing_tally SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
END;
"""
SCHEMA: Final = _ROWS + exports.SCHEMA
