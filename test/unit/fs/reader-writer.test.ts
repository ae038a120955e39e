import test from 'ava';
import type { BlockData } from '../../../src/blocks/store.ts';
import { FsError } from '../../../src/errno.ts';
import { HandleTable } from '../../../src/fs/handles.ts';
import { readRange } from '../../../src/fs/reader.ts';
import { writeBlocks } from '../../../src/fs/writer.ts';
import type { InodeId } from '../../../src/ids.ts';
import { Interruption, runSync, runTask } from '../../../src/task.ts';
import { replacing } from '../../support/stores.ts';
import { make } from '../blocks/fixtures.ts';

const BLOCK = 4096;

test('a write over several blocks reads back as one range', (t) => {
  const { store, view } = make({ blockSizeBytes: BLOCK });
  const bytes = Buffer.from('abcd'.repeat(3000));
  const tally = { storedDelta: 0 };
  const write = { offset: 100, payload: { bytes } };
  t.is(runSync(writeBlocks(store, view, write, tally)), 12_000);
  t.is(tally.storedDelta, 12_100);
  const { slices } = runSync(readRange(store, view, { offset: 100, length: 12_000 }));
  t.true(Buffer.concat(slices).equals(bytes));
});

test('of a write into a store that fills, what lies before the first gap counts', (t) => {
  const { store, view } = make({ blockSizeBytes: BLOCK });
  const full = replacing(store, 'writeBlock', (write) => (to, block, offset, payload) => {
    if (block === 3) throw new FsError('ENOSPC');
    return write(to, block, offset, payload);
  });
  const payload = { bytes: Buffer.alloc(4 * BLOCK, 1) };
  const write = (offset: number): number =>
    runSync(writeBlocks(full, view, { offset, payload }, { storedDelta: 0 }));
  t.is(write(0), 2 * BLOCK);
  t.throws(() => write(2 * BLOCK), { message: /ENOSPC/ });
});

test('a server that fails takes the whole write with it, and a read gives its parts back', async (t) => {
  const { store, view } = make({ blockSizeBytes: BLOCK });
  let released = 0;
  const broken = replacing(store, 'writeBlock', () => () => {
    throw new FsError('EIO');
  });
  const bytes = Buffer.alloc(2 * BLOCK, 1);
  const write = { offset: 0, payload: { bytes } };
  t.throws(() => runSync(writeBlocks(broken, view, write, { storedDelta: 0 })), { message: /EIO/ });
  const reading = replacing(store, 'readBlock', (read) => (from, block, range) => {
    if (block === 2) return Promise.reject(new FsError('EIO')) as never;
    return { ...read(from, block, range), release: () => released++ };
  });
  const range = { offset: 0, length: 3 * BLOCK };
  await t.throwsAsync(async () => runTask(readRange(reading, view, range)), { message: /EIO/ });
  t.is(released, 2);
});

test('data that comes when its reader has been interrupted is given back', async (t) => {
  const { store, view } = make({ blockSizeBytes: BLOCK });
  const asked: ((data: BlockData) => void)[] = [];
  const late = replacing(store, 'readBlock', () => () => {
    return new Promise<BlockData>((resolve) => asked.push(resolve)) as never;
  });
  const interruption = new Interruption();
  const reading = runTask(readRange(late, view, { offset: 0, length: 10 }), () => interruption);
  interruption.raise(new FsError('EINTR'));
  await t.throwsAsync(async () => reading, { message: 'EINTR' });
  let released = 0;
  asked[0]?.({ slices: [Buffer.alloc(10)], release: () => released++ });
  await Promise.resolve();
  t.is(released, 1);
});

test('the level of a file is that of its most demanding user, and the last one takes it along', (t) => {
  const handles = new HandleTable();
  const inode = 5 as InodeId;
  handles.enter(inode, false);
  handles.enter(inode, true);
  t.is(handles.leave(inode, false), 'write');
  handles.enter(inode, false);
  t.is(handles.leave(inode, true), 'read');
  t.is(handles.useCounts().openFiles, 1);
  t.is(handles.leave(inode, false), 'none');
  t.is(handles.useCounts().openFiles, 0);
});
