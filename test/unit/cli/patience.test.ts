import test from 'ava';
import { saying } from '../../../src/cli/patience.ts';

test('what is done soon is not talked about, what takes long is', async (t) => {
  const said: string[] = [];
  t.is(await saying(Promise.resolve(1), () => said.push('soon'), 50), 1);
  const slow = new Promise((resolve) => setTimeout(resolve, 100, 2));
  t.is(await saying(slow, () => said.push('long'), 10), 2);
  await t.throwsAsync(saying(Promise.reject(new Error('no')), () => said.push('failed'), 10));
  await new Promise((resolve) => setTimeout(resolve, 80));
  t.deepEqual(said, ['long']);
});
