/** The kernel's side of a FUSE session, in words: makes requests, reads replies. */
import {
  FUSE_ENTRY_OUT,
  FUSE_OPEN_OUT,
  InitFlag,
  type InputOf,
  OPERATIONS,
  type OperationName,
} from '../../src/fs/fuse/abi.ts';
import { encodeStruct, type Decoded, type Layout, readStruct } from '../../src/fs/fuse/layout.ts';
import { type PayloadSource, Session, type SessionOptions } from '../../src/fs/fuse/session.ts';
import { ScratchPayloads } from '../../src/fs/fuse/payloads.ts';
import { silentLogger } from '../../src/log.ts';
import type { Vfs } from '../../src/fs/vfs.ts';
import { FakeDevice } from './fake-device.ts';

const REPLY_HEADER_BYTES = 16;
const SETXATTR_COMPAT_BYTES = 8;

export interface KernelReply {
  /** Positive errno, 0 for success. */
  errno: number;
  body: Buffer;
}

/** What a request is made of, beyond its operation. */
export interface Call<N extends OperationName> {
  nodeid?: number;
  uid?: number;
  gid?: number;
  input?: InputOf<N>;
  names?: readonly (string | Buffer)[];
  data?: Buffer;
}

export class FakeKernel {
  readonly device = new FakeDevice();
  readonly session: Session;
  /** What the session told its engine, in order. */
  readonly events: string[] = [];
  #unique = 0;

  constructor(vfs: Vfs, options: { payloads?: PayloadSource } & Partial<SessionOptions> = {}) {
    this.session = new Session(
      {
        device: this.device,
        vfs,
        payloads: new ScratchPayloads(),
        logger: silentLogger,
        debug: false,
        busyPollMs: 0,
        // However slow the machine, what was told just now was told just now.
        nowMs: () => 0,
        ...options,
      },
      {
        ready: ({ negotiated }) => this.events.push(`ready 7.${negotiated.minor}`),
        gone: () => this.events.push('gone'),
        failed: (error) => this.events.push(`failed ${error.name}: ${error.message}`),
      },
    );
    this.session.start();
  }

  /** A request's bytes; its `unique` is the next even number. */
  message<N extends OperationName>(op: N, call: Call<N> = {}): Buffer {
    const { opcode } = OPERATIONS[op];
    const layout = (OPERATIONS[op] as { input?: Layout }).input;
    let input = layout === undefined ? Buffer.alloc(0) : encodeInput(layout, call.input);
    if (op === 'SETXATTR') input = input.subarray(0, SETXATTR_COMPAT_BYTES);
    const names = (call.names ?? []).flatMap((name) => [Buffer.from(name), Buffer.of(0)]);
    const body = Buffer.concat([input, ...names, call.data ?? Buffer.alloc(0)]);
    this.#unique += 2;
    const header = Buffer.alloc(40);
    header.writeUInt32LE(header.length + body.length, 0);
    header.writeUInt32LE(opcode, 4);
    header.writeUInt32LE(this.#unique, 8);
    header.writeUInt32LE(call.nodeid ?? 1, 16);
    header.writeUInt32LE(call.uid ?? 1000, 24);
    header.writeUInt32LE(call.gid ?? 100, 28);
    header.writeUInt32LE(4321, 32);
    return Buffer.concat([header, body]);
  }

  /** `unique` of the request that was made last. */
  get lastUnique(): number {
    return this.#unique;
  }

  /** Sends one request and returns what was answered by the end of the turn, if anything. */
  send<N extends OperationName>(op: N, call: Call<N> = {}): KernelReply | undefined {
    const message = this.message(op, call);
    this.device.push(message);
    this.device.poll();
    return this.replyTo(message.readUInt32LE(8));
  }

  /** As {@link send}, for requests that must be answered in the same turn. */
  call<N extends OperationName>(op: N, call: Call<N> = {}): KernelReply {
    const reply = this.send(op, call);
    if (reply === undefined) throw new Error(`${op} was not answered`);
    return reply;
  }

  replyTo(unique: number): KernelReply | undefined {
    const found = this.device.written.filter((message) => message.readUInt32LE(8) === unique);
    if (found.length > 1) throw new Error(`request ${unique} was answered ${found.length} times`);
    const [message] = found;
    if (message === undefined) return undefined;
    if (message.readUInt32LE(0) !== message.length) throw new Error('reply of a wrong length');
    return { errno: Math.abs(message.readInt32LE(4)), body: message.subarray(REPLY_HEADER_BYTES) };
  }

  init(offer: { major?: number; minor?: number; flags?: number } = {}): KernelReply | undefined {
    return this.send('INIT', {
      input: {
        major: offer.major ?? 7,
        minor: offer.minor ?? 45,
        max_readahead: 131_072,
        flags: offer.flags ?? 0x7fff_ffff & ~InitFlag.SETXATTR_EXT,
        flags2: 0xffff_ffff,
      },
    });
  }

  lookup(name: string, nodeid = 1): Decoded<typeof FUSE_ENTRY_OUT> {
    return structOf(FUSE_ENTRY_OUT, this.call('LOOKUP', { nodeid, names: [name] }));
  }

  /** CREATE with mode 0644; the new node and its handle. */
  create(name: string, nodeid = 1): { nodeid: number; fh: number } {
    const reply = this.call('CREATE', {
      nodeid,
      names: [name],
      input: { flags: 0o100 | 2, mode: 0o100644, umask: 0o022, open_flags: 0 },
    });
    const entry = structOf(FUSE_ENTRY_OUT, reply);
    const open = readStruct(FUSE_OPEN_OUT, reply.body, FUSE_ENTRY_OUT.sizeBytes);
    return { nodeid: entry.nodeid, fh: open.fh };
  }

  write(fh: number, offset: number, data: Buffer, flags = 2): KernelReply {
    return this.call('WRITE', { input: writeInput(fh, offset, data, flags), data });
  }

  read(fh: number, offset: number, size: number): Buffer {
    const input = { fh, offset, size, read_flags: 0, lock_owner: { low: 0, high: 0 }, flags: 0 };
    const reply = this.call('READ', { input });
    if (reply.errno !== 0) throw new Error(`READ failed with errno ${reply.errno}`);
    return reply.body;
  }
}

export function writeInput(fh: number, offset: number, data: Buffer, flags = 2): InputOf<'WRITE'> {
  const lock_owner = { low: 0, high: 0 };
  return { fh, offset, size: data.length, write_flags: 0, lock_owner, flags };
}

/** The structure that a successful reply begins with. */
export function structOf<L extends Layout>(layout: L, reply: KernelReply): Decoded<L> {
  if (reply.errno !== 0) throw new Error(`errno ${reply.errno}`);
  return readStruct(layout, reply.body, 0);
}

function encodeInput(layout: Layout, values: unknown): Buffer {
  return values === undefined
    ? Buffer.alloc(layout.sizeBytes)
    : encodeStruct(layout, values as Decoded<Layout>);
}
