/** What a workload is: one row of the table, a rate that is better the higher it is. */

export interface Scope {
  /** A folder of the target's, kept from workload to workload and emptied after each round. */
  readonly folder: string;
  /** An empty folder on none of the targets. */
  readonly spare: string;
  readonly signal: AbortSignal;
}

export interface Workload {
  readonly name: string;
  readonly unit: 'MiB/s' | 'ops/s' | 'files/s';
  /** Opens with O_DIRECT; a target that refuses has no figure. */
  readonly direct: boolean;
  /** Forgets caches first, which is root's to do. */
  readonly dropsCaches: boolean;
  /** Has a row in the README's short table. */
  readonly headline: boolean;
  /** Makes what it needs, measures, and returns the rate. What it leaves, later workloads may use. */
  run(scope: Scope): Promise<number>;
}
