/** Shared mappings of parts of files, and the page cache's hold on them, by calls that node:fs does not offer. */
import koffi from 'koffi';
import { checked } from './libc.ts';

const libc = koffi.load(null);

const mmapFn = libc.func('void *mmap64(void *, size_t, int, int, int, int64_t)');
const msyncFn = libc.func('int msync(void *, size_t, int)');
const munmapFn = libc.func('int munmap(void *, size_t)');
const fadviseFn = libc.func('int posix_fadvise64(int, int64_t, int64_t, int)');

export const PAGE_BYTES = 4096;

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MS_SYNC = 4;
const POSIX_FADV_DONTNEED = 4;

export interface Mapping {
  /** The pages themselves: what is written here is written to the file. */
  readonly bytes: Buffer;
  /** msync(2) with MS_SYNC. */
  readonly sync: () => void;
  /** munmap(2); `bytes` must not be touched afterwards. */
  readonly unmap: () => void;
}

export interface MappedRange {
  /** A multiple of the page size. */
  offset: number;
  length: number;
  /** Not given: readable and writable, shared. */
  kind?: 'read-only' | 'private';
}

/** mmap(2). Throws if it fails. */
export function mapFile(fd: number, { offset, length, kind }: MappedRange): Mapping {
  const protection = kind === 'read-only' ? PROT_READ : PROT_READ | PROT_WRITE;
  const flags = kind === 'private' ? MAP_PRIVATE : MAP_SHARED;
  const address: unknown = mmapFn(null, length, protection, flags, fd, offset);
  checked('mmap', BigInt.asIntN(64, koffi.address(address)));
  return {
    bytes: Buffer.from(koffi.view(address, length)),
    sync: () => {
      checked('msync', msyncFn(address, length, MS_SYNC));
    },
    unmap: () => {
      checked('munmap', munmapFn(address, length));
    },
  };
}

/** Lets the kernel forget the clean pages of a file. */
export function dropPages(fd: number): void {
  checked('posix_fadvise', -Number(fadviseFn(fd, 0, 0, POSIX_FADV_DONTNEED)));
}
