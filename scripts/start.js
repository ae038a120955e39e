/**
 * `npm start`: builds what is new, makes the default mount point (/mnt/imss for root, ~/imss for others) and mounts there.
 * Arguments after `--` go to imssfs as they are, instead of the default mount point.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('..', import.meta.url));

function fail(message) {
  console.error(`imssfs: ${message}`);
  process.exit(1);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: project, stdio: 'inherit' });
  if (error) fail(`cannot run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

function homeFolder() {
  try {
    const home = homedir();
    if (isAbsolute(home)) return home;
  } catch {
    // A user without HOME whom /etc/passwd does not know.
  }
  return fail('you have no home folder; set HOME, or name a folder: npm start -- MOUNTPOINT');
}

function defaultMountPoint() {
  const mountPoint = process.getuid() === 0 ? '/mnt/imss' : join(homeFolder(), 'imss');
  try {
    mkdirSync(mountPoint, { recursive: true });
  } catch (error) {
    // A crashed mount is "not connected", or exists as far as mkdir can tell: imssfs recovers it.
    if (error.code !== 'EEXIST' && error.code !== 'ENOTCONN') {
      fail(`cannot make ${mountPoint} (${error.code}); name a folder: npm start -- MOUNTPOINT`);
    }
  }
  return mountPoint;
}

function build() {
  if (!existsSync(join(project, 'node_modules', 'typescript'))) {
    fail(`what it is built with is not installed; run \`npm ci --ignore-scripts\` in ${project}`);
  }
  run('npm', ['run', '--silent', 'build']);
}

/** Whether every source is older than what was built from it last. */
function isBuilt() {
  const entry = join(project, 'dist', 'src', 'cli', 'imssfs.js');
  if (!existsSync(entry)) return false;
  const builtMs = statSync(entry).mtimeMs;
  const sources = join(project, 'src');
  return readdirSync(sources, { recursive: true }).every(
    (name) => statSync(join(sources, name)).mtimeMs <= builtMs,
  );
}

if (!isBuilt()) build();
const args = process.argv.slice(2);
run(join(project, 'bin', 'imssfs'), args.length > 0 ? args : [defaultMountPoint()]);
