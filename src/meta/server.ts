/**
 * The metadata service: the handlers of all metadata operations over one served database. Each request is checked to
 * belong to its client's session, and its tag goes into the mutation's own transaction.
 */
import { then } from '../task.ts';
import type { MaybePromise } from '../task.ts';
import { type AnyHandlerRow, type HandlerContext, type HandlerTable, row } from '../net/handler.ts';
import type { Operation } from '../net/operation.ts';
import type { MetaCore } from './core.ts';
import { SessionExpiredError } from './exactly-once.ts';
import { lockOperations } from './lock-service.ts';
import { type InSession, MetaOperation as Op, type WireListing } from './protocol.ts';
import { MetaSession } from './session-store.ts';
import type { Sessions } from './sessions.ts';
import type { InodeId } from '../ids.ts';
import type { ListingPage } from './store.ts';

/** Entries of one reply: a page more, and other clients wait longer than they need to. */
const LIST_LIMIT = { withRecords: 256, namesOnly: 1024 } as const;

export interface MetaServiceOptions {
  core: MetaCore;
  sessions: Sessions;
}

export class MetaService {
  readonly #core: MetaCore;
  readonly #sessions: Sessions;
  /** One row for each operation of `protocol.ts`; other services' rows may stand beside them. */
  readonly operations: HandlerTable;

  constructor({ core, sessions }: MetaServiceOptions) {
    this.#core = core;
    this.#sessions = sessions;
    this.operations = [
      ...this.#sessionRows(),
      ...this.#readRows(),
      ...this.#namespaceRows(),
      ...this.#inodeRows(),
      ...lockOperations(sessions),
    ];
  }

  #reads<Q, A>(
    operation: Operation<Q, A>,
    handle: (store: MetaSession, request: Q) => MaybePromise<A>,
  ): AnyHandlerRow {
    return row(operation, (request, { client }) => {
      const store = new MetaSession(this.#core, Buffer.from(client.hello.clientId, 'hex'));
      return then(handle(store, request), (value) => ({ value }));
    });
  }

  #mutates<Q, A>(
    operation: Operation<InSession<Q>, A>,
    handle: (store: MetaSession, request: Q) => MaybePromise<A>,
  ): AnyHandlerRow {
    return row(operation, (request, context) => {
      const store = this.#inSession(context, request.session);
      return then(handle(store, request.request), (value) => ({ value }));
    });
  }

  #inSession({ client, tag }: HandlerContext, session: number): MetaSession {
    const key = this.#sessions.keyOf(client.hello.clientId, session);
    if (key === undefined) throw new SessionExpiredError(`session ${session} has expired`);
    return new MetaSession(this.#core, key, tag && { session, ...tag });
  }

  #sessionRows(): HandlerTable {
    return [
      row(Op.OPEN_SESSION, async (_request, { client }) => ({
        value: await this.#sessions.open(client.hello.clientId, client),
      })),
      row(Op.ALONE, (_request, { client }) => ({
        value: this.#sessions.askAlone(client.hello.clientId),
      })),
      row(Op.CLOSE_SESSION, async ({ session }, { client }) => {
        const { clientId } = client.hello;
        if (this.#sessions.keyOf(clientId, session) !== undefined) {
          await this.#sessions.end(clientId);
        }
        return { value: undefined };
      }),
      row(Op.REOPEN, async ({ session, request }, context) => {
        // Untagged: repeating it is harmless.
        const store = this.#inSession({ ...context, tag: undefined }, session);
        const value: boolean[] = [];
        for (const [inode, bits] of request) value.push(await store.reopen(inode, bits));
        return { value };
      }),
    ];
  }

  #readRows(): HandlerTable {
    return [
      this.#reads(Op.LOOKUP, (store, { parent, name }) => store.find(parent, name)),
      this.#reads(Op.INODE, (store, inode) => store.inode(inode)),
      this.#reads(Op.INODES, (store, inodes) => store.inodes(inodes)),
      this.#reads(Op.LIST, (store, [directory, page]) => listPart(store, directory, page)),
      this.#reads(Op.BLOCK_SERVERS, (store, [inode, blocks]) => store.blockServers(inode, blocks)),
      this.#reads(Op.INODE_COUNT, (store) => store.inodeCount()),
    ];
  }

  #namespaceRows(): HandlerTable {
    return [
      this.#mutates(Op.DIRECTORY_AT, (store, [path, owner]) => store.directoryAt(path, owner)),
      this.#mutates(Op.CREATE, (store, [entry, spec, level]) => store.create(entry, spec, level)),
      this.#mutates(Op.CREATE_NAMELESS, (store, [parent, spec, level]) =>
        store.createNameless(parent, spec, level),
      ),
      this.#mutates(Op.LINK, (store, [inode, entry]) => store.link(inode, entry)),
      this.#mutates(Op.UNLINK, (store, entry) => then(store.unlink(entry), ({ record }) => record)),
      this.#mutates(Op.RMDIR, (store, entry) => then(store.rmdir(entry), ({ record }) => record)),
      this.#mutates(Op.RENAME, (store, [from, to, flags]) =>
        then(store.rename(from, to, flags), (unlinked) => unlinked?.record),
      ),
    ];
  }

  #inodeRows(): HandlerTable {
    return [
      this.#mutates(Op.OPEN, (store, [inode, level]) => store.openInode(inode, level)),
      this.#mutates(Op.CLOSE, (store, [inode, level, report]) =>
        store.closeInode(inode, level, report),
      ),
      this.#mutates(Op.SET_ATTRIBUTES, (store, [inode, change]) =>
        store.setAttributes(inode, change),
      ),
      this.#mutates(Op.TOUCH_ATIME, (store, [inode, atime]) => store.touchAtime(inode, atime)),
      this.#mutates(Op.CONFIRM_BORN, (store, inode) => store.confirmBorn(inode)),
      this.#mutates(Op.REPORT_DATA, (store, [inode, report]) => store.reportData(inode, report)),
      this.#mutates(Op.REAP, (store, inodes) => store.reapAll(inodes)),
      this.#mutates(Op.SET_LAYOUT, (store, [inode, change]) => store.setLayout(inode, change)),
      this.#mutates(Op.CLAIM_BLOCKS, (store, [inode, blocks, server]) =>
        store.claimBlocks(inode, blocks, server),
      ),
    ];
  }
}

/** As much of a page as one reply holds. */
function listPart(
  store: MetaSession,
  directory: InodeId,
  page: ListingPage,
): MaybePromise<WireListing> {
  const most = page.withRecords ? LIST_LIMIT.withRecords : LIST_LIMIT.namesOnly;
  const limit = Math.min(page.limit, most);
  return then(store.list(directory, { ...page, limit }), (listing) => {
    const last = listing.entries.at(-1);
    const isLast = listing.entries.length < limit || last?.sequence === listing.upTo;
    return { ...listing, isLast };
  });
}
