/**
 * The few functions of the C library and of libuv that Node does not offer, called through koffi. koffi is
 * loaded at the first use, so that a program that never mounts runs where koffi has no binary.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import type koffiModule from 'koffi';
import { invariant } from '../../invariant.ts';

type Koffi = typeof koffiModule;

/** Result of a call that waits in a thread of libuv's pool; `errno` means nothing unless `result` is -1. */
export interface CallResult {
  result: number;
  errno: number;
}

/**
 * All functions return what C returns: -1 for a failure, whose reason {@link Libc.errno} tells until the next
 * call. Addresses come from {@link Libc.address}.
 */
export interface Libc {
  /** Positive errno of the latest call that failed. */
  errno(): number;
  /**
   * Where the bytes of `buffer` are. Valid as long as the caller keeps `buffer` itself alive: asking moves a
   * small on-heap array out of the garbage collector's reach.
   */
  address(buffer: Uint8Array): bigint;
  readv(fd: number, iovecs: number, count: number): number;
  writev(fd: number, iovecs: number, count: number): number;
  write(fd: number, address: number, length: number): number;
  /** `SOCK_STREAM` Unix sockets with `SOCK_CLOEXEC`; returns undefined on failure. */
  socketPair(): [number, number] | undefined;
  recvmsg(fd: number, message: Buffer, flags: number): number;
  /** `fcntl(fd, command, argument)` for the commands that take an int. */
  fcntl(fd: number, command: number, argument: number): number;
  /** mount(2) in a thread of the pool. All strings end in NUL. */
  mount(call: {
    source: Buffer;
    target: Buffer;
    type: Buffer;
    flags: number;
    data: Buffer;
  }): Promise<CallResult>;
  /** lgetxattr(2); both strings end in NUL. Returns the length of the value. */
  lgetxattr(path: Buffer, name: Buffer, value: Buffer): number;
  /** umount2(2) in a thread of the pool; `target` ends in NUL. */
  umount2(target: Buffer, flags: number): Promise<CallResult>;
  /** umount2(2) in this thread. */
  umount2Sync(target: Buffer, flags: number): number;
  /** sched_yield(2): lets another thread that waits for this CPU run first. */
  yieldCpu(): void;
  /** Polling of a descriptor from this process's main event loop. */
  readonly poll: PollCalls;
}

/** libuv's poll handle; main thread only, because the default loop belongs to it. */
export interface PollCalls {
  /** `sizeof(uv_poll_t)`. */
  readonly handleBytes: number;
  /** 0 or a negative errno, as with all functions here. */
  init(handle: Buffer, fd: number): number;
  start(handle: Buffer, callback: bigint): number;
  stop(handle: Buffer): number;
  /** Starts closing; `callback` is called from the loop when `handle` is no longer used. */
  close(handle: Buffer, callback: bigint): void;
  /** Makes `onPoll` callable from C until {@link PollCalls.unregister}. What it throws is swallowed. */
  registerPoll(onPoll: (handle: unknown, status: number, events: number) => void): bigint;
  registerClose(onClose: () => void): bigint;
  unregister(callback: bigint): void;
}

