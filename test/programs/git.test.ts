import { mkdirSync, writeFileSync } from 'node:fs';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { sh } from '../support/run.ts';
import { LONG, WHOLE_TEST } from './bounds.ts';

/** In ten folders; fewer on a mount whose every request is a round trip. */
function fileCount(mount: Mount): number {
  return mount.engine === 'detached' ? 40 : 400;
}

mountTest(
  'git initialises, commits, branches, clones, collects and checks a repository',
  async (t, mount) => {
    mkdirSync(mount.at('work'));
    for (let i = 0; i < fileCount(mount); i++) {
      mkdirSync(mount.at('work', `d${i % 10}`), { recursive: true });
      writeFileSync(mount.at('work', `d${i % 10}`, `f${i}`), pattern(200 + i * 31, i));
    }
    const out = await sh(
      `cd work; git init -q -b main; ln -s d1/f1 link; chmod 755 d2/f2
       git add -A; git commit -qm first; git status --porcelain
       git checkout -qb side; git rm -qr d3; echo changed > d4/f4; git commit -qam second
       git checkout -q main; echo other > d5/f5; git commit -qam third; git merge -q -m merged side
       git tag v1; git clone -q . ../local; git clone -q --no-local . ../clone; git gc -q --prune=now
       git fsck --full --strict; git -C ../clone fsck --full --strict; git -C ../clone gc -q --aggressive
       git -C ../local fsck --full; git worktree add -q ../tree side; git stash list
       git -C ../clone status --porcelain; git status --porcelain; git -C ../clone log --oneline | wc -l
       test "$(git rev-parse main)" = "$(git -C ../clone rev-parse main)"
       git -C ../clone checkout -q v1; git -C ../clone diff --stat main`,
      { ...LONG, cwd: mount.path, env: environment(mount) },
    );
    t.is(out, '4');
  },
  WHOLE_TEST,
);

mountTest(
  'git switches branches and worktrees to the files of each, and forgets a worktree that is removed',
  async (t, mount) => {
    const script = `git init -q -b one work; cd work; mkdir only-one both; seq 2000 > both/numbers; echo 1 > only-one/f
       git add -A; git commit -qm one; git switch -qc two; git rm -qr only-one; mkdir only-two; echo 2 > only-two/f
       sed -i s/7/seven/ both/numbers; ln -s both/numbers link; git add -A; git commit -qm two
       for i in 1 2; do git switch -q one; git switch -q two; done; git status --porcelain; ls -A
       git worktree add -q ../other one; git -C ../other status --porcelain; ls ../other
       echo more >> ../other/only-one/f; git -C ../other commit -qam more; git log --format=%s one; git stash list
       echo dirty >> both/numbers; git stash -q; git diff --stat; git stash pop -q; git diff --numstat; git checkout -q .
       git worktree remove ../other; git worktree list | wc -l; git fsck --full --strict --no-dangling; ls ..`;
    const out = await sh(script, { ...LONG, cwd: mount.path, env: environment(mount) });
    t.deepEqual(out.split('\n'), [
      ...['.git', 'both', 'link', 'only-two'],
      ...['both', 'only-one'],
      ...['more', 'one'],
      '1\t0\tboth/numbers',
      '1',
      'work',
    ]);
  },
  WHOLE_TEST,
);

/** A configuration that is nobody's. */
function environment(mount: Mount): Record<string, string> {
  return {
    HOME: mount.scratch,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@example.org',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@example.org',
  };
}
