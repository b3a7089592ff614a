-- Written by `python -m store.fresh`; do not edit by hand.
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE TABLE page (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL, chain INTEGER NOT NULL, snapshot_seq INTEGER NOT NULL,
    updated INTEGER NOT NULL, last_event INTEGER NOT NULL, event_floor INTEGER NOT NULL,
    event_number INTEGER NOT NULL, events_gone INTEGER NOT NULL, log_gone INTEGER NOT NULL,
    gate_sum INTEGER NOT NULL, crc INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;
CREATE TABLE directory (
    id INTEGER PRIMARY KEY CHECK (id = 1), pages INTEGER NOT NULL, sum INTEGER NOT NULL
) STRICT;
CREATE TABLE log (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    at INTEGER NOT NULL, actor TEXT NOT NULL, connection TEXT NOT NULL, origin BLOB NOT NULL,
    redacted INTEGER NOT NULL DEFAULT 0, digest BLOB NOT NULL, chain INTEGER NOT NULL,
    data BLOB NOT NULL, UNIQUE (page, seq)
) STRICT;
CREATE TABLE snapshot (
    page INTEGER PRIMARY KEY REFERENCES page, seq INTEGER NOT NULL, chain INTEGER NOT NULL,
    digest BLOB NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    number INTEGER NOT NULL, type TEXT NOT NULL, broadcast_id TEXT NOT NULL,
    user TEXT NOT NULL, entity TEXT NOT NULL, body TEXT NOT NULL,
    crc INTEGER NOT NULL, UNIQUE (page, timestamp)
) STRICT;
CREATE TABLE client_owner (
    page INTEGER NOT NULL REFERENCES page, client INTEGER NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (page, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE entity (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, creator TEXT NOT NULL,
    created INTEGER NOT NULL, PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE refused (
    page INTEGER NOT NULL REFERENCES page, client INTEGER NOT NULL, clock INTEGER NOT NULL,
    length INTEGER NOT NULL, repair TEXT NOT NULL, PRIMARY KEY (page, client, clock)
) STRICT, WITHOUT ROWID;
CREATE TABLE held (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE retired (
    page INTEGER NOT NULL REFERENCES page, client INTEGER NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (page, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage (
    tenant TEXT NOT NULL, day INTEGER NOT NULL, page TEXT NOT NULL, metric TEXT NOT NULL,
    amount INTEGER NOT NULL, PRIMARY KEY (tenant, day, page, metric)
) STRICT, WITHOUT ROWID;
CREATE TABLE annotation (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL,
    value TEXT NOT NULL, crc INTEGER NOT NULL, quote TEXT NOT NULL,
    title TEXT AS (json_extract(value, '$.title')),
    creator TEXT AS (json_extract(value, '$.creator')),
    created INTEGER AS (json_extract(value, '$.created')), UNIQUE (page, name)
) STRICT;
CREATE TABLE comment (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL,
    value TEXT NOT NULL, crc INTEGER NOT NULL,
    annotation TEXT NOT NULL, comment TEXT NOT NULL,
    body TEXT AS (json_extract(value, '$.body')), parent TEXT AS (json_extract(value, '$.parent')),
    creator TEXT AS (json_extract(value, '$.creator')),
    created INTEGER AS (json_extract(value, '$.created')),
    edited INTEGER AS (json_extract(value, '$.edited')), UNIQUE (page, name)
) STRICT;
CREATE TABLE reaction (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL, annotation TEXT NOT NULL, comment TEXT NOT NULL, emoji TEXT NOT NULL,
    user TEXT NOT NULL, at INTEGER AS (json_extract(value, '$.at')), PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE resolved (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL, by TEXT AS (json_extract(value, '$.by')),
    at INTEGER AS (json_extract(value, '$.at')),
    resolved INTEGER AS (json_extract(value, '$.resolved')), PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (
    page INTEGER NOT NULL REFERENCES page, name TEXT NOT NULL, value TEXT NOT NULL,
    crc INTEGER NOT NULL, annotation TEXT NOT NULL, comment TEXT, user TEXT NOT NULL,
    at INTEGER AS (json_extract(value, '$.at')), PRIMARY KEY (page, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE fact (
    page INTEGER NOT NULL REFERENCES page, root TEXT NOT NULL, name TEXT NOT NULL,
    value TEXT NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (page, root, name)
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE "annotation_fts" USING FTS5 (
    "quote", "title",
    tokenize='unicode61 remove_diacritics 2',
    content="annotation"
);
CREATE VIRTUAL TABLE "comment_fts" USING FTS5 (
    "body",
    tokenize='unicode61 remove_diacritics 2',
    content="comment"
);
CREATE TABLE tenant (
        name TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE tenant_role (
        tenant TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (tenant, user)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE revocation (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, kind TEXT NOT NULL,
        subject TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER, reason TEXT NOT NULL
    ) STRICT;
CREATE TABLE server_secret (
        id INTEGER PRIMARY KEY CHECK (id = 1), secret BLOB NOT NULL
    ) STRICT;
CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL,
        address TEXT NOT NULL, tenant TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant, id);
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE archived (
    page INTEGER NOT NULL REFERENCES page, root TEXT NOT NULL, name TEXT NOT NULL,
    content TEXT NOT NULL, PRIMARY KEY (page, root, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE moderation (
        id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, page TEXT NOT NULL,
        at INTEGER NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL, entity TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
CREATE INDEX moderation_of_page ON moderation (tenant, page, id);
CREATE TABLE erased (
    page INTEGER NOT NULL REFERENCES page, digest TEXT NOT NULL, PRIMARY KEY (page, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE fulltext (source TEXT PRIMARY KEY, upto INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER annotation_changed AFTER UPDATE ON annotation WHEN old.id <= (SELECT upto FROM fulltext WHERE source = 'annotation') BEGIN INSERT INTO annotation_fts (annotation_fts, rowid, quote, title) VALUES ('delete', old.id, old.quote, old.title); INSERT INTO annotation_fts (rowid, quote, title) VALUES (new.id, new.quote, new.title); END;
CREATE TRIGGER annotation_gone BEFORE DELETE ON annotation WHEN old.id <= (SELECT upto FROM fulltext WHERE source = 'annotation') BEGIN INSERT INTO annotation_fts (annotation_fts, rowid, quote, title) VALUES ('delete', old.id, old.quote, old.title); END;
CREATE TRIGGER annotation_fewer AFTER DELETE ON annotation BEGIN UPDATE fulltext SET upto = (SELECT coalesce(max(id), 0) FROM annotation) WHERE source = 'annotation' AND upto > (SELECT coalesce(max(id), 0) FROM annotation); END;
CREATE TRIGGER comment_changed AFTER UPDATE ON comment WHEN old.id <= (SELECT upto FROM fulltext WHERE source = 'comment') BEGIN INSERT INTO comment_fts (comment_fts, rowid, body) VALUES ('delete', old.id, old.body); INSERT INTO comment_fts (rowid, body) VALUES (new.id, new.body); END;
CREATE TRIGGER comment_gone BEFORE DELETE ON comment WHEN old.id <= (SELECT upto FROM fulltext WHERE source = 'comment') BEGIN INSERT INTO comment_fts (comment_fts, rowid, body) VALUES ('delete', old.id, old.body); END;
CREATE TRIGGER comment_fewer AFTER DELETE ON comment BEGIN UPDATE fulltext SET upto = (SELECT coalesce(max(id), 0) FROM comment) WHERE source = 'comment' AND upto > (SELECT coalesce(max(id), 0) FROM comment); END;
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL
) STRICT;
CREATE TABLE seal (
    name TEXT PRIMARY KEY, rows INTEGER NOT NULL, sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tenant_role_sealed_insert AFTER INSERT ON tenant_role BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.tenant, NEW.user, NEW.role) WHERE name = 'tenant_role'; END;
CREATE TRIGGER tenant_role_sealed_delete AFTER DELETE ON tenant_role BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.tenant, OLD.user, OLD.role) WHERE name = 'tenant_role'; END;
CREATE TRIGGER tenant_role_sealed_update AFTER UPDATE ON tenant_role BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.tenant, OLD.user, OLD.role) + row_crc(NEW.tenant, NEW.user, NEW.role) WHERE name = 'tenant_role'; END;
CREATE TRIGGER revocation_sealed_insert AFTER INSERT ON revocation BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.id, NEW.tenant, NEW.kind, NEW.subject, NEW.at, NEW.until, NEW.reason) WHERE name = 'revocation'; END;
CREATE TRIGGER revocation_sealed_delete AFTER DELETE ON revocation BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.id, OLD.tenant, OLD.kind, OLD.subject, OLD.at, OLD.until, OLD.reason) WHERE name = 'revocation'; END;
CREATE TRIGGER revocation_sealed_update AFTER UPDATE ON revocation BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.id, OLD.tenant, OLD.kind, OLD.subject, OLD.at, OLD.until, OLD.reason) + row_crc(NEW.id, NEW.tenant, NEW.kind, NEW.subject, NEW.at, NEW.until, NEW.reason) WHERE name = 'revocation'; END;
CREATE TRIGGER server_secret_sealed_insert AFTER INSERT ON server_secret BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.id, NEW.secret) WHERE name = 'server_secret'; END;
CREATE TRIGGER server_secret_sealed_delete AFTER DELETE ON server_secret BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.id, OLD.secret) WHERE name = 'server_secret'; END;
CREATE TRIGGER server_secret_sealed_update AFTER UPDATE ON server_secret BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.id, OLD.secret) + row_crc(NEW.id, NEW.secret) WHERE name = 'server_secret'; END;
CREATE TRIGGER audit_sealed_insert AFTER INSERT ON audit BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.id, NEW.at, NEW.actor, NEW.address, NEW.tenant, NEW.action, NEW.subject, NEW.detail) WHERE name = 'audit'; END;
CREATE TRIGGER audit_sealed_delete AFTER DELETE ON audit BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.id, OLD.at, OLD.actor, OLD.address, OLD.tenant, OLD.action, OLD.subject, OLD.detail) WHERE name = 'audit'; END;
CREATE TRIGGER audit_sealed_update AFTER UPDATE ON audit BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.id, OLD.at, OLD.actor, OLD.address, OLD.tenant, OLD.action, OLD.subject, OLD.detail) + row_crc(NEW.id, NEW.at, NEW.actor, NEW.address, NEW.tenant, NEW.action, NEW.subject, NEW.detail) WHERE name = 'audit'; END;
CREATE TRIGGER moderation_sealed_insert AFTER INSERT ON moderation BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.id, NEW.tenant, NEW.page, NEW.at, NEW.user, NEW.action, NEW.entity, NEW.reason) WHERE name = 'moderation'; END;
CREATE TRIGGER moderation_sealed_delete AFTER DELETE ON moderation BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.id, OLD.tenant, OLD.page, OLD.at, OLD.user, OLD.action, OLD.entity, OLD.reason) WHERE name = 'moderation'; END;
CREATE TRIGGER moderation_sealed_update AFTER UPDATE ON moderation BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.id, OLD.tenant, OLD.page, OLD.at, OLD.user, OLD.action, OLD.entity, OLD.reason) + row_crc(NEW.id, NEW.tenant, NEW.page, NEW.at, NEW.user, NEW.action, NEW.entity, NEW.reason) WHERE name = 'moderation'; END;
CREATE TRIGGER usage_sealed_insert AFTER INSERT ON usage BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.tenant, NEW.day, NEW.page, NEW.metric, NEW.amount) WHERE name = 'usage'; END;
CREATE TRIGGER usage_sealed_delete AFTER DELETE ON usage BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.tenant, OLD.day, OLD.page, OLD.metric, OLD.amount) WHERE name = 'usage'; END;
CREATE TRIGGER usage_sealed_update AFTER UPDATE ON usage BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.tenant, OLD.day, OLD.page, OLD.metric, OLD.amount) + row_crc(NEW.tenant, NEW.day, NEW.page, NEW.metric, NEW.amount) WHERE name = 'usage'; END;
CREATE TRIGGER clock_sealed_insert AFTER INSERT ON clock BEGIN UPDATE seal SET rows = rows + 1, sum = sum + row_crc(NEW.id, NEW.reserved) WHERE name = 'clock'; END;
CREATE TRIGGER clock_sealed_delete AFTER DELETE ON clock BEGIN UPDATE seal SET rows = rows - 1, sum = sum - row_crc(OLD.id, OLD.reserved) WHERE name = 'clock'; END;
CREATE TRIGGER clock_sealed_update AFTER UPDATE ON clock BEGIN UPDATE seal SET rows = rows , sum = sum - row_crc(OLD.id, OLD.reserved) + row_crc(NEW.id, NEW.reserved) WHERE name = 'clock'; END;
INSERT INTO directory (id, pages, sum) VALUES (1, 0, 0);
INSERT INTO fulltext (source, upto) VALUES ('annotation', 0);
INSERT INTO fulltext (source, upto) VALUES ('comment', 0);
INSERT INTO seal (name, rows, sum) VALUES ('audit', 0, 0);
INSERT INTO seal (name, rows, sum) VALUES ('clock', 0, 0);
INSERT INTO seal (name, rows, sum) VALUES ('moderation', 0, 0);
INSERT INTO seal (name, rows, sum) VALUES ('revocation', 0, 0);
INSERT INTO seal (name, rows, sum) VALUES ('server_secret', 0, 0);
INSERT INTO seal (name, rows, sum) VALUES ('tenant_role', 0, 0);
INSERT INTO seal (name, rows, sum) VALUES ('usage', 0, 0);
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', 'm001_first', strftime('%Y-%m-%d %H:%M:%f000+00:00'));
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', 'm002_trust', strftime('%Y-%m-%d %H:%M:%f000+00:00'));
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', 'm003_archive', strftime('%Y-%m-%d %H:%M:%f000+00:00'));
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', 'm004_moderation', strftime('%Y-%m-%d %H:%M:%f000+00:00'));
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', 'm005_index_apart', strftime('%Y-%m-%d %H:%M:%f000+00:00'));
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', 'm006_seals', strftime('%Y-%m-%d %H:%M:%f000+00:00'));
