/**
 * Serves a metadata database and prints the port. Kills itself at the given transaction: within it, or when it is
 * committed and not yet answered.
 */
import { writeSync } from 'node:fs';
import type { MetaCore } from '../../src/meta/core.ts';
import type { KeyValueTransaction } from '../../src/meta/kv.ts';
import type { Task } from '../../src/task.ts';
import { serveMeta } from '../support/meta-server.ts';

const [, , path = '', port = '0', dieAt = '0', where = 'within'] = process.argv;
let transactions = 0;

type Mutation<T> = (kv: KeyValueTransaction) => Task<T>;

/** Runs one transaction, the last one only in part or without an answer. */
function counted<T, R>(mutation: Mutation<T>, run: (mutation: Mutation<T>) => R): R {
  const last = ++transactions === Number(dieAt);
  const result = run(function* (kv) {
    const value = yield* mutation(kv);
    if (last && where === 'within') process.kill(process.pid, 'SIGKILL');
    return value;
  });
  if (last) process.kill(process.pid, 'SIGKILL');
  return result;
}

function dying(core: MetaCore): MetaCore {
  return {
    ...core,
    transact: (operation, use) => counted(operation, (run) => core.transact(run, use)),
    once: (tag, operation, use) => counted(operation, (run) => core.once(tag, run, use)),
  };
}

const { address } = await serveMeta({ path, port: Number(port), wrap: dying });
writeSync(1, `${address.port}\n`);
