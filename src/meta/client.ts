/**
 * The metadata that one server keeps, over the net: each method is one request and one reply. The client's session, and
 * what it has open, are begun anew on a server that has given the client up; what was lost with it fails with EIO.
 */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { BlockIndex, EntrySequence, InodeId } from '../ids.ts';
import type { Call, Caller } from '../net/call.ts';
import type { FailureCodec, Operation } from '../net/operation.ts';
import { ClientLocks } from './client-locks.ts';
import { oneForEach, pageOf, recordOf } from './answers.ts';
import { SessionExpiredError } from './exactly-once.ts';
import { LockOperation } from './lock-protocol.ts';
import { OpenFiles } from './open-files.ts';
import { type InSession, META_FAILURES, MetaOperation as Op } from './protocol.ts';
import type { Found, MetaServerStore } from './session-store.ts';
import type {
  AttributeChange,
  DataReport,
  EntryName,
  InodeRecord,
  Layout,
  Listing,
  ListingPage,
  NewInode,
  OpenLevel,
  RenameFlags,
  Unlinked,
} from './store.ts';

/** What the peer of a metadata server needs to know of it. */
export interface PeerHooks {
  onConnect: (call: Call) => Promise<void>;
  failures: readonly FailureCodec[];
}

/** A peer, which whoever made it closes. */
export type MetaCaller = Pick<Caller, 'call' | 'state'>;

/** How a mutation behaves when its session has lapsed: one that may be repeated is, in the new session. */
type Repetition = 'repeatable' | 'once';

/** Opens that one request carries to a new session. */
const REOPEN_BATCH = 1000;

/** An answer that comes later is of no use. */
const ALONE_MS = 5000;
/** No server promises more; names must not be kept for hours because of one that does. */
const MOST_ALONE_MS = 60_000;

export class RemoteMetaStore implements MetaServerStore {
  readonly shared = true;
  readonly #caller: MetaCaller;
  readonly #files = new OpenFiles();
  readonly locks = new ClientLocks({
    lock: (request) => this.#mutate(LockOperation.LOCK, request, 'repeatable'),
    unlock: (request) => this.#mutate(LockOperation.UNLOCK, request, 'repeatable'),
    test: (request) => this.#mutate(LockOperation.TEST_LOCK, request, 'repeatable'),
    cancel: (wait) => this.#mutate(LockOperation.CANCEL_LOCK, wait, 'repeatable'),
  });
  #session: number | undefined;
  /** Connections that have been ready. */
  #connections = 0;
  #renewal: Promise<void> | undefined;
  /** Orphans to be reaped in one message at the end of this turn. */
  #reaping: { inodes: InodeId[]; done: Promise<void> } | undefined;

