/**
 * Serves a metadata database and prints the port. Kills itself at the given transaction: within it, or when it is
 * committed and not yet answered.
 */
import { writeSync } from 'node:fs';
import type { MetaCore } from '../../src/meta/core.ts';
import { serveMeta } from '../support/meta-server.ts';

const [, , path = '', port = '0', dieAt = '0', where = 'within'] = process.argv;
let transactions = 0;

function dying(core: MetaCore): MetaCore {
  return {
    ...core,
    transact: (operation, use) => {
      const last = ++transactions === Number(dieAt);
      const result = core.transact(function* (kv) {
        const value = yield* operation(kv);
        if (last && where === 'within') process.kill(process.pid, 'SIGKILL');
        return value;
      }, use);
      if (last) process.kill(process.pid, 'SIGKILL');
      return result;
    },
  };
}

const { address } = await serveMeta({ path, port: Number(port), wrap: dying });
writeSync(1, `${address.port}\n`);
