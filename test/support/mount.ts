/**
 * Mounts for tests: `mountTest` declares a test that gets an empty folder of a mount, once for each engine under test.
 * Tests of one file that ask for the same mount share it, one after the other; a test that fails takes it down, one that
 * limits its capacity, or asks to be `alone`, has one to itself. Whatever a test does, all mounts, daemons and folders are
 * gone when its file ends.
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
  /** An empty folder of the mount, writable to all, as /tmp is; the mount point where the test has the mount to itself. */
  path: string;
  /** A plain folder outside the mount, removed after the test. */
  scratch: string;
  /** A path inside that folder. */
  at(...names: string[]): string;
}

export type MountBody = (t: ExecutionContext, mount: Mount) => void | Promise<void>;

export interface MountTestOptions extends MountOptions {
  /** Other users, device nodes, trusted attributes: skipped when an ordinary user runs the tests. */
  needsRoot?: boolean;
  /** Engines that this test is not meant for. */
  notOn?: readonly EngineName[];
  /** Engines on which it runs only where IMSSFS_TEST_ON asks for them: it takes long there, and shows little more. */
  notByDefaultOn?: readonly EngineName[];
  /** What fuse-native lacks that this test is about: skipped there. */
  lacks?: NativeLimitName;
  /** Looks at the mount's root, at its daemon or at all that it holds. */
  alone?: true;
}

export const IMSSFS = fileURLToPath(new URL('../../../bin/imssfs', import.meta.url));
export const UMOUNT_IMSS = fileURLToPath(new URL('../../../bin/umount-imss', import.meta.url));

const ENGINES: readonly EngineName[] = ['kernel', 'fuse-native', 'detached', 'tmpfs'];

export const isRoot = process.getuid?.() === 0;
export const skipsMounts = process.env['IMSSFS_SKIP_MOUNT_TESTS'] === '1';
const areAskedFor = process.env['IMSSFS_TEST_ON'] !== undefined;
export const engines = (process.env['IMSSFS_TEST_ON'] ?? defaultEngines())
  .split(',')
  .map(engineName);

const TEST_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
const REMOVE_ATTEMPTS = 20;
const REMOVE_PAUSE_MS = 100;
/** Bound of a shared mount's life between two tests. */
const WHOLE_FILE_MS = 1_200_000;
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
const onMount = test.macro(
  async (t: ExecutionContext, engine: EngineName, options: MountTestOptions, body: MountBody) => {
    const use = isShareable(options) ? withSharedMount : withMount;
    await use(t, { ...options, engine }, (mount) => body(t, mount));
  },
);

function isShareable({ alone, capacity, env }: MountTestOptions): boolean {
  return alone !== true && capacity === undefined && env === undefined;
}

/** Declares `body` as one serial test for each engine. */
export function mountTest(title: string, body: MountBody, options: MountTestOptions = {}): void {
  unmountAtEnd();
  for (const engine of engines) {
    if (options.notOn?.includes(engine) === true) continue;
    if (!areAskedFor && options.notByDefaultOn?.includes(engine) === true) continue;
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
    const mounted = new Mounted(folder, options);
    try {
      await mounted.start();
      await body(mounted.root());
    } catch (error) {
      await mounted.stopAfterFailure(t);
      throw error;
    }
    await mounted.stop();
  });
}

/** By engine and arguments, for the tests of this process. */
const shared = new Map<string, Mounted>();
let unmountsAtEnd = false;

/** Declared with the first test: hooks must be there before tests run. */
function unmountAtEnd(): void {
  if (unmountsAtEnd) return;
  unmountsAtEnd = true;
  test.after.always('shared mounts come to an orderly end', async () => {
    const all = [...shared.values()];
    shared.clear();
    try {
      for (const mounted of all) await mounted.stop();
    } finally {
      for (const { folder } of all) await removeFolder(folder);
    }
  });
}

