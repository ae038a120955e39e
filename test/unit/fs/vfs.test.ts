import test from 'ava';
import { FsError } from '../../../src/errno.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import type { HandleId, InodeId } from '../../../src/ids.ts';
import { ROOT_INODE } from '../../../src/ids.ts';
import type { DataReport } from '../../../src/meta/store.ts';
import { FileType } from '../../../src/stat.ts';
import { runSync, type Task } from '../../../src/task.ts';
import { replacing, type TestStoreOptions, withStores } from '../../support/stores.ts';

const MIB = 1024 * 1024;
const owner = { uid: 1, gid: 2 };

const named = (name: string, parent = ROOT_INODE): { parent: InodeId; name: Buffer } => ({
  parent,
  name: Buffer.from(name),
});

function create(vfs: Vfs, name: string): { inode: InodeId; handle: HandleId } {
  const spec = { mode: FileType.REGULAR | 0o644, ...owner };
  return runSync(vfs.create(named(name), spec, { exclusive: true, write: true, truncate: false }));
}

function write(
  vfs: Vfs,
  handle: HandleId,
  data: Buffer,
  at: { offset?: number; append?: boolean } = {},
): number {
  const { offset = 0, append = false } = at;
  const payload = { bytes: data };
  return runSync(vfs.write(handle, { offset, append, payload, dropPrivilegeBits: false }));
}

function read(vfs: Vfs, handle: HandleId, offset: number, length: number): Buffer {
  return Buffer.concat(runSync(vfs.read(handle, { offset, length })).slices);
}

function code(task: Task<unknown>): string {
  try {
    runSync(task);
    return 'ok';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Stores whose metadata server has no room for the reports on inodes that `isRefused` names. */
function refusingReports(
  isRefused: (inode: InodeId) => boolean,
): NonNullable<TestStoreOptions['wrap']> {
  const refuse = (inode: InodeId, report: DataReport | undefined): void => {
    if (report !== undefined && isRefused(inode)) throw new FsError('ENOSPC');
  };
  return ({ meta, blocks }) => {
    const flushing = replacing(meta, 'reportData', (report) => (inode, data) => {
      refuse(inode, data);
      return report(inode, data);
    });
    const closing = replacing(flushing, 'closeInode', (close) => (inode, level, data) => {
      refuse(inode, data);
      return close(inode, level, data);
    });
    return { blocks, meta: closing };
  };
}

test('a write that fits only in part stores what fits, and the size says so', async (t) => {
  await withStores({ capacityBytes: 4 * MIB }, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'big');
    const stored = write(vfs, handle, Buffer.alloc(6 * MIB, 1));
    t.true(stored > 0 && stored < 6 * MIB);
    t.is(runSync(vfs.getattr(inode)).sizeBytes, stored);
    t.throws(() => write(vfs, handle, Buffer.alloc(MIB), { offset: stored }), {
      message: /ENOSPC/,
    });
    t.is(runSync(vfs.getattr(inode)).sizeBytes, stored);
  });
});

test('an append that finds no room gives its reserved range back', async (t) => {
  await withStores({ capacityBytes: 4 * MIB }, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'log');
    write(vfs, handle, Buffer.from('begin'), { append: true });
    const stored = write(vfs, handle, Buffer.alloc(6 * MIB, 1), { append: true });
    t.true(stored < 6 * MIB);
    t.is(runSync(vfs.getattr(inode)).sizeBytes, 5 + stored);
    t.throws(() => write(vfs, handle, Buffer.alloc(3 * MIB), { append: true }), {
      message: /ENOSPC/,
    });
    t.is(runSync(vfs.getattr(inode)).sizeBytes, 5 + stored);
    t.is(read(vfs, handle, 0, 6).toString('latin1'), 'begin\u0001');
  });
});

test('a symlink made while the block store is full is whole', async (t) => {
  await withStores({ capacityBytes: MIB }, ({ vfs }) => {
    const { handle } = create(vfs, 'filler');
    while (
      code(
        vfs.write(handle, {
          offset: runSync(vfs.statfs()).freeBytes,
          append: true,
          payload: { bytes: Buffer.alloc(64) },
          dropPrivilegeBits: false,
        }),
      ) === 'ok'
    );
    const target = Buffer.from('x'.repeat(4000));
    const { inode, stat } = runSync(vfs.symlink(named('link'), target, owner));
    t.is(stat.sizeBytes, 4000);
    t.deepEqual(runSync(vfs.readlink(inode)), target);
  });
});

