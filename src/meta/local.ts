/**
 * The metadata store in this process, on one lmdb file. Every operation is done when its call returns, and
 * survives the process; only {@link LocalMetaStore.reap} waits, for block servers that are elsewhere.
 */
import { ShortBufferError } from '../bytes.ts';
import type { Clock, Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import { metaServerOf, ROOT_INODE } from '../ids.ts';
import type { Logger } from '../log.ts';
import { type MaybePromise, runSync, type Task, wait } from '../task.ts';
import type { MetaCore, MetaParts } from './core.ts';
import { DatabaseFile, MetaOpenError } from './database-file.ts';
import { DatasetUris } from './dataset-uris.ts';
import { LINK_LIMITS, type LinkLimits, type NamespaceContext } from './directories.ts';
import { expireSession, once, openSession, unwrap } from './exactly-once.ts';
import {
  decodeIdentity,
  encodeIdentity,
  FORMAT_VERSION,
  type Identity,
  newIdentity,
} from './identity.ts';
import type { RoomUse } from './file-room.ts';
import { InodeNumbers } from './inode-numbers.ts';
import { SystemKey, systemKey, Table, tableRange } from './keys.ts';
import { KeyValueError, type KeyValueReader, type KeyValueTransaction } from './kv.ts';
import { type DatabaseUsage, LmdbKeyValue } from './lmdb-kv.ts';
import { createNameless } from './nameless.ts';
import * as namespace from './namespace.ts';
import { reportData } from './opens.ts';
import { Reaping } from './reaping.ts';
import { published, type StoredInode } from './records.ts';
import { dropDatasetsWithoutBlocks, dropOpensAndClaims } from './recovery.ts';
import { rename } from './rename.ts';
import type {
  AttributeChange,
  BlockReaper,
  DataReport,
  EntryName,
  InodeRecord,
  Layout,
  ListedEntry,
  Listing,
  ListingPage,
  MetaStore,
  NewInode,
  OpenLevel,
  RenameFlags,
  RequestTag,
  Unlinked,
} from './store.ts';
import { findInode, getSystemNumber, putSystemNumber } from './tables.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from './temporary-place.ts';

export interface LocalMetaOptions {
  /**
   * File that keeps the metadata; while open it has `<path>-lock` and `<path>-open` beside it. Without one, the
   * metadata is kept in a private folder and goes at {@link LocalMetaStore.close}.
   */
  path?: Buffer | string;
  /** Where that folder is made; otherwise XDG_RUNTIME_DIR if usable, else the system's temporary folder. */
  temporaryIn?: string;
  clock: Clock;
  reaper: BlockReaper;
  /** Layout of a new root, inherited by what is made below. */
  defaults: Layout;
  /** Owner and permission bits of a new root. */
  owner: { uid: number; gid: number; mode: number };
  logger: Logger;
  /** Number of this metadata server; 0 if absent. */
  server?: number;
  /** File system of which a new database is; a new one if absent. 16 bytes. */
  clusterId?: Buffer;
  /** Blocks live in servers that outlast this process: nothing is dropped at open. */
  blocksOutliveUs?: boolean;
  limits?: Partial<LinkLimits>;
}

export interface LocalMetaStatistics extends DatabaseUsage {
  /** Inodes that exist, orphans included. */
  inodes: number;
}

interface Opened {
  file: DatabaseFile;
  database: LmdbKeyValue;
  temporaryFolder: string | undefined;
}

export class LocalMetaStore implements MetaStore {
  /** It serves one mount, in this process. */
  readonly shared = false;
  readonly #opened: Opened;
  readonly #database: LmdbKeyValue;
  readonly #numbers: InodeNumbers;
  readonly #context: NamespaceContext & { mapEpoch: number };
  /** Which server of which file system this is. */
  readonly identity: Readonly<Identity>;
  /** What serves this database to registered clients uses this. */
  readonly core: MetaCore;
  readonly #reaping: Reaping;
  #inodes = 0;
  #droppedAtOpen = 0;
  #closing: Promise<void> | undefined;

  private constructor(opened: Opened, options: LocalMetaOptions, setup: Setup) {
    const { clock, reaper, logger } = options;
    this.#opened = opened;
    this.identity = setup.identity;
    this.#database = opened.database;
    this.#numbers = new InodeNumbers(setup.identity.server);
    this.#context = {
      now: () => clock.now(),
      numbers: this.#numbers,
      uris: new DatasetUris(),
      limits: { ...LINK_LIMITS, ...options.limits },
      mapEpoch: setup.mapEpoch,
      counts: { created: 0 },
      client: undefined,
    };
    this.core = this.#makeCore(setup.identity.server);
    this.#reaping = new Reaping({
      database: opened.database,
      reaper,
      clock,
      logger,
      onGone: () => {
        this.#inodes--;
      },
    });
  }

  /** Opens, makes or recovers the database. Fails with MetaOpenError, and then leaves all as it was. */
  static async open(options: LocalMetaOptions): Promise<LocalMetaStore> {
    const temporary =
      options.path === undefined
        ? makeTemporaryFolder(options.clock, options.temporaryIn)
        : undefined;
    let file: DatabaseFile | undefined;
    let database: LmdbKeyValue | undefined;
    try {
      file = DatabaseFile.open(temporary?.file ?? pathText(options.path ?? ''));
      database = LmdbKeyValue.open(file.path);
      const setup = identify(database, file, options);
      const opened = { file, database, temporaryFolder: temporary?.folder };
      const store = new LocalMetaStore(opened, options, setup);
      store.#start(options);
      return store;
    } catch (error) {
      await database?.close();
      file?.abandon();
      if (temporary !== undefined) removeTemporaryFolder(temporary.folder);
      throw explain(error, file);
    }
  }

  #start(options: LocalMetaOptions): void {
    const { defaults, owner, logger } = options;
    runSync(this.#numbers.load(this.#database));
    if (this.core.server === ROOT_SERVER) {
      this.#transact((kv) =>
        namespace.makeRoot(this.#context, kv, { owner, layout: { ...defaults } }),
      );
    }
    this.#inodes = this.#database.count(tableRange(Table.INODES));
    if (options.blocksOutliveUs !== true) dropOpensAndClaims(this.#database);
    this.#reaping.reapAll();
    void this.#reaping.retry();
    if (options.blocksOutliveUs !== true) {
      this.#droppedAtOpen = dropDatasetsWithoutBlocks(this.#database);
      this.#inodes -= this.#droppedAtOpen;
    }
    // Where blocks outlive us, the first mount decides the layout, and the rest are told it.
    if (options.blocksOutliveUs !== true && this.core.server === ROOT_SERVER) {
      this.#compareLayout(defaults, logger);
    }
    const { path } = this.#opened.file;
    logger.info({ path, inodes: this.#inodes, dropped: this.#droppedAtOpen }, 'metadata opened');
  }

  #compareLayout(asked: Layout, logger: Logger): void {
    const kept = this.inode(ROOT_INODE).layout;
    if (kept.blockSizeBytes !== asked.blockSizeBytes || kept.policy !== asked.policy) {
      logger.warn({ kept, asked }, 'the root keeps the layout that it was made with');
    }
  }

  #makeCore(server: number): MetaCore {
    return {
      server,
      context: (client) => ({ ...this.#context, client }),
      transact: (operation, use) => this.#transact(operation, use),
      once: (tag, mutation, use) => this.#transact((kv) => once(kv, tag, mutation), use),
      read: (operation) => runSync(operation(this.#database)),
      reap: (inode) => this.#reaping.reap(inode),
      inodeCount: () => this.#inodes,
    };
  }

  /** For servers that share the namespace with others. */
  get parts(): MetaParts {
    const database = this.#database;
    return {
      core: this.core,
      database: {
        get: (key) => database.get(key),
        range: (range) => database.range(range),
        transact: (operation, use) => this.#transact(operation, use),
      },
      context: this.#context,
      numbers: this.#numbers,
      countInodes: (more) => {
        this.#inodes += more;
      },
    };
  }

  /** Path of the database. */
  get path(): string {
    return this.#opened.file.path;
  }

  /** Datasets that were dropped when the database was opened, because their blocks went with their process. */
  get droppedAtOpen(): number {
    return this.#droppedAtOpen;
  }

  /** Datasets made from now on are of this epoch. Whoever keeps the server map keeps it in the database, too. */
  setMapEpoch(epoch: number): void {
    this.#context.mapEpoch = epoch;
  }

  /** Reads what is kept beside the namespace. */
  readBeside<T>(operation: (kv: KeyValueReader) => Task<T>): T {
    return runSync(operation(this.#database));
  }

  /** Changes what is kept beside the namespace, in one transaction. */
  transactBeside<T>(operation: (kv: KeyValueTransaction) => Task<T>): T {
    return this.#transact(operation, 'reserve');
  }

  statistics(): LocalMetaStatistics {
    return { inodes: this.#inodes, ...this.#database.usage() };
  }

  /** Syncs and closes the database; a temporary one is removed. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#reaping.close();
    await this.#database.close();
    this.#opened.file.close();
    const { temporaryFolder } = this.#opened;
    if (temporaryFolder !== undefined) removeTemporaryFolder(temporaryFolder);
  }

  #transact<T>(operation: (kv: KeyValueTransaction) => Task<T>, use?: RoomUse): T {
    const context = this.#context;
    context.counts.created = 0;
    try {
      const result = this.#database.transact(operation, use);
      this.#inodes += context.counts.created;
      return result;
    } catch (error) {
      // An operation fails before its first write; anything else may have taken numbers and URIs with it.
      if (!(error instanceof FsError) || error instanceof KeyValueError) {
        this.#numbers.rolledBack();
        context.uris.forget();
      }
      throw error;
    }
  }

  #mutate<T extends StoredInode | undefined>(
    tag: RequestTag | undefined,
    mutation: (kv: KeyValueTransaction) => Task<T>,
    use?: RoomUse,
  ): T {
    if (tag === undefined) return this.#transact(mutation, use);
    return unwrap(this.#transact((kv) => once(kv, tag, mutation), use)) as T;
  }

  directoryAt(path: readonly Buffer[], owner: NewInode): InodeRecord {
    return published(this.#transact((kv) => namespace.directoryAt(this.#context, kv, path, owner)));
  }

  lookup(parent: InodeId, name: Buffer): InodeRecord {
    return published(runSync(namespace.lookup(this.#database, parent, name)));
  }

  inode(inode: InodeId): InodeRecord {
    return published(runSync(namespace.getInode(this.#database, inode)));
  }

  create(entry: EntryName, spec: NewInode, _level?: OpenLevel, tag?: RequestTag): InodeRecord {
    return published(this.#mutate(tag, (kv) => namespace.create(this.#context, kv, entry, spec)));
  }

  createNameless(parent: InodeId, spec: NewInode): InodeRecord {
    return published(this.#transact((kv) => createNameless(this.#context, kv, parent, spec)));
  }

  /** One mount alone needs not be told who has what open: it knows itself when an orphan can go. */
  openInode(inode: InodeId): InodeRecord {
    return this.inode(inode);
  }

  closeInode(inode: InodeId, _level: OpenLevel, report?: DataReport): void {
    if (report !== undefined) this.reportData(inode, report);
  }

  link(inode: InodeId, entry: EntryName, tag?: RequestTag): InodeRecord {
    return published(this.#mutate(tag, (kv) => namespace.link(this.#context, kv, inode, entry)));
  }

  unlink(entry: EntryName, tag?: RequestTag): Unlinked {
    const record = this.#mutate(tag, (kv) => namespace.unlink(this.#context, kv, entry), 'reserve');
    return { record: published(record) };
  }

  rmdir(entry: EntryName, tag?: RequestTag): Unlinked {
    const record = this.#mutate(tag, (kv) => namespace.rmdir(this.#context, kv, entry), 'reserve');
    return { record: published(record) };
  }

  rename(
    from: EntryName,
    to: EntryName,
    flags: RenameFlags = {},
    tag?: RequestTag,
  ): Unlinked | undefined {
    const record = this.#mutate(tag, (kv) => rename(this.#context, kv, { from, to }, flags));
    return record === undefined ? undefined : { record: published(record) };
  }

  setAttributes(inode: InodeId, change: AttributeChange, tag?: RequestTag): InodeRecord {
    return published(
      this.#mutate(
        tag,
        (kv) => namespace.setAttributes(this.#context, kv, inode, change),
        'reserve',
      ),
    );
  }

  touchAtime(inode: InodeId, atime: Timespec): void {
    this.#transact((kv) => namespace.touchAtime(kv, inode, atime), 'reserve');
  }

  confirmBorn(inode: InodeId): void {
    if (!this.inode(inode).unborn) return;
    this.#transact((kv) => namespace.confirmBorn(kv, inode), 'reserve');
  }

  reportData(inode: InodeId, report: DataReport): void {
    this.#transact((kv) => reportData(kv, inode, report), 'reserve');
  }

  list(directory: InodeId, page: ListingPage): Listing {
    const found = runSync(namespace.list(this.#database, directory, page));
    const entries = page.withRecords
      ? found.entries.map((entry) => this.#withRecord(entry))
      : found.entries;
    return { directory: published(found.directory), upTo: found.upTo, entries };
  }

  #withRecord(entry: ListedEntry): Listing['entries'][number] {
    const record = runSync(findInode(this.#database, entry.inode));
    return record === undefined ? entry : { ...entry, record: published(record) };
  }

  setLayout(inode: InodeId, change: Partial<Layout>): InodeRecord {
    return published(this.#transact((kv) => namespace.setLayout(this.#context, kv, inode, change)));
  }

  /** There is one block server. */
  claimBlocks(_inode: InodeId, blocks: readonly BlockIndex[]): number[] {
    return blocks.map(() => 0);
  }

  blockServers(_inode: InodeId, blocks: readonly BlockIndex[]): number[] {
    return blocks.map(() => 0);
  }

  reap(inode: InodeId): MaybePromise<void> {
    return this.#reaping.reap(inode);
  }

  /** Asks the reaper again for all that it has not confirmed; happens by itself after a while, too. */
  retryFrees(): Promise<void> {
    return this.#reaping.retry();
  }

  inodeCount(): number {
    return this.#inodes;
  }

  /** Begins a session of {@link RequestTag}s. */
  openSession(): number {
    return this.#transact(openSession);
  }

  /** Ends a session: what still comes under it fails with SessionExpiredError. */
  expireSession(session: number): void {
    this.#transact((kv) => expireSession(kv, session), 'reserve');
  }
}

const ROOT_SERVER = metaServerOf(ROOT_INODE);

interface Setup {
  identity: Identity;
  mapEpoch: number;
}

const FIRST_MAP_EPOCH = 1;

/** Makes sure that the database is ours and of this version; a new one becomes so. */
function identify(
  database: LmdbKeyValue,
  file: DatabaseFile,
  options: { server?: number; clusterId?: Buffer },
): Setup {
  const key = systemKey(SystemKey.IDENTITY);
  const bytes = database.get(key);
  if (bytes === undefined) {
    if (
      database.range({ start: Buffer.alloc(1), end: Buffer.alloc(8, 0xff), limit: 1 }).length > 0
    ) {
      throw file.notOurs();
    }
    const identity = newIdentity(options.server ?? 0, options.clusterId);
    database.transact(function* (kv) {
      yield* putSystemNumber(kv, SystemKey.MAP_EPOCH, FIRST_MAP_EPOCH);
      yield* wait(kv.put(key, encodeIdentity(identity)));
    });
    return { identity, mapEpoch: FIRST_MAP_EPOCH };
  }
  const identity = decodeIdentity(bytes);
  if (identity === undefined) throw file.notOurs();
  if (identity.formatVersion !== FORMAT_VERSION) {
    throw new MetaOpenError(
      'other-version',
      `${file.path} was written by another version of imssfs (its format is ${identity.formatVersion}, ` +
        `this version reads ${FORMAT_VERSION}): use that version, or name another file`,
    );
  }
  const mapEpoch = runSync(getSystemNumber(database, SystemKey.MAP_EPOCH)) ?? FIRST_MAP_EPOCH;
  return { identity, mapEpoch };
}

/** lmdb takes its path as text. */
function pathText(path: Buffer | string): string {
  if (typeof path === 'string') return path;
  const text = path.toString();
  if (Buffer.from(text).equals(path)) return text;
  throw new MetaOpenError('bad-path', `the metadata file's path ${text} is not UTF-8: rename it`);
}

function explain(error: unknown, file: DatabaseFile | undefined): MetaOpenError {
  if (error instanceof MetaOpenError) return error;
  const cause = error instanceof Error ? error.message : String(error);
  if (file === undefined) {
    return new MetaOpenError('failed', `cannot open the metadata: ${cause}`, { cause: error });
  }
  if (error instanceof KeyValueError && error.code === 'ENOSPC') {
    return new MetaOpenError(
      'no-space',
      `no room on disk for ${file.path}: free some, or name a file elsewhere`,
      {
        cause: error,
      },
    );
  }
  if (error instanceof FsError || error instanceof ShortBufferError) return file.damaged(error);
  return new MetaOpenError('failed', `cannot open ${file.path}: ${cause}`, { cause: error });
}
