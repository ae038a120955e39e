import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';
import { LONG } from './bounds.ts';

mountTest(
  'SQLite keeps a database whole, with a journal and with a write-ahead log',
  async (t, mount) => {
    for (const mode of ['delete', 'wal']) {
      const insert = (writer: number): string =>
        `PRAGMA busy_timeout=60000; BEGIN IMMEDIATE; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)
       INSERT INTO t SELECT ${writer}*10000+i, hex(randomblob(100)) FROM n; COMMIT;`;
      const out = await sh(
        `sqlite3 $DB 'PRAGMA journal_mode=${mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);' > /dev/null
       for i in 1 2 3; do sqlite3 $DB "$(eval echo \\"\\$SQL$i\\")" > /dev/null & pids="\${pids:-} $!"; done
       for pid in $pids; do wait $pid; done
       sqlite3 $DB 'DELETE FROM t WHERE id % 3 = 0; VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t;'`,
        {
          ...LONG,
          cwd: mount.path,
          env: { DB: `${mode}.db`, SQL1: insert(1), SQL2: insert(2), SQL3: insert(3) },
        },
      );
      t.regex(out, /^ok\n4000$/);
    }
  },
);
