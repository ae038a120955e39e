/**
 * What can be asked of a block server over the net: one operation per method of {@link BlockStore}. Datasets and
 * attributes travel as arrays, a block's bytes as the message's payload; docs/protocol.md describes both.
 */
import type { Timespec } from '../clock.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import { Errno, type ErrnoName, FsError } from '../errno.ts';
import type { Dataset, Layout } from '../layout.ts';
import {
  array,
  bytes,
  type Codec,
  flag,
  i53,
  mapped,
  nothing,
  oneOf,
  optional,
  struct,
  text,
  tuple,
  u53,
} from '../net/codec.ts';
import type { FailureCodec, Operation } from '../net/operation.ts';
import { POLICIES } from '../policy.ts';
import type { Stat } from '../stat.ts';
import {
  type BlockExtent,
  type BlockMap,
  type BlockRuns,
  type BlockUsage,
  type DataAttributes,
  type DatasetView,
  type InnerSeed,
  type Reserved,
  type RoomUse,
  StaleGenerationError,
  type Truncation,
  UnconfirmedTruncationError,
  type XattrMode,
} from './store.ts';

const ERRNO_NAMES = Object.keys(Errno) as ErrnoName[];

/** `[seconds, nanoseconds]`. */
const timespec: Codec<Timespec> = struct<Timespec>({ seconds: i53, nanoseconds: u53() });

const layout: Codec<Layout> = struct<Layout>({
  policy: oneOf(POLICIES),
  blockSizeBytes: u53(),
  replication: u53(),
});

const dataset: Codec<Dataset> = struct<Dataset>({
  inode: u53<InodeId>(),
  uri: text,
  layout,
  mapEpoch: u53(),
  home: u53(),
});

const view: Codec<DatasetView> = struct<DatasetView>({
  inode: u53<InodeId>(),
  uri: text,
  layout,
  mapEpoch: u53(),
  home: u53(),
  generation: u53(),
  truncatedBytes: u53(),
});

const attributes: Codec<DataAttributes> = struct<DataAttributes>({
  sizeBytes: u53(),
  storedBytes: u53(),
  atime: timespec,
  mtime: timespec,
  ctime: timespec,
  dataVersion: u53(),
  generation: u53(),
  truncatedBytes: u53(),
});

const stat: Codec<Stat> = struct<Stat>({
  inode: u53<InodeId>(),
  mode: u53(),
  nlink: u53(),
  uid: u53(),
  gid: u53(),
  rdev: u53(),
  sizeBytes: u53(),
  storedBytes: u53(),
  blockSizeBytes: u53(),
  atime: timespec,
  mtime: timespec,
  ctime: timespec,
});

/** `[stat, target or null]`. */
const seed: Codec<InnerSeed> = mapped(
  tuple<readonly [Stat, Buffer | undefined]>(stat, optional(bytes)),
  {
    encode: ({ stat, target }: InnerSeed): readonly [Stat, Buffer | undefined] => [stat, target],
    decode: ([stat, target]): InnerSeed => (target === undefined ? { stat } : { stat, target }),
  },
);

/** `[atime or null, mtime or null]`. */
type Times = { atime?: Timespec; mtime?: Timespec };
const times: Codec<Times> = mapped(
  tuple<readonly [Timespec | undefined, Timespec | undefined]>(
    optional(timespec),
    optional(timespec),
  ),
  {
    encode: ({ atime, mtime }: Times): readonly [Timespec | undefined, Timespec | undefined] => [
      atime,
      mtime,
    ],
    decode: ([atime, mtime]): Times => ({
      ...(atime !== undefined && { atime }),
      ...(mtime !== undefined && { mtime }),
    }),
  },
);

const truncation: Codec<Truncation> = struct<Truncation>({
  sizeBytes: u53(),
  confirmedGeneration: u53(),
  onlyIfSizeBytes: optional(u53()),
});

/** `[name of the errno, detail]`. */
const fsError: Codec<FsError> = mapped(
  tuple<readonly [ErrnoName, string]>(oneOf(ERRNO_NAMES), text),
  {
    encode: (error: FsError): readonly [ErrnoName, string] => [error.code, detailOf(error)],
    decode: ([code, detail]): FsError => new FsError(code, detail),
  },
);

/** The message without the errno's name, which FsError puts before it. */
function detailOf({ code, message }: FsError): string {
  return message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
}

