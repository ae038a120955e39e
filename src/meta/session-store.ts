/**
 * The metadata as one client sees it: the operations of the contract in a served database, with what the client has
 * open kept in it. A server makes one for each request, with the request's tag; a mount in whose process the database
 * is keeps one without tags.
 */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import { type BlockIndex, type InodeId, metaServerOf } from '../ids.ts';
import { type MaybePromise, type Task, then } from '../task.ts';
import { blockServers, claimBlocks } from './block-claims.ts';
import type { MetaCore } from './core.ts';
import { checkName, type NamespaceContext, NO_ENTRY, requireDirectory } from './directories.ts';
import { unwrap } from './exactly-once.ts';
import type { RoomUse } from './file-room.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import type { LockStore } from './lock-store.ts';
import { createNameless } from './nameless.ts';
import * as namespace from './namespace.ts';
import { closeInode, openInode, releaseInode, reopenInode, reportData } from './opens.ts';
import { published, type StoredInode } from './records.ts';
import { rename } from './rename.ts';
import type {
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
  RequestTag,
  Unlinked,
} from './store.ts';
import { findEntry, findInode } from './tables.ts';

/** What a name leads to: its record, or only its number where another metadata server keeps the record. */
export type Found = InodeRecord | InodeId;

/** The metadata that one server keeps; what others keep is named, not shown. */
export interface MetaServerStore extends MetaStore {
  readonly locks: LockStore | undefined;
  /** For how many milliseconds from now on this client is the only one of the server, for certain; 0 if it is not. */
  askAlone(): MaybePromise<number>;
  find(parent: InodeId, name: Buffer): MaybePromise<Found>;
  /** Records of inodes of this server; undefined for one that is gone. */
  inodes(inodes: readonly InodeId[]): MaybePromise<(InodeRecord | undefined)[]>;
}

/** What a client in the server's process has beside the metadata. */
export interface LocalClient {
  readonly locks: LockStore;
  readonly askAlone: () => number;
}

/** What a registered client is shown: opens are known, so a record tells whether it is settled. */
function shown(record: StoredInode): InodeRecord {
  return published(record, record.hasWriters);
}

export class MetaSession implements MetaServerStore {
  readonly shared = true;
  readonly #core: MetaCore;
  readonly #client: Buffer;
  readonly #tag: RequestTag | undefined;
  /** Set for the one store of a client that lives in this process. */
  readonly #local: LocalClient | undefined;

  /** `client` has CLIENT_ID_BYTES. All mutations of a store with a tag are that one request's. */
  constructor(core: MetaCore, client: Buffer, of?: RequestTag | LocalClient) {
    this.#core = core;
    this.#client = client;
    if (of === undefined || 'locks' in of) this.#local = of;
    else this.#tag = of;
  }

  get locks(): LockStore | undefined {
    return this.#local?.locks;
  }

  askAlone(): number {
    return this.#local?.askAlone() ?? 0;
  }

