import test from 'ava';
import { OptionError, parseOptions, parseShared } from '../../../bench/harness/options.ts';

const NAMES = ['tmpfs', 'kernel', 'passthrough'];
const parse = (...args: string[]): ReturnType<typeof parseOptions> => parseOptions(args, NAMES);

test('without arguments, five rounds count and one before does not', (t) => {
  t.like(parse(), { rounds: 5, warmUps: 1, sizeMib: 512, files: 3000, quick: false });
  t.is(parse().targets, undefined);
});

test('--quick is one small round, and what is said beside it holds', (t) => {
  t.like(parse('--quick'), { rounds: 1, warmUps: 0, sizeMib: 16, files: 100, quick: true });
  t.like(parse('--quick', '--rounds', '3', '--size=64'), { rounds: 3, sizeMib: 64, files: 100 });
});

test('--only is a regular expression in which case does not matter', (t) => {
  t.true(parse('--only', '^RANDOM .*4 jobs').only?.test('random read 4 KiB, 4 jobs'));
  t.throws(() => parse('--only', '('), { instanceOf: OptionError, message: /^--only \(: / });
});

test('--targets takes names from the table, and names them when it is wrong', (t) => {
  t.deepEqual(parse('--targets', 'kernel,tmpfs').targets, ['kernel', 'tmpfs']);
  for (const wrong of ['kernel,ext4', '', ',']) {
    t.throws(() => parse('--targets', wrong), {
      instanceOf: OptionError,
      message: `--targets ${wrong}: write some of tmpfs,kernel,passthrough`,
    });
  }
});

for (const text of ['0', '-1', '1.5', 'many', '', '1e3', '99999999999999999999']) {
  test(`--rounds "${text}" is refused with the least that it takes`, (t) => {
    t.throws(() => parse(`--rounds=${text}`), {
      instanceOf: OptionError,
      message: `--rounds ${text}: write a whole number, 1 at least`,
    });
  });
}

test('sizes too small to be divided among jobs or folders are refused', (t) => {
  t.throws(() => parse('--size', '3'), { instanceOf: OptionError, message: /4 at least/ });
  t.throws(() => parse('--files', '49'), { instanceOf: OptionError, message: /50 at least/ });
});

test('an unknown option is refused, and --help is pointed to', (t) => {
  t.throws(() => parse('--fast'), { instanceOf: OptionError, message: /--fast.*see --help$/s });
});

test('the other benchmarks take the same arguments, and refuse the same ones', (t) => {
  t.deepEqual(parseShared(['--quick', '--targets', 'kernel']), { quick: true, rounds: undefined });
  t.deepEqual(parseShared(['--rounds', '3']), { quick: false, rounds: 3 });
  for (const wrong of [['--quik'], ['--rounds', 'many'], ['--help']]) {
    t.throws(() => parseShared(wrong), { instanceOf: OptionError }, wrong.join(' '));
  }
});
