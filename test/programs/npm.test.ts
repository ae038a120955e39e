/** A tree of packages that npm installs into the mount from tarballs, so without a registry, and programs run from it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { run, runOk, sh } from '../support/run.ts';
import { LONG, WHOLE_TEST } from './bounds.ts';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
/** A package with a library that is mapped. */
const LIBRARY = 'lmdb';

/** A package whose program shows that it and all that it needs are there. */
interface Project {
  name: string;
  /** Packages that it needs, with itself, at least. */
  packages: number;
  /** Runs it in the mount. */
  check(t: ExecutionContext, mount: Mount): Promise<void>;
}

const ESLINT: Project = {
  name: 'eslint',
  packages: 60,
  async check(t, mount) {
    const rules = "{ rules: { 'no-var': 'error', 'no-unused-vars': 'error' } }";
    writeFileSync(mount.at('eslint.config.mjs'), `export default [${rules}];`);
    writeFileSync(mount.at('bad.mjs'), 'var a = 1;\n');
    const program = mount.at('node_modules', '.bin', 'eslint');
    const linted = await run(program, ['-f', 'json', 'bad.mjs'], { ...LONG, cwd: mount.path });
    t.is(linted.status, 1, linted.stderr);
    const [report] = JSON.parse(linted.stdout) as { messages: { ruleId: string }[] }[];
    t.deepEqual(report?.messages.map(({ ruleId }) => ruleId).sort(), ['no-unused-vars', 'no-var']);
  },
};

/** Of few files, for a mount whose every request is a round trip. */
const PINO_PRETTY: Project = {
  name: 'pino-pretty',
  packages: 15,
  async check(t, mount) {
    const program = mount.at('node_modules', '.bin', 'pino-pretty');
    const input = '{"level":40,"time":0,"msg":"it runs"}\n';
    const { stdout } = await runOk(program, ['--no-colorize'], { cwd: mount.path, input });
    t.regex(stdout, /WARN: it runs/);
  },
};

interface LockedPackage {
  version: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  resolved?: string;
  integrity?: string;
  dev?: boolean;
}

type Lock = Record<string, LockedPackage>;

/** Where a package at `from` finds `name`, as Node.js does: in the nearest folder upwards. */
function placeOf(lock: Lock, name: string, from: string): string | undefined {
  const folders = from.split('/node_modules/');
  for (let depth = folders.length; depth > 0; depth--) {
    const place = `${folders.slice(0, depth).join('/node_modules/')}/node_modules/${name}`;
    if (place in lock) return place;
  }
  return `node_modules/${name}` in lock ? `node_modules/${name}` : undefined;
}

/** The packages of our own lock that `names` need, with those that are for other machines. */
function closureOf(lock: Lock, names: readonly string[]): Lock {
  const found: Lock = {};
  const visit = (name: string, from: string): void => {
    const place = placeOf(lock, name, from);
    const entry = place === undefined ? undefined : lock[place];
    if (place === undefined || entry === undefined || place in found) return;
    found[place] = entry;
    const { dependencies, optionalDependencies, peerDependencies } = entry;
    const needed = { ...dependencies, ...optionalDependencies, ...peerDependencies };
    for (const each of Object.keys(needed)) visit(each, place);
  };
  for (const name of names) visit(name, '');
  return found;
}

/** All of them are, but optional ones that other machines need. */
function isInstalled(place: string): boolean {
  return existsSync(join(REPOSITORY, place));
}

/** A project in the mount that asks for `wanted` and whose lock names a tarball for each package. */
async function writeProject(mount: Mount, wanted: readonly string[]): Promise<Lock> {
  const text = readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8');
  const { packages: all } = JSON.parse(text) as { packages: Lock };
  const lock = closureOf(all, wanted);
  const dependencies = Object.fromEntries(
    wanted.map((name) => [name, lock[`node_modules/${name}`]?.version ?? 'missing']),
  );
  mkdirSync(mount.at('tarballs'));
  const packages: Record<string, unknown> = {
    '': { name: 'project', version: '1.0.0', dependencies },
  };
  for (const [index, [place, entry]] of Object.entries(lock).entries()) {
    const tarball = `tarballs/${index}.tgz`;
    packages[place] = { ...entry, integrity: undefined, dev: false, resolved: `file:${tarball}` };
    if (!isInstalled(place)) continue;
    await sh(
      'tar -czf "$OUT" --exclude=node_modules --transform "s,^$NAME,package," -C "$FROM" "$NAME"',
      {
        ...LONG,
        env: {
          OUT: mount.at(tarball),
          FROM: join(REPOSITORY, dirname(place)),
          NAME: basename(place),
        },
      },
    );
  }
  const head = { name: 'project', version: '1.0.0' };
  writeFileSync(mount.at('package.json'), JSON.stringify({ ...head, dependencies }));
  writeFileSync(
    mount.at('package-lock.json'),
    JSON.stringify({ ...head, lockfileVersion: 3, requires: true, packages }),
  );
  return lock;
}

const LMDB_PROGRAM = `
import { open } from 'lmdb';
const database = open({ path: 'database', maxReaders: 8 });
for (let i = 0; i < 2000; i++) database.put('key-' + i, { value: i, text: 'x'.repeat(i % 300) });
await database.flushed;
await database.close();
const again = open({ path: 'database', readOnly: true });
let sum = 0;
for (const { value } of again.getRange({})) sum += value.value;
console.log(again.getCount(), sum);
await again.close();
`;

mountTest(
  'npm ci installs a tree of packages, and its programs and libraries run from the mount',
  async (t, mount) => {
    const project = mount.engine === 'detached' ? PINO_PRETTY : ESLINT;
    const lock = await writeProject(mount, [project.name, LIBRARY]);
    const options = { ...LONG, cwd: mount.path, env: { HOME: mount.scratch } };
    const places = Object.keys(lock).filter(isInstalled);
    t.true(places.length >= project.packages);
    const npm = 'npm ci --offline --ignore-scripts --no-audit --no-fund --no-update-notifier';
    await sh(`${npm} --cache "$HOME/cache" --loglevel error`, options);
    for (const place of places) {
      const found = readFileSync(mount.at(place, 'package.json'), 'utf8');
      t.is(found, readFileSync(join(REPOSITORY, place, 'package.json'), 'utf8'), place);
    }
    const files = (root: string): string[] =>
      readdirSync(join(root, 'node_modules', project.name), { recursive: true, encoding: 'utf8' })
        .filter((name) => !name.includes('node_modules'))
        .sort();
    t.deepEqual(files(mount.path), files(REPOSITORY));
    await project.check(t, mount);
    writeFileSync(mount.at('program.mjs'), LMDB_PROGRAM);
    const { stdout } = await runOk(process.execPath, ['program.mjs'], options);
    t.is(stdout, `2000 ${(1999 * 2000) / 2}\n`);
  },
  WHOLE_TEST,
);
