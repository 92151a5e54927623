/**
 * Attacks on the SQL console.
 *
 * @module
 */

/** Personal data of `user(1)`. */
export const SECRETS = [
  "emilyspass",
  "900-590-289",
  "3693233511855044",
  "GB74MH2UZLR9TRPHYNU8F8",
  "47:fa:41:18:ec:eb",
  "05/28",
];

/** Statements that have to be refused, and the required error. */
export const REFUSED: [sql: string, says: RegExp][] = [
  // writes, and statements other than SELECT
  ["INSERT INTO etl_runs (run_id) VALUES ('x')", /^Only SELECT querys are allowed\.$/],
  ["UPDATE etl_runs SET status = 'FAILED'", /^Only SELECT/],
  ["DELETE FROM raw_users", /^Only SELECT/],
  ["DROP TABLE raw_records", /^Only SELECT/],
  ["REPLACE INTO etl_runs (id) VALUES (1)", /^Only SELECT/],
  ["CREATE TABLE t (a)", /^Only SELECT/],
  ["CREATE TEMP VIEW v AS SELECT json FROM raw_records", /^Only SELECT/],
  ["ALTER TABLE etl_runs ADD COLUMN x", /^Only SELECT/],
  ["BEGIN IMMEDIATE", /^Only SELECT/],
  ["REINDEX", /^Only SELECT/],
  ["ANALYZE", /^Only SELECT/],
  ["EXPLAIN SELECT 1", /^Only SELECT/],
  ["VALUES (1)", /^Only SELECT/],
  ["", /^Only SELECT/],
  ["-- SELECT\nDELETE FROM etl_runs", /^Only SELECT/],
  ["/* SELECT */ DELETE FROM etl_runs", /^Only SELECT/],
  ["WITH x AS (SELECT 1) DELETE FROM etl_runs", /^Only SELECT/],
  ["WITH x AS (SELECT 1) INSERT INTO etl_runs (run_id) SELECT * FROM x", /^Only SELECT/],
  ["WITH \"select\" AS (SELECT 1) UPDATE etl_runs SET status = 'FAILED'", /^Only SELECT/],
  // several statements
  ["SELECT 1; DROP TABLE etl_runs", /^SQL error: You can only execute one statement at a time\.$/],
  ["SELECT 1; SELECT 2", /one statement at a time/],
  ["SELECT 1) LIMIT 1) SELECT 1; DELETE FROM etl_runs; --", /^SQL error: /],
  ["SELECT 1) UNION SELECT json FROM (SELECT json FROM raw_records", /^SQL error: /],
  // other files
  ["ATTACH DATABASE '/etc/passwd' AS other", /^Only SELECT/],
  ["VACUUM INTO '/tmp/copy.db'", /^Only SELECT/],
  ["SELECT load_extension('/tmp/evil.so')", /^SQL error: /],
  ["SELECT readfile('/etc/passwd')", /^SQL error: /],
  ["SELECT writefile('/tmp/x', 'y')", /^SQL error: /],
  ["SELECT edit('x', 'vi')", /^SQL error: /],
  ["SELECT * FROM fsdir('/')", /^SQL error: /],
  ["SELECT fts3_tokenizer('simple')", /^SQL error: /],
  // SQLite's internals
  ["PRAGMA journal_mode = DELETE", /^Only SELECT/],
  ["SELECT * FROM pragma_database_list", /^SQL error: .*only SELECT on etl_runs, raw_users/],
  ["SELECT * FROM pragma_table_info('raw_records')", /^SQL error: /],
  ["SELECT sql FROM sqlite_master", /^SQL error: /],
  ["SELECT count(*) FROM sqlite_schema", /^SQL error: /],
  ["SELECT * FROM sqlite_temp_schema", /^SQL error: /],
  ["SELECT * FROM sqlite_sequence", /^SQL error: /],
  ["SELECT * FROM dbstat", /^SQL error: /],
  ["SELECT sqlite_version()", /^SQL error: /],
  // the tables behind the views
  ["SELECT * FROM raw_records", /^SQL error: .*only SELECT on etl_runs, raw_users/],
  ["SELECT count(*) FROM raw_records", /^SQL error: /],
  ["SELECT count(*) FROM main.raw_records", /^SQL error: /],
  ['SELECT 1 FROM "main" . "RAW_RECORDS"', /^SQL error: /],
  ["SELECT json FROM main.invalid_records", /^SQL error: /],
  ["SELECT rowid FROM processed_records", /^SQL error: /],
  ["SELECT body FROM run_events", /^SQL error: /],
  ["SELECT (SELECT json FROM raw_records LIMIT 1) FROM raw_users", /^SQL error: /],
  ["SELECT * FROM raw_users JOIN raw_records ON record_id = raw_records.id", /^SQL error: /],
  ["SELECT r.json FROM raw_records AS raw_users, raw_records AS r", /^SQL error: /],
  ["SELECT json FROM (SELECT json FROM raw_records) AS raw_users", /^SQL error: /],
  [
    "SELECT * FROM etl_runs WHERE EXISTS (SELECT json FROM raw_records WHERE json LIKE '%emilyspass%')",
    /^SQL error: /,
  ],
  ['SELECT * FROM "current$users"', /^SQL error: .*only SELECT on etl_runs/],
  ["SELECT * FROM current$users", /^SQL error: /],
  ["SELECT c2 FROM main.current$users", /^SQL error: /],
  ["SELECT count(*) FROM main.[current$users]", /^SQL error: /],
  ["SELECT key FROM changes$users", /^SQL error: /],
  ["SELECT before, after FROM `changes$users` AS users_changes", /^SQL error: /],
  ["SELECT * FROM run_moves", /^SQL error: /],
  ["SELECT * FROM users JOIN current$users AS c ON c.key = users.id", /^SQL error: /],
  ["SELECT p.json FROM users, processed_records AS p", /^SQL error: /],
  ["SELECT users.record FROM users", /^SQL error: no such column/],
  ["SELECT users_changes.after FROM users_changes", /^SQL error: no such column/],
  ["WITH users AS (SELECT json FROM raw_records) SELECT * FROM users", /is prohibited/],
  ["WITH users_changes AS (SELECT * FROM changes$users) SELECT * FROM users_changes", /is prohibited/],
  // common table expressions with the name of a view, so that SQLite attributes their reads to the view
  [
    "WITH raw_users AS (SELECT json FROM raw_records) SELECT * FROM raw_users",
    /^SQL error: .*is prohibited/,
  ],
  ["WITH RAW_USERS(j) AS (SELECT json FROM raw_records) SELECT * FROM raw_users", /is prohibited/],
  [
    'WITH "raw_users" AS NOT MATERIALIZED (SELECT json FROM raw_records) SELECT * FROM raw_users',
    /is prohibited/,
  ],
  [
    "WITH [raw_users] AS MATERIALIZED (SELECT json FROM raw_records) SELECT * FROM raw_users",
    /is prohibited/,
  ],
  ["WITH 'raw_users' AS (SELECT json FROM raw_records) SELECT * FROM raw_users", /raw_users is taken/],
  [
    "WITH raw_users AS (SELECT 1), 'raw_users' AS (SELECT json FROM raw_records) SELECT 1 FROM raw_users",
    /is taken/,
  ],
  [
    "WITH users AS (SELECT 1 AS a) SELECT (SELECT count(*) FROM main.raw_records) FROM users",
    /is prohibited/,
  ],
  [
    'WITH users AS (SELECT * FROM "current$users") SELECT count(*) FROM users AS users_changes',
    /is prohibited/,
  ],
  [
    "WITH a AS (WITH users AS (SELECT json FROM raw_records) SELECT * FROM users) SELECT * FROM a",
    /is prohibited/,
  ],
  [
    "WITH users AS (SELECT 1), raw_users(j) AS (SELECT json FROM invalid_records) SELECT j FROM raw_users",
    /is prohibited/,
  ],
  ["WITH users AS (SELECT 1 AS a) SELECT a FROM main.users", /^SQL error: no such table: main.users$/],
  [
    "SELECT * FROM users, (WITH users AS (SELECT 1 AS a) SELECT a FROM users)",
    /^SQL error: no such table: users$/,
  ],
  [
    "WITH `invalid_users`/**/AS--\n(SELECT json FROM raw_records) SELECT * FROM invalid_users",
    /is prohibited/,
  ],
  [
    "SELECT * FROM (WITH x AS (SELECT 1), raw_users AS (SELECT json FROM raw_records) SELECT * FROM raw_users)",
    /is prohibited/,
  ],
  [
    "SELECT $a('), (WITH raw_users AS (SELECT json FROM raw_records) SELECT json FROM raw_users) --'",
    /^SQL error: /,
  ],
  [
    "SELECT @a('), (WITH raw_users AS (SELECT json FROM raw_records) SELECT json FROM raw_users) --'",
    /^SQL error: /,
  ],
  // a parameter without a value
  ["SELECT ?1", /no value here/],
  ["SELECT ?", /no value here/],
  ["SELECT '?', :n", /no value here/],
  // statements that would need too much memory
  ["SELECT zeroblob(1000000000)", /^SQL error: .*too large/],
  ["SELECT printf('%1000000000s', 'x')", /^SQL error: /],
  ["SELECT hex(zeroblob(4000000))", /^SQL error: .*too large/],
  [
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) SELECT group_concat(hex(zeroblob(5000))) FROM c",
    /too large/,
  ],
  [
    "WITH RECURSIVE c(s) AS (SELECT 'xxxxxxxx' UNION ALL SELECT s || s FROM c) SELECT max(length(s)) FROM c",
    /too large/,
  ],
  [
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000) SELECT n, randomblob(4000000) b FROM c ORDER BY b",
    /too large|ran for more/,
  ],
  [`SELECT 1${" + 1".repeat(1000)}`, /^SQL error: /],
  [`SELECT 1${" UNION SELECT 1".repeat(100)}`, /^SQL error: /],
  ["SELECT 1 WHERE \0", /^SQL error: /],
  // mistakes
  ["SELECT shoe_size FROM raw_users", /^SQL error: no such column: shoe_size$/],
  ["SELECT * FROM nowhere", /^SQL error: /],
  ["SELEC 1", /^Only SELECT/],
  ["SELECT 'unfinished", /^SQL error: /],
];

