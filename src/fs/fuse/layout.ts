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
  /** Signed. What lies beyond ±(2^53-1) reads as that limit. */
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

/** One field with its place worked out. */
interface Step {
  readonly name: string;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly kind: keyof KindTypes | 'padding' | 'nested';
  readonly nested: Layout | undefined;
}

/** How a position or length that a `number` cannot hold reads; see the field kind `offset`. */
export const END_OF_RANGE = Number.MAX_SAFE_INTEGER;

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
    return { name, offset, sizeBytes: kind.sizeBytes, kind: 'nested', nested: kind };
  }
  if (isPadding(kind)) {
    return { name, offset, sizeBytes: Number(kind.slice(3)), kind: 'padding', nested: undefined };
  }
  return { name, offset, sizeBytes: SIZES[kind], kind, nested: undefined };
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

function readUnsigned(buffer: Buffer, at: number, exact: boolean): number {
  const high = buffer.readUInt32LE(at + 4);
  if (high >= UNSAFE_HIGH) {
    if (exact) throw new FieldRangeError('64-bit field at or above 2^53');
    return END_OF_RANGE;
  }
  return high * WORD + buffer.readUInt32LE(at);
}

function readSigned(buffer: Buffer, at: number): number {
  const value = buffer.readInt32LE(at + 4) * WORD + buffer.readUInt32LE(at);
  return Math.max(-END_OF_RANGE, Math.min(END_OF_RANGE, value));
}

function readStep(step: Step, buffer: Buffer, at: number): unknown {
  switch (step.kind) {
    case 'u16':
      return buffer.readUInt16LE(at);
    case 'u32':
      return buffer.readUInt32LE(at);
    case 'i32':
      return buffer.readInt32LE(at);
    case 'u64':
      return readUnsigned(buffer, at, true);
    case 'offset':
      return readUnsigned(buffer, at, false);
    case 'i64':
      return readSigned(buffer, at);
    case 'words':
      return { low: buffer.readUInt32LE(at), high: buffer.readUInt32LE(at + 4) };
    default:
      return readStruct(step.nested as Layout, buffer, at);
  }
}

/**
 * Reads the structure that starts at `offset`; the caller has checked that it is all there.
 * Copies everything. Throws {@link FieldRangeError}.
 */
export function readStruct<L extends Layout>(from: L, buffer: Buffer, offset: number): Decoded<L> {
  const values: Record<string, unknown> = {};
  const { steps } = from;
  for (const step of steps) {
    if (step.kind !== 'padding') {
      values[step.name] = readStep(step, buffer, offset + step.offset);
    }
  }
  return values as Decoded<L>;
}

function writeInteger64(buffer: Buffer, at: number, value: number): void {
  const high = Math.floor(value / WORD);
  buffer.writeUInt32LE(value - high * WORD, at);
  buffer.writeInt32LE(high | 0, at + 4);
}

function writeStep(step: Step, buffer: Buffer, at: number, value: unknown): void {
  switch (step.kind) {
    case 'u16':
      buffer.writeUInt16LE(value as number, at);
      return;
    case 'u32':
      buffer.writeUInt32LE(value as number, at);
      return;
    case 'i32':
      buffer.writeInt32LE(value as number, at);
      return;
    case 'offset':
      if ((value as number) >= END_OF_RANGE) {
        buffer.writeUInt32LE(0xffff_ffff, at);
        buffer.writeUInt32LE(0x7fff_ffff, at + 4);
        return;
      }
      writeInteger64(buffer, at, value as number);
      return;
    case 'u64':
    case 'i64':
      writeInteger64(buffer, at, value as number);
      return;
    case 'words':
      buffer.writeUInt32LE((value as Words).low, at);
      buffer.writeUInt32LE((value as Words).high, at + 4);
      return;
    case 'nested':
      writeFields(step.nested as Layout, buffer, at, value as Record<string, unknown>);
      return;
    case 'padding':
      if (step.sizeBytes === 4) buffer.writeUInt32LE(0, at);
      else buffer.fill(0, at, at + step.sizeBytes);
  }
}

function writeFields(
  to: Layout,
  buffer: Buffer,
  offset: number,
  values: Readonly<Record<string, unknown>>,
): void {
  const { steps } = to;
  for (const step of steps) {
    writeStep(step, buffer, offset + step.offset, values[step.name]);
  }
}

/** Writes every byte of the structure at `offset`, zeros where there is padding. */
export function writeStruct<L extends Layout>(
  to: L,
  buffer: Buffer,
  offset: number,
  values: Decoded<L>,
): void {
  writeFields(to, buffer, offset, values);
}

/** The structure in a buffer of its own. */
export function encodeStruct<L extends Layout>(as: L, values: Decoded<L>): Buffer {
  const buffer = Buffer.allocUnsafe(as.sizeBytes);
  writeStruct(as, buffer, 0, values);
  return buffer;
}
