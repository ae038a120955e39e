/**
 * Messages as a server writes them that is broken, or of another version. They are made from an operation's codec alone,
 * so an operation that is added to a protocol is covered by being there.
 */
import type { Codec } from '../../src/net/codec.ts';
import { ProtocolError } from '../../src/net/errors.ts';

/** A file's mode that would also do as a block size, a port, a count or an inode's number. */
const WHOLE_NUMBER = 0o100644;

/** Stands where a codec has not yet said what it wants. */
const UNKNOWN: unknown = Object.freeze({});

/** What a codec says that it wants, and something of that kind. */
const WANTED: readonly (readonly [RegExp, (detail: string) => unknown])[] = [
  [/^a whole number /, () => WHOLE_NUMBER],
  [/^a number /, () => 0.5],
  [/^a flag /, () => true],
  [/^text /, () => 'text'],
  [/^bytes /, () => Buffer.from('bytes')],
  [/^nothing /, () => null],
  [/^one of ([^ ,]+)/, (word) => word],
  [/^an array of (\d+) /, (count) => Array.from({ length: Number(count) }, () => UNKNOWN)],
  [/^an array /, () => [UNKNOWN]],
];

/**
 * Something that `codec` decodes, as full as can be. Found by asking: a decoder goes from left to right and says what it
 * misses, so each complaint is about the leftmost place that is not decided yet.
 */
export function sampleOf(codec: Codec<unknown>): unknown {
  let sample = UNKNOWN;
  for (;;) {
    const message = complaintAbout(codec, sample);
    if (message === undefined) return sample;
    const place = placesIn(sample).find((path) => at(sample, path) === UNKNOWN);
    const wanted = WANTED.find(([says]) => says.test(message));
    if (place === undefined || wanted === undefined) {
      throw new Error(`No sample can be made for a codec that says "${message}"`);
    }
    const [says, make] = wanted;
    sample = replaced(sample, place, make(says.exec(message)?.[1] ?? ''));
  }
}

function complaintAbout(codec: Codec<unknown>, raw: unknown): string | undefined {
  try {
    codec.decode(raw);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return error.message;
    throw error;
  }
}

/** What is put in the place of a value. */
const REPLACEMENTS: readonly unknown[] = [
  ...[null, true, -1, 0, 0.5, 2 ** 53, 2 ** 53 - 1, 'text', Buffer.alloc(0)],
  ...[[], [[[]]], { a: 'map' }],
];

/** A place in a message: the index at each level, from the outermost array inwards. */
type Path = readonly number[];

export interface Lie {
  /** Where the message was changed and what was put there, for a failure's message. */
  readonly what: string;
  readonly raw: unknown;
}

/** `sample` with one value of another kind, or one too few or too many, at each of its places. */
export function* liesAbout(sample: unknown): Generator<Lie> {
  for (const path of placesIn(sample)) yield* liesAt(sample, path);
}

function* liesAt(sample: unknown, path: Path): Generator<Lie> {
  const where = `[${path.join('][')}]`;
  const value = at(sample, path);
  for (const replacement of REPLACEMENTS) {
    const what = `${where} is ${JSON.stringify(replacement)}`;
    yield { what, raw: replaced(sample, path, replacement) };
  }
  if (!Array.isArray(value)) return;
  const items: unknown[] = value;
  yield { what: `${where} lacks its last`, raw: replaced(sample, path, items.slice(0, -1)) };
  yield { what: `${where} has one more`, raw: replaced(sample, path, [...items, null]) };
}

/** One of {@link liesAbout}, chosen by `chance`, which returns a whole number below its argument. */
export function lieAbout(sample: unknown, chance: (limit: number) => number): Lie {
  const places = placesIn(sample);
  const lies = [...liesAt(sample, places[chance(places.length)] ?? [])];
  return lies[chance(lies.length)] ?? { what: 'nothing', raw: sample };
}

/** All places, outer ones first, left ones before right ones. */
function placesIn(raw: unknown): Path[] {
  if (!Array.isArray(raw)) return [[]];
  const below = raw.flatMap((item, index) => placesIn(item).map((path) => [index, ...path]));
  return [[], ...below];
}

function at(raw: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, index) => (value as unknown[])[index], raw);
}

function replaced(raw: unknown, [index, ...inner]: Path, value: unknown): unknown {
  if (index === undefined) return value;
  const items = raw as unknown[];
  return items.with(index, replaced(items[index], inner, value));
}
