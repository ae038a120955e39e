/**
 * The settings of imssfs as words of `-o`, for mount(8) and fstab(5), which have nothing else: the long flags with
 * underscores, such as `block_size=4MiB`. Pure.
 */
import { textOf } from './bytes-path.ts';
import { UsageError } from './errors.ts';

/** One setting. */
export interface SettingWord {
  /** As it is written: `block_size`. */
  readonly name: string;
  /** As commander names it: `blockSize`. */
  readonly key: string;
  readonly takesValue: boolean;
  /** Its value is the path of a file. */
  readonly isFile: boolean;
}

/** What `-o` cannot say, as it is about the command, not about the mount. */
const NOT_WORDS = new Set(['--mount-point', '--options', '--foreground', '--quiet']);

/** Words that people know from tmpfs. */
const ALIASES = new Map([['size', 'capacity']]);

/** The words for the flags of an option table, such as `-b, --block-size <size>`. */
export function settingWords(flags: readonly string[]): Map<string, SettingWord> {
  const words = new Map<string, SettingWord>();
  for (const each of flags) {
    const [, long, value] = /(--[a-z-]+)(?: <([a-z]+)>)?$/.exec(each) ?? [];
    if (long === undefined || NOT_WORDS.has(long)) continue;
    const name = long.slice(2);
    words.set(name.replaceAll('-', '_'), {
      name: name.replaceAll('-', '_'),
      key: name.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
      takesValue: value !== undefined,
      isFile: value === 'file',
    });
  }
  for (const [alias, name] of ALIASES) {
    const word = words.get(name);
    if (word !== undefined) words.set(alias, word);
  }
  return words;
}

/** A setting that was found among mount options. */
export interface FoundSetting {
  word: SettingWord;
  /** True for one without a value. */
  value: string | true;
}

/** Parts settings from the mount options proper, which stay in their order. Throws {@link UsageError}. */
export function partSettings(
  args: readonly string[],
  words: ReadonlyMap<string, SettingWord>,
): { settings: FoundSetting[]; options: string[] } {
  const settings: FoundSetting[] = [];
  const options: string[] = [];
  for (const text of args.flatMap(splitOptions)) {
    const [, name = '', value] = /^([^=]*?)(?:=([^]*))?$/.exec(text) ?? [];
    const word = words.get(name.replaceAll('-', '_'));
    if (word === undefined) {
      options.push(text.replaceAll(',', '\\,'));
      continue;
    }
    if (word.takesValue && value === undefined) {
      throw new UsageError(`mount option ${textOf(name)} needs a value; write ${textOf(name)}=VALUE`); // prettier-ignore
    }
    if (!word.takesValue && value !== undefined) {
      throw new UsageError(`mount option ${textOf(name)} takes no value; write ${textOf(name)} alone`); // prettier-ignore
    }
    settings.push({ word, value: value ?? true });
  }
  return { settings, options };
}

/**
 * Splits at commas; `\,` is a comma inside a value, as in fstab(5) of libfuse, and so is one between quotes, as in
 * mount(8). Empty words are dropped.
 */
export function splitOptions(argument: string): string[] {
  const words = argument.match(/(?:\\[^]|"[^"]*"|[^,])+/g) ?? [];
  return words
    .map((word) =>
      word
        .replaceAll('\\,', ',')
        .replace(/^([^="]*=)"([^"]*)"$/, '$1$2')
        .trim(),
    )
    .filter((word) => word !== '');
}
