import test from 'ava';
import { PageVersions } from '../../../src/fs/page-versions.ts';
import type { InodeId } from '../../../src/ids.ts';

const FILE = 5 as InodeId;

test('pages are kept at the version of the last open, and by own changes in a row', (t) => {
  const pages = new PageVersions();
  t.false(pages.opened(FILE, 1));
  t.true(pages.opened(FILE, 1));
  pages.changedHere(FILE, 2);
  pages.changedHere(FILE, 3);
  t.true(pages.opened(FILE, 3));
});

test('a version that others have led to takes the pages', (t) => {
  const pages = new PageVersions();
  pages.opened(FILE, 1);
  t.false(pages.opened(FILE, 2));
  pages.changedHere(FILE, 4);
  t.false(pages.opened(FILE, 4), 'version 3 came from elsewhere');
});

test('of very many files, the one opened longest ago is forgotten', (t) => {
  const pages = new PageVersions();
  for (let inode = 1; inode <= 65_537; inode++) pages.opened(inode as InodeId, 1);
  t.true(pages.opened(2 as InodeId, 1));
  t.false(pages.opened(1 as InodeId, 1));
});
