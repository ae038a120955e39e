/**
 * Operations 160 to 191: how servers and mounts become one file system. All are answered by metadata servers, and all
 * may be repeated without harm, so none carries a tag.
 */
import {
  array,
  type Codec,
  flag,
  nothing,
  nullable,
  oneOf,
  optional,
  real,
  struct,
  text,
  tuple,
  u53,
} from '../net/codec.ts';
import type { FailureCodec, Operation } from '../net/operation.ts';
import { CLUSTER_REFUSALS, ClusterError } from './cluster-errors.ts';
import { layoutCodec, lifeCodec, type Registration, serverMapCodec } from './members.ts';
import type { BlockReport, ServerState } from './presence.ts';
import type { BlockLife, ServerMap } from './server-map.ts';
import type { Layout } from './store.ts';

/** Tells a metadata server which one it is, or makes sure that it is that one. */
export interface AdoptRequest {
  /** Null is for number 0 only: it then belongs to the file system that it says, or begins a new one. */
  readonly clusterId: string | null;
  readonly number: number;
  /** Addresses of all metadata servers by number, where the asker knows them. */
  readonly metaServers: readonly string[] | undefined;
}

export interface AdoptAnswer {
  readonly clusterId: string;
  readonly number: number;
  /** As this server knows it. */
  readonly map: ServerMap;
}

/** A mount joins: it counts as a client until its connection ends. Metadata server 0 only. */
export interface AttachRequest {
  /** For people: node, mount point, process. */
  readonly name: string;
  /** Block servers of the mount's hostfile; undefined without one. */
  readonly list: readonly string[] | undefined;
  /** The layout of the file system, if this is its first mount. */
  readonly layout: Layout;
  /** The block size of `layout` was asked for, so that another one is an error. */
  readonly blockSizeIsExplicit: boolean;
}

export interface AttachAnswer {
  readonly layout: Layout;
  readonly map: ServerMap;
}

/** Waits for a map of another version than `version`, for two seconds at most. */
export interface WatchRequest {
  readonly version: number;
  /** Number of the metadata server that asks: the answer is its lease. Undefined for all others. */
  readonly number: number | undefined;
}

export interface WatchAnswer {
  readonly map: ServerMap;
  /** The servers are being stopped on somebody's demand. */
  readonly stopping: boolean;
}

/** A block server asks for its place. Metadata server 0 only. */
export interface RegisterRequest extends Registration {
  /** Null before the first registration of this life. */
  readonly clusterId: string | null;
}

export interface RegisterAnswer {
  readonly clusterId: string;
  readonly epoch: number;
  readonly bornEpoch: number;
}

export interface HeartbeatRequest {
  readonly index: number;
  readonly incarnation: string;
  readonly report: BlockReport;
}

export interface HeartbeatAnswer {
  /** Another life has the place, or none: this one has to register. */
  readonly known: boolean;
  readonly stopping: boolean;
}

export interface LeaveRequest {
  readonly index: number;
  readonly incarnation: string;
}

/** What metadata server 0 knows of a block server. */
export interface BlockStatus {
  readonly index: number;
  readonly declared: string;
  readonly state: ServerState;
  /** Milliseconds since it was last heard of; undefined for one that is awaited. */
  readonly quietMs: number | undefined;
  readonly life: BlockLife | undefined;
  readonly report: BlockReport | undefined;
}

export interface MetaStatus {
  readonly clusterId: string | null;
  readonly number: number | null;
  readonly epoch: number;
  /** False while it waits for metadata server 0 to tell the present map. */
  readonly isCurrent: boolean;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly inodes: number;
  readonly databaseBytes: number;
  readonly connections: number;
  readonly requestsPerSecond: number;
  /** By number; undefined until somebody has told. */
  readonly metaServers: readonly string[] | undefined;
  /** Names of the mounts; on metadata server 0 only. */
  readonly mounts: readonly string[];
  /** On metadata server 0 only. */
  readonly blockServers: readonly BlockStatus[];
  readonly stopping: boolean;
}

export interface StopRequest {
  /** Also while there are mounts. */
  readonly force: boolean;
}

export interface StopAnswer {
  /** Addresses of the servers that are going to end. */
  readonly servers: readonly string[];
}

