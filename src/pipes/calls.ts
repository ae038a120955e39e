/** The system calls that move pages, which Node does not offer, called through koffi. */
import { createRequire } from 'node:module';
import type koffiModule from 'koffi';

/** All return what C returns: -1 for a failure, whose reason `errno` tells until the next call. */
export interface PipeCalls {
  errno(): number;
  address(bytes: Uint8Array): bigint;
  pipe2(fds: number[], flags: number): number;
  fcntl(fd: number, command: number, type: 'int', argument: number): number;
  splice(from: number, at: number, to: number, toAt: number, most: number, flags: number): number;
  vmsplice(to: number, vector: BigUint64Array, count: number, flags: number): number;
  madvise(address: bigint, length: number, advice: number): number;
  read(fd: number, bytes: Buffer, length: number): number;
  write(fd: number, bytes: Buffer, length: number): number;
  send(socket: number, bytes: Buffer, length: number, flags: number): number;
}

let loaded: PipeCalls | null | undefined;

/** The calls; null where koffi has no binary. */
export function pipeCalls(): PipeCalls | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

function load(): PipeCalls | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof koffiModule;
    const library = koffi.load(null);
    const at = 'uintptr_t';
    return {
      errno: () => koffi.errno(),
      address: (bytes) => koffi.address(bytes),
      pipe2: library.func('int pipe2(_Out_ int *, int)'),
      fcntl: library.func('int fcntl(int, int, ...)'),
      splice: library.func('splice', 'long', ['int', at, 'int', at, 'size_t', 'uint']),
      vmsplice: library.func('vmsplice', 'long', ['int', 'void *', 'ulong', 'uint']),
      madvise: library.func('madvise', 'int', [at, 'size_t', 'int']),
      read: library.func('read', 'long', ['int', 'void *', 'size_t']),
      write: library.func('write', 'long', ['int', 'void *', 'size_t']),
      send: library.func('send', 'long', ['int', 'void *', 'size_t', 'int']),
    };
  } catch {
    return null;
  }
}
