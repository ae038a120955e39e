/**
 * What can be called over a connection: one {@link Operation} per row of a service's table, typed once for both sides.
 * Codes are unique over all services, so that a request sent to the wrong server is recognised.
 */
import { nothing, type Codec } from './codec.ts';

/** Which codes belong to whom; both ends included. */
export const OPERATION_CODES = {
  net: [1, 15],
  blocks: [16, 63],
  meta: [64, 127],
  betweenMetaServers: [128, 159],
  cluster: [160, 191],
} as const;

/** A request of type `Q` and its answer of type `A`. */
export interface Operation<Q, A> {
  readonly code: number;
  /** For logs and errors. */
  readonly name: string;
  /** Changes something on the server: calls carry a tag by which a retry is recognised. */
  readonly mutates: boolean;
  readonly request: Codec<Q>;
  readonly reply: Codec<A>;
}

/** Any operation, whatever it carries. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- Q stands in both directions, so unknown does not fit.
export type AnyOperation = Operation<any, any>;

/** Status of a reply to a request that the server does not understand; decoded as ProtocolError. */
export const STATUS_PROTOCOL = 4096;

/** The first status that services may use. */
export const FIRST_SERVICE_STATUS = 4112;

/** Carries one class of a service's errors; errors that no codec matches arrive as EIO. */
export interface FailureCodec {
  /** From {@link FIRST_SERVICE_STATUS} on; the service's operation code range plus 4096 is a good choice. */
  readonly status: number;
  matches(error: unknown): boolean;
  encode(error: unknown): unknown;
  /** Throws ProtocolError on anything unexpected. */
  decode(raw: unknown): Error;
}

/** What a mutating request carries so that a retry of it is recognised. */
export interface CallTag {
  /** Counts up per Peer, from 1. */
  readonly sequence: number;
  /** Every lower sequence number has been answered or given up: nobody will retry it. */
  readonly acknowledgedBelow: number;
}

/** Asks for a sign of life. */
export const PING: Operation<undefined, undefined> = {
  code: 1,
  name: 'ping',
  mutates: false,
  request: nothing,
  reply: nothing,
};
