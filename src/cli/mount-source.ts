/**
 * SOURCE of `imssfs SOURCE MOUNTPOINT`, as mount(8) and fstab(5) have it: a dataset, metadata servers and a path, or a
 * file of options. It says what the command line does not.
 */
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { displayPath } from '../fs/mount-table.ts';
import { URI_SCHEME, encodeUri } from '../uri.ts';
import { bytesOf, textOf } from './bytes-path.ts';
import { FailureError, UsageError, errorCode } from './errors.ts';
import { partSettings, settingWords } from './mount-settings.ts';
import { type CommandLine, OPTION_TABLE, addSettings } from './options.ts';

/** What fstab lines say where there is nothing to say. */
const EMPTY_SOURCES = new Set(['none', 'imssfs', 'imss']);

const META_SOURCE =
  /^((?:\[[^\]/]+\]|[^[\],:/]+)(?::\d+)?(?:,(?:\[[^\]/]+\]|[^[\],:/]+)(?::\d+)?)*):(\/[^]*)$/;
const MAX_FILE_BYTES = 1024 * 1024;

/** The command line with what its SOURCE says. Throws {@link UsageError}, {@link FailureError}. */
export function applySource(line: CommandLine): CommandLine {
  const { source } = line;
  if (source === undefined) return line;
  // What /proc/mounts shows: mount(8) finds by it that a line of fstab is mounted.
  const named = { ...line, options: [`fsname=${source.replaceAll(',', '\\,')}`, ...line.options] };
  if (EMPTY_SOURCES.has(source)) return line;
  if (source.includes('://')) return withSetting(named, { root: source });
  const [, hosts, path] = META_SOURCE.exec(source) ?? [];
  if (hosts !== undefined && path !== undefined) {
    const names = path.split('/').filter((name) => name !== '');
    const root = encodeUri(names.map((name) => bytesOf(name)));
    const settings = { metaHosts: hosts, ...(root === URI_SCHEME ? {} : { root }) };
    return { deployment: '2', ...withSetting(named, settings) };
  }
  return withFile(named, bytesOf(source));
}

function withSetting(
  line: CommandLine,
  settings: { root?: string; metaHosts?: string },
): CommandLine {
  for (const key of ['root', 'metaHosts'] as const) {
    const before = line[key];
    const value = settings[key];
    if (value !== undefined && before !== undefined && before !== value) {
      throw new UsageError(
        `SOURCE ${textOf(line.source ?? '')} and ${textOf(before)} contradict each other; give one of them`,
      );
    }
  }
  return { ...line, ...settings };
}

/** A file of mount options, one a line; what the command line says goes before. */
function withFile(line: CommandLine, path: Buffer): CommandLine {
  const shown = displayPath(path);
  const words = readOptionFile(path, shown);
  const { settings, options } = partSettings(words, WORDS);
  const folder = posix.resolve(posix.dirname(path.toString('latin1')));
  const fromFile: CommandLine = { mountPoint: undefined, options: [] };
  addSettings(
    fromFile,
    settings.map(({ word, value }) => ({
      word,
      value: word.isFile && typeof value === 'string' ? posix.resolve(folder, value) : value,
    })),
  );
  const given = Object.fromEntries(Object.entries(line).filter(([, value]) => value !== undefined));
  return { ...fromFile, ...given, mountPoint: line.mountPoint, options: [...options, ...line.options] }; // prettier-ignore
}

const WORDS = settingWords(OPTION_TABLE.map((row) => row.flags));

/** Its lines as words of `-o`: `#` begins a comment, blanks around `=` do not count. */
function readOptionFile(path: Buffer, shown: string): string[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = errorCode(error) ?? 'error';
    const isSource = code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR';
    if (!isSource) throw new FailureError(`cannot read ${shown} (${code}); give access to it`, { cause: error }); // prettier-ignore
    throw new UsageError(
      `SOURCE ${shown} is no file system; write imss://directory, METADATA_HOST:/directory, or the name of a file of options`,
      { cause: error },
    );
  }
  if (bytes.length > MAX_FILE_BYTES || bytes.includes(0)) {
    throw new FailureError(`${shown} is no file of options; write one option per line`);
  }
  return bytes
    .toString('latin1')
    .split(/\r?\n/)
    .map((text) => text.replace(/(^|\s)#.*$/, '').trim())
    .filter((text) => text !== '')
    .map((text) => text.replace(/\s*=\s*/, '=').replaceAll(',', '\\,'));
}