test('shrinking and growing again reads as zeros', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'file');
    write(vfs, handle, Buffer.alloc(2 * MIB + 10, 7));
    runSync(vfs.setattr(inode, { sizeBytes: MIB + 5 }));
    runSync(vfs.setattr(inode, { sizeBytes: 3 * MIB }));
    t.is(read(vfs, handle, MIB, 6).toString('hex'), '070707070700');
    t.true(read(vfs, handle, MIB + 5, 2 * MIB).every((byte) => byte === 0));
    t.is(runSync(vfs.getattr(inode)).storedBytes, MIB + 5);
  });
});

test('times set together with a size are the times that stay', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode } = create(vfs, 'file');
    const mtime = { seconds: -5, nanoseconds: 123 };
    const stat = runSync(vfs.setattr(inode, { sizeBytes: 10, mtime }));
    t.deepEqual(stat.mtime, mtime);
    t.is(stat.sizeBytes, 10);
  });
});

test('times of an empty file and of a written one are kept to the nanosecond', async (t) => {
  await withStores({}, ({ vfs }) => {
    const atime = { seconds: 5_000_000_000, nanoseconds: 999_999_999 };
    for (const data of ['', 'data']) {
      const { inode, handle } = create(vfs, `file-${data}`);
      write(vfs, handle, Buffer.from(data));
      runSync(vfs.setattr(inode, { atime, mtime: 'now' }));
      runSync(vfs.release(handle));
      t.deepEqual(runSync(vfs.getattr(inode)).atime, atime);
    }
  });
});

test('a chown takes set-uid, and set-gid only where the group may execute', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode } = create(vfs, 'program');
    runSync(vfs.setattr(inode, { permissions: 0o6755 }));
    t.is(runSync(vfs.setattr(inode, { uid: 9 })).mode & 0o7777, 0o755);
    runSync(vfs.setattr(inode, { permissions: 0o6744 }));
    t.is(runSync(vfs.setattr(inode, { gid: 9 })).mode & 0o7777, 0o2744);
  });
});

test('the metadata server knows size and version once the writer has closed', async (t) => {
  await withStores({}, ({ vfs, meta }) => {
    const { inode, handle } = create(vfs, 'file');
    t.true(meta.inode(inode).unborn);
    write(vfs, handle, Buffer.from('12345'));
    t.is(meta.inode(inode).sizeBytes, 0);
    runSync(vfs.flush(handle));
    const { sizeBytes, storedBytes, unborn, dataVersion } = meta.inode(inode);
    t.deepEqual([sizeBytes, storedBytes, unborn], [5, 5, false]);
    t.true(dataVersion > 0);
  });
});

test('data outlives a close that the metadata server could not be told of', async (t) => {
  let isFull = true;
  const wrap = refusingReports(() => isFull);
  await withStores({ wrap }, ({ vfs, meta }) => {
    const { inode, handle } = create(vfs, 'file');
    write(vfs, handle, Buffer.from('12345'));
    t.is(code(vfs.flush(handle)), 'ENOSPC');
    t.is(code(vfs.release(handle)), 'ENOSPC');
    t.is(runSync(vfs.getattr(inode)).sizeBytes, 5);
    isFull = false;
    const { handle: again } = runSync(vfs.open(inode, { write: false, truncate: false }));
    t.is(read(vfs, again, 0, 9).toString(), '12345');
    runSync(vfs.flush(again));
    t.like(meta.inode(inode), { unborn: false, sizeBytes: 5 });
  });
});

test('open with truncation empties the file, opening what is no file fails', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'file');
    write(vfs, handle, Buffer.from('old'));
    runSync(vfs.open(inode, { write: true, truncate: true }));
    t.is(runSync(vfs.getattr(inode)).sizeBytes, 0);
    t.is(code(vfs.open(ROOT_INODE, { write: false, truncate: false })), 'EISDIR');
    t.is(code(vfs.opendir(inode)), 'ENOTDIR');
    t.is(code(vfs.setattr(ROOT_INODE, { sizeBytes: 0 })), 'EISDIR');
  });
});

test('a size beyond exact numbers fails with EFBIG', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'file');
    t.is(code(vfs.setattr(inode, { sizeBytes: 2 ** 53 })), 'EFBIG');
    const payload = { bytes: Buffer.from('xy') };
    const offset = Number.MAX_SAFE_INTEGER - 1;
    t.is(
      code(vfs.write(handle, { offset, append: false, payload, dropPrivilegeBits: false })),
      'EFBIG',
    );
    t.is(runSync(vfs.getattr(inode)).sizeBytes, 0);
  });
});

