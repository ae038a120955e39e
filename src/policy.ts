/** Names of the policies by which blocks are spread over servers; every layer knows them. */

/** Distribution policies of the public description. */
export const POLICIES = ['RR', 'BUCKETS', 'HASH', 'CRC16', 'CRC64', 'LOCAL'] as const;
export type PolicyName = (typeof POLICIES)[number];

/** Upper or lower case, and with the `b` that sample configurations of Hercules lack and its code demands. */
export function policyNamed(text: string): PolicyName | undefined {
  const plain = text.toUpperCase().replace(/^(CRC(?:16|64))B$/, '$1');
  return POLICIES.find((name) => name === plain);
}
