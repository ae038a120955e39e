/**
 * Who keeps a mount busy, found in /proc without ever touching the mount: only link texts and maps are read, so a
 * daemon may look for the holders of its own mount. Tells what it could not see, for lack of rights.
 */
import { readFile, readdir, readlink } from 'node:fs/promises';
import { displayPath, isWithin, mountsBelow, readMountTable } from './mount-table.ts';
import type { MountEntry } from './mount-table.ts';

export type HolderKind = 'cwd' | 'root' | 'executable' | 'open file' | 'mapped file';

/** One way in which a process uses the mount. */
export interface Holder {
  readonly pid: number;
  /** Name of the program as the kernel keeps it, at most 15 characters. */
  readonly command: string;
  readonly what: HolderKind;
  readonly path: Buffer;
}

export interface Holders {
  readonly holders: readonly Holder[];
  /** Mount points of other file systems below this one. */
  readonly nestedMounts: readonly Buffer[];
  /** Processes of other users that may not be looked into. */
  readonly unreadableProcesses: number;
  /** Not every process was reached within the time. */
  readonly incomplete: boolean;
}

/** The mount in question, as {@link MountEntry} has it. */
export type Target = Pick<MountEntry, 'mountPoint' | 'major' | 'minor'>;

const TIMEOUT_MS = 5000;
/** Leaves threads of libuv's pool to others: each of these waits for one /proc file at a time. */
const PARALLEL_PROCESSES = 2;

/** Where a process sees the mount, and what it sees mounted below it. */
interface View {
  readonly mountPoints: readonly Buffer[];
  readonly nested: readonly Buffer[];
}

/** The part of `entries` (one mount namespace) that concerns the file system `major:minor`. */
export function viewOf(entries: readonly MountEntry[], { major, minor }: Target): View {
  const isOurs = (entry: MountEntry): boolean => entry.major === major && entry.minor === minor;
  const mountPoints = entries.filter(isOurs).map((entry) => entry.mountPoint);
  const nested = mountPoints
    .flatMap((mountPoint) => mountsBelow(entries, mountPoint))
    .filter((entry) => !isOurs(entry))
    .map((entry) => entry.mountPoint);
  return { mountPoints, nested };
}

/** Whether a link text of /proc names something on the mount itself, not on one nested in it. */
export function isOnMount(path: Buffer, { mountPoints, nested }: View): boolean {
  return (
    mountPoints.some((mountPoint) => isWithin(path, mountPoint)) &&
    !nested.some((mountPoint) => isWithin(path, mountPoint))
  );
}