/** koffi has no binary for this platform, or this platform's records are not those that we lay out. */
export class LibcUnavailableError extends Error {
  override name = 'LibcUnavailableError';
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
/** `UV_POLL` in libuv's list of handle types, and `UV_READABLE`. */
const UV_POLL = 8;
const UV_READABLE = 1;

let loaded: Libc | undefined;

/** The bindings; loads them at the first call. Throws {@link LibcUnavailableError}. */
export function libc(): Libc {
  loaded ??= bindOn(loadKoffi());
  return loaded;
}

/** koffi, through `require` or what stands for it in tests. Throws {@link LibcUnavailableError}. */
export function loadKoffi(load: (name: string) => unknown = createRequire(import.meta.url)): Koffi {
  let koffi: Koffi;
  try {
    koffi = load('koffi') as Koffi;
  } catch (cause) {
    throw new LibcUnavailableError(
      `The package koffi has no binary for ${process.platform}-${process.arch}; ` +
        'use --engine fuse-native, or mount from a Linux machine with x86-64 or arm64',
      { cause },
    );
  }
  if (koffi.sizeof('void *') !== 8 || endianness() !== 'LE') {
    throw new LibcUnavailableError(
      `imssfs needs a 64-bit little-endian machine, and this one is ${process.arch}`,
    );
  }
  return koffi;
}

/** The bindings by `koffi`. Throws {@link LibcUnavailableError} where a function is missing, or another system's. */
export function bindOn(koffi: Koffi, platform: string = process.platform): Libc {
  if (platform !== 'linux') {
    throw new LibcUnavailableError(
      `The engine kernel speaks to Linux, and this is ${platform}: mount from a Linux machine`,
    );
  }
  try {
    return bind(koffi);
  } catch (cause) {
    throw new LibcUnavailableError(
      `This Node or its C library lacks a function that imssfs needs (${(cause as Error).message.split('\n')[0] ?? ''}): ` +
        'use --engine fuse-native, or the Node of nodejs.org',
      { cause },
    );
  }
}

function bind(koffi: Koffi): Libc {
  // The process itself: glibc or musl, whichever Node was linked with, and the libuv inside Node.
  const library = koffi.load(null);
  const socketpair = library.func('int socketpair(int, int, int, _Out_ int *)');
  const mount = library.func('mount', 'int', ['void *', 'void *', 'void *', 'ulong', 'void *']);
  const umount2 = library.func('umount2', 'int', ['void *', 'int']);
  const lgetxattr = library.func('lgetxattr', 'long', ['void *', 'void *', 'void *', 'size_t']);
  // What a pool thread still reads stays reachable.
  const inFlight = new Set<readonly unknown[]>();
  const inPool = (call: typeof mount, ...parameters: unknown[]): Promise<CallResult> =>
    new Promise((resolve, reject) => {
      inFlight.add(parameters);
      call.async(...parameters, (error: Error | null, result: number) => {
        // koffi shows the pool thread's errno here, and only until this callback returns.
        const errno = koffi.errno();
        inFlight.delete(parameters);
        if (error === null) resolve({ result, errno });
        else reject(error);
      });
    });
  return {
    errno: () => koffi.errno(),
    address: (buffer) => koffi.address(buffer),
    readv: library.func('readv', 'long', ['int', 'uintptr_t', 'int']) as Libc['readv'],
    writev: library.func('writev', 'long', ['int', 'uintptr_t', 'int']) as Libc['writev'],
    write: library.func('write', 'long', ['int', 'uintptr_t', 'size_t']) as Libc['write'],
    socketPair: () => {
      const fds: [number, number] = [-1, -1];
      return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) === 0 ? fds : undefined;
    },
    recvmsg: library.func('recvmsg', 'long', ['int', 'void *', 'int']) as Libc['recvmsg'],
    fcntl: bindFcntl(library.func('int fcntl(int, int, ...)')),
    mount: (call) => inPool(mount, call.source, call.target, call.type, call.flags, call.data),
    lgetxattr: (path, name, value) => lgetxattr(path, name, value, value.length) as number,
    umount2: (target, flags) => inPool(umount2, target, flags),
    umount2Sync: umount2 as Libc['umount2Sync'],
    yieldCpu: library.func('sched_yield', 'int', []) as Libc['yieldCpu'],
    poll: bindPoll(koffi, library),
  };
}

function bindFcntl(fcntl: (...parameters: unknown[]) => unknown): Libc['fcntl'] {
  return (fd, command, argument) => fcntl(fd, command, 'int', argument) as number;
}

function bindPoll(koffi: Koffi, library: ReturnType<Koffi['load']>): PollCalls {
  const onPollType = koffi.pointer(koffi.proto('void', ['uintptr_t', 'int', 'int']));
  const onCloseType = koffi.pointer(koffi.proto('void', ['uintptr_t']));
  const loop = library.func('uv_default_loop', 'uintptr_t', [])() as number | bigint;
  const init = library.func('uv_poll_init', 'int', ['uintptr_t', 'void *', 'int']);
  const start = library.func('uv_poll_start', 'int', ['void *', 'int', onPollType]);
  const handleSize = library.func('uv_handle_size', 'size_t', ['int']);
  return {
    handleBytes: Number(handleSize(UV_POLL)),
    init: (handle, fd) => init(loop, handle, fd) as number,
    start: (handle, callback) => start(handle, UV_READABLE, callback) as number,
    stop: library.func('uv_poll_stop', 'int', ['void *']) as PollCalls['stop'],
    close: library.func('uv_close', 'void', ['void *', onCloseType]) as PollCalls['close'],
    registerPoll: (onPoll) => koffi.register(onPoll, onPollType),
    registerClose: (onClose) => koffi.register(onClose, onCloseType),
    unregister: (callback) => {
      koffi.unregister(callback);
    },
  };
}

/** `bytes` with a NUL behind, in memory of its own that never moves. */
export function cString(bytes: Uint8Array | string): Buffer {
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  invariant(!content.includes(0), 'A NUL byte within a C string');
  // Arrays of at most 64 bytes would live on V8's heap, where the garbage collector moves them.
  const buffer = Buffer.alloc(Math.max(128, content.length + 1));
  buffer.set(content);
  return buffer;
}