/** `[attributes or null, failure or null]`. */
type InnerAnswer = DataAttributes | FsError | undefined;
type RawInnerAnswer = readonly [DataAttributes | undefined, FsError | undefined];
const innerAnswer: Codec<InnerAnswer> = mapped(
  tuple<RawInnerAnswer>(optional(attributes), optional(fsError)),
  {
    encode: (answer: InnerAnswer): RawInnerAnswer =>
      answer instanceof FsError ? [undefined, answer] : [answer, undefined],
    decode: ([found, failure]): InnerAnswer => failure ?? found,
  },
);

const stored: Codec<{ storedDelta: number }> = struct<{ storedDelta: number }>({
  storedDelta: i53,
});
const written = struct<{ endBytes: number; storedDelta: number }>({
  endBytes: u53(),
  storedDelta: i53,
});
const xattrMode = oneOf(['either', 'create', 'replace'] as const satisfies readonly XattrMode[]);
const usage: Codec<BlockUsage> = struct<BlockUsage>({
  capacityBytes: u53(),
  usedBytes: u53(),
  datasets: u53(),
});

const extent: Codec<BlockExtent> = struct<BlockExtent>({
  block: u53<BlockIndex>(),
  offset: u53(),
  length: u53(),
});
const reserved: Codec<Reserved> = struct<Reserved>({ storedDelta: i53, added: array(extent) });
const roomUse = oneOf(['freed', 'reserved'] as const satisfies readonly RoomUse[]);
const map: Codec<BlockMap> = struct<BlockMap>({
  next: optional(u53<BlockIndex>()),
  end: u53<BlockIndex>(),
  whole: bytes,
  parts: array(struct<BlockRuns>({ block: u53<BlockIndex>(), runs: array(u53()) })),
  mayBeLost: flag,
});

function operation<Q, A>(
  code: number,
  name: string,
  parts: { mutates: boolean; request: Codec<Q>; reply: Codec<A> },
): Operation<Q, A> {
  return { code, name, ...parts };
}

/** A change of the server's memory: run once, however often it arrives. */
function change<const Q extends readonly unknown[], A>(
  code: number,
  name: string,
  request: { [K in keyof Q]: Codec<Q[K]> },
  reply: Codec<A>,
): Operation<Q, A> {
  return operation(code, name, { mutates: true, request: tuple<Q>(...request), reply });
}

/** A question, which may be asked again. */
function question<const Q extends readonly unknown[], A>(
  code: number,
  name: string,
  request: { [K in keyof Q]: Codec<Q[K]> },
  reply: Codec<A>,
): Operation<Q, A> {
  return operation(code, name, { mutates: false, request: tuple<Q>(...request), reply });
}

/** Where a range of a block lies. */
const range = [view, u53<BlockIndex>(), u53(), u53()] as const;

type Change = { endBytes: number; storedDelta: number };

/** A place in a block of a dataset. */
const place = tuple<Place>(view, u53<BlockIndex>(), u53());
type Place = readonly [DatasetView, BlockIndex, number];