const list: Codec<readonly string[]> = array(text);

const reportCodec: Codec<BlockReport> = struct<BlockReport>({
  usedBytes: u53(),
  datasets: u53(),
  requestsPerSecond: real,
  uptimeMs: real,
  clients: u53(),
});

const blockStatusCodec: Codec<BlockStatus> = struct<BlockStatus>({
  index: u53(),
  declared: text,
  state: oneOf(['awaited', 'up', 'silent', 'down']),
  quietMs: optional(real),
  life: optional(lifeCodec),
  report: optional(reportCodec),
});

export const ADOPT: Operation<AdoptRequest, AdoptAnswer> = {
  code: 160,
  name: 'adopt',
  mutates: false,
  request: struct<AdoptRequest>({
    clusterId: nullable(text),
    number: u53(),
    metaServers: optional(list),
  }),
  reply: struct<AdoptAnswer>({ clusterId: text, number: u53(), map: serverMapCodec }),
};

export const ATTACH: Operation<AttachRequest, AttachAnswer> = {
  code: 161,
  name: 'attach',
  mutates: false,
  request: struct<AttachRequest>({
    name: text,
    list: optional(list),
    layout: layoutCodec,
    blockSizeIsExplicit: flag,
  }),
  reply: struct<AttachAnswer>({ layout: layoutCodec, map: serverMapCodec }),
};

export const WATCH_MAP: Operation<WatchRequest, WatchAnswer> = {
  code: 162,
  name: 'watchMap',
  mutates: false,
  request: struct<WatchRequest>({ version: u53(), number: optional(u53()) }),
  reply: struct<WatchAnswer>({ map: serverMapCodec, stopping: flag }),
};

export const REGISTER_BLOCKS: Operation<RegisterRequest, RegisterAnswer> = {
  code: 163,
  name: 'registerBlocks',
  mutates: false,
  request: struct<RegisterRequest>({
    clusterId: nullable(text),
    index: u53(),
    list,
    host: text,
    ports: array(u53()),
    capacityBytes: u53(),
    incarnation: text,
  }),
  reply: struct<RegisterAnswer>({ clusterId: text, epoch: u53(), bornEpoch: u53() }),
};

export const HEARTBEAT: Operation<HeartbeatRequest, HeartbeatAnswer> = {
  code: 164,
  name: 'heartbeat',
  mutates: false,
  request: struct<HeartbeatRequest>({ index: u53(), incarnation: text, report: reportCodec }),
  reply: struct<HeartbeatAnswer>({ known: flag, stopping: flag }),
};

export const LEAVE_BLOCKS: Operation<LeaveRequest, undefined> = {
  code: 165,
  name: 'leaveBlocks',
  mutates: false,
  request: struct<LeaveRequest>({ index: u53(), incarnation: text }),
  reply: nothing,
};

export const STATUS: Operation<undefined, MetaStatus> = {
  code: 166,
  name: 'status',
  mutates: false,
  request: nothing,
  reply: struct<MetaStatus>({
    clusterId: nullable(text),
    number: nullable(u53()),
    epoch: u53(),
    isCurrent: flag,
    pid: u53(),
    uptimeMs: real,
    inodes: u53(),
    databaseBytes: u53(),
    connections: u53(),
    requestsPerSecond: real,
    metaServers: optional(list),
    mounts: list,
    blockServers: array(blockStatusCodec),
    stopping: flag,
  }),
};

export const STOP: Operation<StopRequest, StopAnswer> = {
  code: 167,
  name: 'stop',
  mutates: false,
  request: struct<StopRequest>({ force: flag }),
  reply: struct<StopAnswer>({ servers: list }),
};

const refusalCodec = tuple(oneOf(CLUSTER_REFUSALS), text);

/** Carries {@link ClusterError}; every Peer and server of the cluster operations needs it. */
export const clusterFailure: FailureCodec = {
  status: 4256,
  matches: (error) => error instanceof ClusterError,
  encode: (error) => {
    const { reason, message } = error as ClusterError;
    return refusalCodec.encode([reason, message]);
  },
  decode: (raw) => {
    const [reason, message] = refusalCodec.decode(raw);
    return new ClusterError(reason, message);
  },
};