/** Statements that SQLite refuses and that do no harm to PostgreSQL. */
export const HARMLESS = /^SELECT 1( \+ 1| UNION SELECT 1)+$/;

/** Statements that PostgreSQL has to refuse, without the harmless ones, and the required error. */
export const REFUSED_BY_POSTGRES: [sql: string, says: RegExp][] = [
  ...REFUSED.map(([query, says]): [string, RegExp] => [
    query,
    /Only SELECT/.test(says.source) ? says : /^SQL error: /,
  ]),
  // other statements
  ["WITH x AS (DELETE FROM etl_runs RETURNING 1) SELECT * FROM x", /^SQL error: /],
  ["WITH x AS (INSERT INTO etl_runs (run_id) VALUES ('x') RETURNING 1) SELECT * FROM x", /^SQL error: /],
  ["SELECT 1; COMMIT; DELETE FROM etl_runs", /^SQL error: .*multiple commands/],
  ["SELECT * INTO t FROM etl_runs", /^SQL error: /],
  ["SELECT * INTO TEMP t FROM etl_runs", /^SQL error: /],
  ["SELECT * FROM etl_runs FOR UPDATE", /^SQL error: /],
  ["SELECT * FROM etl_runs FOR SHARE", /^SQL error: /],
  ["COPY etl_runs TO '/tmp/x'", /^Only SELECT/],
  ["COPY etl_runs TO PROGRAM 'id'", /^Only SELECT/],
  ["SET ROLE etl", /^Only SELECT/],
  ["DO $$ BEGIN END $$", /^Only SELECT/],
  ["select/**/1; select pg_sleep(1)", /multiple commands/],
  // files and the server
  ["SELECT pg_read_file('/etc/passwd')", /^SQL error: permission denied/],
  ["SELECT pg_read_binary_file('PG_VERSION')", /permission denied/],
  ["SELECT * FROM pg_ls_dir('/')", /permission denied/],
  ["SELECT pg_stat_file('PG_VERSION')", /permission denied/],
  ["SELECT lo_import('/etc/passwd')", /^SQL error: /],
  ["SELECT lo_export(1, '/tmp/x')", /^SQL error: /],
  ["SELECT lo_from_bytea(0, 'x')", /^SQL error: /],
  ["SELECT lo_create(0)", /^SQL error: /],
  ["SELECT pg_reload_conf()", /permission denied/],
  ["SELECT pg_rotate_logfile()", /permission denied/],
  ["SELECT pg_switch_wal()", /permission denied/],
  ["SELECT pg_create_restore_point('x')", /^SQL error: /],
  ["SELECT pg_logical_emit_message(true, 'a', 'b')", /^SQL error: /],
  ["SELECT * FROM dblink('', 'SELECT 1') AS t (x int)", /^SQL error: /],
  ["SELECT passwd FROM pg_shadow", /permission denied/],
  ["SELECT rolpassword FROM pg_authid", /permission denied/],
  ["SELECT * FROM pg_statistic", /permission denied/],
  ["SELECT * FROM pg_hba_file_rules", /permission denied/],
  [
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'etl'",
    /permission denied|must be/,
  ],
  ["SELECT pg_promote()", /permission denied/],
  ["SELECT setval('etl_runs_id_seq', 1)", /^SQL error: /],
  ["SELECT nextval('etl_runs_id_seq')", /^SQL error: /],
  // the tables behind the views
  ["SELECT json FROM public.raw_records", /permission denied.*only SELECT on etl_runs, raw_users/],
  ["SELECT raw_records FROM raw_records", /permission denied/],
  ["SELECT * FROM holds", /permission denied/],
  ["SELECT * FROM etl_schema", /permission denied/],
  ["TABLE raw_records", /^Only SELECT/],
  ["SELECT query_to_xml('SELECT json FROM raw_records', true, false, '')", /permission denied/],
  ["SELECT table_to_xml('raw_records', true, false, '')", /permission denied/],
  ["SELECT ts_stat('SELECT to_tsvector(json) FROM raw_records')", /^SQL error: /],
  // rights and limits of the session itself
  ["SELECT set_config('transaction_read_only', 'off', true), nextval('etl_runs_id_seq')", /^SQL error: /],
  ["SELECT set_config('role', 'etl', false)", /permission denied/],
  ["SELECT set_config('session_authorization', 'etl', false)", /permission denied/],
  ["SELECT set_config('session_replication_role', 'replica', false)", /permission denied/],
  // time and memory
  ["SELECT pg_sleep(60)", /ran for more than 1000 ms/],
  ["SELECT count(*) FROM generate_series(1, 1e12::bigint)", /ran for more than 1000 ms/],
  [
    "SELECT set_config('statement_timeout', '0', false) UNION ALL SELECT pg_sleep(60)::text FROM generate_series(1, 100)",
    /ran for more than 1000 ms/,
  ],
  [
    "SELECT set_config('statement_timeout', '0', false) FROM generate_series(1, 300) UNION ALL SELECT pg_sleep(60)::text",
    /ran for more than 1000 ms/,
  ],
  [
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c",
    /ran for more|out of range/,
  ],
  ["SELECT repeat('x', 100000000)", /too large|ran for more/],
  ["SELECT repeat('x', 2000000000)", /^SQL error: /],
  ["SELECT string_agg(repeat('x', 1000), '') FROM generate_series(1, 100000)", /too large|ran for more/],
  // mistakes
  ["SELECT 1 / 0", /^SQL error: division by zero/],
  ["SELECT $1", /^SQL error: /],
  ["SELECT 1 WHERE", /^SQL error: syntax error/],
];
