/** Names of the policies by which blocks are spread over servers; every layer knows them. */

/** Distribution policies of the public description. */
export const POLICIES = ['RR', 'BUCKETS', 'HASH', 'CRC16', 'CRC64', 'LOCAL'] as const;
export type PolicyName = (typeof POLICIES)[number];
