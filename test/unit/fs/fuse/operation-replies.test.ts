import test from 'ava';
import { FUSE_ROOT_ID } from '../../../../src/fs/fuse/abi.ts';
import { FreshAttributes } from '../../../../src/fs/fuse/fresh-attributes.ts';
import { NOT_KEPT } from '../../../../src/fs/fuse/keeping.ts';
import { attrReply } from '../../../../src/fs/fuse/operation-replies.ts';
import { type InodeId, ROOT_INODE } from '../../../../src/ids.ts';
import { FileType, type Stat } from '../../../../src/stat.ts';
import { withStores } from '../../../support/stores.ts';
import { GOLDEN_HEADER } from './golden-requests.ts';

const EPOCH = { seconds: 0, nanoseconds: 0 };

function statOf(inode: InodeId, mode: number): Stat {
  return {
    ...{ inode, mode, nlink: 1, uid: 0, gid: 0, rdev: 0, sizeBytes: 0, storedBytes: 0 },
    ...{ blockSizeBytes: 4096, atime: EPOCH, mtime: EPOCH, ctime: EPOCH },
  };
}

test('the kernel is never told that the root is no directory', async (t) => {
  await withStores({}, ({ vfs }) => {
    const context = { vfs, fresh: new FreshAttributes(), keeping: NOT_KEPT };
    const root = { ...GOLDEN_HEADER, opcode: 3, totalExtlen: 0, nodeid: FUSE_ROOT_ID };
    t.notThrows(() => attrReply(context, root, statOf(ROOT_INODE, FileType.DIRECTORY | 0o755)));
    for (const type of [FileType.REGULAR, FileType.SYMLINK]) {
      t.throws(() => attrReply(context, root, statOf(ROOT_INODE, type)), { code: 'EIO' });
    }
    const other = { ...root, nodeid: 7 };
    t.notThrows(() => attrReply(context, other, statOf(7 as InodeId, FileType.REGULAR)));
  });
});
