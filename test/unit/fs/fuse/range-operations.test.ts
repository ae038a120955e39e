/** Requests about ranges of files, from the kernel's bytes to the stores. */
import test from 'ava';
import { Errno } from '../../../../src/errno.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';
import { replacing, type TestStoreOptions, withStores } from '../../../support/stores.ts';

const NOBODY = { low: 0, high: 0 };

test('the handles of a copy whose caller was killed are released when the copy is over', async (t) => {
  for (const released of ['fh_in', 'fh_out'] as const) {
    let proceed: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (proceed = resolve));
    const done: string[] = [];
    const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
      meta: replacing(meta, 'closeInode', (original) => (...args) => {
        done.push('close');
        return original(...args);
      }),
      blocks: replacing(blocks, 'copyBlock', (original) => async (...args) => {
        await gate;
        done.push('copy');
        return original(...args);
      }),
    });
    await withStores({ wrap }, async ({ vfs }) => {
      const callers = { isBeingKilled: () => true, hasBeenKilled: () => false };
      const kernel = new FakeKernel(vfs, { interruptMs: 60_000, callers });
      const source = kernel.create('source');
      const target = kernel.create('target');
      t.is(kernel.write(source.fh, 0, Buffer.from('data')).errno, 0);
      const handles = { fh_in: source.fh, fh_out: target.fh };
      const input = { ...handles, off_in: 0, nodeid_out: target.nodeid, off_out: 0, len: 4 };
      t.is(kernel.send('COPY_FILE_RANGE', { input: { ...input, flags: 0 } }), undefined);
      const copy = kernel.lastUnique;
      kernel.send('INTERRUPT', { input: { unique: { low: copy, high: 0 } } });
      t.is(kernel.replyTo(copy)?.errno, Errno.EINTR);
      const fh = handles[released];
      kernel.send('RELEASE', { input: { fh, flags: 0, release_flags: 0, lock_owner: NOBODY } });
      const release = kernel.lastUnique;
      await new Promise((resolve) => setImmediate(resolve));
      t.deepEqual(done, [], released);
      proceed();
      await new Promise((resolve) => setTimeout(resolve, 10));
      t.is(kernel.replyTo(release)?.errno, 0);
      t.deepEqual(done, ['copy', 'close'], released);
    });
  }
});
