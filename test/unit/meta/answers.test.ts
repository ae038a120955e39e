import test from 'ava';
import type { EntrySequence, InodeId } from '../../../src/ids.ts';
import { oneForEach, pageOf, possibleRecord, recordOf } from '../../../src/meta/answers.ts';
import type { InodeRecord, ListedEntry } from '../../../src/meta/store.ts';
import { ProtocolError } from '../../../src/net/errors.ts';

const NEVER = { seconds: 0, nanoseconds: 0 };
const RECORD: InodeRecord = {
  ...{ inode: 5 as InodeId, mode: 0o100644, nlink: 1, uid: 2, gid: 3, rdev: 0 },
  ...{ sizeBytes: 0, storedBytes: 0, atime: NEVER, mtime: NEVER, ctime: NEVER },
  ...{ dataVersion: 0, generation: 0, truncatedBytes: 0, unborn: false, unsettled: false },
  layout: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
  ...{ mapEpoch: 1, home: 0, uri: 'imss://a', target: undefined, parent: 0 },
};
const MALFORMED = { instanceOf: ProtocolError };

test('a record of no type, or of blocks that are too small, is malformed', (t) => {
  t.is(possibleRecord(RECORD), RECORD);
  for (const mode of [0, 0o644, 0o170644, 0o30000]) {
    t.throws(() => possibleRecord({ ...RECORD, mode }), MALFORMED);
  }
  for (const blockSizeBytes of [0, 1, 4095]) {
    const layout = { ...RECORD.layout, blockSizeBytes };
    t.throws(() => possibleRecord({ ...RECORD, layout }), MALFORMED);
  }
});

test('the record of another inode than was asked for is malformed', (t) => {
  t.is(recordOf(5 as InodeId, RECORD), RECORD);
  t.throws(() => recordOf(6 as InodeId, RECORD), MALFORMED);
});

test('more or fewer answers than questions are malformed', (t) => {
  t.deepEqual(oneForEach([1, 2], ['a', 'b']), ['a', 'b']);
  t.throws(() => oneForEach([1, 2], ['a']), MALFORMED);
  t.throws(() => oneForEach([], ['a']), MALFORMED);
});

test('a page of a listing that would be asked for again, or for ever, is malformed', (t) => {
  const entry = (sequence: number, name = 'n'): ListedEntry => ({
    ...{ name: Buffer.from(name, 'latin1'), inode: 7 as InodeId, type: 0o100000 },
    sequence: sequence as EntrySequence,
  });
  const asked = { after: 2 as EntrySequence, upTo: undefined, limit: 3, withRecords: false };
  const page = (entries: ListedEntry[], isLast = true): unknown =>
    pageOf(asked, { directory: RECORD, upTo: 9 as EntrySequence, entries, isLast });
  t.notThrows(() => page([]));
  t.notThrows(() => page([entry(3), entry(5), entry(9)], false));
  t.throws(() => page([], false), MALFORMED, 'nothing, and more to come');
  t.throws(() => page([entry(2)]), MALFORMED, 'what was listed before');
  t.throws(() => page([entry(3), entry(3)]), MALFORMED, 'one twice');
  t.throws(() => page([entry(5), entry(4)]), MALFORMED, 'backwards');
  t.throws(() => page([entry(10)]), MALFORMED, 'beyond the end');
  t.throws(() => page([entry(3), entry(4), entry(5), entry(6)]), MALFORMED, 'too many');
  for (const name of ['', 'a/b', 'a\0', 'x'.repeat(256)]) {
    t.throws(() => page([entry(3, name)]), MALFORMED, `the name "${name}"`);
  }
});
