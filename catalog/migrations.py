"""The catalogue's tables and views, as ordered migrations; each is applied once and leaves its own record.

The views are public; the tables behind them are not.
"""

from typing import NamedTuple


class Migration(NamedTuple):
    """One step from an older catalogue to a newer one."""

    version: int
    name: str
    sql: str


MIGRATIONS = (
    Migration(
        1,
        "participants, samples, scans, features, runs",
        """
        CREATE TABLE counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
        INSERT INTO counter VALUES ('next_row', 0);
        CREATE TABLE participant (participant_key TEXT PRIMARY KEY, eid BIGINT UNIQUE NOT NULL);
        CREATE TABLE salt_check (hash TEXT NOT NULL);
        CREATE TABLE withdrawn (participant_key TEXT PRIMARY KEY);
        CREATE TABLE sample (
            sample_id TEXT PRIMARY KEY,
            participant_key TEXT NOT NULL,
            instance INTEGER NOT NULL,
            row BIGINT UNIQUE NOT NULL,
            split TEXT NOT NULL CHECK (split IN ('train', 'val', 'test'))
        );
        CREATE TABLE scan_source (
            sample_id TEXT, modality TEXT, source TEXT NOT NULL, PRIMARY KEY (sample_id, modality)
        );
        CREATE TABLE scan_outcome (
            sample_id TEXT,
            modality TEXT,
            status TEXT NOT NULL CHECK (status IN ('stored', 'rejected')),
            reason TEXT,
            detail TEXT,
            clamp_low DOUBLE,
            clamp_high DOUBLE,
            brain_ml DOUBLE,
            nonzero_share DOUBLE,
            PRIMARY KEY (sample_id, modality)
        );
        CREATE TABLE modality (modality TEXT PRIMARY KEY);
        CREATE TABLE feature (
            sample_id TEXT,
            name TEXT,
            value DOUBLE NOT NULL,
            field INTEGER,
            instance INTEGER,
            days_from_scan INTEGER,
            PRIMARY KEY (sample_id, name)
        );
        CREATE TABLE run (
            run_id TEXT PRIMARY KEY, target TEXT, kind TEXT, inputs TEXT,
            n_train BIGINT, n_val BIGINT, n_test BIGINT,
            val_mae DOUBLE, val_r2 DOUBLE, val_r DOUBLE, val_balanced_accuracy DOUBLE, val_auc DOUBLE,
            val_f1 DOUBLE, val_precision DOUBLE, val_recall DOUBLE,
            test_mae DOUBLE, test_r2 DOUBLE, test_r DOUBLE, test_balanced_accuracy DOUBLE, test_auc DOUBLE,
            test_f1 DOUBLE, test_precision DOUBLE, test_recall DOUBLE
        );

        CREATE VIEW participants AS
            SELECT participant_key, eid FROM participant ANTI JOIN withdrawn USING (participant_key);
        CREATE VIEW samples AS
            SELECT sample_id, eid, instance, row, participant_key FROM sample JOIN participants USING (participant_key);
        CREATE VIEW splits AS
            SELECT sample_id, split FROM sample SEMI JOIN participants USING (participant_key);
        CREATE VIEW scans AS
            SELECT
                sample_id, modality, coalesce(status, 'absent') AS status,
                CASE WHEN status IS NULL AND source IS NOT NULL THEN 'not-ingested-yet'
                     WHEN status IS NULL THEN 'no-file' ELSE reason END AS reason,
                source, detail, clamp_low, clamp_high, brain_ml, nonzero_share
            FROM samples CROSS JOIN modality
            LEFT JOIN scan_outcome USING (sample_id, modality)
            LEFT JOIN scan_source USING (sample_id, modality);
        CREATE VIEW features AS
            SELECT feature.* FROM feature SEMI JOIN samples USING (sample_id);
        CREATE VIEW runs AS SELECT * FROM run;
        """,
    ),
    Migration(
        2,
        "labels of participants, measures and provenance of scans",
        """
        ALTER TABLE participant ADD COLUMN label TEXT;
        ALTER TABLE scan_outcome ADD COLUMN median DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN contrast DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN template_overlap DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN registration_nmi DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN timepoints DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN empty_regions DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN mean_edge DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN edge_spread DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN brain TEXT;
        ALTER TABLE scan_outcome ADD COLUMN transform TEXT;

        CREATE OR REPLACE VIEW participants AS
            SELECT participant_key, eid, label FROM participant ANTI JOIN withdrawn USING (participant_key);
        CREATE OR REPLACE VIEW scans AS
            SELECT
                sample_id, modality, coalesce(status, 'absent') AS status,
                CASE WHEN status IS NULL AND source IS NOT NULL THEN 'not-ingested-yet'
                     WHEN status IS NULL THEN 'no-file' ELSE reason END AS reason,
                source, detail, clamp_low, clamp_high, median, contrast, brain_ml, nonzero_share, template_overlap,
                registration_nmi, timepoints, empty_regions, mean_edge, edge_spread, brain, transform
            FROM samples CROSS JOIN modality
            LEFT JOIN scan_outcome USING (sample_id, modality)
            LEFT JOIN scan_source USING (sample_id, modality);
        """,
    ),
    Migration(
        3,
        "features by row and what they mean, tables, kinship, similar scans, what runs lost",
        """
        CREATE TABLE feature_by_row (
            row BIGINT NOT NULL,
            name TEXT NOT NULL,
            value DOUBLE NOT NULL,
            field INTEGER,
            instance INTEGER,
            days_from_scan INTEGER
        );
        INSERT INTO feature_by_row
            SELECT row, name, value, field, feature.instance, days_from_scan
            FROM feature JOIN sample USING (sample_id) ORDER BY name, row;
        DROP VIEW features;
        DROP TABLE feature;
        ALTER TABLE feature_by_row RENAME TO feature;
        CREATE TABLE feature_definition (
            name TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            unit TEXT NOT NULL,
            block TEXT NOT NULL,
            is_target BOOLEAN NOT NULL,
            position INTEGER NOT NULL
        );
        CREATE TABLE feature_table (
            name TEXT NOT NULL,
            num_rows BIGINT NOT NULL,
            num_participants BIGINT NOT NULL,
            num_imaged BIGINT NOT NULL,
            num_repeated BIGINT NOT NULL,
            num_without_eid BIGINT NOT NULL,
            num_contradictions BIGINT NOT NULL,
            num_unreadable BIGINT NOT NULL
        );
        CREATE TABLE kinship (
            participant_key TEXT NOT NULL,
            relative_key TEXT NOT NULL,
            coefficient DOUBLE NOT NULL
        );
        CREATE TABLE similar_scan (
            sample_id TEXT NOT NULL,
            other_sample_id TEXT NOT NULL,
            modality TEXT NOT NULL,
            similarity DOUBLE NOT NULL
        );
        ALTER TABLE run ADD COLUMN withdrawn BIGINT;

        CREATE OR REPLACE VIEW runs AS SELECT * FROM run;
        CREATE VIEW features AS
            SELECT sample_id, name, value, field, feature.instance, days_from_scan
            FROM feature JOIN samples USING (row);
        CREATE VIEW dictionary AS
            SELECT name, kind, unit, block, is_target FROM feature_definition ORDER BY position;
        CREATE VIEW tables AS SELECT * FROM feature_table;
        CREATE VIEW relatives AS
            SELECT one.sample_id, other.sample_id AS relative_sample_id, coefficient
            FROM kinship
            JOIN samples one USING (participant_key)
            JOIN samples other ON other.participant_key = relative_key;
        CREATE VIEW similar_scans AS
            SELECT similar_scan.* FROM similar_scan
            SEMI JOIN samples USING (sample_id)
            WHERE other_sample_id IN (SELECT sample_id FROM samples);
        """,
    ),
    Migration(
        4,
        "runs of several targets, metrics in long form",
        """
        CREATE TABLE metric (
            run_id TEXT NOT NULL,
            target TEXT NOT NULL,
            split TEXT NOT NULL,
            name TEXT NOT NULL,
            value DOUBLE
        );
        INSERT INTO metric
            SELECT run_id, target, split_part(metric, '_', 1), substr(metric, 1 + position('_' IN metric)), value
            FROM (UNPIVOT run ON COLUMNS('^(val|test)_') INTO NAME metric VALUE value)
            ORDER BY ALL;
        CREATE TABLE run_of_target (
            run_id TEXT,
            target TEXT,
            kind TEXT NOT NULL,
            inputs TEXT NOT NULL,
            n_train BIGINT,
            n_val BIGINT,
            n_test BIGINT,
            withdrawn BIGINT,
            PRIMARY KEY (run_id, target)
        );
        INSERT INTO run_of_target
            SELECT run_id, target, kind, inputs, n_train, n_val, n_test, withdrawn FROM run ORDER BY run_id;
        DROP VIEW runs;
        DROP TABLE run;
        ALTER TABLE run_of_target RENAME TO run;

        CREATE VIEW metrics AS SELECT run_id, target, split, name, value FROM metric;
        CREATE VIEW runs AS
            SELECT
                run_id, target, kind, inputs, n_train, n_val, n_test,
                max(value) FILTER (split = 'val' AND name = 'mae') AS val_mae,
                max(value) FILTER (split = 'val' AND name = 'r2') AS val_r2,
                max(value) FILTER (split = 'val' AND name = 'r') AS val_r,
                max(value) FILTER (split = 'val' AND name = 'balanced_accuracy') AS val_balanced_accuracy,
                max(value) FILTER (split = 'val' AND name = 'auc') AS val_auc,
                max(value) FILTER (split = 'val' AND name = 'f1') AS val_f1,
                max(value) FILTER (split = 'val' AND name = 'precision') AS val_precision,
                max(value) FILTER (split = 'val' AND name = 'recall') AS val_recall,
                max(value) FILTER (split = 'test' AND name = 'mae') AS test_mae,
                max(value) FILTER (split = 'test' AND name = 'r2') AS test_r2,
                max(value) FILTER (split = 'test' AND name = 'r') AS test_r,
                max(value) FILTER (split = 'test' AND name = 'balanced_accuracy') AS test_balanced_accuracy,
                max(value) FILTER (split = 'test' AND name = 'auc') AS test_auc,
                max(value) FILTER (split = 'test' AND name = 'f1') AS test_f1,
                max(value) FILTER (split = 'test' AND name = 'precision') AS test_precision,
                max(value) FILTER (split = 'test' AND name = 'recall') AS test_recall,
                withdrawn
            FROM run LEFT JOIN metric USING (run_id, target)
            GROUP BY run_id, target, kind, inputs, n_train, n_val, n_test, withdrawn;
        """,
    ),
    Migration(
        5,
        "measures by which a scan of something else is known",
        """
        ALTER TABLE scan_outcome ADD COLUMN white_over_grey DOUBLE;
        ALTER TABLE scan_outcome ADD COLUMN flat_share DOUBLE;
        CREATE OR REPLACE VIEW scans AS
            SELECT
                sample_id, modality, coalesce(status, 'absent') AS status,
                CASE WHEN status IS NULL AND source IS NOT NULL THEN 'not-ingested-yet'
                     WHEN status IS NULL THEN 'no-file' ELSE reason END AS reason,
                source, detail, clamp_low, clamp_high, median, contrast, brain_ml, nonzero_share, template_overlap,
                white_over_grey, flat_share, registration_nmi, timepoints, empty_regions, mean_edge, edge_spread, brain,
                transform
            FROM samples CROSS JOIN modality
            LEFT JOIN scan_outcome USING (sample_id, modality)
            LEFT JOIN scan_source USING (sample_id, modality);
        """,
    ),
    Migration(
        6,
        "intervals of metrics",
        """
        ALTER TABLE metric ADD COLUMN low DOUBLE;
        ALTER TABLE metric ADD COLUMN high DOUBLE;
        CREATE OR REPLACE VIEW metrics AS SELECT run_id, target, split, name, value, low, high FROM metric;
        """,
    ),
)
