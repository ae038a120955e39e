/**
 * Runs a script on the VFS over both local stores and on plain Buffers: names, contents, sizes and what is stored,
 * files that are open after they have lost their names, and stores that are full.
 */
import fc from 'fast-check';
import type { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { FsError } from '../../../src/errno.ts';
import type { OpenMode } from '../../../src/fs/types.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import { type HandleId, type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { FileType } from '../../../src/stat.ts';
import { runSync, type Task } from '../../../src/task.ts';
import type { TestStores } from '../../support/stores.ts';
import { dataBytes, noteWrite, withoutHolesAtEnd } from './page-holes.ts';
import { same } from './same.ts';

const KINDS = [
  ...[
    'create',
    'create',
    'open',
    'open',
    'openTruncated',
    'close',
    'unlink',
    'rename',
    'link',
    'exchange',
  ],
  ...[
    'write',
    'write',
    'write',
    'write',
    'append',
    'append',
    'read',
    'read',
    'truncate',
    'truncate',
    'xattr',
  ],
] as const;

export interface VfsStep {
  readonly kind: (typeof KINDS)[number];
  readonly name: number;
  readonly other: number;
  readonly offset: number;
  readonly length: number;
}

const NAMES = 5;
const OWNER = { uid: 1, gid: 2 };
/** Block 0 is copied to a larger slot before the old one is freed, and a slot is up to half as large again. */
const INNER_GROWTH = 4;
const FAR_BYTES = Number.MAX_SAFE_INTEGER;

const position = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: 40_000 }) },
  { weight: 2, arbitrary: fc.nat({ max: 20 }).map((blocks) => blocks * 4096) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 53 }).map((log2) => 2 ** log2 - 1) },
  { weight: 1, arbitrary: fc.constant(FAR_BYTES) },
);

export const vfsScripts: fc.Arbitrary<VfsStep[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    name: fc.nat({ max: NAMES - 1 }),
    other: fc.nat({ max: NAMES - 1 }),
    offset: position,
    length: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 30_000 })),
  }),
  { maxLength: 120, size: 'max' },
);

interface ModelFile {
  inode: InodeId;
  links: number;
  sizeBytes: number;
  /** What is stored of each block, from its start to the end of what was ever written in it. */
  blocks: Map<number, Buffer>;
  /** Pages of these blocks that were never written. */
  holes: Map<number, Set<number>>;
  handles: HandleId[];
  xattr: string | undefined;
}

export class VfsRun {
  readonly #vfs: Vfs;
  readonly #stores: TestStores;
  readonly #blocks: MemoryBlockStore;
  readonly #blockSizeBytes: number;
  readonly #names = new Map<number, ModelFile>();
  /** Every file that has a name or a handle. */
  readonly #files = new Set<ModelFile>();
  #fill = 0;

  constructor(stores: TestStores, blockSizeBytes: number) {
    this.#stores = stores;
    this.#vfs = stores.vfs;
    this.#blocks = stores.blocks;
    this.#blockSizeBytes = blockSizeBytes;
  }

