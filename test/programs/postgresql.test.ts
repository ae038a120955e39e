/** A PostgreSQL cluster whose data, log and socket are in the mount, run by an ordinary user. */
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { sh } from '../support/run.ts';
import { ALICE } from '../support/users.ts';
import { LONG, WHOLE_TEST } from './bounds.ts';

/** Where Debian puts the programs of each version. */
const VERSIONS = '/usr/lib/postgresql';

/** The newest version's programs, or those that are in the PATH. */
function programs(): string {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS) : [];
  const newest = versions
    .filter((version) => existsSync(join(VERSIONS, version, 'bin', 'postgres')))
    .sort((a, b) => Number(b) - Number(a))[0];
  return newest === undefined ? '' : join(VERSIONS, newest, 'bin') + delimiter;
}

const CLIENTS = 4;
const TRANSACTIONS = 150;

const SETTINGS = [
  "listen_addresses = ''",
  "unix_socket_directories = '.'",
  'shared_buffers = 8MB',
  'max_connections = 12',
  // So that data, not the log alone, is written while the benchmark runs.
  'checkpoint_timeout = 30s',
  'max_wal_size = 32MB',
  'min_wal_size = 32MB',
];

/**
 * Shell functions. The server is a child of the script that starts it, so it ends with it at the latest: `serve` waits
 * until it answers, `end` until it has ended in order.
 */
const FUNCTIONS = `
  again() { n=$((n + 1)); test $n -lt 1000; sleep 0.05; }
  serve() { postgres -D data >> log 2>&1 & server=$!; n=0; until pg_isready -q -h "$PWD/data"; do again; done; }
  end() { kill -INT $server; wait $server; }
  ask() { psql -h "$PWD/data" -U postgres -X -A -t -v ON_ERROR_STOP=1 -c "$1" postgres; }
  bench() { pgbench -h "$PWD/data" -U postgres "$@" postgres; }
`;

class Cluster {
  readonly #mount: Mount;

  constructor(mount: Mount) {
    this.#mount = mount;
    if (process.getuid?.() !== 0) return;
    for (const folder of [mount.path, mount.scratch]) {
      chownSync(folder, ALICE.uid, ALICE.gid);
      chmodSync(folder, 0o700);
    }
  }

  /** Runs a script as its user. */
  run(script: string): Promise<string> {
    const path = programs() + (process.env['PATH'] ?? '');
    const user = process.getuid?.() === 0 ? ALICE : {};
    return sh(FUNCTIONS + script, {
      ...LONG,
      ...user,
      cwd: this.#mount.path,
      env: { HOME: this.#mount.scratch, PATH: path, PGTZ: 'UTC' },
    });
  }

  async create(): Promise<void> {
    const settings = SETTINGS.map((line) => `echo "${line}" >> data/postgresql.conf`).join('\n');
    // Making it is some 110,000 requests, which is enough where each is a round trip.
    const sync = this.#mount.engine === 'detached' ? '--no-sync' : '';
    await this.run(
      `initdb ${sync} -D data -U postgres -A trust -E UTF8 --locale=C -k > /dev/null; ${settings}`,
    );
  }

  /** Runs a script while the server is up; returns how many transactions the benchmark's history has afterwards. */
  async history(t: ExecutionContext, script: string): Promise<number> {
    const sums = await this.run(
      `serve; ${script}
       ask 'SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
         (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history),
         (SELECT count(*) FROM pgbench_history), (SELECT count(*) FROM pgbench_accounts)'
       end`,
    );
    const [accounts, tellers, branches, deltas, count, rows] = sums.split('|');
    t.deepEqual([accounts, tellers, branches], [deltas, deltas, deltas], sums);
    t.is(rows, '100000');
    return Number(count);
  }
}

mountTest(
  'PostgreSQL makes a cluster, keeps the sums of its benchmark, and recovers after kill -9',
  async (t, mount) => {
    const cluster = new Cluster(mount);
    await cluster.create();
    const transactions = `-c ${CLIENTS} -j 2 -t ${TRANSACTIONS}`;
    const first = `bench -i -q -s 1 2> initialised; bench -n ${transactions} > result 2>&1`;
    t.is(await cluster.history(t, first), CLIENTS * TRANSACTIONS);

    // In the middle of transactions, with all its processes; what it had answered before must be there afterwards.
    const told = await cluster.run(
      `serve; bench -n -c ${CLIENTS} -j 2 -T 100 > killed 2>&1 & clients=$!
       count() { ask 'SELECT count(*) FROM pgbench_history'; }
       n=0; until test "$(count)" -gt ${CLIENTS * TRANSACTIONS + 100}; do again; done
       count; children=$(cat /proc/$server/task/*/children)
       kill -9 $server $children || echo 'one had just ended' >&2; wait $server || true; wait $clients || true`,
    );
    const recovered = await cluster.history(t, ':');
    t.true(recovered >= Number(told), `${recovered} of ${told} transactions`);
    t.regex(readFileSync(mount.at('log'), 'utf8'), /automatic recovery in progress/);

    const more = "ask 'VACUUM FULL pgbench_accounts'; ask CHECKPOINT; bench -n -t 20 > result 2>&1";
    t.is(await cluster.history(t, `{ ${more}; } > said`), recovered + 20);
    t.regex(await cluster.run('pg_checksums --check -D data'), /Bad checksums: +0/);
  },
  { ...WHOLE_TEST, lacks: 'caller' },
);
