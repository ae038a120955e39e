import test from 'ava';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FsError } from '../../../../src/errno.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';
import { replacing, withStores } from '../../../support/stores.ts';

test('a mount that ends just as another node has answered ends as any other, not as a failure', async (t) => {
  let refuse: ((error: FsError) => void) | undefined;
  const lookup = () =>
    new Promise<never>((_resolve, reject) => {
      refuse = reject;
    });
  await withStores(
    {
      wrap: ({ meta, blocks }) => ({ blocks, meta: replacing(meta, 'lookup', () => lookup) }),
    },
    async ({ vfs }) => {
      const kernel = new FakeKernel(vfs);
      kernel.send('LOOKUP', { names: ['slow'] });
      t.is(kernel.session.pendingCount, 1);
      // The event loop has not been told yet when the session looks for the next request.
      kernel.device.abort();
      refuse?.(new FsError('ENOENT'));
      for (let turn = 0; turn < 5; turn++) await nextTurn();
      t.deepEqual(kernel.events, ['gone']);
      kernel.device.poll();
      t.deepEqual(kernel.events, ['gone']);
    },
  );
});
