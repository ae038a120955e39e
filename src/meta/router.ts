/**
 * The metadata of a file system with several metadata servers: each operation goes to the server that the number of its
 * inode, or of its directory, names. A child that lives elsewhere than its name is completed there.
 */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import { type BlockIndex, type InodeId, metaServerOf, ROOT_INODE } from '../ids.ts';
import { FileType, fileTypeOf, PERMISSION_MASK } from '../stat.ts';
import { type MaybePromise, then } from '../task.ts';
import type { LockStore } from './lock-store.ts';
import { RoutedLocks } from './routed-locks.ts';
import type { MetaServerStore } from './session-store.ts';
import type {
  Aloneness,
  AttributeChange,
  DataReport,
  EntryName,
  InodeRecord,
  Layout,
  Listing,
  ListingPage,
  MetaStore,
  NewInode,
  OpenLevel,
  RenameFlags,
  Unlinked,
} from './store.ts';

/** Lookups of one path component, while others make and remove it. */
const WALK_ATTEMPTS = 100;

export class MetaRouter implements MetaStore {
  readonly shared = true;
  readonly locks: LockStore | undefined;
  readonly lone: Aloneness | undefined;
  readonly #servers: readonly MetaServerStore[];

  /** All metadata servers of the file system, each at its number. Without `lone`, others are taken to be there always. */
  constructor(servers: readonly MetaServerStore[], lone?: Aloneness) {
    this.#servers = servers;
    this.lone = lone;
    const locks = servers.flatMap((server) => server.locks ?? []);
    this.locks = locks.length === servers.length ? new RoutedLocks(locks) : undefined;
  }

