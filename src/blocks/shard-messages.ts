/** What a block server's threads tell each other: the first thread asks, a worker answers, and logs through it. */
import type { Address } from '../net/call.ts';
import type { ServerLimits } from '../net/handler.ts';
import type { ShardPlace } from './server.ts';
import type { Membership, ShardStatistics } from './shard.ts';
import type { BlockUsage } from './store.ts';

/** What a worker thread is started with. */
export interface ShardSetup {
  readonly shard: ShardPlace;
  readonly capacityBytes: number;
  readonly blockSizeBytes: number;
  readonly secret: Uint8Array | undefined;
  readonly incarnation: string;
  readonly limits: Partial<ServerLimits> | undefined;
  readonly logsDebug: boolean;
}

export type ShardCommand =
  | { readonly kind: 'listen'; readonly address: Address }
  | { readonly kind: 'join'; readonly membership: Membership }
  | { readonly kind: 'usage' }
  | { readonly kind: 'statistics' }
  | { readonly kind: 'close' };

/** What a command is answered with. */
export interface ShardAnswers {
  listen: Address;
  join: null;
  usage: BlockUsage;
  statistics: ShardStatistics;
  close: null;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type ShardReport =
  | { readonly kind: 'done'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: Error }
  | {
      readonly kind: 'log';
      readonly level: LogLevel;
      readonly fields: Record<string, unknown>;
      readonly message: string;
    };
