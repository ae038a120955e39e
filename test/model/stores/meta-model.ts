/**
 * What the metadata store should hold: plain records and maps, from the man pages and the store's contract. A model
 * knows inodes by the order in which they were made; it can be copied, so that every state that a crash may
 * leave can be told.
 */
import { encodeUriName } from '../../../src/uri.ts';
import {
  KINDS,
  type Kind,
  LIMITS,
  NAMES,
  type Operation,
  type Place,
  type ReaperMode,
  TARGET,
} from './meta-operations.ts';

export const ROOT = 0;
export const ROOT_SECONDS = 1;
const SERIAL_LIMIT = 2048;

export interface Node {
  kind: Kind;
  permissions: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  ctime: number;
  atime: number;
  mtime: number;
  sizeBytes: number;
  storedBytes: number;
  dataVersion: number;
  unborn: boolean;
  /** Undefined for one too long to be kept: then it is made of the inode number. */
  uri: string | undefined;
  parent: number;
  /** Name in the parent, for a directory. */
  name: number;
  lastSequence: number;
  /** By index of name. */
  entries: Map<number, { node: number; sequence: number }>;
  /** `nameless`: dropped with its blocks, its names are gone and its record not yet. */
  state: 'named' | 'orphan' | 'nameless' | 'gone';
}

export class ModelError extends Error {}

export function fail(code: string): never {
  throw new ModelError(code);
}

export interface ModelState {
  nodes: Node[];
  /** Freed as far as the namespace is concerned, unconfirmed by the reaper. */
  toFree: Set<number>;
  /** Handed to a slow reaper by this process. */
  inFlight: Set<number>;
  reaper: ReaperMode;
  nextSession: number;
  /** Session → the lowest sequence number that is not acknowledged. */
  sessions: Map<number, number>;
  /** Session → sequence → how that request ended. */
  replies: Map<number, Map<number, Outcome>>;
}

/** How an operation ends: an errno's name, or `OK` with the node that it tells of, as it was then. */
export interface Outcome {
  code: string;
  node?: number;
  record?: Node;
  session?: number;
}

const MAKES_NAMES = NAMES.map((name) => {
  if (name.length > 255) return 'ENAMETOOLONG';
  const text = name.toString('latin1');
  return ['', '.', '..'].includes(text) || text.includes('/') ? 'EINVAL' : undefined;
});

function checkName(name: number): void {
  const code = MAKES_NAMES[name];
  if (code !== undefined) fail(code);
}

/** The namespace: everything but sessions, reaping and recovery. */
export class NamespaceModel {
  readonly state: ModelState;

  constructor(state?: ModelState) {
    this.state = state ?? {
      nodes: [],
      toFree: new Set(),
      inFlight: new Set(),
      reaper: 'prompt',
      nextSession: 1,
      sessions: new Map(),
      replies: new Map(),
    };
    if (this.state.nodes.length === 0) {
      this.newNode({ kind: 'directory', permissions: 0o755, owner: 7 }, ROOT_SECONDS);
      this.node(ROOT).uri = 'imss://';
    }
  }

  node(index: number): Node {
    return this.state.nodes[index] ?? fail(`no node ${index}`);
  }

  /** ESTALE. */
  existing(index: number): Node {
    const node = this.node(index);
    return node.state === 'gone' ? fail('ESTALE') : node;
  }

  directory(index: number): Node {
    const node = this.existing(index);
    return node.kind === 'directory' ? node : fail('ENOTDIR');
  }

  liveDirectory(index: number): Node {
    const node = this.directory(index);
    return node.nlink === 0 ? fail('ENOENT') : node;
  }

  newNode(spec: { kind: Kind; permissions: number; owner: number }, now: number): number {
    const isDirectory = spec.kind === 'directory';
    return (
      this.state.nodes.push({
        kind: spec.kind,
        permissions: spec.permissions,
        nlink: isDirectory ? 2 : 1,
        uid: spec.owner,
        gid: spec.owner,
        rdev: spec.kind === 'device' ? 5 : 0,
        ctime: now,
        atime: now,
        mtime: now,
        sizeBytes: isDirectory ? 40 : spec.kind === 'symlink' ? TARGET.length : 0,
        storedBytes: 0,
        dataVersion: 0,
        unborn: true,
        uri: undefined,
        parent: ROOT,
        name: -1,
        lastSequence: 0,
        entries: new Map(),
        state: 'named',
      }) - 1
    );
  }