  /** Made anew for each operation: the epoch of the server map rises while a mount lives. */
  get #context(): NamespaceContext {
    return this.#core.context(this.#client);
  }

  #mutate<T extends StoredInode | undefined>(
    mutation: (kv: KeyValueTransaction) => Task<T>,
    use?: RoomUse,
  ): MaybePromise<T> {
    const tag = this.#tag;
    if (tag === undefined) return this.#core.transact(mutation, use);
    return then(this.#core.once(tag, mutation, use), (ended) => unwrap(ended) as T);
  }

  #change(
    mutation: (kv: KeyValueTransaction) => Task<StoredInode>,
    use?: RoomUse,
  ): MaybePromise<InodeRecord> {
    return then(this.#mutate(mutation, use), shown);
  }

  directoryAt(path: readonly Buffer[], owner: NewInode): MaybePromise<InodeRecord> {
    return this.#change((kv) => namespace.directoryAt(this.#context, kv, path, owner));
  }

  find(parent: InodeId, name: Buffer): MaybePromise<Found> {
    return this.#core.read((kv) => findChild(kv, { parent, name }, this.#core.server));
  }

  lookup(parent: InodeId, name: Buffer): MaybePromise<InodeRecord> {
    return then(this.find(parent, name), (found) => {
      if (typeof found !== 'number') return found;
      throw new FsError('EIO', `inode ${found} is kept by another metadata server`);
    });
  }

  inode(inode: InodeId): MaybePromise<InodeRecord> {
    return then(
      this.#core.read((kv) => namespace.getInode(kv, inode)),
      shown,
    );
  }

  inodes(inodes: readonly InodeId[]): MaybePromise<(InodeRecord | undefined)[]> {
    return this.#core.read((kv) => findRecords(kv, inodes));
  }

  create(entry: EntryName, spec: NewInode, level?: OpenLevel): MaybePromise<InodeRecord> {
    return this.#change((kv) => namespace.create(this.#context, kv, entry, spec, level));
  }

  createNameless(
    parent: InodeId,
    spec: NewInode,
    level: Exclude<OpenLevel, 'none'>,
  ): MaybePromise<InodeRecord> {
    return this.#change((kv) => createNameless(this.#context, kv, parent, { ...spec, level }));
  }

  openInode(inode: InodeId, level: Exclude<OpenLevel, 'none'>): MaybePromise<InodeRecord> {
    return this.#change((kv) => openInode(kv, inode, { client: this.#client, level }), 'reserve');
  }

  /** In a new session: what the client had open in one that has lapsed. False for what is gone meanwhile. */
  reopen(inode: InodeId, bits: number): MaybePromise<boolean> {
    return this.#core.transact((kv) => reopenInode(kv, inode, { client: this.#client, bits }));
  }

  closeInode(inode: InodeId, level: OpenLevel, report?: DataReport): MaybePromise<void> {
    const client = this.#client;
    return this.#releasing(inode, (kv) => closeInode(kv, inode, { client, level, report }));
  }

  reap(inode: InodeId): MaybePromise<void> {
    return this.#releasing(inode, (kv) => releaseInode(kv, inode, this.#client));
  }

  /** Runs what may leave an orphan that nobody needs, and then reaps that. */
  #releasing(
    inode: InodeId,
    release: (kv: KeyValueTransaction) => Task<boolean>,
  ): MaybePromise<void> {
    let left = false;
    const released = this.#mutate(function* (kv) {
      left = yield* release(kv);
      return undefined;
    }, 'reserve');
    return then(released, () => (left ? this.#core.reap(inode) : undefined));
  }

  /** {@link reap} for many. Returns when they are released; freeing their blocks may take longer. */
  reapAll(inodes: readonly InodeId[]): MaybePromise<void> {
    const left: InodeId[] = [];
    const client = this.#client;
    const released = this.#mutate(function* (kv) {
      for (const inode of inodes) if (yield* releaseInode(kv, inode, client)) left.push(inode);
      return undefined;
    }, 'reserve');
    return then(released, () => {
      for (const inode of left) void this.#core.reap(inode);
    });
  }

  link(inode: InodeId, entry: EntryName): MaybePromise<InodeRecord> {
    return this.#change((kv) => namespace.link(this.#context, kv, inode, entry));
  }

  unlink(entry: EntryName): MaybePromise<Unlinked> {
    const record = this.#change((kv) => namespace.unlink(this.#context, kv, entry), 'reserve');
    return then(record, (gone) => ({ record: gone }));
  }

  rmdir(entry: EntryName): MaybePromise<Unlinked> {
    const record = this.#change((kv) => namespace.rmdir(this.#context, kv, entry), 'reserve');
    return then(record, (gone) => ({ record: gone }));
  }

  rename(
    from: EntryName,
    to: EntryName,
    flags: RenameFlags = {},
  ): MaybePromise<Unlinked | undefined> {
    const lost = this.#mutate((kv) => rename(this.#context, kv, { from, to }, flags));
    return then(lost, (record) => (record === undefined ? undefined : { record: shown(record) }));
  }

  setAttributes(inode: InodeId, change: AttributeChange): MaybePromise<InodeRecord> {
    return this.#change(
      (kv) => namespace.setAttributes(this.#context, kv, inode, change),
      'reserve',
    );
  }

  #write(mutation: (kv: KeyValueTransaction) => Task<void>): MaybePromise<void> {
    return this.#mutate(function* (kv) {
      yield* mutation(kv);
      return undefined;
    }, 'reserve');
  }

  touchAtime(inode: InodeId, atime: Timespec): MaybePromise<void> {
    return this.#write((kv) => namespace.touchAtime(kv, inode, atime));
  }

  confirmBorn(inode: InodeId): MaybePromise<void> {
    return this.#write((kv) => namespace.confirmBorn(kv, inode));
  }

  reportData(inode: InodeId, report: DataReport): MaybePromise<void> {
    return this.#write((kv) => reportData(kv, inode, report));
  }

  /** Entries whose inode another server keeps have no record. */
  list(directory: InodeId, page: ListingPage): MaybePromise<Listing> {
    return this.#core.read((kv) => listPage(kv, directory, page));
  }

  inodeCount(): number {
    return this.#core.inodeCount();
  }

  setLayout(inode: InodeId, change: Partial<Layout>): MaybePromise<InodeRecord> {
    return this.#change((kv) => namespace.setLayout(this.#context, kv, inode, change));
  }

  /** Not recorded for retries: to claim again changes nothing and gives the same answer. */
  claimBlocks(
    inode: InodeId,
    blocks: readonly BlockIndex[],
    server: number,
  ): MaybePromise<number[]> {
    return this.#core.transact(function* (kv) {
      yield* namespace.getInode(kv, inode);
      return yield* claimBlocks(kv, inode, blocks, server);
    });
  }

  blockServers(
    inode: InodeId,
    blocks: readonly BlockIndex[],
  ): MaybePromise<(number | undefined)[]> {
    return this.#core.read((kv) => blockServers(kv, inode, blocks));
  }
}

function* findChild(kv: KeyValueReader, entry: EntryName, server: number): Task<Found> {
  const { parent, name } = entry;
  checkName(name);
  const found = yield* findEntry(kv, parent, name);
  if (found === undefined) {
    yield* requireDirectory(kv, parent);
    throw NO_ENTRY;
  }
  if (metaServerOf(found.inode) !== server) return found.inode;
  return shown(yield* namespace.getInode(kv, found.inode));
}

function* findRecords(
  kv: KeyValueReader,
  inodes: readonly InodeId[],
): Task<(InodeRecord | undefined)[]> {
  const records: (InodeRecord | undefined)[] = [];
  for (const inode of inodes) {
    const record = yield* findInode(kv, inode);
    records.push(record === undefined ? undefined : shown(record));
  }
  return records;
}

function* listPage(kv: KeyValueReader, directory: InodeId, page: ListingPage): Task<Listing> {
  const found = yield* namespace.list(kv, directory, page);
  const listing = { directory: shown(found.directory), upTo: found.upTo };
  if (!page.withRecords) return { ...listing, entries: found.entries };
  const server = metaServerOf(directory);
  const entries: Listing['entries'] = [];
  for (const entry of found.entries) {
    const here = metaServerOf(entry.inode) === server;
    const record = here ? yield* findInode(kv, entry.inode) : undefined;
    entries.push(record === undefined ? entry : { ...entry, record: shown(record) });
  }
  return { ...listing, entries };
}
