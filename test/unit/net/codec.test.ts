import test from 'ava';
import {
  array,
  bytes,
  flag,
  i53,
  lazily,
  mapped,
  nothing,
  nullable,
  oneOf,
  optional,
  real,
  struct,
  text,
  tuple,
  u53,
  type Codec,
} from '../../../src/net/codec.ts';
import { ProtocolError } from '../../../src/net/errors.ts';

interface Tree {
  name: string;
  below: Tree[];
}
const tree: Codec<Tree> = struct({ name: text, below: array(lazily(() => tree)) });

const CASES: { codec: Codec<never>; value: unknown; raw: unknown; wrong: unknown[] }[] = [
  { codec: u53(), value: 5, raw: 5, wrong: [-1, 0.5, 2 ** 53, '5', null, undefined, NaN] },
  { codec: i53, value: -5, raw: -5, wrong: [0.5, -(2 ** 53), true] },
  { codec: real, value: 0.5, raw: 0.5, wrong: [Infinity, NaN, '1'] },
  { codec: flag, value: false, raw: false, wrong: [0, null] },
  { codec: text, value: 'é', raw: 'é', wrong: [1, Buffer.from('é')] },
  { codec: bytes, value: Buffer.of(1), raw: Buffer.of(1), wrong: ['a', [1]] },
  { codec: nothing, value: undefined, raw: null, wrong: [0, undefined] },
  { codec: oneOf(['a', 'b']), value: 'b', raw: 'b', wrong: ['c', 0, null] },
  { codec: optional(u53()), value: undefined, raw: null, wrong: [-1, undefined] },
  { codec: nullable(text), value: null, raw: null, wrong: [1, undefined] },
  { codec: array(u53()), value: [1, 2], raw: [1, 2], wrong: [{}, [1, -2], null, 'ab'] },
  {
    codec: tuple(u53(), text),
    value: [1, 'a'],
    raw: [1, 'a'],
    wrong: [[1], [1, 'a', 2], ['a', 1]],
  },
  {
    codec: struct<{ size: number; name?: string | undefined }>({
      size: u53(),
      name: optional(text),
    }),
    value: { size: 1, name: undefined },
    raw: [1, null],
    wrong: [[1], [1, null, 0], { size: 1 }, [null, 1]],
  },
  {
    codec: mapped(u53(), {
      encode: (date: Date) => date.getTime(),
      decode: (ms) => new Date(ms),
    }),
    value: new Date(9),
    raw: 9,
    wrong: ['9'],
  },
  {
    codec: tree,
    value: { name: 'a', below: [{ name: 'b', below: [] }] },
    raw: ['a', [['b', []]]],
    wrong: [['a', [['b']]]],
  },
] as { codec: Codec<never>; value: unknown; raw: unknown; wrong: unknown[] }[];

test('values travel as plain arrays and primitives, and come back', (t) => {
  for (const { codec, value, raw } of CASES) {
    t.deepEqual(codec.encode(value as never), raw);
    t.deepEqual(codec.decode(raw), value);
  }
});

test('whatever an encoder would not have written is refused', (t) => {
  for (const { codec, wrong } of CASES) {
    for (const raw of wrong) {
      t.throws(() => codec.decode(raw), { instanceOf: ProtocolError }, JSON.stringify(raw));
    }
  }
});
