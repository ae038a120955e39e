/**
 * The kernel's list of mounts, /proc/self/mountinfo (proc_pid_mountinfo(5)). Paths are bytes; everything but
 * {@link readMountTable} is a pure function, and nothing here touches a mount.
 */
import { readFile } from 'node:fs/promises';

/** One line of mountinfo. */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  /** Device number of the file system. For FUSE `minor` is the connection's number in /sys/fs/fuse. */
  readonly major: number;
  readonly minor: number;
  readonly mountPoint: Buffer;
  /** Per-mount options, e.g. `rw,nosuid,nodev,relatime`. */
  readonly options: string;
  /** E.g. `fuse.imssfs`. */
  readonly type: string;
  readonly source: string;
}

/** The type under which our mounts appear. */
export const MOUNT_TYPE = 'fuse.imssfs';
/** Beginning of every source of ours. */
const SOURCE_PREFIX = 'imss://';
const SLASH = 0x2f;

/** Undoes the kernel's `\040`-style escapes (seq_path(), mangle()). `text` has one character per byte. */
function unescapeField(text: string): Buffer {
  const bytes = text.replace(/\\([0-3][0-7]{2})/g, (_match, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, 'latin1');
}

function parseLine(line: string): MountEntry | undefined {
  const fields = line.split(' ');
  // Six fixed fields, any number of optional ones, a hyphen, three more.
  const separator = fields.indexOf('-', 6);
  const [id, parentId, device, , mountPoint, options] = fields;
  const [type, source] = fields.slice(separator + 1);
  const numbers = /^(\d+):(\d+)$/.exec(device ?? '');
  if (separator < 0 || mountPoint === undefined || type === undefined || numbers === null) {
    return undefined;
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    major: Number(numbers[1]),
    minor: Number(numbers[2]),
    mountPoint: unescapeField(mountPoint),
    options: options ?? '',
    type: unescapeField(type).toString(),
    source: unescapeField(source ?? '').toString(),
  };
}

/** Parses mountinfo, in the kernel's order: a mount stands behind the one that it covers. */
export function parseMountTable(content: Buffer): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of content.toString('latin1').split('\n')) {
    const entry = parseLine(line);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** Mounts that this process sees, or those that process `pid` sees. */
export async function readMountTable(pid: number | 'self' = 'self'): Promise<MountEntry[]> {
  return parseMountTable(await readFile(`/proc/${pid}/mountinfo`));
}

/** The mount at exactly `path` (absolute, without symlinks or a slash at its end); the topmost if stacked. */
export function findMount(entries: readonly MountEntry[], path: Buffer): MountEntry | undefined {
  return entries.findLast((entry) => entry.mountPoint.equals(path));
}

/** The mount with this FUSE connection number: the latest if it is bound to several places. */
export function findConnection(
  entries: readonly MountEntry[],
  minor: number,
): MountEntry | undefined {
  return entries.findLast((entry) => entry.major === 0 && entry.minor === minor);
}

/** Whether it is a mount of imssfs. fuse-native gives plain `fuse` with our source. */
export function isImssMount(entry: MountEntry): boolean {
  if (entry.type === MOUNT_TYPE) return true;
  return entry.type === 'fuse' && entry.source.startsWith(SOURCE_PREFIX);
}

export function imssMounts(entries: readonly MountEntry[]): MountEntry[] {
  return entries.filter(isImssMount);
}

/** Whether `path` is `directory` or lies below it, by name alone. */
export function isWithin(path: Buffer, directory: Buffer): boolean {
  if (!path.subarray(0, directory.length).equals(directory)) return false;
  const isRoot = directory.length === 1 && directory[0] === SLASH;
  return isRoot || path.length === directory.length || path[directory.length] === SLASH;
}

/** Mounts whose mount points lie below `directory`, itself not included. */
export function mountsBelow(entries: readonly MountEntry[], directory: Buffer): MountEntry[] {
  return entries.filter(
    ({ mountPoint }) => !mountPoint.equals(directory) && isWithin(mountPoint, directory),
  );
}

/** A path for a person's eyes, on one line: bytes that are no printable UTF-8 become `\ooo`. */
export function displayPath(path: Buffer): string {
  const text = path.toString();
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!/[\u0000-\u001f\u007f-\u009f]/.test(text) && Buffer.from(text).equals(path)) return text;
  return path
    .toString('latin1')
    .replace(/[^ -~]/g, (byte) => `\\${(byte.codePointAt(0) ?? 0).toString(8).padStart(3, '0')}`);
}
