/**
 * Values to what msgpack carries, and back. Structures travel as arrays in the order of their fields; a decoder throws
 * {@link ProtocolError} on anything that its encoder would not have written.
 */
import { ProtocolError } from './errors.ts';

/** Turns a value into numbers, strings, Buffers, booleans, null and arrays of these, and back. */
export interface Codec<T> {
  encode(value: T): unknown;
  /** Throws {@link ProtocolError} on anything unexpected. */
  decode(raw: unknown): T;
}

/** The type that a codec carries. */
export type Decoded<C> = C extends Codec<infer T> ? T : never;

function unexpected(wanted: string, raw: unknown): ProtocolError {
  const kind = raw === null ? 'null' : Array.isArray(raw) ? 'an array' : typeof raw;
  return new ProtocolError(`${wanted} expected, ${kind} received`);
}

function primitive<T>(wanted: string, accepts: (raw: unknown) => raw is T): Codec<T> {
  return {
    encode: (value) => value,
    decode: (raw) => {
      if (accepts(raw)) return raw;
      throw unexpected(wanted, raw);
    },
  };
}

/** A whole number from 0 to 2^53 - 1; brands pass through: `u53<InodeId>()`. */
export function u53<T extends number = number>(): Codec<T> {
  return primitive(
    'a whole number',
    (raw): raw is T => Number.isSafeInteger(raw) && (raw as number) >= 0,
  );
}

/** A whole number between -2^53 and 2^53. */
export const i53: Codec<number> = primitive('a whole number', (raw): raw is number =>
  Number.isSafeInteger(raw),
);

/** Any number but NaN and the infinities. */
export const real: Codec<number> = primitive('a number', (raw): raw is number =>
  Number.isFinite(raw),
);

export const flag: Codec<boolean> = primitive(
  'a flag',
  (raw): raw is boolean => typeof raw === 'boolean',
);

/** Text; names of files are not text but {@link bytes}. */
export const text: Codec<string> = primitive(
  'text',
  (raw): raw is string => typeof raw === 'string',
);

/** Bytes; what is decoded is a copy that its receiver owns. */
export const bytes: Codec<Buffer> = primitive('bytes', (raw): raw is Buffer =>
  Buffer.isBuffer(raw),
);

/** No value at all. */
export const nothing: Codec<undefined> = {
  encode: () => null,
  decode: (raw) => {
    if (raw === null) return undefined;
    throw unexpected('nothing', raw);
  },
};

/** One of a few words. */
export function oneOf<const T extends string>(words: readonly T[]): Codec<T> {
  return primitive(`one of ${words.join(', ')}`, (raw): raw is T => words.includes(raw as T));
}

/** `undefined` travels as null. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    encode: (value) => (value === undefined ? null : codec.encode(value)),
    decode: (raw) => (raw === null ? undefined : codec.decode(raw)),
  };
}

/** `null` travels as null. */
export function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    encode: (value) => (value === null ? null : codec.encode(value)),
    decode: (raw) => (raw === null ? null : codec.decode(raw)),
  };
}

export function array<T>(codec: Codec<T>): Codec<T[]> {
  return {
    encode: (values) => values.map((value) => codec.encode(value)),
    decode: (raw) => {
      if (!Array.isArray(raw)) throw unexpected('an array', raw);
      return raw.map((item) => codec.decode(item));
    },
  };
}

function fields(raw: unknown, count: number): unknown[] {
  if (!Array.isArray(raw)) throw unexpected(`an array of ${count}`, raw);
  if (raw.length === count) return raw;
  throw new ProtocolError(`an array of ${count} expected, one of ${raw.length} received`);
}

/** A fixed number of values of different types. */
export function tuple<const T extends readonly unknown[]>(
  ...codecs: { [K in keyof T]: Codec<T[K]> }
): Codec<T> {
  const items = codecs as readonly Codec<unknown>[];
  return {
    encode: (values) => items.map((codec, index) => codec.encode(values[index])),
    decode: (raw) => {
      const found = fields(raw, items.length);
      return items.map((codec, index) => codec.decode(found[index])) as unknown as T;
    },
  };
}

/**
 * An object, as an array of its fields in the order in which they are written here. Optional properties are written
 * with {@link optional}; after decoding they are there with the value undefined.
 */
export function struct<T extends object>(shape: { [K in keyof T]-?: Codec<T[K]> }): Codec<T> {
  const entries = Object.entries(shape as Record<string, Codec<unknown>>);
  return {
    encode: (value) =>
      entries.map(([name, codec]) => codec.encode((value as Record<string, unknown>)[name])),
    decode: (raw) => {
      const found = fields(raw, entries.length);
      const value: Record<string, unknown> = {};
      for (let index = 0; index < entries.length; index++) {
        const [name, codec] = entries[index] as [string, Codec<unknown>];
        value[name] = codec.decode(found[index]);
      }
      return value as T;
    },
  };
}

/** A codec of another type on top of `codec`. `decode` may throw {@link ProtocolError}. */
export function mapped<T, R>(
  codec: Codec<R>,
  convert: { encode: (value: T) => R; decode: (raw: R) => T },
): Codec<T> {
  return {
    encode: (value) => codec.encode(convert.encode(value)),
    decode: (raw) => convert.decode(codec.decode(raw)),
  };
}

/** A codec that is needed before it can be made: for types that contain themselves. */
export function lazily<T>(codec: () => Codec<T>): Codec<T> {
  return {
    encode: (value) => codec().encode(value),
    decode: (raw) => codec().decode(raw),
  };
}