/** Like {@link withMount}, in a folder of a mount that lives on for the next test of its kind. */
async function withSharedMount(
  t: ExecutionContext,
  options: MountOptions & { engine: EngineName },
  body: (mount: Mount) => void | Promise<void>,
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? TEST_TIMEOUT_MS;
  t.timeout(timeoutMs + START_TIMEOUT_MS + STOP_TIMEOUT_MS);
  const key = JSON.stringify([options.engine, options.mountOptions, options.args]);
  const mounted = shared.get(key) ?? new Mounted(makeFolder(timeoutMs), options);
  try {
    if (!shared.has(key)) await mounted.start();
    shared.set(key, mounted);
    tellGuard(`watch ${timeoutMs} ${mounted.folder}`);
    const mount = mounted.part();
    await body(mount);
    mounted.assertServes();
    await removePart(mount.path);
    tellGuard(`watch ${WHOLE_FILE_MS} ${mounted.folder}`);
  } catch (error) {
    shared.delete(key);
    await mounted.stopAfterFailure(t);
    await removeFolder(mounted.folder);
    throw error;
  }
}

/**
 * Takes away what a test has made. What a process that was killed a moment ago had open goes a little later: where libfuse
 * has hidden it under another name, its folder is not empty until then.
 */
async function removePart(path: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const result = await run('rm', ['-rf', path]);
    if (result.status === 0) return;
    if (attempt === REMOVE_ATTEMPTS) throw new Error(describe(result));
    await sleep(REMOVE_PAUSE_MS);
  }
}

/** A mount in a folder of its own, with servers of its own where it needs them. */
class Mounted {
  readonly folder: string;
  readonly #path: string;
  readonly #logFile: string;
  readonly #options: MountOptions & { engine: EngineName };
  readonly #servers: Servers | undefined;
  #daemons: readonly number[] = [];
  #parts = 0;

  constructor(folder: string, options: MountOptions & { engine: EngineName }) {
    this.folder = folder;
    this.#path = join(folder, 'mnt');
    this.#logFile = join(folder, 'imssfs.log');
    this.#options = options;
    mkdirSync(this.#path);
    this.#servers = options.engine === 'detached' ? serversIn(folder, options) : undefined;
  }

  async start(): Promise<void> {
    await this.#servers?.startAll();
    await start(this.#path, this.#logFile, this.#options, this.#servers?.mountArgs);
    chmodSync(this.#path, 0o1777);
    if (this.#options.engine !== 'tmpfs') this.#daemons = nodeProcessesOf(this.#path);
  }

  /** The whole mount. */
  root(): Mount {
    return this.#mount(this.#path, join(this.folder, 'scratch'));
  }

  /** A new folder in it. */
  part(): Mount {
    const name = String(++this.#parts);
    const path = join(this.#path, name);
    mkdirSync(path);
    chmodSync(path, 0o1777);
    return this.#mount(path, join(this.folder, `scratch-${name}`));
  }

  #mount(path: string, scratch: string): Mount {
    mkdirSync(scratch);
    const at = (...names: string[]): string => join(path, ...names);
    return { engine: this.#options.engine, path, scratch, at };
  }

  assertServes(): void {
    if (mountsBelow(this.#path).length === 0) throw new Error('the mount is gone');
    if (!this.#daemons.every(isAlive)) throw new Error('the daemon of the mount has ended');
  }

  async stop(): Promise<void> {
    await stop(this.#path);
    await this.#servers?.stopAll();
  }

  /** Shows what the daemon had to say; servers are left to whoever removes the folder. */
  async stopAfterFailure(t: ExecutionContext): Promise<void> {
    if (this.#options.engine !== 'tmpfs') t.log(logTail(this.#logFile));
    await stop(this.#path).catch((second: unknown) => {
      t.log(String(second));
    });
  }
}

/** Two block servers share the capacity. */
function serversIn(folder: string, { capacity = '2G' }: MountOptions): Servers {
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
  const folder = makeFolder(timeoutMs);
  try {
    return await body(folder);
  } finally {
    await removeFolder(folder);
  }
}

function makeFolder(timeoutMs: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  chmodSync(folder, 0o755);
  tellGuard(`watch ${timeoutMs} ${folder}`);
  return folder;
}

async function removeFolder(folder: string): Promise<void> {
  await tearDown(folder);
  tellGuard(`release 0 ${folder}`);
  rmSync(folder, { recursive: true, force: true });
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
