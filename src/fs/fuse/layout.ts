/**
 * Fixed-size kernel structures described as ordered lists of fields. From one list come the structure's size, its
 * TypeScript type, its reader and its writer, so these cannot disagree. Little-endian, as x86-64 and arm64 are.
 */

/** A 64-bit value that is compared and sent back but never counted with, kept whole as two 32-bit halves. */
export interface Words {
  readonly low: number;
  readonly high: number;
}

/** TypeScript type of each kind of field. */
interface KindTypes {
  u16: number;
  u32: number;
  i32: number;
  /** Exact: reading 2^53 or more throws {@link FieldRangeError}. For identifiers and counts. */
  u64: number;
  /**
   * Position or length within a file. Programs may pass any up to 2^63-1 (`fallocate --punch-hole`, `truncate`,
   * locks to the end of the file), which deserve EFBIG or end-of-file, not EIO: so what is 2^53 or more reads
   * as {@link END_OF_RANGE}, and that is written as 2^63-1.
   */
  offset: number;
  /** Signed. What lies beyond ±(2^53-1) reads as that limit, as times do that a file system cannot keep (utimensat(2)). */
  i64: number;
  words: Words;
}

/** `pad4` is four bytes that are skipped when reading and zeroed when writing. */
export type Padding = `pad${number}`;

/** What one field of a structure can be. */
export type FieldKind = keyof KindTypes | Padding | Layout;

/** The fields of a structure, in the order of the C declaration. */
export interface FieldTable {
  readonly [field: string]: FieldKind;
}

type ValueOf<K extends FieldKind> = K extends keyof KindTypes
  ? KindTypes[K]
  : K extends Layout
    ? Decoded<K>
    : never;

type Values<F extends FieldTable> = {
  [K in keyof F as F[K] extends Padding ? never : K]: ValueOf<F[K]>;
};

/** The values in a structure, padding left out. */
export type Decoded<L extends Layout> = Values<L['fields']>;

/** A structure; made by {@link layout} alone. */
export interface Layout<F extends FieldTable = FieldTable> {
  /** The kernel's name for it, as `fuse_write_in`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly fields: F;
  readonly steps: readonly Step[];
}

/** Kinds as small numbers, by which a switch jumps; as strings they would be compared one by one. */
const Code = {
  u16: 0,
  u32: 1,
  i32: 2,
  u64: 3,
  offset: 4,
  i64: 5,
  words: 6,
  padding: 7,
  nested: 8,
} as const;
type Code = (typeof Code)[keyof typeof Code];

/** One field with its place worked out. */
interface Step {
  readonly name: string;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly code: Code;
  readonly nested: Layout | undefined;
}

/**
 * How a position or length that a `number` cannot hold reads; see the field kind `offset`. One more than the largest
 * safe integer, so that it exceeds every limit on file sizes, and no smaller position is taken for it.
 */
export const END_OF_RANGE = 2 ** 53;

/** An exact 64-bit field holds 2^53 or more. */
export class FieldRangeError extends Error {
  override name = 'FieldRangeError';
}

const WORD = 2 ** 32;
/** The upper word of 2^53. */
const UNSAFE_HIGH = 2 ** 21;

const SIZES = { u16: 2, u32: 4, i32: 4, u64: 8, offset: 8, i64: 8, words: 8 } as const;

function isPadding(kind: string): kind is Padding {
  return kind.startsWith('pad');
}

function makeStep(name: string, offset: number, kind: FieldKind): Step {
  if (typeof kind !== 'string') {
    return { name, offset, sizeBytes: kind.sizeBytes, code: Code.nested, nested: kind };
  }
  if (isPadding(kind)) {
    const sizeBytes = Number(kind.slice('pad'.length));
    return { name, offset, sizeBytes, code: Code.padding, nested: undefined };
  }
  return { name, offset, sizeBytes: SIZES[kind], code: Code[kind], nested: undefined };
}

/** Describes a structure. C's implicit padding must be written out: the kernel's headers leave none. */
export function layout<const F extends FieldTable>(name: string, fields: F): Layout<F> {
  const steps: Step[] = [];
  let sizeBytes = 0;
  for (const [field, kind] of Object.entries(fields)) {
    const step = makeStep(field, sizeBytes, kind);
    steps.push(step);
    sizeBytes += step.sizeBytes;
  }
  return { name, sizeBytes, fields, steps };
}

/** Byte offset of every field of a structure, padding included. */
export function offsetsOf<F extends FieldTable>(target: Layout<F>): Record<keyof F, number> {
  const pairs = target.steps.map((step) => [step.name, step.offset]);
  return Object.fromEntries(pairs) as Record<keyof F, number>;
}

// Buffer's own accessors check every value's range again; these run some twenty times for each reply.

function load16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

/** Signed; `>>> 0` makes it unsigned. */
function load32(bytes: Uint8Array, at: number): number {
  return load16(bytes, at) | (load16(bytes, at + 2) << 16);
}

function store16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

function store32(bytes: Uint8Array, at: number, value: number): void {
  store16(bytes, at, value);
  store16(bytes, at + 2, value >>> 16);
}

/** Negative numbers in two's complement. */
function store64(bytes: Uint8Array, at: number, value: number): void {
  const low = value >>> 0;
  store32(bytes, at, low);
  store32(bytes, at + 4, (value - low) / WORD);
}

function readUnsigned(bytes: Uint8Array, at: number, exact: boolean): number {
  const high = load32(bytes, at + 4) >>> 0;
  if (high >= UNSAFE_HIGH) {
    if (exact) throw new FieldRangeError('64-bit field at or above 2^53');
    return END_OF_RANGE;
  }
  return high * WORD + (load32(bytes, at) >>> 0);
}

function readSigned(bytes: Uint8Array, at: number): number {
  const value = load32(bytes, at + 4) * WORD + (load32(bytes, at) >>> 0);
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value));
}

