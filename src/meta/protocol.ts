/**
 * The metadata operations on the wire: codes, and how requests and replies are carried. Structures are arrays in the
 * order of their fields here (docs/protocol.md). Every mutation names the session that it belongs to.
 */
import type { Timespec } from '../clock.ts';
import type { BlockIndex, EntrySequence, InodeId } from '../ids.ts';
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
import { ProtocolError } from '../net/errors.ts';
import type { FailureCodec, Operation } from '../net/operation.ts';
import { POLICIES } from '../policy.ts';
import { ACL_KINDS, type Acls } from './acl.ts';
import { possibleRecord } from './answers.ts';
import { SessionExpiredError } from './exactly-once.ts';
import type { Found } from './session-store.ts';
import type {
  AclChange,
  AttributeChange,
  DataReport,
  EntryName,
  InodeRecord,
  Layout,
  ListedEntry,
  Listing,
  ListingPage,
  NewInode,
  OpenLevel,
  RenameFlags,
} from './store.ts';

const inode = u53<InodeId>();
const sequence = u53<EntrySequence>();
const block = u53<BlockIndex>();

const time = mapped<Timespec, readonly [number, number]>(tuple(i53, u53()), {
  encode: ({ seconds, nanoseconds }) => [seconds, nanoseconds],
  decode: ([seconds, nanoseconds]) => ({ seconds, nanoseconds }),
});

const layout = struct<Layout>({
  policy: oneOf(POLICIES),
  blockSizeBytes: u53(),
  replication: u53(),
});

/** Fields that a change may leave out: those that are undefined are absent after decoding. */
function partial<T extends object>(shape: {
  [K in keyof T]-?: Codec<T[K] | undefined>;
}): Codec<T> {
  return mapped<T, T>(struct<T>(shape as never), {
    encode: (value) => value,
    decode: (value) =>
      Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T,
  });
}

const layoutChange = partial<Partial<Layout>>({
  policy: optional(oneOf(POLICIES)),
  blockSizeBytes: optional(u53()),
  replication: optional(u53()),
});

const acls = struct<Acls>({ access: optional(bytes), default: optional(bytes) });

const recordFields = struct<InodeRecord>({
  inode,
  mode: u53(),
  nlink: u53(),
  uid: u53(),
  gid: u53(),
  rdev: u53(),
  sizeBytes: u53(),
  storedBytes: u53(),
  atime: time,
  mtime: time,
  ctime: time,
  dataVersion: u53(),
  generation: u53(),
  truncatedBytes: u53(),
  unborn: flag,
  unsettled: flag,
  layout,
  mapEpoch: u53(),
  home: u53(),
  uri: text,
  target: optional(bytes),
  parent: u53<InodeId | 0>(),
  acls: optional(acls),
});

const record: Codec<InodeRecord> = {
  encode: (value) => recordFields.encode(value),
  decode: (raw) => possibleRecord(recordFields.decode(raw)),
};

const report = struct<DataReport>({
  sizeBytes: u53(),
  storedBytes: u53(),
  atime: time,
  mtime: time,
  ctime: time,
  dataVersion: u53(),
  generation: u53(),
  truncatedBytes: u53(),
});

const newInode = partial<NewInode>({
  mode: u53(),
  uid: u53(),
  gid: u53(),
  rdev: optional(u53()),
  target: optional(bytes),
  home: optional(u53()),
  umask: optional(u53()),
});

const aclChange = struct<AclChange>({
  kind: oneOf(ACL_KINDS),
  value: optional(bytes),
  dropSetGid: optional(flag),
});

const change = partial<AttributeChange>({
  permissions: optional(u53()),
  uid: optional(u53()),
  gid: optional(u53()),
  atime: optional(time),
  mtime: optional(time),
  dropPrivilegeBits: optional(flag),
  acl: optional(aclChange),
});

const flags = partial<RenameFlags>({
  noReplace: optional(flag),
  exchange: optional(flag),
});

const level = oneOf<OpenLevel>(['none', 'read', 'write']);
const openLevel = oneOf<Exclude<OpenLevel, 'none'>>(['read', 'write']);
const entryName = struct<EntryName>({ parent: inode, name: bytes });
const page = struct<ListingPage>({
  after: sequence,
  upTo: optional<EntrySequence>(sequence),
  limit: u53(),
  withRecords: flag,
});

const listedFields = tuple(bytes, inode, u53(), sequence, optional(record));

const listed: Codec<Listing['entries'][number]> = {
  encode: (entry) =>
    listedFields.encode([entry.name, entry.inode, entry.type, entry.sequence, entry.record]),
  decode: (raw) => {
    const [name, child, type, position, found] = listedFields.decode(raw);
    const entry: ListedEntry = { name, inode: child, type, sequence: position };
    return found === undefined ? entry : { ...entry, record: found };
  },
};

