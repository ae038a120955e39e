/**
 * The durable side of membership: what metadata server 0 decides, and what the others learn of it, each as one
 * transaction. Nothing here knows whether a server is alive; presence.ts does.
 */
import { array, type Codec, optional, struct, text, tuple, u53, oneOf } from '../net/codec.ts';
import { ProtocolError } from '../net/errors.ts';
import { FsError } from '../errno.ts';
import { POLICIES } from '../policy.ts';
import { type Task, wait } from '../task.ts';
import { ClusterError } from './cluster-errors.ts';
import { systemKey, SystemKey } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import {
  type BlockLife,
  type BlockMember,
  EMPTY_MAP,
  sameList,
  type ServerMap,
} from './server-map.ts';
import type { Layout } from './store.ts';
import { putSystemNumber } from './tables.ts';

/** All that a metadata server keeps of its file system's servers. */
export interface ClusterRecord {
  /** Metadata servers by number; undefined until somebody has told. */
  readonly metaServers: readonly string[] | undefined;
  /** Layout of the root, which the first mount decides. */
  readonly layout: Layout | undefined;
  readonly map: ServerMap;
}

/** A block server's request for a place in the map. */
export interface Registration {
  readonly index: number;
  /** All block servers of the file system, as its hostfile has them. */
  readonly list: readonly string[];
  readonly host: string;
  readonly ports: readonly number[];
  readonly capacityBytes: number;
  readonly incarnation: string;
}

/** What became of a {@link Registration}. */
export interface Registered {
  readonly map: ServerMap;
  readonly bornEpoch: number;
  /** The epoch has risen: whoever makes datasets must know before this server serves. */
  readonly raised: boolean;
}

export const layoutCodec: Codec<Layout> = struct<Layout>({
  policy: oneOf(POLICIES),
  blockSizeBytes: u53(),
  replication: u53(),
});

export const lifeCodec: Codec<BlockLife> = struct<BlockLife>({
  host: text,
  ports: array(u53()),
  incarnation: text,
  bornEpoch: u53(),
  capacityBytes: u53(),
});

export const serverMapCodec: Codec<ServerMap> = struct<ServerMap>({
  version: u53(),
  epoch: u53(),
  blocks: array(struct<BlockMember>({ declared: text, life: optional(lifeCodec) })),
});

const recordCodec: Codec<ClusterRecord> = struct<ClusterRecord>({
  metaServers: optional(array(text)),
  layout: optional(layoutCodec),
  map: serverMapCodec,
});

/** First item of the stored array. */
const RECORD_VERSION = 1;
const storedCodec: Codec<readonly [number, ClusterRecord]> = tuple(u53(), recordCodec);

const NEW_RECORD: ClusterRecord = { metaServers: undefined, layout: undefined, map: EMPTY_MAP };

/** EIO for a record that this version cannot read. */
export function* readCluster(kv: KeyValueReader): Task<ClusterRecord> {
  const bytes = yield* wait(kv.get(systemKey(SystemKey.CLUSTER)));
  return bytes === undefined ? NEW_RECORD : decodeRecord(bytes);
}

function decodeRecord(bytes: Buffer): ClusterRecord {
  try {
    const [version, record] = storedCodec.decode(JSON.parse(bytes.toString()));
    if (version === RECORD_VERSION) return record;
  } catch (error) {
    if (!(error instanceof ProtocolError || error instanceof SyntaxError)) throw error;
  }
  throw new FsError('EIO', 'the record of the cluster is damaged or of another version');
}

function* writeCluster(kv: KeyValueTransaction, record: ClusterRecord): Task<void> {
  const bytes = Buffer.from(JSON.stringify(storedCodec.encode([RECORD_VERSION, record])));
  yield* wait(kv.put(systemKey(SystemKey.CLUSTER), bytes));
  yield* putSystemNumber(kv, SystemKey.MAP_EPOCH, record.map.epoch);
}