/** The table; every row is a method of {@link BlockStore}. */
export const BlockOperation = {
  createInner: change<readonly [Dataset, InnerSeed], DataAttributes>(
    16,
    'createInner',
    [dataset, seed],
    attributes,
  ),
  readInners: question<readonly [Dataset[]], InnerAnswer[]>(
    17,
    'readInners',
    [array(dataset)],
    array(innerAnswer),
  ),
  noteWrite: change<readonly [Dataset, Change, InnerSeed | undefined], DataAttributes>(
    18,
    'noteWrite',
    [dataset, written, optional(seed)],
    attributes,
  ),
  reserveAppend: change<readonly [Dataset, number, InnerSeed | undefined], number>(
    19,
    'reserveAppend',
    [dataset, u53(), optional(seed)],
    u53(),
  ),
  truncate: change<readonly [Dataset, Truncation, InnerSeed | undefined], DataAttributes>(
    20,
    'truncate',
    [dataset, truncation, optional(seed)],
    attributes,
  ),
  confirmTruncation: change<readonly [Dataset, number], undefined>(
    21,
    'confirmTruncation',
    [dataset, u53()],
    nothing,
  ),
  setTimes: change<readonly [Dataset, Times], DataAttributes>(
    22,
    'setTimes',
    [dataset, times],
    attributes,
  ),
  touchAtime: change<readonly [Dataset, Timespec], undefined>(
    23,
    'touchAtime',
    [dataset, timespec],
    nothing,
  ),
  copyStat: change<readonly [Dataset, Stat], undefined>(24, 'copyStat', [dataset, stat], nothing),
  getXattr: question<readonly [Dataset, Buffer], Buffer>(25, 'getXattr', [dataset, bytes], bytes),
  setXattr: change<readonly [Dataset, Buffer, Buffer, XattrMode], undefined>(
    26,
    'setXattr',
    [dataset, bytes, bytes, xattrMode],
    nothing,
  ),
  listXattr: question<readonly [Dataset], Buffer[]>(27, 'listXattr', [dataset], array(bytes)),
  removeXattr: change<readonly [Dataset, Buffer], undefined>(
    28,
    'removeXattr',
    [dataset, bytes],
    nothing,
  ),
  readTarget: question<readonly [Dataset], Buffer>(29, 'readTarget', [dataset], bytes),
  /** `[view, block, offset, length]`; the payload is what is stored of the range, from its start. */
  readBlock: question<readonly [DatasetView, BlockIndex, number, number], undefined>(
    30,
    'readBlock',
    range,
    nothing,
  ),
  /** `[view, block, offset]`; the payload is what is to be written. */
  writeBlock: change<readonly [DatasetView, BlockIndex, number], { storedDelta: number }>(
    31,
    'writeBlock',
    [view, u53<BlockIndex>(), u53()],
    stored,
  ),
  discard: change<readonly [DatasetView], { storedDelta: number }>(32, 'discard', [view], stored),
  free: change<readonly [InodeId[]], undefined>(33, 'free', [array(u53<InodeId>())], nothing),
  usage: question<readonly [], BlockUsage>(34, 'usage', [], usage),
  /** Bytes stored of each block; null for one that may have been lost. */
  locate: question<readonly [Dataset, BlockIndex[]], (number | undefined)[]>(
    35,
    'locate',
    [dataset, array(u53<BlockIndex>())],
    array(optional(u53())),
  ),
  /** `[view, offset, length, room]`, in bytes of the dataset. */
  punch: change<readonly [DatasetView, number, number, RoomUse], { storedDelta: number }>(
    36,
    'punch',
    [view, u53(), u53(), roomUse],
    stored,
  ),
  reserve: change<readonly [DatasetView, readonly BlockExtent[]], Reserved>(
    37,
    'reserve',
    [view, array(extent)],
    reserved,
  ),
  unreserve: change<readonly [DatasetView, readonly BlockExtent[]], { storedDelta: number }>(
    38,
    'unreserve',
    [view, array(extent)],
    stored,
  ),
  /** `[view, first block, count]`. */
  map: question<readonly [DatasetView, BlockIndex, number], BlockMap>(
    39,
    'map',
    [view, u53<BlockIndex>(), u53()],
    map,
  ),
  /** `[from, to, length]`. */
  copyBlock: change<readonly [Place, Place, number], { storedDelta: number }>(
    40,
    'copyBlock',
    [place, place, u53()],
    stored,
  ),
} as const;

/** Failures of block servers beside FsError. */
export const BLOCK_FAILURES: readonly FailureCodec[] = [
  {
    status: 4112,
    matches: (error) => error instanceof StaleGenerationError,
    encode: (error) => text.encode((error as StaleGenerationError).message),
    decode: (raw) => new StaleGenerationError(text.decode(raw)),
  },
  {
    status: 4113,
    matches: (error) => error instanceof UnconfirmedTruncationError,
    encode: (error) => attributes.encode((error as UnconfirmedTruncationError).attributes),
    decode: (raw) => new UnconfirmedTruncationError(attributes.decode(raw)),
  },
];

/** Most datasets, blocks or extents in one message. */
export const MOST_PER_MESSAGE = 4096;

const WORD = 2 ** 32;

/**
 * Which of a server's shards keeps a block: both numbers, each as low and high word, mixed by 32-bit multiplications, then
 * the remainder by the number of shards. Part of the protocol.
 */
export function shardOf(inode: InodeId, block: number, shards: number): number {
  if (shards === 1) return 0;
  let hash = Math.imul(inode >>> 0, 0x9e3779b1) ^ Math.imul(Math.floor(inode / WORD), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash ^= Math.imul(block >>> 0, 0x27d4eb2f) ^ Math.imul(Math.floor(block / WORD), 0x165667b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % shards;
}
