/**
 * A block store behind the net: what each operation does with the one server's memory. Bytes come from the socket straight
 * into free blocks and go to it straight from stored ones; a change that arrives twice runs once.
 */
import { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import type { Dataset } from '../layout.ts';
import {
  type AnyHandlerRow,
  type ClientConnection,
  type HandlerContext,
  type HandlerTable,
  type Outcome,
  row,
} from '../net/handler.ts';
import type { Operation } from '../net/operation.ts';
import type { MaybePromise } from '../task.ts';
import type { MemoryBlockStore } from './memory-store.ts';
import { BlockOperation, MOST_PER_MESSAGE, shardOf } from './protocol.ts';
import type { ReplyCache } from './reply-cache.ts';
import type { BlockExtent, BlockLease, BlockPosition, DatasetView } from './store.ts';

/** Shorter payloads are copied into their block; a whole free block for each would be waste. */
const LEAST_LEASED_BYTES = 16 * 1024;

/** EINVAL unless the range lies within one data block. A client that asks for another is broken. */
function checkRange(
  view: DatasetView,
  block: BlockIndex,
  range: { offset: number; length: number },
): void {
  if (block < 1 || range.offset + range.length > view.layout.blockSizeBytes) {
    throw new FsError(
      'EINVAL',
      `bytes ${range.offset} to ${range.offset + range.length} of block ${block} are not within a data block`,
    );
  }
}

/** Which part of a server's blocks is here. */
export interface ShardPlace {
  readonly index: number;
  readonly count: number;
}

export class BlockService {
  readonly #shard: ShardPlace;
  readonly #store: MemoryBlockStore;
  readonly #replies: ReplyCache;
  /** Connections that the reply cache has been told of. */
  readonly #known = new WeakSet<ClientConnection>();

  constructor(parts: { shard: ShardPlace; store: MemoryBlockStore; replies: ReplyCache }) {
    this.#shard = parts.shard;
    this.#store = parts.store;
    this.#replies = parts.replies;
  }

  /** One row per operation. */
  handlers(): HandlerTable {
    return [...this.#innerRows(), ...this.#xattrRows(), ...this.#dataRows(), ...this.#rangeRows()];
  }

  #innerRows(): AnyHandlerRow[] {
    const store = this.#store;
    return [
      this.#innerChange(BlockOperation.createInner, ([dataset, seed]) =>
        store.createInner(dataset, seed),
      ),
      row(BlockOperation.readInners, ([datasets]) => {
        if (datasets.length > MOST_PER_MESSAGE) throw new FsError('EINVAL', 'too many datasets');
        for (const dataset of datasets) this.#requireOwn(dataset, 0);
        return { value: store.readInners(datasets) };
      }),
      this.#innerChange(BlockOperation.noteWrite, ([dataset, change, seed]) =>
        store.noteWrite(dataset, change, seed),
      ),
      this.#innerChange(
        BlockOperation.reserveAppend,
        ([dataset, length, seed]) => store.reserveAppend(dataset, length, seed).offset,
      ),
      this.#innerChange(BlockOperation.truncate, ([dataset, truncation, seed]) =>
        store.truncate(dataset, truncation, seed),
      ),
      this.#innerChange(BlockOperation.confirmTruncation, ([dataset, generation]) => {
        store.confirmTruncation(dataset, generation);
        return undefined;
      }),
      this.#innerChange(BlockOperation.setTimes, ([dataset, times]) =>
        store.setTimes(dataset, times),
      ),
      this.#innerChange(BlockOperation.touchAtime, ([dataset, atime]) => {
        store.touchAtime(dataset, atime);
        return undefined;
      }),
      this.#innerChange(BlockOperation.copyStat, ([dataset, stat]) => {
        store.copyStat(dataset, stat);
        return undefined;
      }),
      this.#innerQuestion(BlockOperation.readTarget, ([dataset]) => store.readTarget(dataset)),
    ];
  }

  #xattrRows(): AnyHandlerRow[] {
    const store = this.#store;
    return [
      this.#innerQuestion(BlockOperation.getXattr, ([dataset, name]) =>
        store.getXattr(dataset, name),
      ),
      this.#innerChange(BlockOperation.setXattr, ([dataset, name, value, mode]) => {
        store.setXattr(dataset, name, value, mode);
        return undefined;
      }),
      this.#innerQuestion(BlockOperation.listXattr, ([dataset]) => store.listXattr(dataset)),
      this.#innerChange(BlockOperation.removeXattr, ([dataset, name]) => {
        store.removeXattr(dataset, name);
        return undefined;
      }),
    ];
  }

  #dataRows(): AnyHandlerRow[] {
    const store = this.#store;
    return [
      row(BlockOperation.readBlock, ([view, block, offset, length]) => {
        this.#requireOwn(view, block);
        checkRange(view, block, { offset, length });
        const stored = store.readStored(view, block, { offset, length });
        if (stored === undefined) return { value: undefined };
        return { value: undefined, payload: [stored.bytes], pin: stored.pin };
      }),
      row(
        BlockOperation.writeBlock,
        (request, context) => this.#writeBlock(request, context),
        ([view, block, offset], length) => {
          this.#requireOwn(view, block);
          checkRange(view, block, { offset, length });
          return this.#target(length);
        },
      ),
      this.#change(BlockOperation.discard, ([view]) => store.discard(view)),
      this.#change(BlockOperation.free, ([inodes]) => {
        if (inodes.length > MOST_PER_MESSAGE) throw new FsError('EINVAL', 'too many datasets');
        for (const inode of inodes) store.free(inode);
        return undefined;
      }),
      row(BlockOperation.usage, () => ({ value: store.usage() })),
      row(BlockOperation.locate, ([dataset, blocks]) => {
        if (blocks.length > MOST_PER_MESSAGE) throw new FsError('EINVAL', 'too many blocks');
        for (const block of blocks) this.#requireOwn(dataset, block);
        return { value: store.locate(dataset, blocks).map(({ storedBytes }) => storedBytes) };
      }),
    ];
  }

  #rangeRows(): AnyHandlerRow[] {
    const store = this.#store;
    return [
      this.#change(BlockOperation.punch, ([view, offset, length, room]) =>
        store.punch(view, { offset, length }, room),
      ),
      this.#change(BlockOperation.reserve, ([view, extents]) => {
        this.#checkExtents(view, extents);
        return store.reserve(view, extents);
      }),
      this.#change(BlockOperation.unreserve, ([view, extents]) => {
        this.#checkExtents(view, extents);
        return store.unreserve(view, extents);
      }),
      row(BlockOperation.map, ([view, first, count]) => {
        if (first < 1) throw new FsError('EINVAL', 'data blocks are counted from 1');
        return { value: store.map(view, first, count) };
      }),
      this.#change(BlockOperation.copyBlock, ([from, to, length]) => {
        const [source, target] = [from, to].map(([view, block, offset]) => {
          this.#requireOwn(view, block);
          checkRange(view, block, { offset, length });
          return { view, block, offset };
        }) as [BlockPosition, BlockPosition];
        return store.copyBlock(source, target, length);
      }),
    ];
  }

  #checkExtents(view: DatasetView, extents: readonly BlockExtent[]): void {
    if (extents.length > MOST_PER_MESSAGE) throw new FsError('EINVAL', 'too many extents');
    for (const extent of extents) {
      this.#requireOwn(view, extent.block);
      checkRange(view, extent.block, extent);
    }
  }

  /**
   * EIO for a block that another shard keeps: a request that was first sent to a life of this server with more or fewer
   * shards. Stored here, the block would never be found again.
   */
  #requireOwn({ inode }: { inode: InodeId }, block: number): void {
    const { index, count } = this.#shard;
    const owner = shardOf(inode, block, count);
    if (owner === index) return;
    throw new FsError('EIO', `shard ${owner} of ${count} keeps block ${block} of inode ${inode}`);
  }

  /** Where a payload is received: in a free block, if it fits one. */
  #target(length: number): BlockLease | undefined {
    if (length < LEAST_LEASED_BYTES) return undefined;
    const lease = this.#store.lease();
    if (lease === undefined || lease.bytes.length >= length) return lease;
    lease.release();
    return undefined;
  }

  #writeBlock(
    [view, block, offset]: readonly [DatasetView, BlockIndex, number],
    context: HandlerContext,
  ): MaybePromise<Outcome<{ storedDelta: number }>> {
    const lease = context.lease as BlockLease | undefined;
    const bytes = context.payload ?? Buffer.alloc(0);
    try {
      this.#requireOwn(view, block);
      checkRange(view, block, { offset, length: bytes.length });
      return this.#once(context, () => ({
        value: this.#store.writeBlock(view, block, offset, { bytes, lease }),
      }));
    } finally {
      lease?.release();
    }
  }

  /** A row whose handler runs once per tag. */
  #change<Q, A>(operation: Operation<Q, A>, perform: (request: Q) => A): AnyHandlerRow {
    return row(operation, (request, context) =>
      this.#once(context, () => ({ value: perform(request) })),
    );
  }

  /** A change of block 0, or of what is kept with it. */
  #innerChange<Q extends readonly [Dataset, ...unknown[]], A>(
    operation: Operation<Q, A>,
    perform: (request: Q) => A,
  ): AnyHandlerRow {
    return this.#change(operation, (request: Q) => {
      this.#requireOwn(request[0], 0);
      return perform(request);
    });
  }

  #innerQuestion<Q extends readonly [Dataset, ...unknown[]], A>(
    operation: Operation<Q, A>,
    perform: (request: Q) => A,
  ): AnyHandlerRow {
    return row(operation, (request: Q) => {
      this.#requireOwn(request[0], 0);
      return { value: perform(request) };
    });
  }

  #once<A>({ client, tag }: HandlerContext, perform: () => Outcome<A>): MaybePromise<Outcome<A>> {
    if (tag === undefined) throw new FsError('EINVAL', 'a change carries a tag');
    if (!this.#known.has(client)) {
      this.#known.add(client);
      client.onClose(this.#replies.connected(client.hello.clientId));
    }
    return this.#replies.run(client.hello.clientId, tag, perform);
  }
}
