import test from 'ava';
import { requireMap, requireReserved } from '../../../src/blocks/answers.ts';
import type { BlockMap } from '../../../src/blocks/store.ts';
import type { BlockIndex } from '../../../src/ids.ts';

const number = (block: number): BlockIndex => block as BlockIndex;
const QUESTION = { first: number(10), count: 16, blockSizeBytes: 4096 };
const TRUE: BlockMap = {
  next: number(11),
  end: number(26),
  whole: Buffer.of(2, 1),
  parts: [
    { block: number(12), runs: [0, 10] },
    { block: number(25), runs: [0, 1, 4000, 4096] },
  ],
  mayBeLost: false,
};

const runsOf = (...runs: number[]): Partial<BlockMap> => ({ parts: [{ block: number(12), runs }] });

test('a map that can be true is taken', (t) => {
  t.is(requireMap('s', QUESTION, TRUE), TRUE);
  const nothing = { ...TRUE, next: undefined, whole: Buffer.alloc(0), parts: [] };
  t.is(requireMap('s', QUESTION, nothing), nothing);
  const far = { ...nothing, next: number(2 ** 40) };
  t.is(requireMap('s', QUESTION, far), far);
});

test('a map that cannot be true is EIO', (t) => {
  const lies: Record<string, Partial<BlockMap>> = {
    'no further': { end: number(10) },
    'further than was asked': { end: number(27) },
    back: { next: number(9) },
    'more whole blocks than there are': { whole: Buffer.alloc(3) },
    'a block before the first': { parts: [{ block: number(9), runs: [0, 1] }] },
    'a block behind the last': { parts: [{ block: number(26), runs: [0, 1] }] },
    'a block twice': { parts: [TRUE.parts[0], TRUE.parts[0]].flatMap((part) => part ?? []) },
    'half a run': runsOf(0),
    'an empty run': runsOf(5, 5),
    'runs in disorder': runsOf(10, 20, 5, 7),
    'a run beyond its block': runsOf(0, 4097),
  };
  for (const [what, lie] of Object.entries(lies)) {
    const error = t.throws(
      () => requireMap('server 7', QUESTION, { ...TRUE, ...lie }),
      undefined,
      what,
    );
    t.regex(error.message, /^EIO: block server server 7 gave a map/, what);
  }
});

test('a reservation of what was not asked for is EIO', (t) => {
  const extent = { block: number(3), offset: 100, length: 200 };
  const question = { extents: [extent], blockSizeBytes: 4096 };
  const reserved = { storedDelta: 1, added: [{ block: number(3), offset: 0, length: 4096 }] };
  t.is(requireReserved('s', question, reserved), reserved);
  for (const lie of [{ block: number(4) }, { offset: 4090, length: 7 }]) {
    const added = [{ ...extent, ...lie }];
    t.throws(() => requireReserved('s', question, { storedDelta: 0, added }), { message: /^EIO/ });
  }
});
