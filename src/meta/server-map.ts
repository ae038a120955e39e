/**
 * The server map: which block servers a file system has, which life of each is the present one, and the epoch, which
 * rises whenever one comes back without its blocks. Metadata server 0 owns it; a map is never changed, only replaced.
 */
import type { Address } from '../net/call.ts';

/** One life of a block server, from its start to its end. */
export interface BlockLife {
  /** Where it listens. */
  readonly host: string;
  /** One port per shard, shard 0's first. */
  readonly ports: readonly number[];
  /** 16 random bytes in hex, drawn at its start. */
  readonly incarnation: string;
  /** Blocks of datasets that were made in an earlier epoch went with an earlier life. */
  readonly bornEpoch: number;
  readonly capacityBytes: number;
}

/** One place in the list of block servers. */
export interface BlockMember {
  /** `host:port` as the hostfile names it. */
  readonly declared: string;
  /** Undefined until a server has registered here. */
  readonly life: BlockLife | undefined;
}

export interface ServerMap {
  /** Rises with each change of the map. */
  readonly version: number;
  /** Rises with each new life at a place that had one before. */
  readonly epoch: number;
  /** By index; empty until somebody has declared the list. */
  readonly blocks: readonly BlockMember[];
}

/** Epoch of a file system whose block servers are all in their first life. */
export const FIRST_EPOCH = 1;

/** The map of a new file system. */
export const EMPTY_MAP: ServerMap = { version: 1, epoch: FIRST_EPOCH, blocks: [] };

/** Places at which no server has registered yet. */
export function awaitedMembers(map: ServerMap): string[] {
  return map.blocks.filter((member) => member.life === undefined).map((member) => member.declared);
}

/** The parts of what formatAddress wrote; undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

/** Whether two lists of addresses name the same servers in the same order. */
export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return (
    a.length === b.length &&
    a.every((address, index) => address.toLowerCase() === b[index]?.toLowerCase())
  );
}
