/** O_TMPFILE: files without a name, until linkat(2) gives them one or they are closed. */
import {
  chmodSync,
  chownSync,
  constants,
  fstatSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { withFile } from '../support/files.ts';
import * as libc from '../support/libc.ts';
import { type Mount, mountTest } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';

const MiB = 1024 * 1024;
const { O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } = constants;
const NAMELESS = libc.O_TMPFILE | O_RDWR;
const LACKS = { lacks: 'ranges' } as const;

function usage({ path }: Mount): { blocks: number; inodes: number } {
  const { blocks, bfree, files, ffree } = statfsSync(path);
  return { blocks: blocks - bfree, inodes: files - ffree };
}

mountTest(
  'a file made by O_TMPFILE has no name and no link, and is read and written like others',
  (t, mount) => {
    withFile(mount.path, NAMELESS, (fd) => {
      t.is(fstatSync(fd).nlink, 0);
      t.deepEqual(readdirSync(mount.path), []);
      writeSync(fd, pattern(2 * MiB));
      const back = Buffer.alloc(2 * MiB);
      readSync(fd, back, 0, back.length, 0);
      t.true(back.equals(pattern(2 * MiB)));
      t.is(fstatSync(fd).size, 2 * MiB);
    });
    t.deepEqual(readdirSync(mount.path), []);
  },
  LACKS,
);

mountTest(
  'linkat gives such a file a name, in any folder, and it becomes a file like others',
  (t, mount) => {
    for (let folder = 0; folder < 8; folder++) {
      mkdirSync(mount.at(`d${folder}`));
      const path = mount.at(`d${folder}`, 'named');
      const data = pattern(5000, folder);
      const made = mount.at(`d${folder % 3}`);
      const inode = withFile(made, NAMELESS, (fd) => {
        writeSync(fd, data);
        libc.linkOpenFile(fd, path);
        t.is(fstatSync(fd).nlink, 1);
        writeSync(fd, 'more');
        t.throws(
          () => {
            libc.linkOpenFile(fd, path);
          },
          { code: 'EEXIST' },
        );
        return fstatSync(fd).ino;
      });
      t.is(statSync(path).ino, inode);
      t.true(readFileSync(path).equals(Buffer.concat([data, Buffer.from('more')])));
      linkSync(path, mount.at(`second${folder}`));
      t.is(statSync(path).nlink, 2);
      unlinkSync(path);
      t.true(
        readFileSync(mount.at(`second${folder}`))
          .subarray(0, 5000)
          .equals(data),
      );
    }
  },
  LACKS,
);

mountTest(
  'one that is closed without a name is gone, with all that it took; one that was named stays until it is unlinked',
  async (t, mount) => {
    writeFileSync(mount.at('first'), 'so that connections and tables are there');
    const before = usage(mount);
    const leftOver = (): { blocks: number; inodes: number } => {
      const { blocks, inodes } = usage(mount);
      // Where memory is counted in larger units, what is not the file's own may take one more.
      return { blocks: Math.max(0, blocks - before.blocks - 2), inodes: inodes - before.inodes };
    };
    const isAsBefore = async (): Promise<void> => {
      for (let waits = 0; waits < 100; waits++) {
        const { blocks, inodes } = leftOver();
        if (blocks === 0 && inodes === 0) break;
        await sleep(30);
      }
      t.deepEqual(leftOver(), { blocks: 0, inodes: 0 });
    };
    withFile(mount.path, NAMELESS, (fd) => {
      writeSync(fd, pattern(3 * MiB));
      t.is(usage(mount).inodes, before.inodes + 1);
    });
    await isAsBefore();
    withFile(mount.path, NAMELESS, (fd) => {
      writeSync(fd, pattern(3 * MiB));
      libc.linkOpenFile(fd, mount.at('named'));
    });
    t.is(usage(mount).inodes, before.inodes + 1);
    t.is(statSync(mount.at('named')).size, 3 * MiB);
    unlinkSync(mount.at('named'));
    await isAsBefore();
  },
  LACKS,
);

mountTest(
  'O_TMPFILE refuses what open(2) says, and what was unlinked or is exclusive gets no name',
  (t, mount) => {
    const codeOf = (run: () => unknown): unknown => t.throws(run).message.split(':')[0];
    t.is(
      codeOf(() => withFile(mount.path, libc.O_TMPFILE | O_RDONLY, () => 0)),
      'EINVAL',
    );
    writeFileSync(mount.at('file'), 'file');
    t.is(
      codeOf(() => withFile(mount.at('file'), NAMELESS, () => 0)),
      'ENOTDIR',
    );
    t.is(
      codeOf(() => withFile(mount.at('none'), NAMELESS, () => 0)),
      'ENOENT',
    );
    const link = (fd: number): unknown =>
      codeOf(() => {
        libc.linkOpenFile(fd, mount.at('name'));
      });
    withFile(mount.path, NAMELESS | O_EXCL, (fd) => {
      t.is(link(fd), 'ENOENT');
    });
    withFile(mount.at('file'), 'r+', (fd) => {
      unlinkSync(mount.at('file'));
      t.is(link(fd), 'ENOENT');
    });
    withFile(mount.path, NAMELESS, (fd) => {
      libc.linkOpenFile(fd, mount.at('name'));
      unlinkSync(mount.at('name'));
      t.is(link(fd), 'ENOENT');
    });
    t.deepEqual(readdirSync(mount.path), []);
  },
  LACKS,
);

mountTest(
  'a file made by O_TMPFILE has the mode less the umask, and the group of a set-gid folder',
  (t, mount) => {
    mkdirSync(mount.at('d'));
    chownSync(mount.at('d'), 0, 1234);
    chmodSync(mount.at('d'), 0o2777);
    withFile(mount.at('d'), libc.O_TMPFILE | O_WRONLY, (fd) => {
      const { mode, uid, gid } = fstatSync(fd);
      writeFileSync(mount.at('d', 'like'), '', { mode: 0o644 });
      t.is(mode, statSync(mount.at('d', 'like')).mode);
      t.deepEqual({ uid, gid }, { uid: 0, gid: 1234 });
    });
  },
  { ...LACKS, needsRoot: true },
);
