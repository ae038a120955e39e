/**
 * Mounts for tests: `mountTest` declares a test that gets a mount of its own, once for each engine under
 * test. Whatever a test does, its mount, its daemon and its folder are gone when it ends.
 *
 * IMSSFS_TEST_ON names the engines, separated by commas: `kernel` and `fuse-native` (both by default, the latter
 * where its package has a binary: there, its tests fail if it cannot be loaded), `detached`, which is the kernel engine
 * with two metadata servers and two block servers of their own, or `tmpfs`, which runs the same expectations against the
 * kernel's own file system to prove that they are right.
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NativeLimitName } from '../../src/fs/native/limits.ts';
import { fuseNativeState, whyNoFuseNative } from './fuse-native.ts';
import { nodeProcessesOf, isAlive, killNow, mountsBelow } from './processes.ts';
import { describe, run, runOk } from './run.ts';
import { Servers } from './servers.ts';

export type EngineName = 'kernel' | 'fuse-native' | 'detached' | 'tmpfs';

export interface MountOptions {
  /** Size as `-S` and tmpfs's `size=` both take it, e.g. `64M`. */
  capacity?: string;
  /** Generic mount options for `-o`. */
  mountOptions?: string;
  /** More arguments for imssfs; a tmpfs ignores them. */
  args?: readonly string[];
  /** Added to the environment of imssfs. */
  env?: Readonly<Record<string, string>>;
  /** Bound of the whole test; past it the mount is torn away beneath it. */
  timeoutMs?: number;
}

export interface Mount {
  engine: EngineName;
  /** The mount point; its root folder is writable to all, as /tmp is. */
  path: string;
  /** A plain folder outside the mount, removed after the test. */
  scratch: string;
  /** A path inside the mount. */
  at(...names: string[]): string;
}

export type MountBody = (t: ExecutionContext, mount: Mount) => void | Promise<void>;

export interface MountTestOptions extends MountOptions {
  /** Other users, device nodes, trusted attributes: skipped when an ordinary user runs the tests. */
  needsRoot?: boolean;
  /** Engines that this test is not meant for. */
  notOn?: readonly EngineName[];
  /** What fuse-native lacks that this test is about: skipped there. */
  lacks?: NativeLimitName;
}

export const IMSSFS = fileURLToPath(new URL('../../../bin/imssfs', import.meta.url));
export const UMOUNT_IMSS = fileURLToPath(new URL('../../../bin/umount-imss', import.meta.url));

const ENGINES: readonly EngineName[] = ['kernel', 'fuse-native', 'detached', 'tmpfs'];

export const isRoot = process.getuid?.() === 0;
export const skipsMounts = process.env['IMSSFS_SKIP_MOUNT_TESTS'] === '1';
export const engines = (process.env['IMSSFS_TEST_ON'] ?? defaultEngines())
  .split(',')
  .map(engineName);

const TEST_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
const LOG_TAIL_CHARACTERS = 4_000;

function defaultEngines(): string {
  return fuseNativeState() === 'cannot be had' ? 'kernel' : 'kernel,fuse-native';
}

function engineName(name: string): EngineName {
  const known = ENGINES.find((engine) => engine === name);
  if (known !== undefined) return known;
  throw new Error(`IMSSFS_TEST_ON: "${name}" is none of ${ENGINES.join(', ')}`);
}

/** Runs a body with a mount of the given engine; see the file's header. */
export const onMount = test.macro(
  async (t: ExecutionContext, engine: EngineName, options: MountOptions, body: MountBody) => {
    await withMount(t, { ...options, engine }, (mount) => body(t, mount));
  },
);

/** Declares `body` as one serial test for each engine. */
export function mountTest(title: string, body: MountBody, options: MountTestOptions = {}): void {
  for (const engine of engines) {
    if (options.notOn?.includes(engine) === true) continue;
    const lacking = engine === 'fuse-native' ? options.lacks : undefined;
    const isSkipped =
      skipsMounts || lacking !== undefined || (options.needsRoot === true && !isRoot);
    const declare = isSkipped ? test.skip : test.serial;
    const reason = lacking === undefined ? '' : ` (it lacks: ${lacking})`;
    declare(`${engine}: ${title}${reason}`, onMount, engine, options, body);
  }
}

/** Mounts, runs `body`, unmounts; fails when `body` fails or when a mount or its daemon would be left. */
export async function withMount(
  t: ExecutionContext,
  options: MountOptions & { engine: EngineName },
  body: (mount: Mount) => void | Promise<void>,
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? TEST_TIMEOUT_MS;
  t.timeout(timeoutMs + START_TIMEOUT_MS + STOP_TIMEOUT_MS);
  await withFolder(timeoutMs, async (folder) => {
    const path = join(folder, 'mnt');
    const logFile = join(folder, 'imssfs.log');
    const scratch = join(folder, 'scratch');
    mkdirSync(path);
    mkdirSync(scratch);
    const servers = options.engine === 'detached' ? serversIn(folder, options) : undefined;
    try {
      await servers?.startAll();
      await start(path, logFile, options, servers?.mountArgs);
      chmodSync(path, 0o1777);
      await body({
        engine: options.engine,
        path,
        scratch,
        at: (...names) => join(path, ...names),
      });
    } catch (error) {
      if (options.engine !== 'tmpfs') t.log(logTail(logFile));
      await stop(path).catch((second: unknown) => {
        t.log(String(second));
      });
      throw error;
    }
    await stop(path);
    await servers?.stopAll();
  });
}