test('handles that are not open are EBADF, and one kind is not taken for the other', async (t) => {
  await withStores({}, ({ vfs }) => {
    const missing = 77 as HandleId;
    t.is(code(vfs.read(missing, { offset: 0, length: 1 })), 'EBADF');
    t.is(code(vfs.release(missing)), 'EBADF');
    const directory = runSync(vfs.opendir(ROOT_INODE));
    t.is(code(vfs.read(directory, { offset: 0, length: 1 })), 'EBADF');
    runSync(vfs.release(directory));
    t.is(code(vfs.release(directory)), 'EBADF');
  });
});

test('extended attributes: modes, limits and namespaces', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode } = create(vfs, 'file');
    const name = Buffer.from('user.key');
    const value = Buffer.from('value');
    t.is(code(vfs.xattrs.get(inode, name)), 'ENODATA');
    t.is(code(vfs.xattrs.set(inode, name, value, 'replace')), 'ENODATA');
    t.is(code(vfs.xattrs.set(inode, name, value, 'create')), 'ok');
    t.is(code(vfs.xattrs.set(inode, name, value, 'create')), 'EEXIST');
    t.deepEqual(runSync(vfs.xattrs.get(inode, name)), value);
    t.is(runSync(vfs.xattrs.list(inode, { uid: 0 })).toString('latin1'), 'user.key\0');
    t.is(code(vfs.xattrs.set(inode, name, Buffer.alloc(65_537), 'either')), 'E2BIG');
    t.is(
      code(vfs.xattrs.set(inode, Buffer.from(`user.${'n'.repeat(251)}`), value, 'either')),
      'ERANGE',
    );
    t.is(
      code(vfs.xattrs.set(inode, Buffer.from('system.posix_acl_access'), value, 'either')),
      'EOPNOTSUPP',
    );
    t.is(code(vfs.xattrs.remove(inode, name)), 'ok');
    t.is(code(vfs.xattrs.remove(inode, name)), 'ENODATA');
  });
});

test('an attribute set on an empty file does not change what its first write makes of it', async (t) => {
  await withStores({}, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'file');
    runSync(vfs.xattrs.set(inode, Buffer.from('user.a'), Buffer.from('1'), 'either'));
    write(vfs, handle, Buffer.from('data'));
    t.is(read(vfs, handle, 0, 9).toString(), 'data');
    t.is(runSync(vfs.xattrs.get(inode, Buffer.from('user.a'))).toString(), '1');
  });
});

test('the layout of an open file changes as long as it has no data, and its data go by it', async (t) => {
  const set = (vfs: Vfs, inode: InodeId, bytes: string): string =>
    code(vfs.xattrs.set(inode, Buffer.from('user.imss.block_size'), Buffer.from(bytes), 'either'));
  const data = Buffer.alloc(100_000, 'data');
  await withStores({}, ({ vfs }) => {
    const { inode, handle } = create(vfs, 'file');
    t.is(set(vfs, inode, '64K'), 'ok');
    write(vfs, handle, data);
    t.is(set(vfs, inode, '4K'), 'EEXIST', 'before anybody was told of the data');
    write(vfs, handle, data, { offset: data.length });
    runSync(vfs.release(handle));
    t.is(set(vfs, inode, '4K'), 'EEXIST');
    const again = runSync(vfs.open(inode, { write: false, truncate: false })).handle;
    t.true(read(vfs, again, 0, 200_000).equals(Buffer.concat([data, data])));
  });
});

test('the end of the mount frees what was unlinked while open', async (t) => {
  await withStores({}, ({ vfs, blocks, meta }) => {
    const { handle } = create(vfs, 'file');
    write(vfs, handle, Buffer.alloc(MIB));
    runSync(vfs.unlink(named('file')));
    t.true(blocks.usage().usedBytes >= MIB);
    runSync(vfs.shutdown());
    t.is(blocks.usage().usedBytes, 0);
    t.is(meta.inodeCount(), 1);
  });
});

test('at the end, a file whose last report fails keeps no other from reporting', async (t) => {
  let broken: InodeId | undefined;
  const wrap = refusingReports((inode) => inode === broken);
  await withStores({ wrap }, ({ vfs, meta }) => {
    const first = create(vfs, 'first');
    const second = create(vfs, 'second');
    const removed = create(vfs, 'removed');
    for (const { handle } of [first, second, removed]) write(vfs, handle, Buffer.alloc(10, 1));
    runSync(vfs.unlink(named('removed')));
    broken = first.inode;
    runSync(vfs.shutdown());
    t.is(meta.inode(second.inode).sizeBytes, 10);
    t.is(meta.inodeCount(), 3);
  });
});
