/**
 * Dataset URIs: `imss://a/b` names the dataset at path components `a`, `b`. Bytes outside the unreserved
 * characters of RFC 3986 are percent-encoded, so that names which are not UTF-8 survive the way there and back.
 */
import { FsError } from './errno.ts';

/** What every dataset URI begins with; alone, it names the root. */
export const URI_SCHEME = 'imss://';

const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const ENCODED_BYTE = /%([0-9A-Fa-f]{2})/g;
const ENCODED_COMPONENT = /^(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2})+$/;

/** One name as it stands in a URI; hexadecimal digits are upper case. */
export function encodeUriName(name: Buffer): string {
  const latin = name.toString('latin1');
  if (UNRESERVED.test(latin)) return latin;
  let encoded = '';
  for (const character of latin) {
    encoded += UNRESERVED.test(character)
      ? character
      : `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The URI of the dataset at `path`, one name per component. */
export function encodeUri(path: readonly Buffer[]): string {
  return URI_SCHEME + path.map(encodeUriName).join('/');
}

/**
 * The path components that `uri` names; slashes at the end are ignored. EINVAL for another scheme, an empty
 * component, `.`, `..`, an unencoded reserved character, or a name with `/` or NUL.
 */
export function decodeUri(uri: string): Buffer[] {
  if (!uri.startsWith(URI_SCHEME)) {
    throw new FsError('EINVAL', `"${uri}" does not begin with ${URI_SCHEME}`);
  }
  const path = uri.slice(URI_SCHEME.length).replace(/\/+$/, '');
  if (path === '') return [];
  return path.split('/').map((component) => decodeUriName(component, uri));
}

function decodeUriName(component: string, uri: string): Buffer {
  if (!ENCODED_COMPONENT.test(component)) {
    throw new FsError('EINVAL', `"${component}" in "${uri}" is not a percent-encoded name`);
  }
  const latin = component.replace(ENCODED_BYTE, (_match, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (latin === '.' || latin === '..' || latin.includes('/') || latin.includes('\0')) {
    throw new FsError('EINVAL', `"${component}" in "${uri}" cannot be a name`);
  }
  return Buffer.from(latin, 'latin1');
}
