/** The VFS over stores that are elsewhere, and that other mounts use, too. */
import test from 'ava';
import { UnconfirmedTruncationError } from '../../../src/blocks/store.ts';
import { FsError } from '../../../src/errno.ts';
import type { Opened } from '../../../src/fs/types.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import { type HandleId, type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { FileType } from '../../../src/stat.ts';
import { Interruption, type MaybePromise, runTask, type Task } from '../../../src/task.ts';
import { manyTurns, withMounts } from '../../support/mounts.ts';

const SPEC = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };
const READ = { write: false, truncate: false };
const WRITE = { write: true, truncate: false };
const NEVER = { seconds: 0, nanoseconds: 0 };

const named = (name: string): { parent: InodeId; name: Buffer } => ({
  parent: ROOT_INODE,
  name: Buffer.from(name),
});

function create(vfs: Vfs, name: string): MaybePromise<Opened & { inode: InodeId }> {
  return runTask(vfs.create(named(name), SPEC, { ...WRITE, exclusive: true }));
}

function write(vfs: Vfs, handle: HandleId, text: string, offset = 0): MaybePromise<number> {
  const payload = { bytes: Buffer.from(text) };
  return runTask(vfs.write(handle, { offset, append: false, payload, dropPrivilegeBits: false }));
}

async function read(vfs: Vfs, handle: HandleId, length = 100): Promise<string> {
  const { slices } = await runTask(vfs.read(handle, { offset: 0, length }));
  return Buffer.concat(slices).toString();
}

/** A file that somebody has written and closed. */
async function settledFile(vfs: Vfs, name: string, text: string): Promise<InodeId> {
  const { inode, handle } = await create(vfs, name);
  await write(vfs, handle, text);
  await runTask(vfs.release(handle));
  return inode;
}

test('lookup, create, open, getattr and a listing with attributes ask the metadata server once', async (t) => {
  await withMounts(1, async ([mount]) => {
    if (mount === undefined) return;
    const { vfs } = mount;
    const inode = await settledFile(vfs, 'settled', 'data');
    await manyTurns();
    const expect = async (action: () => unknown, calls: string[]): Promise<void> => {
      t.deepEqual(await mount.callsOf(action), calls);
    };
    await expect(() => runTask(vfs.lookup(ROOT_INODE, Buffer.from('settled'))), ['lookup']);
    await expect(() => runTask(vfs.getattr(inode)), ['inode']);
    await expect(() => runTask(vfs.open(inode, READ)), ['openInode']);
    const directory = await runTask(vfs.opendir(ROOT_INODE));
    const page = { offset: 0, expectedEntries: 10, withAttributes: true };
    const sizes: number[] = [];
    const sink = {
      add: ({ stat }: { stat?: { sizeBytes: number } }): boolean => {
        if (stat !== undefined) sizes.push(stat.sizeBytes);
        return true;
      },
    };
    await expect(() => runTask(vfs.readdir(directory, page, sink)), ['list']);
    t.deepEqual(sizes, [4]);
    await expect(() => create(vfs, 'new'), ['create']);
  });
});

test('writers do not wait for notes, which are merged while one is under way; close does', async (t) => {
  await withMounts(1, async ([mount], { blocks, meta }) => {
    if (mount === undefined) return;
    const { vfs } = mount;
    const { inode, handle } = await create(vfs, 'file');
    const open = mount.hold('blocks.noteWrite');
    const calls = await mount.callsOf(async () => {
      for (let index = 0; index < 5; index++) await write(vfs, handle, 'abcd', 4 * index);
    });
    t.deepEqual(
      calls.filter((call) => call === 'blocks.writeBlock'),
      Array.from({ length: 5 }, () => 'blocks.writeBlock'),
    );
    t.is(calls.filter((call) => call === 'blocks.noteWrite').length, 1);
    t.is(
      await read(vfs, handle),
      'abcd'.repeat(5),
      'the mount reads what block 0 has not heard of',
    );
    let isClosed = false;
    const closing = Promise.resolve(runTask(vfs.release(handle))).then(() => (isClosed = true));
    await manyTurns();
    t.false(isClosed);
    t.is(blocks.readInner(meta.inode(inode)), undefined);
    open();
    await closing;
    t.is(mount.calls.filter((call) => call === 'blocks.noteWrite').length, 2);
    t.like(blocks.readInner(meta.inode(inode)), { sizeBytes: 20, storedBytes: 20 });
    t.like(meta.inode(inode), { sizeBytes: 20, unborn: false });
  });
});

