import { join } from 'node:path';
import test from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import type { InodeId } from '../../../src/ids.ts';
import { silentLogger } from '../../../src/log.ts';
import { Table, tableRange } from '../../../src/meta/keys.ts';
import { KeyValueError } from '../../../src/meta/kv.ts';
import { LmdbKeyValue } from '../../../src/meta/lmdb-kv.ts';
import { Reaping } from '../../../src/meta/reaping.ts';
import { mark } from '../../../src/meta/tables.ts';
import { temporaryFolder } from './helpers.ts';

test('an orphan that the database could not forget is reaped again, and counted once', async (t) => {
  const database = LmdbKeyValue.open(join(temporaryFolder(t), 'data'));
  t.teardown(() => database.close());
  let broken = true;
  const failing = new Proxy(database, {
    get(target, property) {
      if (property === 'transact' && broken) {
        return () => {
          throw new KeyValueError('EIO', 'broken');
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  let gone = 0;
  const freed: InodeId[] = [];
  const reaping = new Reaping({
    database: failing,
    reaper: { free: (inode) => void freed.push(inode) },
    clock: new ManualClock(),
    logger: silentLogger,
    onGone: () => gone++,
  });
  t.teardown(() => {
    reaping.close();
  });
  const orphan = 7 as InodeId;
  database.transact((kv) => mark(kv, Table.ORPHANS, orphan));

  await reaping.reap(orphan);
  await reaping.retry();
  t.is(gone, 0);
  broken = false;
  await reaping.retry();
  await reaping.retry();
  t.is(gone, 1);
  t.deepEqual(freed, [orphan, orphan, orphan]);
  t.is(database.count(tableRange(Table.ORPHANS)), 0);
});
