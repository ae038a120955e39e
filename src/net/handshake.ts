/**
 * The handshake that begins every connection: each side proves that it knows the shared secret, then learns who the
 * other is. Pure state machines: frames in, frames out; no I/O, no time.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { bytes, nullable, oneOf, text, u53, array, type Codec } from './codec.ts';
import {
  HANDSHAKE_FAILURES,
  HandshakeError,
  ProtocolError,
  type HandshakeFailure,
} from './errors.ts';
import { FrameKind, HEADER_BYTES, PROTOCOL_VERSION } from './frame.ts';
import { decodeArgs, encodeFrame } from './message.ts';

/** What a server does. */
export const ROLES = ['meta', 'blocks'] as const;
export type Role = (typeof ROLES)[number];

/** What a client says of itself. */
export interface Hello {
  /** The kind of server that it wants. */
  readonly role: Role;
  /** 16 random bytes in hex, the same for the client's whole life. */
  readonly clientId: string;
  /** The file system that it wants; null if it takes any. */
  readonly clusterId: string | null;
}

/** What a server says of itself. */
export interface Welcome {
  readonly role: Role;
  /** Null until it belongs to a file system. */
  readonly clusterId: string | null;
  readonly serverNumber: number | null;
  /** 16 random bytes in hex, new in each life of the server. */
  readonly incarnation: string;
  /** Ports of its event loops, this one's first; empty where there are no others. */
  readonly shards: readonly number[];
}

/** Steps of the handshake, carried as operation codes. */
export const HandshakeStep = { HELLO: 1, CHALLENGE: 2, PROOF: 3, WELCOME: 4, REFUSAL: 5 } as const;

/** Limits of frames before the other side has proved anything. */
export const HANDSHAKE_LIMITS = { args: 64 * 1024, payload: 0 } as const;

const ID_BYTES = 16;
const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
const MAX_REFUSAL_CHARACTERS = 1000;
const MAX_PORT = 65_535;

/** A new client id, incarnation or cluster id. */
export function randomId(): string {
  return randomBytes(ID_BYTES).toString('hex');
}

function fixed(length: number): Codec<Buffer> {
  return {
    encode: (value) => value,
    decode: (raw) => {
      const value = bytes.decode(raw);
      if (value.length !== length) throw new ProtocolError(`${length} bytes expected`);
      return value;
    },
  };
}

const id: Codec<string> = {
  encode: (value) => {
    const raw = Buffer.from(value, 'hex');
    if (raw.length !== ID_BYTES) throw new TypeError(`"${value}" is not 16 bytes in hex`);
    return raw;
  },
  decode: (raw) => fixed(ID_BYTES).decode(raw).toString('hex'),
};
/** Of TCP; 0 is none. */
const port: Codec<number> = {
  encode: (value) => value,
  decode: (raw) => {
    const value = u53().decode(raw);
    if (value < 1 || value > MAX_PORT) throw new ProtocolError(`${value} is no port`);
    return value;
  },
};
const nonce = fixed(NONCE_BYTES);
const proof = nullable(fixed(PROOF_BYTES));
const role = oneOf(ROLES);
const clusterId = nullable(text);

/** The first `count` fields; later versions may add more behind them. */
function fields(args: Buffer, count: number): unknown[] {
  const raw = decodeArgs(args);
  if (!Array.isArray(raw) || raw.length < count) {
    throw new ProtocolError(`a handshake message of ${count} fields expected`);
  }
  return raw;
}

function frame(step: number, args: unknown): Buffer {
  return encodeFrame({ kind: FrameKind.HANDSHAKE, operation: step, requestId: 0, status: 0 }, args);
}

/** Both nonces and all that the client said are under the proof; the labels keep one side's from serving as the other's. */
function prove(
  secret: Buffer,
  parts: { label: 'imssfs server' | 'imssfs client'; first: Buffer; second: Buffer; hello: Buffer },
): Buffer {
  return createHmac('sha256', secret)
    .update(parts.label)
    .update(parts.first)
    .update(parts.second)
    .update(parts.hello)
    .digest();
}