test('getattr while notes are pending tells the size that was written', async (t) => {
  await withMounts(1, async ([mount]) => {
    if (mount === undefined) return;
    const { inode, handle } = await create(mount.vfs, 'file');
    const open = mount.hold('blocks.noteWrite');
    await write(mount.vfs, handle, '12345');
    const stat = Promise.resolve(runTask(mount.vfs.getattr(inode)));
    await manyTurns();
    open();
    t.is((await stat).sizeBytes, 5);
  });
});

test('a note that failed is told at the next flush, once, and to nobody before', async (t) => {
  await withMounts(1, async ([mount]) => {
    if (mount === undefined) return;
    const { vfs } = mount;
    const { inode, handle } = await create(vfs, 'file');
    mount.fail('blocks.noteWrite', new FsError('ENOSPC'));
    t.is(await write(vfs, handle, '12345'), 5);
    await runTask(vfs.getattr(inode));
    mount.fail('blocks.noteWrite', undefined);
    await t.throwsAsync(async () => runTask(vfs.flush(handle)), { message: /ENOSPC/ });
    await t.notThrowsAsync(async () => runTask(vfs.flush(handle)));
  });
});

test('only the last close of a shared mount’s writer tells the metadata server', async (t) => {
  await withMounts(1, async ([mount], { meta }) => {
    if (mount === undefined) return;
    const { vfs } = mount;
    const { inode, handle } = await create(vfs, 'file');
    await write(vfs, handle, '12345');
    await runTask(vfs.flush(handle));
    t.false(mount.calls.includes('reportData'));
    t.is(meta.inode(inode).sizeBytes, 0);
    await runTask(vfs.release(handle));
    t.is(meta.inode(inode).sizeBytes, 5);
    t.is(mount.levels.get(inode), 'none');
  });
});

test('concurrent opens and closes leave the metadata server with what is really open', async (t) => {
  await withMounts(1, async ([mount]) => {
    if (mount === undefined) return;
    const { vfs } = mount;
    const inode = await settledFile(vfs, 'file', 'data');
    const open = async (mode: typeof READ): Promise<HandleId> =>
      (await runTask(vfs.open(inode, mode))).handle;
    const [reader, writer] = await Promise.all([open(READ), open(WRITE)]);
    t.is(mount.levels.get(inode), 'write');
    await Promise.all([runTask(vfs.release(writer)), open(READ)]);
    t.is(mount.levels.get(inode), 'read');
    await runTask(vfs.release(reader));
    t.is(mount.levels.get(inode), 'read');
    const [again] = await Promise.all([open(WRITE), open(WRITE)]);
    await runTask(vfs.release(again));
    t.is(mount.levels.get(inode), 'write');
  });
});

test('an aborted write keeps its payload until the store is done with it, and has then written', async (t) => {
  await withMounts(1, async ([mount]) => {
    if (mount === undefined) return;
    const { handle } = await create(mount.vfs, 'file');
    const open = mount.hold('blocks.writeBlock');
    const abort = new Interruption();
    const payload = { bytes: Buffer.from('payload') };
    const request = { offset: 0, append: false, payload, dropPrivilegeBits: false };
    let isDone = false;
    const writing = Promise.resolve(runTask(mount.vfs.write(handle, request), () => abort)).finally(
      () => (isDone = true),
    );
    await manyTurns();
    abort.raise(new Error('interrupted'));
    await manyTurns();
    t.false(isDone);
    open();
    t.is(await writing, payload.bytes.length);
    t.is(await read(mount.vfs, handle), 'payload');
  });
});

test('what an interrupted create or unlink has done elsewhere is accounted for', async (t) => {
  await withMounts(1, async ([mount], { blocks }) => {
    if (mount === undefined) return;
    const { vfs } = mount;
    const interrupted = async <T>(call: string, task: Task<T>): Promise<T> => {
      const open = mount.hold(call);
      const abort = new Interruption();
      const running = Promise.resolve(runTask(task, () => abort));
      await manyTurns();
      abort.raise(new Error('interrupted'));
      await manyTurns();
      open();
      return await running;
    };
    const mode = { ...WRITE, exclusive: true };
    const { inode, handle } = await interrupted('create', vfs.create(named('file'), SPEC, mode));
    await write(vfs, handle, 'data');
    await runTask(vfs.release(handle));
    t.is(mount.levels.get(inode), 'none');
    await interrupted('unlink', vfs.unlink(named('file')));
    await manyTurns();
    t.true(mount.calls.includes('reap'));
    t.is(blocks.usage().datasets, 0);
  });
});

