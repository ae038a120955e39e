/**
 * stress-ng(1): its stressors of the class `filesystem`, each of which verifies what it does: most of them all at once,
 * those that count rounds or fill the mount apart.
 */
import test, { type ExecutionContext } from 'ava';
import { spawnSync } from 'node:child_process';
import { type Mount, mountTest } from '../support/mount.ts';
import { describe, run } from '../support/run.ts';

/** In the version of Debian 12 and later. */
const STRESSORS = [
  ...['access', 'chattr', 'chdir', 'chmod', 'chown', 'copy-file', 'dentry', 'dir', 'dirdeep'],
  ...['dirmany', 'dnotify', 'dup', 'fallocate', 'fanotify', 'fcntl', 'file-ioctl'],
  ...['filename', 'flock', 'fpunch', 'fstat', 'getdent', 'handle', 'hdd', 'inode-flags'],
  ...['inotify', 'io', 'iomix', 'ioprio', 'lease', 'locka', 'lockf', 'lockofd', 'mknod', 'open'],
  ...['rename', 'sync-file', 'touch', 'utime', 'xattr'],
];

/** Rounds of 8,192 names, which no time-out ends, and files of all sizes that a process may have. */
const ROUNDS = { link: 1, symlink: 1, fsize: 50 };

/** Of the same class, but not run here, and why. Each was run by itself, and its system calls looked at. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'bind-mount':
    'binds the root of the machine over an empty folder, of which the file system sees its making and removal alone; ' +
    'stress-ng wants --pathological for it, since it may hang the machine',
  binderfs: 'mounts a file system of its own, and looks at nothing else',
  eventfd: 'opens no file: what it reads and writes is made by eventfd(2)',
  fiemap:
    'skips file systems on which FS_IOC_FIEMAP is EOPNOTSUPP, as it is here (posix-ioctls.test.ts)',
  procfs: 'reads /proc and nothing else',
  verity:
    'skips file systems on which FS_IOC_ENABLE_VERITY is ENOTTY, as it is here (posix-ioctls.test.ts)',
};

/** Those that would each fill up to a GiB: two block servers of the tests have that together. */
const SIZES = ['fallocate', 'hdd', 'iomix', 'sync-file'].flatMap((name) => [
  `--${name}-bytes`,
  '128m',
]);

const SECONDS = 3;
const TEST_MS = 200_000;
/**
 * A round is some sixty thousand calls: seconds by itself, minutes with servers on a machine that does much else, and so
 * left out there.
 */
const ROUNDS_MS = 900_000;

/**
 * Runs a command where no imssfs can be seen but that of its working folder: some stressors open every mount point that there
 * is, or watch all that happens there (io, fanotify), and so would keep other tests from unmounting.
 */
const APART = `
while read -r _ path type _; do
  case $(pwd -P)/ in "$path"/*) continue ;; esac
  if [ "$type" = fuse.imssfs ]; then umount -l "$path"; fi
done </proc/self/mounts
exec "$@"`;

async function verified(
  t: ExecutionContext,
  mount: Mount,
  stressors: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const command = ['stress-ng', ...stressors, '--verify', '--temp-path', mount.path];
  const apart = ['--mount', 'sh', '-c', APART, 'sh', ...command];
  const result = await run('unshare', apart, { cwd: mount.path, timeoutMs });
  const said = result.stdout + result.stderr;
  t.is(result.status, 0, describe(result));
  t.notRegex(said, /^stress-ng: fail/m, describe(result));
  t.notRegex(said, /skipping|not supported|aborted/, describe(result));
}

const isInstalled = spawnSync('stress-ng', ['--version']).error === undefined;

if (isInstalled) {
  mountTest(
    'the stressors of stress-ng find what they do verified, many at once',
    async (t, mount) => {
      const stressors = STRESSORS.flatMap((name) => [`--${name}`, '1']);
      await verified(t, mount, [...stressors, ...SIZES, '--timeout', `${SECONDS}s`], TEST_MS);
    },
    { needsRoot: true, notOn: ['fuse-native'], timeoutMs: TEST_MS },
  );

  mountTest(
    'rounds of links and symlinks, and files at the limit of their process, are found verified',
    async (t, mount) => {
      const stressors = Object.entries(ROUNDS).flatMap(([name, rounds]) => [
        ...[`--${name}`, '1', `--${name}-ops`, String(rounds)],
      ]);
      await verified(t, mount, stressors, ROUNDS_MS);
    },
    { needsRoot: true, notOn: ['fuse-native', 'detached'], timeoutMs: ROUNDS_MS },
  );

  test('every stressor of file systems is run, or left out for a reason', (t) => {
    const { stdout, stderr } = spawnSync('stress-ng', ['--class', 'filesystem?'], {
      encoding: 'utf8',
    });
    const [, list = ''] = /stressors: (.*)/.exec(stdout + stderr) ?? [];
    const known = new Set([...STRESSORS, ...Object.keys(ROUNDS), ...Object.keys(LEFT_OUT)]);
    const unknown = list.split(' ').filter((name) => !known.has(name));
    t.true(list.includes('rename'), 'the class has stressors');
    t.deepEqual(unknown, []);
  });
} else {
  // `npm test` installs or demands the package; without it come only who run this file by itself, or skip mounts.
  test.skip('the stressors of stress-ng (Debian package stress-ng is not installed)', () =>
    undefined);
}
