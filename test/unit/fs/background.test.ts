import test from 'ava';
import { FsError } from '../../../src/errno.ts';
import { backgroundWith } from '../../../src/fs/background.ts';
import { silentLogger } from '../../../src/log.ts';

for (const [code, level] of [
  ['EIO', 'warn'],
  ['ESTALE', 'debug'],
  ['ENOENT', 'debug'],
] as const) {
  test(`${code} of work that nobody waits for is logged as ${level}, at once and later`, async (t) => {
    const lines: string[] = [];
    const logger = Object.create(silentLogger) as typeof silentLogger;
    logger.warn = (_fields: unknown, text?: string) => lines.push(`warn ${text}`);
    logger.debug = (_fields: unknown, text?: string) => lines.push(`debug ${text}`);
    const background = backgroundWith(logger);
    background('this', () => {
      throw new FsError(code);
    });
    background('that', () => Promise.reject(new FsError(code)));
    background('more', () => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    t.deepEqual(lines, [`${level} this failed`, `${level} that failed`]);
  });
}
