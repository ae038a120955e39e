import type { ExecutionContext } from 'ava';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { makeTree } from '../support/make-tree.ts';
import { sh } from '../support/run.ts';
import { differences, readTree } from '../support/tree.ts';
import { LONG, WHOLE_TEST } from './bounds.ts';

/** How many entries a real tree should have for a copy of it to mean something. */
const ENOUGH_ENTRIES = 3_000;
const MODULES = fileURLToPath(new URL('../../../node_modules/', import.meta.url));
const SHOWN_DIFFERENCES = 20;

/** A tree of this machine; one without much documentation and without headers has at least our dependencies. */
function realTrees(mount: Mount): string[] {
  // Every file is many round trips to servers.
  if (mount.engine === 'detached') return modulePackages(['eslint', '.bin']);
  const large = ['/usr/share/doc', '/usr/include']
    .filter((path) => existsSync(path))
    .find((path) => readdirSync(path, { recursive: true }).length >= ENOUGH_ENTRIES);
  if (large !== undefined) return [large];
  return modulePackages(['typescript', '@types', '@typescript-eslint', 'eslint', 'ava', '.bin']);
}

function modulePackages(names: readonly string[]): string[] {
  return names.map((name) => MODULES + name).filter((path) => existsSync(path));
}

function sameTree(t: ExecutionContext, source: string, copy: string): number {
  const tree = readTree(source);
  const found = differences(tree, readTree(copy));
  t.deepEqual(found.slice(0, SHOWN_DIFFERENCES), [], `${found.length} differences`);
  return tree.size;
}

mountTest(
  'a real tree copied in by cp -a and out by tar equals its source in every attribute',
  async (t, mount) => {
    let entries = 0;
    for (const [index, source] of realTrees(mount).entries()) {
      // A first plain copy cuts hard links to files outside of the tree, whose counts could not be equal.
      const plain = `${mount.scratch}/plain-${index}`;
      await sh('cp -a -- "$FROM" "$TO"', { ...LONG, env: { FROM: source, TO: plain } });
      const inside = mount.at(`tree-${index}`);
      await sh('cp -a -- "$FROM" "$TO"', { ...LONG, env: { FROM: plain, TO: inside } });
      entries += sameTree(t, plain, inside);
      const back = `${mount.scratch}/back-${index}`;
      mkdirSync(back);
      await sh(
        'tar -C "$FROM" --format=posix --numeric-owner -cf "$TO.tar" .; tar -C "$TO" -xpf "$TO.tar"; rm "$TO.tar"',
        { ...LONG, env: { FROM: inside, TO: back } },
      );
      sameTree(t, plain, back);
      await sh('diff -r --no-dereference "$A" "$B"; rm -r "$A" "$B"', {
        ...LONG,
        env: { A: plain, B: back },
      });
    }
    t.true(entries >= (mount.engine === 'detached' ? 400 : 1_000), `${entries} entries`);
    t.log(`${entries} entries`);
    await sh('rm -r tree-*', { ...LONG, cwd: mount.path });
    t.deepEqual(readdirSync(mount.path), []);
  },
  { ...WHOLE_TEST, lacks: 'milliseconds' },
);

mountTest(
  'a tree of links, odd names, modes, owners, times and holes survives cp, tar and rsync',
  async (t, mount) => {
    const source = `${mount.scratch}/source`;
    mkdirSync(source);
    await makeTree(source);
    const env = { SOURCE: source, SCRATCH: mount.scratch };
    const options = { ...LONG, cwd: mount.path, env };
    await sh('cp -a "$SOURCE" copied', options);
    sameTree(t, source, mount.at('copied'));
    await sh(
      `mkdir "$SCRATCH/out" unpacked; tar -C copied --format=posix -Scf - . | tar -C "$SCRATCH/out" -xpf -
       tar -C "$SOURCE" --format=posix -cf archive.tar .; tar -C unpacked -xpf archive.tar`,
      options,
    );
    sameTree(t, source, `${mount.scratch}/out`);
    sameTree(t, source, mount.at('unpacked'));
    await sh('rsync -aHX "$SOURCE/" synced', options);
    sameTree(t, source, mount.at('synced'));
    t.is(await sh('rsync -aHXni --delete "$SOURCE/" synced', options), '');
    t.is(await sh('rsync -aHXnic --delete synced/ "$SOURCE"', options), '');
    await sh('cp -a copied again; rm -r copied', options);
    sameTree(t, source, mount.at('again'));
  },
  { ...WHOLE_TEST, lacks: 'utf8' },
);

mountTest('rsync carries extended attributes and finds what changed', async (t, mount) => {
  await sh(
    `mkdir source; echo one > source/a; echo two > source/b; mkdir source/d; ln source/a source/d/a
     setfattr -n user.note -v text source/a source/d; touch -d 2001-01-01T00:00:00.5 source source/d; rsync -aHX source/ "$SCRATCH/copy"
     rsync -aHX "$SCRATCH/copy/" back`,
    { cwd: mount.path, env: { SCRATCH: mount.scratch } },
  );
  sameTree(t, mount.at('source'), mount.at('back'));
  t.is(await sh('getfattr --only-values -n user.note back/d', { cwd: mount.path }), 'text');
  await sh('echo three > source/b; setfattr -n user.note -v other source/d', { cwd: mount.path });
  const changes = await sh('rsync -aHXni source/ back', { cwd: mount.path });
  t.regex(changes, /^>f\S+ b$/m);
  t.regex(changes, /^\.d\S*x\S* d\/$/m);
  await sh('rsync -aHX --inplace --append-verify source/ back; rsync -aHX --delete source/ back', {
    cwd: mount.path,
  });
  t.is(await sh('cat back/b', { cwd: mount.path }), 'three');
});

mountTest(
  'tar and cp carry extended attributes out of the mount and back, and getfattr puts back what it dumped',
  async (t, mount) => {
    const out = await sh(
      `dump() { find source | sort | xargs getfattr -h -d -m - -e hex; }
       mkdir source; echo one > source/a; mkdir source/d; echo two > source/d/b
       setfattr -n user.note -v text source/a source/d; setfattr -n user.binary -v 0x00ff0a00 source/d/b
       setfattr -n user.long -v "$LONG" source/d/b; setfattr -n user.empty source/a
       dump > "$SCRATCH/first"
       tar --xattrs --format=posix -cf a.tar source; mkdir out; tar -C out --xattrs -xpf a.tar
       (cd out; dump) | cmp - "$SCRATCH/first"
       mv source before; cp -a before source; dump | cmp - "$SCRATCH/first"
       setfattr -x user.note source/a; setfattr -x user.binary source/d/b; setfattr --restore="$SCRATCH/first"
       dump | cmp - "$SCRATCH/first"; grep -c = "$SCRATCH/first"`,
      { cwd: mount.path, env: { SCRATCH: mount.scratch, LONG: 'x'.repeat(3000) } },
    );
    t.is(out, '5');
    t.is(await sh('getfattr --only-values -n user.note out/source/d', { cwd: mount.path }), 'text');
  },
);

mountTest(
  'an archive of the mount made while nothing changes has no complaints',
  async (t, mount) => {
    await makeTree(mount.path);
    const out = await sh(
      'tar -cf "$SCRATCH/a.tar" . 2>&1; tar --compare -f "$SCRATCH/a.tar" 2>&1',
      {
        ...LONG,
        cwd: mount.path,
        env: { SCRATCH: mount.scratch },
      },
    );
    t.is(out, '');
  },
  { lacks: 'utf8' },
);