  /** `connect` makes the one peer of this client for this server. */
  constructor(connect: (hooks: PeerHooks) => MetaCaller) {
    this.#caller = connect({
      onConnect: async (call) => {
        await this.#enter(call);
        this.#connections++;
      },
      failures: META_FAILURES,
    });
  }

  /** Resolves when the server has been reached and the session has begun. */
  async ready(): Promise<void> {
    await this.#currentSession();
  }

  /** Ends the session: all that is still open is dropped at the server. The peer stays. */
  async end(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    await this.#caller.call(Op.CLOSE_SESSION, { session, request: undefined });
  }

  /** Begins the session, or goes on with it. Where the server has given the client up, what was open is reopened. */
  async #enter(call: Call): Promise<void> {
    const { value } = await call(Op.OPEN_SESSION, undefined);
    const { session, isNew } = value;
    if (this.#session !== undefined && this.#session !== session) {
      await this.#reopen(call, session);
      this.locks.loseAll();
    }
    // A server that knows the session from before its restart waits to hear of locks, also if we never heard of it.
    if (this.#session !== undefined || !isNew) await this.#syncLocks(call, session);
    this.#session = session;
  }

  async #reopen(call: Call, session: number): Promise<void> {
    const open = this.#files.all();
    for (let at = 0; at < open.length; at += REOPEN_BATCH) {
      const batch = open.slice(at, at + REOPEN_BATCH);
      const { value } = await call(Op.REOPEN, { session, request: batch });
      const kept = oneForEach(batch, value);
      batch.forEach(([inode], index) => {
        if (kept[index] !== true) this.#files.lose(inode);
      });
    }
  }

  /** The server may have restarted, or have granted or not taken back what was asked of it over a lost connection. */
  async #syncLocks(call: Call, session: number): Promise<void> {
    const held = this.locks.all();
    const { value: kept } = await call(LockOperation.SYNC_LOCKS, { session, request: held });
    held.forEach((lock, index) => {
      if (kept[index] !== true) this.locks.lose(lock);
    });
  }

  async #currentSession(): Promise<number> {
    // Whatever is called first makes the peer connect, and connecting begins the session.
    if (this.#session === undefined) await this.#caller.call(Op.OPEN_SESSION, undefined);
    if (this.#session === undefined) throw new FsError('EIO', 'no session at the metadata server');
    return this.#session;
  }

  /** The server refuses the session although the connection has lasted: begins another. */
  async #renew(refused: number): Promise<void> {
    if (this.#session !== refused) return;
    this.#renewal ??= this.#enter((...request) => this.#caller.call(...request)).finally(() => {
      this.#renewal = undefined;
    });
    await this.#renewal;
  }

  async #read<Q, A>(operation: Operation<Q, A>, request: Q): Promise<A> {
    return (await this.#caller.call(operation, request)).value;
  }

  async #mutate<Q, A>(
    operation: Operation<InSession<Q>, A>,
    request: Q,
    repetition: Repetition = 'once',
  ): Promise<A> {
    const session = this.#session ?? (await this.#currentSession());
    // A request that was sent on one connection only has not been run if it is refused.
    const sentOn = this.#connections + (this.#caller.state === 'ready' ? 0 : 1);
    try {
      return (await this.#caller.call(operation, { session, request })).value;
    } catch (error) {
      if (!(error instanceof SessionExpiredError)) throw error;
      await this.#renew(session);
      if (repetition === 'once' && this.#connections > sentOn) {
        throw new FsError('EIO', `${operation.name}: the session ended before the reply came`, {
          cause: error,
        });
      }
    }
    return (await this.#caller.call(operation, { session: this.#session ?? session, request }))
      .value;
  }

  /** Runs what concerns an inode; EIO rather than ESTALE for one that was lost with its session. */
  async #about<A>(inode: InodeId, run: Promise<A>): Promise<A> {
    try {
      return await run;
    } catch (error) {
      if (this.#files.isLost(inode) && error instanceof FsError && error.code === 'ESTALE') {
        throw new FsError('EIO', `inode ${inode} was removed while its session had lapsed`, {
          cause: error,
        });
      }
      throw error;
    }
  }

  directoryAt(path: readonly Buffer[], owner: NewInode): Promise<InodeRecord> {
    return this.#mutate(Op.DIRECTORY_AT, [[...path], owner], 'repeatable');
  }

  find(parent: InodeId, name: Buffer): Promise<Found> {
    return this.#read(Op.LOOKUP, { parent, name });
  }

  async lookup(parent: InodeId, name: Buffer): Promise<InodeRecord> {
    const found = await this.find(parent, name);
    if (typeof found !== 'number') return found;
    throw new FsError('EIO', `inode ${found} is kept by another metadata server`);
  }

  async inode(inode: InodeId): Promise<InodeRecord> {
    return recordOf(inode, await this.#about(inode, this.#read(Op.INODE, inode)));
  }

  async inodes(inodes: readonly InodeId[]): Promise<(InodeRecord | undefined)[]> {
    return oneForEach(inodes, await this.#read(Op.INODES, [...inodes]));
  }

  async create(entry: EntryName, spec: NewInode, level: OpenLevel = 'none'): Promise<InodeRecord> {
    const record = await this.#mutate(Op.CREATE, [entry, spec, level]);
    this.#files.open(record.inode, level);
    return record;
  }

  async createNameless(
    parent: InodeId,
    spec: NewInode,
    level: Exclude<OpenLevel, 'none'>,
  ): Promise<InodeRecord> {
    const record = await this.#mutate(Op.CREATE_NAMELESS, [parent, spec, level]);
    this.#files.open(record.inode, level);
    this.#files.hold(record.inode);
    return record;
  }

  async openInode(inode: InodeId, level: Exclude<OpenLevel, 'none'>): Promise<InodeRecord> {
    const opened = this.#mutate(Op.OPEN, [inode, level], 'repeatable');
    const record = recordOf(inode, await this.#about(inode, opened));
    this.#files.open(inode, level);
    return record;
  }

  closeInode(inode: InodeId, level: OpenLevel, report?: DataReport): Promise<void> {
    this.#files.close(inode, level);
    return this.#mutate(Op.CLOSE, [inode, level, report], 'repeatable');
  }

  async link(inode: InodeId, entry: EntryName): Promise<InodeRecord> {
    const record = recordOf(inode, await this.#mutate(Op.LINK, [inode, entry]));
    this.#files.endHold(inode);
    return record;
  }

  async unlink(entry: EntryName): Promise<Unlinked> {
    return this.#unlinked(await this.#mutate(Op.UNLINK, entry));
  }

  async rmdir(entry: EntryName): Promise<Unlinked> {
    return this.#unlinked(await this.#mutate(Op.RMDIR, entry));
  }

  async rename(
    from: EntryName,
    to: EntryName,
    flags: RenameFlags = {},
  ): Promise<Unlinked | undefined> {
    const record = await this.#mutate(Op.RENAME, [from, to, flags]);
    return record === undefined ? undefined : this.#unlinked(record);
  }

  #unlinked(record: InodeRecord): Unlinked {
    if (record.nlink === 0) this.#files.hold(record.inode);
    return { record };
  }

  async setAttributes(inode: InodeId, change: AttributeChange): Promise<InodeRecord> {
    const changed = this.#mutate(Op.SET_ATTRIBUTES, [inode, change]);
    return recordOf(inode, await this.#about(inode, changed));
  }

  touchAtime(inode: InodeId, atime: Timespec): Promise<void> {
    return this.#about(inode, this.#mutate(Op.TOUCH_ATIME, [inode, atime], 'repeatable'));
  }

  confirmBorn(inode: InodeId): Promise<void> {
    return this.#about(inode, this.#mutate(Op.CONFIRM_BORN, inode, 'repeatable'));
  }

  reportData(inode: InodeId, report: DataReport): Promise<void> {
    return this.#about(inode, this.#mutate(Op.REPORT_DATA, [inode, report], 'repeatable'));
  }

  async list(directory: InodeId, page: ListingPage): Promise<Listing> {
    let part = pageOf(page, await this.#read(Op.LIST, [directory, page]));
    const listing: Listing = {
      directory: part.directory,
      upTo: part.upTo,
      entries: part.entries,
    };
    // A server gives no more at once than it can without letting others wait.
    while (!part.isLast && listing.entries.length < page.limit) {
      const after: EntrySequence = part.entries.at(-1)?.sequence ?? listing.upTo;
      const limit = page.limit - listing.entries.length;
      const next = { ...page, after, limit, upTo: listing.upTo };
      part = pageOf(next, await this.#read(Op.LIST, [directory, next]));
      listing.entries.push(...part.entries);
    }
    return listing;
  }

  reap(inode: InodeId): Promise<void> {
    this.#files.forget(inode);
    this.#reaping ??= { inodes: [], done: Promise.resolve().then(() => this.#reapAll()) };
    this.#reaping.inodes.push(inode);
    return this.#reaping.done;
  }

  async #reapAll(): Promise<void> {
    const inodes = this.#reaping?.inodes ?? [];
    this.#reaping = undefined;
    await this.#mutate(Op.REAP, inodes, 'repeatable');
  }

  async askAlone(): Promise<number> {
    const { value } = await this.#caller.call(Op.ALONE, undefined, { deadlineMs: ALONE_MS });
    return Math.min(value, MOST_ALONE_MS);
  }

  inodeCount(): Promise<number> {
    return this.#read(Op.INODE_COUNT, undefined);
  }

  async setLayout(inode: InodeId, change: Partial<Layout>): Promise<InodeRecord> {
    return recordOf(inode, await this.#mutate(Op.SET_LAYOUT, [inode, change], 'repeatable'));
  }

  async claimBlocks(
    inode: InodeId,
    blocks: readonly BlockIndex[],
    server: number,
  ): Promise<number[]> {
    const claimed = this.#mutate(Op.CLAIM_BLOCKS, [inode, [...blocks], server], 'repeatable');
    return oneForEach(blocks, await this.#about(inode, claimed));
  }

  async blockServers(
    inode: InodeId,
    blocks: readonly BlockIndex[],
  ): Promise<(number | undefined)[]> {
    return oneForEach(blocks, await this.#read(Op.BLOCK_SERVERS, [inode, [...blocks]]));
  }
}