/** Two block servers share the capacity. */
function serversIn(folder: string, { capacity = '1G' }: MountOptions): Servers {
  const own = join(folder, 'servers');
  mkdirSync(own);
  const [, number = '1', unit = 'G'] = /^(\d+)(\D*)$/.exec(capacity) ?? [];
  return new Servers(own, { meta: 2, blocks: 2, capacity: `${Number(number) / 2}${unit}` });
}

/**
 * A fresh folder that others may enter, with no mount and no process of imssfs left in it afterwards:
 * neither when `body` fails, nor when this process is killed, nor when a call into a mount blocks it.
 */
export async function withFolder<T>(
  timeoutMs: number,
  body: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  chmodSync(folder, 0o755);
  tellGuard(`watch ${timeoutMs} ${folder}`);
  try {
    return await body(folder);
  } finally {
    await tearDown(folder);
    tellGuard(`release 0 ${folder}`);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Says in one sentence why nothing can be mounted here, if so. */
export function whyNoMounts(): string | undefined {
  const hint = 'or set IMSSFS_SKIP_MOUNT_TESTS=1 to leave out the tests that mount';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT'
      ? `There is no /dev/fuse: load the module fuse (in a container: --device /dev/fuse), ${hint}`
      : `/dev/fuse cannot be opened (${code ?? 'unknown error'}): run as root or give this user access, ${hint}`;
  }
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(
    readFileSync('/proc/self/status', 'utf8'),
  )?.[1];
  const CAP_SYS_ADMIN = 21n;
  const mayMount = ((BigInt(`0x${capabilities ?? '0'}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
  if (isRoot && !mayMount) {
    return `root may not mount here (no CAP_SYS_ADMIN; in a container: --cap-add SYS_ADMIN), ${hint}`;
  }
  return undefined;
}

async function start(
  path: string,
  logFile: string,
  options: MountOptions & { engine: EngineName },
  serverArgs: readonly string[] = [],
): Promise<void> {
  if (options.engine === 'tmpfs') {
    const words = [`size=${options.capacity ?? '2G'}`, options.mountOptions];
    const list = words.filter((word) => word !== undefined).join(',');
    await runOk('mount', ['-t', 'tmpfs', '-o', list, 'tmpfs', path]);
    return;
  }
  const obstacle = whyNoMounts();
  if (obstacle !== undefined) throw new Error(obstacle);
  if (options.engine === 'fuse-native' && whyNoFuseNative !== undefined) {
    throw new Error(`${whyNoFuseNative}; IMSSFS_TEST_ON=kernel leaves its tests out`);
  }
  const engine = options.engine === 'detached' ? 'kernel' : options.engine;
  const args = ['--engine', engine, '--log-file', logFile, ...serverArgs];
  if (options.capacity !== undefined) args.push('-S', options.capacity);
  if (options.mountOptions !== undefined) args.push('-o', options.mountOptions);
  const result = await run(IMSSFS, [...args, ...(options.args ?? []), path], {
    timeoutMs: START_TIMEOUT_MS,
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  if (result.status !== 0) throw new Error(describe(result));
  if (mountsBelow(path).length === 0) {
    throw new Error(`imssfs returned, but nothing is mounted\n${describe(result)}`);
  }
}

async function stop(path: string): Promise<void> {
  if (mountsBelow(path).length === 0) return;
  const type = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === path)
    ?.split(' ')[2];
  const command = type === 'tmpfs' ? 'umount' : UMOUNT_IMSS;
  const daemons = nodeProcessesOf(path);
  await runOk(command, [path], { timeoutMs: STOP_TIMEOUT_MS });
  if (mountsBelow(path).length > 0) throw new Error(`${command} returned, but the mount is there`);
  const left = daemons.filter(isAlive);
  if (left.length > 0) throw new Error(`${command} returned, but ${left.join(', ')} still runs`);
}

/** Removes by force whatever the orderly way has left. */
async function tearDown(folder: string): Promise<void> {
  for (const path of mountsBelow(folder)) {
    await run('umount', ['-l', path], { timeoutMs: STOP_TIMEOUT_MS });
    if (!isRoot) await run('fusermount3', ['-u', '-z', path], { timeoutMs: STOP_TIMEOUT_MS });
  }
  const daemons = nodeProcessesOf(folder, { below: true });
  daemons.forEach(killNow);
  for (let waits = 0; daemons.some(isAlive) && waits < 100; waits++) await sleep(50);
}

/** The end of a daemon's log, for a failure's message. */
export function logTail(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8').slice(-LOG_TAIL_CHARACTERS);
  } catch {
    return 'The daemon wrote no log.';
  }
}

let guardInput: Writable | undefined;

function tellGuard(line: string): void {
  if (guardInput === undefined) {
    const file = fileURLToPath(new URL('guard.js', import.meta.url));
    const guard = spawn(process.execPath, [file], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    guard.unref();
    guardInput = guard.stdin;
    guardInput.on('error', () => undefined);
  }
  guardInput.write(`${line}\n`);
}