test('own changes keep the kernel’s pages, those of another mount do not', async (t) => {
  await withMounts(2, async ([one, two]) => {
    if (one === undefined || two === undefined) return;
    const inode = await settledFile(one.vfs, 'file', 'first');
    const reopened = async (): Promise<boolean> => {
      const { handle, keepsPages } = await runTask(one.vfs.open(inode, WRITE));
      await write(one.vfs, handle, 'own');
      await runTask(one.vfs.release(handle));
      return keepsPages;
    };
    t.true(await reopened());
    t.true(await reopened());
    const other = await runTask(two.vfs.open(inode, WRITE));
    await write(two.vfs, other.handle, 'theirs');
    await runTask(two.vfs.release(other.handle));
    t.false(await reopened());
    t.true(await reopened());
  });
});

test('what one mount has closed, another one opens: size and data', async (t) => {
  await withMounts(2, async ([one, two]) => {
    if (one === undefined || two === undefined) return;
    const inode = await settledFile(one.vfs, 'file', 'first');
    const { handle } = await runTask(two.vfs.open(inode, READ));
    t.is(await read(two.vfs, handle), 'first');
    const writer = await runTask(one.vfs.open(inode, WRITE));
    await write(one.vfs, writer.handle, ' and second', 5);
    await runTask(one.vfs.flush(writer.handle));
    t.is((await runTask(two.vfs.getattr(inode))).sizeBytes, 16, 'block 0 knows while it is open');
  });
});

test('a truncation that another mount did not finish is finished first, also by who has heard of it', async (t) => {
  await withMounts(2, async ([one, two]) => {
    if (one === undefined || two === undefined) return;
    const inode = await settledFile(one.vfs, 'file', 'some data');
    const dying = await runTask(one.vfs.open(inode, WRITE));
    one.fail('blocks.discard', new FsError('EIO'));
    await t.throwsAsync(async () => runTask(one.vfs.setattr(inode, { sizeBytes: 5 })));
    t.truthy(dying);
    const { handle } = await runTask(two.vfs.open(inode, WRITE));
    t.is(await read(two.vfs, handle), 'some ');
    const calls = await two.callsOf(() => runTask(two.vfs.setattr(inode, { sizeBytes: 3 })));
    t.deepEqual(
      calls.filter((call) => ['blocks.truncate', 'blocks.discard'].includes(call)),
      ['blocks.truncate', 'blocks.discard', 'blocks.truncate', 'blocks.discard'],
    );
  });
});

test('a truncation that another mount has carried out and followed by one of its own does not fail', async (t) => {
  await withMounts(2, async ([one, two]) => {
    if (one === undefined || two === undefined) return;
    const inode = await settledFile(one.vfs, 'file', 'some data');
    const { handle } = await runTask(one.vfs.open(inode, WRITE));
    const proceed = one.hold('blocks.discard');
    const first = runTask(one.vfs.setattr(inode, { sizeBytes: 5 }));
    await manyTurns();
    await runTask(two.vfs.setattr(inode, { sizeBytes: 3 }));
    proceed();
    await first;
    t.is(await read(one.vfs, handle), 'som');
    await write(one.vfs, handle, 'END', 7);
    t.is(await read(one.vfs, handle), 'som\0\0\0\0END');
  });
});

test('a server that never takes a truncation for confirmed makes it fail with EIO', async (t) => {
  await withMounts(1, async ([mount]) => {
    if (mount === undefined) return;
    const inode = await settledFile(mount.vfs, 'file', 'some data');
    const inner = {
      sizeBytes: 9,
      storedBytes: 9,
      dataVersion: 1,
      generation: 1,
      truncatedBytes: 9,
    };
    const attributes = { ...inner, atime: NEVER, mtime: NEVER, ctime: NEVER };
    mount.fail('blocks.truncate', new UnconfirmedTruncationError(attributes));
    const cut = async (): Promise<unknown> => runTask(mount.vfs.setattr(inode, { sizeBytes: 5 }));
    await t.throwsAsync(cut, { code: 'EIO' });
    mount.fail('blocks.truncate', undefined);
    await t.notThrowsAsync(cut);
  });
});

test('truncate to 0, death before the discard, truncate to 100: old bytes do not show', async (t) => {
  await withMounts(2, async ([one, two]) => {
    if (one === undefined || two === undefined) return;
    const inode = await settledFile(one.vfs, 'file', 'x'.repeat(200));
    one.hold('blocks.discard');
    void runTask(one.vfs.setattr(inode, { sizeBytes: 0 }));
    await manyTurns();
    t.true(one.calls.includes('blocks.discard'));
    await runTask(two.vfs.setattr(inode, { sizeBytes: 100 }));
    const { handle } = await runTask(two.vfs.open(inode, READ));
    t.is(await read(two.vfs, handle, 300), '\0'.repeat(100));
  });
});