  #of(inode: InodeId): MetaServerStore {
    const server = this.#servers[metaServerOf(inode)];
    if (server === undefined) throw new FsError('ESTALE', `inode ${inode} is of no server`);
    return server;
  }

  directoryAt(path: readonly Buffer[], owner: NewInode): MaybePromise<InodeRecord> {
    if (this.#servers.length === 1) return this.#of(ROOT_INODE).directoryAt(path, owner);
    return this.#walk(path, owner);
  }

  async #walk(path: readonly Buffer[], owner: NewInode): Promise<InodeRecord> {
    let at = await this.inode(ROOT_INODE);
    for (const name of path) {
      at = await this.#lookUpOrMake({ parent: at.inode, name }, owner);
      if (fileTypeOf(at.mode) !== FileType.DIRECTORY) throw new FsError('ENOTDIR');
    }
    return at;
  }

  async #lookUpOrMake(entry: EntryName, owner: NewInode): Promise<InodeRecord> {
    const mode = FileType.DIRECTORY | (owner.mode & PERMISSION_MASK);
    for (let attempt = 0; attempt < WALK_ATTEMPTS; attempt++) {
      try {
        return await this.lookup(entry.parent, entry.name);
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
      try {
        return await this.create(entry, { ...owner, mode });
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
    }
    throw new FsError('EIO', 'a directory on the way comes and goes');
  }

  lookup(parent: InodeId, name: Buffer): MaybePromise<InodeRecord> {
    return then(this.#of(parent).find(parent, name), (found) =>
      typeof found === 'number' ? this.inode(found) : found,
    );
  }

  inode(inode: InodeId): MaybePromise<InodeRecord> {
    return this.#of(inode).inode(inode);
  }

  create(entry: EntryName, spec: NewInode, level?: OpenLevel): MaybePromise<InodeRecord> {
    return this.#of(entry.parent).create(entry, spec, level);
  }

  createNameless(
    parent: InodeId,
    spec: NewInode,
    level: Exclude<OpenLevel, 'none'>,
  ): MaybePromise<InodeRecord> {
    return this.#of(parent).createNameless(parent, spec, level);
  }

  openInode(inode: InodeId, level: Exclude<OpenLevel, 'none'>): MaybePromise<InodeRecord> {
    return this.#of(inode).openInode(inode, level);
  }

  closeInode(inode: InodeId, level: OpenLevel, report?: DataReport): MaybePromise<void> {
    return this.#of(inode).closeInode(inode, level, report);
  }

  link(inode: InodeId, entry: EntryName): MaybePromise<InodeRecord> {
    return this.#of(entry.parent).link(inode, entry);
  }

  unlink(entry: EntryName): MaybePromise<Unlinked> {
    return this.#of(entry.parent).unlink(entry);
  }

  rmdir(entry: EntryName): MaybePromise<Unlinked> {
    return this.#of(entry.parent).rmdir(entry);
  }

  rename(from: EntryName, to: EntryName, flags?: RenameFlags): MaybePromise<Unlinked | undefined> {
    return this.#of(from.parent).rename(from, to, flags);
  }

  setAttributes(inode: InodeId, change: AttributeChange): MaybePromise<InodeRecord> {
    return this.#of(inode).setAttributes(inode, change);
  }

  touchAtime(inode: InodeId, atime: Timespec): MaybePromise<void> {
    return this.#of(inode).touchAtime(inode, atime);
  }

  confirmBorn(inode: InodeId): MaybePromise<void> {
    return this.#of(inode).confirmBorn(inode);
  }

  reportData(inode: InodeId, report: DataReport): MaybePromise<void> {
    return this.#of(inode).reportData(inode, report);
  }

  list(directory: InodeId, page: ListingPage): MaybePromise<Listing> {
    const listing = this.#of(directory).list(directory, page);
    return page.withRecords ? then(listing, (found) => this.#complete(directory, found)) : listing;
  }

  /** Adds the records that other servers keep; one request to each. */
  #complete(directory: InodeId, listing: Listing): MaybePromise<Listing> {
    const elsewhere = new Map<number, InodeId[]>();
    for (const { inode } of listing.entries) {
      const server = metaServerOf(inode);
      if (server === metaServerOf(directory)) continue;
      const inodes = elsewhere.get(server);
      if (inodes === undefined) elsewhere.set(server, [inode]);
      else inodes.push(inode);
    }
    return elsewhere.size === 0 ? listing : this.#withRecords(listing, [...elsewhere.values()]);
  }

  async #withRecords(listing: Listing, groups: readonly InodeId[][]): Promise<Listing> {
    const found = await Promise.all(
      groups.map(async (inodes) => {
        const [first] = inodes;
        return first === undefined ? [] : this.#of(first).inodes(inodes);
      }),
    );
    const records = new Map<InodeId, InodeRecord>();
    for (const record of found.flat()) {
      if (record !== undefined) records.set(record.inode, record);
    }
    const entries = listing.entries.map((entry) => {
      const record = records.get(entry.inode);
      return record === undefined ? entry : { ...entry, record };
    });
    return { ...listing, entries };
  }

  reap(inode: InodeId): MaybePromise<void> {
    return this.#of(inode).reap(inode);
  }

  inodeCount(): MaybePromise<number> {
    const counts = this.#servers.map(async (server) => server.inodeCount());
    return Promise.all(counts).then(sum);
  }

  setLayout(inode: InodeId, change: Partial<Layout>): MaybePromise<InodeRecord> {
    return this.#of(inode).setLayout(inode, change);
  }

  claimBlocks(
    inode: InodeId,
    blocks: readonly BlockIndex[],
    server: number,
  ): MaybePromise<number[]> {
    return this.#of(inode).claimBlocks(inode, blocks, server);
  }

  blockServers(
    inode: InodeId,
    blocks: readonly BlockIndex[],
  ): MaybePromise<(number | undefined)[]> {
    return this.#of(inode).blockServers(inode, blocks);
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function isErrno(error: unknown, code: 'ENOENT' | 'EEXIST'): boolean {
  return error instanceof FsError && error.code === code;
}
