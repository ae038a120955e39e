/** Which server keeps what, and what new datasets are called where there are several. */
import test from 'ava';
import { type InodeId, makeInodeId, ROOT_INODE } from '../../../../src/ids.ts';
import { DatasetUris } from '../../../../src/meta/dataset-uris.ts';
import { ElsewhereError } from '../../../../src/meta/distributed/errors.ts';
import { SpreadNumbers } from '../../../../src/meta/distributed/numbers.ts';
import {
  serverForDirectory,
  serverOfKey,
  serverOfRange,
} from '../../../../src/meta/distributed/ownership.ts';
import { InodeNumbers } from '../../../../src/meta/inode-numbers.ts';
import {
  clientKey,
  entryKey,
  inodeKey,
  listingKey,
  numberKey,
  pairKey,
  systemKey,
  SystemKey,
  Table,
  tableRange,
} from '../../../../src/meta/keys.ts';
import { encodeInode, type StoredInode } from '../../../../src/meta/records.ts';
import { FileType } from '../../../../src/stat.ts';
import { runSync, wait } from '../../../../src/task.ts';
import { MemoryDatabase } from '../../../support/metadata-cluster/memory-database.ts';

const INODE = makeInodeId(3, 9);

test('a key about an inode is kept where its number says; sessions and the like by each server', (t) => {
  const name = Buffer.from('name');
  const keys = [inodeKey(INODE), entryKey(INODE, name), listingKey(INODE, 1)];
  for (const key of keys) t.is(serverOfKey(key), 3);
  t.is(serverOfKey(numberKey(Table.ORPHANS, INODE)), 3);
  t.is(serverOfKey(inodeKey(ROOT_INODE)), 0);
  t.is(serverOfKey(systemKey(SystemKey.IDENTITY)), undefined);
  t.is(serverOfKey(numberKey(Table.SESSIONS, INODE)), undefined);
  t.is(serverOfKey(pairKey(Table.REPLIES, INODE, 1)), undefined);
  t.is(serverOfKey(clientKey(Buffer.alloc(16, 0xff))), undefined);
  t.is(serverOfRange(tableRange(Table.INODES)), undefined);
  t.is(serverOfRange({ start: listingKey(INODE, 1), end: listingKey(INODE, 5) }), 3);
});

test('directories of many names spread evenly, those of one name always go the same way', (t) => {
  const counts = [0, 0, 0, 0];
  for (let index = 0; index < 4000; index++) {
    const server = serverForDirectory(ROOT_INODE, Buffer.from(`directory-${index}`), 4);
    t.is(server, serverForDirectory(ROOT_INODE, Buffer.from(`directory-${index}`), 4));
    counts[server] = (counts[server] ?? 0) + 1;
  }
  for (const count of counts) t.true(count > 800 && count < 1200, String(counts));
});

test('a number of another server is not given out here', (t) => {
  const numbers = new SpreadNumbers({ server: 1, servers: 3, own: new InodeNumbers(1) });
  const database = new MemoryDatabase();
  const parent = makeInodeId(1, 2);
  const foreign = Array.from({ length: 100 }, (_item, index) => Buffer.from(String(index))).find(
    (name) => serverForDirectory(parent, name, 3) === 2,
  );
  const use = { parent, name: foreign ?? Buffer.alloc(0), directory: true };
  const error = t.throws(() => database.transact((kv) => numbers.next(kv, use)), {
    instanceOf: ElsewhereError,
  });
  t.is(error.server, 2);
  const file = database.transact((kv) => numbers.next(kv, { ...use, directory: false }));
  t.is(Math.floor(file / 2 ** 40), 1);
});

function directory(inode: InodeId, parent: InodeId, name: string, uri: string): StoredInode {
  const time = { seconds: 0, nanoseconds: 0 };
  return {
    inode,
    mode: FileType.DIRECTORY | 0o755,
    nlink: 2,
    uid: 0,
    gid: 0,
    rdev: 0,
    atime: time,
    mtime: time,
    ctime: time,
    sizeBytes: 40,
    storedBytes: 0,
    dataVersion: 0,
    generation: 0,
    truncatedBytes: 0,
    unborn: true,
    hasWriters: false,
    layout: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
    mapEpoch: 1,
    home: 0,
    uri,
    target: undefined,
    parent,
    directory: { name: Buffer.from(name), lastSequence: 0, entries: 0 },
  };
}

test('a URI begins with that of the first directory whose parent is on another server', (t) => {
  const database = new MemoryDatabase();
  const [above, below] = [makeInodeId(1, 2), makeInodeId(1, 3)];
  // It was made as imss://far/above, and has since been renamed on its server.
  const top = directory(above, makeInodeId(2, 5), 'renamed', 'imss://far/above');
  const inner = directory(below, above, 'inner', 'imss://somewhere/else');
  database.transact(function* (kv) {
    for (const record of [top, inner]) {
      yield* wait(kv.put(inodeKey(record.inode), encodeInode(record)));
    }
  });
  const uris = new DatasetUris();
  const uri = (parent: StoredInode): string =>
    runSync(uris.forNew(database, parent, Buffer.from('file'), makeInodeId(1, 9)));
  t.is(uri(inner), 'imss://far/above/inner/file');
  t.is(uri(top), 'imss://far/above/file');
  const atTop = directory(makeInodeId(1, 4), ROOT_INODE, 'near', 'imss://old-name');
  t.is(uri(atTop), 'imss://near/file');
});

test('what was read without agreement leaves nothing behind that URIs are made of', (t) => {
  const database = new MemoryDatabase();
  const [parent, child] = [makeInodeId(1, 2), makeInodeId(1, 3)];
  const name = Buffer.from('file');
  const inner = directory(child, parent, 'inner', 'imss://x');
  const put = (text: string): void => {
    const record = directory(parent, ROOT_INODE, text, 'imss://y');
    database.transact((kv) => wait(kv.put(inodeKey(parent), encodeInode(record))));
  };
  const uris = new DatasetUris();
  put('never');
  const tentative = { ...readerOf(database), tentative: true as const };
  t.is(runSync(uris.forNew(tentative, inner, name, child)), 'imss://never/inner/file');
  put('true');
  t.is(runSync(uris.forNew(database, inner, name, child)), 'imss://true/inner/file');
});

function readerOf(database: MemoryDatabase): Pick<MemoryDatabase, 'get' | 'range'> {
  return { get: (key) => database.get(key), range: (range) => database.range(range) };
}
