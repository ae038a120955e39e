/** Says whose database this is: a magic, the format's version, the cluster's id and this server's number. */
import { randomBytes } from 'node:crypto';
import { ByteReader, ByteWriter } from '../bytes.ts';

/** Version of the database as a whole: tables, keys, and the meaning of records. */
export const FORMAT_VERSION = 2;

const MAGIC = Buffer.from('imssfs-meta\0', 'latin1');
const CLUSTER_ID_BYTES = 16;

export interface Identity {
  formatVersion: number;
  /** 128 random bits, the same on all servers of one file system. */
  clusterId: Buffer;
  /** Number of this metadata server. */
  server: number;
}

/** Of a server of the file system `clusterId`; without one, of a new file system. */
export function newIdentity(
  server: number,
  clusterId: Buffer = randomBytes(CLUSTER_ID_BYTES),
): Identity {
  return { formatVersion: FORMAT_VERSION, clusterId, server };
}

export function encodeIdentity(identity: Identity): Buffer {
  return new ByteWriter(64)
    .bytes(MAGIC)
    .u32(identity.formatVersion)
    .bytes(identity.clusterId)
    .u16(identity.server)
    .copy();
}

/** Undefined for bytes that are not an identity. All versions begin alike, so that each is told from the others. */
export function decodeIdentity(bytes: Buffer): Identity | undefined {
  if (bytes.length < MAGIC.length + 4 + CLUSTER_ID_BYTES + 2) return undefined;
  const reader = new ByteReader(bytes);
  if (!reader.bytes(MAGIC.length).equals(MAGIC)) return undefined;
  return {
    formatVersion: reader.u32(),
    clusterId: Buffer.from(reader.bytes(CLUSTER_ID_BYTES)),
    server: reader.u16(),
  };
}
