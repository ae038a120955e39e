/**
 * The file systems that are compared, as a table. Each mounts itself in a folder of its own and is gone with
 * the place; one that cannot be mounted says why, and is left out.
 */
import { spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fuseNativeState } from '../../test/support/fuse-native.ts';
import { command, lastWords } from './command.ts';
import { mountDetached } from './detached.ts';
import { mountImssfs } from './imssfs.ts';
import { isRoot, type Place, unmount, waitForEnd, waitForMount } from './place.ts';

/** A row of the table of targets. */
export interface TargetKind {
  readonly name: string;
  /** Heading of its column. */
  readonly title: string;
  /** What the others are divided by; of several, the first that is there. */
  readonly role?: 'base' | 'reference';
  /** Name of the target that it is compared with instead of base and reference. */
  readonly comparedWith?: string;
  /** Measured although nobody asked for it by name: always, or in full runs alone. */
  readonly byDefault: boolean | 'in full';
  /** It is what is tested: that it cannot be mounted is no reason to go on without it. */
  mustMount?(): boolean;
  /** Returns where it is mounted. Rejects with the reason why it cannot be. */
  mount(place: Place, capacityMib: number): Promise<string>;
}

/** A target that is mounted. */
export interface Target {
  readonly kind: TargetKind;
  /** A folder in it, for the benchmark alone. */
  readonly folder: string;
  /** Whether files open with O_DIRECT; tmpfs does from Linux 6.6 on. */
  readonly takesDirect: boolean;
}

const PASSTHROUGH_SOURCE = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c';
const SHARED_MEMORY = '/dev/shm';
const TMPFS_MAGIC = 0x01021994;

const TARGETS: readonly TargetKind[] = [
  {
    name: 'tmpfs',
    title: 'tmpfs',
    role: 'base',
    byDefault: true,
    mount: (place, capacityMib) => memoryFolder(place, 'tmpfs', capacityMib),
  },
  {
    name: 'kernel',
    title: 'imssfs',
    byDefault: true,
    mustMount: () => true,
    mount: (place, capacityMib) => mountEngine(place, 'kernel', capacityMib),
  },
  {
    name: 'fuse-native',
    title: 'imssfs, fuse-native',
    byDefault: true,
    mustMount: () => ['loads', 'broken'].includes(fuseNativeState()),
    mount: (place, capacityMib) => mountEngine(place, 'fuse-native', capacityMib),
  },
  {
    name: 'detached-1',
    title: 'imssfs, 1 block server',
    comparedWith: 'kernel',
    byDefault: 'in full',
    mustMount: () => true,
    mount: async (place, capacityMib) =>
      (await mountDetached(place, { blockServers: 1, capacityMib })).path,
  },
  {
    name: 'detached-2',
    title: 'imssfs, 2 block servers',
    comparedWith: 'kernel',
    byDefault: true,
    mustMount: () => true,
    mount: async (place, capacityMib) =>
      (await mountDetached(place, { blockServers: 2, capacityMib })).path,
  },
  {
    name: 'passthrough',
    title: 'C FUSE',
    role: 'reference',
    byDefault: true,
    mount: (place, capacityMib) => mountPassthrough(place, { name: 'passthrough', capacityMib }),
  },
  {
    name: 'passthrough-single',
    title: 'C FUSE, one thread',
    byDefault: false,
    mount: (place, capacityMib) =>
      mountPassthrough(place, { name: 'passthrough-single', capacityMib, args: ['-s'] }),
  },
  {
    name: 'passthrough-xattr',
    title: 'C FUSE, xattrs',
    byDefault: false,
    mount: (place, capacityMib) =>
      mountPassthrough(place, {
        ...{ name: 'passthrough-xattr', capacityMib },
        args: ['-o', 'xattr'],
      }),
  },
  {
    name: 'bindfs',
    title: 'bindfs',
    role: 'reference',
    byDefault: false,
    mount: mountBindfs,
  },
];

/** The names that `--targets` takes. */
export const TARGET_NAMES: readonly string[] = TARGETS.map(({ name }) => name);

/**
 * Mounts the targets of these names, or all that are measured by default. Of the references, bindfs stands in
 * where passthrough_ll cannot be had. `onLeftOut` gets a line for each that cannot be mounted; rejects if it is
 * one that must.
 */
