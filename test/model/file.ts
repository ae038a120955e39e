/**
 * One file and the buffer that it must equal. Invariant: between steps, every way of reading the file gives the first
 * `size` bytes of the buffer, which is zero behind them.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { dropPages, mapFile, PAGE_BYTES } from '../support/mapping.ts';
import { chance } from '../support/pattern.ts';

/** A little more than two of the largest blocks, so that most borders lie within. */
const MAX_BYTES = 2 ** 21 + 40_000;
const LONGEST = 150_000;
const KEPT_STEPS = 12;
const { O_APPEND, O_CREAT, O_DIRECT, O_RDWR } = constants;

type HandleKind = 'buffered' | 'direct' | 'appending';

const FLAGS: Record<HandleKind, number> = {
  buffered: O_RDWR | O_CREAT,
  direct: O_RDWR | O_CREAT | O_DIRECT,
  appending: O_RDWR | O_CREAT | O_APPEND,
};

interface Range {
  offset: number;
  length: number;
}

export class FileUnderTest {
  readonly #path: string;
  readonly #chance: (limit: number) => number;
  readonly #model = Buffer.alloc(MAX_BYTES);
  readonly #steps: string[] = [];
  readonly #handles: Record<HandleKind, number>;
  #size = 0;

  constructor(path: string, seed: number) {
    this.#path = path;
    this.#chance = chance(seed);
    this.#handles = {
      buffered: openSync(path, FLAGS.buffered),
      direct: openSync(path, FLAGS.direct),
      appending: openSync(path, FLAGS.appending),
    };
  }

  close(): void {
    for (const fd of Object.values(this.#handles)) closeSync(fd);
  }

  /** What was done last, for a failure's message. */
  latestSteps(): readonly string[] {
    return this.#steps;
  }

  /** One random operation; tells how the file differs from the model, if it does. */
  step(): string | undefined {
    const actions: (() => string | undefined)[] = [
      () => this.#write('buffered', this.#rangeToWrite()),
      () => this.#write('direct', this.#rangeToWrite()),
      () => this.#write('direct', aligned(this.#rangeToWrite())),
      () => this.#append(),
      () => this.#writeMapped(),
      () => this.#writeMapped(),
      () => this.#scribbleBeyondTheEnd(),
      () => this.#truncate(),
      () => this.#read('buffered', this.#rangeToRead()),
      () => this.#read('direct', this.#rangeToRead()),
      () => this.#readMapped(),
      () => this.#forget(),
      () => this.#reopen(),
    ];
    return actions[this.#chance(actions.length)]?.() ?? this.#checkSize();
  }

  /** The whole file, past the page cache. */
  check(): string | undefined {
    dropPages(this.#handles.buffered);
    return this.#read('direct', { offset: 0, length: MAX_BYTES }) ?? this.#checkSize();
  }

  #note(what: string, { offset, length }: Partial<Range> = {}): void {
    this.#steps.push(`${what} ${offset ?? ''}+${length ?? ''}, size ${this.#size}`);
    if (this.#steps.length > KEPT_STEPS) this.#steps.shift();
  }

  /** Anywhere, and more often than by chance at the end or at a page's border. */
  #position(limit: number): number {
    const at = this.#chance(limit + 1);
    if (this.#chance(4) === 0) return Math.min(limit, this.#size);
    return this.#chance(3) === 0 ? at - (at % PAGE_BYTES) : at;
  }

  #rangeToWrite(): Range {
    const offset = this.#position(MAX_BYTES - 1);
    const most = this.#chance(3) === 0 ? 300 : LONGEST;
    return { offset, length: 1 + this.#chance(Math.min(most, MAX_BYTES - offset)) };
  }

  #rangeToRead(): Range {
    return { offset: this.#position(this.#size), length: 1 + this.#chance(LONGEST) };
  }

  /** Bytes that no other write has. */
  #bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let state = this.#chance(2 ** 31) | 1;
    for (let at = 0; at < length; at++) {
      state = Math.imul(state, 0x41c64e6d) + 0x3039;
      bytes[at] = (state >>> 16) | 1;
    }
    return bytes;
  }

  #put(bytes: Buffer, offset: number): void {
    bytes.copy(this.#model, offset);
    this.#size = Math.max(this.#size, offset + bytes.length);
  }

  #write(kind: HandleKind, range: Range): string | undefined {
    this.#note(`${kind} write`, range);
    const bytes = this.#bytes(range.length);
    const written = writeSync(this.#handles[kind], bytes, 0, bytes.length, range.offset);
    this.#put(bytes.subarray(0, written), range.offset);
    return written === bytes.length ? undefined : `only ${written} bytes were written`;
  }

  #append(): string | undefined {
    const room = MAX_BYTES - this.#size;
    if (room === 0) return undefined;
    const bytes = this.#bytes(1 + this.#chance(Math.min(room, 20_000)));
    this.#note('append', { length: bytes.length });
    writeSync(this.#handles.appending, bytes);
    this.#put(bytes, this.#size);
    return undefined;
  }

  /** Maps whole pages around a range of the file. */
  #mapped({ offset, length }: Range, use: (bytes: Buffer, sync: () => void) => void): void {
    const start = offset - (offset % PAGE_BYTES);
    const range = { offset: start, length: offset + length - start };
    const { bytes, sync, unmap } = mapFile(this.#handles.buffered, range);
    try {
      use(bytes.subarray(offset - start), sync);
    } finally {
      unmap();
    }
  }

  #rangeWithin(): Range | undefined {
    if (this.#size === 0) return undefined;
    const offset = this.#position(this.#size - 1);
    return { offset, length: 1 + this.#chance(Math.min(LONGEST, this.#size - offset)) };
  }

  #writeMapped(): string | undefined {
    const range = this.#rangeWithin();
    if (range === undefined) return undefined;
    const syncs = this.#chance(3) === 0;
    this.#note(`mapped write${syncs ? ' and msync' : ''}`, range);
    const bytes = this.#bytes(range.length);
    this.#mapped(range, (pages, sync) => {
      bytes.copy(pages);
      if (syncs) sync();
    });
    this.#put(bytes, range.offset);
    return undefined;
  }

  /** What a mapping holds behind the end is lost; it must not come back when the file grows. */
  #scribbleBeyondTheEnd(): string | undefined {
    const within = this.#size % PAGE_BYTES;
    if (within === 0) return undefined;
    this.#note('scribble behind the end');
    const rest = { offset: this.#size - 1, length: PAGE_BYTES - within + 1 };
    this.#mapped(rest, (pages, sync) => {
      pages.fill(0xee, 1);
      sync();
    });
    fsyncSync(this.#handles.buffered);
    dropPages(this.#handles.buffered);
    return undefined;
  }

  #readMapped(): string | undefined {
    const range = this.#rangeWithin();
    if (range === undefined) return undefined;
    this.#note('mapped read', range);
    let difference: string | undefined;
    this.#mapped(range, (pages) => {
      difference = this.#compare('the mapping', pages.subarray(0, range.length), range);
    });
    return difference;
  }

  #read(kind: HandleKind, range: Range): string | undefined {
    this.#note(`${kind} read`, range);
    const room = Buffer.alloc(range.length, 0xdd);
    const length = readSync(this.#handles[kind], room, 0, room.length, range.offset);
    const expected = Math.max(0, Math.min(range.length, this.#size - range.offset));
    if (length !== expected) return `${length} bytes were read, not ${expected}`;
    return this.#compare(`a ${kind} read`, room.subarray(0, length), range);
  }

  #compare(what: string, found: Buffer, { offset }: Range): string | undefined {
    const wanted = this.#model.subarray(offset, offset + found.length);
    if (found.equals(wanted)) return undefined;
    const at = found.findIndex((byte, index) => byte !== wanted[index]);
    return `${what} has ${String(found[at])} at ${offset + at}, not ${String(wanted[at])}`;
  }

  #truncate(): string | undefined {
    const size = this.#chance(3) === 0 ? this.#chance(MAX_BYTES) : this.#position(this.#size);
    const byPath = this.#chance(2) === 0;
    this.#note(`truncate${byPath ? ' by path' : ''}`, { length: size });
    if (byPath) truncateSync(this.#path, size);
    else ftruncateSync(this.#handles.buffered, size);
    this.#model.fill(0, size);
    this.#size = size;
    return undefined;
  }

  #forget(): string | undefined {
    this.#note('fsync and forget pages');
    fsyncSync(this.#handles.buffered);
    dropPages(this.#handles.buffered);
    return undefined;
  }

  #reopen(): string | undefined {
    const kinds = Object.keys(FLAGS) as HandleKind[];
    const kind = kinds[this.#chance(kinds.length)] ?? 'buffered';
    this.#note(`reopen ${kind}`);
    closeSync(this.#handles[kind]);
    this.#handles[kind] = openSync(this.#path, FLAGS[kind]);
    return undefined;
  }

  #checkSize(): string | undefined {
    const sizes = [fstatSync(this.#handles.buffered).size, statSync(this.#path).size];
    return sizes.every((size) => size === this.#size)
      ? undefined
      : `sizes ${sizes.join(' and ')}, not ${this.#size}`;
  }
}

/** The pages that a range touches, within the model. */
function aligned({ offset, length }: Range): Range {
  const start = offset - (offset % PAGE_BYTES);
  const end = Math.min(MAX_BYTES, Math.ceil((offset + length) / PAGE_BYTES) * PAGE_BYTES);
  return { offset: start, length: end - start };
}
