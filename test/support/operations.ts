/** Every operation that anybody may ask of a server, found in whatever stands in a file `…protocol.ts`. */
import { readdirSync } from 'node:fs';
import { BlockOperation } from '../../src/blocks/protocol.ts';
import { MetaOperation } from '../../src/meta/protocol.ts';
import { type AnyOperation, PING } from '../../src/net/operation.ts';

export const BLOCK_OPERATIONS: readonly AnyOperation[] = Object.values(BlockOperation);
export const META_OPERATIONS: readonly AnyOperation[] = Object.values(MetaOperation);

const SOURCES = new URL('../../src/', import.meta.url);

async function protocols(): Promise<unknown[]> {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' });
  const names = files.filter((name) => /protocol\.js$/.test(name)).sort();
  return Promise.all(names.map((name) => import(new URL(name, SOURCES).href) as Promise<unknown>));
}

/** Operations among the values of `table`, or in tables among them. */
function operationsIn(table: unknown, depth: number): AnyOperation[] {
  if (typeof table !== 'object' || table === null) return [];
  if (isOperation(table)) return [table];
  if (depth === 0) return [];
  return Object.values(table).flatMap((value) => operationsIn(value, depth - 1));
}

function isOperation(value: object): value is AnyOperation {
  return 'code' in value && 'request' in value && 'reply' in value;
}

export const ALL_OPERATIONS: readonly AnyOperation[] = [
  PING,
  ...(await protocols()).flatMap((exported) => operationsIn(exported, 2)),
];