function readStep(step: Step, bytes: Uint8Array, at: number): unknown {
  switch (step.code) {
    case Code.u32:
      return load32(bytes, at) >>> 0;
    case Code.u64:
      return readUnsigned(bytes, at, true);
    case Code.offset:
      return readUnsigned(bytes, at, false);
    case Code.words:
      return { low: load32(bytes, at) >>> 0, high: load32(bytes, at + 4) >>> 0 };
    case Code.i64:
      return readSigned(bytes, at);
    case Code.i32:
      return load32(bytes, at);
    case Code.u16:
      return load16(bytes, at);
    default:
      return readFields(step.nested as Layout, bytes, at);
  }
}

function readFields(from: Layout, bytes: Uint8Array, offset: number): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const { steps } = from;
  for (const step of steps) {
    if (step.code !== Code.padding) {
      values[step.name] = readStep(step, bytes, offset + step.offset);
    }
  }
  return values;
}

function checkRoom(of: Layout, bytes: Uint8Array, offset: number): void {
  if (offset + of.sizeBytes > bytes.length) {
    throw new RangeError(`${of.name} at ${offset} does not fit into ${bytes.length} bytes`);
  }
}

/**
 * Reads the structure that starts at `offset`, copying everything. Throws {@link FieldRangeError}, and RangeError
 * (a bug) if the buffer ends before it does.
 */
export function readStruct<L extends Layout>(
  from: L,
  bytes: Uint8Array,
  offset: number,
): Decoded<L> {
  checkRoom(from, bytes, offset);
  return readFields(from, bytes, offset) as Decoded<L>;
}

function writeStep(step: Step, bytes: Uint8Array, at: number, value: unknown): void {
  switch (step.code) {
    case Code.u32:
    case Code.i32:
      store32(bytes, at, value as number);
      return;
    case Code.u64:
    case Code.i64:
      store64(bytes, at, value as number);
      return;
    case Code.padding:
      if (step.sizeBytes === 4) store32(bytes, at, 0);
      else bytes.fill(0, at, at + step.sizeBytes);
      return;
    case Code.offset:
      if ((value as number) < END_OF_RANGE) {
        store64(bytes, at, value as number);
      } else {
        store32(bytes, at, -1);
        store32(bytes, at + 4, 0x7fff_ffff);
      }
      return;
    case Code.words:
      store32(bytes, at, (value as Words).low);
      store32(bytes, at + 4, (value as Words).high);
      return;
    case Code.u16:
      store16(bytes, at, value as number);
      return;
    default:
      writeFields(step.nested as Layout, bytes, at, value as Record<string, unknown>);
  }
}

function writeFields(
  to: Layout,
  bytes: Uint8Array,
  offset: number,
  values: Readonly<Record<string, unknown>>,
): void {
  const { steps } = to;
  for (const step of steps) {
    writeStep(step, bytes, offset + step.offset, values[step.name]);
  }
}

/** Writes every byte of the structure at `offset`, zeros where there is padding. Bits that do not fit are dropped. */
export function writeStruct<L extends Layout>(
  to: L,
  bytes: Uint8Array,
  offset: number,
  values: Decoded<L>,
): void {
  checkRoom(to, bytes, offset);
  writeFields(to, bytes, offset, values);
}

/** The structure in a buffer of its own. */
export function encodeStruct<L extends Layout>(as: L, values: Decoded<L>): Buffer {
  const buffer = Buffer.allocUnsafe(as.sizeBytes);
  writeStruct(as, buffer, 0, values);
  return buffer;
}