/** A record, or the number of an inode that another server keeps. */
const found: Codec<Found> = {
  encode: (value) => (typeof value === 'number' ? value : record.encode(value)),
  decode: (raw) => (typeof raw === 'number' ? inode.decode(raw) : record.decode(raw)),
};

/** A page of a listing; a server may return less than was asked for. */
export interface WireListing extends Listing {
  /** There is nothing after it, up to `upTo`. */
  isLast: boolean;
}

/** A mutation, and the session that it belongs to: a server that has ended that session refuses it unrun. */
export interface InSession<Q> {
  session: number;
  request: Q;
}

function read<Q, A>(
  code: number,
  name: string,
  request: Codec<Q>,
  reply: Codec<A>,
): Operation<Q, A> {
  return { code, name, mutates: false, request, reply };
}

function mutation<Q, A>(
  code: number,
  name: string,
  request: Codec<Q>,
  reply: Codec<A>,
): Operation<InSession<Q>, A> {
  const inSession = struct<InSession<Q>>({ session: u53(), request });
  return { code, name, mutates: true, request: inSession, reply };
}

/** All operations; codes 64 to 127 are metadata's. */
export const MetaOperation = {
  /** The session of the client that the handshake named, begun if it has none. Repeating it is harmless. */
  OPEN_SESSION: read(64, 'openSession', nothing, struct({ session: u53(), isNew: flag })),
  LOOKUP: read(65, 'lookup', entryName, found),
  INODE: read(66, 'inode', inode, record),
  INODES: read(67, 'inodes', array(inode), array(optional(record))),
  LIST: read(
    68,
    'list',
    tuple(inode, page),
    struct<WireListing>({
      directory: record,
      upTo: sequence,
      entries: array(listed),
      isLast: flag,
    }),
  ),
  BLOCK_SERVERS: read(69, 'blockServers', tuple(inode, array(block)), array(optional(u53()))),
  INODE_COUNT: read(70, 'inodeCount', nothing, u53()),
  /** For how many milliseconds from when it asks the client is the only one that this server has let in; 0: it is not. */
  ALONE: read(71, 'alone', nothing, u53()),

  /** The client ends: all that it has open is dropped at once. */
  CLOSE_SESSION: mutation(80, 'closeSession', nothing, nothing),
  /** What a client had open in a session that has lapsed: bits 1 read, 2 write, 4 orphan. False for what is gone. */
  REOPEN: mutation(81, 'reopen', array(tuple(inode, u53())), array(flag)),
  DIRECTORY_AT: mutation(82, 'directoryAt', tuple(array(bytes), newInode), record),
  CREATE: mutation(83, 'create', tuple(entryName, newInode, level), record),
  OPEN: mutation(84, 'open', tuple(inode, openLevel), record),
  CLOSE: mutation(85, 'close', tuple(inode, level, optional(report)), nothing),
  LINK: mutation(86, 'link', tuple(inode, entryName), record),
  UNLINK: mutation(87, 'unlink', entryName, record),
  RMDIR: mutation(88, 'rmdir', entryName, record),
  RENAME: mutation(89, 'rename', tuple(entryName, entryName, flags), optional(record)),
  SET_ATTRIBUTES: mutation(90, 'setAttributes', tuple(inode, change), record),
  TOUCH_ATIME: mutation(91, 'touchAtime', tuple(inode, time), nothing),
  CONFIRM_BORN: mutation(92, 'confirmBorn', inode, nothing),
  REPORT_DATA: mutation(93, 'reportData', tuple(inode, report), nothing),
  REAP: mutation(94, 'reap', array(inode), nothing),
  SET_LAYOUT: mutation(95, 'setLayout', tuple(inode, layoutChange), record),
  CLAIM_BLOCKS: mutation(96, 'claimBlocks', tuple(inode, array(block), u53()), array(u53())),
  CREATE_NAMELESS: mutation(97, 'createNameless', tuple(inode, newInode, openLevel), record),
} as const;

/** A {@link SessionExpiredError}: the request was refused unrun. */
const SESSION_EXPIRED: FailureCodec = {
  status: 4096 + 64,
  matches: (error) => error instanceof SessionExpiredError,
  encode: (error) => (error as SessionExpiredError).detail,
  decode: (raw) => {
    if (typeof raw !== 'string') throw new ProtocolError('text expected');
    return new SessionExpiredError(raw);
  },
};

/** Failures of metadata servers beyond errnos. */
export const META_FAILURES: readonly FailureCodec[] = [SESSION_EXPIRED];
