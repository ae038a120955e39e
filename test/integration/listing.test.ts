import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, opendirSync, openSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';

/** The full figure is 1,000,000; the default keeps a run of the suite short. */
const ENTRIES = Number(process.env['IMSSFS_TEST_ENTRIES'] ?? 8_000);
const MAX_CREATE_SECONDS_PER_100K = 240;

const STATTER = fileURLToPath(new URL('../support/statter.js', import.meta.url));

/** What `statter.ts` saw between its start and its stop. */
interface StatReport {
  answered: number;
  longestMs: number;
}

mountTest(
  `a folder of ${ENTRIES} entries lists completely while stats are answered`,
  async (t, mount) => {
    mkdirSync(mount.at('large'));
    writeFileSync(mount.at('watched'), 'x');
    for (let i = 0; i < ENTRIES; i++) closeSync(openSync(mount.at('large', `entry-${i}`), 'w'));

    const statter = fork(STATTER, [mount.at('watched')]);
    let report: StatReport;
    const seen = new Uint8Array(ENTRIES);
    try {
      await once(statter, 'message');
      const dir = opendirSync(mount.at('large'), { bufferSize: 1024 });
      for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) {
        const index = Number(entry.name.slice('entry-'.length));
        seen[index] = (seen[index] ?? 0) + 1;
      }
      dir.closeSync();
      statter.send('stop');
      [report] = (await once(statter, 'message')) as [StatReport];
    } finally {
      statter.kill('SIGKILL');
    }

    t.is(
      seen.findIndex((count) => count !== 1),
      -1,
      'an entry came not exactly once',
    );
    t.true(report.answered > 0, 'no stat was answered during the listing');
    t.log(`${report.answered} stats answered meanwhile, the slowest in ${report.longestMs} ms`);

    t.is(await sh('ls -f large | wc -l', { cwd: mount.path }), String(ENTRIES + 2));
    t.is(
      await sh('ls -lU large | tail -n +2 | wc -l', { cwd: mount.path, timeoutMs: 240_000 }),
      String(ENTRIES),
    );
    await sh('rm -r large', { cwd: mount.path, timeoutMs: 600_000 });
  },
  {
    timeoutMs: Math.max(120_000, (ENTRIES / 100_000) * MAX_CREATE_SECONDS_PER_100K * 1000),
    notByDefaultOn: ['fuse-native'],
  },
);
