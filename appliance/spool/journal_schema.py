"""The tables of the journal, each index and trigger beside its reason.

Version 2 added how much of the disk each source's originals take, version 3 what is held or quarantined by study.
"""

from typing import Final

from appliance.spool import held

VERSION: Final = 3

# state     an inside state of lifecycle.State
# round     1 for the first way through
# blocked   1 while an earlier version of the same SOP Instance is still RECEIVED: versions pass in order
# out       outside name of the last round that passed; it stays when a new round begins, until that one passes too
# outside   what the outbox said of ``out``: '' (waiting there), FORWARDED or REJECTED
# reason    why it is held, quarantined, discarded or rejected; '' otherwise
# moved     when state or outside changed last, POSIX seconds; so are not_before and received
# purged    1 when the original was removed after its time
_ROWS: Final = """
CREATE TABLE instance (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    round INTEGER NOT NULL,
    state TEXT NOT NULL,
    received REAL NOT NULL,
    source TEXT NOT NULL,
    project TEXT NOT NULL,
    calling_ae TEXT NOT NULL,
    called_ae TEXT NOT NULL,
    peer TEXT NOT NULL,
    clinic TEXT NOT NULL,
    item INTEGER NOT NULL,
    sop_class TEXT NOT NULL,
    sop_instance TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0,
    accepted TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '',
    out TEXT NOT NULL DEFAULT '',
    outside TEXT NOT NULL DEFAULT '',
    new_sop_instance TEXT NOT NULL DEFAULT '',
    new_study TEXT NOT NULL DEFAULT '',
    rules_digest TEXT NOT NULL DEFAULT '',
    moved REAL NOT NULL,
    purged INTEGER NOT NULL DEFAULT 0
);

-- Claiming: what is due and nothing else, so that its cost does not depend on what waits or was done.
CREATE INDEX due ON instance(not_before, id) WHERE state = 'RECEIVED' AND blocked = 0;
-- Versions of one SOP Instance that wait: the earliest is not blocked.
CREATE INDEX waiting_versions ON instance(sop_instance, id) WHERE state = 'RECEIVED' AND sop_instance <> '';
-- The oldest that waits.
CREATE INDEX waiting ON instance(received) WHERE state = 'RECEIVED';
-- What waits for a human, or was discarded or rejected, by reason; ids sort by arrival.
CREATE INDEX by_reason ON instance(reason, id) WHERE reason <> '';
CREATE INDEX quarantined ON instance(id) WHERE state = 'QUARANTINED';
-- Of which studies something waits for a person, the newest first, and how much of one.
CREATE INDEX withheld ON instance(id, new_study) WHERE new_study <> '' AND state IN ('HELD', 'QUARANTINED');
CREATE INDEX withheld_of ON instance(new_study, state) WHERE new_study <> '' AND state IN ('HELD', 'QUARANTINED');
-- Finding one: trace, duplicates, following the outbox, receipts.
CREATE INDEX by_sop_instance ON instance(sop_instance) WHERE sop_instance <> '';
CREATE INDEX by_new_sop_instance ON instance(new_sop_instance) WHERE new_sop_instance <> '';
CREATE INDEX by_digest ON instance(digest) WHERE digest <> '';
CREATE INDEX by_out ON instance(out) WHERE out <> '';
CREATE INDEX by_item ON instance(item) WHERE item > 0;
-- Purging: originals that may go, and rows whose original went.
CREATE INDEX forwarded_kept ON instance(moved) WHERE state = 'PASSED' AND outside = 'FORWARDED' AND purged = 0;
CREATE INDEX discarded_kept ON instance(moved) WHERE state = 'DISCARDED' AND purged = 0;
-- Discarded while the outside still keeps the rejected file.
CREATE INDEX to_withdraw ON instance(id) WHERE state = 'DISCARDED' AND outside = 'REJECTED';
CREATE INDEX gone ON instance(moved) WHERE purged = 1;

-- A row a move: what trace tells.
CREATE TABLE move (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    round INTEGER NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    out TEXT NOT NULL,
    by TEXT NOT NULL
);
CREATE INDEX moves_of ON move(id);

-- What the outbox settled before the journal had its row PASSED (a crash came between); passing takes it from here.
CREATE TABLE ahead (
    out TEXT PRIMARY KEY,
    outside TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- How many rows: kept by the triggers below in the same transaction, so that counting a million costs nothing.
CREATE TABLE tally (
    state TEXT NOT NULL,
    outside TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (state, outside, source, reason)
) WITHOUT ROWID;

CREATE TRIGGER tally_insert AFTER INSERT ON instance BEGIN
    INSERT INTO tally VALUES (NEW.state, NEW.outside, NEW.source, NEW.reason, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_update AFTER UPDATE OF state, outside, source, reason ON instance BEGIN
    UPDATE tally SET n = n - 1
        WHERE state = OLD.state AND outside = OLD.outside AND source = OLD.source AND reason = OLD.reason;
    INSERT INTO tally VALUES (NEW.state, NEW.outside, NEW.source, NEW.reason, 1)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER tally_delete AFTER DELETE ON instance BEGIN
    UPDATE tally SET n = n - 1
        WHERE state = OLD.state AND outside = OLD.outside AND source = OLD.source AND reason = OLD.reason;
END;

-- Of the versions that wait, the earliest id is not blocked: by arrival, by a new round, and by recovery, which may
-- bring an earlier one after a later one.
CREATE TRIGGER versions_insert AFTER INSERT ON instance WHEN NEW.state = 'RECEIVED' AND NEW.sop_instance <> '' BEGIN
    UPDATE instance SET blocked = 1 WHERE seq = NEW.seq AND EXISTS (
        SELECT 1 FROM instance WHERE state = 'RECEIVED' AND sop_instance = NEW.sop_instance AND sop_instance <> ''
            AND id < NEW.id);
    UPDATE instance SET blocked = 1 WHERE seq = (
        SELECT seq FROM instance WHERE state = 'RECEIVED' AND sop_instance = NEW.sop_instance AND sop_instance <> ''
            AND id > NEW.id ORDER BY id LIMIT 1);
END;
CREATE TRIGGER versions_begin AFTER UPDATE OF state ON instance
WHEN NEW.state = 'RECEIVED' AND OLD.state <> 'RECEIVED' AND NEW.sop_instance <> '' BEGIN
    UPDATE instance SET blocked = EXISTS (
        SELECT 1 FROM instance WHERE state = 'RECEIVED' AND sop_instance = NEW.sop_instance AND sop_instance <> ''
            AND id < NEW.id) WHERE seq = NEW.seq;
    UPDATE instance SET blocked = 1 WHERE seq = (
        SELECT seq FROM instance WHERE state = 'RECEIVED' AND sop_instance = NEW.sop_instance AND sop_instance <> ''
            AND id > NEW.id ORDER BY id LIMIT 1);
END;
CREATE TRIGGER versions_end AFTER UPDATE OF state ON instance
WHEN OLD.state = 'RECEIVED' AND NEW.state <> 'RECEIVED' AND NEW.sop_instance <> '' BEGIN
    UPDATE instance SET blocked = 0 WHERE seq = (
        SELECT seq FROM instance WHERE state = 'RECEIVED' AND sop_instance = NEW.sop_instance AND sop_instance <> ''
            ORDER BY id LIMIT 1);
END;
"""
SCHEMA: Final = _ROWS + held.SCHEMA
