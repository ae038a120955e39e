import test from 'ava';
import { handshake } from '../../../../src/fs/native/mounting.ts';

const SOON = { pollMs: 1, polls: 20 };

test('a handshake that is answered is waited for, and one that is refused tells why', async (t) => {
  await t.notThrowsAsync(
    handshake({ mount: (done) => setImmediate(done) }, () => true, '/mnt', SOON),
  );
  const refusal = new Error('Mountpoint in use');
  const refused = { mount: (done: (error?: Error | null) => void) => setImmediate(done, refusal) };
  t.is(await t.throwsAsync(handshake(refused, () => false, '/mnt', SOON)), refusal);
});

test('a handshake that never comes is given up', async (t) => {
  await t.throwsAsync(
    handshake({ mount: () => undefined }, () => true, '/mnt', SOON),
    {
      name: 'MountError',
      message: /handshake does not come to an end: try again, or use --engine/,
    },
  );
});

test('a session that ends before the handshake is noticed by its device', async (t) => {
  const there = [false, true, true, false];
  let asked = 0;
  const hasDevice = (): boolean => there[asked++] ?? false;
  await t.throwsAsync(handshake({ mount: () => undefined }, hasDevice, '/mnt', SOON), {
    name: 'MountError',
    message: /^\/mnt was mounted and is gone/,
  });
  t.is(asked, 4);
});
