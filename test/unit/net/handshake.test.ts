import { createHmac } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { HandshakeError, ProtocolError, type HandshakeFailure } from '../../../src/net/errors.ts';
import { HEADER_BYTES } from '../../../src/net/frame.ts';
import {
  ClientHandshake,
  HandshakeStep,
  refusalFrame,
  ServerHandshake,
  type Hello,
  type Welcome,
} from '../../../src/net/handshake.ts';

const SECRET = Buffer.alloc(32, 0x11);
const HELLO: Hello = { role: 'meta', clientId: '22'.repeat(16), clusterId: 'c1' };
const WELCOME: Welcome = {
  role: 'meta',
  clusterId: 'c1',
  serverNumber: 3,
  incarnation: '55'.repeat(16),
  shards: [5555],
};
const CLIENT_NONCE = Buffer.alloc(32, 0x33);
const SERVER_NONCE = Buffer.alloc(32, 0x44);

/** The arguments of the first message: array of 4. */
const HELLO_ARGS =
  '94' +
  'a46d657461' + // role "meta"
  `c410${'22'.repeat(16)}` + // client id
  'a26331' + // cluster id "c1"
  `c420${'33'.repeat(32)}`; // client nonce

function hmac(label: string, ...parts: Buffer[]): Buffer {
  return createHmac('sha256', SECRET)
    .update(Buffer.concat([Buffer.from(label), ...parts]))
    .digest();
}

const args = (frame: Buffer | undefined): Buffer => (frame ?? Buffer.alloc(32)).subarray(32);

interface Setup {
  hello?: Hello;
  welcome?: Welcome;
  clientSecret?: Buffer | undefined;
  serverSecret?: Buffer | undefined;
  admit?: () => void;
}

/** Both sides with fixed nonces. */
function pair(setup: Setup = {}) {
  const hello = setup.hello ?? HELLO;
  const clientSecret = 'clientSecret' in setup ? setup.clientSecret : SECRET;
  const secret = 'serverSecret' in setup ? setup.serverSecret : SECRET;
  const client = new ClientHandshake({ hello, secret: clientSecret, nonce: CLIENT_NONCE });
  const server = new ServerHandshake({
    secret,
    welcome: () => setup.welcome ?? WELCOME,
    admit: setup.admit ?? (() => undefined),
    nonce: SERVER_NONCE,
  });
  return { client, server };
}

function run(setup: Setup = {}) {
  const { client, server } = pair(setup);
  const challenge = server.receive(HandshakeStep.HELLO, args(client.first)).send;
  const proof = client.receive(HandshakeStep.CHALLENGE, args(challenge)).send;
  const last = server.receive(HandshakeStep.PROOF, args(proof));
  const { welcome } = client.receive(HandshakeStep.WELCOME, args(last.send));
  return { challenge, proof, last, welcome };
}

function fails(t: ExecutionContext, setup: Setup, kind: HandshakeFailure, message: RegExp): void {
  const error = t.throws(() => run(setup), { instanceOf: HandshakeError });
  t.is(error.kind, kind);
  t.regex(error.message, message);
}

test('the messages are as docs/protocol.md says', (t) => {
  const { client } = pair();
  t.is(
    client.first.subarray(0, 24).toString('hex'),
    '494d5353' + // magic
      '01' + // version
      '03' + // kind: handshake
      '0100' + // step 1: hello
      '00000000' + // request id
      '00000000' + // status
      '3d000000' + // 61 bytes of arguments
      '00000000', // no payload
  );
  t.is(args(client.first).toString('hex'), HELLO_ARGS);
  const { challenge, proof, last } = run();
  const hello = Buffer.from(HELLO_ARGS, 'hex');
  const serverProof = hmac('imssfs server', CLIENT_NONCE, SERVER_NONCE, hello).toString('hex');
  t.is(args(challenge).toString('hex'), `92c420${'44'.repeat(32)}c420${serverProof}`);
  const clientProof = hmac('imssfs client', SERVER_NONCE, CLIENT_NONCE, hello).toString('hex');
  t.is(args(proof).toString('hex'), `91c420${clientProof}`);
  t.is(
    args(last.send).toString('hex'),
    '95' +
      'a46d657461' + // role "meta"
      'a26331' + // cluster id "c1"
      '03' + // server number
      `c410${'55'.repeat(16)}` + // incarnation
      '91cd15b3', // shards [5555]
  );
  t.is(
    args(refusalFrame(new HandshakeError('role', 'no'))).toString('hex'),
    '9204a26e6f', // kind 4, "no"
  );
});

test('both sides learn who the other is', (t) => {
  const { last, welcome } = run();
  t.deepEqual(last.hello, HELLO);
  t.deepEqual(welcome, WELCOME);
  const bare = { ...WELCOME, clusterId: null, serverNumber: null, shards: [] };
  t.deepEqual(run({ welcome: bare }).welcome, bare);
});

test('a server that names shards at impossible ports is malformed', (t) => {
  for (const port of [0, 65_536, 2 ** 40]) {
    t.throws(() => run({ welcome: { ...WELCOME, shards: [5555, port] } }), {
      instanceOf: ProtocolError,
    });
  }
});

test('two sides without a secret agree', (t) => {
  const { challenge, proof, welcome } = run({ clientSecret: undefined, serverSecret: undefined });
  t.is(args(challenge).subarray(-1).toString('hex'), 'c0');
  t.is(args(proof).toString('hex'), '91c0');
  t.deepEqual(welcome, WELCOME);
});

