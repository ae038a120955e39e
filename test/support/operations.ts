/** Every operation that anybody may ask of a server, taken from the protocol tables themselves. */
import { BlockOperation } from '../../src/blocks/protocol.ts';
import * as cluster from '../../src/meta/cluster-protocol.ts';
import { TransactionOperation } from '../../src/meta/distributed/protocol.ts';
import { MetaOperation } from '../../src/meta/protocol.ts';
import { type AnyOperation, PING } from '../../src/net/operation.ts';

export const BLOCK_OPERATIONS: readonly AnyOperation[] = Object.values(BlockOperation);
export const META_OPERATIONS: readonly AnyOperation[] = Object.values(MetaOperation);

/** Everything that the cluster's protocol exports and that is an operation. */
const CLUSTER_OPERATIONS = Object.values<unknown>(cluster).filter(isOperation);

export const ALL_OPERATIONS: readonly AnyOperation[] = [
  PING,
  ...BLOCK_OPERATIONS,
  ...META_OPERATIONS,
  ...Object.values(TransactionOperation),
  ...CLUSTER_OPERATIONS,
];

function isOperation(value: unknown): value is AnyOperation {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    'request' in value &&
    'reply' in value
  );
}