/** Paths of the files of device `major:minor` in `maps`, the content of /proc/<pid>/maps; each once. */
export function mappedPaths(maps: Buffer, { major, minor }: Target): Buffer[] {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  const device = `${hex(major)}:${hex(minor)}`;
  const paths = new Set<string>();
  for (const line of maps.toString('latin1').split('\n')) {
    // Address, permissions, offset, device, inode; the path, which may hold blanks, is the rest.
    const match = /^\S+ \S+ \S+ (\S+) \d+ +(.+)$/.exec(line);
    if (match?.[1] === device && match[2] !== undefined) paths.add(match[2]);
  }
  return Array.from(paths, (path) =>
    // seq_file_path() escapes newlines alone.
    Buffer.from(path.replaceAll('\\012', '\n'), 'latin1'),
  );
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** undefined for a process or descriptor that is gone; other failures (EACCES above all) are thrown. */
async function unlessGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const code = codeOf(error);
    // Kernel threads have no exe: ENOENT as well.
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** One scan of /proc. Views are kept per mount namespace, of which a machine has few. */
class Scan {
  readonly holders: Holder[] = [];
  unreadableProcesses = 0;
  readonly #target: Target;
  readonly #views = new Map<string, Promise<View>>();

  constructor(target: Target) {
    this.#target = target;
  }

  #viewFor(pid: number, namespace: string): Promise<View> {
    let view = this.#views.get(namespace);
    if (view === undefined) {
      view = readMountTable(pid).then((entries) => viewOf(entries, this.#target));
      // A process that ended meanwhile says nothing about the others of its namespace.
      view.catch(() => this.#views.delete(namespace));
      this.#views.set(namespace, view);
    }
    return view;
  }

  async process(pid: number): Promise<void> {
    try {
      const namespace = await unlessGone(readlink(`/proc/${pid}/ns/mnt`));
      if (namespace === undefined) return;
      const view = await this.#viewFor(pid, namespace);
      if (view.mountPoints.length > 0) await this.#usesOf(pid, view);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'EACCES' || code === 'EPERM') this.unreadableProcesses += 1;
      else if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    }
  }

  async #usesOf(pid: number, view: View): Promise<void> {
    const uses: { what: HolderKind; path: Buffer }[] = [];
    const seen = new Set<string>();
    const note = async (what: HolderKind, link: string): Promise<void> => {
      const path = await unlessGone(readlink(link, { encoding: 'buffer' }));
      if (path === undefined || !isOnMount(path, view)) return;
      seen.add(path.toString('latin1'));
      uses.push({ what, path });
    };
    await note('cwd', `/proc/${pid}/cwd`);
    await note('root', `/proc/${pid}/root`);
    await note('executable', `/proc/${pid}/exe`);
    for (const fd of (await unlessGone(readdir(`/proc/${pid}/fd`))) ?? []) {
      await note('open file', `/proc/${pid}/fd/${fd}`);
    }
    const maps = await unlessGone(readFile(`/proc/${pid}/maps`));
    for (const path of maps === undefined ? [] : mappedPaths(maps, this.#target)) {
      if (!seen.has(path.toString('latin1'))) uses.push({ what: 'mapped file', path });
    }
    if (uses.length === 0) return;
    const command = (await unlessGone(readFile(`/proc/${pid}/comm`, 'utf8')))?.trimEnd() ?? '?';
    for (const use of uses) this.holders.push({ pid, command, ...use });
  }
}

async function processIds(): Promise<number[]> {
  const names = await readdir('/proc');
  // Whoever asks does not keep the mount busy for longer than the question.
  return names.filter((name) => /^\d+$/.test(name) && name !== String(process.pid)).map(Number);
}

/**
 * Looks for whoever uses the mount, in all mount namespaces that may be looked into. Resolves within `timeoutMs`
 * (reading another process's maps can wait for its page faults), then with what was found so far.
 */
export async function findHolders(target: Target, timeoutMs = TIMEOUT_MS): Promise<Holders> {
  const nested = viewOf(await readMountTable(), target).nested;
  const scan = new Scan(target);
  const waiting = await processIds();
  let timeUp = false;
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      timeUp = true;
      resolve();
    }, timeoutMs);
  });
  const work = async (): Promise<void> => {
    for (let pid = waiting.pop(); pid !== undefined && !timeUp; pid = waiting.pop()) {
      await scan.process(pid);
    }
  };
  try {
    const workers = Array.from({ length: PARALLEL_PROCESSES }, work);
    await Promise.race([Promise.all(workers), deadline]);
  } finally {
    clearTimeout(timer);
  }
  return {
    holders: scan.holders.toSorted((a, b) => a.pid - b.pid),
    nestedMounts: nested,
    unreadableProcesses: scan.unreadableProcesses,
    incomplete: timeUp,
  };
}

/**
 * Lines for a person, at most `limit` uses: `1234 bash: cwd /mnt/imss/a`. Empty if nothing was found or hidden.
 * Root is not advised to become root.
 */
export function describeHolders(
  found: Holders,
  limit = 10,
  isRoot = process.geteuid?.() === 0,
): string[] {
  const uses = found.holders.map(
    ({ pid, command, what, path }) => `${pid} ${command}: ${what} ${displayPath(path)}`,
  );
  const lines = [
    ...found.nestedMounts.map((path) => `mounted below: ${displayPath(path)}`),
    ...uses,
  ];
  const shown = lines.slice(0, limit);
  if (lines.length > limit) shown.push(`and ${lines.length - limit} more`);
  const { unreadableProcesses: hidden } = found;
  if (hidden > 0) {
    const processes = `${hidden} process${hidden === 1 ? '' : 'es'}`;
    shown.push(
      isRoot
        ? `${processes} could not be looked into`
        : `${processes} of other users could not be looked into; root sees all`,
    );
  }
  if (found.incomplete) shown.push('the search was cut short: there may be more');
  return shown;
}
