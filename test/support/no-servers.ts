/** For programs under test that only mount. */
import type { ServerStarters } from '../../src/cli/server-command.ts';

const refuse = (): Promise<never> => Promise.reject(new Error('this program has no servers'));

export const noServers: ServerStarters = { meta: refuse, blocks: refuse };
