/** One line of text for each request and reply, as `--debug-fuse` prints them. Data are shown by length only. */
import { errnoName } from '../../errno.ts';
import { invariant } from '../../invariant.ts';
import {
  FUSE_NOTIFY_DELETE_OUT,
  FUSE_NOTIFY_INVAL_ENTRY_OUT,
  FUSE_NOTIFY_INVAL_INODE_OUT,
  FUSE_OUT_HEADER,
  NotifyCode,
  operationOf,
} from './abi.ts';
import { readStruct, type Layout, type Words } from './layout.ts';
import { uniqueKeyOf, type Request } from './request.ts';

const HEADER_BYTES = FUSE_OUT_HEADER.sizeBytes;
const SPACE = 0x20;
const TILDE = 0x7e;

const NOTIFY_NAMES = new Map<number, string>(
  Object.entries(NotifyCode).map(([name, code]) => [code, name]),
);

/** The notifications that we send. */
const NOTIFY_LAYOUTS = new Map<number, Layout>([
  [NotifyCode.INVAL_INODE, FUSE_NOTIFY_INVAL_INODE_OUT],
  [NotifyCode.INVAL_ENTRY, FUSE_NOTIFY_INVAL_ENTRY_OUT],
  [NotifyCode.DELETE, FUSE_NOTIFY_DELETE_OUT],
]);

/** A name in quotes, with `\xNN` for every byte that is not printable ASCII, a quote or a backslash. */
function quote(name: Buffer): string {
  let text = '';
  for (const byte of name) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === '\\') text += `\\${char}`;
    else if (byte >= SPACE && byte <= TILDE) text += char;
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `"${text}"`;
}

function isWords(value: unknown): value is Words {
  return typeof value === 'object' && value !== null && 'low' in value && 'high' in value;
}

/** Modes as chmod(1) has them, words of flags and opaque values in hexadecimal, everything else in decimal. */
function describeValue(field: string, value: unknown): string {
  if (field === 'unique') return String(uniqueKeyOf(value as Words));
  if (isWords(value)) return `0x${((BigInt(value.high) << 32n) | BigInt(value.low)).toString(16)}`;
  if (typeof value !== 'number') return describeStruct(value as Readonly<Record<string, unknown>>);
  if (field === 'mode' || field === 'umask') return `0${value.toString(8)}`;
  const isBits = field === 'valid' || field === 'cmd' || /flags2?$|mask$/.test(field);
  return isBits ? `0x${value.toString(16)}` : String(value);
}

function describeFields(values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(values).map(([field, value]) => `${field}=${describeValue(field, value)}`);
}

function describeStruct(values: Readonly<Record<string, unknown>>): string {
  return `{${describeFields(values).join(' ')}}`;
}

/** `unique=6 WRITE nodeid=2 uid=0 gid=0 pid=7 fh=1 offset=0 size=3 … data=3 bytes`. */
export function describeRequest(request: Request): string {
  const { header } = request;
  const words = [
    `unique=${header.uniqueKey}`,
    request.op === 'UNKNOWN' ? `opcode=${header.opcode}` : request.op,
    `nodeid=${header.nodeid}`,
    `uid=${header.uid}`,
    `gid=${header.gid}`,
    `pid=${header.pid}`,
  ];
  if (request.input !== undefined) words.push(...describeFields(request.input));
  words.push(...request.names.map(quote));
  if (request.data.length > 0) words.push(`data=${request.data.length} bytes`);
  return words.join(' ');
}

/** The structures that a successful reply to `request` begins with. */
function structuresIn(request: Request): readonly Layout[] {
  const inReply = operationOf(request.header.opcode)?.reply ?? [];
  if (request.op === 'GETXATTR' || request.op === 'LISTXATTR') {
    return request.input.size === 0 ? inReply : [];
  }
  return inReply;
}

/** What follows a successful reply's header. */
function describeBody(
  request: Request,
  { slices, lengthBytes }: { slices: readonly Buffer[]; lengthBytes: number },
): string[] {
  const layouts = structuresIn(request);
  const words: string[] = [];
  let at = HEADER_BYTES;
  if (layouts.length > 0) {
    const start = Buffer.concat(slices.slice(0, 2));
    for (const layout of layouts) {
      if (at + layout.sizeBytes > start.length) break;
      words.push(...describeFields(readStruct(layout, start, at)));
      at += layout.sizeBytes;
    }
  }
  const rest = lengthBytes - at;
  if (rest > 0) words.push(`data=${rest} bytes`);
  return words;
}

function headerOf(message: Buffer | readonly Buffer[]): {
  slices: readonly Buffer[];
  error: number;
  /** Of the whole message, of which the end may be sent from elsewhere. */
  lengthBytes: number;
} {
  const slices = Buffer.isBuffer(message) ? [message] : message;
  const [first] = slices;
  invariant(first !== undefined && first.length >= HEADER_BYTES, 'a reply begins with its header');
  const { error, len } = readStruct(FUSE_OUT_HEADER, first, 0);
  return { slices, error, lengthBytes: len };
}

/** What became of a request: `ok size=3`, or `ENOENT`. */
export function describeReply(request: Request, reply: Buffer | readonly Buffer[]): string {
  const { error, ...body } = headerOf(reply);
  if (error !== 0) return errnoName(-error);
  return ['ok', ...describeBody(request, body)].join(' ');
}

/** A request and its reply in one line. */
export function describeExchange(request: Request, reply: Buffer | readonly Buffer[]): string {
  return `${describeRequest(request)} -> ${describeReply(request, reply)}`;
}

/** `notify INVAL_ENTRY parent=1 namelen=3 flags=0x0 "abc"`. */
export function describeNotification(message: Buffer): string {
  const { error: code } = headerOf(message);
  const words = ['notify', NOTIFY_NAMES.get(code) ?? `code=${code}`];
  const layout = NOTIFY_LAYOUTS.get(code);
  if (layout !== undefined) {
    words.push(...describeFields(readStruct(layout, message, HEADER_BYTES)));
    const name = message.subarray(HEADER_BYTES + layout.sizeBytes, -1);
    if (name.length > 0) words.push(quote(name));
  }
  return words.join(' ');
}

/** Whether a request is answered by an operation, and logged together with its answer. */
export function isDispatched({ op }: Request): boolean {
  return op !== 'INIT' && op !== 'FORGET' && op !== 'BATCH_FORGET' && op !== 'INTERRUPT';
}
