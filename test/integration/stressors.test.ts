/** stress-ng(1): its stressors of the class `filesystem`, all at once, each of which verifies what it does. */
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { mountTest } from '../support/mount.ts';
import { describe, run } from '../support/run.ts';

/** In the version of Debian 12 and later. */
const STRESSORS = [
  ...['access', 'chattr', 'chdir', 'chmod', 'chown', 'copy-file', 'dentry', 'dir', 'dirdeep'],
  ...['dirmany', 'dnotify', 'dup', 'fallocate', 'fanotify', 'fcntl', 'filename'],
  ...['flock', 'fpunch', 'fstat', 'getdent', 'handle', 'hdd', 'inode-flags', 'inotify', 'io'],
  ...['iomix', 'lease', 'locka', 'lockf', 'lockofd', 'mknod', 'open', 'rename', 'sync-file'],
  ...['touch', 'utime', 'xattr'],
];

/**
 * Of the same class, but not run here, and why: docs/posix.md has them, too. Each is checked against what this machine's
 * stress-ng has.
 */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'bind-mount':
    'mounts over the root of the machine until it is out of memory; stress-ng runs it with --pathological only',
  binderfs: 'mounts a file system of its own',
  eventfd: 'is about no file system',
  'file-ioctl': 'FIOQSIZE tells the blocks that the kernel last heard of: it asks FUSE nothing',
  fiemap: 'the kernel answers FS_IOC_FIEMAP of FUSE files with EOPNOTSUPP',
  fsize: 'runs alone: it lowers what a file may be for its process',
  ioprio: 'is about no file system',
  link: 'makes 8,192 names at a time, whatever the time-out',
  procfs: 'is about /proc',
  symlink: 'makes 8,192 names at a time, whatever the time-out',
  verity: 'FUSE has no verity of its own',
};

const SECONDS = 3;
const TEST_MS = 200_000;

const isInstalled = spawnSync('stress-ng', ['--version']).error === undefined;

if (isInstalled) {
  mountTest(
    'the stressors of stress-ng find what they do verified, many at once',
    async (t, mount) => {
      const args = STRESSORS.flatMap((name) => [`--${name}`, '1']);
      args.push('--timeout', `${SECONDS}s`, '--verify', '--temp-path', mount.path);
      const result = await run('stress-ng', args, { cwd: mount.path, timeoutMs: TEST_MS });
      const said = result.stdout + result.stderr;
      t.is(result.status, 0, describe(result));
      t.notRegex(said, /^stress-ng: fail/m, describe(result));
      t.notRegex(said, /skipping|not supported|aborted/, describe(result));
    },
    { needsRoot: true, notOn: ['fuse-native'], timeoutMs: TEST_MS },
  );

  test('every stressor of file systems is run, or left out for a reason', (t) => {
    const { stdout, stderr } = spawnSync('stress-ng', ['--class', 'filesystem?'], {
      encoding: 'utf8',
    });
    const [, list = ''] = /stressors: (.*)/.exec(stdout + stderr) ?? [];
    const known = new Set([...STRESSORS, ...Object.keys(LEFT_OUT)]);
    const unknown = list.split(' ').filter((name) => !known.has(name));
    t.true(list.includes('rename'), 'the class has stressors');
    t.deepEqual(unknown, []);
  });
} else {
  // `npm test` installs or demands the package; without it come only who run this file by itself, or skip mounts.
  test.skip('the stressors of stress-ng (Debian package stress-ng is not installed)', () =>
    undefined);
}
