/**
 * Which block server keeps which block of a dataset. Pure: the same dataset, block and number of servers always give
 * the same server, in every process. All policies hash the URI under which the dataset was created.
 */
import type { Dataset } from '../layout.ts';
import type { PolicyName } from '../policy.ts';

const WORD = 2 ** 32;

/** CRC-16/XMODEM: polynomial x^16 + x^12 + x^5 + 1, most significant bit first, initial value 0. */
const CRC16_POLYNOMIAL = 0x1021;
/** CRC-64/REDIS: Jones' polynomial ad93d235 94c935a9 with its bits reversed, as two words; initial value 0. */
const CRC64_POLYNOMIAL_HIGH = 0x95ac9329;
const CRC64_POLYNOMIAL_LOW = 0xac4bc9b5;
/** The two factors of the HASH policy. */
const HASH_FIRST_FACTOR = 63_689;
const HASH_NEXT_FACTOR = 378_551;

/** A 64-bit number as two unsigned words. */
interface Word64 {
  readonly high: number;
  readonly low: number;
}

function crc16Table(): Uint16Array {
  const table = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ CRC16_POLYNOMIAL;
    }
    table[byte] = crc;
  }
  return table;
}

function crc64Tables(): { high: Uint32Array; low: Uint32Array } {
  const tables = { high: new Uint32Array(256), low: new Uint32Array(256) };
  for (let byte = 0; byte < 256; byte++) {
    let high = 0;
    let low = byte;
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (low & 1) === 1;
      low = (low >>> 1) | ((high & 1) << 31);
      high >>>= 1;
      if (isOdd) {
        high ^= CRC64_POLYNOMIAL_HIGH;
        low ^= CRC64_POLYNOMIAL_LOW;
      }
    }
    tables.high[byte] = high;
    tables.low[byte] = low;
  }
  return tables;
}

const CRC16 = crc16Table();
const CRC64 = crc64Tables();

/**
 * CRC-16/XMODEM of an ASCII text: 0x31c3 for `123456789`. The checksum that maps keys to slots in Redis Cluster
 * (its specification, appendix "CRC16 reference implementation"; the catalogue of parametrised CRC algorithms).
 */
export function crc16(text: string): number {
  let crc = 0;
  for (let at = 0; at < text.length; at++) {
    const index = (crc >>> 8) ^ (text.charCodeAt(at) & 0xff);
    crc = ((crc << 8) & 0xffff) ^ (CRC16[index] as number);
  }
  return crc;
}

/**
 * CRC-64/REDIS of an ASCII text: 0xe9c6d914c4b8d9ca for `123456789`. The checksum at the end of Redis' snapshots
 * (the catalogue of parametrised CRC algorithms).
 */
export function crc64(text: string): Word64 {
  let high = 0;
  let low = 0;
  for (let at = 0; at < text.length; at++) {
    const index = (low ^ text.charCodeAt(at)) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (CRC64.low[index] as number);
    high = (high >>> 8) ^ (CRC64.high[index] as number);
  }
  return { high: high >>> 0, low: low >>> 0 };
}

/** The HASH policy's 32-bit hash of an ASCII text. */
export function multiplicativeHash(text: string): number {
  let hash = 0;
  let factor = HASH_FIRST_FACTOR;
  for (let at = 0; at < text.length; at++) {
    hash = (Math.imul(hash, factor) + text.charCodeAt(at)) | 0;
    factor = Math.imul(factor, HASH_NEXT_FACTOR);
  }
  return hash >>> 0;
}

/**
 * BUCKETS: `bucketBlocks` blocks in a row are split into one run per server, the first `bucketBlocks mod servers` runs a
 * block longer than the others; blocks behind them begin again with the first run.
 */
export function bucketOf(
  block: number,
  shape: { first: number; bucketBlocks: number; servers: number },
): number {
  const { first, bucketBlocks, servers } = shape;
  const within = block % bucketBlocks;
  const longer = bucketBlocks % servers;
  const longLength = Math.floor(bucketBlocks / servers) + 1;
  if (within < longLength * longer) return (Math.floor(within / longLength) + first) % servers;
  const behind = Math.floor((within - longLength * longer) / (longLength - 1));
  return (behind + longer + first) % servers;
}

type Placement = (uri: string, block: number, servers: number) => number;

const PLACEMENTS: Record<Exclude<PolicyName, 'LOCAL'>, Placement> = {
  RR: (uri, block, servers) => ((crc16(uri) % servers) + block) % servers,
  // A file's length is not known when it is created: the runs are one block long, which places as RR does.
  BUCKETS: (uri, block, servers) =>
    bucketOf(block, { first: crc16(uri) % servers, bucketBlocks: servers, servers }),
  HASH: (uri, block, servers) => multiplicativeHash(`${uri}$${block}`) % servers,
  CRC16: (uri, block, servers) => crc16(`${uri}$${block}`) % servers,
  CRC64: (uri, block, servers) => {
    const { high, low } = crc64(`${uri}$${block}`);
    return ((high % servers) * WORD + low) % servers;
  },
};

/**
 * Number of the server that keeps `block` (0 is the inner metadata) of `dataset`, of `servers` servers (fewer than
 * 2^21); undefined for a data block of a LOCAL dataset, whose server only its metadata knows.
 */
export function placeOf(dataset: Dataset, block: number, servers: number): number | undefined {
  const { policy } = dataset.layout;
  if (policy !== 'LOCAL') return PLACEMENTS[policy](dataset.uri, block, servers);
  return block === 0 ? dataset.home : undefined;
}

/** Number of the server that keeps the dataset's block 0. */
export function homeOf(dataset: Dataset, servers: number): number {
  const { policy } = dataset.layout;
  if (policy === 'LOCAL') return dataset.home;
  return PLACEMENTS[policy](dataset.uri, 0, servers);
}

/** Where a block of a LOCAL dataset goes that is written on a node without a server: as RR would have it. */
export function placeOfStranger(dataset: Dataset, block: number, servers: number): number {
  return PLACEMENTS.RR(dataset.uri, block, servers);
}
