/** What is wrong with a path is wrong in every call that takes one, and each says so with the same errno. */
import { closeSync, constants, mkdirSync, openSync, rmdirSync, writeFileSync } from 'node:fs';
import { sh } from '../support/run.ts';
import { entries } from '../support/files.ts';
import { type Mount, mountTest } from '../support/mount.ts';
import { expected, outcomes } from '../support/outcome.ts';
import { PATH_CALLS } from '../support/path-calls.ts';

const LONG_NAME = 'n'.repeat(256);
const MAX_PATH_BYTES = 4096;
const NO_DESCRIPTOR = 99_999;

const NAMES = ['dangling', 'file', 'folder', 'loop', 'other', 'pipe', 'pool', 'symlink'];

async function populate(mount: Mount): Promise<void> {
  await sh(
    `: > file; : > other; mkdir folder; mkfifo pipe; ln -s nowhere dangling; ln -s file symlink
     ln -s pool loop; ln -s loop pool`,
    { cwd: mount.path },
  );
}

mountTest(
  'a path through what is missing, no folder, a loop or too long fails alike in every call',
  async (t, mount) => {
    await populate(mount);
    const slashes = MAX_PATH_BYTES - mount.path.length - '/file'.length;
    const paths: Readonly<Record<string, string>> = {
      '': 'ENOENT',
      [mount.at('none/x')]: 'ENOENT',
      [mount.at('dangling/x')]: 'ENOENT',
      [mount.at('file/x')]: 'ENOTDIR',
      [mount.at('symlink/x')]: 'ENOTDIR',
      [mount.at('pipe/x')]: 'ENOTDIR',
      [mount.at('loop/x')]: 'ELOOP',
      [mount.at(LONG_NAME)]: 'ENAMETOOLONG',
      [mount.at(LONG_NAME, 'x')]: 'ENAMETOOLONG',
      [mount.at('folder', LONG_NAME)]: 'ENAMETOOLONG',
      [`${mount.path}${'/'.repeat(slashes)}/file`]: 'ENAMETOOLONG',
    };
    const other = mount.at('other');
    for (const [path, code] of Object.entries(paths)) {
      t.deepEqual(
        outcomes(PATH_CALLS, { path, other }),
        expected(PATH_CALLS, code),
        path.slice(0, 400),
      );
    }
    t.deepEqual(entries(mount.path), NAMES);
  },
);

mountTest(
  'a path that ends in what is missing, taken, a loop or a slash fails as the calls say',
  async (t, mount) => {
    await populate(mount);
    const other = mount.at('other');
    const wanting = PATH_CALLS.filter(({ wants }) => wants === 'entry');
    const following = PATH_CALLS.filter(({ follows }) => follows);
    const making = PATH_CALLS.filter(({ wants }) => wants === 'nothing');
    const ended = (calls: typeof PATH_CALLS, name: string) =>
      outcomes(calls, { path: mount.at(name), other });

    t.deepEqual(ended(wanting, 'none'), expected(wanting, 'ENOENT'));
    t.deepEqual(ended(following, 'loop'), expected(following, 'ELOOP'));
    for (const name of ['file', 'folder', 'symlink', 'dangling', 'loop', 'pipe']) {
      t.deepEqual(ended(making, name), expected(making, 'EEXIST'), name);
    }
    t.deepEqual(
      outcomes(PATH_CALLS, { path: `${mount.at('file')}/`, other }),
      expected(PATH_CALLS, 'ENOTDIR', {
        'open with O_CREAT': 'EISDIR',
        'open with O_EXCL': 'EISDIR',
        mkdir: 'EEXIST',
        mknod: 'EEXIST',
        symlink: 'EEXIST',
        'link to': 'EEXIST',
      }),
    );
    t.deepEqual(entries(mount.path), NAMES);
  },
);

mountTest(
  'a path from no folder, from a file or from a folder that was removed fails in every call',
  async (t, mount) => {
    await populate(mount);
    const calls = PATH_CALLS.filter(({ hasNoFolder }) => !hasNoFolder);
    const other = mount.at('other');
    const from = (folder: number): Record<string, string> =>
      outcomes(calls, { path: 'x', other, folder });
    t.deepEqual(from(NO_DESCRIPTOR), expected(calls, 'EBADF'));
    const file = openSync(mount.at('file'), 'r');
    t.deepEqual(from(file), expected(calls, 'ENOTDIR'));
    closeSync(file);
    mkdirSync(mount.at('gone'));
    writeFileSync(mount.at('gone', 'x'), '');
    const gone = openSync(mount.at('gone'), constants.O_RDONLY | constants.O_DIRECTORY);
    await sh('rm gone/x', { cwd: mount.path });
    rmdirSync(mount.at('gone'));
    t.deepEqual(from(gone), expected(calls, 'ENOENT'));
    closeSync(gone);
    t.deepEqual(entries(mount.path), NAMES);
  },
);

mountTest(
  'on a file system that was made read-only every change is EROFS, and reading goes on',
  async (t, mount) => {
    await populate(mount);
    await sh('mkdir empty; setfattr -n user.a -v v file', { cwd: mount.path });
    await sh('mount -i -o remount,bind,ro "$P"', { env: { P: mount.path } });
    const other = mount.at('other');
    const on = (name: string, calls: typeof PATH_CALLS) =>
      outcomes(calls, { path: mount.at(name), other });
    const changing = PATH_CALLS.filter(
      ({ changesEntry, changesFolder, wants }) =>
        (changesEntry ?? changesFolder ?? false) && wants !== 'nothing',
    );
    const making = PATH_CALLS.filter(({ wants }) => wants !== 'entry');
    t.deepEqual(on('file', changing), expected(changing, 'EROFS'));
    t.deepEqual(on('new', making), expected(making, 'EROFS'));
    const nameless = PATH_CALLS.filter(({ name }) => name === 'open with O_TMPFILE');
    t.deepEqual(on('folder', nameless), expected(nameless, 'EROFS'));
    const reading = PATH_CALLS.filter(({ follows, changesEntry, wants, name }) => {
      return follows && !changesEntry && wants === 'entry' && name !== 'open with O_TMPFILE';
    });
    t.deepEqual(on('file', reading), expected(reading, 'ok'));
    t.deepEqual(entries(mount.path), [...NAMES, 'empty'].sort());
  },
  { needsRoot: true, alone: true },
);