export async function mountTargets(
  place: Place,
  request: {
    names: readonly string[] | undefined;
    quick: boolean;
    capacityMib: number;
    signal: AbortSignal;
  },
  onLeftOut: (line: string) => void,
): Promise<Target[]> {
  const mounted: Target[] = [];
  const isWanted = ({ name, role, byDefault }: TargetKind): boolean =>
    request.names?.includes(name) ??
    (byDefault === true ||
      (byDefault === 'in full' && !request.quick) ||
      (role === 'reference' && !mounted.some((target) => target.kind.role === role)));
  for (const kind of TARGETS) {
    if (!isWanted(kind)) continue;
    request.signal.throwIfAborted();
    try {
      const root = await kind.mount(place, request.capacityMib);
      const folder = mkdtempSync(join(root, 'bench-'));
      mounted.push({ kind, folder, takesDirect: takesDirect(folder) });
    } catch (error) {
      if (kind.mustMount?.() === true) throw error;
      onLeftOut(`${kind.name} is left out: ${(error as Error).message}`);
    }
  }
  return mounted;
}

function takesDirect(folder: string): boolean {
  const path = join(folder, 'direct');
  writeFileSync(path, '');
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(path);
  }
}

/** A folder in a tmpfs: root mounts one, others use the machine's. */
async function memoryFolder(place: Place, name: string, capacityMib: number): Promise<string> {
  if (isRoot) {
    const path = place.folderFor(name);
    await command('mount', ['-t', 'tmpfs', '-o', `size=${capacityMib}M`, 'tmpfs', path]);
    place.atEnd(() => unmount(path));
    return path;
  }
  const room = existsSync(SHARED_MEMORY) ? statfsSync(SHARED_MEMORY) : undefined;
  if (room?.type !== TMPFS_MAGIC) {
    throw new Error(`only root may mount a tmpfs, and ${SHARED_MEMORY} is none`);
  }
  if ((room.bavail * room.bsize) / 2 ** 20 < capacityMib) {
    throw new Error(`${SHARED_MEMORY} has less than ${capacityMib} MiB free; lower --size`);
  }
  const path = mkdtempSync(join(SHARED_MEMORY, 'imssfs-bench-'));
  place.atEnd(() => {
    rmSync(path, { recursive: true, force: true });
    return Promise.resolve();
  });
  return path;
}

async function mountEngine(place: Place, engine: string, capacityMib: number): Promise<string> {
  const args = ['--engine', engine, '-S', `${capacityMib}M`];
  return (await mountImssfs(place, `imssfs-${engine}`, args)).path;
}

/** libfuse's own example of its low-level interface, with its caches on as ours are. */
async function mountPassthrough(
  place: Place,
  options: { name: string; capacityMib: number; args?: readonly string[] },
): Promise<string> {
  const { name, capacityMib, args = [] } = options;
  if (!existsSync(PASSTHROUGH_SOURCE)) {
    throw new Error(`there is no ${PASSTHROUGH_SOURCE}; Debian has it in libfuse3-dev`);
  }
  const program = join(place.folder, `${name}.bin`);
  const flags = ['-O2', '-D_FILE_OFFSET_BITS=64', '-I/usr/include/fuse3'];
  await command('cc', [...flags, '-o', program, PASSTHROUGH_SOURCE, '-lfuse3', '-lpthread']);
  const backing = await memoryFolder(place, `${name}-backing`, capacityMib);
  const caching = `source=${backing},cache=always`;
  return serve(place, { name, file: program, args: [...args, '-f', '-o', caching] });
}

async function mountBindfs(place: Place, capacityMib: number): Promise<string> {
  const version = await command('bindfs', ['--fuse-version']);
  const backing = await memoryFolder(place, 'bindfs-backing', capacityMib);
  // libfuse 2 asks for writes of 4 KiB unless it is told otherwise; libfuse 3 no longer knows the option.
  const writes = /compile-time version 2/.test(version) ? ['-o', 'big_writes'] : [];
  return serve(place, { name: 'bindfs', file: 'bindfs', args: ['-f', ...writes, backing] });
}

/** Starts a FUSE daemon in the foreground, with as many descriptors as it may have: it keeps one per inode. */
async function serve(
  place: Place,
  daemon: { name: string; file: string; args: readonly string[] },
): Promise<string> {
  accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  const path = place.folderFor(daemon.name);
  const script = 'ulimit -n "$(ulimit -H -n)"; exec "$@"';
  const child = spawn('/bin/sh', ['-c', script, 'sh', daemon.file, ...daemon.args, path], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  let ended = false;
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4096)));
  child.on('error', (error) => {
    said = error.message;
    ended = true;
  });
  child.on('exit', () => (ended = true));
  place.atEnd(async () => {
    if (await waitForMount(path, () => true)) await unmount(path);
    if (child.pid !== undefined) await waitForEnd(child.pid);
  });
  if (await waitForMount(path, () => ended)) return path;
  throw new Error(lastWords(said) ?? `${daemon.file} did not mount`);
}
