/** From what the command line says of secrets to the secret itself. */
import { loadSecret } from '../net/secret.ts';
import type { SecretOptions } from './cluster-config.ts';

/** Undefined with `--insecure`. Rejects with SecretError. */
export async function secretOf(options: SecretOptions): Promise<Buffer | undefined> {
  if (options.insecure) return undefined;
  return options.file === undefined ? loadSecret() : loadSecret(options.file);
}
