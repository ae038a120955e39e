/** How servers and clients of one file system contradict each other. Each refusal says what is wrong and what to do. */

/** Why a request about the cluster was refused. The order is part of the protocol. */
export const CLUSTER_REFUSALS = [
  /** The other side belongs to a file system with another id. */
  'other-cluster',
  /** A metadata server was told another number than it has. */
  'other-number',
  /** The metadata servers are not those that this file system has. */
  'other-meta-servers',
  /** The block servers are not those that this file system has. */
  'other-block-servers',
  /** Another block server lives at this index. */
  'taken',
  /** A later life of this block server has taken its index. */
  'replaced',
  /** The mount wants another block size than the file system has. */
  'other-block-size',
  /** Only metadata server 0 answers this. */
  'not-the-first',
  /** The metadata server does not know yet which one it is. */
  'no-number',
  /** The servers still have clients. */
  'in-use',
  /** The servers are being stopped. */
  'stopping',
] as const;
export type ClusterRefusal = (typeof CLUSTER_REFUSALS)[number];

/** A request about the cluster was refused; `message` is one line: what is wrong; what to do. */
export class ClusterError extends Error {
  override name = 'ClusterError';
  readonly reason: ClusterRefusal;

  constructor(reason: ClusterRefusal, message: string) {
    super(message);
    this.reason = reason;
  }
}