  step(step: VfsStep): void {
    this.#stores.clock.advance(1);
    const file = this.#names.get(step.name);
    if (step.kind === 'create') this.#create(step, file);
    else if (step.kind === 'unlink') this.#unlink(step.name, file);
    else if (step.kind === 'rename' || step.kind === 'exchange') this.#rename(step, file);
    else if (file === undefined)
      same(step.kind, outcome(this.#vfs.lookup(ROOT_INODE, nameOf(step.name))), 'ENOENT');
    else if (step.kind === 'link') this.#link(step, file);
    else this.#onFile(step, this.#open(step.other) ?? file);
    for (const each of this.#files) this.#compareStat(each);
  }

  /** Compares everything, removes everything, and fails unless all memory is free then. */
  finish(): void {
    for (const file of this.#files) this.#compareAll(file);
    for (const [name, file] of [...this.#names]) this.#unlink(name, file);
    for (const file of [...this.#files]) while (file.handles.length > 0) this.#close(file);
    same('datasets that are left', this.#files.size, 0);
    const { usedBytes, datasets } = this.#blocks.usage();
    same('what is left', [usedBytes, datasets, this.#stores.meta.inodeCount()], [0, 0, 1]);
  }

  /** A file that is open but has no name, if there is one: what is left of it must still be as it was. */
  #open(pick: number): ModelFile | undefined {
    return pick === 0 ? [...this.#files].find(({ links }) => links === 0) : undefined;
  }

  #create({ name }: VfsStep, existing: ModelFile | undefined): void {
    const spec = { mode: FileType.REGULAR | 0o644, ...OWNER };
    const task = this.#vfs.create(entry(name), spec, {
      exclusive: true,
      write: true,
      truncate: false,
    });
    if (existing !== undefined) {
      same('create', outcome(task), 'EEXIST');
      return;
    }
    const { inode, handle } = runSync(task);
    const file = {
      inode,
      links: 1,
      sizeBytes: 0,
      blocks: new Map<number, Buffer>(),
      holes: new Map<number, Set<number>>(),
      handles: [handle],
      xattr: undefined,
    };
    this.#names.set(name, file);
    this.#files.add(file);
  }

  #unlink(name: number, file: ModelFile | undefined): void {
    same('unlink', outcome(this.#vfs.unlink(entry(name))), file === undefined ? 'ENOENT' : 'OK');
    this.#names.delete(name);
    if (file !== undefined) this.#lost(file);
  }

  #lost(file: ModelFile): void {
    file.links--;
    if (file.links === 0 && file.handles.length === 0) this.#files.delete(file);
  }

  #rename({ kind, name, other }: VfsStep, file: ModelFile | undefined): void {
    const exchange = kind === 'exchange';
    const target = this.#names.get(other);
    const expected = file === undefined || (exchange && target === undefined) ? 'ENOENT' : 'OK';
    same(kind, outcome(this.#vfs.rename(entry(name), entry(other), { exchange })), expected);
    if (file === undefined || expected !== 'OK' || file === target) return;
    this.#names.set(other, file);
    if (exchange && target !== undefined) this.#names.set(name, target);
    else this.#names.delete(name);
    if (!exchange && target !== undefined) this.#lost(target);
  }

  #link({ other }: VfsStep, file: ModelFile): void {
    const expected = this.#names.has(other) ? 'EEXIST' : 'OK';
    same('link', outcome(this.#vfs.link(file.inode, entry(other))), expected);
    if (expected !== 'OK') return;
    file.links++;
    this.#names.set(other, file);
  }

  #onFile(step: VfsStep, file: ModelFile): void {
    if (step.kind === 'open')
      file.handles.push(this.#handleOf(file, { write: true, truncate: false }));
    else if (step.kind === 'close') this.#close(file);
    else if (step.kind === 'openTruncated')
      this.#truncate(file, 0, () => {
        file.handles.push(this.#handleOf(file, { write: true, truncate: true }));
      });
    else if (step.kind === 'truncate')
      this.#truncate(file, step.offset, () => {
        runSync(this.#vfs.setattr(file.inode, { sizeBytes: step.offset }));
      });
    else if (step.kind === 'xattr') this.#xattr(file, step);
    else if (step.kind === 'read') this.#compareRange(file, step.offset, step.length);
    else this.#write(file, step);
  }

  #handleOf(file: ModelFile, mode: OpenMode): HandleId {
    return runSync(this.#vfs.open(file.inode, mode)).handle;
  }

  #close(file: ModelFile): void {
    const handle = file.handles.shift();
    if (handle === undefined) return;
    runSync(this.#vfs.release(handle));
    if (file.links === 0 && file.handles.length === 0) this.#files.delete(file);
  }

  /** Only a file without a block 0 needs memory for this; without any, nothing has changed. */
  #truncate(file: ModelFile, sizeBytes: number, action: () => void): void {
    const room = this.#hasRoom();
    const code = attempt(action);
    if (code !== 'OK') {
      if (room || code !== 'ENOSPC') throw new Error(`truncate to ${sizeBytes}: ${code}`);
      return;
    }
    file.sizeBytes = sizeBytes;
    for (const [block, bytes] of [...file.blocks]) {
      const holes = file.holes.get(block) ?? new Set<number>();
      const end = Math.min(bytes.length, sizeBytes - block * this.#blockSizeBytes);
      const kept = withoutHolesAtEnd(holes, end);
      for (const page of holes) if (page * 4096 >= kept) holes.delete(page);
      if (kept <= 0) file.blocks.delete(block);
      else file.blocks.set(block, bytes.subarray(0, kept));
    }
  }

  #xattr(file: ModelFile, { length }: VfsStep): void {
    const value = 'x'.repeat(length);
    const name = Buffer.from('user.x');
    const room = this.#hasRoom(INNER_GROWTH * length);
    const set = this.#vfs.xattrs.set(file.inode, name, Buffer.from(value), 'either');
    const code = outcome(set, ['ENOSPC']);
    if (code === 'OK') file.xattr = value;
    else if (room) throw new Error(`an attribute of ${length} bytes: ${code}`);
    const found = file.xattr === undefined ? 'ENODATA' : 'OK';
    same('xattr', outcome(this.#vfs.xattrs.get(file.inode, name)), found);
    if (file.xattr !== undefined)
      same('its value', String(runSync(this.#vfs.xattrs.get(file.inode, name))), file.xattr);
  }

  #write(file: ModelFile, step: VfsStep): void {
    const [handle] = file.handles;
    if (handle === undefined) return;
    const append = step.kind === 'append';
    const offset = append ? file.sizeBytes : step.offset;
    this.#fill = (this.#fill % 255) + 1;
    const bytes = Buffer.alloc(step.length, this.#fill);
    let stored = 0;
    const code = attempt(() => {
      const request = { offset: step.offset, append, payload: { bytes }, dropPrivilegeBits: false };
      stored = runSync(this.#vfs.write(handle, request));
    });
    const tooFar = offset + bytes.length > FAR_BYTES;
    if (tooFar !== (code === 'EFBIG') && code !== 'ENOSPC')
      throw new Error(`write at ${offset}: ${code}`);
    if (code === 'OK') this.#store(file, offset, bytes.subarray(0, stored));
    if (!tooFar && stored < bytes.length && this.#hasRoom())
      throw new Error(`stored ${stored} of ${bytes.length} bytes`);
  }

  /**
   * Whether so many bytes of block 0, and one block more, are free: a block takes no more than half as much again as is
   * written, and block 0 comes with the first change.
   */
  #hasRoom(innerBytes = 512): boolean {
    const { capacityBytes, usedBytes } = this.#blocks.usage();
    return capacityBytes - usedBytes >= 2 * this.#blockSizeBytes + innerBytes;
  }

  #store(file: ModelFile, offset: number, bytes: Buffer): void {
    const size = this.#blockSizeBytes;
    for (let done = 0; done < bytes.length;) {
      const block = Math.floor((offset + done) / size);
      const at = offset + done - block * size;
      const part = bytes.subarray(done, done + size - at);
      const old = file.blocks.get(block) ?? Buffer.alloc(0);
      const stored = Buffer.alloc(Math.max(old.length, at + part.length));
      old.copy(stored);
      part.copy(stored, at);
      file.blocks.set(block, stored);
      const holes = file.holes.get(block) ?? new Set<number>();
      noteWrite(holes, { start: at, end: at + part.length }, old.length);
      file.holes.set(block, holes);
      done += part.length;
    }
    file.sizeBytes = Math.max(file.sizeBytes, offset + bytes.length);
  }

  #compareStat(file: ModelFile): void {
    const { sizeBytes, storedBytes, nlink } = runSync(this.#vfs.getattr(file.inode));
    let expected = 0;
    for (const [block, bytes] of file.blocks) {
      expected += dataBytes(file.holes.get(block) ?? new Set(), bytes.length);
    }
    same(
      `size, stored bytes and links of ${file.inode}`,
      [sizeBytes, storedBytes, nlink],
      [file.sizeBytes, expected, file.links],
    );
  }

  #compareAll(file: ModelFile): void {
    for (const block of file.blocks.keys()) {
      this.#compareRange(file, block * this.#blockSizeBytes, 2 * this.#blockSizeBytes);
    }
  }

  #compareRange(file: ModelFile, offset: number, length: number): void {
    const handle = this.#handleOf(file, { write: false, truncate: false });
    const found = Buffer.concat(runSync(this.#vfs.read(handle, { offset, length })).slices);
    runSync(this.#vfs.release(handle));
    const expected = Buffer.alloc(Math.max(0, Math.min(length, file.sizeBytes - offset)));
    for (let done = 0; done < expected.length;) {
      const block = Math.floor((offset + done) / this.#blockSizeBytes);
      const at = offset + done - block * this.#blockSizeBytes;
      file.blocks.get(block)?.subarray(at).copy(expected, done);
      done += this.#blockSizeBytes - at;
    }
    if (!found.equals(expected))
      throw new Error(`inode ${file.inode} holds other bytes at ${offset}`);
  }
}

function nameOf(name: number): Buffer {
  return Buffer.from(`name-${name}`);
}

function entry(name: number): { parent: InodeId; name: Buffer } {
  return { parent: ROOT_INODE, name: nameOf(name) };
}

function attempt(action: () => void): string {
  try {
    action();
    return 'OK';
  } catch (error) {
    if (!(error instanceof FsError) || !['ENOSPC', 'EFBIG'].includes(error.code)) throw error;
    return error.code;
  }
}

function outcome(task: Task<unknown>, allowed: readonly string[] = []): string {
  try {
    runSync(task);
    return 'OK';
  } catch (error) {
    if (error instanceof FsError && (allowed.length === 0 || allowed.includes(error.code)))
      return error.code;
    throw error;
  }
}