/** The frame by which a server refuses a client. */
export function refusalFrame(error: HandshakeError): Buffer {
  return frame(HandshakeStep.REFUSAL, [
    HANDSHAKE_FAILURES.indexOf(error.kind),
    error.message.slice(0, MAX_REFUSAL_CHARACTERS),
  ]);
}

function decodeRefusal(args: Buffer): HandshakeError {
  const [code, message] = fields(args, 2);
  const kind: HandshakeFailure = HANDSHAKE_FAILURES[u53().decode(code)] ?? 'refused';
  return new HandshakeError(kind, text.decode(message));
}

/** The other side speaks version `version`. */
export function versionMismatch(version: number): HandshakeError {
  return new HandshakeError(
    'version',
    `the other side speaks protocol version ${version}, this one version ${PROTOCOL_VERSION}; run the same version of imssfs everywhere`,
  );
}

const SECRETS_DIFFER =
  'the shared secrets differ; give both sides the same file by --secret-file (default ~/.imssfs/secret)';

/** What a step of the handshake leads to. */
export interface ClientStep {
  readonly send?: Buffer;
  readonly welcome?: Welcome;
}

/** The client's side of one handshake. */
export class ClientHandshake {
  readonly #secret: Buffer | undefined;
  readonly #nonce: Buffer;
  readonly #hello: Buffer;
  /** Header and arguments of the first message. */
  readonly first: Buffer;
  #expected: number = HandshakeStep.CHALLENGE;

  constructor(options: { hello: Hello; secret: Buffer | undefined; nonce?: Buffer }) {
    this.#secret = options.secret;
    this.#nonce = options.nonce ?? randomBytes(NONCE_BYTES);
    const { hello } = options;
    this.first = frame(HandshakeStep.HELLO, [
      hello.role,
      id.encode(hello.clientId),
      hello.clusterId,
      this.#nonce,
    ]);
    this.#hello = this.first.subarray(HEADER_BYTES);
  }

  /** Throws HandshakeError or ProtocolError; then the connection is to be closed. */
  receive(step: number, args: Buffer): ClientStep {
    if (step === HandshakeStep.REFUSAL) throw decodeRefusal(args);
    if (step !== this.#expected) throw new ProtocolError(`handshake step ${step} out of order`);
    return step === HandshakeStep.CHALLENGE ? this.#onChallenge(args) : onWelcome(args);
  }

  #onChallenge(args: Buffer): ClientStep {
    const [rawNonce, rawProof] = fields(args, 2);
    const serverNonce = nonce.decode(rawNonce);
    const received = proof.decode(rawProof);
    this.#expected = HandshakeStep.WELCOME;
    const secret = this.#secret;
    if (secret === undefined) {
      if (received !== null) {
        throw new HandshakeError(
          'insecure',
          'the server demands the shared secret, but this side runs with --insecure; leave that out here, or give it to both',
        );
      }
      return { send: frame(HandshakeStep.PROOF, [null]) };
    }
    if (received === null) {
      throw new HandshakeError(
        'insecure',
        'the server runs with --insecure and proves no secret, but this side demands one; leave that out there, or give it to both',
      );
    }
    const parts = { first: this.#nonce, second: serverNonce, hello: this.#hello };
    const wanted = prove(secret, { label: 'imssfs server', ...parts });
    if (!timingSafeEqual(received, wanted)) throw new HandshakeError('secret', SECRETS_DIFFER);
    const mine = prove(secret, {
      label: 'imssfs client',
      first: serverNonce,
      second: this.#nonce,
      hello: this.#hello,
    });
    return { send: frame(HandshakeStep.PROOF, [mine]) };
  }
}

function onWelcome(args: Buffer): ClientStep {
  const [rawRole, rawCluster, rawNumber, rawIncarnation, rawShards] = fields(args, 5);
  return {
    welcome: {
      role: role.decode(rawRole),
      clusterId: clusterId.decode(rawCluster),
      serverNumber: nullable(u53()).decode(rawNumber),
      incarnation: id.decode(rawIncarnation),
      shards: array(port).decode(rawShards),
    },
  };
}

/** What a step leads to on the server; `hello` is set once the client is admitted. */
export interface ServerStep {
  readonly send: Buffer;
  readonly hello?: Hello;
}

export interface ServerHandshakeOptions {
  readonly secret: Buffer | undefined;
  readonly welcome: () => Welcome;
  /** Throws HandshakeError. */
  readonly admit: (hello: Hello) => void;
  readonly nonce?: Buffer | undefined;
}

/** The server's side of one handshake. */
export class ServerHandshake {
  readonly #options: ServerHandshakeOptions;
  readonly #nonce: Buffer;
  #received: { hello: Hello; nonce: Buffer; bytes: Buffer } | undefined;