/** Remembers which metadata servers there are, or refuses a list that is not the remembered one. */
export function* tellMetaServers(kv: KeyValueTransaction, list: readonly string[]): Task<void> {
  const record = yield* readCluster(kv);
  if (record.metaServers === undefined) {
    yield* writeCluster(kv, { ...record, metaServers: [...list] });
  } else if (!sameList(record.metaServers, list)) {
    throw new ClusterError(
      'other-meta-servers',
      `this file system's metadata servers are ${show(record.metaServers)}, not ${show(list)}: ` +
        'give the same -a and -x everywhere',
    );
  }
}

/** Keeps the first mount's layout, and returns what is kept. */
export function* settleLayout(kv: KeyValueTransaction, wanted: Layout): Task<Layout> {
  const record = yield* readCluster(kv);
  if (record.layout !== undefined) return record.layout;
  yield* writeCluster(kv, { ...record, layout: { ...wanted } });
  return wanted;
}

/** Remembers which block servers there are to be, or refuses a list that is not the remembered one. */
export function* declareBlocks(kv: KeyValueTransaction, list: readonly string[]): Task<ServerMap> {
  const record = yield* readCluster(kv);
  const declared = record.map.blocks.map((member) => member.declared);
  if (declared.length > 0) {
    if (sameList(declared, list)) return record.map;
    // A list that no server has ever come for may have been mistyped.
    const isServed = record.map.blocks.some(({ life }) => life !== undefined);
    if (isServed)
      throw new ClusterError(
        'other-block-servers',
        `this file system's block servers are ${show(declared)}, not ${show(list)}: ` +
          'give the same hostfile (-h) everywhere, or another metadata file for a new file system',
      );
  }
  const map: ServerMap = {
    ...record.map,
    version: record.map.version + 1,
    blocks: list.map((address) => ({ declared: address, life: undefined })),
  };
  yield* writeCluster(kv, { ...record, map });
  return map;
}

/**
 * Enters a block server's life at its place, in the stead of any other: the caller has made sure that no other lives.
 * To repeat it changes nothing.
 */
export function* registerLife(kv: KeyValueTransaction, wanted: Registration): Task<Registered> {
  const map = yield* declareBlocks(kv, wanted.list);
  const member = map.blocks[wanted.index];
  if (member === undefined) {
    throw new ClusterError(
      'other-block-servers',
      `there is no block server ${wanted.index}, only 0 to ${map.blocks.length - 1}: give an index of the hostfile`,
    );
  }
  const former = member.life;
  if (former?.incarnation === wanted.incarnation) {
    return { map, bornEpoch: former.bornEpoch, raised: false };
  }
  const raised = former !== undefined;
  const epoch = raised ? map.epoch + 1 : map.epoch;
  // Nothing can have been lost where there was nothing before, however high the epoch has risen elsewhere.
  const bornEpoch = raised ? epoch : EMPTY_MAP.epoch;
  const { host, ports, incarnation, capacityBytes } = wanted;
  const life: BlockLife = { host, ports: [...ports], incarnation, bornEpoch, capacityBytes };
  const next: ServerMap = {
    version: map.version + 1,
    epoch,
    blocks: map.blocks.with(wanted.index, { declared: member.declared, life }),
  };
  const record = yield* readCluster(kv);
  yield* writeCluster(kv, { ...record, map: next });
  return { map: next, bornEpoch, raised };
}

/** Keeps what metadata server 0 told; an older map than the kept one changes nothing. Returns what is kept. */
export function* learnMap(kv: KeyValueTransaction, map: ServerMap): Task<ServerMap> {
  const record = yield* readCluster(kv);
  if (map.version <= record.map.version) return record.map;
  yield* writeCluster(kv, { ...record, map });
  return map;
}

const MAX_SHOWN = 8;

function show(list: readonly string[]): string {
  if (list.length <= MAX_SHOWN) return list.join(', ');
  return `${list.slice(0, MAX_SHOWN).join(', ')} and ${list.length - MAX_SHOWN} more`;
}
