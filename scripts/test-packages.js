/**
 * Sees to the programs that the tests run inside a mount: installs the Debian packages that are missing, or,
 * where it may not, ends with the one command that does. Needs nothing but Node.js.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, appendFileSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program of each package, or a file; Debian and Ubuntu name the packages alike. */
const PACKAGES = {
  acl: 'setfacl',
  attr: 'setfattr',
  fio: 'fio',
  fuse3: 'fusermount3',
  gcc: 'cc',
  git: 'git',
  iproute2: 'ip',
  'libc6-dev': '/usr/include/stdio.h',
  make: 'make',
  'perl-base': 'perl',
  postgresql: 'postgres',
  python3: 'python3',
  rsync: 'rsync',
  sqlite3: 'sqlite3',
  'stress-ng': 'stress-ng',
  tar: 'tar',
  unzip: 'unzip',
  'util-linux': 'setpriv',
  'vim-tiny': 'vi',
  zip: 'zip',
};

/** Programs of each version of PostgreSQL, which are in nobody's PATH. */
const POSTGRESQL_VERSIONS = '/usr/lib/postgresql';
/** Says that installing PostgreSQL makes no database, and so starts no service. */
const POSTGRESQL_SETTINGS = '/etc/postgresql-common/createcluster.conf';

/**
 * What the benchmarks compare with: libfuse's example file system, for which there must be a compiler, or bindfs
 * instead. Installed in CI, where it can be done; never asked for, and never put on a person's machine.
 */
const EXAMPLE_SOURCE = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c';
const EXAMPLE_PACKAGES = ['libfuse3-dev', 'gcc', 'libc6-dev'];

/**
 * Launchers of parallel jobs, under which the examples run. Installed in CI, where it can be done; without them these tests are
 * left out, and no daemons are put on a person's machine.
 */
const LAUNCHERS = {
  mpich: 'mpirun.mpich',
  munge: 'munged',
  'slurm-client': 'srun',
  slurmctld: 'slurmctld',
  slurmd: 'slurmd',
};

function postgresqlFolders() {
  if (!existsSync(POSTGRESQL_VERSIONS)) return [];
  return readdirSync(POSTGRESQL_VERSIONS).map((name) => join(POSTGRESQL_VERSIONS, name, 'bin'));
}

function isInstalled(program) {
  if (program.startsWith('/')) return existsSync(program);
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...['/usr/sbin', '/sbin', ...postgresqlFolders()],
  ];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function missingOf(packages) {
  return Object.keys(packages).filter((name) => !isInstalled(packages[name]));
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

/** Installs packages; the tests make a database of their own, so PostgreSQL is kept from making one. */
function installPackages(names) {
  const install = (list) => aptGet('install', '-q', '-y', '--no-install-recommends', ...list);
  if (names.includes('postgresql') && !existsSync(POSTGRESQL_SETTINGS)) {
    if (!install(['postgresql-common'])) return;
    appendFileSync(POSTGRESQL_SETTINGS, 'create_main_cluster = false\n');
  }
  install(names);
}

function giveUp(why) {
  console.error(`The tests need programs that are missing: ${why}`);
  console.error('Or leave out the tests that mount: IMSSFS_SKIP_MOUNT_TESTS=1 npm test');
  process.exit(1);
}

const skipsMounts = process.env.IMSSFS_SKIP_MOUNT_TESTS === '1';
const missing = skipsMounts ? [] : missingOf(PACKAGES);
if (missing.length > 0) {
  if (!isInstalled('apt-get')) {
    giveUp(`${missing.map((name) => PACKAGES[name]).join(', ')}; install them and try again`);
  }
  const command = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid() !== 0) giveUp(`run this as root and try again: ${command}`);
  console.log(`Installing ${missing.join(', ')} with apt-get, for the tests`);
  aptGet('update', '-q');
  installPackages(missing);
  const still = missingOf(PACKAGES);
  if (still.length > 0) giveUp(`this failed, see above: ${command}`);
}

const mayInstall = Boolean(process.env.CI) && process.getuid() === 0 && isInstalled('apt-get');
const launchers = missingOf(LAUNCHERS);
if (!skipsMounts && mayInstall && (!hasComparison() || launchers.length > 0)) {
  console.log('Installing with apt-get what is compared with, and what jobs are launched with');
  if (missing.length > 0 || aptGet('update', '-q')) {
    if (!hasComparison()) installPackages(EXAMPLE_PACKAGES);
    if (!hasComparison()) installPackages(['bindfs']);
    if (launchers.length > 0) installPackages(launchers);
  }
}