  create(at: Place, spec: { kind: Kind; mode: number; owner: number }, now: number): number {
    const [parentIndex, name] = at;
    checkName(name);
    const parent = this.liveDirectory(parentIndex);
    if (parent.entries.has(name)) fail('EEXIST');
    return this.insert(at, { kind: spec.kind, permissions: spec.mode, owner: spec.owner }, now);
  }

  insert(
    [parentIndex, name]: Place,
    spec: { kind: Kind; permissions: number; owner: number },
    now: number,
  ): number {
    const parent = this.node(parentIndex);
    const isDirectory = spec.kind === 'directory';
    if (isDirectory && parent.nlink >= LIMITS.directoryLinks) fail('EMLINK');
    const index = this.newNode(spec, now);
    const made = this.node(index);
    if ((parent.permissions & 0o2000) !== 0) {
      made.gid = parent.gid;
      if (isDirectory) made.permissions |= 0o2000;
    }
    made.uri = this.uriOf(parentIndex, name);
    if (isDirectory) {
      made.parent = parentIndex;
      made.name = name;
      parent.nlink++;
    }
    this.addEntry(parent, name, index);
    this.touch(parent, now);
    return index;
  }

  uriOf(directory: number, name: number): string | undefined {
    const parts = [encodeUriName(NAMES[name] ?? Buffer.alloc(0))];
    for (let at = directory; at !== ROOT; at = this.node(at).parent) {
      parts.unshift(encodeUriName(NAMES[this.node(at).name] ?? Buffer.alloc(0)));
    }
    const uri = `imss://${parts.join('/')}`;
    return uri.length > SERIAL_LIMIT ? undefined : uri;
  }

  addEntry(parent: Node, name: number, node: number): void {
    parent.lastSequence++;
    parent.entries.set(name, { node, sequence: parent.lastSequence });
    this.resize(parent);
  }

  dropEntry(parent: Node, name: number): void {
    parent.entries.delete(name);
    this.resize(parent);
  }

  resize(directory: Node): void {
    directory.sizeBytes = 40 + 20 * directory.entries.size;
  }

  touch(directory: Node, now: number): void {
    directory.mtime = now;
    directory.ctime = now;
  }

  loseName(node: Node, now: number): void {
    node.nlink = node.kind === 'directory' ? 0 : node.nlink - 1;
    node.ctime = now;
    if (node.nlink === 0) node.state = 'orphan';
  }

  directoryAt(path: readonly number[], now: number): number {
    path.forEach(checkName);
    this.liveDirectory(ROOT);
    let at = ROOT;
    for (const name of path) {
      const found = this.directory(at).entries.get(name)?.node;
      at =
        found ?? this.insert([at, name], { kind: 'directory', permissions: 0o755, owner: 7 }, now);
      if (this.node(at).kind !== 'directory') fail('ENOTDIR');
    }
    return at;
  }

  link(index: number, [parentIndex, name]: Place, now: number): number {
    checkName(name);
    const parent = this.liveDirectory(parentIndex);
    if (parent.entries.has(name)) fail('EEXIST');
    const node = this.existing(index);
    if (node.kind === 'directory') fail('EPERM');
    if (node.nlink === 0) fail('ENOENT');
    if (node.nlink >= LIMITS.links) fail('EMLINK');
    node.nlink++;
    node.ctime = now;
    this.addEntry(parent, name, index);
    this.touch(parent, now);
    return index;
  }

  /** unlink and rmdir. */
  remove([parentIndex, name]: Place, isRmdir: boolean, now: number): number {
    checkName(name);
    const parent = this.directory(parentIndex);
    const index = parent.entries.get(name)?.node ?? fail('ENOENT');
    const node = this.node(index);
    const isDirectory = node.kind === 'directory';
    if (isRmdir && !isDirectory) fail('ENOTDIR');
    if (!isRmdir && isDirectory) fail('EISDIR');
    if (node.entries.size > 0) fail('ENOTEMPTY');
    this.dropEntry(parent, name);
    if (isDirectory) parent.nlink--;
    this.touch(parent, now);
    this.loseName(node, now);
    return index;
  }

  isWithin(place: number, ancestor: number): boolean {
    for (let at = place; ; at = this.node(at).parent) {
      if (at === ancestor) return true;
      if (at === ROOT) return false;
    }
  }

