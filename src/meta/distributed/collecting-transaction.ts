/**
 * The key-value interface over several servers, for an operation that has not been agreed yet: reads come from
 * wherever the key is kept and are remembered, writes are only collected. What it reads may not all have been true at
 * one time; whoever uses the result has the servers check the footprints first.
 */
import type { InodeId } from '../../ids.ts';
import type { MaybePromise } from '../../task.ts';
import type { KeyRange, KeyValue, KeyValueTransaction } from '../kv.ts';
import { emptyFootprint } from './footprints.ts';
import { serverOfKey, serverOfRange } from './ownership.ts';
import type { Footprint, ReadReply, ReadRequest } from './participant.ts';

/** What a {@link CollectingTransaction} needs of the server that runs it. */
export interface CollectingOptions {
  /** Number of the server that runs it. */
  server: number;
  read: (server: number, request: ReadRequest) => Promise<ReadReply>;
  /** A new inode number of any server. */
  newNumber: (server: number) => MaybePromise<InodeId>;
}

interface Seen {
  /** By key, as text of one character per byte. */
  reads: Map<string, Buffer | undefined>;
  writes: Map<string, Buffer | undefined>;
  ranges: Footprint['ranges'];
}

function text(key: Buffer): string {
  return key.toString('latin1');
}

function bytes(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

export class CollectingTransaction implements KeyValueTransaction {
  readonly tentative = true;
  readonly #options: CollectingOptions;
  readonly #servers = new Map<number, Seen>();

  constructor(options: CollectingOptions) {
    this.#options = options;
  }

  #at(server: number | undefined): { server: number; seen: Seen } {
    const at = server ?? this.#options.server;
    let seen = this.#servers.get(at);
    if (seen === undefined) {
      seen = { reads: new Map(), writes: new Map(), ranges: [] };
      this.#servers.set(at, seen);
    }
    return { server: at, seen };
  }

  get(key: Buffer): MaybePromise<Buffer | undefined> {
    const { server, seen } = this.#at(serverOfKey(key));
    const name = text(key);
    if (seen.writes.has(name)) return seen.writes.get(name);
    if (seen.reads.has(name)) return seen.reads.get(name);
    return this.#fetch(server, seen, Buffer.from(key));
  }

  async #fetch(server: number, seen: Seen, key: Buffer): Promise<Buffer | undefined> {
    const { values } = await this.#options.read(server, { keys: [key], ranges: [] });
    const value = values[0];
    seen.reads.set(text(key), value);
    return value;
  }

  range(range: KeyRange): MaybePromise<KeyValue[]> {
    const { server, seen } = this.#at(serverOfRange(range));
    return this.#fetchRange(server, seen, range);
  }

  async #fetchRange(server: number, seen: Seen, range: KeyRange): Promise<KeyValue[]> {
    const start = text(range.start);
    const end = text(range.end);
    const written = [...seen.writes].filter(([key]) => start <= key && key < end);
    // What was removed here does not count for the limit.
    const asked: KeyRange =
      range.limit === undefined ? range : { ...range, limit: range.limit + written.length };
    const reply = await this.#options.read(server, { keys: [], ranges: [asked] });
    const pairs = reply.pairs[0] ?? [];
    seen.ranges.push({ range: asked, pairs });
    const merged = new Map(pairs.map(({ key, value }) => [text(key), value]));
    for (const [key, value] of written) {
      if (value === undefined) merged.delete(key);
      else merged.set(key, value);
    }
    return [...merged]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, range.limit)
      .map(([key, value]) => ({ key: bytes(key), value }));
  }

  put(key: Buffer, value: Buffer): void {
    this.#at(serverOfKey(key)).seen.writes.set(text(key), Buffer.from(value));
  }

  append(key: Buffer, value: Buffer): void {
    this.put(key, value);
  }

  remove(key: Buffer): void {
    this.#at(serverOfKey(key)).seen.writes.set(text(key), undefined);
  }

  newNumber(server: number): MaybePromise<InodeId> {
    return this.#options.newNumber(server);
  }

  /** What the operation has to do with each server; without its writes if it failed. */
  footprints(failed: boolean): Map<number, Footprint> {
    const footprints = new Map<number, Footprint>();
    for (const [server, { reads, writes, ranges }] of this.#servers) {
      const footprint = emptyFootprint();
      for (const [key, value] of reads) footprint.reads.push({ key: bytes(key), value });
      footprint.ranges.push(...ranges);
      if (!failed) {
        for (const [key, value] of writes) footprint.writes.push({ key: bytes(key), value });
      }
      footprints.set(server, footprint);
    }
    return footprints;
  }
}
