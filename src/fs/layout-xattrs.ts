/**
 * A dataset's layout as extended attributes: `user.imss.policy`, `user.imss.block_size`, `user.imss.replication`. Set on
 * a directory they apply to what is created in it from then on; on a new file, as long as it has no data.
 */
import { MAX_REPLICATION, MIN_BLOCK_SIZE_BYTES } from '../config.ts';
import { FsError } from '../errno.ts';
import type { Layout } from '../layout.ts';
import { policyNamed } from '../policy.ts';
import { parseSize } from '../size.ts';

/** One attribute of a layout. */
export interface LayoutField {
  /** Its value as text. */
  read(layout: Readonly<Layout>): Buffer;
  /** What `value` asks for. EINVAL. */
  parse(value: Buffer): Partial<Layout>;
}

/** Larger blocks would be spread over no servers to speak of. */
const MAX_BLOCK_SIZE_BYTES = 2 ** 30;

/** Longest value that can mean anything. */
const MAX_VALUE_BYTES = 32;

const FIELDS: Partial<Record<string, LayoutField>> = {
  'user.imss.policy': {
    read: ({ policy }) => Buffer.from(policy),
    parse: (value) => ({ policy: policyNamed(textOf(value)) ?? invalid('policy') }),
  },
  'user.imss.block_size': {
    read: ({ blockSizeBytes }) => Buffer.from(String(blockSizeBytes)),
    parse: (value) => {
      const bytes = parseSize(textOf(value)) ?? invalid('block size');
      const isValid = bytes >= MIN_BLOCK_SIZE_BYTES && bytes <= MAX_BLOCK_SIZE_BYTES;
      return { blockSizeBytes: isValid ? bytes : invalid('block size') };
    },
  },
  'user.imss.replication': {
    read: ({ replication }) => Buffer.from(String(replication)),
    parse: (value) => {
      const copies = Number(textOf(value));
      const isValid = Number.isInteger(copies) && copies >= 1 && copies <= MAX_REPLICATION;
      return { replication: isValid ? copies : invalid('replication') };
    },
  },
};

/** The part of a layout that an extended attribute stands for; undefined for any other attribute. */
export function layoutField(name: Buffer): LayoutField | undefined {
  const text = name.toString('latin1');
  return Object.hasOwn(FIELDS, text) ? FIELDS[text] : undefined;
}

function textOf(value: Buffer): string {
  if (value.length > MAX_VALUE_BYTES) throw new FsError('EINVAL');
  return value.toString('latin1').replace(/\0$/, '').trim();
}

function invalid(what: string): never {
  throw new FsError('EINVAL', `not a valid ${what}`);
}
