/** Makes, renames and removes files as fast as it can, and prints what is done, until it is killed. */
import { writeSync } from 'node:fs';
import { SystemClock } from '../../src/clock.ts';
import { ROOT_INODE } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import { LocalMetaStore } from '../../src/meta/local.ts';

const [, , path = '', round = ''] = process.argv;
const LAST = 100_000;

const store = await LocalMetaStore.open({
  path,
  clock: new SystemClock(),
  reaper: { free: () => undefined },
  defaults: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
  owner: { uid: 0, gid: 0, mode: 0o755 },
  logger: silentLogger,
});
const entry = (name: string): { parent: typeof ROOT_INODE; name: Buffer } => ({
  parent: ROOT_INODE,
  name: Buffer.from(name),
});
const file = { mode: 0o100644, uid: 0, gid: 0 };
for (let index = 0; index < LAST; index++) {
  const [first, last, other] = ['first', 'last', 'other'].map(
    (what) => `${what}-${round}-${index}`,
  );
  const { inode } = store.create(entry(first ?? ''), file);
  store.create(entry(other ?? ''), file);
  store.rename(entry(first ?? ''), entry(last ?? ''));
  await store.reap(store.unlink(entry(other ?? '')).record.inode);
  writeSync(1, `${last} ${inode} ${index % 2 === 0 ? first : other}\n`);
}
