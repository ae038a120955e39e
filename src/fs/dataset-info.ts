/**
 * What `imssfs info` shows of a dataset. It asks by extended attributes that no listing names: `system.imss.info`, and
 * `system.imss.blocks.N` for a page of blocks from number N on. Values are JSON.
 */
import type { BlockStore } from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { BlockIndex } from '../ids.ts';
import type { InodeRecord } from '../meta/store.ts';
import { FileType, fileTypeOf, type Stat } from '../stat.ts';
import { type Task, wait } from '../task.ts';

/** A page of blocks is well below the 64 KiB that an attribute can have. */
export const BLOCKS_PER_PAGE = 500;

const INFO = 'system.imss.info';
const BLOCKS = 'system.imss.blocks.';

/** The attribute that holds a dataset's {@link DatasetInfo}. */
export const INFO_ATTRIBUTE = INFO;

/** The attribute that holds {@link BlockInfo}s from block `first` on. */
export function blocksAttribute(first: number): string {
  return `${BLOCKS}${first}`;
}

export interface DatasetInfo {
  readonly uri: string;
  readonly inode: number;
  readonly type: string;
  readonly sizeBytes: number;
  readonly policy: string;
  readonly blockSizeBytes: number;
  readonly replication: number;
  /** Number of the metadata server that keeps its record. */
  readonly metaServer: number;
  /** Block 0 and the data blocks up to the end of the file. */
  readonly blocks: number;
  /** Names of the block servers, by number. */
  readonly servers: readonly string[];
  /** The mount that was asked is known to be the only one of its file system. */
  readonly alone: boolean;
}

export interface BlockInfo {
  readonly block: number;
  /** Number of the server; null for a block of a LOCAL dataset that was never written. */
  readonly server: number | null;
  /** Null if the server does not tell. */
  readonly storedBytes: number | null;
}

const TYPE_NAMES: Partial<Record<number, string>> = {
  [FileType.REGULAR]: 'file',
  [FileType.DIRECTORY]: 'directory',
  [FileType.SYMLINK]: 'symlink',
};

/** What is asked for by name; undefined for any other attribute. */
export type InfoQuestion = { kind: 'dataset' } | { kind: 'blocks'; first: number };

export function infoQuestion(name: Buffer): InfoQuestion | undefined {
  const text = name.toString('latin1');
  if (text === INFO) return { kind: 'dataset' };
  const [, first] = /^system\.imss\.blocks\.(\d{1,15})$/.exec(text) ?? [];
  return first === undefined ? undefined : { kind: 'blocks', first: Number(first) };
}

export interface InfoSource {
  readonly blocks: BlockStore;
  /** Names of the block servers, by number. */
  readonly serverNames: readonly string[];
  /** Number of the metadata server that an inode belongs to. */
  readonly metaServerOf: (record: InodeRecord) => number;
  /** Whether the mount is known to be the only one. */
  readonly isAlone: () => boolean;
}

/** The answer to a question about a dataset, as JSON. */
export function* answerInfo(
  source: InfoSource,
  question: InfoQuestion,
  { record, stat }: { record: InodeRecord; stat: Stat },
): Task<Buffer> {
  const count = blockCount(record, stat);
  if (question.kind === 'dataset') return json(datasetInfo(source, { record, stat, count }));
  const length = Math.max(0, Math.min(BLOCKS_PER_PAGE, count - question.first));
  if (length === 0) throw new FsError('ENODATA', 'no such block');
  const blocks = Array.from({ length }, (_, index) => (question.first + index) as BlockIndex);
  const found = yield* wait(source.blocks.locate(record, blocks));
  return json(
    blocks.map((block, index): BlockInfo => {
      const location = found[index];
      const { server = null, storedBytes = null } = location ?? {};
      return { block, server, storedBytes };
    }),
  );
}

function datasetInfo(
  { serverNames, metaServerOf, isAlone }: InfoSource,
  { record, stat, count }: { record: InodeRecord; stat: Stat; count: number },
): DatasetInfo {
  const { uri, inode, layout } = record;
  return {
    ...{ uri, inode },
    type: TYPE_NAMES[fileTypeOf(record.mode)] ?? 'special file',
    sizeBytes: stat.sizeBytes,
    ...layout,
    metaServer: metaServerOf(record),
    blocks: count,
    servers: serverNames,
    alone: isAlone(),
  };
}

function blockCount(record: InodeRecord, stat: Stat): number {
  const isRegular = fileTypeOf(record.mode) === FileType.REGULAR;
  return 1 + (isRegular ? Math.ceil(stat.sizeBytes / record.layout.blockSizeBytes) : 0);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
