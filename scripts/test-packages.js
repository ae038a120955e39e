/**
 * Sees to the programs that the tests run inside a mount: installs the Debian packages that are missing, or,
 * where it may not, ends with the one command that does. Needs nothing but Node.js.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program of each package; Debian and Ubuntu name the packages alike. */
const PACKAGES = {
  acl: 'setfacl',
  attr: 'setfattr',
  fio: 'fio',
  fuse3: 'fusermount3',
  git: 'git',
  iproute2: 'ip',
  'perl-base': 'perl',
  python3: 'python3',
  rsync: 'rsync',
  sqlite3: 'sqlite3',
  tar: 'tar',
  'util-linux': 'setpriv',
};

/**
 * What the benchmarks compare with: libfuse's example file system, for which there must be a compiler, or bindfs
 * instead. Installed in CI, where it can be done; never asked for, and never put on a person's machine.
 */
const EXAMPLE_SOURCE = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c';
const EXAMPLE_PACKAGES = ['libfuse3-dev', 'gcc', 'libc6-dev'];

function isInstalled(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function missingPackages() {
  return Object.keys(PACKAGES).filter((name) => !isInstalled(PACKAGES[name]));
}

function hasComparison() {
  return (existsSync(EXAMPLE_SOURCE) && isInstalled('cc')) || isInstalled('bindfs');
}

/** Quiet unless it fails; then all that apt-get said is shown. */
function aptGet(...args) {
  const result = spawnSync('apt-get', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (result.status !== 0) console.error(`${result.stdout}${result.stderr}`);
  return result.status === 0;
}

function giveUp(why) {
  console.error(`The tests need programs that are missing: ${why}`);
  console.error('Or leave out the tests that mount: IMSSFS_SKIP_MOUNT_TESTS=1 npm test');
  process.exit(1);
}

const skipsMounts = process.env.IMSSFS_SKIP_MOUNT_TESTS === '1';
const missing = skipsMounts ? [] : missingPackages();
if (missing.length > 0) {
  if (!isInstalled('apt-get')) {
    giveUp(`${missing.map((name) => PACKAGES[name]).join(', ')}; install them and try again`);
  }
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  const command = `apt-get update && apt-get ${install.join(' ')}`;
  if (process.getuid() !== 0) giveUp(`run this as root and try again: ${command}`);
  console.log(`Installing ${missing.join(', ')} with apt-get, for the tests`);
  aptGet('update', '-q');
  aptGet(...install.toSpliced(1, 0, '-q'));
  const still = missingPackages();
  if (still.length > 0) giveUp(`this failed, see above: ${command}`);
}

const mayInstall = Boolean(process.env.CI) && process.getuid() === 0 && isInstalled('apt-get');
if (!skipsMounts && mayInstall && !hasComparison()) {
  console.log('Installing a C file system with apt-get, for the benchmarks to compare with');
  if (missing.length > 0 || aptGet('update', '-q')) {
    const install = ['install', '-q', '-y', '--no-install-recommends'];
    aptGet(...install, ...EXAMPLE_PACKAGES);
    if (!hasComparison()) aptGet(...install, 'bindfs');
  }
}
