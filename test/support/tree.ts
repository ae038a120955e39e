/** Describes file trees exactly, so that a copy can be compared with its source. Names are bytes. */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

const CHUNK_BYTES = 4 * 1024 * 1024;
const S_IFMT = 0o170000n;
const S_IFDIR = 0o040000n;
const S_IFREG = 0o100000n;
const S_IFLNK = 0o120000n;

/** What a copy must keep of one entry, a word for each fact. */
type Facts = Readonly<Record<string, string>>;

/** Entries by path; the root is ''. Paths are latin1 text, one character for each byte. */
export type Tree = ReadonlyMap<string, Facts>;

/** Reads a whole tree with contents, modes, owners, times to the nanosecond, hard links and symlinks. */
export function readTree(root: string): Tree {
  const tree = new Map<string, Facts>();
  const firstNames = new Map<string, string>();
  const visit = (path: string): void => {
    const place = Buffer.concat([Buffer.from(root), Buffer.from(path, 'latin1')]);
    const stat = lstatSync(place, { bigint: true });
    tree.set(path, factsOf(place, stat, firstNameOf(firstNames, path, stat)));
    if ((stat.mode & S_IFMT) !== S_IFDIR) return;
    const names = readdirSync(place, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
    for (const name of names.sort()) visit(`${path}/${name}`);
  };
  visit('');
  return tree;
}

/** Hard links to one file are all described by the name that comes first. */
function firstNameOf(firstNames: Map<string, string>, path: string, stat: BigIntStats): string {
  const key = `${stat.dev}:${stat.ino}`;
  const first = firstNames.get(key) ?? path;
  firstNames.set(key, first);
  return first;
}

function factsOf(place: Buffer, stat: BigIntStats, firstName: string): Facts {
  const type = stat.mode & S_IFMT;
  const common = {
    mode: stat.mode.toString(8),
    owner: `${stat.uid}:${stat.gid}`,
    mtime: String(stat.mtimeNs),
  };
  if (type === S_IFDIR) return common;
  const links = { links: String(stat.nlink), 'same file as': firstName };
  if (type === S_IFLNK) {
    const target = readlinkSync(place, { encoding: 'buffer' }).toString('latin1');
    return { ...common, ...links, size: String(stat.size), target };
  }
  if (type === S_IFREG) {
    return { ...common, ...links, size: String(stat.size), data: hashOf(place) };
  }
  return { ...common, ...links, device: String(stat.rdev) };
}

function hashOf(place: Buffer): string {
  const hash = createHash('sha1');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const fd = openSync(place, 'r');
  try {
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) {
      hash.update(chunk.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}

/** Every difference as a line; link counts of files linked from outside the tree are the caller's care. */
export function differences(source: Tree, copy: Tree): string[] {
  const found: string[] = [];
  for (const [path, facts] of source) {
    const copied = copy.get(path);
    if (copied === undefined) {
      found.push(`${path} is missing`);
      continue;
    }
    for (const key of new Set([...Object.keys(facts), ...Object.keys(copied)])) {
      if (facts[key] !== copied[key]) {
        found.push(`${path}: ${key} is ${String(copied[key])}, not ${String(facts[key])}`);
      }
    }
  }
  for (const path of copy.keys()) if (!source.has(path)) found.push(`${path} is new`);
  return found;
}