  /** Returns the node that lost its name, if any did. */
  rename({ at, to, flags }: Extract<Operation, { op: 'rename' }>, now: number): number | undefined {
    checkName(at[1]);
    checkName(to[1]);
    if (flags === 'both') fail('EINVAL');
    const source = this.liveDirectory(at[0]);
    const target = this.liveDirectory(to[0]);
    const moved = source.entries.get(at[1])?.node ?? fail('ENOENT');
    const other = target.entries.get(to[1])?.node;
    if (other !== undefined && flags === 'noReplace') fail('EEXIST');
    if (other === undefined && flags === 'exchange') fail('ENOENT');
    const node = this.node(moved);
    if (source !== target && node.kind === 'directory' && this.isWithin(to[0], moved))
      fail('EINVAL');
    if (other === undefined) {
      this.move({ at, to, moved, other }, now);
      return undefined;
    }
    const isBelow =
      source !== target && this.node(other).kind === 'directory' && this.isWithin(at[0], other);
    if (flags === 'exchange' && isBelow) fail('EINVAL');
    if (moved === other) return undefined;
    if (flags === 'exchange') {
      this.exchange({ at, to, moved, other }, now);
      return undefined;
    }
    this.move({ at, to, moved, other }, now);
    return other;
  }

  move(
    { at, to, moved, other }: { at: Place; to: Place; moved: number; other: number | undefined },
    now: number,
  ): void {
    const source = this.node(at[0]);
    const target = this.node(to[0]);
    const node = this.node(moved);
    const isDirectory = node.kind === 'directory';
    if (other !== undefined) {
      const lost = this.node(other);
      if (isDirectory && lost.kind !== 'directory') fail('ENOTDIR');
      if (!isDirectory && lost.kind === 'directory') fail('EISDIR');
      if (lost.entries.size > 0) fail('ENOTEMPTY');
    } else if (source !== target && isDirectory && target.nlink >= LIMITS.directoryLinks) {
      fail('EMLINK');
    }
    this.dropEntry(source, at[1]);
    const kept = target.entries.get(to[1]);
    if (other === undefined || kept === undefined) {
      this.addEntry(target, to[1], moved);
    } else {
      kept.node = moved;
      if (isDirectory) target.nlink--;
      this.loseName(this.node(other), now);
    }
    if (isDirectory) {
      source.nlink--;
      target.nlink++;
    }
    this.settle(moved, to, now);
    this.touch(source, now);
    this.touch(target, now);
  }

  exchange(
    { at, to, moved, other }: { at: Place; to: Place; moved: number; other: number },
    now: number,
  ): void {
    const source = this.node(at[0]);
    const target = this.node(to[0]);
    const [one, two] = [moved, other].map((index) =>
      this.node(index).kind === 'directory' ? 1 : 0,
    );
    const change = (two ?? 0) - (one ?? 0);
    const winner = change > 0 ? source : target;
    if (source !== target && change !== 0 && winner.nlink >= LIMITS.directoryLinks) fail('EMLINK');
    source.nlink += change;
    target.nlink -= change;
    const [first, second] = [source.entries.get(at[1]), target.entries.get(to[1])];
    if (first !== undefined) first.node = other;
    if (second !== undefined) second.node = moved;
    this.settle(moved, to, now);
    this.settle(other, at, now);
    this.touch(source, now);
    this.touch(target, now);
  }

  settle(index: number, [parent, name]: Place, now: number): void {
    const node = this.node(index);
    node.ctime = now;
    if (node.kind !== 'directory') return;
    node.parent = parent;
    node.name = name;
  }

  setAttributes(change: Extract<Operation, { op: 'setAttributes' }>, now: number): void {
    const node = this.existing(change.inode);
    if (change.mode !== undefined) node.permissions = change.mode;
    if (change.drop && node.kind !== 'directory') {
      node.permissions &= (node.permissions & 0o010) === 0 ? ~0o4000 : ~0o6000;
    }
    if (change.owner !== undefined) node.uid = node.gid = change.owner;
    if (change.mtime !== undefined) node.mtime = change.mtime;
    node.ctime = now;
  }

  reportData(
    { inode, version, bytes }: Extract<Operation, { op: 'reportData' }>,
    now: number,
  ): void {
    const node = this.existing(inode);
    if (!node.unborn && version < node.dataVersion) return;
    node.unborn = false;
    node.dataVersion = Math.max(node.dataVersion, version);
    node.ctime = Math.max(node.ctime, now);
    if (node.kind !== 'file') return;
    node.sizeBytes = bytes;
    node.storedBytes = bytes;
    node.atime = now;
    node.mtime = now;
  }
}

export const typeBits = (node: Node): number => KINDS[node.kind];
