/** Starts the bare daemon for a test, in a folder of its own, and takes away whatever is left of it. */
import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isImssMount, readMountTable } from '../../src/fs/mount-table.ts';
import type { MountEntry } from '../../src/fs/mount-table.ts';
import { ALICE, AS_NOBODY } from '../support/users.ts';
import type { Command, Report } from './programs/bare-daemon.ts';

/** Set to 1 to skip, instead of fail, where there is no /dev/fuse or no right to mount. */
export const SKIP_VARIABLE = 'IMSSFS_SKIP_MOUNT_TESTS';

export interface DaemonOptions {
  /** Name of the mount point within its folder. */
  name?: Buffer;
  /** Runs as an ordinary user instead of root. */
  asUser?: boolean;
  allowOther?: boolean;
}

export class BareDaemon {
  readonly mountPoint: Buffer;
  readonly process: ChildProcess;
  readonly #folder: string;
  readonly #reports: Report[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor({ name = Buffer.from('mnt'), asUser = false, allowOther = false }: DaemonOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), 'imssfs-device-'));
    this.mountPoint = Buffer.concat([Buffer.from(`${this.#folder}/`), name]);
    mkdirSync(this.mountPoint);
    if (asUser) {
      chmodSync(this.#folder, 0o755);
      chownSync(this.mountPoint, ALICE.uid, ALICE.gid);
    }
    const [execPath, ...execArgv] = [...(asUser ? AS_NOBODY : []), process.execPath];
    const program = fileURLToPath(new URL('./programs/bare-daemon.js', import.meta.url));
    this.process = fork(
      program,
      [this.mountPoint.toString('hex'), allowOther ? 'allow_other' : ''],
      { execPath, execArgv, cwd: '/' },
    );
    this.process.on('message', (report: Report) => {
      this.#reports.push(report);
      for (const wake of this.#waiting.splice(0)) wake();
    });
    this.process.on('exit', () => {
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  tell(command: Command): void {
    this.process.send(command);
  }

  /** The next report, whatever it is; fails the test if the daemon ends first. */
  async report(): Promise<Report> {
    for (;;) {
      const report = this.#reports.shift();
      if (report !== undefined) return report;
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error('The daemon ended without a report');
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Exit code, or null after a signal. */
  async exitCode(): Promise<number | null> {
    const { process } = this;
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit');
    return process.exitCode;
  }

  /** Its mount as the kernel lists it. */
  async entry(): Promise<MountEntry | undefined> {
    const entries = await readMountTable();
    return entries.find((entry) => entry.mountPoint.equals(this.mountPoint) && isImssMount(entry));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exitCode();
    if ((await this.entry()) !== undefined) {
      // Through a shell variable: the name may not be UTF-8, and this must not depend on what is tested.
      spawnSync('/bin/sh', ['-c', 'umount -l "$0"/* || fusermount3 -uz "$0"/*', this.#folder]);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Whether root's mounts can be tested here. Throws if root cannot mount and skipping was not asked for. */
export function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return true;
  } catch (cause) {
    if (process.env[SKIP_VARIABLE] === '1') return false;
    throw new Error(`No mounts here; set ${SKIP_VARIABLE}=1 to skip these tests`, { cause });
  }
}

/** Whether ordinary users can mount here: it takes fusermount and a /dev/fuse of mode 0666. */
export function canMountAsUser(): boolean {
  const installed = ['/usr/bin/fusermount3', '/bin/fusermount3', '/usr/bin/fusermount'];
  return (
    canMount() &&
    installed.some((path) => existsSync(path)) &&
    (statSync('/dev/fuse').mode & 0o006) === 0o006
  );
}
