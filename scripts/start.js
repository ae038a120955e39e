/**
 * `npm start`: builds if needed, makes the default mount point (/mnt/imss for root, ~/imss for others) and mounts there.
 * Arguments after `--` go to imssfs as they are, instead of the default mount point.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('..', import.meta.url));

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: project, stdio: 'inherit' });
  if (error) console.error(`imssfs: cannot run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

function defaultMountPoint() {
  const mountPoint = process.getuid() === 0 ? '/mnt/imss' : join(homedir(), 'imss');
  try {
    mkdirSync(mountPoint, { recursive: true });
  } catch (error) {
    // A crashed mount is "not connected", or exists as far as mkdir can tell: imssfs recovers it.
    if (error.code !== 'EEXIST' && error.code !== 'ENOTCONN') throw error;
  }
  return mountPoint;
}

if (!existsSync(join(project, 'dist', 'src', 'cli'))) run('npm', ['run', '--silent', 'build']);
const args = process.argv.slice(2);
run(join(project, 'bin', 'imssfs'), args.length > 0 ? args : [defaultMountPoint()]);
