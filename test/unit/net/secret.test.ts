import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { defaultSecretPath, loadSecret, SecretError } from '../../../src/net/secret.ts';

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'imssfs-secret-'));
  t.teardown(() => {
    rmSync(path, { recursive: true });
  });
  return path;
}

test('a secret is made at its first use, for its owner alone, and is the same afterwards', async (t) => {
  const path = defaultSecretPath(folder(t));
  const secret = await loadSecret(path);
  t.is(secret.length, 32);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(statSync(join(path, '..')).mode & 0o777, 0o700);
  t.is(statSync(path).size, 65);
  t.deepEqual(await loadSecret(path), secret);
});

test('processes that make the secret at the same time agree', async (t) => {
  const path = defaultSecretPath(folder(t));
  const secrets = await Promise.all(Array.from({ length: 8 }, () => loadSecret(path)));
  t.is(new Set(secrets.map((secret) => secret.toString('hex'))).size, 1);
});

test('a secret that others may read is refused', async (t) => {
  const path = join(folder(t), 'secret');
  writeFileSync(path, `${'ab'.repeat(32)}\n`);
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(path, mode);
    const error = await t.throwsAsync(loadSecret(path), { instanceOf: SecretError });
    t.regex(error.message, /chmod 600/);
  }
  chmodSync(path, 0o600);
  t.deepEqual(await loadSecret(path), Buffer.alloc(32, 0xab));
});

test('what is no secret is refused with a remedy', async (t) => {
  const path = join(folder(t), 'secret');
  for (const text of ['password\n', 'ab'.repeat(31), `${'ab'.repeat(32)}00`, 'xy'.repeat(32)]) {
    writeFileSync(path, text, { mode: 0o600 });
    await t.throwsAsync(loadSecret(path), { message: /64 hex digits; .*openssl/ });
  }
  await t.throwsAsync(loadSecret(join(path, 'below')), { message: /ENOTDIR.*--secret-file/ });
  await t.throwsAsync(loadSecret(join(path, '..')), { message: /is no file/ });
});

test('of a path with more than its last folder missing, nothing is made', async (t) => {
  const path = join(folder(t), 'mistyped', 'folder', 'secret');
  await t.throwsAsync(loadSecret(path), { instanceOf: SecretError, message: /ENOENT/ });
  t.throws(() => statSync(join(path, '..', '..')), { code: 'ENOENT' });
});
