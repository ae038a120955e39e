/**
 * Preloaded into a daemon under test: collects garbage before the daemon answers SIGUSR1, so that its counts
 * tell of the heap that is in use. Its listener is the first, and listeners are called in order.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
process.on('SIGUSR1', () => {
  // What finalizers of the first collection let go of goes in the second.
  collect();
  collect();
});
