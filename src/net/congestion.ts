/**
 * Congestion control of connections over loopback. A site may have chosen one that paces what is sent (BBR) for the sake
 * of its long links; over loopback that slows 1 MiB and its answer from 0.16 to 0.25 ms and wins nothing (docs/performance.md).
 * Linux goes on pacing a socket that has begun to, so the choice is made before the connection exists.
 */
import { createRequire } from 'node:module';
import { isIPv6, Socket, type OnReadOpts, type Server } from 'node:net';
import type koffiModule from 'koffi';
import type { Address } from './call.ts';

/** `sys/socket.h`, `netinet/in.h`, `netinet/tcp.h`. */
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;

/** Built into every Linux, and open to every user. */
const UNPACED = Buffer.from('reno');

interface SocketCalls {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, name: number, value: Buffer, length: number): number;
}

/** Null where koffi has no binary: connections then keep what the system gives them. */
let calls: SocketCalls | null | undefined;

function loadCalls(): SocketCalls | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof koffiModule;
    const library = koffi.load(null);
    return {
      socket: library.func('int socket(int, int, int)'),
      setsockopt: library.func('int setsockopt(int, int, int, const void *, uint32_t)'),
    };
  } catch {
    return null;
  }
}

function dropPacing(fd: number): void {
  calls ??= loadCalls();
  calls?.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, UNPACED, UNPACED.length);
}

/** An address in digits, of 127/8 or ::1. */
export function isLoopback(host: string): boolean {
  return host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A socket, not connected yet, that will not pace what it sends. Undefined if the system does not give one. */
function unpacedSocket(host: string, onread: OnReadOpts): Socket | undefined {
  calls ??= loadCalls();
  const domain = isIPv6(host) ? AF_INET6 : AF_INET;
  const fd = calls?.socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) ?? -1;
  if (fd < 0) return undefined;
  dropPacing(fd);
  return new Socket({ fd, onread } as ConstructorParameters<typeof Socket>[0]);
}

/** A socket for a connection to `address`, not connected yet. */
export function socketTo({ host }: Address, onread: OnReadOpts): Socket {
  const unpaced = isLoopback(host) ? unpacedSocket(host, onread) : undefined;
  return unpaced ?? new Socket({ onread } as ConstructorParameters<typeof Socket>[0]);
}

/** For a server that has begun to listen at `host`: what it accepts from now on does not pace, if it stays on loopback. */
export function acceptUnpaced(server: Server, host: string): void {
  if (!isLoopback(host)) return;
  const { _handle: handle } = server as Server & { readonly _handle?: { readonly fd?: number } };
  if (handle?.fd !== undefined && handle.fd >= 0) dropPacing(handle.fd);
}