test('a wrong secret is noticed by the client first, so that it proves nothing', (t) => {
  fails(t, { clientSecret: Buffer.alloc(32) }, 'secret', /--secret-file/);
});

test('a client that cannot prove the secret is refused', (t) => {
  const { client, server } = pair();
  server.receive(HandshakeStep.HELLO, args(client.first));
  const forged = Buffer.concat([Buffer.from('91c420', 'hex'), Buffer.alloc(32)]);
  const error = t.throws(() => server.receive(HandshakeStep.PROOF, forged), {
    instanceOf: HandshakeError,
  });
  t.is(error.kind, 'secret');
});

test('a proof that was overheard is worth nothing in another handshake', (t) => {
  const { proof } = run();
  const { client } = pair();
  const later = new ServerHandshake({
    secret: SECRET,
    welcome: () => WELCOME,
    admit: () => undefined,
  });
  later.receive(HandshakeStep.HELLO, args(client.first));
  t.throws(() => later.receive(HandshakeStep.PROOF, args(proof)), { instanceOf: HandshakeError });
});

test("the server's own proof does not serve as the client's", (t) => {
  const { client, server } = pair();
  const challenge = args(server.receive(HandshakeStep.HELLO, args(client.first)).send);
  const reflected = Buffer.concat([Buffer.from('91', 'hex'), challenge.subarray(-34)]);
  t.throws(() => server.receive(HandshakeStep.PROOF, reflected), { instanceOf: HandshakeError });
});

test('a side with --insecure and one without say so', (t) => {
  fails(t, { clientSecret: undefined }, 'insecure', /demands the shared secret.*--insecure/);
  fails(t, { serverSecret: undefined }, 'insecure', /server runs with --insecure/);
});

test('a server without a secret refuses a client that proves one, and the other way round', (t) => {
  const open = new ServerHandshake({
    secret: undefined,
    welcome: () => WELCOME,
    admit: () => undefined,
  });
  const { client } = pair();
  const { proof } = run();
  open.receive(HandshakeStep.HELLO, args(client.first));
  const first = t.throws(() => open.receive(HandshakeStep.PROOF, args(proof)));
  t.regex(first.message, /--insecure to both sides/);
  const { server } = pair();
  server.receive(HandshakeStep.HELLO, args(client.first));
  const second = t.throws(() => server.receive(HandshakeStep.PROOF, Buffer.from('91c0', 'hex')));
  t.regex(second.message, /--insecure to both sides/);
});

test('a server of the other kind, or of another file system, refuses with the remedy', (t) => {
  fails(t, { hello: { ...HELLO, role: 'blocks' } }, 'role', /metadata server.*check the ports/);
  fails(t, { hello: { ...HELLO, clusterId: 'c2' } }, 'cluster', /file system c1, not to c2/);
  t.notThrows(() => run({ hello: { ...HELLO, clusterId: null } }));
  t.notThrows(() => run({ welcome: { ...WELCOME, clusterId: null } }));
});

test('a refusal of the service reaches the client with its kind and message', (t) => {
  const { client } = pair();
  for (const kind of ['not-ready', 'refused', 'version'] as const) {
    const refusal = refusalFrame(new HandshakeError(kind, 'because'));
    const error = t.throws(() => client.receive(HandshakeStep.REFUSAL, args(refusal)), {
      instanceOf: HandshakeError,
    });
    t.deepEqual([error.kind, error.message], [kind, 'because']);
    t.is(error.isPermanent, kind !== 'not-ready');
  }
  const unknown = Buffer.from('92cc99a26e6f', 'hex');
  const error = t.throws(() => client.receive(HandshakeStep.REFUSAL, unknown), {
    instanceOf: HandshakeError,
  });
  t.is(error.kind, 'refused');
});

test('nobody is admitted before the proof', (t) => {
  let admitted = 0;
  const { client, server } = pair({ admit: () => admitted++ });
  t.throws(() => server.receive(HandshakeStep.PROOF, Buffer.from('91c0', 'hex')), {
    instanceOf: ProtocolError,
  });
  server.receive(HandshakeStep.HELLO, args(client.first));
  t.throws(() => server.receive(HandshakeStep.HELLO, args(client.first)), {
    instanceOf: ProtocolError,
  });
  t.is(admitted, 0);
});

test('messages cut off at any length are refused, unknown fields behind the known ones are not', (t) => {
  const whole = Buffer.from(HELLO_ARGS, 'hex');
  for (let length = 0; length < whole.length; length++) {
    const { server } = pair();
    t.throws(() => server.receive(HandshakeStep.HELLO, whole.subarray(0, length)), {
      instanceOf: ProtocolError,
    });
  }
  const longer = Buffer.concat([whole, Buffer.from('2a', 'hex')]);
  longer.writeUInt8(0x95, 0);
  t.notThrows(() => pair().server.receive(HandshakeStep.HELLO, longer));
  const { client, server } = pair();
  const challenge = server.receive(HandshakeStep.HELLO, args(client.first)).send;
  for (let length = HEADER_BYTES; length < challenge.length; length++) {
    t.throws(
      () =>
        pair().client.receive(HandshakeStep.CHALLENGE, challenge.subarray(HEADER_BYTES, length)),
      { instanceOf: ProtocolError },
    );
  }
});