  constructor(options: ServerHandshakeOptions) {
    this.#options = options;
    this.#nonce = options.nonce ?? randomBytes(NONCE_BYTES);
  }

  /** Throws HandshakeError (to be sent as a refusal) or ProtocolError; then the connection is to be closed. */
  receive(step: number, args: Buffer): ServerStep {
    if (step === HandshakeStep.HELLO && this.#received === undefined) return this.#onHello(args);
    if (step === HandshakeStep.PROOF && this.#received !== undefined) {
      return this.#onProof(args, this.#received);
    }
    throw new ProtocolError(`handshake step ${step} out of order`);
  }

  #onHello(args: Buffer): ServerStep {
    const [rawRole, rawClient, rawCluster, rawNonce] = fields(args, 4);
    const received = {
      hello: {
        role: role.decode(rawRole),
        clientId: id.decode(rawClient),
        clusterId: clusterId.decode(rawCluster),
      },
      nonce: nonce.decode(rawNonce),
      bytes: Buffer.from(args),
    };
    this.#received = received;
    const { secret } = this.#options;
    const mine =
      secret === undefined
        ? null
        : prove(secret, {
            label: 'imssfs server',
            first: received.nonce,
            second: this.#nonce,
            hello: received.bytes,
          });
    return { send: frame(HandshakeStep.CHALLENGE, [this.#nonce, mine]) };
  }

  #onProof(args: Buffer, client: { hello: Hello; nonce: Buffer; bytes: Buffer }): ServerStep {
    const [rawProof] = fields(args, 1);
    this.#requireProof(proof.decode(rawProof), client);
    const welcome = this.#options.welcome();
    requireMatch(client.hello, welcome);
    this.#options.admit(client.hello);
    return {
      hello: client.hello,
      send: frame(HandshakeStep.WELCOME, [
        welcome.role,
        welcome.clusterId,
        welcome.serverNumber,
        id.encode(welcome.incarnation),
        welcome.shards,
      ]),
    };
  }

  #requireProof(received: Buffer | null, client: { nonce: Buffer; bytes: Buffer }): void {
    const { secret } = this.#options;
    if (secret === undefined) {
      if (received === null) return;
      throw new HandshakeError(
        'insecure',
        'the server runs with --insecure, but the client proves a secret; give --insecure to both sides or to none',
      );
    }
    if (received === null) {
      throw new HandshakeError(
        'insecure',
        'the server demands the shared secret, but the client runs with --insecure; give --insecure to both sides or to none',
      );
    }
    const wanted = prove(secret, {
      label: 'imssfs client',
      first: this.#nonce,
      second: client.nonce,
      hello: client.bytes,
    });
    if (!timingSafeEqual(received, wanted)) throw new HandshakeError('secret', SECRETS_DIFFER);
  }
}

const ROLE_NAMES = { meta: 'metadata server', blocks: 'block server' } as const;

function requireMatch(hello: Hello, welcome: Welcome): void {
  if (hello.role !== welcome.role) {
    throw new HandshakeError(
      'role',
      `this is a ${ROLE_NAMES[welcome.role]}, but a ${ROLE_NAMES[hello.role]} was wanted; check the ports`,
    );
  }
  if (
    hello.clusterId !== null &&
    welcome.clusterId !== null &&
    hello.clusterId !== welcome.clusterId
  ) {
    throw new HandshakeError(
      'cluster',
      `this server belongs to the file system ${welcome.clusterId}, not to ${hello.clusterId}; check addresses and hostfiles`,
    );
  }
}
