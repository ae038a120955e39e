/**
 * Where the blocks of LOCAL datasets are: the server that first claimed a block has it for ever. A row holds the servers
 * of a run of blocks, two bytes each, so that a large file takes few rows.
 */
import { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import { type Task, wait } from '../task.ts';
import { numberRange, pairKey, Table } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';

const BLOCKS_PER_ROW = 256;
const BYTES_PER_BLOCK = 2;

/** Highest number of a block server; 0 in a row means that a block has none. */
const MAX_SERVER = 0xffff - 1;

interface Position {
  row: number;
  /** Offset within the row's value. */
  offset: number;
}

function positionOf(block: BlockIndex): Position {
  const row = Math.floor(block / BLOCKS_PER_ROW);
  return { row, offset: (block - row * BLOCKS_PER_ROW) * BYTES_PER_BLOCK };
}

function serverAt(value: Buffer | undefined, offset: number): number | undefined {
  if (value === undefined || offset + BYTES_PER_BLOCK > value.length) return undefined;
  const stored = value.readUInt16LE(offset);
  return stored === 0 ? undefined : stored - 1;
}

/** The server of each block; undefined for one that nobody has claimed. */
export function* blockServers(
  kv: KeyValueReader,
  inode: InodeId,
  blocks: readonly BlockIndex[],
): Task<(number | undefined)[]> {
  const servers: (number | undefined)[] = [];
  for (const block of blocks) {
    const { row, offset } = positionOf(block);
    servers.push(serverAt(yield* wait(kv.get(pairKey(Table.BLOCK_SERVERS, inode, row))), offset));
  }
  return servers;
}

/** As {@link blockServers}; those that had none get `server`. EINVAL for a number that no server can have. */
export function* claimBlocks(
  kv: KeyValueTransaction,
  inode: InodeId,
  blocks: readonly BlockIndex[],
  server: number,
): Task<number[]> {
  if (server > MAX_SERVER) throw new FsError('EINVAL', `block server ${server}`);
  const servers: number[] = [];
  for (const block of blocks) {
    const { row, offset } = positionOf(block);
    const key = pairKey(Table.BLOCK_SERVERS, inode, row);
    const value = yield* wait(kv.get(key));
    const owner = serverAt(value, offset);
    servers.push(owner ?? server);
    if (owner !== undefined) continue;
    const changed = Buffer.alloc(Math.max(value?.length ?? 0, offset + BYTES_PER_BLOCK));
    value?.copy(changed);
    changed.writeUInt16LE(server + 1, offset);
    yield* wait(kv.put(key, changed));
  }
  return servers;
}

/** The dataset is gone. */
export function* forgetClaims(kv: KeyValueTransaction, inode: InodeId): Task<void> {
  const rows = yield* wait(kv.range(numberRange(Table.BLOCK_SERVERS, inode)));
  for (const { key } of rows) yield* wait(kv.remove(key));
}
